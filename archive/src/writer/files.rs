//! The tree builder: extents become files, files become listing leaves and extent maps, leaves become the index.
//!
//! Invariant: entries leave in the order in which they came; a leaf is cut where the format says, so that an unchanged
//! neighbourhood is the same object as in the parent. Nothing is encoded while an extent waits for its pack.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;

use muster_signing::Digest;

use super::base::Base;
use super::batch::Begun;
use super::parent::Parent;
use super::pending::{OpenFile, Part, Pending, cost, packs_of, size_of_file};
use super::placeholder::resolve;
use crate::content::{BLOCK, FileDigest, HashKey, TreeDigest, path_order};
use crate::index::{FileRecord, IndexError, IndexWriter, LeafRef, Remembered, SealedTree, Segment};
use crate::seal::TreeSeal;
use crate::tree::{Body, Child, Content, Extent, Index, LeafBuilder, NodeKind, TreeEntry, encode_map};
use crate::{ArchiveError, Repository, TreeRef};

/// Extents up to which a file's content stands in the listing.
const INLINE: usize = 256;
/// Blocks of an extent map: 1 GiB.
pub(super) const MAP: usize = (1 << 30) / BLOCK;
const MAP_BYTES: u64 = 1 << 30;
/// Children of an index object, and bytes of them.
const FANOUT: usize = 16_384;
const FANOUT_BYTES: usize = 4 << 20;

/// A tree object and its name.
type Object = (Digest, Vec<u8>);

/// Builds the tree of one snapshot.
pub(super) struct TreeBuilder {
    key: HashKey,
    page: u32,
    repository: Repository,
    index: Option<IndexWriter>,
    sealing: Option<TreeSeal>,
    parent: Arc<Parent>,
    open: Option<OpenFile>,
    pending: VecDeque<Pending>,
    waiting: usize,
    zero_block: [u8; 32],
    leaf: LeafBuilder,
    children: Vec<Child>,
    objects: Vec<Object>,
    digest: TreeDigest,
    last_path: Option<Vec<u8>>,
    in_order: bool,
    ordered: bool,
    counts: Counts,
    packs: BTreeSet<Digest>,
    /// Objects of the parent's tree that this one names.
    kept: BTreeSet<Digest>,
    /// Leaves of the index that stand for what the tree names.
    leaves: HashSet<Digest>,
}

#[derive(Default)]
struct Counts {
    entries: u64,
    files: u64,
    logical: u64,
}

impl TreeBuilder {
    /// `in_order`: the source promises path order, so that no path has to be kept.
    pub(super) fn new(
        key: &HashKey,
        page: u32,
        in_order: bool,
        repository: Repository,
        index: Option<IndexWriter>,
        sealing: Option<TreeSeal>,
        parent: Arc<Parent>,
    ) -> Self {
        Self {
            key: key.clone(),
            page,
            repository,
            index,
            sealing,
            parent,
            in_order,
            open: None,
            pending: VecDeque::new(),
            waiting: 0,
            zero_block: key.hash(&[0; BLOCK]),
            leaf: LeafBuilder::default(),
            children: Vec::new(),
            objects: Vec::new(),
            digest: if in_order {
                TreeDigest::in_order()
            } else {
                TreeDigest::new()
            },
            last_path: None,
            ordered: true,
            counts: Counts::default(),
            packs: BTreeSet::new(),
            kept: BTreeSet::new(),
            leaves: HashSet::new(),
        }
    }

    pub(super) fn entry(&mut self, entry: TreeEntry) {
        self.waiting += cost(&entry);
        self.pending.push_back(Pending::of(entry));
    }

    pub(super) fn begin(&mut self, begun: Begun) {
        let pending = Pending {
            ctime: begun.ctime,
            read_whole: begun.read_whole,
            ..Pending::of(begun.entry)
        };
        self.open = Some(OpenFile {
            pending,
            digest: FileDigest::new(&self.key),
            size: 0,
            blocks: 0,
            bytes: 0,
            current: Vec::with_capacity(1),
            prints: Vec::new(),
            base: None,
            same: true,
            in_zeros: false,
        });
    }

    /// What the next blocks of the open file are compared with.
    pub(super) fn base(&mut self, base: Option<Arc<Base>>) {
        if let Some(file) = &mut self.open {
            file.base = base;
        }
    }

