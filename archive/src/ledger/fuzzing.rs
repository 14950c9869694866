//! The parsers of a log's tiles, for `fuzz/` alone (see `crate::fuzzing`).

use std::collections::BTreeMap;

use muster_signing::Digest;

use super::memory::Remembered;
use super::tiles;

/// The hashes of a tile that is this wide.
pub fn split_tile(bytes: &[u8], width: u64) -> Option<Vec<Digest>> {
    tiles::split_tile(bytes, width)
}

/// A tile of these hashes.
pub fn tile(hashes: &[Digest]) -> Vec<u8> {
    tiles::join_tile(0, 0, hashes).bytes
}

/// The entries of a bundle that is this wide.
pub fn split_bundle(bytes: &[u8], width: u64) -> Option<Vec<Vec<u8>>> {
    tiles::split_bundle(bytes, width)
}

/// A bundle of these entries.
pub fn bundle(entries: &[Vec<u8>]) -> Vec<u8> {
    tiles::join_bundle(0, entries).bytes
}

/// The root of a log whose one tile this is.
pub fn edge_root(hashes: Vec<Digest>, size: u64) -> Option<Digest> {
    tiles::Edge::of(vec![hashes], size).map(|edge| edge.root())
}

/// The root of a log that grew leaf by leaf.
pub fn grown_root(leaves: &[Digest]) -> Digest {
    let (mut edge, mut full) = (tiles::Edge::default(), Vec::new());
    for leaf in leaves {
        edge.push(*leaf, &mut full);
    }
    edge.root()
}

/// What a host remembers of heads, as it would write it again.
pub fn heads_again(bytes: &[u8]) -> Option<Vec<u8>> {
    let heads: BTreeMap<String, Remembered> = serde_json::from_slice(bytes).ok()?;
    serde_json::to_vec(&heads).ok()
}
