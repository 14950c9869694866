//! Extents of many files become reads of packs: sorted, near neighbours merged, bounded.
//!
//! Invariant: a window holds a bounded number of pieces, however large the snapshot; a frame that several extents share is in one
//! read, and is decoded once per window.

use std::collections::HashMap;
use std::sync::Arc;

use muster_archive::tree::{Check, Extent, Location};
use muster_signing::Digest;

use crate::blocks::BlockTask;
use crate::files::FileTask;

/// Pieces of a window: 8 GiB of whole blocks, about 15 MB of memory.
const PIECES: usize = 128 * 1024;
/// Bytes of a pack that are read for nothing rather than begin another request.
const GAP: u64 = 512 * 1024;
/// Longest read.
pub(crate) const READ: u64 = 4 << 20;
/// Files that are finished by one job.
const FINISH: usize = 64;

/// An extent on its way to its file.
pub(crate) struct Piece {
    pack: u32,
    pub(crate) location: Location,
    pub(crate) check: Check,
    /// The block that it is a part of, where that is stored in several pieces.
    pub(crate) block: Option<Arc<BlockTask>>,
    pub(crate) length: u32,
    pub(crate) offset: u64,
    pub(crate) file: Arc<FileTask>,
}

/// Zeros that are written as such.
pub(crate) struct Zeros {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) file: Arc<FileTask>,
}

/// What a worker does at a time.
pub(crate) enum Job {
    /// Reads this part of a pack; the pieces are sorted by frame.
    Read {
        pack: Digest,
        start: u64,
        end: u64,
        pieces: Vec<Piece>,
    },
    /// Writes zeros.
    Zeros(Vec<Zeros>),
    /// Finishes files that wait for no more bytes.
    Finish(Vec<Arc<FileTask>>),
}

/// Gathers pieces until they are worth planning.
#[derive(Default)]
pub(crate) struct Window {
    packs: Vec<Digest>,
    positions: HashMap<Digest, u32>,
    pieces: Vec<Piece>,
    zeros: Vec<Zeros>,
    finish: Vec<Arc<FileTask>>,
}

impl Window {
    pub(crate) fn is_full(&self) -> bool {
        self.pieces.len() + self.zeros.len() + self.finish.len() >= PIECES
    }

    /// Takes a block that begins at `offset` of its file, in one piece or several, or a longer extent.
    pub(crate) fn add(&mut self, file: &Arc<FileTask>, mut offset: u64, extents: &[Extent]) {
        let block = BlockTask::of(offset, extents).map(Arc::new);
        for extent in extents {
            self.add_piece(file, offset, extent, block.clone());
            offset += extent.length;
        }
    }

    fn add_piece(&mut self, file: &Arc<FileTask>, offset: u64, extent: &Extent, block: Option<Arc<BlockTask>>) {
        let Some(location) = extent.location else {
            if !file.sparse || file.is_adopted() {
                self.add_zeros(file, offset, extent.length);
            }
            return;
        };
        let pack = *self.positions.entry(location.pack).or_insert_with(|| {
            self.packs.push(location.pack);
            u32::try_from(self.packs.len() - 1).unwrap_or(u32::MAX)
        });
        file.expect_piece();
        let length = u32::try_from(extent.length).unwrap_or(u32::MAX);
        self.pieces.push(Piece {
            pack,
            location,
            check: extent.check,
            block,
            length,
            offset,
            file: Arc::clone(file),
        });
    }

    fn add_zeros(&mut self, file: &Arc<FileTask>, offset: u64, length: u64) {
        if let Some(last) = self.zeros.last_mut()
            && Arc::ptr_eq(&last.file, file)
            && last.offset + last.length == offset
        {
            last.length += length;
            return;
        }
        file.expect_piece();
        self.zeros.push(Zeros {
            offset,
            length,
            file: Arc::clone(file),
        });
    }

    /// Lets `sieve` take out the pieces that are not needed from the repository.
    pub(crate) fn sieve(&mut self, sieve: impl FnOnce(Vec<Piece>) -> Vec<Piece>) {
        self.pieces = sieve(std::mem::take(&mut self.pieces));
    }

    /// Takes a file that waits for no bytes.
    pub(crate) fn finish(&mut self, file: Arc<FileTask>) {
        self.finish.push(file);
    }

    /// The jobs of everything gathered; packs in the order of their first use.
    pub(crate) fn take_jobs(&mut self) -> Vec<Job> {
        let mut pieces = std::mem::take(&mut self.pieces);
        pieces.sort_by_key(|piece| (piece.pack, frame_of(piece), piece.location.within));
        let mut jobs = Vec::new();
        for chunk in chunks(std::mem::take(&mut self.finish), FINISH) {
            jobs.push(Job::Finish(chunk));
        }
        let mut open: Option<(u32, u64, u64, Vec<Piece>)> = None;
        for piece in pieces {
            let start = u64::from(piece.location.offset);
            let end = start + u64::from(piece.location.stored);
            match &mut open {
                Some((pack, first, last, pieces))
                    if *pack == piece.pack && joins(*first, *last, start, end, pieces, &piece) =>
                {
                    *last = end.max(*last);
                    pieces.push(piece);
                }
                _ => {
                    self.close(&mut jobs, open.take());
                    open = Some((piece.pack, start, end, vec![piece]));
                }
            }
        }
        self.close(&mut jobs, open.take());
        for chunk in chunks(std::mem::take(&mut self.zeros), FINISH) {
            jobs.push(Job::Zeros(chunk));
        }
        self.packs.clear();
        self.positions.clear();
        jobs
    }

