//! What a restore of the snapshot will cost: bytes that are decoded, and ranges that are asked for.
//!
//! Counted as a restore plans (`restore/src/window.rs`): extents are gathered up to a window's number, sorted by place, near neighbours
//! are one read, a frame is decoded once per window.
//!
//! Invariant: memory is one window's.

use std::collections::HashMap;

use muster_signing::Digest;
use serde::{Deserialize, Serialize};

use crate::index::Segment;
use crate::tree::Location;

/// Extents of a window.
const WINDOW: usize = 128 * 1024;
/// Bytes of a pack that are read for nothing rather than begin another request.
const GAP: u32 = 512 * 1024;
/// Longest read.
const READ: u32 = 4 << 20;
/// What is assumed of a machine that restores, per second: bytes read from a local disk, bytes read from object storage, bytes decoded
/// and written by two cores; and seconds until a request is answered, of which so many wait at a time.
const LOCAL: u64 = 1 << 30;
const REMOTE: u64 = 100 << 20;
const DECODED: u64 = 900 << 20;
const LOCAL_REQUEST: f64 = 0.000_1;
const REMOTE_REQUEST: f64 = 0.03;
const PARALLEL: u64 = 8;

/// The cost of a restore of the whole snapshot, as far as it is known when it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestoreCost {
    /// Bytes that frames decode to.
    pub decoded_bytes: u64,
    /// Ranges of packs that are read.
    pub requests: u64,
    /// What that takes on the machine that `assumes` describes.
    pub predicted_seconds: f64,
    /// The machine.
    pub assumes: Assumed,
}

/// A machine that restores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assumed {
    /// Bytes per second that the repository gives.
    pub read_bytes_per_second: u64,
    /// Bytes per second that are decoded and written.
    pub decoded_bytes_per_second: u64,
    /// Seconds until a request is answered.
    pub request_seconds: f64,
    /// Requests that wait at a time.
    pub parallel_requests: u64,
}

/// Counts while extents come in the order of the listing.
#[derive(Default)]
pub(super) struct Costs {
    positions: HashMap<Digest, u32>,
    window: Vec<(u32, u32, u32, u32)>,
    decoded: u64,
    requests: u64,
    read: u64,
}

impl Costs {
    /// Counts an extent.
    pub(super) fn add(&mut self, at: &Location) {
        self.push(&at.pack, at.offset, at.stored, at.frame_length);
    }

    /// Counts a segment that was not looked at.
    pub(super) fn add_segment(&mut self, segment: &Segment) {
        for (pack, offset, stored, decoded) in segment.frames() {
            self.push(&pack.id, offset, stored, decoded);
        }
    }

    fn push(&mut self, pack: &Digest, offset: u32, stored: u32, decoded: u32) {
        let next = u32::try_from(self.positions.len()).unwrap_or(u32::MAX);
        let pack = match self.positions.get(pack) {
            Some(position) => *position,
            None => *self.positions.entry(*pack).or_insert(next),
        };
        if self.window.last() == Some(&(pack, offset, stored, decoded)) {
            return;
        }
        self.window.push((pack, offset, stored, decoded));
        if self.window.len() >= WINDOW {
            self.close();
        }
    }

    fn close(&mut self) {
        self.window.sort_unstable();
        self.window.dedup();
        let mut open: Option<(u32, u32, u32)> = None;
        for (pack, offset, stored, decoded) in self.window.drain(..) {
            self.decoded += u64::from(decoded);
            let end = offset.saturating_add(stored);
            match &mut open {
                Some((of, first, last))
                    if *of == pack && offset <= last.saturating_add(GAP) && end.max(*last) - *first <= READ =>
                {
                    self.read += u64::from(end.saturating_sub(*last));
                    *last = end.max(*last);
                }
                _ => {
                    self.requests += 1;
                    self.read += u64::from(stored);
                    open = Some((pack, offset, end));
                }
            }
        }
        self.positions.clear();
    }

    /// The cost of everything that came, from a place with this address.
    pub(super) fn finish(mut self, url: &str) -> RestoreCost {
        self.close();
        let local = url.starts_with("file:") || url.starts_with("memory:");
        let assumes = Assumed {
            read_bytes_per_second: if local { LOCAL } else { REMOTE },
            decoded_bytes_per_second: DECODED,
            request_seconds: if local { LOCAL_REQUEST } else { REMOTE_REQUEST },
            parallel_requests: PARALLEL,
        };
        let seconds = |bytes: u64, rate: u64| bytes as f64 / rate as f64;
        let fetched = seconds(self.read, assumes.read_bytes_per_second)
            + self.requests as f64 * assumes.request_seconds / PARALLEL as f64;
        let decoded = seconds(self.decoded, assumes.decoded_bytes_per_second);
        RestoreCost {
            decoded_bytes: self.decoded,
            requests: self.requests,
            predicted_seconds: (fetched.max(decoded) * 1000.0).round() / 1000.0,
            assumes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pack: u8, offset: u32) -> Location {
        Location {
            pack: Digest::of(&[pack]),
            ordinal: 0,
            offset,
            stored: 1000,
            raw: false,
            frame_length: 65_536,
            within: 0,
        }
    }

    #[test]
    fn a_frame_counts_once_and_near_neighbours_are_one_request() {
        let mut costs = Costs::default();
        for extent in [at(1, 44), at(1, 1044), at(1, 44), at(2, 44), at(1, 5_000_000)] {
            costs.add(&extent);
        }
        let cost = costs.finish("file:///x");
        assert_eq!((cost.decoded_bytes, cost.requests), (4 * 65_536, 3));
        assert!(cost.predicted_seconds > 0.0 || cost.decoded_bytes < 1 << 20);
    }

    #[test]
    fn object_storage_is_predicted_to_take_longer() {
        let cost = |url| {
            let mut costs = Costs::default();
            (0..100).for_each(|pack| costs.add(&at(pack, 44)));
            costs.finish(url).predicted_seconds
        };
        assert!(cost("s3://bucket/x") > cost("file:///x"));
    }
}
