//! A segment: at most 1 GiB of a file as its writer remembers it, page by page.
//!
//! Invariant: extents follow each other without gap from the segment's beginning; each block that is not all zeros has one print per
//! page, in order. So a block of the next run finds what was there before by its position alone.

use std::collections::HashMap;

use muster_signing::Digest;

use super::IndexError;
use super::frames::Frames;
use super::prints::pages_of;
use crate::content::BLOCK;
use crate::seal::{RunId, SealedAt};
use crate::tree::wire::{Cursor, put_varint};
use crate::tree::{Check, Extent, Group, Location};

/// Most extents of a segment, as of a tree object.
const EXTENTS_MAX: usize = 1 << 18;
/// Most bytes of a segment.
pub(crate) const SEGMENT_MAX: u64 = 1 << 30;
/// Most prints of a segment: pages of 512 bytes.
const PRINTS_MAX: usize = 1 << 21;
/// Stands for the pack of zeros.
pub(super) const NO_PACK: u32 = u32::MAX;
pub(super) const RAW: u32 = 1 << 31;

/// A pack of a segment's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentPack {
    pub(crate) id: Digest,
    /// What it was sealed with, in an encrypted repository.
    pub(crate) sealed: Option<SealedAt>,
}

/// A run of a segment's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentExtent {
    /// Where it begins in the segment.
    pub(crate) at: u32,
    pub(crate) length: u32,
    pub(super) pack: u32,
    pub(super) ordinal: u32,
    pub(super) offset: u32,
    pub(super) stored_raw: u32,
    pub(super) frame_length: u32,
    pub(super) within: u32,
}

impl SegmentExtent {
    pub(crate) fn is_zeros(&self) -> bool {
        self.pack == NO_PACK
    }

    /// The number of its pack in the segment's table; `None` for zeros.
    pub(crate) fn pack(&self) -> Option<usize> {
        (!self.is_zeros()).then_some(self.pack as usize)
    }

    /// What makes two extents' frames the same frame, and the frame's decoded length.
    pub(crate) fn frame(&self) -> ((u32, u32), u32) {
        ((self.pack, self.ordinal), self.frame_length)
    }
}

/// At most 1 GiB of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Bytes of a page.
    pub(crate) page: u32,
    /// Its length.
    pub(crate) bytes: u64,
    pub(crate) packs: Vec<SegmentPack>,
    extents: Vec<SegmentExtent>,
    prints: Vec<u64>,
    /// Of each extent that is not zeros, of a group its block's; empty where they are not kept.
    hashes: Vec<[u8; 32]>,
    /// Of each piece of a group that is not zeros; empty where they are not kept.
    checks: Vec<[u8; 8]>,
    /// Per block its first extent, and its first print; `u32::MAX` where it is zeros.
    blocks: Vec<(u32, u32)>,
}

/// One block of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentBlock<'a> {
    /// Where it begins in the segment.
    pub(crate) at: u32,
    pub(crate) length: u32,
    /// The extents that make it up; a run of zeros may go beyond it.
    pub(crate) extents: &'a [SegmentExtent],
    /// One per page; none where it is zeros.
    pub(crate) prints: &'a [u64],
}

impl SegmentBlock<'_> {
    pub(crate) fn is_zeros(&self) -> bool {
        self.prints.is_empty()
    }
}

impl Segment {
    /// The segment of these extents, whose packs are known, and the prints of their pages.
    pub(crate) fn of(
        page: u32,
        extents: &[Extent],
        prints: Vec<u64>,
        keep_hashes: bool,
        sealed: impl Fn(&Digest) -> Option<SealedAt>,
    ) -> Result<Self, IndexError> {
        let mut segment = Self {
            page,
            prints,
            ..Self::default()
        };
        let mut positions: HashMap<Digest, u32> = HashMap::new();
        for extent in extents {
            let length = u32::try_from(extent.length).map_err(|_| IndexError("an extent is too long"))?;
            let at = u32::try_from(segment.bytes).map_err(|_| IndexError("a segment is too long"))?;
            segment.bytes += extent.length;
            if keep_hashes && let Some(group) = &extent.group {
                segment.hashes.push(group.hash);
            }
            let Some(place) = extent.location else {
                segment.push_zeros(at, length);
                continue;
            };
            match extent.check {
                Check::Whole(hash) if keep_hashes => segment.hashes.push(hash),
                Check::Piece(first) if keep_hashes => segment.checks.push(first),
                _ => {}
            }
            let pack = *positions.entry(place.pack).or_insert_with(|| {
                segment.packs.push(SegmentPack {
                    id: place.pack,
                    sealed: sealed(&place.pack),
                });
                u32::try_from(segment.packs.len() - 1).unwrap_or(NO_PACK)
            });
            segment.extents.push(SegmentExtent {
                at,
                length,
                pack,
                ordinal: place.ordinal,
                offset: place.offset,
                stored_raw: place.stored | if place.raw { RAW } else { 0 },
                frame_length: place.frame_length,
                within: place.within,
            });
        }
        segment.find_blocks()?;
        Ok(segment)
    }

