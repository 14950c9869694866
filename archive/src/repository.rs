//! An open repository: who is believed in it, its recovery points, and reads that are checked against their names.
//!
//! Invariant: no byte is handed out that was not compared with a signature or with a digest that something signed named.

mod commit;
mod hold;
mod init;
mod logs;
mod points;
mod runs;
#[cfg(test)]
pub(crate) mod tests;
mod trees;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use muster_signing::{Descriptor, Digest, KeyDocument, OpenError, PublicKey, Verified, payload};
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

pub use commit::{Commit, RehearsalPlace};
pub use init::InitOptions;
pub use logs::{LedgerCheck, LogView};
pub use points::{EntryRef, LoggedRehearsal, Point};
pub(crate) use runs::Lean;
pub use trees::TreeIndex;

use crate::list::{self, HUNK_MAX, Named};
use crate::manifest::{MANIFEST_MAX, Manifest};
use crate::object_store::{Capabilities, ObjectStore};
use crate::seal::{Keyring, RunId, SealedAt};
use crate::{ArchiveError, LocalState, layout};

/// Most bytes of a descriptor or key document.
const DOCUMENT_MAX: u64 = 1 << 20;

/// So many key documents are read at once.
const DOCUMENTS_AT_ONCE: usize = 16;
/// So many that no listing names are asked for.
const UNLISTED_MAX: u64 = 64;

/// An open repository.
#[derive(Clone, Debug)]
pub struct Repository {
    store: Arc<dyn ObjectStore>,
    descriptor: Verified<Descriptor>,
    keys: Verified<KeyDocument>,
    documents: Vec<(String, Bytes)>,
    anchored: bool,
    state: LocalState,
    keyring: Keyring,
    rechecked: Arc<OnceCell<()>>,
}

