//! What a file's extents must add up to, known before a byte of it is read: they follow each other, and their hashes make up the
//! digest that the listing names.
//!
//! Where every extent is one block this needs no second look at the bytes: each extent is compared with its hash on its way.

use muster_archive::tree::Extent;
use muster_archive::{BLOCK, FileDigest};

/// Adds up a file's extents.
pub(crate) struct ContentCheck {
    digest: FileDigest,
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
    pub(crate) fn new(size: u64) -> Self {
        let zero_block = *blake3::hash(&[0; BLOCK]).as_bytes();
        Self {
            digest: FileDigest::new(),
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
        let block = BLOCK as u64;
        let whole = end.is_multiple_of(block) || end == self.size;
        if !self.blocks || !begin.is_multiple_of(block) || !whole {
            self.blocks = false;
        } else if extent.location.is_some() {
            self.blocks = extent.length <= block;
            self.digest.push_block(&extent.hash);
        } else {
            for _ in 0..extent.length / block {
                self.digest.push_block(&self.zero_block);
            }
            let rest = usize::try_from(extent.length % block).unwrap_or(0);
            if rest > 0 {
                self.digest.push_block(blake3::hash(&[0; BLOCK][..rest]).as_bytes());
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
    use muster_archive::tree::Location;
    use muster_signing::Digest;

    use super::*;

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
            hash: *blake3::hash(bytes).as_bytes(),
            location: Some(location),
        }
    }

    fn zeros(length: usize) -> Extent {
        Extent {
            length: length as u64,
            hash: [0; 32],
            location: None,
        }
    }

    fn sum(extents: &[Extent], size: usize, bytes: &[u8]) -> Sum {
        let mut digest = FileDigest::new();
        digest.update(bytes);
        let mut check = ContentCheck::new(size as u64);
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
    fn what_is_too_long_too_short_or_another_file_is_wrong() {
        let bytes = vec![7; BLOCK + 5];
        let extents = [data(&bytes[..BLOCK]), data(&bytes[BLOCK..])];
        assert_eq!(sum(&extents, bytes.len(), &bytes), Sum::Right);
        assert_eq!(sum(&extents, bytes.len() + 1, &bytes), Sum::Wrong);
        assert_eq!(sum(&extents, bytes.len() - 1, &bytes), Sum::Wrong);
        assert_eq!(sum(&extents, bytes.len(), b"another"), Sum::Wrong);
    }
}
