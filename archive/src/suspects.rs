//! Packs that this host found lost or damaged: no snapshot that it writes leans on them again.
//!
//! Invariant: what is noted stays noted until no parent names it; losing the note costs at most the time until it is found again.

use std::collections::BTreeSet;

use muster_signing::Digest;

use crate::{ArchiveError, Repository};

const FILE: &str = "suspects";
/// Most packs that are remembered.
const MOST: usize = 100_000;

impl Repository {
    /// Remembers packs that were found missing, cut or damaged, so that the next backup stores again what they hold.
    ///
    /// # Errors
    /// [`ArchiveError::Local`] where the local state cannot be written.
    pub fn suspect(&self, packs: impl IntoIterator<Item = Digest>) -> Result<(), ArchiveError> {
        let known = self.suspects()?;
        let mut all = known.clone();
        all.extend(packs);
        if all == known {
            return Ok(());
        }
        let text: String = all.iter().take(MOST).map(|id| format!("{}\n", id.hex())).collect();
        self.state().write(FILE, text.as_bytes())
    }

    /// Remembers the packs that errors name.
    ///
    /// # Errors
    /// As [`Self::suspect`].
    pub fn suspect_named(&self, errors: &[ArchiveError]) -> Result<(), ArchiveError> {
        self.suspect(errors.iter().filter_map(|error| match error {
            ArchiveError::Damaged { object, .. } | ArchiveError::Missing { object, .. } => {
                Digest::from_hex(object.strip_prefix("packs/")?.split_once('/')?.1).ok()
            }
            _ => None,
        }))
    }

    /// The packs that are remembered.
    pub(crate) fn suspects(&self) -> Result<BTreeSet<Digest>, ArchiveError> {
        let text = self.state().read(FILE)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&text)
            .lines()
            .take(MOST)
            .filter_map(|line| Digest::from_hex(line).ok())
            .collect())
    }
}
