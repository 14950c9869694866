//! Extents by their hash: what a run may lean on wherever it meets the same bytes again.
//!
//! Invariant: beyond its room a table takes nothing more, which costs space and never correctness. Of several copies of the same
//! bytes it names the one that lies first, so that the next run names the same.

use std::collections::HashMap;

use muster_signing::Digest;

use crate::tree::Location;

/// A part of a hash that leaves a forger 2⁹⁶ tries.
pub(super) type Short = [u8; 24];

/// Extents by hash, in as few bytes as they take.
#[derive(Debug, Default)]
pub(super) struct Table {
    packs: Vec<Digest>,
    positions: HashMap<Digest, u32>,
    extents: Vec<Known>,
    most: usize,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    hash: Short,
    length: u32,
    pack: u32,
    ordinal: u32,
    offset: u32,
    stored: u32,
    frame_length: u32,
    within_raw: u32,
}

impl Table {
    /// A table that takes about so many bytes.
    pub(super) fn with_room(bytes: u64) -> Self {
        Self {
            most: usize::try_from(bytes).unwrap_or(usize::MAX) / size_of::<Known>(),
            ..Self::default()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.extents.len() >= self.most
    }

    pub(super) fn add(&mut self, hash: Short, length: u32, location: &Location) {
        if self.is_full() {
            return;
        }
        let pack = *self.positions.entry(location.pack).or_insert_with(|| {
            self.packs.push(location.pack);
            u32::try_from(self.packs.len() - 1).unwrap_or(u32::MAX)
        });
        self.extents.push(Known {
            hash,
            length,
            pack,
            ordinal: location.ordinal,
            offset: location.offset,
            stored: location.stored,
            frame_length: location.frame_length,
            within_raw: (location.within << 1) | u32::from(location.raw),
        });
    }

    /// To be called when everything is in. Of equal ones the first in the order of packs, and there the first, stays.
    pub(super) fn sort(&mut self) {
        self.extents
            .sort_unstable_by_key(|known| (known.hash, known.length, known.pack, known.ordinal, known.within_raw));
        self.extents.dedup_by_key(|known| (known.hash, known.length));
        self.positions = HashMap::new();
    }

    pub(super) fn find(&self, hash: &Short, length: u32) -> Option<Location> {
        let order = |known: &Known| (&known.hash, known.length).cmp(&(hash, length));
        let at = self.extents.binary_search_by(order).ok()?;
        let known = self.extents.get(at)?;
        Some(Location {
            pack: *self.packs.get(known.pack as usize)?,
            ordinal: known.ordinal,
            offset: known.offset,
            stored: known.stored,
            raw: known.within_raw & 1 == 1,
            frame_length: known.frame_length,
            within: known.within_raw >> 1,
        })
    }
}

/// The part of a hash that a table keeps.
pub(super) fn short(hash: &[u8; 32]) -> Short {
    let mut short = [0; 24];
    short.copy_from_slice(&hash[..24]);
    short
}

/// What stands for a block whose hash was not kept: its pages' prints. Two pages and more leave no room for chance.
pub(super) fn of_prints(prints: &[u64]) -> Option<Short> {
    if prints.len() < 2 {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    prints.iter().for_each(|print| {
        hasher.update(&print.to_le_bytes());
    });
    Some(short(hasher.finalize().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pack: u8, ordinal: u32, within: u32) -> Location {
        Location {
            pack: Digest::of(&[pack]),
            ordinal,
            offset: 44,
            stored: 9,
            raw: false,
            frame_length: 65_536,
            within,
        }
    }

    #[test]
    fn of_many_copies_the_first_is_found_in_whatever_company_it_comes() {
        let copies = [at(2, 5, 0), at(2, 3, 16), at(2, 3, 8), at(1, 0, 0)];
        for company in 0..40 {
            let mut table = Table::with_room(1 << 20);
            copies.iter().for_each(|copy| table.add([7; 24], 100, copy));
            (0..company).for_each(|seed| table.add([seed; 24], 101, &at(3, 0, 0)));
            table.sort();
            assert_eq!(table.find(&[7; 24], 100), Some(at(2, 3, 8)), "{company} others");
            assert_eq!(table.find(&[7; 24], 99), None);
        }
    }
}
