//! The workers: hash, compare with the parent page by page, and compress what is new.
//!
//! Invariant: a block is leaned on where its pages' prints at its place are the parent's, or its hash is one that is known; whatever
//! else it is, it is stored. The hashes in the tree are always of the bytes that were read.

use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::base::Base;
use super::batch::{Batch, Block, Buffers, Item, NewFrame, Piece, Place};
use super::budget::Budget;
use super::parent::Parent;
use crate::content::{BLOCK, FileDigest, HashKey};
use crate::frame::FrameEncoder;
use crate::index::{SegmentBlock, hash_block};

/// Bytes of changed pages up to which they share a frame, and pages of any size.
const FRAME_BYTES: usize = 16 << 10;
const FRAME_PAGES: usize = 2;
/// Stands for the frame that is still being gathered.
const OPEN: usize = usize::MAX;

/// What all workers of a run share.
pub(super) struct Shared {
    pub(super) parent: Arc<Parent>,
    pub(super) key: HashKey,
    pub(super) page: u32,
    pub(super) level: i32,
    pub(super) budget: Budget,
}

/// A worker's life: takes batches until the producer is gone.
pub(super) fn work(queue: &Receiver<Batch>, done: &Sender<Batch>, shared: &Shared) {
    let mut worker = match FrameEncoder::new(shared.level) {
        Ok(encoder) => Worker {
            shared,
            encoder,
            scratch: Vec::new(),
            bundle: Vec::new(),
            gathered: Gathered::default(),
            base: None,
            block: 0,
        },
        Err(failure) => {
            let _ = done.send(Batch {
                failure: Some(failure),
                ..Batch::new(0, Buffers::default())
            });
            return;
        }
    };
    for mut batch in queue {
        if !batch.abandoned
            && let Err(failure) = worker.process(&mut batch)
        {
            batch.failure = Some(failure);
        }
        if done.send(batch).is_err() {
            return;
        }
    }
}

struct Worker<'a> {
    shared: &'a Shared,
    encoder: FrameEncoder,
    scratch: Vec<u8>,
    /// Short blocks that will share a frame.
    bundle: Vec<u8>,
    /// Changed pages that will share a frame.
    gathered: Gathered,
    base: Option<Arc<Base>>,
    /// Number of the next block in the base.
    block: usize,
}

