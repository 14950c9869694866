//! Run keys: made and wrapped by whoever writes, unwrapped by whoever holds an identity.
//!
//! Invariant: a run's key is in the repository, wrapped to every recipient of the newest key document, before anything that the run
//! sealed is; a key that does not make up the run's name is never used.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use muster_signing::{Digest, ENCRYPTION_NONE, ENCRYPTION_REQUIRED, KeyDocument, payload};
use zeroize::Zeroizing;

use super::Repository;
use crate::edge::Edge;
use crate::manifest::{Encryption, Manifest, RUNS_MAX, RunRef};
use crate::object_store::PutOptions;
use crate::seal::{Cipher, Identities, Keyring, RunId, RunSeal, wrap};
use crate::tree::{Packs, sealed_at};
use crate::{ArchiveError, layout};

/// Most bytes of a wrapped run key.
const WRAPPED_MAX: u64 = 64 << 10;
/// Run keys asked for at the same time.
const PARALLEL: usize = 16;

/// What a new snapshot may lean on of an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lean {
    /// Nothing: one is plain and the other sealed, or nobody who should read the new one could read the old.
    Nothing,
    /// Everything: both are plain.
    #[default]
    Plain,
    /// What these runs sealed.
    Runs(BTreeSet<RunId>),
}

impl Repository {
    /// The same repository for a host that can decrypt.
    #[must_use]
    pub fn with_identities(self, identities: Identities) -> Self {
        Self {
            keyring: Keyring::with_identities(identities),
            ..self
        }
    }

    /// Whether the root demands that what is written now is sealed.
    pub fn is_encrypted(&self) -> bool {
        self.keys.encryption != ENCRYPTION_NONE
    }

    /// Fetches and unwraps the key of every run that a snapshot needs. Nothing for a plain one.
    ///
    /// # Errors
    /// [`ArchiveError::NoIdentity`], [`ArchiveError::Missing`], [`ArchiveError::Damaged`], storage errors.
    pub async fn unlock(&self, manifest: &Manifest) -> Result<(), ArchiveError> {
        let object = || layout::manifest(&manifest.store, &manifest.snapshot);
        self.note_runs(manifest)
            .map_err(|reason| ArchiveError::damaged(&object(), reason))?;
        let runs = manifest.encryption.iter().flat_map(|encryption| &encryption.runs);
        stream::iter(runs)
            .map(|run| self.run_seal(run.run))
            .buffer_unordered(PARALLEL)
            .try_for_each(|_| async { Ok(()) })
            .await
    }

    /// The wrapped keys of a snapshot's runs: object, SHA-256 and bytes of each. Needs no identity. One that is not `listed` is looked for
    /// in its versions.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`], storage errors.
    pub(crate) async fn run_objects(
        &self,
        runs: &[RunRef],
        listed: &(dyn Fn(&Digest, u64) -> bool + Sync),
    ) -> Result<Vec<(String, Digest, u64)>, ArchiveError> {
        let fits = |bytes: &[u8]| listed(&Digest::of(bytes), bytes.len() as u64);
        let fits = &fits;
        stream::iter(runs.iter().copied())
            .map(|run| async move {
                let object = layout::run_key(&run.run, run.epoch);
                let mut bytes = self.get(&object, WRAPPED_MAX, "the manifest").await?;
                if !fits(&bytes)
                    && let Some(older) = self.store.recover(&object, WRAPPED_MAX, fits).await?
                {
                    bytes = older;
                }
                Ok((object, Digest::of(&bytes), bytes.len() as u64))
            })
            .buffered(PARALLEL)
            .try_collect()
            .await
    }

    /// Begins a run: asks whether the place is still what it was, makes the run's key and puts it, wrapped to the present recipients. `None` in a plain repository.
    ///
    /// # Errors
    /// [`ArchiveError::TooNew`] where the root demands an encryption that this version does not know; storage errors.
    pub(crate) async fn begin_run(&self, edge: &dyn Edge) -> Result<Option<(RunSeal, Digest, u64)>, ArchiveError> {
        self.check_encryption()?;
        self.recheck().await?;
        if !self.is_encrypted() {
            return Ok(None);
        }
        let mut key = Zeroizing::new([0; 32]);
        edge.fill(&mut *key);
        let seal = RunSeal::new(self.id(), key)?;
        let (run, epoch) = (seal.run(), self.keys.epoch);
        let object = wrap(seal.key(), &self.keys.recipients)?;
        let (digest, length) = (Digest::of(&object), object.len() as u64);
        self.store
            .put(&layout::run_key(&run, epoch), Bytes::from(object), PutOptions::CREATE)
            .await?;
        self.keyring.note_epoch(run, epoch);
        Ok(Some((seal, digest, length)))
    }

