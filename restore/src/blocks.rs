//! Blocks that lie in several pieces. Each piece is compared with the first bytes of its hash on its way to the file; when all of them
//! are written, the block is compared with its own, which alone proves them.
//!
//! Invariant: a block is compared once, by whoever brought its last piece, and only where none was lost.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use muster_archive::tree::Extent;
use muster_signing::Digest;

/// A block on its way to its file.
pub(crate) struct BlockTask {
    /// Keyed BLAKE3 of its bytes.
    pub(crate) hash: [u8; 32],
    /// Where in the file it begins.
    pub(crate) offset: u64,
    pub(crate) length: usize,
    /// Its pieces; what is between them is zeros.
    pub(crate) parts: Box<[Part]>,
    remaining: AtomicU32,
    lost: AtomicBool,
}

/// A piece of a block.
pub(crate) struct Part {
    /// Where in the block it begins.
    pub(crate) within: usize,
    pub(crate) length: usize,
    /// Where it came from.
    pub(crate) pack: Digest,
}

impl BlockTask {
    /// The block that these extents make up, if they are several.
    pub(crate) fn of(offset: u64, extents: &[Extent]) -> Option<Self> {
        let group = extents.first()?.group.as_ref()?;
        let mut parts = Vec::with_capacity(extents.len());
        let mut position = 0;
        for extent in extents {
            let length = usize::try_from(extent.length).ok()?;
            if let Some(location) = &extent.location {
                parts.push(Part {
                    within: position,
                    length,
                    pack: location.pack,
                });
            }
            position += length;
        }
        Some(Self {
            hash: group.hash,
            offset,
            length: position,
            remaining: AtomicU32::new(u32::try_from(parts.len()).ok()?),
            parts: parts.into(),
            lost: AtomicBool::new(false),
        })
    }

    /// One piece less; `true` to whoever brought the last of a block of which nothing was lost.
    pub(crate) fn piece_done(&self, lost: bool) -> bool {
        if lost {
            self.lost.store(true, Ordering::Relaxed);
        }
        self.remaining.fetch_sub(1, Ordering::AcqRel) == 1 && !self.lost.load(Ordering::Relaxed)
    }
}
