//! The assembler: puts batches in order again, fills packs, and hands extents to the tree.
//!
//! Invariant: an extent's pack is known by a placeholder until the pack is closed; no tree object is encoded before all of its
//! placeholders are resolved.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use muster_signing::Digest;

use super::Written;
use super::batch::{Batch, Block, Item, NewFrame, Placement};
use super::files::TreeBuilder;
use super::parent::Parent;
use super::placeholder::placeholder;
use super::upload::Uploader;
use crate::content::HashKey;
use crate::edge::Edge;
use crate::list::{self, Named};
use crate::pack::PackBuilder;
use crate::tree::{Extent, Location};
use crate::{ArchiveError, ListRef, layout};

/// Bytes of entries and extents that wait for an open pack before it is closed early.
const WAITING: usize = 16 << 20;
/// Bytes that a block costs in the table of those seen in this run, at its worst load.
const PER_SEEN: u64 = 220;

pub(super) struct Assembler {
    key: HashKey,
    parent: Arc<Parent>,
    uploader: Uploader,
    edge: Arc<dyn Edge>,
    pack: Option<PackBuilder>,
    closed: Vec<Digest>,
    /// Where the frames of the batch in hand went, as far as they were placed.
    placed: Vec<Option<Location>>,
    seen: HashMap<[u8; 32], (u32, Location)>,
    seen_most: usize,
    tree: TreeBuilder,
    objects: BTreeMap<(Named, Digest), u64>,
    added: u64,
}

impl Assembler {
    pub(super) fn new(
        parent: Arc<Parent>,
        uploader: Uploader,
        edge: Arc<dyn Edge>,
        table_bytes: u64,
        key: &HashKey,
        in_order: bool,
    ) -> Self {
        Self {
            parent,
            uploader,
            edge,
            pack: None,
            closed: Vec::new(),
            placed: Vec::new(),
            seen: HashMap::new(),
            seen_most: usize::try_from(table_bytes / PER_SEEN).unwrap_or(usize::MAX),
            tree: TreeBuilder::new(key, in_order),
            key: key.clone(),
            objects: BTreeMap::new(),
            added: 0,
        }
    }

    pub(super) fn run(
        mut self,
        batches: &Receiver<Batch>,
        give_back: &Sender<Vec<u8>>,
        cancel: &AtomicBool,
    ) -> Result<Written, ArchiveError> {
        let mut early: BTreeMap<u64, Batch> = BTreeMap::new();
        let mut next = 0;
        for batch in batches {
            if let Some(source) = batch.failure {
                return Err(ArchiveError::Local {
                    attempt: "compress a frame".to_owned(),
                    source,
                });
            }
            if batch.abandoned || cancel.load(Ordering::Relaxed) {
                return Err(ArchiveError::Cancelled);
            }
            early.insert(batch.sequence, batch);
            while let Some(batch) = early.remove(&next) {
                next += 1;
                let data = self.take(batch)?;
                let _ = give_back.try_send(data);
            }
        }
        if early.is_empty() {
            self.finish()
        } else {
            Err(ArchiveError::Cancelled)
        }
    }

    fn take(&mut self, batch: Batch) -> Result<Vec<u8>, ArchiveError> {
        let Batch {
            data,
            items,
            blocks,
            frames,
            stored,
            ..
        } = batch;
        self.placed = vec![None; frames.len()];
        let mut blocks = blocks.into_iter();
        for item in items {
            match item {
                Item::Entry(entry) => self.tree.entry(*entry),
                Item::Begin(entry) => self.tree.begin(*entry),
                Item::ZeroBlocks(count) => self.tree.zero_blocks(count),
                Item::End => self.tree.end(),
                Item::Block(_) => {
                    let block = blocks
                        .next()
                        .ok_or_else(|| ArchiveError::Invalid("a worker lost a block".to_owned()))?;
                    let extent = self.extent(&block, &frames, &stored)?;
                    self.tree.extent(extent);
                }
            }
            if self.tree.waiting() >= WAITING {
                self.close_pack()?;
            }
        }
        if self.pack.is_none() {
            self.settle()?;
        }
        Ok(data)
    }

