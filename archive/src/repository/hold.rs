//! Keeping what an older snapshot put locked for as long as the new one that leans on it, and finding what an overwrite hides.
//!
//! Invariant: the time that is returned is no later than the end of any lock on any object that the new snapshot may need.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use muster_signing::{Digest, Verified};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Repository;
use crate::list::Named;
use crate::object_store::{LockPolicy, Retention};
use crate::{ArchiveError, Manifest, layout};

/// Objects asked for at the same time.
const PARALLEL: usize = 16;
/// Versions of one object that are looked through.
const VERSIONS: usize = 64;

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

    /// The version of an object that has this SHA-256, where the place keeps versions.
    pub(super) async fn version_with(&self, object: &str, digest: &Digest, max: u64) -> Option<Bytes> {
        let versions = self.objects().versions(object).await.ok()?;
        for version in versions.iter().filter(|version| !version.delete_marker).take(VERSIONS) {
            if let Ok(bytes) = self.objects().get_version(object, &version.id, max).await
                && Digest::of(&bytes) == *digest
            {
                tracing::warn!(object, version = %version.id, "the object was overwritten; the version that the log names is read");
                return Some(bytes);
            }
        }
        None
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
