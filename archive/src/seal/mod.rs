//! Encryption at rest: run keys wrapped to `age` recipients, and AES-256-GCM over frames and tree bodies.
//!
//! Everything that one run writes is sealed with keys derived from that run's own random key. The key leaves the process wrapped to
//! the recipients of the newest key document and in no other form, so the host that writes cannot read what it wrote before.
//!
//! Invariant: a key and nonce pair never recurs, since each object has a random salt and each part of it an ordinal of its own;
//! nothing sealed opens in another repository, run, object, place or length than the one it was sealed for.

mod cipher;
mod keyring;
mod run;
mod tree;
mod wrap;

pub(crate) use cipher::{Cipher, DIRECTORY, FRAME, Part, TAG};
pub(crate) use keyring::Keyring;
pub use keyring::SealedAt;
pub use run::{RunId, RunSeal};
pub(crate) use tree::TreeSeal;
pub(crate) use wrap::wrap;
pub use wrap::{Identities, IdentityError, is_recipient};

/// A key or recipient that is none, or a cipher library that fails.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SealError(pub(crate) String);
