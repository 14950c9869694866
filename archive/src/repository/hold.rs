//! Leaning on the place: it must still honour what it was seen to honour, keeps what an older snapshot put locked for as long as the new
//! one that leans on it, and gives what an overwrite hides.
//!
//! Invariant: the time that is returned is no later than the end of any lock on any object that the new snapshot may need.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use muster_signing::{Digest, KeyDocument, PublicKey, Verified};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Repository;
use crate::list::Named;
use crate::object_store::{LockPolicy, ObjectStore, Recovered, Retention, recheck};
use crate::{ArchiveError, Manifest, layout};

/// Objects asked for at the same time.
const PARALLEL: usize = 16;

impl Repository {
    /// Says until when a snapshot that was begun at `started` and leans on `leaned` is held, RFC 3339. Where what it leans on would be free
    /// in less than half of the policy's time, its locks are extended first; else nothing is asked.
    ///
    /// # Errors
    /// Storage errors, a lock that does not hold among them; a parent whose list cannot be read.
    pub async fn hold_leaned(
        &self,
        leaned: Option<&Verified<Manifest>>,
        policy: &LockPolicy,
        started: &str,
    ) -> Result<String, ArchiveError> {
        let strange = || ArchiveError::Invalid(format!("{started:?} is no time that a lock can begin at"));
        let own = policy.from(started).ok_or_else(strange)?;
        let Some(leaned) = leaned else {
            return text(own.until);
        };
        let half = own.until - time::Duration::days(i64::from(policy.days)) / 2;
        let before = leaned
            .retain_until
            .as_deref()
            .and_then(|until| OffsetDateTime::parse(until, &Rfc3339).ok());
        let theirs = match before {
            Some(until) if until >= half => until,
            _ => self.extend(leaned, own).await?,
        };
        text(own.until.min(theirs))
    }

    /// Before the first write of a run, and once in it: what the root signed that the place honours, it must still honour.
    ///
    /// # Errors
    /// [`ErrorKind::Downgraded`](crate::object_store::ErrorKind::Downgraded), naming the capability; storage errors.
    pub async fn recheck(&self) -> Result<(), ArchiveError> {
        let asked = self.rechecked.get_or_try_init(|| async {
            let Some((name, descriptor)) = self.documents.first() else {
                return Ok(());
            };
            recheck(&*self.store, name, descriptor.clone(), self.capabilities()).await
        });
        asked.await?;
        Ok(())
    }

    /// A range of a pack whose bytes, read once, were not those that a tree names: from the version of the pack that its name means, where
    /// the place keeps versions.
    ///
    /// # Errors
    /// As [`Self::read_pack_range`].
    pub async fn read_pack_range_again(&self, id: &Digest, range: Range<u64>) -> Result<Bytes, ArchiveError> {
        let object = layout::pack(id);
        let read = self.store.get_range_of_name(&object, range).await;
        read.map_err(|error| ArchiveError::of(error, &object, "the snapshot's tree"))
    }

    /// Which names were hidden or overwritten, and from which version each was read.
    pub fn recovered(&self) -> Vec<Recovered> {
        self.store.recovered()
    }

    /// The version of an object that has this SHA-256, where the place keeps versions.
    pub(crate) async fn version_with(
        &self,
        object: &str,
        digest: &Digest,
        max: u64,
    ) -> Result<Option<Bytes>, ArchiveError> {
        let fits = |bytes: &[u8]| Digest::of(bytes) == *digest;
        Ok(self.store.recover(object, max, &fits).await?)
    }

    async fn extend(&self, manifest: &Verified<Manifest>, wanted: Retention) -> Result<OffsetDateTime, ArchiveError> {
        let epochs = manifest
            .encryption
            .as_ref()
            .map(|encryption| encryption.runs.as_slice())
            .unwrap_or_default();
        let mut keys: Vec<String> = self
            .objects_of(manifest)
            .await?
            .into_keys()
            .filter_map(|(what, id)| match what {
                Named::Pack => Some(layout::pack(&id)),
                Named::Tree => Some(layout::tree(&id)),
                Named::List => Some(layout::list(&id)),
                Named::Run => None,
            })
            .collect();
        keys.extend(epochs.iter().map(|run| layout::run_key(&run.run, run.epoch)));
        let mut held = stream::iter(keys)
            .map(|key| async move { self.objects().hold(&key, wanted).await })
            .buffer_unordered(PARALLEL);
        let mut until = wanted.until;
        while let Some(lock) = held.next().await {
            match lock {
                Ok(lock) => until = until.min(lock.until),
                // What is lost is found and told elsewhere; it is not leaned on.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(until)
    }
}

fn text(until: OffsetDateTime) -> Result<String, ArchiveError> {
    until
        .format(&Rfc3339)
        .map_err(|error| ArchiveError::Invalid(format!("write the end of a lock: {error}")))
}

/// Puts those versions in the place of overwritten key documents that continue the chain.
pub(super) async fn recover_chain(
    store: &dyn ObjectStore,
    chain: &mut [(u64, Bytes)],
    root: &PublicKey,
    repository: &str,
) -> Result<(), ArchiveError> {
    for at in 0..chain.len() {
        let (before, from) = chain.split_at_mut(at);
        let Some((epoch, document)) = from.first_mut() else {
            break;
        };
        let follows = |bytes: &[u8]| {
            let mut tried: Vec<(u64, &[u8])> = before.iter().map(|(epoch, bytes)| (*epoch, &bytes[..])).collect();
            tried.push((*epoch, bytes));
            KeyDocument::verify_chain(&tried, root, repository).is_ok()
        };
        if !follows(document) {
            let name = layout::key_document(*epoch);
            match store.recover(&name, super::DOCUMENT_MAX, &follows).await? {
                Some(older) => *document = older,
                None => break,
            }
        }
    }
    Ok(())
}
