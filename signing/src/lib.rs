//! What is signed and who may sign it: digests, keys, envelopes, notes, trust.
//!
//! The trusted base of muster. Bytes become values only through a signature that was checked ([`Verified`]), every
//! length is bounded before anything is allocated for it, and whatever is signed must re-encode to exactly its bytes.
//! No input or output, no clock, no randomness: seeds and times are arguments. The byte-exact description is
//! `docs/format/trust.md`.

mod canonical;
mod digest;
mod envelope;
mod key;
pub mod merkle;
pub mod note;
pub mod payload;
mod pin;
mod trust;

pub use canonical::{UnknownCritical, canonical_json, check_critical};
pub use digest::{Digest, DigestError, Hasher};
pub use envelope::{
    Inspected, MAX_ENVELOPE, OpenError, Opened, inspect, inspect_limited, open, open_limited, pae, seal, signature_of,
};
pub use key::{BadSignature, KeyError, KeyId, PublicKey, SecretKey};
pub use note::Checkpoint;
pub use payload::Role;
pub use pin::{Pin, PinError};
pub use trust::{Descriptor, ENCRYPTION_NONE, ENCRYPTION_REQUIRED, KeyDocument, KeyEntry, TrustError, Verified};
