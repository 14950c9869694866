//! The `files` store: a tree of files, read while it is in use.
//!
//! A tree has no transactions: each file is read at its own instant between `started` and the end of the walk, and what moved
//! in that time is named through [`crate::Sink::unreadable`], never passed over.

mod attributes;
mod content;
mod levels;
mod patterns;
mod rehearsed;
mod source;

pub use patterns::Patterns;
pub use rehearsed::TreeRehearsed;
pub use source::FilesSource;
