//! Reading a body that may break off: what came is kept, and the next request asks for the rest of the same object.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};

use super::S3Store;
use super::failure::Failure;
use crate::object_store::{ErrorKind, StorageError};

/// What is to be read.
pub(super) struct Want<'a> {
    pub(super) key: &'a str,
    pub(super) version: Option<&'a str>,
    /// Exactly these bytes, at least one; without it the whole object.
    pub(super) range: Option<Range<u64>>,
    /// Never more than so many bytes.
    pub(super) max: u64,
}

/// What earlier requests brought.
#[derive(Default)]
struct Partial {
    body: BytesMut,
    /// Of which object it is the beginning.
    tag: Option<String>,
    /// Where what is wanted ends in the object.
    end: Option<u64>,
}

impl S3Store {
    /// Reads what is wanted, over as many requests as it takes while each brings something.
    pub(super) async fn fetch(&self, want: &Want<'_>, attempt: &str) -> Result<Bytes, StorageError> {
        let partial = Mutex::new(Partial::default());
        self.retry(want.key, attempt, &mut 0, || self.get_once(want, &partial))
            .await
    }

    async fn get_once(&self, want: &Want<'_>, partial: &Mutex<Partial>) -> Result<Bytes, Failure> {
        let before = lock(partial).resumable();
        let got = self.get_rest(want, partial).await;
        got.map_err(|failure| failure.after_progress(lock(partial).body.len() > before))
    }

    async fn get_rest(&self, want: &Want<'_>, partial: &Mutex<Partial>) -> Result<Bytes, Failure> {
        let (have, tag, end) = {
            let partial = lock(partial);
            let end = want.range.as_ref().map(|range| range.end).or(partial.end);
            (partial.body.len() as u64, partial.tag.clone(), end)
        };
        let from = want.range.as_ref().map_or(0, |range| range.start) + have;
        let rest = end.filter(|_| want.range.is_some() || have > 0);
        let request = self.client.get_object().bucket(&self.bucket).key(self.full(want.key));
        let request = request
            .set_version_id(want.version.map(str::to_owned))
            .set_range(rest.map(|end| format!("bytes={from}-{}", end - 1)))
            .set_if_match(tag.clone().filter(|_| have > 0));
        let answer = self.within(0, request.send()).await?.map_err(Failure::from_sdk);
        let other = have > 0
            && match &answer {
                Ok(answer) => answer.e_tag() != tag.as_deref() || answer.content_range().is_none(),
                Err(failure) => failure.kind() == ErrorKind::AlreadyExists,
            };
        if other {
            *lock(partial) = Partial::default();
            return Err(Failure::broken("the object was replaced while it was read"));
        }
        let answer = answer?;

        let announced = answer.content_length().and_then(|length| u64::try_from(length).ok());
        if rest.is_some() && from > 0 && answer.content_range().is_none() {
            return Err(Failure::new(ErrorKind::Other).hint("the server ignores ranges"));
        }
        let wanted = rest.map(|end| end - from).or(announced);
        let most = wanted.unwrap_or(want.max).min(want.max - have.min(want.max));
        match announced {
            Some(length) if length > most && rest.is_some() => {
                return Err(Failure::new(ErrorKind::Other).hint("the server ignores ranges"));
            }
            Some(length) if length > most => {
                return Err(Failure::new(ErrorKind::TooLarge).hint(format!("it has {length} bytes")));
            }
            Some(length) if Some(length) < wanted => return Err(Failure::new(ErrorKind::Truncated)),
            _ => {}
        }
        {
            let mut partial = lock(partial);
            partial.end = wanted.map(|wanted| from + wanted);
            partial.tag = answer.e_tag().map(str::to_owned);
        }
        let whole = self
            .within(most, self.collect(answer.body, partial, wanted, most))
            .await??;
        match (whole, wanted.map(|wanted| have + wanted)) {
            (None, Some(all)) if (lock(partial).body.len() as u64) < all => Err(Failure::broken("the body broke off")),
            (None, _) => Ok(std::mem::take(&mut lock(partial).body).freeze()),
            (Some(whole), _) => Ok(whole),
        }
    }

    /// Adds what comes to what came before; where all came in one piece, that piece.
    async fn collect(
        &self,
        mut stream: ByteStream,
        partial: &Mutex<Partial>,
        wanted: Option<u64>,
        most: u64,
    ) -> Result<Option<Bytes>, Failure> {
        let expected = usize::try_from(wanted.unwrap_or(0)).unwrap_or(0);
        let mut came = 0;
        while let Some(part) = self.within(0, stream.next()).await? {
            let part = part.map_err(Failure::broken)?;
            came += part.len() as u64;
            if came > most {
                return Err(Failure::new(ErrorKind::TooLarge));
            }
            let mut partial = lock(partial);
            if partial.body.is_empty() && part.len() == expected {
                return Ok(Some(part));
            }
            let left = expected.saturating_sub(usize::try_from(came).unwrap_or(usize::MAX));
            partial.body.reserve(part.len() + left);
            partial.body.extend_from_slice(&part);
        }
        Ok(None)
    }
}

impl Partial {
    /// How much of it can be gone on from: nothing, where the server gave the object no tag.
    fn resumable(&mut self) -> usize {
        if self.tag.is_none() || self.end.is_none() {
            *self = Self::default();
        }
        self.body.len()
    }
}

fn lock(partial: &Mutex<Partial>) -> MutexGuard<'_, Partial> {
    partial.lock().unwrap_or_else(PoisonError::into_inner)
}
