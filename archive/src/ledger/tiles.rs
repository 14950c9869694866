//! Tiles and entry bundles in the layout of C2SP tlog-tiles.
//!
//! Invariant: a bundle of width w holds exactly w entries, each behind its `u16` big-endian length, and nothing else; a tile of width
//! w holds exactly w hashes.

use muster_signing::{Digest, merkle};

/// Hashes in a full tile, and entries in a full bundle.
pub(super) const WIDTH: u64 = 256;
/// The same, to count with.
const FULL: usize = 256;
/// Longest entry in bytes: its length is a `u16`.
pub(super) const ENTRY_MAX: usize = 65_535;
/// Most bytes of a bundle.
pub(super) const BUNDLE_MAX: u64 = WIDTH * (ENTRY_MAX as u64 + 2);
/// Most bytes of a tile.
pub(super) const TILE_MAX: u64 = WIDTH * 32;
/// No log is longer: 48 bits are six levels of tiles.
pub(super) const SIZE_MAX: u64 = 1 << 48;

/// A tile or bundle as it is to be stored.
pub(super) struct Tile {
    /// Name beneath the incarnation's folder.
    pub(super) name: String,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

/// The bundles and widths that hold the entries of a log of this size.
pub(super) fn bundles(size: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..size.div_ceil(WIDTH)).map(move |index| (index, (size - index * WIDTH).min(WIDTH)))
}

/// The name of an entry bundle.
pub(super) fn bundle_path(index: u64, width: u64) -> String {
    path("entries", index, width)
}

/// The name of a tile of hashes.
pub(super) fn tile_path(level: u32, index: u64, width: u64) -> String {
    path(&level.to_string(), index, width)
}

fn path(level: &str, index: u64, width: u64) -> String {
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

/// Takes a bundle apart; `None` where it does not hold exactly `width` entries.
pub(super) fn split_bundle(mut bytes: &[u8], width: u64) -> Option<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    for _ in 0..width {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry.to_vec());
        bytes = rest;
    }
    bytes.is_empty().then_some(entries)
}

/// The entry bundle of this index over its first entries, each of at most [`ENTRY_MAX`] bytes.
pub(super) fn join_bundle(index: u64, entries: &[Vec<u8>]) -> Tile {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Tile {
        name: bundle_path(index, entries.len() as u64),
        bytes,
    }
}

/// Takes a tile apart; `None` where it does not hold exactly `width` hashes.
pub(super) fn split_tile(bytes: &[u8], width: u64) -> Option<Vec<Digest>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    (rest.is_empty() && hashes.len() as u64 == width).then(|| hashes.iter().copied().map(Digest::from_bytes).collect())
}

/// The tile of hashes at this place.
pub(super) fn join_tile(level: u32, index: u64, hashes: &[Digest]) -> Tile {
    Tile {
        name: tile_path(level, index, hashes.len() as u64),
        bytes: hashes.iter().flat_map(|hash| *hash.as_bytes()).collect(),
    }
}

/// Every tile of hashes that a log with these leaves has, all levels.
pub(super) fn hash_tiles(leaves: &[Digest]) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let mut hashes = leaves.to_vec();
    for level in 0u32.. {
        if hashes.is_empty() {
            break;
        }
        for (index, chunk) in (0u64..).zip(hashes.chunks(FULL)) {
            tiles.push(join_tile(level, index, chunk));
        }
        hashes = hashes.chunks_exact(FULL).map(merkle::root).collect();
    }
    tiles
}

/// The right edge of a log's tiles: all that is needed to know its root, and to make it longer.
///
/// Invariant: level l holds the hashes of the subtrees of 256^l leaves that are not yet part of a larger one: fewer than 256.
#[derive(Clone, Debug, Default)]
pub(super) struct Edge {
    levels: Vec<Vec<Digest>>,
    size: u64,
}

impl Edge {
    /// An edge of hashes that were read, lowest level first; `None` where they are not those of a log of this size.
    pub(super) fn of(levels: Vec<Vec<Digest>>, size: u64) -> Option<Self> {
        let mut expected = (0..).map(|level| edge_width(level, size));
        let fits = levels.iter().all(|hashes| expected.next() == Some(hashes.len() as u64));
        (fits && u32::try_from(levels.len()) == Ok(edge_levels(size))).then_some(Self { levels, size })
    }

    /// How many leaves there are.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The root over all leaves.
    pub(super) fn root(&self) -> Digest {
        let mut right: Option<Digest> = None;
        for hashes in &self.levels {
            let hashes: Vec<Digest> = hashes.iter().copied().chain(right).collect();
            right = (!hashes.is_empty()).then(|| merkle::root(&hashes));
        }
        right.unwrap_or_else(|| merkle::root(&[]))
    }