    /// The next block of the open file, in one piece or several; `same`: the base has it so.
    pub(super) fn block(&mut self, hash: &[u8; 32], extents: Vec<Extent>, prints: &[u64], same: bool) {
        let Some(mut file) = self.open.take() else { return };
        self.waiting += extents.len() * size_of::<Extent>() + size_of_val(prints);
        let length: u64 = extents.iter().map(|extent| extent.length).sum();
        let zeros = prints.is_empty();
        if !zeros {
            file.digest.push_block(hash);
        } else if length == BLOCK as u64 {
            file.digest.push_block(&self.zero_block);
        } else {
            let zeros = vec![0; usize::try_from(length).unwrap_or(0)];
            file.digest.push_block(&self.key.hash(&zeros));
        }
        file.same &= same;
        file.prints.extend_from_slice(prints);
        file.push(extents, zeros, length, 1);
        self.close_full(&mut file);
        self.open = Some(file);
    }

    /// The next `count` blocks of the open file are zeros.
    pub(super) fn zero_blocks(&mut self, mut count: u64) {
        let Some(mut file) = self.open.take() else { return };
        for _ in 0..count {
            file.digest.push_block(&self.zero_block);
        }
        while count > 0 {
            let take = count.min((MAP - file.blocks) as u64);
            let blocks = usize::try_from(take).unwrap_or(MAP);
            file.same &= file.base.as_ref().is_some_and(|base| {
                (file.blocks..file.blocks + blocks).all(|number| {
                    let block = base.segment.block(number);
                    block.is_some_and(|block| block.is_zeros() && block.length as usize == BLOCK)
                })
            });
            let length = take * BLOCK as u64;
            file.push(vec![Extent::zeros(length)], true, length, blocks);
            self.close_full(&mut file);
            count -= take;
        }
        self.open = Some(file);
    }

    /// The next segment of the open file is the parent's, and was not read.
    pub(super) fn unread(&mut self, base: &Base) -> Result<(), ArchiveError> {
        let lost = || ArchiveError::Invalid("the index has lost what a file was made of".to_owned());
        let file = self.open.as_mut().ok_or_else(lost)?;
        let segment = &base.segment;
        file.size += segment.bytes;
        if let Some(leaf) = base.leaf {
            self.packs.extend(segment.packs.iter().map(|pack| pack.id));
            self.kept.insert(leaf.map);
            self.waiting += size_of::<Part>();
            file.pending.parts.push(Part::Map(leaf));
            return Ok(());
        }
        // Whether few extents stand in the listing is decided when the file ends.
        file.current = segment.tree_extents().ok_or_else(lost)?;
        file.prints = segment.prints().to_vec();
        file.bytes = segment.bytes;
        self.waiting += file.current.len() * size_of::<Extent>() + size_of_val(segment.prints());
        Ok(())
    }

    /// The open file ends. `digest`: it was not read, and this is its digest; `whole`: it was read as it lies there.
    pub(super) fn end(&mut self, digest: Option<[u8; 32]>, whole: bool) {
        let Some(mut file) = self.open.take() else { return };
        self.close_segment(&mut file);
        let mut pending = file.pending;
        if let NodeKind::File { size, digest: into, .. } = &mut pending.entry.kind {
            *size = file.size;
            *into = digest.unwrap_or_else(|| file.digest.finish());
        }
        if !whole {
            pending.read_whole = 0;
        }
        self.waiting += cost(&pending.entry);
        self.pending.push_back(pending);
    }

    fn close_full(&mut self, file: &mut OpenFile) {
        if file.blocks >= MAP {
            self.close_segment(file);
        }
    }

    fn close_segment(&mut self, file: &mut OpenFile) {
        let (extents, prints) = (std::mem::take(&mut file.current), std::mem::take(&mut file.prints));
        let base = file.base.take();
        let same = std::mem::replace(&mut file.same, true);
        let bytes = std::mem::take(&mut file.bytes);
        (file.blocks, file.in_zeros) = (0, false);
        if extents.is_empty() {
            return;
        }
        let known = base
            .filter(|base| same && base.segment.bytes == bytes)
            .and_then(|base| Some((base.leaf?, base)));
        file.pending.parts.push(match known {
            Some((leaf, base)) => {
                self.packs.extend(base.segment.packs.iter().map(|pack| pack.id));
                self.kept.insert(leaf.map);
                Part::Map(leaf)
            }
            None => Part::Extents(extents, prints),
        });
    }

    /// Bytes of entries and extents that came since everything was last settled.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// No pack is open: moves all finished entries into leaves, with the ids of the closed packs. Returns the tree objects that
    /// came to be.
    pub(super) fn settle(&mut self, closed: &[Digest]) -> Result<Vec<Object>, ArchiveError> {
        self.waiting = 0;
        if let Some(mut file) = self.open.take() {
            resolve(&mut file.current, closed);
            self.encode(&mut file.pending, closed)?;
            self.open = Some(file);
        }
        while let Some(mut pending) = self.pending.pop_front() {
            let alone = pending.parts.len() == 1;
            let inline = match pending.parts.first_mut() {
                None => true,
                Some(Part::Extents(extents, _)) => {
                    resolve(extents, closed);
                    alone && extents.len() <= INLINE && size_of_file(&pending.entry) < MAP_BYTES
                }
                Some(Part::Map(_) | Part::Forgotten(_)) => false,
            };
            if inline {
                self.note_packs(&pending);
            } else {
                self.encode(&mut pending, closed)?;
            }
            self.list(pending)?;
        }
        Ok(std::mem::take(&mut self.objects))
    }

