//! Blocks that were written in several pieces, compared with their hash; what is wrong with one is found out, and read once more.
//!
//! Invariant: what is not the block does not stay in the file, and what is lost is named by the pack that it came from.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use muster_archive::layout;
use rustix::io::Errno;

use super::Run;
use super::work::SECOND_LOOKS;
use crate::blocks::{BlockTask, Part};
use crate::files::{FileTask, errno};
use crate::loss::{LossKind, Lost, with_causes};

impl Run<'_> {
    /// Compares a block, all pieces of which are written, with its hash.
    pub(super) fn prove_block(&self, block: &BlockTask, file: &Arc<FileTask>) -> Result<(), Errno> {
        if !block.is_lost() && block.is_proven(&self.plan.hash_key) {
            return Ok(());
        }
        let open = self.open.open(file)?;
        let mut bytes = vec![0; block.length];
        if file.is_adopted() {
            // What an earlier run left between the pieces is made zeros later.
            for part in &block.parts {
                read(&open, block, part, &mut bytes)?;
            }
        } else {
            open.read_exact_at(&mut bytes, block.offset)
                .map_err(|error| errno(&error))?;
        }
        let lost = block.is_lost();
        if !lost && self.is_block(block, &bytes) {
            return Ok(());
        }
        let mut wrong = Vec::new();
        for part in block.parts.iter().filter(|part| !part.is_lost()) {
            let fits = |bytes: &[u8]| self.plan.hash_key.fits(bytes, &part.check);
            if fits(&bytes[part.within..part.within + part.length]) {
                continue;
            }
            match self
                .again(part)
                .and_then(|right| if fits(&right) { Ok(right) } else { Err(differs()) })
            {
                Ok(right) => {
                    open.write_all_at(&right, block.offset + part.within as u64)
                        .map_err(|error| errno(&error))?;
                    bytes[part.within..part.within + part.length].copy_from_slice(&right);
                }
                Err(loss) => wrong.push((part, loss)),
            }
        }
        if wrong.is_empty() && (lost || self.is_block(block, &bytes)) {
            return Ok(());
        }
        if wrong.is_empty() {
            let reason = "the pieces of a block fit their checks and not the block's hash".to_owned();
            wrong = block
                .parts
                .iter()
                .map(|part| (part, (reason.clone(), LossKind::Damaged)))
                .collect();
        }
        // Eight bytes say which piece is wrong, and not that the others are right.
        self.give_up_block(&open, block, file, &wrong)
    }

    fn is_block(&self, block: &BlockTask, bytes: &[u8]) -> bool {
        self.plan.hash_key.hash(bytes) == block.hash
    }

    /// A part's bytes, read from the repository once more.
    fn again(&self, part: &Part) -> Result<Vec<u8>, (String, LossKind)> {
        if self.confirmed.load(Ordering::Relaxed) >= SECOND_LOOKS {
            return Err(differs());
        }
        let at = &part.location;
        let begin = u64::from(at.offset);
        let range = begin..begin + u64::from(at.stored);
        let repository = self.session.repository;
        let stored = match self.session.wait(repository.read_pack_range(&at.pack, range)) {
            Ok(Ok(stored)) => stored,
            Ok(Err(error)) => return Err((with_causes(&error), LossKind::of(&error))),
            Err(error) => return Err((with_causes(&error), LossKind::UnreadableNow)),
        };
        self.traffic.fetched(stored.len());
        let mut plain = Vec::new();
        let decoded = repository
            .frame_decoder()
            .map_err(|error| error.to_string())
            .and_then(|mut decoder| {
                decoder
                    .decode(at, &stored, &mut plain)
                    .map_err(|error| error.to_string())
            });
        decoded.map_err(|reason| (reason, LossKind::Damaged))?;
        self.traffic.decoded(plain.len());
        let within = at.within as usize;
        let bytes = plain.get(within..within.saturating_add(part.length));
        bytes.map(<[u8]>::to_vec).ok_or_else(differs)
    }

    /// Takes all of a block out of the file again; the parts that are wrong are lost, and so is what they leave unproven.
    fn give_up_block(
        &self,
        open: &File,
        block: &BlockTask,
        file: &Arc<FileTask>,
        wrong: &[(&Part, (String, LossKind))],
    ) -> Result<(), Errno> {
        self.confirmed.fetch_add(1, Ordering::Relaxed);
        file.mark_lost();
        for (part, (reason, kind)) in wrong {
            let offset = block.offset + part.within as u64;
            open.write_all_at(&vec![0; part.length], offset)
                .map_err(|error| errno(&error))?;
            if kind.is_damage() {
                self.note_damaged(part.location.pack);
            }
            self.lose(Lost::new(
                &file.path,
                offset,
                part.length as u64,
                layout::pack(&part.location.pack),
                reason,
                *kind,
            ));
        }
        Ok(())
    }
}

fn read(open: &File, block: &BlockTask, part: &Part, bytes: &mut [u8]) -> Result<(), Errno> {
    let into = &mut bytes[part.within..part.within + part.length];
    open.read_exact_at(into, block.offset + part.within as u64)
        .map_err(|error| errno(&error))
}

fn differs() -> (String, LossKind) {
    ("its bytes are not those of their hash".to_owned(), LossKind::Damaged)
}
