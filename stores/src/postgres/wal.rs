//! The WAL inside a base backup: every segment from start to end, whole.
//!
//! Invariant: when [`WalCheck::finish`] says yes, each segment from the start to the end position arrived with its full
//! length, belongs to this cluster (first page), and every page up to the end position carries its own address, so no
//! recycled or truncated segment passes for a filled one. Before the last segment a tail of zeroed page headers is right: so
//! PostgreSQL leaves a segment after a switch.

use std::collections::BTreeMap;

use super::lsn::Lsn;

/// Looks at WAL segments as they pass.
#[derive(Debug)]
pub(crate) struct WalCheck {
    segment_size: u64,
    page_size: u64,
    system_identifier: u64,
    /// By segment number.
    segments: BTreeMap<u64, Whole>,
    open: Option<Segment>,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    offset: u64,
    header: [u8; LONG_HEADER],
    good_until: Option<Lsn>,
    /// A page came that is neither good nor part of a zeroed tail.
    broken: bool,
}

/// A segment of full length.
#[derive(Clone, Copy, Debug)]
struct Whole {
    good_until: Lsn,
    /// After that, nothing but pages with zeroed headers.
    zero_tail: bool,
}

/// Bytes of a segment's first page header that are looked at, and of any other page's.
const LONG_HEADER: usize = 40;
const SHORT_HEADER: usize = 16;

/// A segment is missing or not whole.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub(crate) struct WalError(String);

impl WalCheck {
    /// `None` when these sizes are not PostgreSQL's.
    pub(crate) fn new(segment_size: u64, page_size: u64, system_identifier: u64) -> Option<WalCheck> {
        let sane = segment_size.is_power_of_two()
            && (1 << 20..=1 << 30).contains(&segment_size)
            && page_size.is_power_of_two()
            && (1 << 10..=1 << 16).contains(&page_size);
        sane.then(|| WalCheck {
            segment_size,
            page_size,
            system_identifier,
            segments: BTreeMap::new(),
            open: None,
        })
    }

    /// A file begins. `true` if it is a WAL segment: then its bytes are wanted.
    pub(crate) fn begin(&mut self, path: &[u8]) -> bool {
        self.open = path
            .strip_prefix(b"pg_wal/")
            .and_then(|name| self.segment_number(name))
            .map(|number| Segment {
                number,
                offset: 0,
                header: [0; LONG_HEADER],
                good_until: None,
                broken: false,
            });
        self.open.is_some()
    }

    /// The next bytes of the segment.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        let Some(segment) = &mut self.open else { return };
        while !bytes.is_empty() {
            let within = segment.offset % self.page_size;
            let wanted = if segment.offset < self.page_size {
                LONG_HEADER
            } else {
                SHORT_HEADER
            };
            // Below the page size, which fits.
            let within = usize::try_from(within).unwrap_or(usize::MAX);
            let take = if within < wanted {
                let take = (wanted - within).min(bytes.len());
                segment.header[within..within + take].copy_from_slice(&bytes[..take]);
                take
            } else {
                usize::try_from(self.page_size)
                    .unwrap_or(usize::MAX)
                    .saturating_sub(within)
                    .min(bytes.len())
            };
            segment.offset += take as u64;
            if within < wanted && within + take == wanted {
                let page = segment.number * self.segment_size + (segment.offset - wanted as u64);
                let expected = segment
                    .good_until
                    .map_or(segment.number * self.segment_size, |until| until.0);
                let zeroed = segment.header[..SHORT_HEADER].iter().all(|byte| *byte == 0);
                let fits = if wanted == LONG_HEADER {
                    is_first_page(&segment.header, page, self.system_identifier, self.segment_size)
                } else {
                    page_address(&segment.header, u64::from_le_bytes) == page
                        || page_address(&segment.header, u64::from_be_bytes) == page
                };
                if fits && page == expected {
                    segment.good_until = Some(Lsn(page.saturating_add(self.page_size)));
                } else if !zeroed {
                    segment.broken = true;
                }
            }
            bytes = &bytes[take..];
        }
    }

    /// The segment ends.
    pub(crate) fn end(&mut self) {
        if let Some(segment) = self.open.take()
            && segment.offset == self.segment_size
            && let Some(good_until) = segment.good_until
        {
            self.segments.insert(
                segment.number,
                Whole {
                    good_until,
                    zero_tail: !segment.broken,
                },
            );
        }
    }

    /// Compares with the range that the server gave.
    pub(crate) fn finish(&self, start: Lsn, end: Lsn) -> Result<u64, WalError> {
        if start >= end {
            return Err(WalError(format!(
                "the backup's WAL ends at {end}, which is not after its start {start}"
            )));
        }
        let (first, last) = (start.0 / self.segment_size, (end.0 - 1) / self.segment_size);
        for number in first..=last {
            let name = self.segment_name(number);
            let Some(whole) = self.segments.get(&number) else {
                return Err(WalError(format!(
                    "WAL segment {name} is needed from {start} to {end} and did not arrive whole"
                )));
            };
            let needed = Lsn(end.0.min((number + 1).saturating_mul(self.segment_size)));
            if whole.good_until < needed && !(whole.zero_tail && number < last) {
                return Err(WalError(format!(
                    "WAL segment {name} is good up to {} only, and {needed} is needed",
                    whole.good_until
                )));
            }
        }
        Ok(last - first + 1)
    }

    fn segment_number(&self, name: &[u8]) -> Option<u64> {
        let text = std::str::from_utf8(name)
            .ok()
            .filter(|name| name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        let high = u64::from_str_radix(&text[8..16], 16).ok()?;
        let low = u64::from_str_radix(&text[16..], 16).ok()?;
        let per_id = (1_u64 << 32) / self.segment_size;
        (low < per_id).then(|| high * per_id + low)
    }

    fn segment_name(&self, number: u64) -> String {
        let per_id = (1_u64 << 32) / self.segment_size;
        format!("{:08X}{:08X}", number / per_id, number % per_id)
    }
}

