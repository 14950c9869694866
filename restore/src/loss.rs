//! What a restore could not bring back, and why: damaged, missing, or not readable now. The three are never mixed.
//!
//! Invariant: every lost byte is counted; what is named is merged, sorted and bounded.

use std::sync::{Mutex, MutexGuard, PoisonError};

use muster_archive::ArchiveError;
use serde::Serialize;

/// Most losses that are named.
const NAMED: usize = 10_000;

/// Why bytes are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// A digest, length or form is wrong.
    Damaged,
    /// A named object is absent.
    Missing,
    /// The storage did not give it now; another time it may.
    UnreadableNow,
}

impl LossKind {
    /// What an error says about the bytes that it stands for.
    pub fn of(error: &ArchiveError) -> Self {
        match error {
            ArchiveError::Missing { .. } => Self::Missing,
            error if error.is_damage() => Self::Damaged,
            _ => Self::UnreadableNow,
        }
    }

    /// Whether the archive is to blame (exit 7), and not the moment (exit 3).
    pub fn is_damage(self) -> bool {
        self != Self::UnreadableNow
    }
}

/// A run of bytes that could not be brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The file; bytes that are not UTF-8 are shown as U+FFFD. Empty where a part of the listing itself is lost.
    pub path: String,
    /// Where in the file.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
    /// The object in the repository that is to blame.
    pub object: String,
    /// What is wrong with it.
    pub reason: String,
    /// Which of the three.
    pub kind: LossKind,
}

impl Lost {
    pub(crate) fn new(path: &[u8], offset: u64, length: u64, object: String, reason: &str, kind: LossKind) -> Self {
        Self {
            path: shown(path),
            offset,
            length,
            object,
            reason: reason.to_owned(),
            kind,
        }
    }

    fn continues(&self, before: &Self) -> bool {
        let same = self.path == before.path && self.object == before.object && self.kind == before.kind;
        same && self.offset <= before.offset.saturating_add(before.length)
    }
}

/// A path as people read it.
pub(crate) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// An error with its causes, in one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        line.push_str(": ");
        line.push_str(&next.to_string());
        cause = next.source();
    }
    line
}

/// Where losses gather, from all threads.
#[derive(Debug, Default)]
pub(crate) struct LossLog {
    inner: Mutex<Inner>,
}

/// What came of them.
pub(crate) struct Losses {
    /// Merged, in path order.
    pub(crate) named: Vec<Lost>,
    /// How many more there were.
    pub(crate) unnamed: u64,
    /// Bytes of all of them.
    pub(crate) bytes: u64,
}

#[derive(Debug, Default)]
struct Inner {
    named: Vec<Lost>,
    bytes: u64,
    /// Losses that are not among the named.
    unnamed: u64,
    damaged: bool,
    unreadable: bool,
}

impl LossLog {
    /// Takes a loss; says whether it is news, and not the continuation of one that was told.
    pub(crate) fn push(&self, lost: Lost) -> bool {
        let mut inner = self.lock();
        inner.bytes = inner.bytes.saturating_add(lost.length);
        if lost.kind.is_damage() {
            inner.damaged = true;
        } else {
            inner.unreadable = true;
        }
        if let Some(last) = inner.named.last_mut()
            && lost.continues(last)
            && lost.offset >= last.offset
        {
            last.length = (lost.offset + lost.length).max(last.offset + last.length) - last.offset;
            return false;
        }
        if inner.named.len() < NAMED {
            inner.named.push(lost);
            return true;
        }
        inner.unnamed += 1;
        if lost.kind.is_damage()
            && let Some(last) = inner.named.last_mut()
            && !last.kind.is_damage()
        {
            // Whether there is damage decides the verdict: it never falls behind what only could not be read.
            *last = lost;
        }
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        let inner = self.lock();
        !inner.damaged && !inner.unreadable
    }

    /// Everything that was lost.
    pub(crate) fn take(&self) -> Losses {
        let mut inner = std::mem::take(&mut *self.lock());
        inner
            .named
            .sort_by(|a, b| (&a.path, a.offset).cmp(&(&b.path, b.offset)));
        let mut merged: Vec<Lost> = Vec::new();
        for lost in inner.named {
            match merged.last_mut() {
                Some(last) if lost.continues(last) => {
                    last.length = (lost.offset + lost.length).max(last.offset + last.length) - last.offset;
                }
                _ => merged.push(lost),
            }
        }
        Losses {
            named: merged,
            unnamed: inner.unnamed,
            bytes: inner.bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(path: &str, offset: u64, length: u64) -> Lost {
        Lost::new(
            path.as_bytes(),
            offset,
            length,
            "packs/ab/x".to_owned(),
            "its bytes differ",
            LossKind::Damaged,
        )
    }

    #[test]
    fn neighbouring_losses_are_one_and_every_byte_is_counted() {
        let log = LossLog::default();
        assert!(log.is_empty());
        assert!(log.push(lost("b", 128, 64)));
        assert!(log.push(lost("a", 64, 64)));
        assert!(!log.push(lost("a", 128, 64)));
        assert!(log.push(lost("b", 64, 64)));
        assert!(log.push(lost("b", 512, 1)));
        assert!(!log.is_empty());
        let Losses { named, bytes, unnamed } = log.take();
        assert_eq!(unnamed, 0);
        let found: Vec<_> = named
            .iter()
            .map(|lost| (lost.path.as_str(), lost.offset, lost.length))
            .collect();
        assert_eq!(found, [("a", 64, 128), ("b", 64, 128), ("b", 512, 1)]);
        assert_eq!(bytes, 64 * 4 + 1);
    }

    #[test]
    fn damage_is_named_however_much_else_could_not_be_read() {
        let log = LossLog::default();
        for n in 0..=NAMED {
            let path = format!("{n}");
            log.push(Lost {
                kind: LossKind::UnreadableNow,
                ..lost(&path, 0, 1)
            });
        }
        log.push(lost("damaged", 0, 1));
        let Losses { named, bytes, unnamed } = log.take();
        assert_eq!((named.len(), bytes, unnamed), (NAMED, NAMED as u64 + 2, 2));
        assert!(named.iter().any(|lost| lost.kind.is_damage()));
    }

    #[test]
    fn absent_damaged_and_not_readable_now_are_three_answers() {
        let missing = ArchiveError::Missing {
            object: "x".to_owned(),
            named_by: "y".to_owned(),
        };
        let damaged = ArchiveError::Damaged {
            object: "x".to_owned(),
            reason: "y".to_owned(),
        };
        assert_eq!(LossKind::of(&missing), LossKind::Missing);
        assert_eq!(LossKind::of(&damaged), LossKind::Damaged);
        assert_eq!(LossKind::of(&ArchiveError::Cancelled), LossKind::UnreadableNow);
        assert!(!LossKind::UnreadableNow.is_damage());
    }
}