    fn note_packs(&mut self, pending: &Pending) {
        for part in &pending.parts {
            if let Part::Extents(extents, _) = part {
                self.packs.extend(packs_of(extents));
            }
        }
    }

    /// Resolves a file's extents and makes maps of them.
    fn encode(&mut self, pending: &mut Pending, closed: &[Digest]) -> Result<(), ArchiveError> {
        for part in &mut pending.parts {
            let Part::Extents(extents, prints) = part else { continue };
            resolve(extents, closed);
            self.packs.extend(packs_of(extents));
            let object = encode_map(extents, self.sealing.as_ref())?;
            let map = Digest::of(&object);
            self.objects.push((map, object));
            let prints = std::mem::take(prints);
            let (page, repository) = (self.page, &self.repository);
            let leaf = remember(&mut self.index, |index| {
                let segment = Segment::of(page, extents, prints, false, |pack| repository.sealed_at(pack))?;
                index.leaf(&segment)
            });
            *part = match leaf {
                Some(leaf) => Part::Map(LeafRef {
                    leaf,
                    map,
                    run: self.sealing.as_ref().map(TreeSeal::run),
                }),
                None => Part::Forgotten(map),
            };
        }
        Ok(())
    }

    fn list(&mut self, pending: Pending) -> Result<(), ArchiveError> {
        let Pending {
            mut entry,
            ctime,
            read_whole,
            parts,
        } = pending;
        if let NodeKind::File {
            size,
            content,
            sparse,
            digest,
        } = &mut entry.kind
        {
            self.counts.files += 1;
            self.counts.logical = self.counts.logical.saturating_add(*size);
            let (mut maps, mut leaves) = (Vec::new(), Vec::new());
            let (mut inline, mut prints) = (Vec::new(), Vec::new());
            for part in parts {
                match part {
                    Part::Map(leaf) => {
                        self.leaves.insert(leaf.leaf);
                        maps.push(leaf.map);
                        leaves.push(leaf);
                    }
                    Part::Forgotten(map) => maps.push(map),
                    Part::Extents(extents, of) => (inline, prints) = (extents, of),
                }
            }
            let (page, repository) = (self.page, &self.repository);
            let (path, mtime) = (&entry.path, (entry.mtime_seconds, entry.mtime_nanos));
            if leaves.len() == maps.len() {
                remember(&mut self.index, |index| {
                    let content = if leaves.is_empty() {
                        let sealed = |pack: &Digest| repository.sealed_at(pack);
                        Remembered::Inline(Arc::new(Segment::of(page, &inline, prints, true, sealed)?))
                    } else {
                        Remembered::Leaves(leaves)
                    };
                    index.file(&FileRecord {
                        path: path.clone(),
                        sparse: *sparse,
                        size: *size,
                        mtime,
                        ctime,
                        read_whole,
                        digest: *digest,
                        content,
                    })
                });
            }
            *content = if maps.is_empty() {
                Content::Inline(inline)
            } else {
                Content::Maps(maps)
            };
        }
        self.counts.entries += 1;
        self.digest.push(&entry);
        if self
            .last_path
            .as_ref()
            .is_some_and(|last| path_order(last, &entry.path).is_ge())
        {
            self.ordered = false;
            if self.in_order {
                let path = String::from_utf8_lossy(&entry.path);
                return Err(ArchiveError::Invalid(format!(
                    "the source gave {path:?} out of path order or twice"
                )));
            }
        }
        self.leaf.push(&entry);
        if self.leaf.ends_after(&entry.path) {
            self.close_leaf()?;
        }
        self.last_path = Some(entry.path);
        Ok(())
    }

    /// The leaves of the index that the snapshot needs.
    pub(super) fn take_leaves(&mut self) -> HashSet<Digest> {
        std::mem::take(&mut self.leaves)
    }

    /// The index objects that came to be since the last call.
    pub(super) fn take_index_objects(&mut self) -> Vec<Object> {
        self.index.as_mut().map(IndexWriter::take_objects).unwrap_or_default()
    }

    /// Ends the index: its root and its last objects. The tree must be finished.
    pub(super) fn finish_index(&mut self) -> Option<(Digest, Vec<Object>)> {
        let finished = self.index.take()?.finish();
        finished
            .inspect_err(|error| tracing::warn!(%error, "the snapshot has no index: the next run stores more"))
            .ok()
    }

