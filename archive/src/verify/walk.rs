//! Walking trees: each snapshot's digest is computed again, each file's extents are added up, and what lies in packs is handed on.
//!
//! Snapshots of a store are walked one after the other, each in lockstep with the one before: a leaf, a file or an extent map that both
//! have was looked at already, and of a map that changed only the extents that changed are handed on. So the work grows with what changed.
//!
//! Invariant: nothing is passed over but what was walked without an error in the snapshot before.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;

use futures_util::{StreamExt as _, stream};
use muster_signing::Digest;

use super::extents::Extents;
use super::is_set;
use super::names::Names;
use crate::content::{FileDigest, HashKey};
use crate::list::Named;
use crate::manifest::TreeRef;
use crate::tree::{Check, Content, Extent, NodeKind, TreeEntry};
use crate::{ArchiveError, BLOCK, Manifest, Repository, TreeDigest, layout};

/// Leaves asked for at the same time.
const PARALLEL: usize = 4;
/// Extent maps asked for at the same time: each may have 262,144 extents.
const MAPS: usize = 2;
/// Most files and maps of a snapshot that are remembered for the next: what is beyond is looked at again.
const REMEMBERED: usize = 400_000;

/// What was walked of one snapshot.
#[derive(Default)]
struct Walked {
    tree: Option<TreeRef>,
    /// What its extents were hashed with.
    hash_key: Option<HashKey>,
    leaves: HashSet<Digest>,
    /// Of files with maps: everything that makes up their content.
    files: HashSet<[u8; 32]>,
    /// Per path and place in the file, the map.
    maps: HashMap<(u64, u32), Digest>,
}

/// Walks one snapshot after the other.
pub(super) struct Walk<'a> {
    repository: &'a Repository,
    cancel: Option<&'a AtomicBool>,
    store: String,
    before: Walked,
}

impl<'a> Walk<'a> {
    pub(super) fn new(repository: &'a Repository, cancel: Option<&'a AtomicBool>) -> Self {
        Self {
            repository,
            cancel,
            store: String::new(),
            before: Walked::default(),
        }
    }

    /// Walks a snapshot's tree. `names` hears what was read, `extents` what is to be compared.
    ///
    /// # Errors
    /// [`ArchiveError::NoIdentity`] where it cannot be decrypted; [`ArchiveError::Missing`], [`ArchiveError::Damaged`], storage errors.
    pub(super) async fn snapshot(
        &mut self,
        manifest: &Manifest,
        names: &mut Names<'_>,
        extents: &mut Extents,
    ) -> Result<(), ArchiveError> {
        if self.store != manifest.store {
            self.store.clone_from(&manifest.store);
            self.before = Walked::default();
        }
        if self.before.tree.as_ref() == Some(&manifest.tree) {
            return Ok(());
        }
        let mut now = Walked::default();
        let walked = self.walk(manifest, &mut now, names, extents).await;
        if walked.is_ok() {
            now.tree = Some(manifest.tree.clone());
            self.before = now;
        }
        walked
    }

    async fn walk(
        &self,
        manifest: &Manifest,
        now: &mut Walked,
        names: &mut Names<'_>,
        extents: &mut Extents,
    ) -> Result<(), ArchiveError> {
        let index = self.repository.tree_index(manifest).await?;
        for (id, bytes) in index.indexes.iter().zip(&index.index_bytes) {
            names.note_read(Named::Tree, id, *bytes)?;
        }
        let nothing = Walked::default();
        let before = match self.before.hash_key.as_ref() {
            Some(key) if *key == index.hash_key => &self.before,
            _ => &nothing,
        };
        now.hash_key = Some(index.hash_key.clone());
        let mut digest = if index.ordered {
            TreeDigest::in_order()
        } else {
            TreeDigest::new()
        };
        let (mut entries, mut files, mut logical) = (0u64, 0u64, 0u64);
        let key = extents.key(&index.hash_key);
        let repository = self.repository;
        let mut leaves = stream::iter(&index.leaves)
            .map(|leaf| async move { (leaf, repository.read_sized_leaf(leaf).await) })
            .buffered(PARALLEL);
        while let Some((leaf, read)) = leaves.next().await {
            let (listed, bytes) = read?;
            if is_set(self.cancel) {
                return Err(ArchiveError::Cancelled);
            }
            names.note_read(Named::Tree, leaf, bytes)?;
            let new = !before.leaves.contains(leaf) && !now.leaves.contains(leaf);
            for entry in listed {
                digest.push(&entry);
                entries += 1;
                let NodeKind::File { size, content, .. } = &entry.kind else {
                    continue;
                };
                files += 1;
                logical = logical.saturating_add(*size);
                let place = Place {
                    before,
                    leaf,
                    entry: &entry,
                    hash_key: &index.hash_key,
                    key,
                };
                // What a map holds is remembered by file, so that the next snapshot finds it whatever its leaf.
                if new || matches!(content, Content::Maps(_)) {
                    self.file(&place, new, now, names, extents).await?;
                }
            }
            now.leaves.insert(*leaf);
        }
        let tree = &manifest.tree;
        if (digest.finish(), entries, files, logical) != (tree.digest, tree.entries, tree.files, tree.logical_bytes) {
            let object = layout::tree(&tree.root);
            return Err(ArchiveError::damaged(
                &object,
                "its tree is not the one that the manifest signs",
            ));
        }
        Ok(())
    }

