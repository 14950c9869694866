//! Making a repository: descriptor and first key document, both signed by the root.
//!
//! Invariant: running it again changes nothing, and completes a run that died half-way. Only what the place lost since is signed anew.

use std::sync::Arc;

use bytes::Bytes;
use muster_signing::{Descriptor, KeyDocument, KeyEntry, SecretKey};
use serde_json::Value;

use super::Repository;
use crate::edge::Edge;
use crate::object_store::{Capabilities, ErrorKind, LockMode, ObjectStore, PutOptions, keeps_versions, probe};
use crate::{ArchiveError, layout};

/// What a new repository is made of.
pub struct InitOptions<'a> {
    /// Signs descriptor and key documents; needed only when something is to be made.
    pub root: Option<&'a SecretKey>,
    /// Who is believed: the public half of `root`.
    pub believed: muster_signing::PublicKey,
    /// Keys and their roles. Those that a present repository lacks are added in a new epoch.
    pub keys: Vec<KeyEntry>,
    /// Who is to be able to decrypt what is written to a new repository; with nobody it is plain. A present one keeps its own until
    /// [`Repository::rotate`].
    pub recipients: Vec<String>,
    /// The lock that the configuration asks for; a place that does not hold it is refused.
    pub lock: Option<LockMode>,
    /// Where local state lies.
    pub state_dir: &'a std::path::Path,
}

impl Repository {
    /// Makes the repository, or completes it, or finds it complete. Says whether anything was written.
    ///
    /// # Errors
    /// [`ArchiveError::OtherRoot`] where another root's repository is there; [`ArchiveError::WrongKey`] where something must be
    /// signed and the root key is not at hand; storage errors.
    pub async fn init(
        store: Arc<dyn ObjectStore>,
        options: InitOptions<'_>,
        edge: &dyn Edge,
    ) -> Result<(Self, bool), ArchiveError> {
        let mut wrote = false;
        store.prepare().await?;
        let repository = match Self::existing_id(&store, &options).await? {
            Some(id) => id,
            None => {
                wrote = true;
                make_descriptor(&store, &options, edge).await?
            }
        };
        if !has_documents(&*store).await? {
            let mut first = KeyDocument::first(&repository, &edge.now(), options.keys.clone());
            first.set_recipients(options.recipients.clone());
            let proven = probe(&*store, &random_hex(edge, 16), options.lock, &edge.now()).await?;
            first.capabilities.extend(proven.record());
            put_document(&store, &first, &options).await?;
            wrote = true;
        }
        let opened = Self::open(Arc::clone(&store), Some(&options.believed), options.state_dir).await?;
        let recipients = opened.keys.recipients.clone();
        let lost = match wrote {
            true => Capabilities::default(),
            false => lost(&*store, &opened, edge).await?,
        };
        let (opened, added) = opened.next_epoch(&store, &options, recipients, lost, edge).await?;
        Ok((opened, wrote || added))
    }

    /// Writes the key document of the next epoch, where it would differ: these recipients, and the keys that are lacking. Says whether
    /// it did. Nobody is taken off the list of keys: what they signed would count no more.
    ///
    /// # Errors
    /// As [`Self::init`].
    pub async fn rotate(
        store: Arc<dyn ObjectStore>,
        options: InitOptions<'_>,
        edge: &dyn Edge,
    ) -> Result<(Self, bool), ArchiveError> {
        let opened = Self::open(Arc::clone(&store), Some(&options.believed), options.state_dir).await?;
        let recipients = options.recipients.clone();
        let lost = Capabilities::default();
        opened.next_epoch(&store, &options, recipients, lost, edge).await
    }

    async fn next_epoch(
        self,
        store: &Arc<dyn ObjectStore>,
        options: &InitOptions<'_>,
        recipients: Vec<String>,
        lost: Capabilities,
        edge: &dyn Edge,
    ) -> Result<(Self, bool), ArchiveError> {
        let opened = self;
        for key in &options.keys {
            if opened.keys.role_of(&key.key_id).is_some_and(|role| role != key.role) {
                return Err(ArchiveError::WrongKey {
                    key_id: key.key_id.to_string(),
                    role: key.role.as_str(),
                    repository: opened.id().to_owned(),
                });
            }
        }
        let lacking: Vec<_> = options
            .keys
            .iter()
            .filter(|key| opened.keys.role_of(&key.key_id).is_none())
            .cloned()
            .collect();
        let (mut now, mut then) = (opened.keys.recipients.clone(), recipients.clone());
        now.sort_unstable();
        then.sort_unstable();
        let proven = Capabilities::recorded(&opened.keys.capabilities);
        let unproven = options.lock.filter(|_| !proven.object_lock);
        let nothing_lost = lost == Capabilities::default();
        if lacking.is_empty() && now == then && unproven.is_none() && nothing_lost {
            return Ok((opened, false));
        }
        let mut next = KeyDocument::next(&opened.keys, &edge.now());
        if unproven.is_some() {
            let found = probe(&**store, &random_hex(edge, 16), unproven, &edge.now()).await?;
            // What was proven once is kept to, until `lost` says otherwise.
            next.capabilities
                .extend(found.record().into_iter().filter(|(_, yes)| *yes == Value::Bool(true)));
        }
        if !nothing_lost {
            let gone = lost.record().into_iter().filter(|(_, yes)| *yes == Value::Bool(true));
            next.capabilities
                .extend(gone.map(|(name, _)| (name, Value::Bool(false))));
            store.rely_on(Capabilities::recorded(&next.capabilities));
        }
        next.keys.extend(lacking);
        next.set_recipients(recipients);
        put_document(store, &next, options).await?;
        // A listing that lags does not name it yet.
        super::remember_epoch(&opened.state, opened.keys.epoch, next.epoch)?;
        let opened = Self::open(Arc::clone(store), Some(&options.believed), options.state_dir).await?;
        Ok((opened, true))
    }