impl Worker<'_> {
    fn process(&mut self, batch: &mut Batch) -> std::io::Result<()> {
        let data = std::mem::take(&mut batch.data);
        let mut rest = &data[..];
        batch.stored.reserve(data.len() / 2);
        self.base = None;
        for at in 0..batch.items.len() {
            match &batch.items[at] {
                // A file that the parent does not have says nothing of a base.
                Item::Begin(_) => self.base = None,
                Item::Base { base, block, .. } => {
                    self.base.clone_from(base);
                    self.block = *block as usize;
                }
                Item::ZeroBlocks(count) => self.block += usize::try_from(*count).unwrap_or(0),
                Item::Block { length, alone } => {
                    let (block, after) = rest.split_at(*length);
                    let alone = *alone;
                    rest = after;
                    let placed = self.place(block, alone, batch)?;
                    batch.blocks.push(placed);
                    self.block += 1;
                }
                _ => {}
            }
        }
        self.base = None;
        self.close_gathered(batch)?;
        self.close_bundle(batch)?;
        batch.data = data;
        Ok(())
    }

    fn place(&mut self, bytes: &[u8], alone: bool, batch: &mut Batch) -> std::io::Result<Block> {
        let length = clip(bytes.len());
        let base = self.base.clone();
        let before = base.as_ref().and_then(|base| base.block(self.block));
        if is_zero(bytes) {
            return Ok(Block {
                length,
                hash: [0; 32],
                pieces: 0..0,
                prints: 0,
                same: before.is_some_and(|before| before.is_zeros() && before.length == length),
            });
        }
        let (first_piece, first_print) = (batch.pieces.len(), batch.prints.len());
        let hash = hash_block(&self.shared.key, bytes, self.shared.page, &mut batch.prints);
        self.shared.budget.read(u64::from(length));
        let mut same = false;
        let before = base
            .as_ref()
            .zip(before)
            .filter(|(base, before)| base.segment.page == self.shared.page && !before.is_zeros());
        let mut unchanged = before.map_or_else(Vec::new, |(_, before)| {
            unchanged_pages(&before, length, &batch.prints[first_print..])
        });
        if let Some((base, before)) = before.filter(|_| unchanged.iter().all(|page| *page)) {
            let again = self.shared.budget.worth_again(&before, &unchanged, 0, self.shared.page);
            same = again.is_empty() && before.length == length;
            self.pieces(bytes, hash, &unchanged, &again, base, &before, batch)?;
        } else if let Some(location) = self.find(hash, length, alone, &batch.prints[first_print..]) {
            batch.pieces.push(Piece {
                length,
                hash,
                place: Place::Old(location),
            });
        } else {
            let changed = forget_zeros(bytes, &mut unchanged, self.shared.page);
            if let Some((base, before)) = before.filter(|_| unchanged.iter().any(|page| *page)) {
                let budget = &self.shared.budget;
                let again = budget.worth_again(&before, &unchanged, changed, self.shared.page);
                self.pieces(bytes, hash, &unchanged, &again, base, &before, batch)?;
            } else {
                let place = if bytes.len() == BLOCK {
                    self.frame(bytes, false, batch)?
                } else {
                    self.bundled(bytes, batch)?
                };
                batch.pieces.push(Piece { length, hash, place });
            }
        }
        Ok(Block {
            length,
            hash,
            pieces: first_piece..batch.pieces.len(),
            prints: batch.prints.len() - first_print,
            same,
        })
    }

    /// Where an earlier run put these bytes, wherever it met them.
    fn find(&self, hash: [u8; 32], length: u32, alone: bool, prints: &[u64]) -> Option<crate::tree::Location> {
        let digest = || {
            alone.then(|| {
                let mut digest = FileDigest::new(&self.shared.key);
                digest.push_block(&hash);
                digest.finish()
            })
        };
        let parent = &self.shared.parent;
        parent
            .find(&hash, length)
            .or_else(|| parent.find_moved(digest, prints, length))
    }

    /// Cuts a block of which pages are known into slices of the parent's frames and frames of its own.
    #[expect(clippy::too_many_arguments, reason = "what is known of one block")]
    fn pieces(
        &mut self,
        bytes: &[u8],
        hash: [u8; 32],
        unchanged: &[bool],
        again: &[usize],
        base: &Base,
        before: &SegmentBlock<'_>,
        batch: &mut Batch,
    ) -> std::io::Result<()> {
        let page = self.shared.page as usize;
        let first = batch.pieces.len();
        // Runs of pages that share their fate and, where they are leaned on, the parent's extent.
        let mut at = 0;
        while at < bytes.len() {
            let number = at / page;
            let source = before
                .extents
                .iter()
                .enumerate()
                .find(|(_, extent)| end_in_block(extent, before) > at);
            let kept = source.filter(|(which, _)| unchanged[number] && !again.contains(which));
            let mut end = at;
            let limit = match kept {
                Some((_, extent)) => end_in_block(extent, before).min(bytes.len()),
                None => bytes.len(),
            };
            while end < limit {
                let next = end / page;
                let fate = unchanged[next]
                    && before
                        .extents
                        .iter()
                        .position(|extent| end_in_block(extent, before) > end)
                        .is_some_and(|which| !again.contains(&which));
                if fate != kept.is_some() {
                    break;
                }
                end = (end + page).min(limit);
            }
            if let Some((_, extent)) = kept {
                let skip = (before.at as usize + at).saturating_sub(extent.at as usize);
                let place = base
                    .segment
                    .location(extent, clip(skip))
                    .map_or(Place::Zeros, Place::Old);
                self.push(&bytes[at..end], place, batch);
            } else {
                self.changed(bytes, at..end, unchanged, batch)?;
            }
            at = end;
        }
        self.gathered.last_end = None;
        // A block in one piece has one hash.
        if let [piece] = &mut batch.pieces[first..] {
            piece.hash = hash;
        }
        Ok(())
    }

    /// Stores a run of pages, two to a frame.
    fn changed(
        &mut self,
        bytes: &[u8],
        run: Range<usize>,
        unchanged: &[bool],
        batch: &mut Batch,
    ) -> std::io::Result<()> {
        let page = self.shared.page as usize;
        let mut at = run.start;
        while at < run.end {
            let pages = bytes[at..run.end].chunks(page);
            let zeros: usize = pages.take_while(|page| is_zero(page)).map(<[u8]>::len).sum();
            if zeros > 0 {
                self.push(&bytes[at..at + zeros], Place::Zeros, batch);
                at += zeros;
                continue;
            }
            let end = (at + page).min(run.end);
            let (here, again) = (&bytes[at..end], unchanged[at / page]);
            if !self.gathered.bytes.is_empty() && self.gathered.again != again {
                self.close_gathered(batch)?;
            }
            let within = clip(self.gathered.bytes.len());
            self.gathered.bytes.extend_from_slice(here);
            self.gathered.again = again;
            // A neighbour in the block and in the frame goes on with the piece before.
            match batch.pieces.last_mut() {
                Some(Piece {
                    length,
                    hash,
                    place: Place::New { frame: OPEN, within },
                }) if self.gathered.last_end == Some(at) => {
                    *length += clip(here.len());
                    let start = *within as usize;
                    *hash = self.shared.key.hash(&self.gathered.bytes[start..]);
                }
                _ => {
                    self.gathered.pieces.push(batch.pieces.len());
                    self.push(here, Place::New { frame: OPEN, within }, batch);
                }
            }
            self.gathered.last_end = Some(end);
            if self.gathered.bytes.len() >= FRAME_BYTES.max(FRAME_PAGES * page) {
                self.close_gathered(batch)?;
            }
            at = end;
        }
        Ok(())
    }

    fn push(&self, bytes: &[u8], place: Place, batch: &mut Batch) {
        let hash = match place {
            Place::Zeros => [0; 32],
            _ => self.shared.key.hash(bytes),
        };
        batch.pieces.push(Piece {
            length: clip(bytes.len()),
            hash,
            place,
        });
    }

    /// Makes a frame of the changed pages that were gathered, and tells them its number.
    fn close_gathered(&mut self, batch: &mut Batch) -> std::io::Result<()> {
        let mut gathered = std::mem::take(&mut self.gathered);
        let number = batch.frames.len();
        let mut needed = false;
        for at in gathered.pieces.drain(..) {
            let Some(piece) = batch.pieces.get_mut(at) else {
                continue;
            };
            piece.place = match (piece.place, self.shared.parent.find(&piece.hash, piece.length)) {
                // An earlier run that did not end stored it.
                (_, Some(location)) => Place::Old(location),
                (Place::New { within, .. }, None) => {
                    needed = true;
                    Place::New { frame: number, within }
                }
                (place, None) => place,
            };
        }
        if needed {
            self.frame(&gathered.bytes, gathered.again, batch)?;
        }
        gathered.bytes.clear();
        gathered.last_end = None;
        self.gathered = gathered;
        Ok(())
    }

    fn frame(&mut self, bytes: &[u8], again: bool, batch: &mut Batch) -> std::io::Result<Place> {
        let raw = self.encoder.append(bytes, &mut batch.stored, &mut self.scratch)?;
        batch.frames.push(NewFrame {
            end: batch.stored.len(),
            raw,
            length: clip(bytes.len()),
            again,
        });
        Ok(Place::New {
            frame: batch.frames.len() - 1,
            within: 0,
        })
    }

    fn bundled(&mut self, bytes: &[u8], batch: &mut Batch) -> std::io::Result<Place> {
        if self.bundle.len() + bytes.len() > 2 * BLOCK {
            self.close_bundle(batch)?;
        }
        let within = clip(self.bundle.len());
        self.bundle.extend_from_slice(bytes);
        Ok(Place::New { frame: BUNDLE, within })
    }

    /// Makes a frame of the short blocks that were gathered, and tells them its number.
    fn close_bundle(&mut self, batch: &mut Batch) -> std::io::Result<()> {
        if self.bundle.is_empty() {
            return Ok(());
        }
        let bundle = std::mem::take(&mut self.bundle);
        self.frame(&bundle, false, batch)?;
        let number = batch.frames.len() - 1;
        for piece in &mut batch.pieces {
            if let Place::New { frame, .. } = &mut piece.place
                && *frame == BUNDLE
            {
                *frame = number;
            }
        }
        self.bundle = bundle;
        self.bundle.clear();
        Ok(())
    }
}

