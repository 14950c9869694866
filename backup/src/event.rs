//! What a backup tells while it runs.

use std::sync::Arc;

use muster_archive::WriteProgress;

/// An event of one store's backup.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Snapshots that an earlier run committed and did not live to log were logged.
    LoggedOrphans {
        /// Their ids.
        snapshots: Vec<String>,
    },
    /// The parent cannot be leaned on: everything is stored again.
    ParentUnusable {
        /// The parent's id.
        snapshot: String,
        /// The whole error chain.
        reason: String,
    },
    /// The source is being read. The counters move until the next event.
    Reading {
        /// Counters.
        progress: Arc<WriteProgress>,
        /// Expected logical bytes, where the source or the parent tells.
        expected_bytes: Option<u64>,
    },
    /// Something could not be read; the run goes on.
    Unreadable {
        /// The path, bytes that are not UTF-8 shown as U+FFFD.
        path: String,
        /// Why.
        reason: String,
    },
    /// What the source is doing, for people.
    Note {
        /// One line.
        text: String,
    },
    /// All bytes are read; the rest is being put and the manifest signed.
    Committing,
}
