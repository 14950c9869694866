//! Blocks that lie in several pieces. When all pieces are there, the block's hash, made of what each of them gave, proves them; only
//! where it is not the block's, each piece is compared with the first bytes of its own, so that what is wrong can be named.
//!
//! Invariant: a block is compared once, by whoever brought its last piece. So a good block is hashed once, and not read back.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use muster_archive::tree::{Check, Extent, Location};
use muster_archive::{BLOCK, HashKey, Pieces};

/// What lies between the pieces of a block.
static ZEROS: [u8; BLOCK] = [0; BLOCK];

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
    known: Mutex<Pieces>,
}

/// A piece of a block.
pub(crate) struct Part {
    /// Where in the block it begins.
    pub(crate) within: usize,
    pub(crate) length: usize,
    /// What its bytes are compared with when the block is wrong.
    pub(crate) check: Check,
    /// Where it came from.
    pub(crate) location: Location,
    lost: AtomicBool,
}

impl Part {
    /// Whether it could not be had, and was told to be lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
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
                    check: extent.check,
                    location: *location,
                    lost: AtomicBool::new(false),
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
            known: Mutex::default(),
        })
    }

    /// The bytes at this place of the file, before [`Self::piece_done`].
    pub(crate) fn learn(&self, key: &HashKey, offset: u64, bytes: &[u8]) {
        let Some(within) = offset
            .checked_sub(self.offset)
            .and_then(|within| usize::try_from(within).ok())
        else {
            return;
        };
        let mut piece = Pieces::default();
        piece.add(key, self.length, within, bytes);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).join(piece);
    }

    /// Whether what was learned is the block. `false` says nothing: then its bytes have to be looked at.
    pub(crate) fn is_proven(&self, key: &HashKey) -> bool {
        let mut known = std::mem::take(&mut *self.known.lock().unwrap_or_else(PoisonError::into_inner));
        let mut end = 0;
        for (begin, next) in self
            .parts
            .iter()
            .map(|part| (part.within, part.within + part.length))
            .chain([(self.length, 0)])
        {
            if begin > end {
                known.add(key, self.length, end, &ZEROS[..begin - end]);
            }
            end = next;
        }
        known.finish(key, self.length) == Some(self.hash)
    }

    /// The piece at this place of the file is written, or lost; `true` to whoever brought the last.
    pub(crate) fn piece_done(&self, offset: u64, lost: bool) -> bool {
        if lost {
            let at = |part: &&Part| self.offset + part.within as u64 == offset;
            if let Some(part) = self.parts.iter().find(at) {
                part.lost.store(true, Ordering::Relaxed);
            }
        }
        self.remaining.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Whether a part of it is lost: it cannot be compared with its hash.
    pub(crate) fn is_lost(&self) -> bool {
        self.parts.iter().any(Part::is_lost)
    }
}
