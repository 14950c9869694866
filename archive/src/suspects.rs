//! Packs and tree objects that this host found lost or damaged: no snapshot that it writes leans on them again.
//!
//! Invariant: what is noted stays noted until no parent names it; losing the note costs at most the time until it is found again.

use std::collections::BTreeSet;

use muster_signing::Digest;

use crate::{ArchiveError, Repository};

const FILE: &str = "suspects";
/// No store is called so.
const LOCK: &str = ".suspects";
/// Most objects that are remembered.
const MOST: usize = 100_000;

impl Repository {
    /// Remembers packs and tree objects that were found missing, cut or damaged, so that the next backup stores again what they hold.
    ///
    /// # Errors
    /// [`ArchiveError::Local`] where the local state cannot be written.
    pub fn suspect(&self, objects: impl IntoIterator<Item = Digest>) -> Result<(), ArchiveError> {
        let found: Vec<Digest> = objects.into_iter().collect();
        if found.is_empty() {
            return Ok(());
        }
        // A restore and a verify of one host may both have found something.
        let _lock = self.state().lock(LOCK)?;
        let known = self.suspects()?;
        let mut all = known.clone();
        all.extend(found);
        if all == known {
            return Ok(());
        }
        let text: String = all.iter().take(MOST).map(|id| format!("{}\n", id.hex())).collect();
        self.state().write(FILE, text.as_bytes())
    }

    /// Remembers the packs and tree objects that errors name.
    ///
    /// # Errors
    /// As [`Self::suspect`].
    pub fn suspect_named(&self, errors: &[ArchiveError]) -> Result<(), ArchiveError> {
        self.suspect(errors.iter().filter_map(|error| match error {
            ArchiveError::Damaged { object, .. } | ArchiveError::Missing { object, .. } => {
                let (folder, name) = object.split_once('/')?;
                let leaned_on = matches!(folder, "packs" | "trees");
                Digest::from_hex(name.split_once('/').filter(|_| leaned_on)?.1).ok()
            }
            _ => None,
        }))
    }

    /// The objects that are remembered.
    pub(crate) fn suspects(&self) -> Result<BTreeSet<Digest>, ArchiveError> {
        let text = self.state().read(FILE)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&text)
            .lines()
            .take(MOST)
            .filter_map(|line| Digest::from_hex(line).ok())
            .collect())
    }
}