    fn close(&self, jobs: &mut Vec<Job>, open: Option<(u32, u64, u64, Vec<Piece>)>) {
        if let Some((pack, start, end, pieces)) = open
            && let Some(pack) = self.packs.get(pack as usize)
        {
            jobs.push(Job::Read {
                pack: *pack,
                start,
                end,
                pieces,
            });
        }
    }
}

/// Whether a frame goes on with the open read. One that shares the last piece's frame always does.
fn joins(first: u64, last: u64, start: u64, end: u64, pieces: &[Piece], piece: &Piece) -> bool {
    let shared = pieces.last().is_some_and(|before| frame_of(before) == frame_of(piece));
    shared || (start <= last.saturating_add(GAP) && end.max(last) - first <= READ)
}

/// What makes two pieces' frames the same frame.
pub(crate) fn frame_of(piece: &Piece) -> (u32, u32, bool, u32) {
    let at = &piece.location;
    (at.offset, at.stored, at.raw, at.frame_length)
}

fn chunks<T>(mut items: Vec<T>, most: usize) -> Vec<Vec<T>> {
    let mut chunks = Vec::new();
    while items.len() > most {
        let rest = items.split_off(most);
        chunks.push(std::mem::replace(&mut items, rest));
    }
    if !items.is_empty() {
        chunks.push(items);
    }
    chunks
}

#[cfg(test)]
mod tests {
    use muster_archive::tree::TreeEntry;

    use super::*;
    use crate::attributes::Attributes;

    fn file(sparse: bool) -> Arc<FileTask> {
        let attributes = Attributes::of(&TreeEntry::directory("x"));
        Arc::new(FileTask::new(b"x".to_vec(), None, 0, sparse, attributes))
    }

    fn extent(pack: &[u8], offset: u32, stored: u32, within: u32) -> Extent {
        let location = Location {
            pack: Digest::of(pack),
            ordinal: 0,
            offset,
            stored,
            raw: true,
            frame_length: stored,
            within,
        };
        Extent {
            length: 10,
            check: Check::Whole([0; 32]),
            location: Some(location),
            group: None,
        }
    }

    fn reads(jobs: &[Job]) -> Vec<(u64, u64, usize)> {
        let read = |job: &Job| match job {
            Job::Read { start, end, pieces, .. } => Some((*start, *end, pieces.len())),
            _ => None,
        };
        jobs.iter().filter_map(read).collect()
    }

    #[test]
    fn near_neighbours_are_one_read_and_far_ones_are_not() {
        let (mut window, file) = (Window::default(), file(false));
        window.add(&file, 0, &[extent(b"a", 2_000_000, 100, 0)]);
        window.add(&file, 10, &[extent(b"a", 0, 100, 0)]);
        window.add(&file, 20, &[extent(b"a", 500_000, 100, 0)]);
        window.add(&file, 30, &[extent(b"b", 100, 100, 0)]);
        assert_eq!(
            reads(&window.take_jobs()),
            [(0, 500_100, 2), (2_000_000, 2_000_100, 1), (100, 200, 1)]
        );
        assert!(window.take_jobs().is_empty());
    }

    #[test]
    fn a_read_stays_bounded_and_a_shared_frame_is_never_split() {
        let (mut window, file) = (Window::default(), file(false));
        for n in 0..200u32 {
            for within in [10, 0] {
                window.add(&file, 0, &[extent(b"a", n * 65_536, 65_536, within)]);
            }
        }
        let jobs = window.take_jobs();
        assert!(reads(&jobs).iter().all(|(start, end, _)| end - start <= READ));
        assert!(reads(&jobs).iter().all(|(.., pieces)| pieces % 2 == 0));
        assert_eq!(reads(&jobs).iter().map(|(.., pieces)| pieces).sum::<usize>(), 400);
    }

    #[test]
    fn zeros_are_holes_in_a_sparse_file_and_one_run_elsewhere() {
        let zeros = Extent::zeros(65_536);
        let (mut window, sparse, dense) = (Window::default(), file(true), file(false));
        for n in 0..3 {
            window.add(&sparse, n * 65_536, std::slice::from_ref(&zeros));
            window.add(&dense, n * 65_536, std::slice::from_ref(&zeros));
        }
        let jobs = window.take_jobs();
        assert!(matches!(&jobs[..], [Job::Zeros(runs)] if runs.len() == 1 && runs[0].length == 3 * 65_536));
    }
}
