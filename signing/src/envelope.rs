//! The DSSE envelope in one canonical form, so that every byte of it is covered.
//!
//! DSSE itself leaves the key id unauthenticated and allows white space, field order, two base64 alphabets and more than
//! one signature. Here an envelope has exactly one spelling: what does not re-encode to its own bytes is refused, and the
//! key id must be the one of the key that verified. PAE is DSSE v1.0.2's, so any DSSE verifier reads these envelopes.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    canonical::UnknownCritical,
    digest::clip,
    key::{KeyId, PublicKey, SecretKey},
    payload::Role,
};

/// The largest envelope that is read unless the caller names another bound.
pub const MAX_ENVELOPE: usize = 1024 * 1024;

/// Why a signed document was not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Not an envelope, or a payload that is not the document its type promises.
    #[error("malformed: {what}")]
    Malformed {
        /// What is wrong.
        what: String,
    },
    /// Larger than the bound.
    #[error("{size} bytes long, and at most {max} are read")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The bound.
        max: usize,
    },
    /// An envelope that does not re-encode to exactly its bytes.
    #[error("altered: it does not re-encode to exactly its bytes")]
    NotCanonical,
    /// A document of another type.
    #[error("a document of type {has:?} where {needs:?} was expected")]
    WrongType {
        /// The type that it claims.
        has: String,
        /// The type that was asked for.
        needs: String,
    },
    /// A key that nobody vouches for.
    #[error("signed by {key_id}, a key that the trust root does not vouch for")]
    UnknownSigner {
        /// The key that it claims.
        key_id: KeyId,
    },
    /// A known key, but of a role that does not sign such documents.
    #[error("signed by {key_id}, which is a {has} key: only a {needs} key may sign this")]
    WrongRole {
        /// The key that it claims.
        key_id: KeyId,
        /// The role of that key.
        has: Role,
        /// The role that signs such documents.
        needs: Role,
    },
    /// The named key did not sign this.
    #[error("the signature by {key_id} is wrong")]
    BadSignature {
        /// The key that it claims.
        key_id: KeyId,
    },
    /// The document demands what this version does not know.
    #[error(transparent)]
    Critical(#[from] UnknownCritical),
}

impl OpenError {
    pub(crate) fn malformed(what: impl std::fmt::Display) -> Self {
        Self::Malformed {
            what: clip(&what.to_string()),
        }
    }
}

/// A payload whose signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// The bytes that were signed.
    pub payload: Vec<u8>,
    /// The key that signed them.
    pub signer: KeyId,
}

