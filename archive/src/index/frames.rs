//! A segment's extents as bytes, each by its difference from those before: most begin where the last frame of the same pack ended.
//!
//! Invariant: what is decoded is what was encoded; nothing decoded is beyond the bounds of a frame, a pack or a segment.

use super::IndexError;
use super::segment::{NO_PACK, RAW, SEGMENT_MAX, SegmentExtent};
use crate::tree::FRAME_MAX;
use crate::tree::wire::{Cursor, put_varint};

/// Extents by their difference from those before: most begin where the last frame of the same pack ended.
pub(super) struct Frames {
    last: Option<usize>,
    /// Per pack the frame that was named last.
    of: Vec<Option<SegmentExtent>>,
}

/// Zeros.
const ZEROS: u64 = 0;
/// A whole frame, behind the last one of the pack that the last extent named.
const NEXT: u64 = 1;
/// Anything else.
const ELSEWHERE: u64 = 2;

impl Frames {
    pub(super) fn new(packs: usize) -> Self {
        Self {
            last: None,
            of: vec![None; packs],
        }
    }

    pub(super) fn put(&mut self, out: &mut Vec<u8>, extent: &SegmentExtent) {
        let length = u64::from(extent.length) << 2;
        if extent.is_zeros() {
            return put_varint(out, length | ZEROS);
        }
        let pack = extent.pack as usize;
        let before = self.of.get(pack).copied().flatten();
        let whole = extent.within == 0 && extent.frame_length == extent.length;
        let next = before.is_some_and(|before| {
            before.ordinal.checked_add(1) == Some(extent.ordinal) && end_of_frame(&before) == extent.offset
        });
        let stored = u64::from(extent.stored_raw & !RAW) << 1 | u64::from(extent.stored_raw & RAW != 0);
        if whole && next && self.last == Some(pack) {
            put_varint(out, length | NEXT);
            put_varint(out, stored);
        } else {
            put_varint(out, length | ELSEWHERE);
            put_varint(out, u64::from(extent.pack));
            let (ordinal, end) = before.map_or((0, 0), |before| (before.ordinal, end_of_frame(&before)));
            put_varint(out, zigzag(i64::from(extent.ordinal) - i64::from(ordinal)));
            put_varint(out, zigzag(i64::from(extent.offset) - i64::from(end)));
            put_varint(out, stored);
            put_varint(out, u64::from(extent.frame_length));
            put_varint(out, u64::from(extent.within));
        }
        self.note(pack, *extent);
    }

    pub(super) fn take(&mut self, cursor: &mut Cursor<'_>, at: u64) -> Result<SegmentExtent, IndexError> {
        let wrong = IndexError("an extent is out of bounds");
        let head = cursor.varint()?;
        let length = u32::try_from(head >> 2).map_err(|_| wrong)?;
        let at = u32::try_from(at).map_err(|_| wrong)?;
        if length == 0 || u64::from(length) > SEGMENT_MAX {
            return Err(wrong);
        }
        let mut extent = SegmentExtent {
            at,
            length,
            pack: NO_PACK,
            ordinal: 0,
            offset: 0,
            stored_raw: 0,
            frame_length: length,
            within: 0,
        };
        let pack = match head & 3 {
            ZEROS => {
                extent.frame_length = 0;
                return Ok(extent);
            }
            NEXT => self.last.ok_or(wrong)?,
            ELSEWHERE => usize::try_from(cursor.varint()?).map_err(|_| wrong)?,
            _ => return Err(wrong),
        };
        extent.pack = u32::try_from(pack).map_err(|_| wrong)?;
        let before = *self.of.get(pack).ok_or(wrong)?;
        if head & 3 == NEXT {
            let before = before.ok_or(wrong)?;
            extent.ordinal = before.ordinal.checked_add(1).ok_or(wrong)?;
            extent.offset = end_of_frame(&before);
            extent.stored_raw = take_stored(cursor)?;
        } else {
            let (ordinal, end) = before.map_or((0, 0), |before| (before.ordinal, end_of_frame(&before)));
            extent.ordinal = moved(ordinal, cursor.varint()?).ok_or(wrong)?;
            extent.offset = moved(end, cursor.varint()?).ok_or(wrong)?;
            extent.stored_raw = take_stored(cursor)?;
            extent.frame_length = cursor.u32()?;
            extent.within = cursor.u32()?;
        }
        let fits = u64::from(extent.within) + u64::from(extent.length) <= u64::from(extent.frame_length);
        if !fits || extent.frame_length as usize > FRAME_MAX || extent.offset > i32::MAX.unsigned_abs() {
            return Err(wrong);
        }
        self.note(pack, extent);
        Ok(extent)
    }

    fn note(&mut self, pack: usize, extent: SegmentExtent) {
        self.last = Some(pack);
        if let Some(slot) = self.of.get_mut(pack) {
            *slot = Some(extent);
        }
    }
}

fn take_stored(cursor: &mut Cursor<'_>) -> Result<u32, IndexError> {
    let stored = cursor.varint()?;
    let length = u32::try_from(stored >> 1).map_err(|_| IndexError("a frame is too long"))?;
    if length as usize > FRAME_MAX + 64 {
        return Err(IndexError("a frame is too long"));
    }
    Ok(length | if stored & 1 == 1 { RAW } else { 0 })
}

fn end_of_frame(extent: &SegmentExtent) -> u32 {
    extent.offset.saturating_add(extent.stored_raw & !RAW)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn moved(from: u32, by: u64) -> Option<u32> {
    let by = (by >> 1).cast_signed() ^ -(by & 1).cast_signed();
    u32::try_from(i64::from(from).checked_add(by)?).ok()
}