    /// Fails where the root demands what this version cannot do.
    pub(crate) fn check_encryption(&self) -> Result<(), ArchiveError> {
        let mode = &self.keys.encryption;
        if mode == ENCRYPTION_NONE || mode == ENCRYPTION_REQUIRED {
            return Ok(());
        }
        Err(ArchiveError::TooNew {
            object: layout::key_document(self.keys.epoch),
            features: format!("encryption {mode:?}"),
        })
    }

    /// What a new snapshot may lean on of this one: what was sealed by runs whose keys are wrapped to every present recipient. Plain
    /// snapshots lean on plain ones only.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`], [`ArchiveError::Missing`], storage errors.
    pub(crate) async fn lean(&self, manifest: &Manifest) -> Result<Lean, ArchiveError> {
        let runs = match (&manifest.encryption, self.is_encrypted()) {
            (None, false) => return Ok(Lean::Plain),
            (Some(encryption), true) => &encryption.runs,
            _ => return Ok(Lean::Nothing),
        };
        let mut epochs: BTreeMap<u64, bool> = BTreeMap::new();
        let mut allowed = BTreeSet::new();
        // One place is left for the new run; the oldest make room.
        for run in runs.iter().rev().take(RUNS_MAX - 1) {
            let wrapped = match epochs.get(&run.epoch) {
                Some(wrapped) => *wrapped,
                None => {
                    let could = self.recipients_at(run.epoch).await?;
                    let wrapped = self.keys.recipients.iter().all(|now| could.contains(now));
                    epochs.insert(run.epoch, wrapped);
                    wrapped
                }
            };
            if wrapped {
                allowed.insert(run.run);
            }
        }
        Ok(if allowed.is_empty() {
            Lean::Nothing
        } else {
            Lean::Runs(allowed)
        })
    }

    /// What the manifest says of the runs that its objects were sealed with.
    ///
    /// # Errors
    /// [`ArchiveError::Invalid`] where nothing said under which epoch a run's key was wrapped.
    pub(crate) fn encryption_of(&self, runs: &BTreeSet<RunId>, own: RunId) -> Result<Encryption, ArchiveError> {
        let epoch = |run: RunId| {
            let epoch = self.keyring.epoch(&run);
            epoch
                .map(|epoch| RunRef { run, epoch })
                .ok_or_else(|| ArchiveError::Invalid(format!("the epoch of run {run} is not known")))
        };
        let mut runs = runs
            .iter()
            .filter(|run| **run != own)
            .map(|run| epoch(*run))
            .collect::<Result<Vec<_>, _>>()?;
        runs.sort_by_key(|run| self.keyring.age(&run.run));
        runs.push(epoch(own)?);
        Ok(Encryption { runs })
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Remembers a manifest's runs and their epochs.
    pub(super) fn note_runs(&self, manifest: &Manifest) -> Result<(), &'static str> {
        let Some(encryption) = &manifest.encryption else {
            return Ok(());
        };
        if encryption.runs.is_empty() || encryption.runs.len() > RUNS_MAX {
            return Err("it names no run, or more than 512");
        }
        for run in &encryption.runs {
            self.keyring.note_epoch(run.run, run.epoch);
        }
        Ok(())
    }

    /// Remembers what packs were sealed with, and has the keys of their runs at hand.
    pub(super) async fn note_packs(&self, packs: &Packs) -> Result<(), ArchiveError> {
        let mut runs = BTreeSet::new();
        for (pack, sealed) in packs.sealed() {
            self.keyring.note_pack(pack, sealed);
            runs.insert(sealed.run);
        }
        for run in runs {
            self.run_seal(run).await?;
        }
        Ok(())
    }

    /// The cipher of a sealed tree object; `None` where it is plain.
    pub(super) async fn tree_cipher(&self, bytes: &[u8]) -> Result<Option<Cipher>, ArchiveError> {
        match sealed_at(bytes) {
            None => Ok(None),
            Some(sealed) => Ok(Some(self.run_seal(sealed.run).await?.cipher(&sealed.salt)?)),
        }
    }

