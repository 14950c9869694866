//! What a snapshot may lean on: the frames and tree objects of its parent, and packs of a run that did not end.
//!
//! Invariant: only what a verified manifest's list names is leaned on, and nothing that was found lost. A pack is trusted to be where
//! a logged manifest says; a bounded number of them is asked for at each run, in turn, and what `verify` or a restore missed is
//! stored again (docs/decisions/2026-11-25-which-packs-are-trusted.md).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_util::{StreamExt as _, stream};
use muster_signing::{Digest, Verified};
use tokio::runtime::Handle;

use super::base::Base;
use super::table::{Short, Table, of_prints, short};
use crate::content::{BLOCK, HashKey};
use crate::index::{
    FileRecord, IndexKey, IndexReader, IndexSeal, LeafRef, Remembered, SealedTree, Segment, SegmentPack,
};
use crate::list::Named;
use crate::object_store::ErrorKind;
use crate::repository::Lean;
use crate::seal::RunId;
use crate::tree::{Check, Content, Extent, NodeKind};
use crate::{ArchiveError, Manifest, ParentRef, Repository, layout};

/// Objects asked for at the same time.
const PARALLEL: usize = 16;
/// Packs whose presence is asked for in one run.
const ASKED: u64 = 64;

/// The writer's own memory of a store.
#[derive(Clone, Debug)]
pub struct Indexing {
    /// What it is sealed to.
    pub key: IndexKey,
    /// The store's name.
    pub store: String,
}

impl Indexing {
    pub(super) fn hash_key(&self, repository: &Repository) -> Result<HashKey, ArchiveError> {
        self.key
            .hash_key(repository.id(), &self.store)
            .map_err(|error| ArchiveError::Invalid(error.to_string()))
    }

    pub(super) fn seal(&self, repository: &Repository) -> Result<IndexSeal, ArchiveError> {
        IndexSeal::new(&self.key, repository.id(), &self.store)
            .map_err(|error| ArchiveError::Invalid(error.to_string()))
    }
}

/// The parent of a snapshot that is being written.
#[derive(Debug, Default)]
pub struct Parent {
    pub(super) hash_key: Option<HashKey>,
    pub(super) reference: Option<ParentRef>,
    pub(super) objects: BTreeMap<(Named, Digest), u64>,
    /// What of it may be leaned on by who must be able to read the new snapshot.
    lean: Lean,
    /// Packs that an interrupted run left, with their lengths.
    pub(super) resumed: HashMap<Digest, u64>,
    /// By hash: the parent's extents where there is no index.
    extents: Table,
    /// By hash: what an interrupted run left.
    pub(super) left: Table,
    /// By hash or prints: the parent's blocks, read from the index when the first is looked for.
    moved: OnceLock<Table>,
    searcher: Mutex<Option<IndexReader>>,
    room: u64,
    pub(super) reader: Option<IndexReader>,
    /// Sealed objects of the parent's tree, by what they hold.
    trees: HashMap<[u8; 32], SealedTree>,
    /// Chunks of the parent's index.
    remembered: HashSet<Digest>,
    lost: Vec<Digest>,
}

impl Parent {
    /// Nothing to lean on.
    pub fn none() -> Self {
        Self::default()
    }

    /// Packs that the parent names and that are not there, or not whole: what they hold is stored again.
    pub fn lost_packs(&self) -> &[Digest] {
        &self.lost
    }

