//! What the fuzz targets share: keys, seeds planted into their corpora, one-bit edits, and a small repository.
//!
//! A target asserts more than "no panic": what decodes encodes again, and what was changed never verifies. Everything here is
//! deterministic, so that an artifact reproduces.

pub mod seeds;
pub mod world;

use muster_signing::{Role, SecretKey};

/// The key of a role: the same in every run.
#[must_use]
pub fn key(role: Role) -> SecretKey {
    SecretKey::generate([role as u8 + 1; 32])
}

/// `bytes` with one bit turned, which `choice` selects; `None` where there is none to turn.
#[must_use]
pub fn turn_a_bit(bytes: &[u8], choice: &[u8]) -> Option<Vec<u8>> {
    let choice = choice
        .iter()
        .take(5)
        .fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
    let mut turned = bytes.to_vec();
    *turned.get_mut((choice >> 3).checked_rem(bytes.len())?)? ^= 1 << (choice & 7);
    Some(turned)
}
