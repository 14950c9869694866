//! Who is believed: the descriptor, and the root-signed chain of key documents.
//!
//! The root signs key documents, one per epoch, each naming the digest of the one before. The newest says which key has
//! which role; a document is then opened with the keys of the one role that may sign its type ([`payload::role_of`]).
//! No function here returns a value whose signature was not checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    canonical::{canonical_json, check_critical},
    digest::Digest,
    envelope::{self, MAX_ENVELOPE, OpenError, Opened},
    key::{KeyId, PublicKey, SecretKey},
    note::{Checkpoint, NoteError},
    payload::{self, Role},
};

/// The version of the formats that this crate reads and writes.
pub(crate) const VERSION: u32 = 1;
const DESCRIPTOR_SCHEMA: &str = "muster.descriptor/1";
const KEYS_SCHEMA: &str = "muster.keys/1";
/// More keys or epochs than these are not read.
const MAX_KEYS: usize = 4096;
const MAX_EPOCHS: usize = 65_536;
/// More recipients than these cannot be named.
const MAX_RECIPIENTS: usize = 64;

/// A value that came out of a verified envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified<T> {
    /// The value.
    pub value: T,
    /// Who signed it.
    pub signer: KeyId,
    /// The digest of the envelope's bytes.
    pub digest: Digest,
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Why the trust of a repository was not established.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The descriptor's envelope was not believed.
    #[error("the repository's descriptor was not believed")]
    Descriptor(#[source] OpenError),
    /// A key document's envelope was not believed.
    #[error("the key document of epoch {epoch} was not believed")]
    KeyDocument {
        /// Its epoch.
        epoch: u64,
        /// Why.
        source: OpenError,
    },
    /// A signed document that contradicts itself or its neighbours.
    #[error("{document} is wrong: {problem}")]
    Inconsistent {
        /// Which document.
        document: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A repository that needs a newer muster.
    #[error("the repository needs reader version {needs}, and this muster reads version 1: use a newer one")]
    Newer {
        /// The version that it needs.
        needs: u32,
    },
    /// No key document at all.
    #[error("the repository has no key document")]
    NoKeys,
}

impl TrustError {
    /// The key that signed in the root's place, where that is what is wrong.
    #[must_use]
    pub fn unknown_signer(&self) -> Option<&KeyId> {
        match self {
            Self::Descriptor(OpenError::UnknownSigner { key_id })
            | Self::KeyDocument {
                source: OpenError::UnknownSigner { key_id },
                ..
            } => Some(key_id),
            _ => None,
        }
    }
}

/// What a repository is: written once, signed by the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// `muster.descriptor/1`.
    pub schema: String,
    /// The repository's id.
    pub repository: String,
    /// When it was made, RFC 3339 UTC.
    pub created: String,
    /// The public half of the root key.
    pub root_public_key: PublicKey,
    /// The least version of a reader.
    pub reader_version: u32,
    /// The least version of a writer.
    pub writer_version: u32,
    /// Names that a reader must know.
    #[serde(default)]
    pub critical: Vec<String>,
}

impl Descriptor {
    /// The descriptor of a new repository.
    #[must_use]
    pub fn new(repository: &str, created: &str, root: PublicKey) -> Self {
        Self {
            schema: DESCRIPTOR_SCHEMA.to_owned(),
            repository: repository.to_owned(),
            created: created.to_owned(),
            root_public_key: root,
            reader_version: VERSION,
            writer_version: VERSION,
            critical: Vec::new(),
        }
    }

    /// The envelope, signed by the root.
    ///
    /// # Errors
    ///
    /// When the key is not the one that the descriptor names.
    pub fn seal(&self, root: &SecretKey) -> Result<Vec<u8>, TrustError> {
        if root.public() != self.root_public_key {
            return Err(descriptor_wrong("it names another root key than the one that signs it"));
        }
        seal(self, payload::DESCRIPTOR, root)
    }

    /// Opens a descriptor that must be signed by this root.
    ///
    /// # Errors
    ///
    /// See [`TrustError`].
    pub fn open(bytes: &[u8], root: &PublicKey) -> Result<Verified<Self>, TrustError> {
        let opened = envelope::open(bytes, payload::DESCRIPTOR, &[*root]).map_err(TrustError::Descriptor)?;
        let value = Self::parse(&opened.payload)?;
        if value.root_public_key != *root {
            return Err(descriptor_wrong(
                "it names another root key than the one that signed it",
            ));
        }
        Ok(Verified {
            value,
            signer: opened.signer,
            digest: Digest::of(bytes),
        })
    }

