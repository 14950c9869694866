//! The assembler: puts batches in order again, fills packs, and hands extents to the tree.
//!
//! Invariant: an extent's pack is known by a placeholder until the pack is closed; no tree object is encoded before all of its
//! placeholders are resolved.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use muster_signing::Digest;

use super::Written;
use super::batch::{Batch, Block, Buffers, Item, NewFrame, Piece, Place};
use super::costs::Costs;
use super::files::TreeBuilder;
use super::journal::Left;
use super::parent::Parent;
use super::placeholder::placeholder;
use super::sealing::Sealing;
use super::table::{Short, short};
use super::upload::Uploader;
use crate::edge::Edge;
use crate::index::Cache;
use crate::list::{self, Named};
use crate::pack::PackBuilder;
use crate::tree::{Check, Extent, Group, Location};
use crate::{ArchiveError, IndexRef, ListRef, layout};

/// Bytes of entries and extents that wait for an open pack before it is closed early.
const WAITING: usize = 16 << 20;
/// Bytes that a block costs in the table of those seen in this run, at its worst load.
const PER_SEEN: u64 = 220;

/// What an assembler is made of.
pub(super) struct Setting {
    pub(super) parent: Arc<Parent>,
    pub(super) uploader: Uploader,
    pub(super) edge: Arc<dyn Edge>,
    /// Bytes that the table of this run's blocks may take.
    pub(super) table_bytes: u64,
    pub(super) tree: TreeBuilder,
    pub(super) sealing: Sealing,
    /// Where index objects are kept on this host, and whose they are.
    pub(super) index: Option<IndexPlace>,
    /// The repository's address, which says what a restore from it costs.
    pub(super) url: String,
    /// Packs are noted for a run that may have to go on.
    pub(super) journal: bool,
}

/// Where an index goes.
pub(super) struct IndexPlace {
    pub(super) store: String,
    pub(super) key: String,
    pub(super) cache: Cache,
}

pub(super) struct Assembler {
    setting: Setting,
    pack: Option<PackBuilder>,
    /// What lies in the open pack, for the journal.
    noted: Vec<(Short, u32, Location)>,
    closed: Vec<Digest>,
    /// Where the frames of the batch in hand went, as far as they were placed.
    placed: Vec<Option<Location>>,
    seen: HashMap<[u8; 32], (u32, Location)>,
    seen_most: usize,
    objects: BTreeMap<(Named, Digest), u64>,
    /// Objects of the index of this snapshot.
    indexed: HashSet<Digest>,
    costs: Costs,
    added: u64,
    again: u64,
}

impl Assembler {
    pub(super) fn new(setting: Setting) -> Self {
        Self {
            seen_most: usize::try_from(setting.table_bytes / PER_SEEN).unwrap_or(usize::MAX),
            setting,
            pack: None,
            noted: Vec::new(),
            closed: Vec::new(),
            placed: Vec::new(),
            seen: HashMap::new(),
            objects: BTreeMap::new(),
            indexed: HashSet::new(),
            costs: Costs::default(),
            added: 0,
            again: 0,
        }
    }