    fn push_zeros(&mut self, at: u32, length: u32) {
        self.extents.push(SegmentExtent {
            at,
            length,
            pack: NO_PACK,
            ordinal: 0,
            offset: 0,
            stored_raw: 0,
            frame_length: 0,
            within: 0,
        });
    }

    /// Finds each block's extents and prints, and checks that they are there.
    fn find_blocks(&mut self) -> Result<(), IndexError> {
        let wrong = Err(IndexError("its extents do not fit its blocks"));
        if self.bytes > SEGMENT_MAX || !(512..=65_536).contains(&self.page) || !self.page.is_power_of_two() {
            return Err(IndexError("a segment is out of bounds"));
        }
        self.blocks.clear();
        let (mut extent, mut print, mut at) = (0usize, 0usize, 0u64);
        while at < self.bytes {
            let length = (self.bytes - at).min(BLOCK as u64);
            let end = at + length;
            while self.extents.get(extent).is_some_and(|found| end_of(found) <= at) {
                extent += 1;
            }
            let Some(first) = self.extents.get(extent) else {
                return wrong;
            };
            let zeros = first.is_zeros() && end_of(first) >= end;
            let number = u32::try_from(extent).unwrap_or(NO_PACK);
            if zeros {
                self.blocks.push((number, NO_PACK));
            } else {
                let mut last = extent;
                while self.extents.get(last).is_some_and(|found| end_of(found) < end) {
                    last += 1;
                }
                // What begins before a block or ends behind it is not this block's alone.
                let fits = u64::from(first.at) == at
                    && self
                        .extents
                        .get(last)
                        .is_some_and(|found| end_of(found) == end || found.is_zeros());
                if !fits {
                    return wrong;
                }
                self.blocks.push((number, u32::try_from(print).unwrap_or(NO_PACK)));
                print += pages_of(length, self.page);
            }
            at = end;
        }
        if print == self.prints.len() { Ok(()) } else { wrong }
    }