    /// Opens a descriptor with the root key that it names itself. That shows that it is intact, not whose it is.
    ///
    /// # Errors
    ///
    /// See [`TrustError`].
    pub fn open_self_signed(bytes: &[u8]) -> Result<Verified<Self>, TrustError> {
        let claimed = envelope::inspect(bytes).map_err(TrustError::Descriptor)?;
        let claimed = Self::parse(&claimed.payload)?;
        Self::open(bytes, &claimed.root_public_key)
    }

    /// Reads the payload of a descriptor.
    ///
    /// # Errors
    ///
    /// When it is none, needs a newer reader, or has critical names that are not known.
    pub fn parse(payload: &[u8]) -> Result<Self, TrustError> {
        #[derive(Deserialize)]
        struct Head {
            reader_version: u32,
        }
        let malformed = |e| TrustError::Descriptor(OpenError::malformed(e));
        let head: Head = serde_json::from_slice(payload).map_err(malformed)?;
        if head.reader_version > VERSION {
            return Err(TrustError::Newer {
                needs: head.reader_version,
            });
        }
        let value: Self = parse(payload, &[]).map_err(TrustError::Descriptor)?;
        if value.schema != DESCRIPTOR_SCHEMA {
            return Err(descriptor_wrong("its schema is not muster.descriptor/1"));
        }
        Ok(value)
    }
}

fn descriptor_wrong(problem: &str) -> TrustError {
    TrustError::Inconsistent {
        document: "the repository's descriptor".to_owned(),
        problem: problem.to_owned(),
    }
}

/// One key and what it may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEntry {
    /// What it may sign.
    pub role: Role,
    /// The key.
    pub public_key: PublicKey,
    /// Its identifier, which must be the key's.
    pub key_id: KeyId,
    /// A name for people, a host's for instance.
    pub name: String,
    /// When it was added, RFC 3339 UTC.
    pub added: String,
}

impl KeyEntry {
    /// The entry of a key.
    #[must_use]
    pub fn new(role: Role, public_key: PublicKey, name: &str, added: &str) -> Self {
        Self {
            role,
            public_key,
            key_id: public_key.id(),
            name: name.to_owned(),
            added: added.to_owned(),
        }
    }
}

/// [`KeyDocument::encryption`] where archives are plain.
pub const ENCRYPTION_NONE: &str = "none";
/// [`KeyDocument::encryption`] where nothing is written that is not sealed.
pub const ENCRYPTION_REQUIRED: &str = "required";

/// Who has which role, from one epoch on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDocument {
    /// `muster.keys/1`.
    pub schema: String,
    /// The repository's id.
    pub repository: String,
    /// 1 for the first document, then one more each.
    pub epoch: u64,
    /// The digest of the envelope of the epoch before; `None` in the first.
    pub previous: Option<Digest>,
    /// When it was made, RFC 3339 UTC.
    pub created: String,
    /// [`ENCRYPTION_NONE`] or [`ENCRYPTION_REQUIRED`].
    pub encryption: String,
    /// Who can decrypt what is written under this document.
    pub recipients: Vec<String>,
    /// What the object storage was seen to honour.
    pub capabilities: BTreeMap<String, Value>,
    /// The keys.
    pub keys: Vec<KeyEntry>,
    /// Names that a reader must know.
    #[serde(default)]
    pub critical: Vec<String>,
}

impl KeyDocument {
    /// The first document of a repository, without encryption.
    #[must_use]
    pub fn first(repository: &str, created: &str, keys: Vec<KeyEntry>) -> Self {
        Self {
            schema: KEYS_SCHEMA.to_owned(),
            repository: repository.to_owned(),
            epoch: 1,
            previous: None,
            created: created.to_owned(),
            encryption: ENCRYPTION_NONE.to_owned(),
            recipients: Vec::new(),
            capabilities: BTreeMap::new(),
            keys,
            critical: Vec::new(),
        }
    }

    /// The document of the next epoch, with the same content, to be changed and sealed.
    #[must_use]
    pub fn next(previous: &Verified<Self>, created: &str) -> Self {
        Self {
            epoch: previous.epoch + 1,
            previous: Some(previous.digest),
            created: created.to_owned(),
            ..previous.value.clone()
        }
    }