    /// Reads what every parent has: its list, and which of its packs are known to be lost.
    async fn load(repository: &Repository, manifest: &Verified<Manifest>, room: u64) -> Result<Self, ArchiveError> {
        let lean = repository.lean(manifest).await?;
        if lean == Lean::Nothing {
            return Ok(Self::none());
        }
        let mut objects = repository.objects_of(manifest).await?;
        let lean = openable(repository, lean, manifest, &objects).await?;
        if lean == Lean::Nothing {
            return Ok(Self::none());
        }
        let suspects = repository.suspects()?;
        let lost = lost_packs(repository, manifest.sequence, &objects, &suspects).await?;
        // A tree object that is not whole is put again: as if the parent did not name it.
        objects.retain(|(what, id), _| *what != Named::Run && !(*what == Named::Tree && suspects.contains(id)));
        for pack in &lost {
            objects.remove(&(Named::Pack, *pack));
        }
        Ok(Self {
            reference: Some(ParentRef {
                snapshot: manifest.snapshot.clone(),
                digest: manifest.digest,
            }),
            objects,
            lean,
            lost,
            room,
            ..Self::default()
        })
    }

    /// A parent whose extents are found by their hash, from its maps.
    pub(super) async fn by_maps(
        repository: &Repository,
        manifest: &Verified<Manifest>,
        room: u64,
    ) -> Result<Self, ArchiveError> {
        let mut parent = Self::load(repository, manifest, room).await?;
        if parent.reference.is_none() {
            return Ok(parent);
        }
        let index = repository.tree_index(manifest).await?;
        parent.hash_key = Some(index.hash_key);
        parent.extents = Table::with_room(room);
        for leaf in index.leaves {
            for entry in repository.read_leaf(&leaf).await? {
                let NodeKind::File { content, .. } = entry.kind else {
                    continue;
                };
                match content {
                    Content::Inline(extents) => parent.take(repository, &extents),
                    Content::Maps(maps) => {
                        for map in maps {
                            if parent.extents.is_full() {
                                break;
                            }
                            let extents = repository.read_map(&map).await?;
                            parent.take(repository, &extents);
                        }
                    }
                }
            }
        }
        parent.extents.sort();
        Ok(parent)
    }

    /// A parent whose pages are found by their place, from the writer's own index.
    pub(super) async fn by_index(
        repository: &Repository,
        manifest: &Verified<Manifest>,
        indexing: &Indexing,
        room: u64,
        handle: Handle,
    ) -> Result<Self, ArchiveError> {
        let root = manifest
            .index
            .as_ref()
            .filter(|index| index.key == indexing.key.id())
            .map(|index| index.root)
            .ok_or_else(|| ArchiveError::Invalid("the parent's index is not this host's".to_owned()))?;
        let seal = indexing.seal(repository)?;
        let reader = IndexReader::open(repository, handle, &indexing.store, seal, &root).await?;
        let mut parent = Self::load(repository, manifest, room).await?;
        if parent.reference.is_none() {
            return Ok(parent);
        }
        parent.hash_key = Some(reader.root().hash_key.clone());
        parent.remembered = reader.root().chunks.iter().map(|chunk| chunk.id).collect();
        let trees = reader.root().trees.iter();
        parent.trees = trees
            .filter(|tree| parent.may_name(&tree.id, Some(tree.run)))
            .map(|tree| (tree.hash, *tree))
            .collect();
        parent.searcher = Mutex::new(Some(reader.again()));
        parent.reader = Some(reader);
        Ok(parent)
    }

    fn take(&mut self, repository: &Repository, extents: &[Extent]) {
        for extent in extents {
            // A piece of a block is not known by a whole hash.
            if let (Check::Whole(hash), Some(location), Ok(length)) =
                (&extent.check, extent.location, u32::try_from(extent.length))
                && self.may_lean_on(&location.pack, repository.sealed_at(&location.pack).map(|at| at.run))
            {
                self.extents.add(short(hash), length, &location);
            }
        }
    }

    /// Where the parent or an interrupted run keeps an extent with this hash and length.
    pub(super) fn find(&self, hash: &[u8; 32], length: u32) -> Option<crate::tree::Location> {
        let short = short(hash);
        self.left
            .find(&short, length)
            .or_else(|| self.extents.find(&short, length))
    }

