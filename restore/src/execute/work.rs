//! The threads that decode, compare and write.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use muster_archive::{ArchiveError, FileDigest, FrameDecoder, HashKey};
use muster_signing::Digest;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::Run;
use super::produce::Ready;
use crate::RestoreError;
use crate::files::{FileTask, errno};
use crate::loss::{LossKind, with_causes};
use crate::window::{Job, Piece, Zeros, frame_of};

/// Damaged frames that are read a second time before they are called so.
pub(super) const SECOND_LOOKS: u32 = 64;
/// Bytes that are written or read back at once.
const CHUNK: usize = 1 << 20;
/// How long a thread waits for work without a look at whether everything is to end.
const LOOK: Duration = Duration::from_millis(100);

/// One thread's own things.
pub(super) struct Worker<'a> {
    run: &'a Run<'a>,
    decoder: FrameDecoder,
    plain: Vec<u8>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(run: &'a Run<'a>) -> Result<Self, RestoreError> {
        let decoder = run
            .session
            .repository
            .frame_decoder()
            .map_err(|error| RestoreError::local("prepare to decompress", error))?;
        Ok(Self {
            run,
            decoder,
            plain: Vec::new(),
        })
    }

    pub(super) fn run(&mut self, ready: &Receiver<Ready>) {
        loop {
            let Ready { job, fetched, .. } = match ready.recv_timeout(LOOK) {
                Ok(ready) => ready,
                Err(RecvTimeoutError::Timeout) if !self.run.is_stopped() => continue,
                // What is still being fetched is not waited for.
                Err(_) => return,
            };
            if self.run.is_stopped() {
                return;
            }
            match job {
                Job::Read {
                    pack, start, pieces, ..
                } => self.read(&pack, start, &pieces, fetched),
                Job::Zeros(runs) => runs.iter().for_each(|zeros| self.zeros(zeros)),
                Job::Finish(files) => files.iter().for_each(|file| self.run.finish_file(file)),
            }
        }
    }

    fn read(&mut self, pack: &Digest, start: u64, pieces: &[Piece], fetched: Option<Result<Bytes, ArchiveError>>) {
        let fetched = match fetched {
            Some(Ok(bytes)) => {
                self.run.traffic.fetched(bytes.len());
                self.run.unanswered.store(0, Ordering::Relaxed);
                Ok(bytes)
            }
            // A pack that ends early may still hold the first frames of this read.
            Some(Err(error)) if LossKind::of(&error) == LossKind::Damaged => Ok(Bytes::new()),
            Some(Err(error)) => {
                self.run
                    .unanswered
                    .fetch_add(u32::from(!LossKind::of(&error).is_damage()), Ordering::Relaxed);
                Err((with_causes(&error), LossKind::of(&error)))
            }
            None => Err((
                "the storage has not answered for long and is not asked any more".to_owned(),
                LossKind::UnreadableNow,
            )),
        };
        for frame in pieces.chunk_by(|a, b| frame_of(a) == frame_of(b)) {
            if self.run.is_stopped() {
                return;
            }
            match &fetched {
                Ok(bytes) => self.frame(pack, start, frame, bytes),
                Err((reason, kind)) => frame.iter().for_each(|piece| self.give_up(piece, reason, *kind)),
            }
        }
        self.run
            .progress(pieces.iter().map(|piece| u64::from(piece.length)).sum());
    }

    /// Writes the pieces of one frame. One that is not right is read again by itself before it is called damaged: from the right version of
    /// the pack, where somebody wrote over it.
    fn frame(&mut self, pack: &Digest, start: u64, pieces: &[Piece], bytes: &Bytes) {
        let Some(location) = pieces.first().map(|piece| piece.location) else {
            return;
        };
        let begin = u64::from(location.offset);
        let slice = usize::try_from(begin - start)
            .ok()
            .and_then(|at| bytes.get(at..)?.get(..location.stored as usize));
        if slice.is_some_and(|stored| self.decode(pieces, stored).is_ok()) {
            pieces.iter().for_each(|piece| self.write(piece));
            return;
        }
        if slice.is_some() && self.run.confirmed.load(Ordering::Relaxed) >= SECOND_LOOKS {
            return self.salvage(pieces, slice.unwrap_or_default());
        }
        let session = self.run.session;
        let again = session
            .repository
            .read_pack_range_again(pack, begin..begin + u64::from(location.stored));
        match session.wait(again) {
            Err(_) => {}
            Ok(Ok(stored)) => {
                self.run.traffic.fetched(stored.len());
                self.salvage(pieces, &stored);
            }
            Ok(Err(error)) => {
                let (reason, kind) = (with_causes(&error), LossKind::of(&error));
                pieces.iter().for_each(|piece| self.give_up(piece, &reason, kind));
            }
        }
    }

    /// Writes those pieces of a frame that are right, and gives up the others.
    fn salvage(&mut self, pieces: &[Piece], stored: &[u8]) {
        let decoded = self.decode(pieces, stored);
        if let Err(Wrong::Frame(reason)) = &decoded {
            self.run.confirmed.fetch_add(1, Ordering::Relaxed);
            return pieces
                .iter()
                .for_each(|piece| self.give_up(piece, reason, LossKind::Damaged));
        }
        for piece in pieces {
            if self.is_right(piece) {
                self.write(piece);
            } else {
                self.run.confirmed.fetch_add(1, Ordering::Relaxed);
                self.give_up(piece, "its bytes are not those of their hash", LossKind::Damaged);
            }
        }
    }

    /// Decodes a frame and compares all of its pieces with their hashes, but for those that their block proves.
    fn decode(&mut self, pieces: &[Piece], stored: &[u8]) -> Result<(), Wrong> {
        let Some(first) = pieces.first() else { return Ok(()) };
        self.decoder
            .decode(&first.location, stored, &mut self.plain)
            .map_err(|error| Wrong::Frame(error.to_string()))?;
        self.run.traffic.decoded(self.plain.len());
        // A piece of a block is proven with the block, when all of it is there.
        let right = |piece: &Piece| match piece.block {
            Some(_) => self.bytes_of(piece).is_some(),
            None => self.is_right(piece),
        };
        if pieces.iter().all(right) {
            Ok(())
        } else {
            Err(Wrong::Hash)
        }
    }

    fn is_right(&self, piece: &Piece) -> bool {
        self.bytes_of(piece)
            .is_some_and(|bytes| self.run.plan.hash_key.fits(bytes, &piece.check))
    }

    fn bytes_of(&self, piece: &Piece) -> Option<&[u8]> {
        let within = piece.location.within as usize;
        self.plain.get(within..within.checked_add(piece.length as usize)?)
    }

    fn write(&self, piece: &Piece) {
        if !piece.file.is_refused() {
            let bytes = self.bytes_of(piece).unwrap_or_default();
            if let Some(block) = &piece.block {
                block.learn(&self.run.plan.hash_key, piece.offset, bytes);
            }
            let written = self
                .run
                .open
                .open(&piece.file)
                .and_then(|file| file.write_all_at(bytes, piece.offset).map_err(|error| errno(&error)));
            if let Err(error) = written {
                self.run.target_failed(&piece.file, error);
            }
        }
        self.run.piece_done(piece, false);
    }

    fn give_up(&self, piece: &Piece, reason: &str, kind: LossKind) {
        self.run.pack_lost(piece, reason, kind);
        self.run.piece_done(piece, true);
    }

    fn zeros(&self, zeros: &Zeros) {
        if !zeros.file.is_refused() {
            let written = self
                .run
                .open
                .open(&zeros.file)
                .and_then(|file| write_zeros(&file, zeros));
            if let Err(error) = written {
                self.run.target_failed(&zeros.file, error);
            }
        }
        self.run.progress(zeros.length);
        self.run.part_done(&zeros.file);
    }
}

