//! Files that are not read, and what the parent remembers of those that are.
//!
//! Invariant: a file is passed over only where its size and both its times are those remembered, both times lie well before the
//! remembered run began, and it was read whole within the last days. What is remembered and cannot be had is read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::SnapshotWriter;
use super::base::Base;
use super::batch::{Begun, Item};
use crate::ArchiveError;
use crate::index::{FileRecord, Instant, Remembered};
use crate::tree::{NodeKind, TreeEntry};

/// How long before the remembered run a time must lie: clocks of file systems are coarse, and a write in the same tick is not seen.
const SETTLED_MS: i128 = 2000;
/// After how long a file is read again whatever its times say.
const READ_AGAIN_SECONDS: u64 = 7 * 24 * 3600;

/// How long a time of reading is said again.
const SAID_AGAIN_SECONDS: u64 = 24 * 3600;

/// What a file system says of a file before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileTimes {
    /// Its length in bytes.
    pub size: u64,
    /// Modification time: seconds since the epoch, nanoseconds.
    pub mtime: (i64, u32),
    /// Change time of its inode, which no program sets at will.
    pub ctime: (i64, u32),
}

impl SnapshotWriter {
    /// Whether the file at `path` need not be read: then [`Self::reuse_file`] takes it as the parent has it. Else it is to be given
    /// next, and its times are remembered.
    pub fn is_unchanged(&mut self, path: &[u8], times: &FileTimes) -> bool {
        self.seen = Some((path.to_vec(), *times));
        let Some(record) = self.remembered(path) else {
            return false;
        };
        let started = self.reader.as_ref().map_or(0, |reader| reader.root().started_ms);
        let settled = |at: Instant| {
            let at = i128::from(at.0) * 1000 + i128::from(at.1) / 1_000_000;
            at + SETTLED_MS <= i128::from(started)
        };
        let now = self.now_ms / 1000;
        let read = record.read_whole;
        let fresh = read > 0 && read <= now && now - read < READ_AGAIN_SECONDS;
        let equal = (record.size, record.mtime, record.ctime) == (times.size, times.mtime, times.ctime);
        equal && settled(times.mtime) && settled(times.ctime) && fresh && self.can_reuse(&record)
    }

    /// Takes a file as the parent has it, of which [`Self::is_unchanged`] said so. `entry` is what it is now, but for its content.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn reuse_file(&mut self, mut entry: TreeEntry) -> Result<(), ArchiveError> {
        self.check(&entry, true)?;
        let seen = self.seen.take().filter(|(path, _)| *path == entry.path);
        let record = self.remembered(&entry.path).zip(seen);
        let Some((record, (_, times))) = record else {
            return Err(ArchiveError::Invalid(
                "a file is reused that nobody remembers".to_owned(),
            ));
        };
        if let NodeKind::File { sparse, .. } = &mut entry.kind {
            *sparse = record.sparse;
        }
        self.progress.files.fetch_add(1, Ordering::Relaxed);
        self.progress.read_bytes.fetch_add(record.size, Ordering::Relaxed);
        self.push(Item::Begin(Box::new(Begun {
            entry,
            ctime: times.ctime,
            read_whole: record.read_whole,
        })))?;
        let segments = match &record.content {
            Remembered::Inline(_) => 1,
            Remembered::Leaves(leaves) => leaves.len() as u64,
        };
        for segment in 0..segments {
            let base = self
                .base_of(&record, segment)
                .ok_or_else(|| ArchiveError::Invalid("the index has lost a file on the way".to_owned()))?;
            self.push(Item::Unread(Arc::new(base)))?;
        }
        self.push(Item::End {
            digest: Some(record.digest),
            whole: true,
        })
    }

    /// Says that the open file changed, or could not be read whole: it is not passed over next time.
    pub fn distrust_file(&mut self) {
        self.whole = false;
    }

    /// When the file that begins is remembered to have been read whole. Where it was read within the last day and its times are as they
    /// were, that is said again: so that reading alone does not change what is remembered.
    pub(super) fn time_of_reading(&self, times: &FileTimes) -> u64 {
        let now = self.now_ms / 1000;
        let before = self
            .record
            .as_ref()
            .filter(|record| (record.size, record.mtime, record.ctime) == (times.size, times.mtime, times.ctime))
            .map_or(0, |record| record.read_whole);
        if before > 0 && before <= now && now - before < SAID_AGAIN_SECONDS {
            before
        } else {
            now
        }
    }

    /// Whether everything that a remembered file is made of is there and may be leaned on.
    fn can_reuse(&mut self, record: &FileRecord) -> bool {
        match &record.content {
            Remembered::Inline(segment) => self.parent.base(Arc::clone(segment), None).is_usable(),
            Remembered::Leaves(leaves) => {
                (0..leaves.len() as u64).all(|leaf| self.base_of(record, leaf).is_some_and(|base| base.leaf.is_some()))
            }
        }
    }

    /// What the index has of the file at `path`. What cannot be read is not remembered.
    pub(super) fn remembered(&mut self, path: &[u8]) -> Option<Arc<FileRecord>> {
        let reader = self.reader.as_mut()?;
        reader.file(path).unwrap_or_else(|error| {
            tracing::warn!(%error, "a part of the index cannot be read: its files are stored again");
            None
        })
    }

    /// What the blocks of a segment of the open file are compared with.
    pub(super) fn find_base(&mut self, segment: u64) -> Option<Arc<Base>> {
        let record = self.record.clone()?;
        self.base_of(&record, segment).map(Arc::new)
    }

    fn base_of(&mut self, record: &FileRecord, segment: u64) -> Option<Base> {
        match &record.content {
            Remembered::Inline(inline) => (segment == 0).then(|| self.parent.base(Arc::clone(inline), None)),
            Remembered::Leaves(leaves) => {
                let leaf = *leaves.get(usize::try_from(segment).ok()?)?;
                let found = self.reader.as_mut()?.leaf(&leaf.leaf);
                let found = found
                    .inspect_err(|error| {
                        tracing::warn!(%error, "a part of the index cannot be read: what it holds is stored again");
                    })
                    .ok()?;
                Some(self.parent.base(found, Some(leaf)))
            }
        }
    }
}
