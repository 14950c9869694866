//! Entries on their way to a leaf: a file that is being read, and what waits for its pack.

use std::sync::Arc;

use muster_signing::Digest;

use super::base::Base;
use crate::content::FileDigest;
use crate::index::{Instant, LeafRef};
use crate::tree::{Extent, NodeKind, TreeEntry};

/// A file that is still being read.
pub(super) struct OpenFile {
    pub(super) pending: Pending,
    pub(super) digest: FileDigest,
    pub(super) size: u64,
    /// Of the segment that is being gathered.
    pub(super) blocks: usize,
    pub(super) bytes: u64,
    pub(super) current: Vec<Extent>,
    pub(super) prints: Vec<u64>,
    pub(super) base: Option<Arc<Base>>,
    /// So far the segment is the base.
    pub(super) same: bool,
    /// The last block was zeros.
    pub(super) in_zeros: bool,
}

/// An entry that has not reached a leaf yet.
pub(super) struct Pending {
    pub(super) entry: TreeEntry,
    pub(super) ctime: Instant,
    pub(super) read_whole: u64,
    pub(super) parts: Vec<Part>,
}

/// At most 1 GiB of a file.
pub(super) enum Part {
    /// Its extents, and the prints of its pages.
    Extents(Vec<Extent>, Vec<u64>),
    /// An extent map, and where it is remembered.
    Map(LeafRef),
    /// An extent map that is not remembered.
    Forgotten(Digest),
}

impl Pending {
    pub(super) fn of(entry: TreeEntry) -> Self {
        Self {
            entry,
            ctime: (0, 0),
            read_whole: 0,
            parts: Vec::new(),
        }
    }
}

impl OpenFile {
    /// `zeros`: they are whole blocks of zeros, which are one extent with those before them.
    pub(super) fn push(&mut self, extents: Vec<Extent>, zeros: bool, length: u64, blocks: usize) {
        self.size += length;
        self.bytes += length;
        self.blocks += blocks;
        match self.current.last_mut() {
            Some(last) if zeros && self.in_zeros => last.length += length,
            _ => self.current.extend(extents),
        }
        self.in_zeros = zeros;
    }
}

pub(super) fn packs_of(extents: &[Extent]) -> impl Iterator<Item = Digest> {
    extents
        .iter()
        .filter_map(|extent| extent.location)
        .map(|location| location.pack)
}

/// Bytes that an entry takes while it waits.
pub(super) fn cost(entry: &TreeEntry) -> usize {
    let xattrs: usize = entry
        .xattrs
        .iter()
        .map(|(name, value)| 64 + name.len() + value.len())
        .sum();
    size_of::<Pending>() + 64 + entry.path.len() + xattrs
}

pub(super) fn size_of_file(entry: &TreeEntry) -> u64 {
    if let NodeKind::File { size, .. } = entry.kind {
        size
    } else {
        0
    }
}
