//! One object on its way up the ladder: is it there, does the server's checksum fit, what holds it, are its bytes those of its name, and do
//! its frames decode to what trees say.
//!
//! Invariant: a rung that could not be asked is not a rung that failed; a name that is hidden is no loss where a version of it is there.

use std::sync::Arc;

use bytes::Bytes;
use muster_signing::Digest;
use tokio::sync::OwnedSemaphorePermit;

use super::extents;
use super::found::{ObjectState, Verdict};
use super::listing::Listed;
use crate::content::HashKey;
use crate::list::Named;
use crate::object_store::{ErrorKind, ObjectHead};
use crate::pack::PACK_MAX;
use crate::{ArchiveError, Repository};

/// Versions of one object that are looked at.
const VERSIONS: usize = 64;

/// An object, and what is to be asked of it.
pub(super) struct Step {
    pub(super) what: Option<Named>,
    pub(super) id: Option<Digest>,
    pub(super) object: String,
    pub(super) bytes: u64,
    pub(super) named_by: String,
    pub(super) demand: i64,
    pub(super) listed: Listed,
    /// Its bytes were read and compared before.
    pub(super) was_read: bool,
    pub(super) read: Read,
    /// Memory for its bytes.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// Whether its bytes are read now.
pub(super) enum Read {
    /// They are not.
    No,
    /// They were, not long ago.
    Skipped,
    /// They are, and these extents are compared.
    Whole(Vec<[u8; extents::RECORD]>),
}

/// What all objects are asked with.
pub(super) struct Asking<'a> {
    pub(super) repository: &'a Repository,
    pub(super) heads: bool,
    pub(super) keys: Arc<Vec<HashKey>>,
}

/// Where an object is.
enum Found {
    Plain,
    /// Its name is hidden or means something else; this version is it.
    Version(String),
}

