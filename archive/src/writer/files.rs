//! The tree builder: extents become files, files become listing leaves and extent maps, leaves become the index.
//!
//! Invariant: entries leave in the order in which they came; a leaf is cut where the format says, so that an unchanged
//! neighbourhood is the same object as in the parent. Nothing is encoded while an extent waits for its pack.

use std::collections::{BTreeSet, VecDeque};

use muster_signing::Digest;

use super::placeholder::resolve;
use crate::content::{BLOCK, FileDigest, HashKey, TreeDigest, path_order};
use crate::tree::{Child, Content, Extent, Index, LeafBuilder, NodeKind, TreeEntry, encode_map};
use crate::{ArchiveError, TreeRef};

/// Extents up to which a file's content stands in the listing.
const INLINE: usize = 256;
/// Blocks of an extent map: 1 GiB.
const MAP: usize = (1 << 30) / BLOCK;
const MAP_BYTES: u64 = 1 << 30;
/// Children of an index object, and bytes of them.
const FANOUT: usize = 16_384;
const FANOUT_BYTES: usize = 4 << 20;

/// A tree object and its name.
type Object = (Digest, Vec<u8>);

/// Builds the tree of one snapshot.
pub(super) struct TreeBuilder {
    key: HashKey,
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
}

#[derive(Default)]
struct Counts {
    entries: u64,
    files: u64,
    logical: u64,
}

/// A file that is still being read.
struct OpenFile {
    pending: Pending,
    digest: FileDigest,
    size: u64,
    blocks: usize,
    current: Vec<Extent>,
}

/// An entry that has not reached a leaf yet.
struct Pending {
    entry: TreeEntry,
    segments: Vec<Segment>,
}

/// The extents of at most 1 GiB of a file.
enum Segment {
    Extents(Vec<Extent>),
    Map(Digest),
}

impl TreeBuilder {
    /// `in_order`: the source promises path order, so that no path has to be kept.
    pub(super) fn new(key: &HashKey, in_order: bool) -> Self {
        Self {
            key: key.clone(),
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
        }
    }

    pub(super) fn entry(&mut self, entry: TreeEntry) {
        self.waiting += cost(&entry);
        self.pending.push_back(Pending {
            entry,
            segments: Vec::new(),
        });
    }

    pub(super) fn begin(&mut self, entry: TreeEntry) {
        let pending = Pending {
            entry,
            segments: Vec::new(),
        };
        self.open = Some(OpenFile {
            pending,
            digest: FileDigest::new(&self.key),
            size: 0,
            blocks: 0,
            current: Vec::with_capacity(1),
        });
    }

    /// The next block of the open file.
    pub(super) fn extent(&mut self, extent: Extent) {
        let Some(file) = &mut self.open else { return };
        self.waiting += size_of::<Extent>();
        let zeros = extent.location.is_none();
        let short = extent.length < BLOCK as u64;
        match (zeros, short) {
            (false, _) => file.digest.push_block(&extent.hash),
            (true, false) => file.digest.push_block(&self.zero_block),
            (true, true) => {
                let zeros = vec![0; usize::try_from(extent.length).unwrap_or(0)];
                file.digest.push_block(&self.key.hash(&zeros));
            }
        }
        file.push(extent, 1);
    }

    /// The next `count` blocks of the open file are zeros.
    pub(super) fn zero_blocks(&mut self, mut count: u64) {
        let Some(file) = &mut self.open else { return };
        for _ in 0..count {
            file.digest.push_block(&self.zero_block);
        }
        while count > 0 {
            let take = count.min((MAP - file.blocks) as u64);
            let extent = Extent {
                length: take * BLOCK as u64,
                hash: [0; 32],
                location: None,
                group: None,
            };
            file.push(extent, usize::try_from(take).unwrap_or(MAP));
            count -= take;
        }
    }

    pub(super) fn end(&mut self) {
        let Some(file) = self.open.take() else { return };
        let OpenFile {
            mut pending,
            digest,
            size: read,
            current,
            ..
        } = file;
        if let NodeKind::File { size, digest: into, .. } = &mut pending.entry.kind {
            *size = read;
            *into = digest.finish();
        }
        if !current.is_empty() {
            pending.segments.push(Segment::Extents(current));
        }
        self.waiting += cost(&pending.entry);
        self.pending.push_back(pending);
    }