/// `xlp_pageaddr` after magic, info and timeline.
fn page_address(header: &[u8; LONG_HEADER], decode: fn([u8; 8]) -> u64) -> u64 {
    decode(part(header, 8))
}

fn is_first_page(header: &[u8; LONG_HEADER], page: u64, system_identifier: u64, segment_size: u64) -> bool {
    let fits = |wide: fn([u8; 8]) -> u64, narrow: fn([u8; 4]) -> u32| {
        page_address(header, wide) == page
            && wide(part(header, 24)) == system_identifier
            && u64::from(narrow(part(header, 32))) == segment_size
    };
    fits(u64::from_le_bytes, u32::from_le_bytes) || fits(u64::from_be_bytes, u32::from_be_bytes)
}

fn part<const N: usize>(header: &[u8; LONG_HEADER], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[at..at + N]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: u64 = 1 << 20;
    const PAGE: u64 = 8192;
    const SYSTEM: u64 = 0x1234_5678_9abc_def0;

    fn segment(number: u64) -> Vec<u8> {
        let mut bytes = vec![0xee; usize::try_from(SEGMENT).unwrap()];
        for page in 0..SEGMENT / PAGE {
            let at = usize::try_from(page * PAGE).unwrap();
            bytes[at + 8..at + 16].copy_from_slice(&(number * SEGMENT + page * PAGE).to_le_bytes());
        }
        bytes[24..32].copy_from_slice(&SYSTEM.to_le_bytes());
        bytes[32..36].copy_from_slice(&u32::try_from(SEGMENT).unwrap().to_le_bytes());
        bytes
    }

    fn check(segments: &[(u64, Vec<u8>)], start: u64, end: u64) -> Result<u64, WalError> {
        let mut check = WalCheck::new(SEGMENT, PAGE, SYSTEM).unwrap();
        for (number, bytes) in segments {
            assert!(check.begin(format!("pg_wal/00000001{}", check.segment_name(*number)).as_bytes()));
            for part in bytes.chunks(5000) {
                check.push(part);
            }
            check.end();
        }
        check.finish(Lsn(start), Lsn(end))
    }

    #[test]
    fn a_full_range_is_accepted() {
        let segments = [(4097, segment(4097)), (4098, segment(4098))];
        assert_eq!(check(&segments, 4097 * SEGMENT + 40, 4098 * SEGMENT + 100), Ok(2));
        assert_eq!(
            check(&segments, 4097 * SEGMENT + 40, 4098 * SEGMENT),
            Ok(1),
            "an end on the border needs no further segment"
        );
    }

    #[test]
    fn a_hole_a_short_segment_or_a_foreign_one_is_refused() {
        assert!(check(&[(2, segment(2)), (4, segment(4))], 2 * SEGMENT + 40, 4 * SEGMENT + 40).is_err());
        assert!(
            check(
                &[(2, segment(2)[..500_000].to_vec())],
                2 * SEGMENT + 40,
                2 * SEGMENT + 80
            )
            .is_err()
        );
        let mut foreign = segment(2);
        foreign[24] ^= 1;
        assert!(check(&[(2, foreign)], 2 * SEGMENT + 40, 2 * SEGMENT + 80).is_err());
        assert!(check(&[(2, segment(2))], 2 * SEGMENT, 2 * SEGMENT).is_err());
    }

    #[test]
    fn the_last_segment_that_there_can_be_overflows_nothing() {
        let last = u64::MAX / SEGMENT;
        let start = last * SEGMENT + 40;
        assert_eq!(check(&[(last, segment(last))], start, u64::MAX), Ok(1));
    }

    #[test]
    fn a_recycled_tail_is_fine_after_the_end_and_refused_before_it() {
        let mut recycled = segment(2);
        let old = segment(1);
        recycled[16384..].copy_from_slice(&old[16384..]);
        assert!(check(&[(2, recycled.clone())], 2 * SEGMENT + 40, 2 * SEGMENT + 16000).is_ok());
        assert!(check(&[(2, recycled)], 2 * SEGMENT + 40, 2 * SEGMENT + 17000).is_err());
    }

    #[test]
    fn a_switched_segment_may_have_a_zeroed_tail_unless_it_is_the_last() {
        let mut switched = segment(2);
        switched[16384..].fill(0);
        let range = [(2, switched.clone()), (3, segment(3))];
        assert_eq!(check(&range, 2 * SEGMENT + 40, 3 * SEGMENT + 100), Ok(2));
        assert!(check(&range[..1], 2 * SEGMENT + 40, 2 * SEGMENT + 20000).is_err());
        switched[30 * 8192 + 8] = 1;
        assert!(check(&[(2, switched), (3, segment(3))], 2 * SEGMENT + 40, 3 * SEGMENT + 100).is_err());
    }

    #[test]
    fn only_segments_are_looked_at() {
        let mut check = WalCheck::new(SEGMENT, PAGE, SYSTEM).unwrap();
        for other in [
            "pg_wal/00000002.history",
            "pg_wal/archive_status/000000010000000000000001.done",
            "base/000000010000000000000001",
        ] {
            assert!(!check.begin(other.as_bytes()), "{other}");
        }
        assert!(WalCheck::new(3, PAGE, SYSTEM).is_none());
    }
}