    fn close_leaf(&mut self) -> Result<(), ArchiveError> {
        let (body, entries, first) = self.leaf.finish(self.sealing.as_ref())?;
        let id = self.object(&body)?;
        self.children.push(Child { id, entries, first });
        Ok(())
    }

    /// The id of a leaf's or an index's object. Sealed anew, what the parent has would be another object: it is named again.
    fn object(&mut self, body: &Body) -> Result<Digest, ArchiveError> {
        let Some(sealing) = &self.sealing else {
            let object = body.object(None)?;
            let id = Digest::of(&object);
            self.objects.push((id, object));
            return Ok(id);
        };
        let hash = body.hash(&self.key);
        let tree = match self.parent.sealed_tree(&hash) {
            Some(tree) => {
                self.repository.note_sealed_tree(tree.id, tree.run);
                self.kept.insert(tree.id);
                tree
            }
            None => {
                let (object, run) = (body.object(Some(sealing))?, sealing.run());
                let id = Digest::of(&object);
                self.objects.push((id, object));
                SealedTree { hash, id, run }
            }
        };
        if let Some(index) = &mut self.index {
            index.tree(tree);
        }
        Ok(tree.id)
    }

    /// The packs that the tree names, once everything is settled.
    pub(super) fn packs(&self) -> &BTreeSet<Digest> {
        &self.packs
    }

    /// The parent's tree objects that the tree names.
    pub(super) fn kept(&self) -> &BTreeSet<Digest> {
        &self.kept
    }

    /// Closes the last leaf and makes the index. Everything must be settled.
    pub(super) fn finish(&mut self) -> Result<(TreeRef, Vec<Object>), ArchiveError> {
        if self.open.is_some() {
            return Err(ArchiveError::Invalid("a file is still open".to_owned()));
        }
        if !self.leaf.is_empty() {
            self.close_leaf()?;
        }
        let mut level = 0;
        let mut children = std::mem::take(&mut self.children);
        let root = loop {
            let above: Vec<Child> = if children.is_empty() {
                vec![self.index(level, Vec::new())?]
            } else {
                parts(children)
                    .into_iter()
                    .map(|part| self.index(level, part))
                    .collect::<Result<_, _>>()?
            };
            match above.as_slice() {
                [root] => break root.id,
                _ => children = above,
            }
            level += 1;
        };
        let Counts {
            entries,
            files,
            logical,
        } = std::mem::take(&mut self.counts);
        let tree = TreeRef {
            root,
            digest: std::mem::take(&mut self.digest).finish(),
            entries,
            files,
            logical_bytes: logical,
        };
        Ok((tree, std::mem::take(&mut self.objects)))
    }

    fn index(&mut self, level: u8, children: Vec<Child>) -> Result<Child, ArchiveError> {
        let entries = children.iter().map(|child| child.entries).sum();
        let first = children.first().map(|child| child.first.clone()).unwrap_or_default();
        let body = Index {
            hash_key: self.key.clone(),
            level,
            ordered: self.ordered,
            children,
        }
        .body();
        let id = self.object(&body)?;
        Ok(Child { id, entries, first })
    }
}

/// Children in parts that each fit an index object.
fn parts(children: Vec<Child>) -> Vec<Vec<Child>> {
    let mut parts: Vec<Vec<Child>> = Vec::new();
    let mut bytes = 0;
    for child in children {
        let length = child.first.len() + 48;
        match parts
            .last_mut()
            .filter(|part| part.len() < FANOUT && bytes + length <= FANOUT_BYTES)
        {
            Some(part) => part.push(child),
            None => {
                bytes = 0;
                parts.push(vec![child]);
            }
        }
        bytes += length;
    }
    parts
}

/// Does something with the index. One that fails is given up: the next run stores more.
fn remember<T>(
    index: &mut Option<IndexWriter>,
    step: impl FnOnce(&mut IndexWriter) -> Result<T, IndexError>,
) -> Option<T> {
    match step(index.as_mut()?) {
        Ok(done) => Some(done),
        Err(error) => {
            tracing::warn!(%error, "the snapshot has no index: the next run stores more");
            *index = None;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::decode_index;

    #[test]
    fn an_index_of_long_paths_can_be_read() {
        let child = Child {
            id: Digest::of(b"x"),
            entries: 64,
            first: vec![b'a'; 4096],
        };
        let parts = parts(vec![child; 4096]);
        assert!(parts.len() > 1 && parts.iter().map(Vec::len).sum::<usize>() == 4096);
        for children in parts {
            let index = Index {
                hash_key: HashKey::new([7; 32]),
                level: 0,
                ordered: true,
                children,
            };
            assert_eq!(decode_index(&index.body().object(None).unwrap()).unwrap(), index);
        }
    }
}