    fn extent(&mut self, block: &Block, frames: &[NewFrame], stored: &[u8]) -> Result<Extent, ArchiveError> {
        let found = match block.placement {
            Placement::Zeros => None,
            Placement::Known(location) => Some(location),
            Placement::Frame { frame, within } => {
                let location = match self.seen.get(&block.hash).filter(|seen| seen.0 == block.length) {
                    Some(seen) => seen.1,
                    None => {
                        let frame = self.place(frame, frames, stored)?;
                        let location = Location { within, ..frame };
                        if self.seen.len() < self.seen_most {
                            self.seen.insert(block.hash, (block.length, location));
                        }
                        location
                    }
                };
                Some(location)
            }
        };
        Ok(Extent {
            length: u64::from(block.length),
            hash: block.hash,
            location: found,
            group: None,
        })
    }

    /// The location of a new frame, which is put into the open pack the first time it is asked for.
    fn place(&mut self, number: usize, frames: &[NewFrame], stored: &[u8]) -> Result<Location, ArchiveError> {
        let lost = || ArchiveError::Invalid("a worker lost a frame".to_owned());
        if let Some(location) = self.placed.get(number).ok_or_else(lost)? {
            return Ok(*location);
        }
        if self.pack.as_ref().is_some_and(PackBuilder::is_full) {
            self.close_pack()?;
        }
        let frame = &frames[number];
        let start = if number == 0 { 0 } else { frames[number - 1].end };
        let bytes = stored.get(start..frame.end).ok_or_else(lost)?;
        let edge = &self.edge;
        let pack = self.pack.get_or_insert_with(|| {
            let mut salt = [0; 32];
            edge.fill(&mut salt);
            PackBuilder::new(salt, None)
        });
        let at = pack.push(bytes, frame.raw, frame.length);
        let location = Location {
            pack: placeholder(self.closed.len()),
            ordinal: at.ordinal,
            offset: at.offset,
            stored: at.stored,
            raw: frame.raw,
            frame_length: frame.length,
            within: 0,
        };
        self.placed[number] = Some(location);
        Ok(location)
    }

    fn close_pack(&mut self) -> Result<(), ArchiveError> {
        if let Some(pack) = self.pack.take() {
            let (id, bytes) = pack.finish()?;
            self.closed.push(id);
            self.put(Named::Pack, id, bytes)?;
        }
        self.settle()
    }

    /// No pack is open, so every placeholder is known: makes tree objects of what is finished.
    fn settle(&mut self) -> Result<(), ArchiveError> {
        for (id, object) in self.tree.settle(&self.closed)? {
            self.put(Named::Tree, id, Bytes::from(object))?;
        }
        Ok(())
    }

    fn put(&mut self, what: Named, id: Digest, bytes: Bytes) -> Result<(), ArchiveError> {
        let length = bytes.len() as u64;
        if self.objects.insert((what, id), length).is_some() || self.parent.objects.contains_key(&(what, id)) {
            return Ok(());
        }
        self.added += length;
        let key = if what == Named::Pack {
            layout::pack(&id)
        } else {
            layout::tree(&id)
        };
        self.uploader.put(key, bytes)
    }

    fn finish(mut self) -> Result<Written, ArchiveError> {
        self.close_pack()?;
        for pack in self.tree.packs() {
            let key = (Named::Pack, *pack);
            if let Some(bytes) = self.parent.objects.get(&key) {
                self.objects.insert(key, *bytes);
            } else if !self.objects.contains_key(&key) {
                return Err(ArchiveError::damaged(
                    &layout::pack(pack),
                    "the parent's list does not name it",
                ));
            }
        }
        let (tree, objects) = std::mem::replace(&mut self.tree, TreeBuilder::new(&self.key, false)).finish()?;
        for (id, object) in objects {
            self.put(Named::Tree, id, Bytes::from(object))?;
        }
        let bytes = self.objects.values().sum();
        let hunks = list::encode(&self.objects);
        let root = hunks.last().map_or_else(|| Digest::of(b""), |hunk| hunk.0);
        let mut list_bytes = 0;
        for (id, hunk) in hunks {
            list_bytes += hunk.len() as u64;
            self.uploader.put(layout::list(&id), Bytes::from(hunk))?;
        }
        let Self {
            uploader,
            parent,
            objects,
            added,
            ..
        } = self;
        uploader.finish()?;
        let list = ListRef {
            root,
            objects: objects.len() as u64,
            bytes,
        };
        let parent = parent.reference.clone();
        Ok(Written {
            tree,
            list,
            encryption: None,
            stored_bytes: bytes + list_bytes,
            added_bytes: added + list_bytes,
            parent,
        })
    }
}
