//! From a live store to a committed snapshot.
//!
//! Called by the command line for each store, on a thread that may block. Knows no kind of store and no object store: it joins a
//! [`muster_stores::Source`] to the archive's writer, and commits only when both are done without error.

mod event;
mod sink;
mod snapshot;

pub use event::Event;
pub use snapshot::{BackupError, Plan, Request, SnapshotReport, plan, snapshot};