impl Run<'_> {
    /// One piece less to wait for: it is written, or lost.
    pub(super) fn piece_done(&self, piece: &Piece, lost: bool) {
        if let Some(block) = &piece.block
            && block.piece_done(piece.offset, lost)
            && !piece.file.is_refused()
            && let Err(error) = self.prove_block(block, &piece.file)
        {
            self.target_failed(&piece.file, error);
        }
        self.part_done(&piece.file);
    }

    fn part_done(&self, file: &Arc<FileTask>) {
        if file.piece_done() {
            self.finish_file(file);
        }
    }

    /// All bytes of a file are there, or given up.
    fn finish_file(&self, file: &Arc<FileTask>) {
        if file.is_refused() {
            return;
        }
        let finished = self.open.finish(file).and_then(|open| {
            if let Some(expected) = file.expected().filter(|_| !file.is_lost())
                && digest_of(&open, &self.plan.hash_key, file.size).map_err(|error| errno(&error))? != *expected
            {
                let reason = "the listing contradicts itself: its extents do not make up the file's digest";
                self.lose_file(file, self.plan.listing(), reason, LossKind::Damaged);
            }
            self.applier.to_open(open.as_fd(), &file.path, &file.attributes);
            Ok(())
        });
        match finished {
            Ok(()) => {
                self.files.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => self.target_failed(file, error),
        }
    }
}

enum Wrong {
    Frame(String),
    Hash,
}

/// Zeros that take room, as they did at the source.
fn write_zeros(file: &std::fs::File, zeros: &Zeros) -> Result<(), Errno> {
    let (offset, length) = (zeros.offset, zeros.length);
    let how = match (zeros.file.is_adopted(), zeros.file.sparse) {
        (false, _) => FallocateFlags::empty(),
        // An earlier run may have left something else there.
        (true, false) => FallocateFlags::ZERO_RANGE,
        (true, true) => FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
    };
    match rustix::fs::fallocate(file, how, offset, length) {
        Err(Errno::NOTSUP | Errno::NOSYS | Errno::INVAL) => {}
        done => return done,
    }
    let zeros = vec![0; CHUNK];
    let end = offset + length;
    let mut position = offset;
    while position < end {
        let take = usize::try_from(end - position).unwrap_or(CHUNK).min(CHUNK);
        file.write_all_at(&zeros[..take], position)
            .map_err(|error| errno(&error))?;
        position += take as u64;
    }
    Ok(())
}

fn digest_of(file: &std::fs::File, key: &HashKey, size: u64) -> io::Result<[u8; 32]> {
    let mut digest = FileDigest::new(key);
    let mut buffer = vec![0; CHUNK];
    let mut position = 0;
    while position < size {
        let take = usize::try_from(size - position).unwrap_or(CHUNK).min(CHUNK);
        file.read_exact_at(&mut buffer[..take], position)?;
        digest.update(&buffer[..take]);
        position += take as u64;
    }
    Ok(digest.finish())
}