impl Asking<'_> {
    /// Climbs as far as it is asked.
    pub(super) async fn climb(&self, mut step: Step) -> Verdict {
        let room = step.permit.take();
        let mut verdict = Verdict {
            what: step.what,
            id: step.id,
            object: step.object.clone(),
            bytes: step.bytes,
            demand: step.demand,
            state: ObjectState::There,
            recovered: false,
            lock: None,
            read: 0,
            fetched: matches!(step.read, Read::Whole(_)),
            error: None,
        };
        if let Err(error) = self.ask(step, &mut verdict).await {
            verdict.state = match error {
                ArchiveError::Missing { .. } => ObjectState::Missing,
                ref damage if damage.is_damage() => ObjectState::Damaged,
                _ => ObjectState::Unknown,
            };
            verdict.error = Some(error);
        }
        drop(room);
        verdict
    }

    async fn ask(&self, step: Step, verdict: &mut Verdict) -> Result<(), ArchiveError> {
        let mut found = match step.listed {
            Listed::Bytes(bytes) if bytes == step.bytes => Found::Plain,
            Listed::Unknown => Found::Plain,
            Listed::Bytes(_) | Listed::Absent => self.look(&step).await?,
        };
        let unknown = step.listed == Listed::Unknown && !step.was_read;
        if self.heads {
            let head = self.head(&step, &found).await?;
            verdict.lock = head.retention;
            if step.listed == Listed::Unknown && step.what.is_some() {
                check_length(&step, head.size)?;
            }
            let named = step.id.filter(|_| step.what.is_some());
            match (head.sha256, named) {
                (Some(told), Some(named)) if told != named => {
                    // The checksum is the server's word for what the name means now: another version may still be the right one.
                    let bytes = self.fetch(&step, &found).await?;
                    check_length(&step, bytes.len() as u64)?;
                    found = self.version_with(&step, named).await.map_or(found, Found::Version);
                    verdict.recovered = true;
                    verdict.lock = self.head(&step, &found).await?.retention;
                }
                // What muster wrote there has a checksum. What has none was written by somebody else, or before the place was known to keep any.
                (None, Some(named)) if self.repository.capabilities().checksum => {
                    if let Some(version) = self.version_with(&step, named).await {
                        found = Found::Version(version);
                        verdict.lock = self.head(&step, &found).await?.retention;
                    }
                }
                _ => {}
            }
        }
        if let Found::Version(_) = found {
            verdict.recovered = true;
        }
        match step.read {
            Read::Skipped => verdict.state = ObjectState::Skipped,
            Read::No if step.was_read => {
                verdict.state = ObjectState::Read;
                verdict.read = step.bytes;
            }
            Read::No if unknown && !self.heads => verdict.state = ObjectState::Unknown,
            Read::No => {}
            Read::Whole(_) => {
                verdict.read = self.read(step, &found).await?;
                verdict.state = ObjectState::Read;
            }
        }
        Ok(())
    }

    /// Asks for an object by name that the listing does not have as it should be.
    async fn look(&self, step: &Step) -> Result<Found, ArchiveError> {
        let objects = self.repository.objects();
        // Who may not list versions asks as if there were none.
        let versions = objects.versions(&step.object).await.unwrap_or_default();
        let mut kept = versions.iter().filter(|version| !version.delete_marker).peekable();
        if let Some(newest) = kept.peek() {
            let bytes = newest.size;
            return match kept.take(VERSIONS).find(|version| version.size == step.bytes) {
                Some(version) if version.newest => Ok(Found::Plain),
                Some(version) => Ok(Found::Version(version.id.clone())),
                None => {
                    check_length(step, bytes)?;
                    Ok(Found::Plain)
                }
            };
        }
        match objects.head(&step.object).await {
            Ok(head) => check_length(step, head.size).map(|()| Found::Plain),
            Err(error) if error.kind == ErrorKind::NotFound => Err(missing(step)),
            Err(error) => Err(error.into()),
        }
    }

    async fn head(&self, step: &Step, found: &Found) -> Result<ObjectHead, ArchiveError> {
        let objects = self.repository.objects();
        let head = match found {
            Found::Plain => objects.head(&step.object).await,
            Found::Version(version) => objects.head_version(&step.object, version).await,
        };
        match head {
            Ok(head) => Ok(head),
            Err(error) if error.kind == ErrorKind::NotFound => Err(missing(step)),
            Err(error) => Err(error.into()),
        }
    }

    /// The version that the server says has this SHA-256.
    async fn version_with(&self, step: &Step, digest: Digest) -> Option<String> {
        let objects = self.repository.objects();
        let versions = objects.versions(&step.object).await.ok()?;
        for version in versions
            .into_iter()
            .filter(|version| !version.delete_marker)
            .take(VERSIONS)
        {
            let head = objects.head_version(&step.object, &version.id).await;
            if head.is_ok_and(|head| head.sha256 == Some(digest)) {
                return Some(version.id);
            }
        }
        None
    }

    /// The whole object, compared with its name.
    async fn fetch(&self, step: &Step, found: &Found) -> Result<Bytes, ArchiveError> {
        let Some(id) = step.id else {
            return Err(ArchiveError::Invalid(format!(
                "{} has no name to compare with",
                step.object
            )));
        };
        let most = (PACK_MAX as u64).max(step.bytes);
        if let Found::Version(version) = found {
            let read = self.repository.objects().get_version(&step.object, version, most).await;
            let read = read.map_err(|error| ArchiveError::of(error, &step.object, &step.named_by))?;
            if let Some(bytes) = hashed(step, read, id).await? {
                return Ok(bytes);
            }
        }
        // The place itself looks for the version that fits.
        let read = self.repository.get(&step.object, most, &step.named_by).await?;
        let wrong = || ArchiveError::damaged(&step.object, "its bytes are not those of its name");
        hashed(step, read, id).await?.ok_or_else(wrong)
    }

    async fn read(&self, step: Step, found: &Found) -> Result<u64, ArchiveError> {
        let bytes = self.fetch(&step, found).await?;
        let length = bytes.len() as u64;
        check_length(&step, length)?;
        let (Read::Whole(wanted), Some(id)) = (step.read, step.id) else {
            return Ok(length);
        };
        if wanted.is_empty() {
            return Ok(length);
        }
        let (keys, keyring) = (Arc::clone(&self.keys), self.repository.keyring().clone());
        let mut decoder = self
            .repository
            .frame_decoder()
            .map_err(|error| ArchiveError::Invalid(format!("decode {}: {error}", step.object)))?;
        let compared = tokio::task::spawn_blocking(move || {
            extents::compare(&bytes, &wanted, &keys, keyring.cipher(&id).as_ref(), &mut decoder)
        });
        compared
            .await
            .map_err(|error| ArchiveError::Invalid(format!("decode {}: {error}", step.object)))?
            .map_err(|reason| ArchiveError::damaged(&step.object, reason))?;
        Ok(length)
    }
}

/// The bytes, if their SHA-256 is this one. On a thread of its own: 32 MiB take longer than a runtime likes to wait.
async fn hashed(step: &Step, bytes: Bytes, id: Digest) -> Result<Option<Bytes>, ArchiveError> {
    let compared = tokio::task::spawn_blocking(move || (Digest::of(&bytes) == id).then_some(bytes)).await;
    compared.map_err(|error| ArchiveError::Invalid(format!("compare {}: {error}", step.object)))
}

fn check_length(step: &Step, found: u64) -> Result<(), ArchiveError> {
    if found == step.bytes {
        return Ok(());
    }
    let reason = format!("it has {found} bytes and not {}", step.bytes);
    Err(ArchiveError::damaged(&step.object, reason))
}

fn missing(step: &Step) -> ArchiveError {
    ArchiveError::Missing {
        object: step.object.clone(),
        named_by: step.named_by.clone(),
    }
}