    /// Where the parent keeps this block at another place. Blocks when the first one is looked for.
    pub(super) fn find_moved(
        &self,
        digest: impl FnOnce() -> Option<[u8; 32]>,
        prints: &[u64],
        length: u32,
    ) -> Option<crate::tree::Location> {
        let moved = self.moved.get_or_init(|| self.search());
        if moved.is_empty() {
            return None;
        }
        of_prints(prints)
            .and_then(|short| moved.find(&short, length))
            .or_else(|| moved.find(&short(&digest()?), length))
    }

    /// Says that blocks are looked for at their own place alone.
    pub(super) fn keep_to_places(&mut self) {
        self.searcher = Mutex::default();
    }

    fn search(&self) -> Table {
        let mut table = Table::with_room(self.room);
        let reader = self.searcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut reader) = reader else {
            return table;
        };
        let chunks: Vec<Digest> = reader.root().chunks.iter().map(|chunk| chunk.id).collect();
        let read = |reader: &mut IndexReader, table: &mut Table| -> Result<(), ArchiveError> {
            for chunk in &chunks {
                let files = reader.chunk(chunk)?;
                for file in files.iter() {
                    if table.is_full() {
                        return Ok(());
                    }
                    self.learn(file, reader, table)?;
                }
            }
            Ok(())
        };
        if let Err(error) = read(&mut reader, &mut table) {
            tracing::warn!(%error, "the index cannot be read whole: what moved may be stored again");
        }
        table.sort();
        table
    }

    fn learn(&self, file: &FileRecord, reader: &mut IndexReader, table: &mut Table) -> Result<(), ArchiveError> {
        match &file.content {
            Remembered::Inline(segment) => {
                let alone = segment.block_count() == 1;
                self.learn_segment(segment, alone.then_some(&file.digest), table);
            }
            Remembered::Leaves(leaves) => {
                for leaf in leaves {
                    if table.is_full() {
                        break;
                    }
                    let segment = reader.leaf(&leaf.leaf)?;
                    self.learn_segment(&segment, None, table);
                }
            }
        }
        Ok(())
    }

    fn learn_segment(&self, segment: &Segment, alone: Option<&[u8; 32]>, table: &mut Table) {
        for number in 0..segment.block_count() {
            let Some(block) = segment.block(number) else { continue };
            let ([extent], false) = (block.extents, block.is_zeros()) else {
                continue;
            };
            let sealed = extent.pack().and_then(|pack| segment.packs.get(pack)?.sealed);
            let key: Option<Short> = of_prints(block.prints).or_else(|| alone.map(short));
            if let (Some(key), Some(location)) = (key, segment.location(extent, 0))
                && block.length as usize <= BLOCK
                && self.may_lean_on(&location.pack, sealed.map(|at| at.run))
            {
                table.add(key, block.length, &location);
            }
        }
    }

    fn may_lean_on(&self, pack: &Digest, run: Option<RunId>) -> bool {
        self.objects.contains_key(&(Named::Pack, *pack)) && self.allows(run)
    }

    fn may_name(&self, tree: &Digest, run: Option<RunId>) -> bool {
        self.objects.contains_key(&(Named::Tree, *tree)) && self.allows(run)
    }

    /// The sealed object of the parent's tree whose kind and body have this hash, where everyone who must read the new one can.
    pub(super) fn sealed_tree(&self, hash: &[u8; 32]) -> Option<SealedTree> {
        self.trees.get(hash).copied()
    }

    /// Whether everyone who must read the new snapshot can read what this run sealed.
    fn allows(&self, run: Option<RunId>) -> bool {
        match &self.lean {
            Lean::Nothing => false,
            Lean::Plain => run.is_none(),
            Lean::Runs(runs) => run.is_some_and(|run| runs.contains(&run)),
        }
    }

    /// Whether the parent's index names this object: then it is in the repository.
    pub(super) fn remembers(&self, id: &Digest) -> bool {
        self.remembered.contains(id)
    }

    /// What the blocks of a segment are compared with.
    pub(super) fn base(&self, segment: Arc<Segment>, leaf: Option<LeafRef>) -> Base {
        let usable = |pack: &SegmentPack| self.may_lean_on(&pack.id, pack.sealed.map(|at| at.run));
        let usable = segment.packs.iter().map(usable).collect();
        let leaf = leaf.filter(|leaf| self.may_name(&leaf.map, leaf.run));
        Base::new(segment, leaf, usable)
    }
}

