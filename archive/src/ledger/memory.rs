//! What this host remembers of the heads of one key's log.
//!
//! Invariant: it is loaded before the log is read, so that what another process appends and remembers meanwhile is not taken for a
//! log that went back.

use std::collections::BTreeMap;

use muster_signing::{Checkpoint, Digest, KeyId, merkle};
use serde::{Deserialize, Serialize};

use super::Log;
use crate::{ArchiveError, LocalState, layout};

/// What is remembered of one incarnation's head.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) size: u64,
    pub(super) root: Digest,
    /// This host made it: it did not only see what another one made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    made: bool,
}

/// The remembered heads of one key, by incarnation.
pub(super) struct Heads<'a> {
    key: KeyId,
    state: &'a LocalState,
    seen: BTreeMap<String, Remembered>,
}

impl<'a> Heads<'a> {
    pub(super) fn load(key: &KeyId, state: &'a LocalState) -> Result<Self, ArchiveError> {
        let seen = match state.read(&Self::name(key))? {
            None => BTreeMap::new(),
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| ArchiveError::Local {
                attempt: format!(
                    "read {} (delete it to begin anew, which forgets which heads were seen)",
                    state.dir().join(Self::name(key)).display()
                ),
                source: error.into(),
            })?,
        };
        Ok(Self {
            key: key.clone(),
            state,
            seen,
        })
    }

    fn name(key: &KeyId) -> String {
        format!("heads/{key}.json")
    }

    /// The newest incarnation that this host saw: names sort so.
    pub(super) fn newest(&self) -> Option<(&str, &Remembered)> {
        let (incarnation, seen) = self.seen.first_key_value()?;
        Some((incarnation, seen))
    }

    /// Whether this head is just as this host saw it last.
    pub(super) fn knows(&self, incarnation: &str, checkpoint: &Checkpoint) -> bool {
        let seen = self.seen.get(incarnation);
        seen.is_some_and(|seen| seen.size == checkpoint.size && seen.root == checkpoint.root)
    }

    /// Whether this head is just as this host made it.
    pub(super) fn made(&self, incarnation: &str, checkpoint: &Checkpoint) -> bool {
        self.knows(incarnation, checkpoint) && self.seen.get(incarnation).is_some_and(|seen| seen.made)
    }

    /// What it means that a remembered log is not there.
    pub(super) fn gone(&self, incarnation: &str, seen: &Remembered) -> ArchiveError {
        self.wrong(
            incarnation,
            format!("is gone; this host saw it with {} entries", seen.size),
        )
    }

    /// Compares a head with what is remembered of it; `root_then` is the root that it had at the remembered size.
    pub(super) fn judge(
        &self,
        incarnation: &str,
        seen: &Remembered,
        size: u64,
        root_then: Option<Digest>,
    ) -> Result<(), ArchiveError> {
        if size < seen.size {
            return Err(self.wrong(
                incarnation,
                format!("went back to {size} entries; this host saw {}", seen.size),
            ));
        }
        if root_then != Some(seen.root) {
            return Err(self.wrong(
                incarnation,
                format!(
                    "is not the one that this host saw: its first {} entries differ",
                    seen.size
                ),
            ));
        }
        Ok(())
    }

    fn wrong(&self, incarnation: &str, reason: String) -> ArchiveError {
        ArchiveError::Log {
            log: format!("{}{incarnation}", layout::log(&self.key)),
            reason,
        }
    }

    /// Compares every incarnation that is remembered with the logs as they were read whole.
    pub(super) fn compare(&self, logs: &[Log]) -> Result<(), ArchiveError> {
        for (incarnation, seen) in &self.seen {
            let Some(log) = logs.iter().find(|log| log.incarnation == *incarnation) else {
                return Err(self.gone(incarnation, seen));
            };
            let prefix = usize::try_from(seen.size).ok().and_then(|size| log.leaves.get(..size));
            self.judge(incarnation, seen, log.checkpoint.size, prefix.map(merkle::root))?;
        }
        Ok(())
    }

    /// Remembers heads that grew. Where that is not possible the next run knows less, and nothing else is lost.
    pub(super) fn raise<'b>(self, found: impl IntoIterator<Item = (&'b str, &'b Checkpoint)>) {
        self.remember(found, false);
    }

    /// Remembers a head that this host made.
    pub(super) fn raise_own(self, incarnation: &str, checkpoint: &Checkpoint) {
        self.remember([(incarnation, checkpoint)], true);
    }

    fn remember<'b>(self, found: impl IntoIterator<Item = (&'b str, &'b Checkpoint)>, made: bool) {
        let found: Vec<_> = found
            .into_iter()
            .filter(|(incarnation, checkpoint)| !self.knows(incarnation, checkpoint))
            .collect();
        if found.is_empty() {
            return;
        }
        let mut heads = Self::load(&self.key, self.state).map_or(self.seen, |now| now.seen);
        for (incarnation, checkpoint) in found {
            let Checkpoint { size, root, .. } = *checkpoint;
            let now = Remembered { size, root, made };
            let seen = heads.entry(incarnation.to_owned()).or_insert_with(|| now.clone());
            if seen.size < size {
                *seen = now;
            }
        }
        let bytes = serde_json::to_vec(&heads).map_err(|error| error.to_string());
        let written = bytes.and_then(|bytes| {
            self.state
                .write(&Self::name(&self.key), &bytes)
                .map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            tracing::warn!(%error, "the heads of the logs could not be remembered");
        }
    }
}
