//! A file whose runs of blocks are hashed by several threads.
//!
//! Invariant: of what was hashed too early a bounded number of runs is kept, however long the file is.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;

use muster_archive::tree::{NodeKind, TreeEntry};
use muster_archive::{BLOCK, FileDigest};
use rustix::fs::{Mode, SeekFrom};
use rustix::io::Errno;

use super::lock;
use super::walk::{READ, Root};
use crate::RestoreError;

/// Blocks that a thread hashes at a time: 4 MiB.
const RUN: u64 = 64;
/// Runs that may be hashed before the one that the digest takes next: 2 KiB of hashes each.
const EARLY: u64 = 256;

/// An open file on its way into the digest.
pub(super) struct Hashed<'a> {
    root: &'a Root,
    /// Its place in path order.
    pub(super) number: u64,
    path: Vec<u8>,
    file: File,
    size: u64,
    pub(super) runs: u64,
    state: Mutex<State>,
}

struct State {
    digest: FileDigest,
    next: u64,
    early: HashMap<u64, Vec<[u8; 32]>>,
    entry: Option<TreeEntry>,
}

impl<'a> Hashed<'a> {
    pub(super) fn open(root: &'a Root, number: u64, entry: TreeEntry, size: u64) -> Result<Self, RestoreError> {
        let file = rustix::fs::openat(&root.fd, entry.path.as_slice(), READ, Mode::empty())
            .map(File::from)
            .map_err(|error| root.failed("read", &entry.path, error))?;
        let path = entry.path.clone();
        let runs = size.div_ceil(RUN * BLOCK as u64).max(1);
        let state = State {
            digest: FileDigest::new(&root.key),
            next: 0,
            early: HashMap::new(),
            entry: Some(entry),
        };
        Ok(Self {
            root,
            number,
            path,
            file,
            size,
            runs,
            state: Mutex::new(state),
        })
    }

    /// Whether this run may be hashed now.
    pub(super) fn takes(&self, run: u64) -> bool {
        run < lock(&self.state).next + EARLY
    }

    /// Hashes one run; the entry with its digest when it was the last that the file waited for.
    pub(super) fn hash(&self, run: u64, buffer: &mut [u8]) -> Result<Option<TreeEntry>, RestoreError> {
        let mut hashes = Vec::new();
        let mut position = run * RUN * BLOCK as u64;
        let end = self.size.min(position + RUN * BLOCK as u64);
        // A hole is zeros without being read: a tree may hold more of them than any disk holds bytes.
        let hole = self.is_hole(position, end);
        if hole {
            buffer.fill(0);
        }
        let zeros = hole.then(|| self.root.key.hash(buffer));
        while position < end {
            let take = usize::try_from(end - position).unwrap_or(BLOCK).min(BLOCK);
            if !hole {
                let read = self.file.read_exact_at(&mut buffer[..take], position);
                read.map_err(|error| self.root.failed("read", &self.path, error))?;
            }
            hashes.push(match zeros {
                Some(zeros) if take == BLOCK => zeros,
                _ => self.root.key.hash(&buffer[..take]),
            });
            position += take as u64;
        }
        let mut state = lock(&self.state);
        state.early.insert(run, hashes);
        loop {
            let next = state.next;
            let Some(hashes) = state.early.remove(&next) else { break };
            hashes.iter().for_each(|hash| state.digest.push_block(hash));
            state.next += 1;
        }
        if state.next < self.runs {
            return Ok(None);
        }
        let found = std::mem::replace(&mut state.digest, FileDigest::new(&self.root.key)).finish();
        Ok(state.entry.take().map(|mut entry| {
            if let NodeKind::File { digest, .. } = &mut entry.kind {
                *digest = found;
            }
            entry
        }))
    }

    /// Whether there is no data from `begin` to `end`. Where the file system does not tell, there is.
    fn is_hole(&self, begin: u64, end: u64) -> bool {
        match rustix::fs::seek(&self.file, SeekFrom::Data(begin)) {
            Ok(data) => data >= end,
            Err(Errno::NXIO) => rustix::fs::fstat(&self.file)
                .is_ok_and(|status| u64::try_from(status.st_size).is_ok_and(|size| size >= end)),
            Err(_) => false,
        }
    }
}
