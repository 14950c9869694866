//! The stateful stores: bytes out of a live store, and proof that a restored one lives.
//!
//! One folder per kind. This crate knows nothing of archives: a [`Source`] pushes a tree of entries into a
//! [`Sink`], and a [`Rehearsed`] starts a restored directory in a sandbox. All of it blocks; whoever calls it gives it a
//! thread of its own.

mod entry;
mod error;
pub mod files;
#[doc(hidden)]
pub mod fuzzing;
pub mod postgres;
mod rehearsed;
mod source;
pub mod sqlite;

pub use entry::{Entry, EntryKind, Xattr};
pub use error::StoreError;
pub use rehearsed::{CheckOutcome, IdentityFact, Rehearsed, Sandbox};
pub use source::{ConsistencyPoint, FileTimes, Sink, SinkError, Source, Taken};
