//! The logs on the way up: that they are whole, that none cites what is gone, and that the scorecards they name hold.

use muster_signing::{Digest, Role, payload};
use serde_json::Value;

use super::Verification;
use crate::ledger::{Log, LogEvent, check_citations, check_tiles};
use crate::manifest::SCORECARD_MAX;
use crate::{ArchiveError, Repository, layout};

impl Repository {
    /// The verified payload and envelope of a scorecard that a log names.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`], [`ArchiveError::Damaged`], [`ArchiveError::Untrusted`], storage errors.
    pub async fn scorecard(
        &self,
        store: &str,
        rehearsal: &str,
        digest: &Digest,
    ) -> Result<(Value, bytes::Bytes), ArchiveError> {
        let object = layout::scorecard(store, rehearsal);
        let mut bytes = self.get(&object, SCORECARD_MAX, "the rehearser's log").await?;
        if Digest::of(&bytes) != *digest
            && let Some(older) = self.version_with(&object, digest, SCORECARD_MAX).await?
        {
            bytes = older;
        }
        let opened = self.open_document::<Value>(&object, &bytes, payload::SCORECARD)?;
        if opened.digest == *digest {
            Ok((opened.value, bytes))
        } else {
            Err(ArchiveError::damaged(
                &object,
                "its digest is not the one that the log names",
            ))
        }
    }

    /// Verifies every log; gives the scorecards that hold, with their lengths.
    ///
    /// # Errors
    /// Where a log cannot be read or believed.
    pub(super) async fn verify_logs(&self, found: &mut Verification) -> Result<Vec<(String, u64)>, ArchiveError> {
        let mut logs = self.all_logs().await?;
        if check_citations(&logs).is_err() {
            // A log may have grown between the reads of it and of one that cites it.
            logs = self.all_logs().await?;
            check_citations(&logs)?;
        }
        let mut scorecards = Vec::new();
        for log in logs {
            if let Err(error) = check_tiles(self.objects(), &log).await {
                found.note(error);
            }
            for (_, entry) in log.parsed() {
                let LogEvent::Rehearsal {
                    store,
                    rehearsal,
                    scorecard,
                    ..
                } = entry.event
                else {
                    continue;
                };
                match self.scorecard(&store, &rehearsal, &scorecard).await {
                    Ok((_, bytes)) => {
                        found.rehearsals += 1;
                        scorecards.push((layout::scorecard(&store, &rehearsal), bytes.len() as u64));
                    }
                    Err(error) => found.note(error),
                }
            }
        }
        Ok(scorecards)
    }

    async fn all_logs(&self) -> Result<Vec<Log>, ArchiveError> {
        let mut logs = Vec::new();
        for role in [Role::Auditor, Role::Rehearser, Role::Writer] {
            logs.extend(self.logs(role).await?);
        }
        Ok(logs)
    }
}
