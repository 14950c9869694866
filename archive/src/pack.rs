//! Packs: frames gathered into objects of about 32 MiB whose name is their SHA-256.
//!
//! Invariant: a pack's first bytes are a random salt, so its name never recurs and nothing is ever overwritten.

use bytes::Bytes;
use muster_signing::{Digest, Hasher};

const MAGIC: &[u8; 8] = b"MUSTPACK";
const TAIL: &[u8; 4] = b"KCAP";
const VERSION: u16 = 1;
const HEADER: usize = 44;
/// Most bytes of a pack.
pub(crate) const PACK_MAX: usize = 64 << 20;
/// Bytes at which the writer closes a pack.
pub(crate) const PACK_TARGET: usize = 32 << 20;
const RAW: u32 = 1 << 31;

/// A pack that is being filled.
pub(crate) struct PackBuilder {
    bytes: Vec<u8>,
    hasher: Hasher,
    directory: Vec<(u32, u32)>,
}

/// Where a frame came to lie in the open pack.
#[derive(Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) ordinal: u32,
    pub(crate) offset: u32,
}

impl PackBuilder {
    pub(crate) fn new(salt: [u8; 32]) -> Self {
        let mut bytes = Vec::with_capacity(PACK_TARGET + (1 << 20));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&0u16.to_le_bytes());
        bytes.extend_from_slice(&salt);
        let mut hasher = Hasher::new();
        hasher.update(&bytes);
        Self {
            bytes,
            hasher,
            directory: Vec::new(),
        }
    }

    /// Adds a frame as it is stored.
    pub(crate) fn push(&mut self, stored: &[u8], raw: bool, frame_length: u32) -> Placed {
        let clip = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let placed = Placed {
            ordinal: clip(self.directory.len()),
            offset: clip(self.bytes.len()),
        };
        self.bytes.extend_from_slice(stored);
        self.hasher.update(stored);
        self.directory
            .push((clip(stored.len()) | if raw { RAW } else { 0 }, frame_length));
        placed
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= PACK_TARGET
    }

    /// The whole object and its name.
    pub(crate) fn finish(mut self) -> (Digest, Bytes) {
        let start = self.bytes.len();
        for (stored, decoded) in &self.directory {
            self.bytes.extend_from_slice(&stored.to_le_bytes());
            self.bytes.extend_from_slice(&decoded.to_le_bytes());
        }
        self.bytes.extend_from_slice(&(start as u64).to_le_bytes());
        self.bytes
            .extend_from_slice(&u32::try_from(self.directory.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.bytes.extend_from_slice(TAIL);
        self.hasher.update(&self.bytes[start..]);
        (self.hasher.finish(), Bytes::from(self.bytes))
    }
}

/// One frame of a pack, from its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryEntry {
    pub(crate) offset: u32,
    pub(crate) stored: u32,
    pub(crate) raw: bool,
    pub(crate) frame_length: u32,
}

/// Reads the directory of a whole pack.
///
/// # Errors
/// One line that says what is wrong with its form.
pub(crate) fn read_directory(pack: &[u8]) -> Result<Vec<DirectoryEntry>, &'static str> {
    if pack.len() < HEADER + 16 || pack.len() > PACK_MAX || &pack[..8] != MAGIC {
        return Err("it is not a pack");
    }
    if u16::from_le_bytes([pack[8], pack[9]]) > VERSION {
        return Err("it needs a newer version of muster");
    }
    let (body, tail) = pack.split_at(pack.len() - 16);
    let field = |range: std::ops::Range<usize>| {
        tail[range]
            .iter()
            .rev()
            .fold(0u64, |value, byte| (value << 8) | u64::from(*byte))
    };
    let (start, count) = (field(0..8), field(8..12));
    if &tail[12..] != TAIL || start.checked_add(count * 8) != Some(body.len() as u64) || start < HEADER as u64 {
        return Err("its directory does not fit");
    }
    let mut offset = u32::try_from(HEADER).unwrap_or(0);
    let directory = usize::try_from(start).map_err(|_| "its directory does not fit")?;
    let mut entries = Vec::with_capacity((body.len() - directory) / 8);
    for record in body[directory..].as_chunks::<8>().0 {
        let [a, b, c, d, e, f, g, h] = *record;
        let stored = u32::from_le_bytes([a, b, c, d]);
        let entry = DirectoryEntry {
            offset,
            stored: stored & !RAW,
            raw: stored & RAW != 0,
            frame_length: u32::from_le_bytes([e, f, g, h]),
        };
        offset = offset.checked_add(entry.stored).ok_or("its frames do not fit")?;
        entries.push(entry);
    }
    if u64::from(offset) == start {
        Ok(entries)
    } else {
        Err("its frames do not fill it")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pack_lists_what_was_pushed_and_is_named_by_its_bytes() {
        let mut pack = PackBuilder::new([9; 32]);
        let first = pack.push(b"abc", true, 3);
        let second = pack.push(b"defgh", false, 70_000);
        assert_eq!(
            (first.ordinal, first.offset, second.ordinal, second.offset),
            (0, 44, 1, 47)
        );
        let (id, bytes) = pack.finish();
        assert_eq!(id, Digest::of(&bytes));
        let directory = read_directory(&bytes).unwrap();
        assert_eq!(
            directory[1],
            DirectoryEntry {
                offset: 47,
                stored: 5,
                raw: false,
                frame_length: 70_000
            }
        );
        assert_eq!(directory.len(), 2);
    }

    proptest! {
        #[test]
        fn hostile_packs_are_errors_and_never_panics(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = b"MUSTPACK\x01\x00\x00\x00".to_vec();
            bytes.extend_from_slice(&tail);
            let _ = read_directory(&bytes);
        }
    }
}