    /// Demands that what is written is sealed to these recipients and to no other; with none of them, that it is plain.
    pub fn set_recipients(&mut self, recipients: Vec<String>) {
        let mode = if recipients.is_empty() {
            ENCRYPTION_NONE
        } else {
            ENCRYPTION_REQUIRED
        };
        self.encryption = mode.to_owned();
        self.recipients = recipients;
    }

    /// The envelope, signed by the root.
    ///
    /// # Errors
    ///
    /// When the document contradicts itself, or gives the root key another role.
    pub fn seal(&self, root: &SecretKey) -> Result<Vec<u8>, TrustError> {
        self.check(&root.public())?;
        seal(self, payload::KEYS, root)
    }

    /// Verifies a whole chain of `(epoch, envelope)`, from epoch 1 in order, and returns its newest document.
    ///
    /// # Errors
    ///
    /// When any link is missing, not signed by the root, of another repository, or contradicts itself.
    pub fn verify_chain<B: AsRef<[u8]>>(
        chain: &[(u64, B)],
        root: &PublicKey,
        repository: &str,
    ) -> Result<Verified<Self>, TrustError> {
        let mut newest: Option<Verified<Self>> = None;
        if chain.len() > MAX_EPOCHS {
            return Err(inconsistent(
                MAX_EPOCHS as u64,
                "the chain has more epochs than muster reads",
            ));
        }
        for (epoch, bytes) in chain {
            let (epoch, bytes) = (*epoch, bytes.as_ref());
            let expected = newest.as_ref().map_or(1, |newest| newest.epoch + 1);
            if epoch != expected {
                return Err(inconsistent(
                    expected,
                    &format!("it is missing, and epoch {epoch} stands in its place"),
                ));
            }
            let opened = envelope::open(bytes, payload::KEYS, &[*root])
                .map_err(|source| TrustError::KeyDocument { epoch, source })?;
            let value = Self::parse(&opened.payload).map_err(|source| TrustError::KeyDocument { epoch, source })?;
            value.check(root)?;
            if value.epoch != epoch {
                return Err(inconsistent(
                    epoch,
                    &format!("inside it says that its epoch is {}", value.epoch),
                ));
            }
            if value.repository != repository {
                return Err(inconsistent(epoch, "it belongs to another repository"));
            }
            if value.previous != newest.as_ref().map(|newest| newest.digest) {
                return Err(inconsistent(
                    epoch,
                    "it does not follow the document of the epoch before",
                ));
            }
            newest = Some(Verified {
                value,
                signer: opened.signer,
                digest: Digest::of(bytes),
            });
        }
        newest.ok_or(TrustError::NoKeys)
    }

    /// Reads the payload of a key document, without judging the keys in it.
    ///
    /// # Errors
    ///
    /// When it is none, or has critical names that are not known.
    pub fn parse(payload: &[u8]) -> Result<Self, OpenError> {
        let value: Self = parse(payload, &[])?;
        if value.schema != KEYS_SCHEMA {
            return Err(OpenError::malformed("its schema is not muster.keys/1"));
        }
        Ok(value)
    }

    fn check(&self, root: &PublicKey) -> Result<(), TrustError> {
        let wrong = |problem: &str| Err(inconsistent(self.epoch, problem));
        if self.keys.len() > MAX_KEYS {
            return wrong("it has more keys than muster reads");
        }
        if (self.epoch == 1) != self.previous.is_none() {
            return wrong("only the first epoch has no document before it");
        }
        let distinct: BTreeSet<&String> = self.recipients.iter().collect();
        if distinct.len() != self.recipients.len() || self.recipients.len() > MAX_RECIPIENTS {
            return wrong("it names a recipient twice, or more than 64 of them");
        }
        match (self.encryption.as_str(), self.recipients.is_empty()) {
            (ENCRYPTION_REQUIRED, true) => return wrong("it demands encryption and names nobody who could decrypt"),
            (ENCRYPTION_NONE, false) => return wrong("it names recipients and demands no encryption"),
            _ => {}
        }
        let mut seen = BTreeSet::new();
        for entry in &self.keys {
            let id = &entry.key_id;
            if *id != entry.public_key.id() {
                return wrong(&format!("{id} is not the id of the key beside it"));
            }
            if entry.role == Role::Root || entry.public_key == *root {
                return wrong(&format!("it lists {id} as root, or the root under another role"));
            }
            if !seen.insert(id) {
                return wrong(&format!("it lists {id} twice: a key has one role"));
            }
        }
        Ok(())
    }