impl Repository {
    /// Opens a repository and establishes trust: descriptor, key documents, their root. Reads three small objects and one LIST.
    ///
    /// `root` is who is believed; with `None` the repository's own word is taken and [`Self::is_anchored`] says so.
    ///
    /// # Errors
    /// [`ArchiveError::NoRepository`], [`ArchiveError::OtherRoot`], [`ArchiveError::Trust`], storage errors.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        root: Option<&PublicKey>,
        state_dir: &std::path::Path,
    ) -> Result<Self, ArchiveError> {
        let url = store.url();
        let descriptor_bytes = match store.get_limited(layout::DESCRIPTOR, DOCUMENT_MAX).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Err(ArchiveError::NoRepository { url }),
            Err(error) => return Err(ArchiveError::of(error, layout::DESCRIPTOR, "the format")),
        };
        let (descriptor, descriptor_bytes) = match open_descriptor(&descriptor_bytes, root, &url) {
            Ok(descriptor) => (descriptor, descriptor_bytes),
            Err(error) => {
                let fits = |bytes: &[u8]| open_descriptor(bytes, root, &url).is_ok();
                let older = store.recover(layout::DESCRIPTOR, DOCUMENT_MAX, &fits).await?;
                let older = older.ok_or(error)?;
                (open_descriptor(&older, root, &url)?, older)
            }
        };
        let believed = descriptor.root_public_key;
        if !is_repository_id(&descriptor.repository) {
            return Err(ArchiveError::damaged(
                layout::DESCRIPTOR,
                "its repository id is not 32 hex digits",
            ));
        }
        let state = LocalState::new(state_dir, &descriptor.repository);
        let seen = if root.is_some() { remembered_epoch(&state)? } else { 0 };
        let mut chain = read_documents(&store, seen).await?;
        let trust = |source| ArchiveError::Trust {
            url: url.clone(),
            source,
        };
        let keys = match KeyDocument::verify_chain(&chain, &believed, &descriptor.repository) {
            Ok(keys) => keys,
            Err(_) => {
                hold::recover_chain(&*store, &mut chain, &believed, &descriptor.repository).await?;
                KeyDocument::verify_chain(&chain, &believed, &descriptor.repository).map_err(trust)?
            }
        };
        if root.is_some() {
            remember_epoch(&state, seen, keys.epoch)?;
        }
        let mut documents = vec![(layout::DESCRIPTOR.to_owned(), descriptor_bytes)];
        documents.extend(
            chain
                .into_iter()
                .map(|(epoch, bytes)| (layout::key_document(epoch), bytes)),
        );
        let opened = Self {
            store,
            descriptor,
            keys,
            documents,
            anchored: root.is_some(),
            state,
            keyring: Keyring::default(),
            rechecked: Arc::default(),
        };
        opened.store.rely_on(opened.capabilities());
        Ok(opened)
    }

    /// The repository's id.
    pub fn id(&self) -> &str {
        &self.descriptor.repository
    }

    /// Where it lies, without secrets.
    pub fn url(&self) -> String {
        self.store.url()
    }

    /// Whether a root was named by whoever opened it; else every answer is "intact, signer unknown".
    pub fn is_anchored(&self) -> bool {
        self.anchored
    }

    /// Who has which role.
    pub fn keys(&self) -> &KeyDocument {
        &self.keys.value
    }

    /// The root that signed.
    pub fn root(&self) -> PublicKey {
        self.descriptor.root_public_key
    }

    /// The descriptor and every key document, byte for byte, with their names.
    pub fn trust_documents(&self) -> &[(String, Bytes)] {
        &self.documents
    }

    /// What this host remembers of it.
    pub fn state(&self) -> &LocalState {
        &self.state
    }

    /// The objects themselves.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// What the server was seen to honour, as the root signed it.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities::recorded(&self.keys.capabilities)
    }

    /// Whether the server was seen to honour conditional creates when the repository was made.
    pub fn conditional_create(&self) -> bool {
        self.capabilities().conditional_create
    }

    /// The verified manifest of a recovery point, and its envelope's bytes.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`], [`ArchiveError::Damaged`], [`ArchiveError::Untrusted`].
    pub async fn manifest(&self, point: &Point) -> Result<(Verified<Manifest>, Bytes), ArchiveError> {
        let object = layout::manifest(&point.store, &point.snapshot);
        let mut bytes = self.get(&object, MANIFEST_MAX, "the log").await?;
        if Digest::of(&bytes) != point.manifest
            && let Some(older) = self.version_with(&object, &point.manifest, MANIFEST_MAX).await?
        {
            bytes = older;
        }
        let manifest: Verified<Manifest> = self.open_document(&object, &bytes, payload::MANIFEST)?;
        if manifest.schema != "muster.manifest/1" {
            return Err(ArchiveError::damaged(&object, "its schema is not muster.manifest/1"));
        }
        self.note_runs(&manifest)
            .map_err(|reason| ArchiveError::damaged(&object, reason))?;
        if manifest.digest != point.manifest {
            return Err(ArchiveError::damaged(
                &object,
                "its digest is not the one that the log names",
            ));
        }
        let named = (
            manifest.repository.as_str(),
            manifest.store.as_str(),
            manifest.snapshot.as_str(),
        );
        if named != (self.id(), point.store.as_str(), point.snapshot.as_str()) {
            return Err(ArchiveError::damaged(&object, "it is the manifest of another snapshot"));
        }
        Ok((manifest, bytes))
    }

    /// Opens a signed document with the keys of the role that may sign it.
    ///
    /// # Errors
    /// [`ArchiveError::Untrusted`], [`ArchiveError::TooNew`].
    pub fn open_document<T: DeserializeOwned>(
        &self,
        object: &str,
        bytes: &[u8],
        payload_type: &str,
    ) -> Result<Verified<T>, ArchiveError> {
        self.keys
            .open_as(bytes, payload_type)
            .map_err(|source| untrusted(object, source))
    }

    /// The public list of a snapshot: every pack and tree object it needs, with its size.
    pub(crate) async fn objects_of(&self, manifest: &Manifest) -> Result<BTreeMap<(Named, Digest), u64>, ArchiveError> {
        let mut listed: BTreeMap<(Named, Digest), u64> = BTreeMap::new();
        let root = layout::list(&manifest.list.root);
        for (what, id, number) in self.read_list(&manifest.list.root, &manifest.snapshot).await? {
            let (lines, object) = if what == Named::List {
                let object = layout::list(&id);
                let hunk = self.read_list(&id, &manifest.snapshot).await?;
                if hunk.len() as u64 != number || hunk.iter().any(|line| line.0 == Named::List) {
                    let reason = "it is not the hunk that its root describes";
                    return Err(ArchiveError::damaged(&object, reason));
                }
                (hunk, object)
            } else {
                (vec![(what, id, number)], root.clone())
            };
            for (what, id, bytes) in lines {
                if listed.last_key_value().is_some_and(|(last, _)| *last >= (what, id)) {
                    return Err(ArchiveError::damaged(&object, "it is not sorted"));
                }
                listed.insert((what, id), bytes);
            }
        }
        let bytes = listed.values().fold(0u64, |sum, bytes| sum.saturating_add(*bytes));
        if listed.len() as u64 != manifest.list.objects || bytes != manifest.list.bytes {
            return Err(ArchiveError::damaged(
                &layout::list(&manifest.list.root),
                "it does not add up to what the manifest says",
            ));
        }
        Ok(listed)
    }

    pub(crate) async fn read_list(
        &self,
        id: &Digest,
        named_by: &str,
    ) -> Result<Vec<(Named, Digest, u64)>, ArchiveError> {
        let object = layout::list(id);
        let bytes = self.get_content(&object, id, HUNK_MAX, named_by).await?;
        list::decode(&bytes).map_err(|reason| ArchiveError::damaged(&object, reason))
    }

    /// Remembers what a pack was sealed with, so that whoever names it again knows.
    pub(crate) fn note_sealed(&self, pack: Digest, sealed: SealedAt) {
        self.keyring.note_pack(pack, sealed);
    }

    /// Remembers which run sealed a tree object.
    pub(crate) fn note_sealed_tree(&self, tree: Digest, run: RunId) {
        self.keyring.note_tree(tree, run);
    }

    /// Remembers under which epoch a run's key was wrapped.
    pub(crate) fn note_epoch(&self, run: RunId, epoch: u64) {
        self.keyring.note_epoch(run, epoch);
    }

    /// What a pack was sealed with; `None` where it is plain or not known.
    pub(crate) fn sealed_at(&self, pack: &Digest) -> Option<SealedAt> {
        self.keyring.pack(pack)
    }

    /// An object under a name of its own, at most `most` bytes.
    pub(crate) async fn get(&self, object: &str, most: u64, named_by: &str) -> Result<Bytes, ArchiveError> {
        self.store
            .get_limited(object, most)
            .await
            .map_err(|error| ArchiveError::of(error, object, named_by))
    }

    /// An object whose name is its digest.
    pub(crate) async fn get_content(
        &self,
        object: &str,
        id: &Digest,
        most: u64,
        named_by: &str,
    ) -> Result<Bytes, ArchiveError> {
        let bytes = self.get(object, most, named_by).await?;
        if Digest::of(&bytes) == *id {
            Ok(bytes)
        } else {
            Err(ArchiveError::damaged(object, "its bytes are not those of its name"))
        }
    }
}

