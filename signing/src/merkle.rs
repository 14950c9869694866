//! The Merkle tree of RFC 6962: roots, inclusion and consistency proofs, over leaf hashes held by the caller.
//!
//! Who does not hold all leaf hashes asks for whole subtrees instead ([`Subtree`]): which ones a root or a proof is made of depends on
//! sizes alone. Leaves and nodes are hashed under different prefixes, so that no leaf can pass for a node. Proofs are checked with the
//! algorithms of RFC 9162 §2.1.3.2 and §2.1.4.2; a proof with one hash too many or too few is wrong.

use crate::digest::{Digest, Hasher};

/// A proof that does not show what it claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log proof is wrong")]
pub struct BadProof;

/// The hash of a leaf's bytes.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(&[0]);
    hasher.update(entry);
    hasher.finish()
}

/// The hash of an inner node.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(&[1]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    hasher.finish()
}

/// The root over the leaf hashes in order; that of no leaves is SHA-256 of nothing.
#[must_use]
pub fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// The hashes beside the path from leaf `index` to the root, lowest first; `None` when there is no such leaf.
#[must_use]
pub fn prove_inclusion(leaves: &[Digest], index: usize) -> Option<Vec<Digest>> {
    if index >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut proof, beside) = if index < left.len() {
        (prove_inclusion(left, index)?, root(right))
    } else {
        (prove_inclusion(right, index - left.len())?, root(left))
    };
    proof.push(beside);
    Some(proof)
}