    async fn run_seal(&self, run: RunId) -> Result<RunSeal, ArchiveError> {
        if let Some(seal) = self.keyring.key(&run) {
            return Ok(seal);
        }
        let noted = self.keyring.epoch(&run).unwrap_or(self.keys.epoch);
        let object = layout::run_key(&run, noted);
        let Some(identities) = self.keyring.identities() else {
            return Err(ArchiveError::NoIdentity {
                object,
                reason: "this host has no identity that could decrypt".to_owned(),
                recipients: self.recipients_at(noted).await.unwrap_or_default(),
            });
        };
        let mut found = self.unwrap_run(run, &object, identities).await?;
        if found.is_none() {
            for other in self.other_wraps(&run, noted).await? {
                found = self.unwrap_run(run, &other, identities).await?;
                if found.is_some() {
                    break;
                }
            }
        }
        let seal = match found {
            Some(seal) => seal,
            None => {
                return Err(ArchiveError::NoIdentity {
                    object,
                    reason: "none of the identities at hand is one of its recipients".to_owned(),
                    recipients: self.recipients_at(noted).await.unwrap_or_default(),
                });
            }
        };
        self.keyring.note_key(seal.clone());
        Ok(seal)
    }

    async fn unwrap_run(
        &self,
        run: RunId,
        object: &str,
        identities: &Identities,
    ) -> Result<Option<RunSeal>, ArchiveError> {
        let bytes = self.get(object, WRAPPED_MAX, "the manifest").await?;
        match self.unwrapped(run, object, identities, &bytes) {
            Err(wrong) => {
                let fits = |bytes: &[u8]| matches!(self.unwrapped(run, object, identities, bytes), Ok(Some(_)));
                match self.store.recover(object, WRAPPED_MAX, &fits).await? {
                    Some(older) => self.unwrapped(run, object, identities, &older),
                    None => Err(wrong),
                }
            }
            found => found,
        }
    }

    /// The key in these bytes of `object`; `None` where no identity opens them.
    fn unwrapped(
        &self,
        run: RunId,
        object: &str,
        identities: &Identities,
        bytes: &[u8],
    ) -> Result<Option<RunSeal>, ArchiveError> {
        let key = identities
            .unwrap(bytes)
            .map_err(|reason| ArchiveError::damaged(object, reason))?;
        let Some(key) = key else { return Ok(None) };
        let seal = RunSeal::new(self.id(), key)?;
        if seal.run() == run {
            Ok(Some(seal))
        } else {
            Err(ArchiveError::damaged(object, "it wraps another key than its run's"))
        }
    }

    /// The names under which a run's key was wrapped again, newest first.
    async fn other_wraps(&self, run: &RunId, known: u64) -> Result<Vec<String>, ArchiveError> {
        let mut epochs: Vec<u64> = self
            .store
            .list(&layout::run(run))
            .await?
            .iter()
            .filter_map(|object| layout::run_epoch(run, &object.key))
            .filter(|epoch| *epoch != known)
            .collect();
        epochs.sort_unstable();
        Ok(epochs.iter().rev().map(|epoch| layout::run_key(run, *epoch)).collect())
    }

    /// The recipients of the key document of an epoch.
    async fn recipients_at(&self, epoch: u64) -> Result<Vec<String>, ArchiveError> {
        if epoch == self.keys.epoch {
            return Ok(self.keys.recipients.clone());
        }
        let object = layout::key_document(epoch);
        let kept = self.documents.iter().find(|(name, _)| *name == object);
        let bytes = match kept {
            Some((_, bytes)) => bytes.clone(),
            None => self.get(&object, super::DOCUMENT_MAX, "the manifest").await?,
        };
        let untrusted = |source| ArchiveError::Untrusted {
            object: object.clone(),
            source,
        };
        let opened = muster_signing::open(&bytes, payload::KEYS, &[self.root()]).map_err(untrusted)?;
        let document = KeyDocument::parse(&opened.payload).map_err(untrusted)?;
        if (document.epoch, document.repository.as_str()) != (epoch, self.id()) {
            return Err(ArchiveError::damaged(
                &object,
                "it is the document of another epoch or repository",
            ));
        }
        Ok(document.recipients)
    }
}
