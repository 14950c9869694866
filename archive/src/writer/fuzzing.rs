//! The parser of a run's journal, for `fuzz/` alone (see `crate::fuzzing`).

use std::path::Path;

use super::journal::{Journal, Records};

/// Goes on with the journal at `path` as the next run would; gives the number of packs that it found in it.
pub fn journal_again(path: &Path) -> Option<usize> {
    let records = Records::open(path)?;
    let (key, epoch) = (records.hash_key.clone(), records.epoch);
    let found = records.count();
    let table = Records::open(path)?.learn(|_| true, 1 << 20);
    let _ = table.find(&[7; 24], 65_536);
    Journal::open(path, &key, epoch).ok()?;
    Some(found)
}
