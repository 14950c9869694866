//! What an unfinished restore leaves for whoever goes on with it: which restore it was. It is the mark of the unfinished target.
//!
//! Invariant: the journal is believed for what was to be done, never for what was done. What lies in the target counts only when its
//! bytes have the hash that the verified tree gives them.

use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::RestoreError;
use crate::target::{UNFINISHED, names_in};

/// Most bytes of a journal that are read.
const MOST: u64 = 1 << 20;
const SCHEMA: &str = "muster.restore-journal/1";

/// Which restore a target is being filled by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    schema: String,
    /// The repository's id.
    pub repository: String,
    /// The store.
    pub store: String,
    /// ULID of the snapshot.
    pub snapshot: String,
    /// Id of its tree.
    tree: String,
    /// What alone was to be restored; empty: everything.
    pub include: Vec<String>,
}

impl Journal {
    pub(crate) fn new(repository: &str, store: &str, snapshot: &str, tree: String, include: &[String]) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            repository: repository.to_owned(),
            store: store.to_owned(),
            snapshot: snapshot.to_owned(),
            tree,
            include: include.to_vec(),
        }
    }

    /// As it is written: a line for people, and one for the restore that goes on.
    pub(crate) fn text(&self) -> String {
        let line = serde_json::to_string(self).unwrap_or_default();
        format!(
            "muster restore of {}@{} has not finished: the same command with --resume goes on\n{line}\n",
            self.store, self.snapshot
        )
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().filter(|line| line.starts_with('{'));
        let mut journals = lines.filter_map(|line| serde_json::from_str::<Self>(line).ok());
        journals.find(|journal| journal.schema == SCHEMA)
    }

    /// Reads the journal `name` in an open directory. Only one that this user wrote is believed.
    pub(crate) fn read(directory: impl rustix::fd::AsFd, name: &[u8]) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = std::fs::File::from(rustix::fs::openat(directory, name, flags, Mode::empty()).ok()?);
        let meta = file.metadata().ok()?;
        if !meta.is_file() || meta.uid() != rustix::process::geteuid().as_raw() {
            return None;
        }
        let mut text = String::new();
        file.take(MOST).read_to_string(&mut text).ok()?;
        Self::parse(&text)
    }
}

/// The restore that left `directory` unfinished; `None` where there is none to go on with.
///
/// # Errors
/// Where the directory is there and cannot be read.
pub fn unfinished(directory: &Path) -> Result<Option<Journal>, RestoreError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = match rustix::fs::open(directory, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        opened => opened.map_err(|error| RestoreError::local(format!("list {}", directory.display()), error))?,
    };
    let mut names =
        names_in(&root).map_err(|error| RestoreError::local(format!("list {}", directory.display()), error))?;
    names.retain(|name| name.starts_with(UNFINISHED.as_bytes()));
    // A snapshot of an unfinished restore has such a file as data: the real one then has the longer name.
    names.sort_by_key(Vec::len);
    Ok(names.pop().and_then(|name| Journal::read(root.as_fd(), &name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_read_back_and_anything_else_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new("id", "store", "01J", "ab".to_owned(), &["*.x".to_owned()]);
        assert_eq!(unfinished(&dir.path().join("absent")).unwrap(), None);
        assert_eq!(unfinished(dir.path()).unwrap(), None);
        std::fs::write(dir.path().join(UNFINISHED), journal.text() + "{\"began\":\"data\"}\n").unwrap();
        assert_eq!(unfinished(dir.path()).unwrap(), Some(journal));
        std::fs::write(dir.path().join(format!("{UNFINISHED}-")), "something\n{\n").unwrap();
        assert_eq!(unfinished(dir.path()).unwrap(), None);
    }
}