fn is_repository_id(id: &str) -> bool {
    id.len() == 32
        && id
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn untrusted(object: &str, source: OpenError) -> ArchiveError {
    ArchiveError::Untrusted {
        object: object.to_owned(),
        source,
    }
}

fn open_descriptor(bytes: &[u8], root: Option<&PublicKey>, url: &str) -> Result<Verified<Descriptor>, ArchiveError> {
    let trust = |source| ArchiveError::Trust {
        url: url.to_owned(),
        source,
    };
    let Some(root) = root else {
        return Descriptor::open_self_signed(bytes).map_err(trust);
    };
    match Descriptor::open(bytes, root) {
        Ok(descriptor) => Ok(descriptor),
        Err(error) => match Descriptor::open_self_signed(bytes) {
            Ok(other) if other.root_public_key != *root => Err(ArchiveError::OtherRoot {
                url: url.to_owned(),
                found: other.signer.to_string(),
                believed: root.id().to_string(),
            }),
            _ => Err(trust(error)),
        },
    }
}

/// Every key document, by epoch. A listing may lag behind, or a name be hidden from it: the first one, and those up to the one that this
/// host saw, are asked for by their names where they are not listed.
async fn read_documents(store: &Arc<dyn ObjectStore>, seen: u64) -> Result<Vec<(u64, Bytes)>, ArchiveError> {
    let listed = store.list(layout::KEYS).await?;
    let listed: BTreeSet<u64> = listed
        .iter()
        .filter_map(|object| layout::epoch_of(&object.key))
        .collect();
    let newest = listed.last().copied().unwrap_or(0);
    let expected = 1..=seen.clamp(1, newest + UNLISTED_MAX);
    let epochs: BTreeSet<u64> = expected.chain(listed.iter().copied()).collect();
    let documents = stream::iter(epochs).map(|epoch| {
        let must_be_there = listed.contains(&epoch);
        async move {
            let object = layout::key_document(epoch);
            match store.get_limited(&object, DOCUMENT_MAX).await {
                Ok(document) => Ok(Some((epoch, document))),
                Err(error) if error.is_not_found() && !must_be_there => Ok(None),
                Err(error) => Err(ArchiveError::of(error, &object, "the listing")),
            }
        }
    });
    let documents: Vec<_> = documents.buffered(DOCUMENTS_AT_ONCE).try_collect().await?;
    Ok(documents.into_iter().flatten().collect())
}

fn remembered_epoch(state: &LocalState) -> Result<u64, ArchiveError> {
    let seen = state.read("epoch")?;
    Ok(seen
        .and_then(|bytes| std::str::from_utf8(&bytes).ok()?.trim().parse().ok())
        .unwrap_or(0))
}

fn remember_epoch(state: &LocalState, seen: u64, epoch: u64) -> Result<(), ArchiveError> {
    if epoch < seen {
        return Err(ArchiveError::damaged(
            &layout::key_document(seen),
            format!("this host saw key epoch {seen}, and the newest one there is {epoch}"),
        ));
    }
    if epoch > seen
        && let Err(error) = state.write("epoch", format!("{epoch}\n").as_bytes())
    {
        tracing::warn!(%error, "the key epoch could not be remembered");
    }
    Ok(())
}