    /// The block with this number.
    pub(crate) fn block(&self, number: usize) -> Option<SegmentBlock<'_>> {
        let (first, print) = *self.blocks.get(number)?;
        let at = (number * BLOCK) as u64;
        let length = (self.bytes - at).min(BLOCK as u64);
        let prints = if print == NO_PACK {
            &[][..]
        } else {
            self.prints
                .get(print as usize..print as usize + pages_of(length, self.page))?
        };
        let rest = self.extents.get(first as usize..)?;
        let count = rest
            .iter()
            .position(|extent| end_of(extent) >= at + length)
            .map_or(rest.len(), |last| last + 1);
        Some(SegmentBlock {
            at: u32::try_from(at).ok()?,
            length: u32::try_from(length).ok()?,
            extents: rest.get(..count)?,
            prints,
        })
    }

    /// The prints of all pages that are not in blocks of zeros, in order.
    pub(crate) fn prints(&self) -> &[u64] {
        &self.prints
    }

    /// Each extent that is not zeros: number of its pack, and the frame as (offset, stored, decoded) lengths.
    pub(crate) fn frames(&self) -> impl Iterator<Item = (&SegmentPack, u32, u32, u32)> {
        self.extents.iter().filter_map(|extent| {
            let pack = self.packs.get(extent.pack as usize)?;
            Some((pack, extent.offset, extent.stored_raw & !RAW, extent.frame_length))
        })
    }

    /// How many blocks it has.
    pub(crate) fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// Where an extent's bytes are, from `skip` bytes into it; `None`: they are zeros.
    pub(crate) fn location(&self, extent: &SegmentExtent, skip: u32) -> Option<Location> {
        Some(Location {
            pack: self.packs.get(extent.pack as usize)?.id,
            ordinal: extent.ordinal,
            offset: extent.offset,
            stored: extent.stored_raw & !RAW,
            raw: extent.stored_raw & RAW != 0,
            frame_length: extent.frame_length,
            within: extent.within.checked_add(skip)?,
        })
    }

    /// Its extents as a tree has them; `None` where their hashes were not kept.
    pub(crate) fn tree_extents(&self) -> Option<Vec<Extent>> {
        let (mut hashes, mut checks) = (self.hashes.iter().copied(), self.checks.iter().copied());
        let mut extents: Vec<Extent> = Vec::with_capacity(self.extents.len());
        let mut grouped = 0usize;
        for extent in &self.extents {
            let mut group = None;
            if grouped == 0 && !(extent.is_zeros() && extent.length as usize >= BLOCK) {
                let block = self.block(extent.at as usize / BLOCK)?;
                if block.extents.len() > 1 && block.at == extent.at && !block.is_zeros() {
                    grouped = block.extents.len();
                    group = Some(Box::new(Group {
                        hash: hashes.next()?,
                        extents: u32::try_from(grouped).ok()?,
                    }));
                }
            }
            let piece = grouped > 0;
            grouped = grouped.saturating_sub(1);
            let location = self.location(extent, 0);
            if location.is_none() && !extent.is_zeros() {
                return None;
            }
            let check = match location {
                None => Check::Zeros,
                Some(_) if piece => Check::Piece(checks.next()?),
                Some(_) => Check::Whole(hashes.next()?),
            };
            extents.push(Extent {
                length: u64::from(extent.length),
                check,
                location,
                group,
            });
        }
        (hashes.next().is_none() && checks.next().is_none()).then_some(extents)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.page));
        put_varint(out, self.bytes);
        put_varint(out, self.packs.len() as u64);
        for pack in &self.packs {
            out.extend_from_slice(pack.id.as_bytes());
            match &pack.sealed {
                None => out.push(0),
                Some(sealed) => {
                    out.push(1);
                    out.extend_from_slice(sealed.run.as_bytes());
                    out.extend_from_slice(&sealed.salt);
                }
            }
        }
        put_varint(out, self.extents.len() as u64);
        let mut frames = Frames::new(self.packs.len());
        for extent in &self.extents {
            frames.put(out, extent);
        }
        put_varint(out, self.prints.len() as u64);
        self.prints
            .iter()
            .for_each(|print| out.extend_from_slice(&print.to_le_bytes()));
        put_varint(out, self.hashes.len() as u64);
        self.hashes.iter().for_each(|hash| out.extend_from_slice(hash));
        put_varint(out, self.checks.len() as u64);
        self.checks.iter().for_each(|check| out.extend_from_slice(check));
    }

    pub(super) fn decode(cursor: &mut Cursor<'_>) -> Result<Self, IndexError> {
        let mut segment = Self {
            page: cursor.u32()?,
            bytes: cursor.varint()?,
            ..Self::default()
        };
        for _ in 0..cursor.count(EXTENTS_MAX, 33)? {
            let id = Digest::from_bytes(cursor.array()?);
            let sealed = match cursor.byte()? {
                0 => None,
                1 => Some(SealedAt {
                    run: RunId::from_bytes(cursor.array()?),
                    salt: cursor.array()?,
                }),
                _ => return Err(IndexError("a pack is sealed in an unknown way")),
            };
            segment.packs.push(SegmentPack { id, sealed });
        }
        let count = cursor.count(EXTENTS_MAX, 1)?;
        segment.extents.reserve(count);
        let (mut frames, mut at) = (Frames::new(segment.packs.len()), 0u64);
        for _ in 0..count {
            let extent = frames.take(cursor, at)?;
            at += u64::from(extent.length);
            segment.extents.push(extent);
        }
        if at != segment.bytes {
            return Err(IndexError("its extents do not add up to its length"));
        }
        let prints = cursor.count(PRINTS_MAX, 8)?;
        segment.prints.reserve(prints);
        for _ in 0..prints {
            segment.prints.push(u64::from_le_bytes(cursor.array()?));
        }
        let hashes = cursor.count(EXTENTS_MAX, 32)?;
        segment.hashes.reserve(hashes);
        for _ in 0..hashes {
            segment.hashes.push(cursor.array()?);
        }
        let checks = cursor.count(EXTENTS_MAX, 8)?;
        segment.checks.reserve(checks);
        for _ in 0..checks {
            segment.checks.push(cursor.array()?);
        }
        segment.find_blocks()?;
        Ok(segment)
    }
}

