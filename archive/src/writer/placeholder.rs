//! What stands for the id of a pack that is still open.
//!
//! Invariant: no tree object is encoded before its extents' placeholders are resolved.

use muster_signing::Digest;

use crate::tree::Extent;

/// Stands for the id of the pack with this number until it is closed. No SHA-256 is expected to look like it.
pub(super) fn placeholder(number: usize) -> Digest {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&(number as u64).to_be_bytes());
    Digest::from_bytes(bytes)
}

/// Puts the ids of closed packs in the place of what stood for them.
pub(super) fn resolve(extents: &mut [Extent], closed: &[Digest]) {
    for location in extents.iter_mut().filter_map(|extent| extent.location.as_mut()) {
        let Some((zeros, number)) = location.pack.as_bytes().split_last_chunk::<8>() else {
            continue;
        };
        let number = usize::try_from(u64::from_be_bytes(*number))
            .ok()
            .filter(|_| zeros == [0; 24]);
        if let Some(id) = number.and_then(|number| closed.get(number)) {
            location.pack = *id;
        }
    }
}
