//! What the next blocks of a file are compared with: the same stretch of the file in the parent.
//!
//! Invariant: nothing is leaned on that is not among the objects which the parent's list names and which may be named again.

use std::sync::Arc;

use crate::index::{LeafRef, Segment, SegmentBlock};

/// A segment of the parent's file.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) segment: Arc<Segment>,
    /// Where it stands, if it has a leaf and an extent map of its own that may be named again.
    pub(super) leaf: Option<LeafRef>,
    /// Per pack of the segment: it may be leaned on.
    usable: Vec<bool>,
    all_usable: bool,
}

impl Base {
    pub(super) fn new(segment: Arc<Segment>, leaf: Option<LeafRef>, usable: Vec<bool>) -> Self {
        let all_usable = usable.iter().all(|usable| *usable);
        Self {
            leaf: leaf.filter(|_| all_usable),
            segment,
            usable,
            all_usable,
        }
    }

    /// Whether the whole segment may be leaned on.
    pub(super) fn is_usable(&self) -> bool {
        self.all_usable
    }

    /// The block with this number, if everything that it is made of may be leaned on.
    pub(super) fn block(&self, number: usize) -> Option<SegmentBlock<'_>> {
        let block = self.segment.block(number)?;
        let usable = self.all_usable
            || block.extents.iter().all(|extent| {
                extent
                    .pack()
                    .is_none_or(|pack| self.usable.get(pack).copied().unwrap_or(false))
            });
        usable.then_some(block)
    }
}
