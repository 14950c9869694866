//! Reading trees: the index, listing leaves, extent maps, and ranges of packs.
//!
//! Invariant: what is sealed is opened with the key of the run that its header names, and with no other.

use std::ops::Range;

use bytes::Bytes;
use muster_signing::Digest;

use super::Repository;
use crate::content::HashKey;
use crate::frame::FrameDecoder;
use crate::manifest::Manifest;
use crate::tree::{self, Extent, TreeEntry};
use crate::{ArchiveError, layout};

/// The index of a snapshot's tree, read whole.
#[derive(Clone, Debug)]
pub struct TreeIndex {
    /// The key of the hashes in the tree.
    pub hash_key: HashKey,
    /// Ids of the listing leaves, in order.
    pub leaves: Vec<Digest>,
    /// Ids of the index objects on the way to them.
    pub indexes: Vec<Digest>,
    /// Their stored lengths.
    pub index_bytes: Vec<u64>,
    /// Whether the root says that all entries are in path order.
    pub ordered: bool,
}

impl Repository {
    /// The ids of the listing leaves of a tree, in order.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`], [`ArchiveError::Damaged`], storage errors.
    pub async fn tree_leaves(&self, manifest: &Manifest) -> Result<Vec<Digest>, ArchiveError> {
        Ok(self.tree_index(manifest).await?.leaves)
    }

    /// The whole index of a snapshot's tree.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`], [`ArchiveError::Damaged`], storage errors.
    pub async fn tree_index(&self, manifest: &Manifest) -> Result<TreeIndex, ArchiveError> {
        self.unlock(manifest).await?;
        let mut pending = vec![(manifest.tree.root, None)];
        let (mut leaves, mut indexes, mut index_bytes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut hash_key, mut ordered) = (None, None);
        while let Some((id, expected)) = pending.pop() {
            let object = layout::tree(&id);
            let bytes = self
                .get_content(&object, &id, tree::OBJECT_MAX, &manifest.snapshot)
                .await?;
            let cipher = self.tree_cipher(&bytes).await?;
            let index =
                tree::read_index(&bytes, cipher.as_ref()).map_err(|error| ArchiveError::damaged(&object, error))?;
            if expected.is_some_and(|level| index.level != level) {
                return Err(ArchiveError::damaged(&object, "it is an index of another level"));
            }
            if *hash_key.get_or_insert_with(|| index.hash_key.clone()) != index.hash_key {
                return Err(ArchiveError::damaged(
                    &object,
                    "its hash key is not the one of its root",
                ));
            }
            indexes.push(id);
            index_bytes.push(bytes.len() as u64);
            ordered.get_or_insert(index.ordered);
            match index.level.checked_sub(1) {
                None => leaves.extend(index.children.iter().map(|child| child.id)),
                below => pending.extend(index.children.iter().rev().map(|child| (child.id, below))),
            }
        }
        let hash_key = hash_key.ok_or_else(|| ArchiveError::Invalid("a tree has no root".to_owned()))?;
        Ok(TreeIndex {
            hash_key,
            leaves,
            indexes,
            index_bytes,
            ordered: ordered.unwrap_or(false),
        })
    }

    /// The entries of one listing leaf.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`], [`ArchiveError::Damaged`], storage errors.
    pub async fn read_leaf(&self, id: &Digest) -> Result<Vec<TreeEntry>, ArchiveError> {
        Ok(self.read_sized_leaf(id).await?.0)
    }

    /// The same with the stored length.
    pub(crate) async fn read_sized_leaf(&self, id: &Digest) -> Result<(Vec<TreeEntry>, u64), ArchiveError> {
        let object = layout::tree(id);
        let bytes = self
            .get_content(&object, id, tree::OBJECT_MAX, "the snapshot's index")
            .await?;
        let cipher = self.tree_cipher(&bytes).await?;
        let (entries, packs) =
            tree::read_leaf(&bytes, cipher.as_ref()).map_err(|error| ArchiveError::damaged(&object, error))?;
        self.note_packs(&packs).await?;
        Ok((entries, bytes.len() as u64))
    }

    /// The extents of one extent map.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`], [`ArchiveError::Damaged`], storage errors.
    pub async fn read_map(&self, id: &Digest) -> Result<Vec<Extent>, ArchiveError> {
        Ok(self.read_sized_map(id).await?.0)
    }

    /// The same with the stored length.
    pub(crate) async fn read_sized_map(&self, id: &Digest) -> Result<(Vec<Extent>, u64), ArchiveError> {
        let object = layout::tree(id);
        let bytes = self
            .get_content(&object, id, tree::OBJECT_MAX, "the snapshot's listing")
            .await?;
        let cipher = self.tree_cipher(&bytes).await?;
        let (extents, packs) =
            tree::read_map(&bytes, cipher.as_ref()).map_err(|error| ArchiveError::damaged(&object, error))?;
        self.note_packs(&packs).await?;
        Ok((extents, bytes.len() as u64))
    }

    /// A decoder for the frames of whatever leaves and maps were read from this repository, plain or sealed.
    ///
    /// # Errors
    /// Where zstd cannot allocate its context.
    pub fn frame_decoder(&self) -> std::io::Result<FrameDecoder> {
        FrameDecoder::with_keyring(self.keyring.clone())
    }

    /// A range of a pack as it is stored. The caller decodes frames and compares their extents' hashes.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`], [`ArchiveError::Damaged`] where the pack is too short, storage errors.
    pub async fn read_pack_range(&self, id: &Digest, range: Range<u64>) -> Result<Bytes, ArchiveError> {
        let object = layout::pack(id);
        self.store
            .get_range(&object, range)
            .await
            .map_err(|error| ArchiveError::of(error, &object, "the snapshot's tree"))
    }
}
