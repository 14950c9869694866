//! What a file's extents must add up to, known before a byte of it is read: they follow each other, and their hashes make up the
//! digest that the listing names.
//!
//! Where every extent is one block this needs no second look at the bytes: each extent is compared with its hash on its way.

use muster_archive::tree::{Check, Extent};
use muster_archive::{BLOCK, FileDigest, HashKey};

/// Adds up a file's extents.
pub(crate) struct ContentCheck {
    key: HashKey,
    digest: FileDigest,
    /// Extents of a group that are still to come: its block's hash is counted already.
    grouped: u32,
    size: u64,
    position: u64,
    blocks: bool,
    zero_block: [u8; 32],
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    /// The extents make up the file.
    Right,
    /// They do not.
    Wrong,
    /// They are not blocks: the written file must be read back.
    ReadBack,
}

impl ContentCheck {
    pub(crate) fn new(key: &HashKey, size: u64) -> Self {
        let zero_block = key.hash(&[0; BLOCK]);
        Self {
            key: key.clone(),
            digest: FileDigest::new(key),
            grouped: 0,
            size,
            position: 0,
            blocks: true,
            zero_block,
        }
    }

    /// Where the next extent begins; `None` when it would not fit the file.
    pub(crate) fn next(&mut self, extent: &Extent) -> Option<u64> {
        let begin = self.position;
        let end = begin.checked_add(extent.length).filter(|end| *end <= self.size)?;
        self.position = end;
        if let Some(group) = &extent.group {
            self.digest.push_block(&group.hash);
            self.grouped = group.extents;
        }
        if self.grouped > 0 {
            self.grouped -= 1;
            return Some(begin);
        }
        let block = BLOCK as u64;
        let whole = end.is_multiple_of(block) || end == self.size;
        if !self.blocks || !begin.is_multiple_of(block) || !whole {
            self.blocks = false;
        } else if let Check::Whole(hash) = &extent.check {
            self.blocks = extent.length <= block;
            self.digest.push_block(hash);
        } else {
            for _ in 0..extent.length / block {
                self.digest.push_block(&self.zero_block);
            }
            let rest = usize::try_from(extent.length % block).unwrap_or(0);
            if rest > 0 {
                self.digest.push_block(&self.key.hash(&[0; BLOCK][..rest]));
            }
        }
        Some(begin)
    }

    /// Compares with the digest that the listing names.
    pub(crate) fn finish(self, expected: &[u8; 32]) -> Sum {
        if self.position != self.size {
            Sum::Wrong
        } else if !self.blocks {
            Sum::ReadBack
        } else if self.digest.finish() == *expected {
            Sum::Right
        } else {
            Sum::Wrong
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_archive::tree::{Group, Location};
    use muster_signing::Digest;

    use super::*;

    fn key() -> HashKey {
        HashKey::new([7; 32])
    }

    fn data(bytes: &[u8]) -> Extent {
        let length = u32::try_from(bytes.len()).unwrap();
        let location = Location {
            pack: Digest::of(b""),
            ordinal: 0,
            offset: 0,
            stored: 1,
            raw: false,
            frame_length: length,
            within: 0,
        };
        Extent {
            length: bytes.len() as u64,
            check: Check::Whole(key().hash(bytes)),
            location: Some(location),
            group: None,
        }
    }

    fn zeros(length: usize) -> Extent {
        Extent::zeros(length as u64)
    }

    fn sum(extents: &[Extent], size: usize, bytes: &[u8]) -> Sum {
        let mut digest = FileDigest::new(&key());
        digest.update(bytes);
        let mut check = ContentCheck::new(&key(), size as u64);
        for extent in extents {
            if check.next(extent).is_none() {
                return Sum::Wrong;
            }
        }
        check.finish(&digest.finish())
    }

    #[test]
    fn hashes_of_blocks_and_runs_of_zeros_make_up_the_file() {
        let mut bytes = vec![7; BLOCK];
        bytes.extend_from_slice(&vec![0; 2 * BLOCK + 100]);
        assert_eq!(
            sum(&[data(&bytes[..BLOCK]), zeros(2 * BLOCK + 100)], bytes.len(), &bytes),
            Sum::Right
        );
        assert_eq!(
            sum(&[zeros(2 * BLOCK + 100), data(&bytes[..BLOCK])], bytes.len(), &bytes),
            Sum::ReadBack
        );
        assert_eq!(sum(&[], 0, b""), Sum::Right);
    }

    #[test]
    fn the_pieces_of_a_block_count_as_the_block() {
        let bytes = vec![7; BLOCK + 5];
        let mut extents = vec![data(&bytes[..100]), data(&bytes[100..BLOCK]), data(&bytes[BLOCK..])];
        assert_eq!(sum(&extents, bytes.len(), &bytes), Sum::ReadBack);
        extents[0].group = Some(Box::new(Group {
            hash: key().hash(&bytes[..BLOCK]),
            extents: 2,
        }));
        assert_eq!(sum(&extents, bytes.len(), &bytes), Sum::Right);
    }

    #[test]
    fn what_is_too_long_too_short_or_another_file_is_wrong() {
        let bytes = vec![7; BLOCK + 5];
        let extents = [data(&bytes[..BLOCK]), data(&bytes[BLOCK..])];
        assert_eq!(sum(&extents, bytes.len(), &bytes), Sum::Right);
        assert_eq!(sum(&extents, bytes.len() + 1, &bytes), Sum::Wrong);
        assert_eq!(sum(&extents, bytes.len() - 1, &bytes), Sum::Wrong);
        assert_eq!(sum(&extents, bytes.len(), b"another"), Sum::Wrong);
    }
}