    pub(super) fn run(
        mut self,
        batches: &Receiver<Batch>,
        give_back: &Sender<Buffers>,
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
                let buffers = self.take(batch)?;
                let _ = give_back.try_send(buffers);
            }
        }
        if early.is_empty() {
            self.finish()
        } else {
            Err(ArchiveError::Cancelled)
        }
    }

    fn take(&mut self, batch: Batch) -> Result<Buffers, ArchiveError> {
        let Batch {
            data,
            items,
            blocks,
            pieces,
            prints,
            frames,
            stored,
            ..
        } = batch;
        self.placed = vec![None; frames.len()];
        let lost = || ArchiveError::Invalid("a worker lost a block".to_owned());
        let (mut blocks, mut prints) = (blocks.into_iter(), &prints[..]);
        for item in items {
            let tree = &mut self.setting.tree;
            match item {
                Item::Entry(entry) => tree.entry(*entry),
                Item::Begin(begun) => tree.begin(*begun),
                Item::Base { base, fresh: true, .. } => tree.base(base),
                Item::Base { .. } => {}
                Item::ZeroBlocks(count) => tree.zero_blocks(count),
                Item::Unread(base) => {
                    self.costs.add_segment(&base.segment);
                    tree.unread(&base)?;
                }
                Item::End { digest, whole } => tree.end(digest, whole),
                Item::Block { .. } => {
                    let block = blocks.next().ok_or_else(lost)?;
                    let (of_block, rest) = prints.split_at_checked(block.prints).ok_or_else(lost)?;
                    prints = rest;
                    let extents = self.extents(&block, &pieces, &frames, &stored)?;
                    self.setting.tree.block(&block.hash, extents, of_block, block.same);
                }
            }
            if self.setting.tree.waiting() >= WAITING {
                self.close_pack()?;
            }
        }
        if self.pack.is_none() {
            self.settle()?;
        }
        Ok(Buffers { data, stored })
    }

    /// The extents of a block.
    fn extents(
        &mut self,
        block: &Block,
        pieces: &[Piece],
        frames: &[NewFrame],
        stored: &[u8],
    ) -> Result<Vec<Extent>, ArchiveError> {
        let pieces = pieces
            .get(block.pieces.clone())
            .ok_or_else(|| ArchiveError::Invalid("a worker lost a piece".to_owned()))?;
        if pieces.is_empty() {
            return Ok(vec![Extent::zeros(u64::from(block.length))]);
        }
        let mut extents = Vec::with_capacity(pieces.len());
        let alone = pieces.len() == 1;
        for piece in pieces {
            let location = match piece.place {
                Place::Zeros => None,
                Place::Old(location) => Some(location),
                Place::New { frame, within } => Some(self.find_or_place(piece, frame, within, frames, stored)?),
            };
            if let Some(location) = &location {
                self.costs.add(location);
            }
            extents.push(Extent {
                length: u64::from(piece.length),
                check: match location {
                    None => Check::Zeros,
                    Some(_) if alone => Check::Whole(piece.hash),
                    Some(_) => Check::piece(&piece.hash),
                },
                location,
                group: None,
            });
        }
        if let [first, _, ..] = &mut extents[..] {
            first.group = Some(Box::new(Group {
                hash: block.hash,
                extents: u32::try_from(pieces.len()).unwrap_or(u32::MAX),
            }));
        }
        Ok(extents)
    }

    /// Where a new piece's bytes are: with those of an equal one of this run, or in a frame of its own.
    fn find_or_place(
        &mut self,
        piece: &Piece,
        frame: usize,
        within: u32,
        frames: &[NewFrame],
        stored: &[u8],
    ) -> Result<Location, ArchiveError> {
        if let Some(seen) = self.seen.get(&piece.hash).filter(|seen| seen.0 == piece.length) {
            return Ok(seen.1);
        }
        let frame = self.place(frame, frames, stored)?;
        let location = Location { within, ..frame };
        if self.seen.len() < self.seen_most {
            self.seen.insert(piece.hash, (piece.length, location));
        }
        // A frame may have gone into a pack that is closed by now.
        if self.setting.journal && location.pack == placeholder(self.closed.len()) {
            self.noted.push((short(&piece.hash), piece.length, location));
        }
        Ok(location)
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
        let (edge, sealing) = (&self.setting.edge, &self.setting.sealing);
        let pack = self.pack.get_or_insert_with(|| {
            let mut salt = [0; 32];
            edge.fill(&mut salt);
            PackBuilder::new(salt, sealing.pack())
        });
        let at = pack.push(bytes, frame.raw, frame.length);
        if frame.again {
            self.again += u64::from(at.stored);
        }
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
            let sealed = pack.sealed_at();
            let (id, bytes) = pack.finish()?;
            self.setting.sealing.note_pack(id, sealed);
            self.closed.push(id);
            let noted = std::mem::take(&mut self.noted);
            let left = (!noted.is_empty()).then(|| Left::new(id, bytes.len() as u64, sealed, &noted));
            self.put(Named::Pack, id, bytes, left)?;
        }
        self.settle()
    }

    /// No pack is open, so every placeholder is known: makes tree objects of what is finished.
    fn settle(&mut self) -> Result<(), ArchiveError> {
        for (id, object) in self.setting.tree.settle(&self.closed)? {
            self.put(Named::Tree, id, Bytes::from(object), None)?;
        }
        let objects = self.setting.tree.take_index_objects();
        self.put_index(objects)
    }

    fn put(&mut self, what: Named, id: Digest, bytes: Bytes, left: Option<Left>) -> Result<(), ArchiveError> {
        let length = bytes.len() as u64;
        let known = self.setting.parent.objects.contains_key(&(what, id));
        if self.objects.insert((what, id), length).is_some() || known {
            return Ok(());
        }
        self.added += length;
        if what == Named::Tree {
            self.setting.sealing.note_tree(id);
        }
        let key = if what == Named::Pack {
            layout::pack(&id)
        } else {
            layout::tree(&id)
        };
        self.setting.uploader.put(key, bytes, left)
    }

    fn put_index(&mut self, objects: Vec<(Digest, Vec<u8>)>) -> Result<(), ArchiveError> {
        let Some(place) = &self.setting.index else {
            return Ok(());
        };
        for (id, object) in objects {
            self.indexed.insert(id);
            place.cache.write(&id, &object);
            if self.setting.parent.remembers(&id) {
                continue;
            }
            self.added += object.len() as u64;
            let key = layout::index(&place.store, &id);
            self.setting.uploader.put(key, Bytes::from(object), None)?;
        }
        Ok(())
    }

    /// Lists what the tree names of the parent's objects and of an interrupted run's.
    fn list_old(&mut self) -> Result<(), ArchiveError> {
        let parent = &self.setting.parent;
        for pack in self.setting.tree.packs() {
            let key = (Named::Pack, *pack);
            if let Some(bytes) = parent.objects.get(&key).or_else(|| parent.resumed.get(pack)) {
                self.objects.insert(key, *bytes);
            } else if !self.objects.contains_key(&key) {
                return Err(ArchiveError::damaged(
                    &layout::pack(pack),
                    "the parent's list does not name it",
                ));
            }
        }
        for kept in self.setting.tree.kept() {
            let key = (Named::Tree, *kept);
            match parent.objects.get(&key) {
                Some(bytes) => self.objects.insert(key, *bytes),
                None => {
                    return Err(ArchiveError::damaged(
                        &layout::tree(kept),
                        "the parent's list does not name it",
                    ));
                }
            };
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Written, ArchiveError> {
        self.close_pack()?;
        let (tree, objects) = self.setting.tree.finish()?;
        for (id, object) in objects {
            self.put(Named::Tree, id, Bytes::from(object), None)?;
        }
        self.list_old()?;
        let mut root = None;
        if let Some((id, objects)) = self.setting.tree.finish_index() {
            self.put_index(objects)?;
            root = Some(id);
        }
        let index = self.setting.index.as_ref().zip(root).map(|(place, root)| IndexRef {
            root,
            key: place.key.clone(),
        });
        let encryption = self.setting.sealing.finish(&mut self.objects, &mut self.added)?;
        let bytes = self.objects.values().sum();
        let hunks = list::encode(&self.objects);
        let root = hunks.last().map_or_else(|| Digest::of(b""), |hunk| hunk.0);
        let mut list_bytes = 0;
        for (id, hunk) in hunks {
            list_bytes += hunk.len() as u64;
            self.setting.uploader.put(layout::list(&id), Bytes::from(hunk), None)?;
        }
        self.indexed.extend(self.setting.tree.take_leaves());
        let Setting {
            uploader,
            parent,
            url,
            index: place,
            ..
        } = self.setting;
        uploader.finish()?;
        if let Some(place) = place {
            place.cache.keep_only(&self.indexed);
        }
        let list = ListRef {
            root,
            objects: self.objects.len() as u64,
            bytes,
        };
        Ok(Written {
            tree,
            list,
            encryption,
            index,
            restore: self.costs.finish(&url),
            stored_bytes: bytes + list_bytes,
            added_bytes: (self.added + list_bytes).saturating_sub(self.again),
            rewritten_bytes: self.again,
            parent: parent.reference.clone(),
        })
    }
}