fn end_of(extent: &SegmentExtent) -> u64 {
    u64::from(extent.at) + u64::from(extent.length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: u32 = 8192;

    fn place(pack: u8, ordinal: u32, frame_length: u32, within: u32) -> Location {
        Location {
            pack: Digest::of(&[pack]),
            ordinal,
            offset: 44 + ordinal * 1000,
            stored: 1000,
            raw: ordinal.is_multiple_of(3),
            frame_length,
            within,
        }
    }

    fn extent(length: u64, location: Option<Location>) -> Extent {
        Extent {
            length,
            check: location.map_or(Check::Zeros, |at| {
                Check::Whole([u8::try_from(at.ordinal % 200).unwrap() + 1; 32])
            }),
            location,
            group: None,
        }
    }

    /// Blocks that are whole, cut in two, or zeros.
    fn content(kinds: &[u8]) -> (Vec<Extent>, Vec<u64>) {
        let (mut extents, mut prints): (Vec<Extent>, Vec<u64>) = (Vec::new(), Vec::new());
        for (at, kind) in kinds.iter().enumerate() {
            let ordinal = u32::try_from(at).unwrap();
            match kind % 4 {
                0 => match extents.last_mut().filter(|last| last.location.is_none()) {
                    Some(last) => last.length += BLOCK as u64,
                    None => extents.push(extent(BLOCK as u64, None)),
                },
                1 => extents.push(extent(BLOCK as u64, Some(place(*kind % 3, ordinal, 65_536, 0)))),
                _ => {
                    let mut first = extent(16_384, Some(place(1, ordinal, 65_536, 8192)));
                    first.group = Some(Box::new(Group {
                        hash: [*kind; 32],
                        extents: 2,
                    }));
                    first.check = Check::Piece([*kind; 8]);
                    let mut second = extent(49_152, Some(place(2, ordinal, 49_152, 0)));
                    second.check = Check::Piece([7; 8]);
                    extents.extend([first, second]);
                }
            }
            if kind % 4 != 0 {
                prints.extend((0..8).map(|page| (at * 8 + page) as u64));
            }
        }
        (extents, prints)
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_what_was_there(kinds in prop::collection::vec(any::<u8>(), 0..40)) {
            let (extents, prints) = content(&kinds);
            let segment = Segment::of(PAGE, &extents, prints, true, |_| None).unwrap();
            let mut body = Vec::new();
            segment.encode(&mut body);
            let mut cursor = Cursor::new(&body);
            let back = Segment::decode(&mut cursor).unwrap();
            prop_assert_eq!(&back, &segment);
            prop_assert_eq!(back.tree_extents().unwrap(), extents);
            for (number, kind) in kinds.iter().enumerate() {
                let block = back.block(number).unwrap();
                prop_assert_eq!(block.is_zeros(), kind % 4 == 0);
                prop_assert_eq!(block.extents.len(), if kind % 4 > 1 { 2 } else { 1 });
            }
        }

        #[test]
        fn hostile_segments_are_errors(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Segment::decode(&mut Cursor::new(&body));
        }
    }

    #[test]
    fn a_frame_after_the_last_takes_few_bytes() {
        let extents: Vec<Extent> = (0..1000u32)
            .map(|n| {
                extent(
                    BLOCK as u64,
                    Some(Location {
                        offset: 44 + n * 20_000,
                        stored: 20_000,
                        ..place(1, n, 65_536, 0)
                    }),
                )
            })
            .collect();
        let prints = vec![1; 8000];
        let mut body = Vec::new();
        Segment::of(PAGE, &extents, prints, false, |_| None)
            .unwrap()
            .encode(&mut body);
        assert!(body.len() < 8 * 8000 + 8 * 1000, "{}", body.len());
    }
}
