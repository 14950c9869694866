//! Why a restore or a rehearsal could not be done at all. What it lost on the way is in its report, not here.

use std::path::PathBuf;

use muster_archive::ArchiveError;
use muster_stores::StoreError;

/// A restore that did not take place, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The repository: what is wrong with it, or why it could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The store's own part: a pattern, or making a restored directory startable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target holds something already.
    #[error("{target} is not empty{}", if *.unfinished { ": a restore into it did not finish" } else { "" })]
    NotEmpty {
        /// The directory.
        target: PathBuf,
        /// It carries the mark of a restore that did not finish: it may be removed and restored again.
        unfinished: bool,
    },
    /// The target was left unfinished by another restore than the one that is to go on.
    #[error("{target} was left unfinished by {}", .found.as_ref().map_or_else(|| "something else than a restore of this user".to_owned(), |found| format!("a restore of {}@{}{}", found.store, found.snapshot, if found.include.is_empty() { String::new() } else { format!(" --include {}", found.include.join(" --include ")) })))]
    AnotherRestore {
        /// The directory.
        target: PathBuf,
        /// What its journal says.
        found: Option<Box<crate::Journal>>,
    },
    /// The target's file system has too little room; nothing was written.
    #[error("{target} needs {needed} bytes and its file system has {free} left")]
    NoRoom {
        /// The directory.
        target: PathBuf,
        /// Bytes of the plan.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The target's file system became full.
    #[error("the file system of {target} is full: the whole restore needs {needed} bytes")]
    Full {
        /// The directory.
        target: PathBuf,
        /// Bytes of the plan.
        needed: u64,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Something on this machine failed.
    #[error("{attempt}")]
    Local {
        /// What was attempted, on what.
        attempt: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// No entry is taken by the patterns.
    #[error("nothing in snapshot {snapshot} matches {patterns}")]
    NothingMatches {
        /// The snapshot.
        snapshot: String,
        /// The patterns, as given.
        patterns: String,
    },
    /// A kind of store that this version cannot bring back.
    #[error("a snapshot of kind {kind:?} cannot be restored by this version of muster")]
    UnknownKind {
        /// The manifest's kind.
        kind: String,
    },
    /// A rehearsal took longer than it may.
    #[error("no end after {seconds} s")]
    Deadline {
        /// How long it was given.
        seconds: f64,
    },
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl RestoreError {
    pub(crate) fn local(attempt: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::Local {
            attempt: attempt.into(),
            source: source.into(),
        }
    }
}
