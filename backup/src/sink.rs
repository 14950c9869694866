//! The sink that a source writes to: entries and bytes go to the archive's writer.
//!
//! Invariant: the first error of the writer is kept, and every later call fails.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use muster_archive::tree::{Content, NodeKind, TreeEntry};
use muster_archive::{ArchiveError, FileTimes, RateLimit, SnapshotWriter, Unreadable};
use muster_stores::{Entry, EntryKind, Sink, SinkError};

use crate::Event;

pub(crate) struct ArchiveSink<'a> {
    pub(crate) writer: SnapshotWriter,
    pub(crate) unreadable: Unreadable,
    pub(crate) on_event: &'a dyn Fn(Event),
    pub(crate) failure: Option<ArchiveError>,
    /// How fast the source may be read, and what ends a wait for it.
    pub(crate) read_limit: Option<Arc<RateLimit>>,
    pub(crate) cancel: Arc<AtomicBool>,
}

impl ArchiveSink<'_> {
    fn keep(&mut self, result: Result<(), ArchiveError>) -> Result<(), SinkError> {
        if self.failure.is_some() {
            return Err(SinkError);
        }
        result.map_err(|error| {
            self.failure = Some(error);
            SinkError
        })
    }
}

impl Sink for ArchiveSink<'_> {
    fn entry(&mut self, entry: Entry) -> Result<(), SinkError> {
        let result = self.writer.entry(tree_entry(entry));
        self.keep(result)
    }

    fn begin_file(&mut self, entry: Entry) -> Result<(), SinkError> {
        let result = self.writer.begin_file(tree_entry(entry));
        self.keep(result)
    }

    fn is_unchanged(&mut self, path: &[u8], times: &muster_stores::FileTimes) -> bool {
        let times = FileTimes {
            size: times.size,
            mtime: times.mtime,
            ctime: times.ctime,
        };
        self.failure.is_none() && self.writer.is_unchanged(path, &times)
    }

    fn reuse_file(&mut self, entry: Entry) -> Result<(), SinkError> {
        let result = self.writer.reuse_file(tree_entry(entry));
        self.keep(result)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        if let Some(limit) = &self.read_limit {
            limit.pass_blocking(bytes.len() as u64, &self.cancel);
        }
        let result = self.writer.write(bytes);
        self.keep(result)
    }

    fn zeros(&mut self, length: u64) -> Result<(), SinkError> {
        let result = self.writer.zeros(length);
        self.keep(result)
    }

    fn end_file(&mut self) -> Result<(), SinkError> {
        let result = self.writer.end_file();
        self.keep(result)
    }

    fn unreadable(&mut self, path: &[u8], reason: String) {
        self.writer.distrust_file();
        self.unreadable.note(path, &reason);
        (self.on_event)(Event::Unreadable {
            path: String::from_utf8_lossy(path).into_owned(),
            reason,
        });
    }

    fn note(&mut self, what: &str) {
        (self.on_event)(Event::Note { text: what.to_owned() });
    }
}

fn tree_entry(entry: Entry) -> TreeEntry {
    let kind = match entry.kind {
        EntryKind::File { sparse } => NodeKind::File {
            sparse,
            size: 0,
            digest: [0; 32],
            content: Content::Inline(Vec::new()),
        },
        EntryKind::Directory => NodeKind::Directory,
        EntryKind::Symlink { target } => NodeKind::Symlink { target },
        EntryKind::HardLink { to } => NodeKind::HardLink { to },
        EntryKind::Fifo => NodeKind::Fifo,
        EntryKind::Device { block, major, minor } => NodeKind::Device { block, major, minor },
    };
    TreeEntry {
        path: entry.path,
        kind,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime_seconds: entry.mtime_seconds,
        mtime_nanos: entry.mtime_nanos,
        xattrs: entry
            .xattrs
            .into_iter()
            .map(|xattr| (xattr.name, xattr.value))
            .collect(),
    }
}
