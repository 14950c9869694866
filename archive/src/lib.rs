//! Repository format v1 and the object stores that hold it.
//!
//! The format is `docs/format/archive.md`; this crate is its only reader and writer. It knows nothing of databases and prints
//! nothing. Network and file I/O is async; hashing and compression run on threads of their own behind bounded channels.

mod content;
mod edge;
mod error;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod index;
pub mod layout;
pub mod ledger;
mod limit;
mod list;
mod manifest;
pub mod object_store;
mod pack;
mod pieces;
mod repository;
mod seal;
mod state;
mod suspects;
pub mod tree;
mod verify;
mod writer;

pub use {
    manifest::LogRef,
    repository::{EntryRef, LedgerCheck, LogView, LoggedRehearsal},
};

pub use content::{BLOCK, FileDigest, HashKey, TreeDigest, path_order};
pub use edge::{Edge, rfc3339};
pub use error::ArchiveError;
pub use frame::{FrameDecoder, FrameError};
pub use index::IndexKey;
pub use limit::RateLimit;
pub use manifest::{
    Encryption, IndexRef, ListRef, Manifest, ParentRef, RunRef, Tool, TreeRef, Unreadable, UnreadablePath,
};
pub use pieces::Pieces;
pub use repository::{Commit, InitOptions, Point, RehearsalPlace, Repository, TreeIndex};
pub use seal::{Identities, IdentityError, RunId, RunSeal, SealError, SealedAt, is_recipient};
pub use state::LocalState;
pub use verify::{
    Held, Locks, ObjectReport, ObjectState, Tally, Verification, VerifyDepth, VerifyEvent, VerifyOptions,
};
pub use writer::{
    Assumed, FileTimes, Indexing, Parent, RestoreCost, SnapshotWriter, WriteProgress, WriterOptions, Written,
};