/// What an envelope claims. Nothing of it was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspected {
    /// The claimed type.
    pub payload_type: String,
    /// The claimed payload.
    pub payload: Vec<u8>,
    /// The claimed signer.
    pub key_id: KeyId,
    /// The signature over [`pae`] of type and payload.
    pub signature: [u8; 64],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    payload: Cow<'a, str>,
    #[serde(rename = "payloadType", borrow)]
    payload_type: Cow<'a, str>,
    #[serde(borrow)]
    signatures: [Signature<'a>; 1],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature<'a> {
    #[serde(borrow)]
    keyid: Cow<'a, str>,
    #[serde(borrow)]
    sig: Cow<'a, str>,
}

/// The bytes that are signed: DSSE's pre-authentication encoding.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Signs a payload and returns the envelope's bytes.
#[must_use]
pub fn seal(payload_type: &str, payload: &[u8], key: &SecretKey) -> Vec<u8> {
    encode(
        payload_type,
        payload,
        &key.public().id(),
        &key.sign(&pae(payload_type, payload)),
    )
}

fn encode(payload_type: &str, payload: &[u8], key_id: &KeyId, signature: &[u8; 64]) -> Vec<u8> {
    let payload = STANDARD.encode(payload);
    let mut bytes = Vec::with_capacity(payload.len() + payload_type.len() + 256);
    bytes.extend_from_slice(br#"{"payload":""#);
    bytes.extend_from_slice(payload.as_bytes());
    bytes.extend_from_slice(br#"","payloadType":""#);
    for byte in payload_type.bytes() {
        // Payload types are media types, in which these two cannot occur; escaping keeps this total.
        if matches!(byte, b'"' | b'\\') {
            bytes.push(b'\\');
        }
        bytes.push(byte);
    }
    bytes.extend_from_slice(br#"","signatures":[{"keyid":""#);
    bytes.extend_from_slice(key_id.as_str().as_bytes());
    bytes.extend_from_slice(br#"","sig":""#);
    bytes.extend_from_slice(STANDARD.encode(signature).as_bytes());
    bytes.extend_from_slice(br#""}]}"#);
    bytes
}

/// Opens an envelope of at most [`MAX_ENVELOPE`] bytes: its type must be `payload_type`, its signer one of `keys`.
///
/// # Errors
///
/// See [`OpenError`]; nothing of an envelope that fails is returned.
pub fn open(bytes: &[u8], payload_type: &str, keys: &[PublicKey]) -> Result<Opened, OpenError> {
    open_limited(bytes, payload_type, keys, MAX_ENVELOPE)
}

/// [`open`] with another bound on the envelope's size.
///
/// # Errors
///
/// See [`OpenError`]; nothing of an envelope that fails is returned.
pub fn open_limited(bytes: &[u8], payload_type: &str, keys: &[PublicKey], max: usize) -> Result<Opened, OpenError> {
    let claimed = inspect_limited(bytes, max)?;
    if claimed.payload_type != payload_type {
        return Err(OpenError::WrongType {
            has: clip(&claimed.payload_type),
            needs: payload_type.to_owned(),
        });
    }
    let Some(key) = keys.iter().find(|key| key.id() == claimed.key_id) else {
        return Err(OpenError::UnknownSigner { key_id: claimed.key_id });
    };
    match key.verify(&pae(payload_type, &claimed.payload), &claimed.signature) {
        Ok(()) => Ok(Opened {
            payload: claimed.payload,
            signer: claimed.key_id,
        }),
        Err(_) => Err(OpenError::BadSignature { key_id: claimed.key_id }),
    }
}

/// Takes an envelope apart without believing it, for a reader that has no trust root.
///
/// # Errors
///
/// When the bytes are not an envelope in canonical form.
pub fn inspect(bytes: &[u8]) -> Result<Inspected, OpenError> {
    inspect_limited(bytes, MAX_ENVELOPE)
}

/// [`inspect`] with another bound on the envelope's size.
///
/// # Errors
///
/// When the bytes are not an envelope in canonical form.
pub fn inspect_limited(bytes: &[u8], max: usize) -> Result<Inspected, OpenError> {
    if bytes.len() > max {
        return Err(OpenError::TooLarge { size: bytes.len(), max });
    }
    let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(OpenError::malformed)?;
    let [signature] = &envelope.signatures;
    let payload = decode(&envelope.payload).ok_or(OpenError::NotCanonical)?;
    let sig = decode(&signature.sig).ok_or(OpenError::NotCanonical)?;
    let sig = <[u8; 64]>::try_from(sig).map_err(|_| OpenError::malformed("a signature is not 64 bytes long"))?;
    let key_id = KeyId::parse(&signature.keyid).map_err(OpenError::malformed)?;
    if encode(&envelope.payload_type, &payload, &key_id, &sig) != bytes {
        return Err(OpenError::NotCanonical);
    }
    Ok(Inspected {
        payload_type: envelope.payload_type.into_owned(),
        payload,
        key_id,
        signature: sig,
    })
}

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The raw signature of an envelope, for tools that want it beside the bytes of [`pae`].
///
/// # Errors
///
/// When the bytes are not an envelope in canonical form.
pub fn signature_of(bytes: &[u8], max: usize) -> Result<[u8; 64], OpenError> {
    inspect_limited(bytes, max).map(|claimed| claimed.signature)
}
