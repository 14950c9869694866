//! Tiles and entry bundles in the layout of C2SP tlog-tiles.
//!
//! Invariant: a bundle of width w holds exactly w entries, each behind its `u16` big-endian length, and nothing else.

use std::sync::Arc;

use muster_signing::{Digest, merkle};

use crate::ArchiveError;
use crate::object_store::ObjectStore;

const WIDTH: u64 = 256;
const HASHES: usize = 256;
/// Longest entry in bytes: its length is a `u16`.
pub(super) const ENTRY_MAX: usize = 65_535;

/// A tile as it is to be stored.
pub(super) struct Tile {
    /// Name beneath the incarnation's folder.
    pub(super) name: String,
    /// Its hashes, 32 bytes each.
    pub(super) bytes: Vec<u8>,
}

/// The bundles and widths that hold the entries of a log of this size.
fn bundles(size: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..size.div_ceil(WIDTH)).map(move |index| (index, (size - index * WIDTH).min(WIDTH)))
}

fn tile_path(level: &str, index: u64, width: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    let partial = if width < WIDTH {
        format!(".p/{width}")
    } else {
        String::new()
    };
    format!("tile/{level}/{path}{partial}")
}

/// Reads all entries of a log of `size` entries.
pub(super) async fn read_entries(
    store: &Arc<dyn ObjectStore>,
    base: &str,
    size: u64,
) -> Result<Vec<Vec<u8>>, ArchiveError> {
    if size > 1 << 24 {
        return Err(ArchiveError::damaged(
            &format!("{base}checkpoint"),
            "its size is out of bounds",
        ));
    }
    let mut entries = Vec::new();
    for (index, width) in bundles(size) {
        let object = format!("{base}{}", tile_path("entries", index, width));
        let most = WIDTH * (ENTRY_MAX as u64 + 2);
        let bytes = store
            .get_limited(&object, most)
            .await
            .map_err(|error| ArchiveError::of(error, &object, &format!("{base}checkpoint")))?;
        let bundle = split_bundle(&bytes, width)
            .ok_or_else(|| ArchiveError::damaged(&object, "it is not a bundle of its width"))?;
        entries.extend(bundle);
    }
    Ok(entries)
}

fn split_bundle(mut bytes: &[u8], width: u64) -> Option<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    for _ in 0..width {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry.to_vec());
        bytes = rest;
    }
    bytes.is_empty().then_some(entries)
}

/// The last entry bundle of a log.
pub(super) fn last_bundle(entries: &[Vec<u8>]) -> Option<Tile> {
    let (index, width) = bundles(entries.len() as u64).last()?;
    let start = entries.len() - usize::try_from(width).ok()?;
    let mut bytes = Vec::new();
    for entry in &entries[start..] {
        bytes.extend_from_slice(&u16::try_from(entry.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Some(Tile {
        name: tile_path("entries", index, width),
        bytes,
    })
}

/// Every tile of hashes that a log with these leaves has, all levels.
pub(super) fn hash_tiles(leaves: &[Digest]) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let mut hashes = leaves.to_vec();
    for level in 0u32.. {
        if hashes.is_empty() {
            break;
        }
        for (index, chunk) in (0u64..).zip(hashes.chunks(HASHES)) {
            let bytes = chunk.iter().flat_map(|hash| *hash.as_bytes()).collect();
            tiles.push(Tile {
                name: tile_path(&level.to_string(), index, chunk.len() as u64),
                bytes,
            });
        }
        hashes = hashes.chunks_exact(HASHES).map(merkle::root).collect();
    }
    tiles
}

/// The tiles of hashes that change when a log grew to these leaves by one.
pub(super) fn changed_tiles(leaves: &[Digest]) -> Vec<Tile> {
    let before: std::collections::BTreeSet<String> = hash_tiles(&leaves[..leaves.len().saturating_sub(1)])
        .into_iter()
        .map(|tile| tile.name)
        .collect();
    hash_tiles(leaves)
        .into_iter()
        .filter(|tile| !before.contains(&tile.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_layout_of_tlog_tiles() {
        assert_eq!(tile_path("0", 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(tile_path("entries", 0, 5), "tile/entries/000.p/5");
        assert_eq!(tile_path("1", 0, 1), "tile/1/000.p/1");
    }

    #[test]
    fn a_bundle_splits_into_its_entries_and_nothing_else() {
        let entries = vec![b"one".to_vec(), Vec::new(), b"three".to_vec()];
        let bundle = last_bundle(&entries).unwrap();
        assert_eq!(split_bundle(&bundle.bytes, 3).unwrap(), entries);
        assert!(split_bundle(&bundle.bytes, 2).is_none() && split_bundle(&bundle.bytes, 4).is_none());
    }

    #[test]
    fn the_257th_entry_begins_a_second_tile_and_the_256th_a_second_level() {
        let leaves: Vec<Digest> = (0..257u32).map(|n| merkle::leaf_hash(&n.to_le_bytes())).collect();
        let names = |count: usize| {
            changed_tiles(&leaves[..count])
                .into_iter()
                .map(|tile| tile.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(1), ["tile/0/000.p/1"]);
        assert_eq!(names(256), ["tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(names(257), ["tile/0/001.p/1"]);
    }
}
