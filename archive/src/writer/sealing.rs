//! What a run seals with while it writes, and which runs its snapshot needs in the end.
//!
//! Invariant: the run's wrapped key is in the repository before its first pack; a snapshot names the run of every object in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_signing::Digest;
use tokio::runtime::Handle;

use crate::edge::Edge;
use crate::list::Named;
use crate::seal::{RunSeal, SealedAt, TreeSeal};
use crate::{ArchiveError, Encryption, Repository, layout};

/// The seal of one run; nothing in a plain repository.
pub(super) struct Sealing {
    repository: Repository,
    handle: Handle,
    run: Option<Run>,
}

struct Run {
    seal: RunSeal,
    tree: TreeSeal,
    /// SHA-256 and bytes of the wrapped key.
    wrapped: (Digest, u64),
}

impl Sealing {
    /// Makes and puts the key of a run where the repository is encrypted. Blocks.
    pub(super) fn begin(repository: Repository, handle: Handle, edge: &Arc<dyn Edge>) -> Result<Self, ArchiveError> {
        let begun = handle.block_on(repository.begin_run(&**edge))?;
        let run = begun.map(|(seal, digest, bytes)| Run {
            tree: TreeSeal::new(seal.clone(), repository.keyring().clone(), Arc::clone(edge)),
            seal,
            wrapped: (digest, bytes),
        });
        Ok(Self {
            repository,
            handle,
            run,
        })
    }

    /// What a new pack is sealed with.
    pub(super) fn pack(&self) -> Option<RunSeal> {
        self.run.as_ref().map(|run| run.seal.clone())
    }

    /// What new tree objects are sealed with.
    pub(super) fn tree(&self) -> Option<TreeSeal> {
        self.run.as_ref().map(|run| run.tree.clone())
    }

    /// A pack of this run was closed.
    pub(super) fn note_pack(&self, id: Digest, sealed: Option<SealedAt>) {
        if let Some(sealed) = sealed {
            self.repository.keyring().note_pack(id, sealed);
        }
    }

    /// A tree object of this run was made.
    pub(super) fn note_tree(&self, id: Digest) {
        if let Some(run) = &self.run {
            self.repository.keyring().note_tree(id, run.seal.run());
        }
    }

    /// Adds the wrapped keys of all runs that sealed `objects` to them, and the own one's bytes to `added`. Blocks.
    pub(super) fn finish(
        &self,
        objects: &mut BTreeMap<(Named, Digest), u64>,
        added: &mut u64,
    ) -> Result<Option<Encryption>, ArchiveError> {
        let Some(run) = &self.run else { return Ok(None) };
        let own = run.seal.run();
        let keyring = self.repository.keyring();
        let mut runs = BTreeSet::new();
        for (what, id) in objects.keys() {
            let (sealed, object) = match what {
                Named::Pack => (keyring.pack(id).map(|sealed| sealed.run), layout::pack(id)),
                Named::Tree => (keyring.tree(id), layout::tree(id)),
                Named::List | Named::Run => continue,
            };
            let unknown =
                || ArchiveError::Invalid(format!("{object} was leaned on, and no run is known to have sealed it"));
            runs.insert(sealed.ok_or_else(unknown)?);
        }
        let encryption = self.repository.encryption_of(&runs, own)?;
        let others = &encryption.runs[..encryption.runs.len() - 1];
        for (_, digest, bytes) in self
            .handle
            .block_on(self.repository.run_objects(others, &|_, _| true))?
        {
            objects.insert((Named::Run, digest), bytes);
        }
        objects.insert((Named::Run, run.wrapped.0), run.wrapped.1);
        *added += run.wrapped.1;
        Ok(Some(encryption))
    }
}