/// Checks that the leaf hash stands at `index` in the tree of `size` leaves with this root.
///
/// # Errors
///
/// [`BadProof`] when the proof does not show it.
pub fn verify_inclusion(leaf: &Digest, index: u64, size: u64, proof: &[Digest], root: &Digest) -> Result<(), BadProof> {
    if index >= size {
        return Err(BadProof);
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for beside in proof {
        if last == 0 {
            return Err(BadProof);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(beside, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, beside);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root {
        Ok(())
    } else {
        Err(BadProof)
    }
}

/// The hashes that show that the first `old` leaves are the tree's older self; `None` when `old` is 0 or too large.
#[must_use]
pub fn prove_consistency(leaves: &[Digest], old: usize) -> Option<Vec<Digest>> {
    fn walk(leaves: &[Digest], old: usize, whole: bool) -> Vec<Digest> {
        if old == leaves.len() {
            return if whole { Vec::new() } else { vec![root(leaves)] };
        }
        let (left, right) = leaves.split_at(split(leaves.len()));
        let (mut proof, beside) = if old <= left.len() {
            (walk(left, old, whole), root(right))
        } else {
            (walk(right, old - left.len(), false), root(left))
        };
        proof.push(beside);
        proof
    }
    (old > 0 && old <= leaves.len()).then(|| walk(leaves, old, true))
}

/// Checks that the tree of `old_size` leaves with `old_root` is the beginning of the tree of `size` leaves with `root`.
///
/// # Errors
///
/// [`BadProof`] when the proof does not show it. Nothing is shown about an old size of zero: that is refused.
pub fn verify_consistency(
    old_root: &Digest,
    old_size: u64,
    root: &Digest,
    size: u64,
    proof: &[Digest],
) -> Result<(), BadProof> {
    if old_size == 0 || old_size > size {
        return Err(BadProof);
    }
    if old_size == size {
        return if proof.is_empty() && old_root == root {
            Ok(())
        } else {
            Err(BadProof)
        };
    }
    let (first, rest) = if old_size.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(BadProof)?
    };
    let (mut node, mut last) = (old_size - 1, size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut hash) = (*first, *first);
    for beside in rest {
        if last == 0 {
            return Err(BadProof);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(beside, &old_hash);
            hash = node_hash(beside, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, beside);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && old_hash == *old_root && hash == *root {
        Ok(())
    } else {
        Err(BadProof)
    }
}

/// A whole subtree: that of the 2^`level` leaves that begin at `index` × 2^`level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree {
    /// Its height: 0 is a leaf.
    pub level: u32,
    /// Which one of its height, from the left.
    pub index: u64,
}

/// The whole subtrees, left to right, whose [`fold`] is the hash over the leaves `from..to`. `from` must be where a node of the tree
/// begins: 0, or a multiple of the largest power of two in the length.
#[must_use]
pub fn subtrees(from: u64, to: u64) -> Vec<Subtree> {
    let (mut at, mut parts) = (from, Vec::new());
    while at < to {
        let level = (to - at).ilog2();
        parts.push(Subtree {
            level,
            index: at >> level,
        });
        at += 1 << level;
    }
    parts
}

/// The hash over neighbouring subtrees that become smaller to the right; that of none is SHA-256 of nothing.
#[must_use]
pub fn fold(parts: &[Digest]) -> Digest {
    let Some((last, before)) = parts.split_last() else {
        return Digest::of(b"");
    };
    before.iter().rev().fold(*last, |right, left| node_hash(left, &right))
}

/// What each hash of [`prove_inclusion`] is folded of; `None` when there is no such leaf.
#[must_use]
pub fn inclusion_parts(index: u64, size: u64) -> Option<Vec<Vec<Subtree>>> {
    if index >= size {
        return None;
    }
    let (mut from, mut to, mut proof) = (0, size, Vec::new());
    while to - from > 1 {
        let middle = from + split_u64(to - from);
        if index < middle {
            proof.push(subtrees(middle, to));
            to = middle;
        } else {
            proof.push(subtrees(from, middle));
            from = middle;
        }
    }
    proof.reverse();
    Some(proof)
}

/// What each hash of [`prove_consistency`] is folded of; `None` when `old` is 0 or larger than `size`.
#[must_use]
pub fn consistency_parts(old: u64, size: u64) -> Option<Vec<Vec<Subtree>>> {
    if old == 0 || old > size {
        return None;
    }
    let (mut from, mut to, mut proof) = (0, size, Vec::new());
    while old != to {
        let middle = from + split_u64(to - from);
        if old <= middle {
            proof.push(subtrees(middle, to));
            to = middle;
        } else {
            proof.push(subtrees(from, middle));
            from = middle;
        }
    }
    if from > 0 {
        proof.push(subtrees(from, to));
    }
    proof.reverse();
    Some(proof)
}

/// The largest power of two below `n`, for `n` of at least two.
fn split_u64(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// The largest power of two below `n`, for `n` of at least two.
fn split(n: usize) -> usize {
    1 << (n - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs and roots of the reference implementation of Certificate Transparency.
    const INPUTS: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn leaves() -> Vec<Digest> {
        INPUTS.iter().map(|entry| leaf_hash(entry)).collect()
    }

    fn digests(texts: &[&str]) -> Vec<Digest> {
        texts.iter().map(|text| Digest::from_hex(text).unwrap()).collect()
    }

    #[test]
    fn the_published_roots_come_out() {
        for (size, expected) in ROOTS.iter().enumerate() {
            assert_eq!(root(&leaves()[..size]).hex(), *expected, "{size} leaves");
        }
    }

    #[test]
    fn the_published_proofs_come_out() {
        let inclusion = digests(&[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]);
        assert_eq!(prove_inclusion(&leaves(), 5).unwrap(), inclusion);
        let consistency = digests(&[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]);
        assert_eq!(prove_consistency(&leaves(), 6).unwrap(), consistency);
    }

    #[test]
    fn each_inclusion_is_provable_and_no_other() {
        let all: Vec<_> = (0..40_u8).map(|i| leaf_hash(&[i])).collect();
        for size in 1..=all.len() {
            let tree = root(&all[..size]);
            for (index, leaf) in all[..size].iter().enumerate() {
                let proof = prove_inclusion(&all[..size], index).unwrap();
                let check = |leaf: &Digest, index: usize, proof: &[Digest]| {
                    verify_inclusion(leaf, index as u64, size as u64, proof, &tree)
                };
                check(leaf, index, &proof).unwrap();
                assert!(check(&all[(index + 1) % all.len()], index, &proof).is_err());
                assert!(check(leaf, (index + 1) % (size + 1), &proof).is_err());
                assert!(check(leaf, index, &[&proof[..], &[tree]].concat()).is_err());
                for cut in 0..proof.len() {
                    assert!(check(leaf, index, &proof[..cut]).is_err());
                    let mut wrong = proof.clone();
                    wrong[cut] = tree;
                    assert!(check(leaf, index, &wrong).is_err());
                }
            }
        }
        assert!(prove_inclusion(&all, all.len()).is_none());
    }

    #[test]
    fn each_beginning_is_provable_and_no_other() {
        let all: Vec<_> = (0..40_u8).map(|i| leaf_hash(&[i])).collect();
        for size in 1..=all.len() {
            let tree = root(&all[..size]);
            for old in 1..=size {
                let proof = prove_consistency(&all[..size], old).unwrap();
                let check = |old_root: &Digest, old: usize, proof: &[Digest]| {
                    verify_consistency(old_root, old as u64, &tree, size as u64, proof)
                };
                check(&root(&all[..old]), old, &proof).unwrap();
                assert!(check(&leaf_hash(b"other"), old, &proof).is_err());
                assert!(check(&root(&all[..old]), old, &[&proof[..], &[tree]].concat()).is_err());
                for cut in 0..proof.len() {
                    assert!(check(&root(&all[..old]), old, &proof[..cut]).is_err());
                    let mut wrong = proof.clone();
                    wrong[cut] = leaf_hash(b"other");
                    assert!(check(&root(&all[..old]), old, &wrong).is_err());
                }
            }
        }
        assert!(prove_consistency(&all, 0).is_none());
        assert!(verify_consistency(&root(&[]), 0, &root(&all), 40, &[]).is_err());
    }

    #[test]
    fn proofs_come_out_the_same_from_whole_subtrees_as_from_all_leaves() {
        let all: Vec<_> = (0..70_u8).map(|i| leaf_hash(&[i])).collect();
        let part = |part: &Subtree| {
            let from = usize::try_from(part.index << part.level).unwrap();
            root(&all[from..from + (1 << part.level)])
        };
        let hashes = |parts: Vec<Vec<Subtree>>| -> Vec<Digest> {
            let each = parts.iter().map(|parts| parts.iter().map(part).collect::<Vec<_>>());
            each.map(|parts| fold(&parts)).collect()
        };
        for size in 0..=all.len() {
            let parts: Vec<_> = subtrees(0, size as u64).iter().map(part).collect();
            assert_eq!(fold(&parts), root(&all[..size]), "{size} leaves");
            for at in 0..=size {
                let inclusion = inclusion_parts(at as u64, size as u64).map(hashes);
                assert_eq!(inclusion, prove_inclusion(&all[..size], at), "leaf {at} of {size}");
                let consistency = consistency_parts(at as u64, size as u64).map(hashes);
                assert_eq!(consistency, prove_consistency(&all[..size], at), "{at} to {size}");
            }
        }
    }
}
