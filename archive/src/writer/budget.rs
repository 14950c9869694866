//! How much a run stores again, so that leaning on old frames stays cheap for whoever restores.
//!
//! A page that is a slice of an old frame costs the decoding of the whole frame. Where a block's frames decode to much more than the
//! block, those that give least for it are left, and their pages stored again.
//!
//! Invariant: a run stores at most a twentieth of the logical bytes that it read again.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::content::BLOCK;
use crate::index::SegmentBlock;

/// One part in so many of what was read may be stored again.
const SHARE: u64 = 20;

/// What a run read, and what of it it stored again.
#[derive(Debug, Default)]
pub(super) struct Budget {
    read: AtomicU64,
    again: AtomicU64,
}

/// A frame that a block leans on.
struct Used {
    frame: (u32, u32),
    decoded: u64,
    bytes: u64,
}

impl Budget {
    pub(super) fn read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Which of a block's extents (by their place in it) are worth being stored again, and may be. `unchanged` tells its pages,
    /// `changed` how many bytes are stored anyway.
    pub(super) fn worth_again(
        &self,
        before: &SegmentBlock<'_>,
        unchanged: &[bool],
        changed: u64,
        page: u32,
    ) -> Vec<usize> {
        if before.extents.len() < 2 && unchanged.iter().all(|page| *page) || before.length as usize != BLOCK {
            return Vec::new();
        }
        let mut used: Vec<Used> = Vec::new();
        let mut decoded = changed;
        for extent in before.extents.iter().filter(|extent| !extent.is_zeros()) {
            let start = (extent.at - before.at) as usize;
            let pages = start / page as usize..(start + extent.length as usize).div_ceil(page as usize);
            let bytes = pages.filter(|page| unchanged.get(*page) == Some(&true)).count() as u64 * u64::from(page);
            if bytes == 0 {
                continue;
            }
            let (frame, length) = extent.frame();
            match used.iter_mut().find(|used| used.frame == frame) {
                Some(used) => used.bytes += bytes,
                None => {
                    decoded += u64::from(length);
                    used.push(Used {
                        frame,
                        decoded: u64::from(length),
                        bytes,
                    });
                }
            }
        }
        // Where a byte stored again saves the most decoding first.
        used.sort_by_key(|used| std::cmp::Reverse(used.decoded * 1024 / used.bytes));
        let mut left = Vec::new();
        for used in used {
            let saved = used.decoded.saturating_sub(used.bytes);
            let dear = decoded * 2 > 3 * BLOCK as u64 && saved >= used.bytes;
            let cheap = decoded * 4 > 5 * BLOCK as u64 && saved >= 3 * used.bytes;
            if !(dear || cheap) || !self.take(used.bytes) {
                break;
            }
            decoded -= saved;
            left.push(used.frame);
        }
        let gives = |number: &usize| left.contains(&before.extents[*number].frame().0);
        (0..before.extents.len())
            .filter(|number| !before.extents[*number].is_zeros())
            .filter(gives)
            .collect()
    }

    fn take(&self, bytes: u64) -> bool {
        let most = self.read.load(Ordering::Relaxed) / SHARE;
        self.again
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |again| {
                again.checked_add(bytes).filter(|again| *again <= most)
            })
            .is_ok()
    }
}