    /// The keys of a role.
    #[must_use]
    pub fn keys(&self, role: Role) -> Vec<PublicKey> {
        self.keys
            .iter()
            .filter(|entry| entry.role == role)
            .map(|entry| entry.public_key)
            .collect()
    }

    /// The role of a key; `None` when this document does not list it.
    #[must_use]
    pub fn role_of(&self, key_id: &KeyId) -> Option<Role> {
        self.keys
            .iter()
            .find(|entry| entry.key_id == *key_id)
            .map(|entry| entry.role)
    }

    /// Opens a document with the keys of the role that may sign its type, and of no other.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; a key of another role is [`OpenError::WrongRole`]; any name in the document's `critical` list is
    /// refused, since version 1 knows none.
    pub fn open_as<T: DeserializeOwned>(&self, bytes: &[u8], payload_type: &str) -> Result<Verified<T>, OpenError> {
        self.open_as_knowing(bytes, payload_type, &[], MAX_ENVELOPE)
    }

    /// [`Self::open_as`] for a document that may have these `critical` names, in an envelope of at most `max` bytes.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open_as_knowing<T: DeserializeOwned>(
        &self,
        bytes: &[u8],
        payload_type: &str,
        critical: &[&str],
        max: usize,
    ) -> Result<Verified<T>, OpenError> {
        let Opened { payload, signer } = self.open_bytes(bytes, payload_type, max)?;
        Ok(Verified {
            value: parse(&payload, critical)?,
            signer,
            digest: Digest::of(bytes),
        })
    }

    /// Opens a document like [`Self::open_as`] and returns its bytes.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open_bytes(&self, bytes: &[u8], payload_type: &str, max: usize) -> Result<Opened, OpenError> {
        let Some(needs) = payload::role_of(payload_type) else {
            return Err(OpenError::malformed(format!(
                "no role signs documents of type {payload_type}"
            )));
        };
        match envelope::open_limited(bytes, payload_type, &self.keys(needs), max) {
            Err(OpenError::UnknownSigner { key_id }) => match self.role_of(&key_id) {
                Some(has) => Err(OpenError::WrongRole { key_id, has, needs }),
                None => Err(OpenError::UnknownSigner { key_id }),
            },
            other => other,
        }
    }

    /// Verifies the checkpoint of the log `origin` that belongs to this key, whatever its role.
    ///
    /// # Errors
    ///
    /// See [`NoteError`]; a key that this document does not list is [`NoteError::UnknownSigner`].
    pub fn open_checkpoint(
        &self,
        bytes: &[u8],
        origin: &str,
        key_id: &KeyId,
    ) -> Result<Verified<Checkpoint>, NoteError> {
        let Some(entry) = self.keys.iter().find(|entry| entry.key_id == *key_id) else {
            return Err(NoteError::UnknownSigner { key_id: key_id.clone() });
        };
        let value = Checkpoint::open(bytes, origin, &entry.public_key)?;
        Ok(Verified {
            value,
            signer: key_id.clone(),
            digest: Digest::of(bytes),
        })
    }
}

fn inconsistent(epoch: u64, problem: &str) -> TrustError {
    TrustError::Inconsistent {
        document: format!("the key document of epoch {epoch}"),
        problem: problem.to_owned(),
    }
}

fn seal<T: Serialize>(value: &T, payload_type: &str, key: &SecretKey) -> Result<Vec<u8>, TrustError> {
    let payload = canonical_json(value).map_err(|e| TrustError::Inconsistent {
        document: format!("a document of type {payload_type}"),
        problem: e.to_string(),
    })?;
    Ok(envelope::seal(payload_type, &payload, key))
}

/// Reads a signed payload; the critical list is looked at before the rest, which a newer version may have changed.
fn parse<T: DeserializeOwned>(payload: &[u8], critical: &[&str]) -> Result<T, OpenError> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(default)]
        critical: Vec<String>,
    }
    let head: Head = serde_json::from_slice(payload).map_err(OpenError::malformed)?;
    check_critical(&head.critical, critical)?;
    serde_json::from_slice(payload).map_err(OpenError::malformed)
}