/// Of `lean` what can still be opened: a run whose wrapped key is gone, or is not the one that was listed, is leaned on no more.
async fn openable(
    repository: &Repository,
    lean: Lean,
    manifest: &Manifest,
    listed: &BTreeMap<(Named, Digest), u64>,
) -> Result<Lean, ArchiveError> {
    let (Lean::Runs(mut allowed), Some(encryption)) = (lean.clone(), &manifest.encryption) else {
        return Ok(lean);
    };
    let is_listed = |id: &Digest, bytes: u64| listed.get(&(Named::Run, *id)) == Some(&bytes);
    let is_listed = &is_listed;
    let mut wrapped = stream::iter(encryption.runs.iter().copied())
        .map(|run| async move { (run.run, repository.run_objects(&[run], is_listed).await) })
        .buffered(PARALLEL);
    let mut seen: BTreeMap<Digest, RunId> = BTreeMap::new();
    while let Some((run, found)) = wrapped.next().await {
        let whole = match found {
            Ok(found) => found.into_iter().find(|(_, digest, length)| is_listed(digest, *length)),
            Err(error) if error.is_damage() => None,
            Err(error) => return Err(error),
        };
        // The key of another run is listed too: of two that are the same neither is believed.
        let twin = whole.as_ref().and_then(|found| seen.insert(found.1, run));
        if whole.is_none() || twin.is_some() {
            tracing::warn!(%run, "its wrapped key is lost or not its own: what it sealed is stored again");
            allowed.retain(|other| *other != run && Some(*other) != twin);
        }
    }
    Ok(if allowed.is_empty() {
        Lean::Nothing
    } else {
        Lean::Runs(allowed)
    })
}

/// The packs of a list that this host knows to be lost, or that are not there in their length. Of many packs some are asked for at
/// each run, so that all were asked for after some runs.
async fn lost_packs(
    repository: &Repository,
    sequence: u64,
    objects: &BTreeMap<(Named, Digest), u64>,
    suspects: &BTreeSet<Digest>,
) -> Result<Vec<Digest>, ArchiveError> {
    let packs: Vec<(Digest, u64)> = objects
        .iter()
        .filter(|((what, _), _)| *what == Named::Pack)
        .map(|((_, id), bytes)| (*id, *bytes))
        .collect();
    let turns = (packs.len() as u64).div_ceil(ASKED).max(1);
    let mut lost = Vec::new();
    let mut asked = Vec::new();
    for (number, (id, bytes)) in packs.into_iter().enumerate() {
        if suspects.contains(&id) {
            lost.push(id);
        } else if number as u64 % turns == sequence % turns {
            asked.push((id, bytes));
        }
    }
    lost.extend(absent(repository, asked).await?);
    Ok(lost)
}

/// Which of these packs are not there in their length.
pub(super) async fn absent(repository: &Repository, packs: Vec<(Digest, u64)>) -> Result<Vec<Digest>, ArchiveError> {
    let mut heads = stream::iter(packs)
        .map(|(id, bytes)| async move { (id, bytes, repository.objects().head(&layout::pack(&id)).await) })
        .buffer_unordered(PARALLEL);
    let mut lost = Vec::new();
    while let Some((id, bytes, head)) = heads.next().await {
        match head {
            Ok(head) if head.size == bytes => {}
            Ok(_) => lost.push(id),
            Err(error) if error.kind == ErrorKind::NotFound => lost.push(id),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(lost)
}
