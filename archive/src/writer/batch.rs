//! Batches: what the producer passes on, and what a worker makes of it.
//!
//! Invariant: items stay in the producer's order; blocks do not span batches.

use crossbeam_channel::{Receiver, Sender};

use super::parent::Parent;
use crate::content::{BLOCK, HashKey};
use crate::frame::FrameEncoder;
use crate::tree::{Location, TreeEntry};

/// One step of the producer.
pub(super) enum Item {
    /// An entry without content.
    Entry(Box<TreeEntry>),
    /// A file begins.
    Begin(Box<TreeEntry>),
    /// So many bytes of the batch's data are a block.
    Block(usize),
    /// So many whole blocks of zeros.
    ZeroBlocks(u64),
    /// The file ends.
    End,
}

/// Where a worker put a block.
#[derive(Clone, Copy)]
pub(super) enum Placement {
    /// All its bytes are zero.
    Zeros,
    /// The parent has it.
    Known(Location),
    /// It lies in one of the batch's new frames.
    Frame { frame: usize, within: u32 },
}

/// A new frame of a batch.
pub(super) struct NewFrame {
    /// Its end in the batch's `stored`; it begins where the one before ends.
    pub(super) end: usize,
    pub(super) raw: bool,
    pub(super) length: u32,
}

/// What a worker found out about a block.
pub(super) struct Block {
    pub(super) length: u32,
    pub(super) hash: [u8; 32],
    pub(super) placement: Placement,
}

/// A batch on its way through the pipeline.
pub(super) struct Batch {
    pub(super) sequence: u64,
    pub(super) data: Vec<u8>,
    pub(super) items: Vec<Item>,
    pub(super) blocks: Vec<Block>,
    pub(super) frames: Vec<NewFrame>,
    pub(super) stored: Vec<u8>,
    /// The producer gave up.
    pub(super) abandoned: bool,
    /// The worker failed.
    pub(super) failure: Option<std::io::Error>,
}

impl Batch {
    pub(super) fn new(sequence: u64, data: Vec<u8>) -> Self {
        Self {
            sequence,
            data,
            items: Vec::new(),
            blocks: Vec::new(),
            frames: Vec::new(),
            stored: Vec::new(),
            abandoned: false,
            failure: None,
        }
    }
}

/// A worker's life: takes batches until the producer is gone.
pub(super) fn work(queue: &Receiver<Batch>, done: &Sender<Batch>, parent: &Parent, key: &HashKey, level: i32) {
    let mut worker = match FrameEncoder::new(level) {
        Ok(encoder) => Worker {
            key: key.clone(),
            encoder,
            scratch: Vec::new(),
            bundle: Vec::new(),
        },
        Err(failure) => {
            let _ = done.send(Batch {
                failure: Some(failure),
                ..Batch::new(0, Vec::new())
            });
            return;
        }
    };
    for mut batch in queue {
        if !batch.abandoned
            && let Err(failure) = worker.process(&mut batch, parent)
        {
            batch.failure = Some(failure);
        }
        if done.send(batch).is_err() {
            return;
        }
    }
}

struct Worker {
    key: HashKey,
    encoder: FrameEncoder,
    scratch: Vec<u8>,
    bundle: Vec<u8>,
}

impl Worker {
    fn process(&mut self, batch: &mut Batch, parent: &Parent) -> std::io::Result<()> {
        let data = std::mem::take(&mut batch.data);
        let mut rest = &data[..];
        batch.stored.reserve(data.len() / 2);
        for at in 0..batch.items.len() {
            let Item::Block(length) = batch.items[at] else { continue };
            let (block, after) = rest.split_at(length);
            rest = after;
            let placed = self.place(block, batch, parent)?;
            batch.blocks.push(placed);
        }
        self.close_bundle(batch)?;
        batch.data = data;
        Ok(())
    }

    fn place(&mut self, block: &[u8], batch: &mut Batch, parent: &Parent) -> std::io::Result<Block> {
        let length = u32::try_from(block.len()).unwrap_or(u32::MAX);
        if is_zero(block) {
            return Ok(Block {
                length,
                hash: [0; 32],
                placement: Placement::Zeros,
            });
        }
        let hash = self.key.hash(block);
        if let Some(known) = parent.find(&hash, length) {
            return Ok(Block {
                length,
                hash,
                placement: Placement::Known(known),
            });
        }
        let placement = if block.len() == BLOCK {
            let raw = self.encoder.append(block, &mut batch.stored, &mut self.scratch)?;
            batch.frames.push(NewFrame {
                end: batch.stored.len(),
                raw,
                length,
            });
            Placement::Frame {
                frame: batch.frames.len() - 1,
                within: 0,
            }
        } else {
            if self.bundle.len() + block.len() > 2 * BLOCK {
                self.close_bundle(batch)?;
            }
            let within = u32::try_from(self.bundle.len()).unwrap_or(u32::MAX);
            self.bundle.extend_from_slice(block);
            Placement::Frame {
                frame: usize::MAX,
                within,
            }
        };
        Ok(Block {
            length,
            hash,
            placement,
        })
    }

    /// Makes a frame of the short blocks that were gathered, and tells them its number.
    fn close_bundle(&mut self, batch: &mut Batch) -> std::io::Result<()> {
        if self.bundle.is_empty() {
            return Ok(());
        }
        let length = u32::try_from(self.bundle.len()).unwrap_or(u32::MAX);
        let raw = self
            .encoder
            .append(&self.bundle, &mut batch.stored, &mut self.scratch)?;
        batch.frames.push(NewFrame {
            end: batch.stored.len(),
            raw,
            length,
        });
        let number = batch.frames.len() - 1;
        for block in &mut batch.blocks {
            if let Placement::Frame { frame, .. } = &mut block.placement
                && *frame == usize::MAX
            {
                *frame = number;
            }
        }
        self.bundle.clear();
        Ok(())
    }
}

fn is_zero(block: &[u8]) -> bool {
    block.iter().take(64).all(|byte| *byte == 0)
        && block
            .chunks(4096)
            .all(|chunk| chunk.iter().fold(0, |or, byte| or | byte) == 0)
}