    /// The hashes of the tile at this place, where it is on the edge.
    pub(super) fn tile(&self, level: u32, index: u64) -> Option<&[Digest]> {
        let hashes = self.levels.get(level as usize)?;
        (index == edge_index(level, self.size)).then_some(hashes)
    }

    /// Adds a leaf, and hands out the tiles that became full.
    pub(super) fn push(&mut self, leaf: Digest, full: &mut Vec<Tile>) {
        let (mut hash, mut level) = (leaf, 0u32);
        loop {
            if self.levels.len() <= level as usize {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[level as usize];
            hashes.push(hash);
            if hashes.len() < FULL {
                break;
            }
            full.push(join_tile(level, edge_index(level, self.size), hashes));
            hash = merkle::root(hashes);
            hashes.clear();
            level += 1;
        }
        self.size += 1;
    }

    /// The partial tiles of the edge that the edge `before` did not have.
    pub(super) fn partial_tiles(&self, before: u64) -> Vec<Tile> {
        let mut tiles = Vec::new();
        for (level, hashes) in (0u32..).zip(&self.levels) {
            if !hashes.is_empty() && self.size >> (8 * level) != before >> (8 * level) {
                tiles.push(join_tile(level, edge_index(level, self.size), hashes));
            }
        }
        tiles
    }
}

/// How many levels of tiles a log of this size has.
pub(super) fn edge_levels(size: u64) -> u32 {
    size.checked_ilog2().map_or(0, |bits| bits / 8 + 1)
}

/// How many hashes the partial tile of this level has; 0 where there is none.
pub(super) fn edge_width(level: u32, size: u64) -> u64 {
    (size >> (8 * level)) % WIDTH
}

/// Which tile of its level the partial one is.
pub(super) fn edge_index(level: u32, size: u64) -> u64 {
    size >> (8 * (level + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_layout_of_tlog_tiles() {
        assert_eq!(tile_path(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(bundle_path(0, 5), "tile/entries/000.p/5");
        assert_eq!(tile_path(1, 0, 1), "tile/1/000.p/1");
    }

    /// The specification's own example: "for a log of 70,000 entries".
    #[test]
    fn seventy_thousand_entries_have_the_tiles_that_the_specification_lists() {
        let size = 70_000;
        let edge: Vec<String> = (0..edge_levels(size))
            .map(|level| tile_path(level, edge_index(level, size), edge_width(level, size)))
            .collect();
        assert_eq!(edge, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
        let last = bundles(size).last().unwrap();
        assert_eq!(bundle_path(last.0, last.1), "tile/entries/273.p/112");
    }

    #[test]
    fn a_bundle_splits_into_its_entries_and_nothing_else() {
        let entries = vec![b"one".to_vec(), Vec::new(), b"three".to_vec()];
        let bundle = join_bundle(0, &entries);
        assert_eq!(split_bundle(&bundle.bytes, 3).unwrap(), entries);
        assert!(split_bundle(&bundle.bytes, 2).is_none() && split_bundle(&bundle.bytes, 4).is_none());
    }

    #[test]
    fn an_edge_grows_to_the_root_and_the_tiles_of_the_whole_log() {
        let leaves: Vec<Digest> = (0..66_000u32).map(|n| merkle::leaf_hash(&n.to_le_bytes())).collect();
        let mut edge = Edge::default();
        let mut written = std::collections::BTreeMap::new();
        for (at, leaf) in leaves.iter().enumerate() {
            let mut full = Vec::new();
            edge.push(*leaf, &mut full);
            full.extend(edge.partial_tiles(at as u64));
            for tile in full {
                assert!(
                    written.insert(tile.name, tile.bytes).is_none(),
                    "a tile was written twice"
                );
            }
            let size = at + 1;
            if size < 600 || size.is_multiple_of(4099) || size.abs_diff(65_536) < 3 {
                assert_eq!(edge.root(), merkle::root(&leaves[..size]), "{size} leaves");
                let again = Edge::of(edge.levels.clone(), size as u64).unwrap();
                assert_eq!(again.root(), edge.root());
                for tile in hash_tiles(&leaves[..size]) {
                    assert_eq!(written.get(&tile.name), Some(&tile.bytes), "{} of {size}", tile.name);
                }
            }
        }
        assert!(Edge::of(edge.levels.clone(), 66_001).is_none());
    }
}