    async fn file(
        &self,
        place: &Place<'_>,
        new: bool,
        now: &mut Walked,
        names: &mut Names<'_>,
        extents: &mut Extents,
    ) -> Result<(), ArchiveError> {
        let NodeKind::File {
            size, digest, content, ..
        } = &place.entry.kind
        else {
            return Ok(());
        };
        let mut sum = FileSum::new(place.hash_key);
        match content {
            Content::Inline(inline) => {
                for extent in inline {
                    extents.push(extent, place.key)?;
                    sum.take(extent);
                }
            }
            Content::Maps(maps) => {
                let whole = identity(place, *size, digest, maps);
                let path = path_number(&place.entry.path);
                let known = !new || place.before.files.contains(&whole);
                let repository = self.repository;
                let mut reads = stream::iter(if known { &[] } else { &maps[..] })
                    .map(|map| repository.read_sized_map(map))
                    .buffered(MAPS);
                for (at, map) in (0u32..).zip(maps) {
                    if let Some(read) = reads.next().await {
                        let (read, bytes) = read?;
                        names.note_read(Named::Tree, map, bytes)?;
                        self.hand_on((path, at), map, &read, place, extents).await?;
                        read.iter().for_each(|extent| sum.take(extent));
                    }
                    if now.maps.len() < REMEMBERED {
                        now.maps.insert((path, at), *map);
                    }
                }
                if now.files.len() < REMEMBERED {
                    now.files.insert(whole);
                }
                if known {
                    return Ok(());
                }
            }
        }
        if sum.is(*size, digest) {
            return Ok(());
        }
        let path = String::from_utf8_lossy(&place.entry.path);
        Err(ArchiveError::damaged(
            &layout::tree(place.leaf),
            format!("the extents of {path} are not those of its digest"),
        ))
    }

    /// Hands on the extents of a map that the one in its place before does not have at the same place.
    async fn hand_on(
        &self,
        at: (u64, u32),
        map: &Digest,
        read: &[Extent],
        place: &Place<'_>,
        extents: &mut Extents,
    ) -> Result<(), ArchiveError> {
        let before = match place.before.maps.get(&at) {
            Some(before) if before == map => return Ok(()),
            Some(before) => self.repository.read_map(before).await?,
            None => Vec::new(),
        };
        let mut old = before.iter();
        let (mut old_end, mut current) = (0u64, None);
        let mut position = 0u64;
        for extent in read {
            while old_end <= position
                && let Some(next) = old.next()
            {
                current = Some((old_end, next));
                old_end = old_end.saturating_add(next.length);
            }
            if current.is_none_or(|(start, old)| start != position || !same(old, extent)) {
                extents.push(extent, place.key)?;
            }
            position = position.saturating_add(extent.length);
        }
        Ok(())
    }
}

/// Whether both are the same bytes at the same place of the same frame, compared with the same check.
fn same(a: &Extent, b: &Extent) -> bool {
    (a.length, &a.check, &a.location) == (b.length, &b.check, &b.location)
}

/// Where a file stands.
struct Place<'a> {
    before: &'a Walked,
    leaf: &'a Digest,
    entry: &'a TreeEntry,
    hash_key: &'a HashKey,
    /// The number of the hash key.
    key: u32,
}

/// Everything that makes up a file's content. Two files that are equal in it add up or do not add up alike.
fn identity(place: &Place<'_>, size: u64, digest: &[u8; 32], maps: &[Digest]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(place.hash_key.as_bytes());
    hasher.update(&path_number(&place.entry.path).to_le_bytes());
    hasher.update(&size.to_le_bytes());
    hasher.update(digest);
    for map in maps {
        hasher.update(map.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

fn path_number(path: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&blake3::hash(path).as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// Adds up a file's extents.
struct FileSum {
    key: HashKey,
    digest: FileDigest,
    /// Extents of a group that are still to come.
    grouped: u32,
    size: u64,
    in_blocks: bool,
}

impl FileSum {
    fn new(key: &HashKey) -> Self {
        Self {
            key: key.clone(),
            digest: FileDigest::new(key),
            grouped: 0,
            size: 0,
            in_blocks: true,
        }
    }

    fn take(&mut self, extent: &Extent) {
        let aligned = self.size.is_multiple_of(BLOCK as u64);
        self.size = self.size.saturating_add(extent.length);
        if let Some(group) = &extent.group {
            self.digest.push_block(&group.hash);
            self.grouped = group.extents;
        }
        if self.grouped > 0 {
            self.grouped -= 1;
            return;
        }
        self.in_blocks &= aligned;
        if let Check::Whole(hash) = &extent.check {
            self.in_blocks &= extent.length <= BLOCK as u64;
            self.digest.push_block(hash);
        } else {
            self.zeros(extent.length);
        }
    }

    fn zeros(&mut self, length: u64) {
        static ZEROS: [u8; BLOCK] = [0; BLOCK];
        let whole = length / BLOCK as u64;
        let hash = self.key.hash(&ZEROS);
        for _ in 0..whole {
            self.digest.push_block(&hash);
        }
        let rest = usize::try_from(length % BLOCK as u64).unwrap_or(0);
        if rest > 0 {
            self.digest.push_block(&self.key.hash(&ZEROS[..rest]));
        }
    }

    /// Whether it is a file of this length and digest, as far as blocks tell: extents that are no blocks say nothing of the digest.
    fn is(self, size: u64, digest: &[u8; 32]) -> bool {
        self.size == size && (!self.in_blocks || self.digest.finish() == *digest)
    }
}
