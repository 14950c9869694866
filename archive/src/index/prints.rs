//! Page prints: the first eight bytes of each page's chaining value, on the way to the block's hash.
//!
//! A block's BLAKE3 is a tree over chunks of 1 KiB; a page of 4 KiB and more is a whole subtree of it. So the hash of the block and
//! the prints of its pages cost one pass over the bytes.
//!
//! Invariant: the hash is what [`HashKey::hash`] gives for the same bytes. A print depends on the page's bytes and on its place in the
//! block.

use blake3::hazmat::{HasherExt as _, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};

use crate::content::{BLOCK, HashKey};

/// Smallest page that has a print of its own.
pub(crate) const PAGE_MIN: u32 = 4096;

/// How many pages so many bytes are.
pub(crate) fn pages_of(bytes: u64, page: u32) -> usize {
    usize::try_from(bytes.div_ceil(u64::from(page.max(1)))).unwrap_or(usize::MAX)
}

/// The page size that prints are made of for a store whose pages have `bytes` bytes.
pub(crate) fn page_size(bytes: u32) -> u32 {
    let most = u32::try_from(BLOCK).unwrap_or(u32::MAX);
    bytes.clamp(PAGE_MIN, most).next_power_of_two().min(most)
}

/// The hash of a block; appends the prints of its pages.
pub(crate) fn hash_block(key: &HashKey, block: &[u8], page: u32, prints: &mut Vec<u64>) -> [u8; 32] {
    if block.len() <= page as usize {
        let hash = key.hash(block);
        prints.push(print_of(&hash));
        return hash;
    }
    let left = half(block.len(), page);
    let (a, b) = block.split_at(left);
    let a = subtree(key, a, 0, page, prints);
    let b = subtree(key, b, left as u64, page, prints);
    *merge_subtrees_root(&a, &b, Mode::KeyedHash(key.as_bytes())).as_bytes()
}

fn subtree(key: &HashKey, bytes: &[u8], offset: u64, page: u32, prints: &mut Vec<u64>) -> [u8; 32] {
    if bytes.len() <= page as usize {
        let mut hasher = blake3::Hasher::new_keyed(key.as_bytes());
        hasher.set_input_offset(offset);
        hasher.update(bytes);
        let value = hasher.finalize_non_root();
        prints.push(print_of(&value));
        return value;
    }
    let left = half(bytes.len(), page);
    let (a, b) = bytes.split_at(left);
    let a = subtree(key, a, offset, page, prints);
    let b = subtree(key, b, offset + left as u64, page, prints);
    merge_subtrees_non_root(&a, &b, Mode::KeyedHash(key.as_bytes()))
}

/// Where the left subtree of so many bytes, more than a page, ends.
fn half(bytes: usize, page: u32) -> usize {
    debug_assert!(bytes > page as usize);
    usize::try_from(left_subtree_len(bytes as u64)).unwrap_or(bytes)
}

fn print_of(value: &[u8; 32]) -> u64 {
    value.first_chunk::<8>().map_or(0, |first| u64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_hash_is_the_block_s_whatever_its_length(length in 1usize..=BLOCK, seed in any::<u8>(), page in 12u32..17) {
            let mut block = vec![0; length];
            blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut block);
            let (key, mut prints) = (HashKey::new([7; 32]), Vec::new());
            prop_assert_eq!(hash_block(&key, &block, 1 << page, &mut prints), key.hash(&block));
            prop_assert_eq!(prints.len(), pages_of(length as u64, 1 << page));
        }

        #[test]
        fn a_changed_byte_changes_the_print_of_its_page_alone(at in 0usize..BLOCK) {
            let key = HashKey::new([7; 32]);
            let mut block = vec![3; BLOCK];
            let (mut before, mut after) = (Vec::new(), Vec::new());
            hash_block(&key, &block, 8192, &mut before);
            block[at] ^= 1;
            hash_block(&key, &block, 8192, &mut after);
            let changed: Vec<usize> = (0..8).filter(|page| before[*page] != after[*page]).collect();
            prop_assert_eq!(changed, [at / 8192]);
        }
    }

    #[test]
    fn pages_are_powers_of_two_from_4_kib_to_a_block() {
        assert_eq!([512, 4096, 8192, 65_536].map(page_size), [4096, 4096, 8192, 65_536]);
    }
}
