//! What a snapshot may lean on: the extents and tree objects of its parent.
//!
//! Invariant: only what a verified manifest's tree names is leaned on, by the full 32-byte hash and the length. Beyond the
//! budget extents are left out, which costs space and never correctness.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use muster_signing::{Digest, Verified};

use crate::list::Named;
use crate::tree::{Content, Extent, Location, NodeKind};
use crate::{ArchiveError, Manifest, ParentRef, Repository};

/// Bytes that an extent costs in the table, measured with a load of 50 %.
const PER_EXTENT: u64 = 200;

/// The parent of a snapshot that is being written.
#[derive(Debug, Default)]
pub struct Parent {
    pub(super) reference: Option<ParentRef>,
    extents: Table,
    pub(super) objects: BTreeMap<(Named, Digest), u64>,
}

/// Extents by their hash.
pub(super) type Table = HashMap<[u8; 32], (u32, Location), BuildHasherDefault<First8>>;

impl Parent {
    /// Nothing to lean on.
    pub fn none() -> Self {
        Self::default()
    }

    pub(super) async fn load(
        repository: &Repository,
        manifest: &Verified<Manifest>,
        budget: u64,
    ) -> Result<Self, ArchiveError> {
        let reference = ParentRef {
            snapshot: manifest.snapshot.clone(),
            digest: manifest.digest,
        };
        let objects = repository.objects_of(manifest).await?;
        let mut parent = Self {
            reference: Some(reference),
            extents: Table::default(),
            objects,
        };
        let most = usize::try_from(budget / PER_EXTENT).unwrap_or(usize::MAX);
        for leaf in repository.tree_leaves(manifest).await? {
            for entry in repository.read_leaf(&leaf).await? {
                let NodeKind::File { content, .. } = entry.kind else {
                    continue;
                };
                match content {
                    Content::Inline(extents) => parent.take(&extents, most),
                    Content::Maps(maps) => {
                        for map in maps {
                            parent.take(&repository.read_map(&map).await?, most);
                        }
                    }
                }
            }
        }
        Ok(parent)
    }

    fn take(&mut self, extents: &[Extent], most: usize) {
        for extent in extents {
            let (Some(location), Ok(length)) = (extent.location, u32::try_from(extent.length)) else {
                continue;
            };
            if self.extents.len() >= most {
                return;
            }
            self.extents.entry(extent.hash).or_insert((length, location));
        }
    }

    /// Where the parent keeps an extent with this hash and length.
    pub(super) fn find(&self, hash: &[u8; 32], length: u32) -> Option<Location> {
        self.extents
            .get(hash)
            .filter(|found| found.0 == length)
            .map(|found| found.1)
    }
}

/// Hashes a BLAKE3 value by its first eight bytes, which are as good as any.
#[derive(Default)]
pub(super) struct First8(u64);

impl Hasher for First8 {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>()
            && bytes.len() == 32
        {
            self.0 = u64::from_le_bytes(*first);
        }
    }
}