    /// Bytes of entries and extents that came since everything was last settled.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// No pack is open: moves all finished entries into leaves, with the ids of the closed packs. Returns the tree objects that
    /// came to be.
    pub(super) fn settle(&mut self, closed: &[Digest]) -> Result<Vec<Object>, ArchiveError> {
        self.waiting = 0;
        let (objects, packs) = (&mut self.objects, &mut self.packs);
        if let Some(file) = &mut self.open {
            resolve(&mut file.current, closed);
            file.pending.encode(closed, false, objects, packs);
        }
        while let Some(mut pending) = self.pending.pop_front() {
            let alone = pending.segments.len() == 1;
            let inline = match pending.segments.first() {
                None => true,
                Some(Segment::Extents(extents)) => {
                    alone && extents.len() <= INLINE && size_of_file(&pending.entry) < MAP_BYTES
                }
                Some(Segment::Map(_)) => false,
            };
            pending.encode(closed, inline, &mut self.objects, &mut self.packs);
            self.list(pending)?;
        }
        Ok(std::mem::take(&mut self.objects))
    }

    fn list(&mut self, pending: Pending) -> Result<(), ArchiveError> {
        let Pending { mut entry, segments } = pending;
        if let NodeKind::File { size, content, .. } = &mut entry.kind {
            self.counts.files += 1;
            self.counts.logical = self.counts.logical.saturating_add(*size);
            let mut maps = Vec::new();
            let mut inline = Vec::new();
            for segment in segments {
                match segment {
                    Segment::Map(id) => maps.push(id),
                    Segment::Extents(extents) => inline = extents,
                }
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
            self.close_leaf();
        }
        self.last_path = Some(entry.path);
        Ok(())
    }

    fn close_leaf(&mut self) {
        let (object, entries, first) = self.leaf.finish();
        let id = Digest::of(&object);
        self.children.push(Child { id, entries, first });
        self.objects.push((id, object));
    }

    /// The packs that the tree names, once everything is settled.
    pub(super) fn packs(&self) -> &BTreeSet<Digest> {
        &self.packs
    }

    /// Closes the last leaf and makes the index. Everything must be settled.
    pub(super) fn finish(mut self) -> Result<(TreeRef, Vec<Object>), ArchiveError> {
        if self.open.is_some() {
            return Err(ArchiveError::Invalid("a file is still open".to_owned()));
        }
        if !self.leaf.is_empty() {
            self.close_leaf();
        }
        let mut level = 0;
        let mut children = std::mem::take(&mut self.children);
        let root = loop {
            let above: Vec<Child> = if children.is_empty() {
                vec![self.index(level, Vec::new())]
            } else {
                parts(children)
                    .into_iter()
                    .map(|part| self.index(level, part))
                    .collect()
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
        } = self.counts;
        let tree = TreeRef {
            root,
            digest: self.digest.finish(),
            entries,
            files,
            logical_bytes: logical,
        };
        Ok((tree, self.objects))
    }

    fn index(&mut self, level: u8, children: Vec<Child>) -> Child {
        let entries = children.iter().map(|child| child.entries).sum();
        let first = children.first().map(|child| child.first.clone()).unwrap_or_default();
        let object = Index {
            hash_key: self.key.clone(),
            level,
            ordered: self.ordered,
            children,
        }
        .encode();
        let id = Digest::of(&object);
        self.objects.push((id, object));
        Child { id, entries, first }
    }
}

/// Bytes that an entry takes while it waits.
fn cost(entry: &TreeEntry) -> usize {
    let xattrs: usize = entry
        .xattrs
        .iter()
        .map(|(name, value)| 64 + name.len() + value.len())
        .sum();
    size_of::<Pending>() + 64 + entry.path.len() + xattrs
}

fn size_of_file(entry: &TreeEntry) -> u64 {
    if let NodeKind::File { size, .. } = entry.kind {
        size
    } else {
        0
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

impl OpenFile {
    fn push(&mut self, extent: Extent, blocks: usize) {
        self.size += extent.length;
        self.blocks += blocks;
        match self.current.last_mut() {
            Some(last) if last.location.is_none() && extent.location.is_none() => last.length += extent.length,
            _ => self.current.push(extent),
        }
        if self.blocks >= MAP {
            self.blocks = 0;
            self.pending
                .segments
                .push(Segment::Extents(std::mem::take(&mut self.current)));
        }
    }
}

impl Pending {
    /// Resolves its extents and makes maps of them, unless they stand in the listing.
    fn encode(&mut self, closed: &[Digest], inline: bool, objects: &mut Vec<Object>, packs: &mut BTreeSet<Digest>) {
        for segment in &mut self.segments {
            let Segment::Extents(extents) = segment else { continue };
            resolve(extents, closed);
            packs.extend(
                extents
                    .iter()
                    .filter_map(|extent| extent.location)
                    .map(|location| location.pack),
            );
            if !inline {
                let object = encode_map(extents);
                let id = Digest::of(&object);
                objects.push((id, object));
                *segment = Segment::Map(id);
            }
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
            assert_eq!(decode_index(&index.encode()).unwrap(), index);
        }
    }
}
