//! What an open repository knows of runs: which keys this host could unwrap, and which run and salt a pack was sealed with.
//!
//! Shared by all clones of a repository. Grows by 96 bytes per sealed pack that a tree named: 30 MB for 10 TB.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use muster_signing::Digest;

use super::cipher::Cipher;
use super::run::{RunId, RunSeal};
use super::wrap::Identities;

/// What a pack was sealed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedAt {
    /// The run that wrote it.
    pub run: RunId,
    /// The salt in its header.
    pub salt: [u8; 32],
}

/// Keys and places, as far as they are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keyring {
    identities: Option<Identities>,
    known: Arc<RwLock<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    keys: HashMap<RunId, RunSeal>,
    /// Epoch, and how many were noted before.
    epochs: HashMap<RunId, (u64, usize)>,
    packs: HashMap<Digest, SealedAt>,
    /// Tree objects that a writer made or uses again.
    trees: HashMap<Digest, RunId>,
}

impl Keyring {
    pub(crate) fn with_identities(identities: Identities) -> Self {
        Self {
            identities: Some(identities),
            known: Arc::default(),
        }
    }

    pub(crate) fn identities(&self) -> Option<&Identities> {
        self.identities.as_ref()
    }

    /// Remembers what a pack was sealed with.
    pub(crate) fn note_pack(&self, pack: Digest, sealed: SealedAt) {
        self.write(|known| known.packs.insert(pack, sealed));
    }

    pub(crate) fn pack(&self, pack: &Digest) -> Option<SealedAt> {
        self.read(|known| known.packs.get(pack).copied())
    }

    /// Remembers which run sealed a tree object that a new tree may name again.
    pub(crate) fn note_tree(&self, tree: Digest, run: RunId) {
        self.write(|known| known.trees.insert(tree, run));
    }

    pub(crate) fn tree(&self, tree: &Digest) -> Option<RunId> {
        self.read(|known| known.trees.get(tree).copied())
    }

    /// Remembers under which epoch a run's key was wrapped. Runs are noted oldest first.
    pub(crate) fn note_epoch(&self, run: RunId, epoch: u64) {
        self.write(|known| {
            let age = known.epochs.len();
            known.epochs.entry(run).or_insert((epoch, age)).0 = epoch;
        });
    }

    pub(crate) fn epoch(&self, run: &RunId) -> Option<u64> {
        self.read(|known| known.epochs.get(run).map(|epoch| epoch.0))
    }

    /// How many runs were noted before this one.
    pub(crate) fn age(&self, run: &RunId) -> usize {
        self.read(|known| known.epochs.get(run).map_or(usize::MAX, |epoch| epoch.1))
    }

    pub(crate) fn note_key(&self, seal: RunSeal) {
        self.write(|known| known.keys.insert(seal.run(), seal));
    }

    pub(crate) fn key(&self, run: &RunId) -> Option<RunSeal> {
        self.read(|known| known.keys.get(run).cloned())
    }

    /// The cipher of a pack; `None` where it is not known to be sealed, or its run's key is not at hand.
    pub(crate) fn cipher(&self, pack: &Digest) -> Option<Cipher> {
        let sealed = self.pack(pack)?;
        self.key(&sealed.run)?.cipher(&sealed.salt).ok()
    }

    fn read<T>(&self, ask: impl FnOnce(&Known) -> T) -> T {
        ask(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Known) -> T) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut known);
    }
}
