//! What a writer remembers of its last snapshot, sealed to its own index key: which pages there were, and where each of them is.
//!
//! With it the next run finds what did not change by position, without reading anything that it wrote before: a host that cannot
//! decrypt its history still backs up only what changed.
//!
//! Invariant: the index is advisory. Nothing that a restore needs stands in it alone, and a part of it that is missing, damaged or
//! another's costs time and space, never data.

mod cache;
mod directory;
mod frames;
pub(crate) mod fuzzing;
mod key;
mod object;
mod prints;
mod read;
mod segment;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use cache::Cache;
pub(crate) use directory::{FileRecord, Instant, LeafRef, Remembered, SealedTree};
pub use key::IndexKey;
pub(crate) use key::IndexSeal;
pub(crate) use prints::{hash_block, page_size};
pub(crate) use read::IndexReader;
pub(crate) use segment::{Segment, SegmentBlock, SegmentExtent, SegmentPack};
pub(crate) use write::IndexWriter;

use crate::tree::TreeError;

/// Why an index object is none.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not an index object: {0}")]
pub(crate) struct IndexError(pub(crate) &'static str);

impl From<TreeError> for IndexError {
    fn from(error: TreeError) -> Self {
        Self(error.0)
    }
}
