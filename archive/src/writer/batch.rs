//! Batches: what the producer passes on, and what the workers left of it.
//!
//! Invariant: items stay in the producer's order; blocks do not span batches, and each batch begins by saying where in the parent's
//! file it goes on.

use std::ops::Range;
use std::sync::Arc;

use super::base::Base;
use crate::index::Instant;
use crate::tree::{Location, TreeEntry};

/// One step of the producer.
pub(super) enum Item {
    /// An entry without content.
    Entry(Box<TreeEntry>),
    /// A file begins.
    Begin(Box<Begun>),
    /// The blocks that follow are compared with these, from the block with this number on.
    Base {
        base: Option<Arc<Base>>,
        block: u32,
        /// A segment begins; else a batch only goes on with one.
        fresh: bool,
    },
    /// So many bytes of the batch's data are a block.
    Block {
        length: usize,
        /// The file is this block and nothing else.
        alone: bool,
    },
    /// So many whole blocks of zeros.
    ZeroBlocks(u64),
    /// The next segment is what the parent has, and was not read.
    Unread(Arc<Base>),
    /// The file ends.
    End {
        /// Its digest, where it was not read.
        digest: Option<[u8; 32]>,
        /// It was read from its first byte to its last while nothing changed it.
        whole: bool,
    },
}

/// A file that begins.
pub(super) struct Begun {
    pub(super) entry: TreeEntry,
    pub(super) ctime: Instant,
    /// When it is read whole, in seconds since the epoch; 0: that is not to be remembered.
    pub(super) read_whole: u64,
}

/// Where a piece's bytes are.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// They are zeros.
    Zeros,
    /// An earlier run stored them.
    Old(Location),
    /// In one of the batch's new frames.
    New { frame: usize, within: u32 },
}

/// A part of a block that lies in one piece.
pub(super) struct Piece {
    pub(super) length: u32,
    pub(super) hash: [u8; 32],
    pub(super) place: Place,
}

/// What a worker found out about a block.
pub(super) struct Block {
    pub(super) length: u32,
    pub(super) hash: [u8; 32],
    /// In the batch's pieces; none where it is zeros, several make up a group.
    pub(super) pieces: Range<usize>,
    /// How many prints of the batch are its pages'.
    pub(super) prints: usize,
    /// It is what the parent has at the same place, stored as it is there.
    pub(super) same: bool,
}

/// A new frame of a batch.
pub(super) struct NewFrame {
    /// Its end in the batch's `stored`; it begins where the one before ends.
    pub(super) end: usize,
    pub(super) raw: bool,
    pub(super) length: u32,
    /// It is stored again on purpose: the parent has these bytes, at a price for whoever restores.
    pub(super) again: bool,
}

/// The large buffers of a batch, which are used again.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) data: Vec<u8>,
    pub(super) stored: Vec<u8>,
}

/// A batch on its way through the pipeline.
pub(super) struct Batch {
    pub(super) sequence: u64,
    pub(super) data: Vec<u8>,
    pub(super) items: Vec<Item>,
    pub(super) blocks: Vec<Block>,
    pub(super) pieces: Vec<Piece>,
    pub(super) prints: Vec<u64>,
    pub(super) frames: Vec<NewFrame>,
    pub(super) stored: Vec<u8>,
    /// The producer gave up.
    pub(super) abandoned: bool,
    /// The worker failed.
    pub(super) failure: Option<std::io::Error>,
}

impl Batch {
    pub(super) fn new(sequence: u64, buffers: Buffers) -> Self {
        Self {
            sequence,
            data: buffers.data,
            stored: buffers.stored,
            items: Vec::new(),
            blocks: Vec::new(),
            pieces: Vec::new(),
            prints: Vec::new(),
            frames: Vec::new(),
            abandoned: false,
            failure: None,
        }
    }
}
