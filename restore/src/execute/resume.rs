//! What an earlier run of the same restore wrote: compared with its hashes where it lies, and then not read again from the repository.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::Ordering;

use muster_archive::tree::NodeKind;
use rustix::fs::SeekFrom;

use super::Run;
use crate::RestoreError;
use crate::plan::RestorePlan;
use crate::session::Session;
use crate::target::Target;
use crate::window::Piece;

/// Pieces that a thread takes at a time.
const RUN: usize = 1024;

impl Run<'_> {
    /// Finishes the pieces whose bytes are in the target already; gives back all others.
    pub(super) fn sieve(&self, pieces: Vec<Piece>) -> Vec<Piece> {
        let (mut there, mut missing): (Vec<_>, Vec<_>) = pieces.into_iter().partition(|piece| piece.file.is_adopted());
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        while !there.is_empty() && !self.is_stopped() {
            let mut runs = Vec::with_capacity(threads);
            while !there.is_empty() && runs.len() < threads {
                let rest = there.split_off(there.len().saturating_sub(RUN));
                runs.push(rest);
            }
            missing.extend(std::thread::scope(|scope| {
                let runs: Vec<_> = runs
                    .into_iter()
                    .map(|run| scope.spawn(move || self.sieve_run(run)))
                    .collect();
                let done = runs.into_iter().filter_map(|run| run.join().ok());
                done.flatten().collect::<Vec<_>>()
            }));
        }
        missing.extend(there);
        missing
    }

    fn sieve_run(&self, mut run: Vec<Piece>) -> Vec<Piece> {
        let mut buffer = Vec::new();
        run.retain(|piece| {
            let right = self
                .open
                .open(&piece.file)
                .is_ok_and(|file| self.is_there(&file, piece, &mut buffer));
            if right {
                let length = u64::from(piece.length);
                self.kept.fetch_add(length, Ordering::Relaxed);
                self.progress(length);
                self.piece_done(piece, false);
            }
            !right
        });
        run
    }

    fn is_there(&self, file: &File, piece: &Piece, buffer: &mut Vec<u8>) -> bool {
        let length = piece.length as usize;
        // No stored piece is all zeros: a hole needs no look at its bytes.
        let end = piece.offset + u64::from(piece.length);
        if rustix::fs::seek(file, SeekFrom::Data(piece.offset)).is_ok_and(|data| data >= end) {
            return false;
        }
        buffer.resize(length, 0);
        let right = file.read_exact_at(buffer, piece.offset).is_ok() && self.plan.hash_key.fits(buffer, &piece.check);
        if let Some(block) = piece.block.as_ref().filter(|_| right) {
            block.learn(&self.plan.hash_key, piece.offset, buffer);
        }
        right
    }
}

/// Bytes of the file system that the files of the plan take already.
pub(super) fn room_taken(session: &Session<'_>, plan: &RestorePlan, target: &Target) -> Result<u64, RestoreError> {
    let mut taken = 0u64;
    plan.each_entry(session, |entry| {
        if matches!(entry.kind, NodeKind::File { .. })
            && let Ok(status) = target.look_at(&entry.path)
        {
            taken = taken.saturating_add(u64::try_from(status.st_blocks).unwrap_or(0).saturating_mul(512));
        }
        Ok(())
    })?;
    Ok(taken)
}