    async fn existing_id(
        store: &Arc<dyn ObjectStore>,
        options: &InitOptions<'_>,
    ) -> Result<Option<String>, ArchiveError> {
        match store.get_limited(layout::DESCRIPTOR, super::DOCUMENT_MAX).await {
            Ok(bytes) => {
                let descriptor = super::open_descriptor(&bytes, Some(&options.believed), &store.url())?;
                Ok(Some(descriptor.value.repository))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// What the root signed that the place honours, and it does not honour now. Locks are never among it: who asks for them is refused.
async fn lost(store: &dyn ObjectStore, opened: &Repository, edge: &dyn Edge) -> Result<Capabilities, ArchiveError> {
    let proven = opened.capabilities();
    let conditional_create = is_lost(opened.recheck().await)?;
    let versions = proven.versions && {
        let key = format!("probes/{}.versions", random_hex(edge, 16));
        let kept = keeps_versions(store, &key).await;
        if let Err(error) = store.delete(&key).await {
            tracing::debug!(%error, key, "the probe stays: nothing names it");
        }
        match kept {
            Ok(kept) => !kept,
            Err(error) => is_lost(Err(error.into()))?,
        }
    };
    for (name, lost) in [("conditional_create", conditional_create), ("versions", versions)] {
        if lost {
            let url = store.url();
            tracing::warn!(
                capability = name,
                url,
                "the server no longer honours it: the root signs that it is so now"
            );
        }
    }
    Ok(Capabilities {
        conditional_create,
        versions,
        ..Capabilities::default()
    })
}

fn is_lost(answer: Result<(), ArchiveError>) -> Result<bool, ArchiveError> {
    match answer {
        Err(ArchiveError::Storage(error)) if error.kind == ErrorKind::Downgraded => Ok(true),
        answer => answer.map(|()| false),
    }
}

/// Whether there is a key document. A listing may lag behind: the first one is asked for by its name.
async fn has_documents(store: &dyn ObjectStore) -> Result<bool, ArchiveError> {
    let listed = store.list(layout::KEYS).await?;
    if listed.iter().any(|object| layout::epoch_of(&object.key).is_some()) {
        return Ok(true);
    }
    match store.head(&layout::key_document(1)).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn make_descriptor(
    store: &Arc<dyn ObjectStore>,
    options: &InitOptions<'_>,
    edge: &dyn Edge,
) -> Result<String, ArchiveError> {
    let root = root_key(options, "a new repository")?;
    let id = random_hex(edge, 16);
    let descriptor = Descriptor::new(&id, &edge.now(), root.public());
    let sealed = descriptor.seal(root).map_err(|source| ArchiveError::Trust {
        url: store.url(),
        source,
    })?;
    store
        .put(layout::DESCRIPTOR, Bytes::from(sealed), PutOptions::CREATE)
        .await?;
    Ok(id)
}

async fn put_document(
    store: &Arc<dyn ObjectStore>,
    document: &KeyDocument,
    options: &InitOptions<'_>,
) -> Result<(), ArchiveError> {
    let root = root_key(options, &document.repository)?;
    let sealed = document.seal(root).map_err(|source| ArchiveError::Trust {
        url: store.url(),
        source,
    })?;
    store
        .put(
            &layout::key_document(document.epoch),
            Bytes::from(sealed),
            PutOptions::CREATE,
        )
        .await?;
    Ok(())
}

fn root_key<'a>(options: &InitOptions<'a>, repository: &str) -> Result<&'a SecretKey, ArchiveError> {
    options.root.ok_or_else(|| ArchiveError::WrongKey {
        key_id: options.believed.id().to_string(),
        role: "root (its private half is not at hand)",
        repository: repository.to_owned(),
    })
}

fn random_hex(edge: &dyn Edge, length: usize) -> String {
    let mut bytes = vec![0; length];
    edge.fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
