//! AES-256-GCM over one part of one object: a frame, a pack's directory, the body of a tree object.
//!
//! Invariant: the nonce is the part's ordinal under a key that belongs to this object alone; what the part is, where it stands and how
//! long it is are authenticated with it (docs/format/archive.md, "Sealing").

use aws_lc_rs::aead::{Aad, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce};

use super::run::RunId;

/// Bytes by which sealing makes a part longer.
pub(crate) const TAG: usize = MAX_TAG_LEN;
/// Kind of part: a frame. Bodies of tree objects have the number of their kind, 1 to 3.
pub(crate) const FRAME: u8 = 16;
/// Kind of part: the directory of a pack; its ordinal is `u32::MAX`.
pub(crate) const DIRECTORY: u8 = 17;

/// Which part of an object is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) kind: u8,
    pub(crate) ordinal: u32,
    /// Stored length with the tag, bit 31 set where the frame is raw: as the directory has it.
    pub(crate) stored: u32,
    /// Decoded length.
    pub(crate) decoded: u32,
}

/// The cipher of one object.
pub(crate) struct Cipher {
    key: LessSafeKey,
    /// Repository, run and salt.
    prefix: [u8; 80],
}

/// The bytes are not what was sealed for this part.
#[derive(Debug)]
pub(crate) struct NotAuthentic;

impl Cipher {
    pub(super) fn new(key: LessSafeKey, repository: &[u8; 32], run: &RunId, salt: &[u8; 32]) -> Self {
        let mut prefix = [0; 80];
        prefix[..32].copy_from_slice(repository);
        prefix[32..48].copy_from_slice(run.as_bytes());
        prefix[48..].copy_from_slice(salt);
        Self { key, prefix }
    }

    /// Encrypts `plain` in place; the tag is stored behind it.
    pub(crate) fn seal(&self, part: Part, plain: &mut [u8]) -> Result<[u8; TAG], NotAuthentic> {
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(part), self.aad(part), plain)
            .map_err(|_| NotAuthentic)?;
        tag.as_ref().try_into().map_err(|_| NotAuthentic)
    }

    /// Decrypts a stored part into `plain`, which is cleared first.
    pub(crate) fn open(&self, part: Part, stored: &[u8], plain: &mut Vec<u8>) -> Result<(), NotAuthentic> {
        let (sealed, tag) = stored.split_last_chunk::<TAG>().ok_or(NotAuthentic)?;
        plain.clear();
        plain.resize(sealed.len(), 0);
        let opened = self
            .key
            .open_separate_gather(nonce(part), self.aad(part), sealed, tag, plain);
        if opened.is_err() {
            plain.clear();
            return Err(NotAuthentic);
        }
        Ok(())
    }

    fn aad(&self, part: Part) -> Aad<[u8; 93]> {
        let mut aad = [0; 93];
        aad[..80].copy_from_slice(&self.prefix);
        aad[80..84].copy_from_slice(&part.ordinal.to_le_bytes());
        aad[84] = part.kind;
        aad[85..89].copy_from_slice(&part.stored.to_le_bytes());
        aad[89..].copy_from_slice(&part.decoded.to_le_bytes());
        Aad::from(aad)
    }
}

fn nonce(part: Part) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..4].copy_from_slice(&part.ordinal.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}
