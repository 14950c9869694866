//! What a snapshot may lean on: the extents and tree objects of its parent.
//!
//! Invariant: only what a verified manifest's tree names and what is there in its full length is leaned on. Beyond the budget
//! extents are left out, which costs space and never correctness.

use std::collections::{BTreeMap, HashMap};

use futures_util::{StreamExt as _, stream};
use muster_signing::{Digest, Verified};

use crate::content::HashKey;
use crate::list::Named;
use crate::object_store::ErrorKind;
use crate::tree::{Content, Extent, Location, NodeKind};
use crate::{ArchiveError, Manifest, ParentRef, Repository, layout};

/// Objects asked for at the same time.
const PARALLEL: usize = 16;

/// The parent of a snapshot that is being written.
#[derive(Debug, Default)]
pub struct Parent {
    hash_key: Option<HashKey>,
    pub(super) reference: Option<ParentRef>,
    pub(super) objects: BTreeMap<(Named, Digest), u64>,
    packs: Vec<Digest>,
    extents: Vec<Known>,
    lost: Vec<Digest>,
}

/// An extent of the parent, in as few bytes as it takes. 24 bytes of a BLAKE3 hash leave a forger 2⁹⁶ tries.
#[derive(Clone, Copy, Debug)]
struct Known {
    hash: [u8; 24],
    length: u32,
    pack: u32,
    ordinal: u32,
    offset: u32,
    stored: u32,
    frame_length: u32,
    within_raw: u32,
}

impl Parent {
    /// Nothing to lean on.
    pub fn none() -> Self {
        Self::default()
    }

    /// The key of its hashes, which a snapshot that leans on it shares.
    pub(super) fn hash_key(&self) -> Option<&HashKey> {
        self.hash_key.as_ref()
    }

    /// Packs that the parent names and that are not there, or not whole: their extents are stored again.
    pub fn lost_packs(&self) -> &[Digest] {
        &self.lost
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
        let mut objects = repository.objects_of(manifest).await?;
        let lost = lost_packs(repository, &objects).await?;
        for pack in &lost {
            objects.remove(&(Named::Pack, *pack));
        }
        let index = repository.tree_index(manifest).await?;
        let mut loading = Loading {
            most: usize::try_from(budget).unwrap_or(usize::MAX) / size_of::<Known>(),
            positions: HashMap::new(),
            parent: Self {
                hash_key: Some(index.hash_key),
                reference: Some(reference),
                objects,
                lost,
                ..Self::default()
            },
        };
        for leaf in index.leaves {
            for entry in repository.read_leaf(&leaf).await? {
                let NodeKind::File { content, .. } = entry.kind else {
                    continue;
                };
                match content {
                    Content::Inline(extents) => loading.take(&extents),
                    Content::Maps(maps) => {
                        for map in maps {
                            loading.take(&repository.read_map(&map).await?);
                        }
                    }
                }
            }
        }
        let mut parent = loading.parent;
        parent.extents.sort_unstable_by_key(|known| known.hash);
        Ok(parent)
    }

    /// Where the parent keeps an extent with this hash and length.
    pub(super) fn find(&self, hash: &[u8; 32], length: u32) -> Option<Location> {
        let short = hash.first_chunk::<24>()?;
        let at = self.extents.binary_search_by(|known| known.hash.cmp(short)).ok()?;
        let known = self.extents.get(at).filter(|known| known.length == length)?;
        Some(Location {
            pack: *self.packs.get(known.pack as usize)?,
            ordinal: known.ordinal,
            offset: known.offset,
            stored: known.stored,
            raw: known.within_raw & 1 == 1,
            frame_length: known.frame_length,
            within: known.within_raw >> 1,
        })
    }
}

struct Loading {
    parent: Parent,
    positions: HashMap<Digest, u32>,
    most: usize,
}

impl Loading {
    fn take(&mut self, extents: &[Extent]) {
        for extent in extents {
            let (Some(location), Ok(length)) = (extent.location, u32::try_from(extent.length)) else {
                continue;
            };
            let parent = &mut self.parent;
            if parent.extents.len() >= self.most {
                return;
            }
            if !parent.objects.contains_key(&(Named::Pack, location.pack)) {
                continue;
            }
            let pack = *self.positions.entry(location.pack).or_insert_with(|| {
                parent.packs.push(location.pack);
                u32::try_from(parent.packs.len() - 1).unwrap_or(u32::MAX)
            });
            let mut hash = [0; 24];
            hash.copy_from_slice(&extent.hash[..24]);
            parent.extents.push(Known {
                hash,
                length,
                pack,
                ordinal: location.ordinal,
                offset: location.offset,
                stored: location.stored,
                frame_length: location.frame_length,
                within_raw: (location.within << 1) | u32::from(location.raw),
            });
        }
    }
}

/// The packs of a list that are absent or have another length.
async fn lost_packs(
    repository: &Repository,
    objects: &BTreeMap<(Named, Digest), u64>,
) -> Result<Vec<Digest>, ArchiveError> {
    let packs = objects
        .iter()
        .filter(|((what, _), _)| *what == Named::Pack)
        .map(|((_, id), bytes)| (*id, *bytes));
    let mut heads = stream::iter(packs)
        .map(|(id, bytes)| async move { (id, bytes, repository.objects().head(&layout::pack(&id)).await) })
        .buffer_unordered(PARALLEL);
    let mut lost = Vec::new();
    while let Some((id, bytes, head)) = heads.next().await {
        match head {
            Ok(meta) if meta.size == bytes => {}
            Ok(_) => lost.push(id),
            Err(error) if error.kind == ErrorKind::NotFound => lost.push(id),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(lost)
}