/// Stands for the frame of short blocks that is still being gathered.
const BUNDLE: usize = usize::MAX - 1;

/// Changed pages on their way to a frame.
#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// Which of the batch's pieces they are.
    pieces: Vec<usize>,
    again: bool,
    /// Where in the block in hand the last of them ends.
    last_end: Option<usize>,
}

/// Per page of a block of `length` bytes: the parent has it at the same place.
fn unchanged_pages(before: &SegmentBlock<'_>, length: u32, prints: &[u64]) -> Vec<bool> {
    debug_assert!(length > 0);
    prints
        .iter()
        .enumerate()
        .map(|(page, print)| before.prints.get(page) == Some(print))
        .collect()
}

/// Says of pages of zeros that the parent does not have them: in a block that is cut they need no frame, and no later run finds a
/// reason to name them otherwise. Returns the bytes of those that did change.
fn forget_zeros(bytes: &[u8], unchanged: &mut [bool], page: u32) -> u64 {
    let mut changed = 0;
    for (unchanged, page) in unchanged.iter_mut().zip(bytes.chunks(page as usize)) {
        if is_zero(page) {
            *unchanged = false;
        } else if !*unchanged {
            changed += page.len() as u64;
        }
    }
    changed
}

fn end_in_block(extent: &crate::index::SegmentExtent, before: &SegmentBlock<'_>) -> usize {
    (extent.at as usize + extent.length as usize).saturating_sub(before.at as usize)
}

fn clip(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn is_zero(block: &[u8]) -> bool {
    block.iter().take(64).all(|byte| *byte == 0)
        && block
            .chunks(4096)
            .all(|chunk| chunk.iter().fold(0, |or, byte| or | byte) == 0)
}
