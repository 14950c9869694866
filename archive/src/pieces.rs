//! The hash of a block whose pieces come one at a time, in any order, and are not kept.
//!
//! A block's BLAKE3 is a tree over chunks of 1 KiB (the BLAKE3 paper, section 2.1): a piece gives the chaining values of the largest
//! subtrees that lie wholly in it, and these are merged when all are there. So each byte is hashed once, and none is read back.
//!
//! Invariant: [`Pieces::finish`] gives what [`HashKey::hash`] gives for the whole block, or nothing.

use blake3::CHUNK_LEN;
use blake3::hazmat::{HasherExt as _, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

use crate::HashKey;

/// What is known of a block.
#[derive(Debug, Default)]
pub struct Pieces {
    values: Vec<(Range, [u8; 32])>,
}

/// A subtree: where in the block it begins, and how many bytes are beneath it.
type Range = (usize, usize);

impl Pieces {
    /// The bytes of a block of `length` bytes that begin at `within`. Those of a chunk that lies in two pieces are of no use.
    pub fn add(&mut self, key: &HashKey, length: usize, within: usize, bytes: &[u8]) {
        let piece = (within, bytes.len());
        self.subtrees(key, (0, length), piece, bytes);
    }

    /// Takes over what is known from other pieces of the same block.
    pub fn join(&mut self, other: Self) {
        self.values.extend(other.values);
    }

    /// The block's hash; `None` where not every chunk came in one piece, and where one piece is all.
    pub fn finish(mut self, key: &HashKey, length: usize) -> Option<[u8; 32]> {
        if length <= CHUNK_LEN {
            return None;
        }
        self.values.sort_unstable_by_key(|(range, _)| *range);
        let (left, right) = halves((0, length));
        let (left, right) = (self.value(key, left)?, self.value(key, right)?);
        Some(*merge_subtrees_root(&left, &right, Mode::KeyedHash(key.as_bytes())).as_bytes())
    }

    fn subtrees(&mut self, key: &HashKey, node: Range, piece: Range, bytes: &[u8]) {
        let (begin, end) = (node.0, node.0 + node.1);
        let (first, last) = (piece.0, piece.0 + piece.1);
        if end <= first || last <= begin {
            return;
        }
        if first <= begin && end <= last {
            let mut hasher = blake3::Hasher::new_keyed(key.as_bytes());
            hasher.set_input_offset(begin as u64);
            hasher.update(&bytes[begin - first..end - first]);
            self.values.push((node, hasher.finalize_non_root()));
        } else if node.1 > CHUNK_LEN {
            let (left, right) = halves(node);
            self.subtrees(key, left, piece, bytes);
            self.subtrees(key, right, piece, bytes);
        }
    }

    fn value(&self, key: &HashKey, node: Range) -> Option<[u8; 32]> {
        if let Ok(at) = self.values.binary_search_by_key(&node, |(range, _)| *range) {
            return Some(self.values[at].1);
        }
        if node.1 <= CHUNK_LEN {
            return None;
        }
        let (left, right) = halves(node);
        let (left, right) = (self.value(key, left)?, self.value(key, right)?);
        Some(merge_subtrees_non_root(&left, &right, Mode::KeyedHash(key.as_bytes())))
    }
}

/// The subtrees beneath one of more than a chunk.
fn halves((begin, length): Range) -> (Range, Range) {
    let left = usize::try_from(left_subtree_len(length as u64)).unwrap_or(length);
    ((begin, left), (begin + left, length - left))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::BLOCK;

    fn block(length: usize, seed: u8) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_give_the_hash_of_the_block(
            length in CHUNK_LEN + 1..=BLOCK,
            seed in any::<u8>(),
            cuts in prop::collection::btree_set(1usize..64, 1..9),
            turn in any::<bool>(),
        ) {
            let (key, bytes) = (HashKey::new([7; 32]), block(length, seed));
            let mut bounds: Vec<usize> = cuts.into_iter().map(|cut| cut * CHUNK_LEN).filter(|cut| *cut < length).collect();
            bounds.insert(0, 0);
            bounds.push(length);
            prop_assume!(bounds.len() > 2);
            let mut ranges: Vec<(usize, usize)> = bounds.windows(2).map(|pair| (pair[0], pair[1])).collect();
            if turn {
                ranges.reverse();
            }
            let mut pieces = Pieces::default();
            for (first, last) in ranges {
                let mut one = Pieces::default();
                one.add(&key, length, first, &bytes[first..last]);
                pieces.join(one);
            }
            prop_assert_eq!(pieces.finish(&key, length), Some(key.hash(&bytes)));
        }

        #[test]
        fn a_chunk_in_two_pieces_or_a_missing_one_gives_nothing(cut in 1usize..BLOCK) {
            let (key, bytes) = (HashKey::new([7; 32]), block(BLOCK, 1));
            let mut pieces = Pieces::default();
            pieces.add(&key, BLOCK, 0, &bytes[..cut]);
            if !cut.is_multiple_of(CHUNK_LEN) {
                pieces.add(&key, BLOCK, cut, &bytes[cut..]);
            }
            prop_assert_eq!(pieces.finish(&key, BLOCK), None);
        }
    }
}
