//! What a plan will cost, counted before anything is written: the same windows of reads that the restore makes, planned and not sent.
//!
//! Invariant: memory is one window's, as in the restore. Everything that the restore reads of the tree is read here once.

use std::sync::Arc;

use muster_archive::Assumed;
use muster_archive::tree::{Content, Extent, NodeKind, TreeEntry, blocks};
use serde::Serialize;

use super::RestorePlan;
use crate::RestoreError;
use crate::attributes::Attributes;
use crate::files::FileTask;
use crate::reading::{self, Maps};
use crate::session::Session;
use crate::window::{Job, Window, frame_of};

/// Logical bytes of an extent map.
const MAP: u64 = 1 << 30;

/// What a restore asks of the repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RestoreEstimate {
    /// Ranges of packs that are read.
    pub pack_requests: u64,
    /// Their bytes.
    pub pack_bytes: u64,
    /// Objects of the tree that are read: its index, leaves and maps.
    pub tree_requests: u64,
    /// Bytes that frames decode to.
    pub decoded_bytes: u64,
    /// Extent maps that cannot be read: what they hold is not counted.
    pub unread_maps: u64,
}

impl RestoreEstimate {
    /// Seconds that it takes on a machine like this: fetching and decoding go on side by side, and the slower of them decides.
    pub fn seconds(&self, machine: &Assumed) -> f64 {
        let rate = |bytes: u64, per_second: u64| bytes as f64 / per_second.max(1) as f64;
        let requests = (self.pack_requests + self.tree_requests) as f64;
        let fetched = rate(self.pack_bytes, machine.read_bytes_per_second)
            + requests * machine.request_seconds / machine.parallel_requests.max(1) as f64;
        fetched.max(rate(self.decoded_bytes, machine.decoded_bytes_per_second))
    }
}

impl RestorePlan {
    /// Counts what the restore will ask for.
    ///
    /// # Errors
    /// [`RestoreError::Cancelled`].
    pub fn estimate(&self, session: &Session<'_>) -> Result<RestoreEstimate, RestoreError> {
        let mut count = Count {
            session,
            window: Window::default(),
            found: RestoreEstimate {
                tree_requests: self.tree_requests(),
                ..RestoreEstimate::default()
            },
        };
        self.each_leaf(session, |leaf| {
            let entries = leaf.unwrap_or_default().into_iter();
            let entries: Vec<TreeEntry> = entries.filter_map(|entry| self.select(entry)).collect();
            let mut maps = reading::maps(session, &entries);
            entries.into_iter().try_for_each(|entry| count.entry(entry, &mut maps))
        })?;
        count.close();
        Ok(count.found)
    }
}

struct Count<'a> {
    session: &'a Session<'a>,
    window: Window,
    found: RestoreEstimate,
}

impl Count<'_> {
    fn entry(&mut self, entry: TreeEntry, maps: &mut Maps<'_>) -> Result<(), RestoreError> {
        let attributes = Attributes::of(&entry);
        let NodeKind::File { size, content, .. } = entry.kind else {
            return Ok(());
        };
        // Its zeros are none of the repository's business.
        let task = Arc::new(FileTask::new(entry.path, None, size, true, attributes));
        match content {
            Content::Inline(extents) => self.extents(&task, 0, &extents),
            Content::Maps(ids) => {
                self.found.tree_requests += ids.len() as u64;
                for (number, (_, map)) in maps.by_ref().take(ids.len()).enumerate() {
                    match map {
                        Ok(extents) => self.extents(&task, number as u64 * MAP, &extents),
                        Err(_) => self.found.unread_maps += 1,
                    }
                }
            }
        }
        self.session.check()
    }

    fn extents(&mut self, task: &Arc<FileTask>, mut offset: u64, extents: &[Extent]) {
        for block in blocks(extents) {
            self.window.add(task, offset, block);
            offset += block.iter().map(|extent| extent.length).sum::<u64>();
        }
        if self.window.is_full() {
            self.close();
        }
    }

    fn close(&mut self) {
        for job in self.window.take_jobs() {
            let Job::Read { start, end, pieces, .. } = job else {
                continue;
            };
            self.found.pack_requests += 1;
            self.found.pack_bytes += end - start;
            for frame in pieces.chunk_by(|a, b| frame_of(a) == frame_of(b)) {
                let decoded = frame.first().map_or(0, |piece| piece.location.frame_length);
                self.found.decoded_bytes += u64::from(decoded);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_fetching_and_decoding_decides() {
        let machine = Assumed {
            read_bytes_per_second: 100,
            decoded_bytes_per_second: 1000,
            request_seconds: 0.5,
            parallel_requests: 5,
        };
        let estimate = RestoreEstimate {
            pack_requests: 8,
            pack_bytes: 200,
            tree_requests: 2,
            decoded_bytes: 1000,
            unread_maps: 0,
        };
        assert_eq!(estimate.seconds(&machine), 3.0);
        let slow = Assumed {
            decoded_bytes_per_second: 100,
            ..machine
        };
        assert_eq!(estimate.seconds(&slow), 10.0);
    }
}
