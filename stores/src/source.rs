//! The way out of a live store: a source pushes its tree into a sink and then says where it was consistent.
//!
//! Push, not pull: a base backup arrives as one stream in the server's order, and a tree walk yields in its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Entry, StoreError};

/// A live store that can be snapshotted.
pub trait Source: Send {
    /// Streams the whole store into `sink` and returns its consistency point. Blocks.
    ///
    /// Anything but `Ok` means that no snapshot may be committed. What could not be read is told to
    /// [`Sink::unreadable`] and does not end the run.
    fn snapshot(&mut self, sink: &mut dyn Sink) -> Result<Taken, StoreError>;

    /// Whether entries come in path order (component by component, a directory before what is in it), each path once.
    fn is_in_path_order(&self) -> bool {
        false
    }

    /// Bytes of the pages by which its files change in place.
    fn page_size(&mut self) -> u32 {
        8192
    }

    /// Whether its files are moved and renamed by whoever keeps them, so that their bytes turn up in other places.
    fn moves_files(&self) -> bool {
        false
    }

    /// What an idle look at the source says of its size: logical bytes, for progress. `None` where it would cost a walk.
    fn estimate(&mut self) -> Option<u64> {
        None
    }
}

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

/// Where a source's entries and bytes go. Calls block while the pipeline is full.
pub trait Sink {
    /// An entry without content: anything but [`crate::EntryKind::File`].
    fn entry(&mut self, entry: Entry) -> Result<(), SinkError>;
    /// Whether the file at `path`, of which the file system says this, need not be read: then it is given to [`Self::reuse_file`], else
    /// it is given next as any file is.
    fn is_unchanged(&mut self, _path: &[u8], _times: &FileTimes) -> bool {
        false
    }
    /// A file that [`Self::is_unchanged`] said need not be read.
    fn reuse_file(&mut self, _entry: Entry) -> Result<(), SinkError> {
        Err(SinkError)
    }
    /// Opens a file. Exactly one file is open at a time.
    fn begin_file(&mut self, entry: Entry) -> Result<(), SinkError>;
    /// The next bytes of the open file; any length.
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError>;
    /// The next `length` bytes of the open file are zero.
    fn zeros(&mut self, length: u64) -> Result<(), SinkError>;
    /// Closes the open file.
    fn end_file(&mut self) -> Result<(), SinkError>;
    /// Something that exists but could not be read, changed while it was read, or vanished: the run goes on and ends
    /// "incomplete" (exit 3). May be called while the file is open (it is then kept as far as it was read) or not.
    fn unreadable(&mut self, path: &[u8], reason: String);
    /// Position inside the store's own work, for progress only.
    fn note(&mut self, _what: &str) {}
}

/// The sink takes no more: the run was cancelled or the archive failed. The reason is kept by whoever owns the sink.
#[derive(Debug, thiserror::Error)]
#[error("the archive takes no more bytes")]
pub struct SinkError;

/// What a source says when it is done.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Where the snapshot is consistent.
    pub consistency_point: ConsistencyPoint,
    /// Who was read: server version, system identifier, path … never a secret.
    pub identity: BTreeMap<String, serde_json::Value>,
}

/// The instant and position that a snapshot represents.
///
/// `time` is the consistency instant on the source's clock (RFC 3339 UTC), not the completion of the backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsistencyPoint {
    /// RFC 3339 UTC.
    pub time: String,
    /// Per kind: postgres `lsn` (end), `start_lsn`, `timeline`, `system_identifier`; sqlite `schema_digest`, `page_count`, `page_size`; …
    #[serde(flatten)]
    pub position: BTreeMap<String, serde_json::Value>,
}
