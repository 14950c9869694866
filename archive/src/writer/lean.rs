//! Finding what a run may lean on: its parent, by the writer's own index or by the parent's maps, and what an interrupted run left.
//!
//! Invariant: hashes are compared only where they have the same key.

use std::collections::HashSet;

use muster_signing::{Digest, Verified};
use tokio::runtime::Handle;

use super::journal::Records;
use super::parent::{Parent, absent};
use super::{WriterOptions, journal};
use crate::content::HashKey;
use crate::{ArchiveError, Manifest, Repository};

impl Repository {
    /// What a new snapshot of a store may lean on: the frames and tree objects of `manifest`, found by their hashes, as far as the
    /// budget allows.
    ///
    /// # Errors
    /// Where the parent cannot be read; the caller then writes without one.
    pub async fn parent(&self, manifest: &Verified<Manifest>, budget: u64) -> Result<Parent, ArchiveError> {
        Parent::by_maps(self, manifest, budget).await
    }

    /// What a run with these options may lean on. Blocks.
    ///
    /// # Errors
    /// Where the parent cannot be read; [`Self::lean_on_nothing`] then writes without one.
    pub fn lean_on(
        &self,
        manifest: &Verified<Manifest>,
        options: &WriterOptions,
        handle: &Handle,
    ) -> Result<Parent, ArchiveError> {
        let room = options.memory / 4;
        let ours = options.index.as_ref().filter(|indexing| {
            manifest
                .index
                .as_ref()
                .is_some_and(|index| index.key == indexing.key.id())
        });
        let by_index =
            ours.map(|indexing| handle.block_on(Parent::by_index(self, manifest, indexing, room, handle.clone())));
        let parent = match by_index {
            Some(Ok(parent)) => parent,
            Some(Err(error)) if !error.is_damage() => return Err(error),
            other => {
                if let Some(Err(error)) = other {
                    tracing::warn!(%error, "the index cannot be read: the parent is searched by hash, or stored again");
                }
                handle.block_on(Parent::by_maps(self, manifest, room))?
            }
        };
        self.resume(parent, options, handle)
    }

    /// What a run without a parent may lean on: nothing but what an interrupted run left. Blocks.
    ///
    /// # Errors
    /// Where the storage does not say whether that is still there.
    pub fn lean_on_nothing(&self, options: &WriterOptions, handle: &Handle) -> Result<Parent, ArchiveError> {
        self.resume(Parent::none(), options, handle)
    }

    fn resume(&self, mut parent: Parent, options: &WriterOptions, handle: &Handle) -> Result<Parent, ArchiveError> {
        if parent.hash_key.is_none()
            && let Some(indexing) = &options.index
        {
            parent.hash_key = Some(indexing.hash_key(self)?);
        }
        let Some(path) = options.journal.as_deref() else {
            return Ok(parent);
        };
        let epoch = self.keys().epoch;
        let fits = |records: &Records| {
            records.epoch == epoch && parent.hash_key.as_ref().is_none_or(|key| *key == records.hash_key)
        };
        let Some(records) = Records::open(path).filter(fits) else {
            return Ok(parent);
        };
        let key: HashKey = records.hash_key.clone();
        let mut packs = Vec::new();
        for journal::Left {
            pack, bytes, sealed, ..
        } in records
        {
            if let Some(sealed) = sealed {
                self.note_sealed(pack, sealed);
                self.note_epoch(sealed.run, epoch);
            }
            packs.push((pack, bytes));
        }
        let suspects = self.suspects()?;
        let gone: HashSet<Digest> = handle.block_on(absent(self, packs.clone()))?.into_iter().collect();
        packs.retain(|(pack, _)| !gone.contains(pack) && !suspects.contains(pack));
        parent.resumed.extend(packs);
        if let Some(records) = Records::open(path) {
            let there = |pack: &Digest| parent.resumed.contains_key(pack);
            parent.left = records.learn(there, options.memory / 8);
        }
        parent.hash_key = Some(key);
        Ok(parent)
    }
}
