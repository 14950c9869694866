//! The tree digest of a directory, from its bytes alone: what was restored is compared with what was signed.
//!
//! Invariant: no link is followed and nothing but regular files is opened. Of the names of a file with hard links, the first in path
//! order carries the content, as in a snapshot.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use muster_archive::tree::{Content, NodeKind, TreeEntry};
use muster_archive::{BLOCK, FileDigest, TreeDigest};
use muster_signing::Digest;

use crate::RestoreError;

/// Blocks that a thread hashes at a time: 4 MiB.
const RUN: u64 = 64;

/// Computes the tree digest of everything in `directory`.
///
/// # Errors
/// Where something cannot be read, or changes while it is; [`RestoreError::Cancelled`].
pub fn tree_digest_of_directory(directory: &Path, cancel: &AtomicBool) -> Result<Digest, RestoreError> {
    let mut walk = Walk {
        root: directory,
        links: HashMap::new(),
        digest: TreeDigest::new(),
        files: Vec::new(),
        cancel,
    };
    walk.directory(&[])?;
    let Walk { mut digest, files, .. } = walk;
    for (entry, file) in hash_all(files, cancel)? {
        digest.push(&with_digest(entry, file));
    }
    Ok(digest.finish())
}

struct Walk<'a> {
    root: &'a Path,
    /// First name of each file with several.
    links: HashMap<(u64, u64), Vec<u8>>,
    digest: TreeDigest,
    files: Vec<Pending>,
    cancel: &'a AtomicBool,
}

struct Pending {
    entry: TreeEntry,
    path: PathBuf,
    size: u64,
}

impl Walk<'_> {
    fn directory(&mut self, path: &[u8]) -> Result<(), RestoreError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(RestoreError::Cancelled);
        }
        let place = self.place(path);
        let failed = |error: io::Error| RestoreError::local(format!("list {}", place.display()), error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&place).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().into_vec());
        }
        names.sort();
        for name in names {
            let path = if path.is_empty() {
                name
            } else {
                [path, b"/", &name].concat()
            };
            self.name(path)?;
        }
        Ok(())
    }

    fn name(&mut self, path: Vec<u8>) -> Result<(), RestoreError> {
        let place = self.place(&path);
        let failed = |error: io::Error| RestoreError::local(format!("look at {}", place.display()), error);
        let metadata = place.symlink_metadata().map_err(failed)?;
        let kind = metadata.file_type();
        let special = |kind| entry(path.clone(), kind, &metadata);
        if kind.is_file() {
            let content = Content::Inline(Vec::new());
            let file = special(NodeKind::File {
                sparse: false,
                size: metadata.len(),
                digest: [0; 32],
                content,
            });
            if metadata.nlink() > 1
                && let Some(first) = self.first_name(&path, &metadata)
            {
                self.digest.push(&special(NodeKind::HardLink { to: first }));
                return Ok(());
            }
            self.files.push(Pending {
                entry: file,
                path: place,
                size: metadata.len(),
            });
        } else if kind.is_dir() {
            self.digest.push(&special(NodeKind::Directory));
            self.directory(&path)?;
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&place).map_err(failed)?.into_os_string().into_vec();
            self.digest.push(&special(NodeKind::Symlink { target }));
        } else if kind.is_fifo() {
            self.digest.push(&special(NodeKind::Fifo));
        } else if kind.is_block_device() || kind.is_char_device() {
            let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
            self.digest.push(&special(NodeKind::Device {
                block: kind.is_block_device(),
                major,
                minor,
            }));
        }
        Ok(())
    }

    /// The name under which this file came before.
    fn first_name(&mut self, path: &[u8], metadata: &Metadata) -> Option<Vec<u8>> {
        let first = self
            .links
            .entry((metadata.dev(), metadata.ino()))
            .or_insert_with(|| path.to_vec());
        (first != path).then(|| first.clone())
    }

    fn place(&self, path: &[u8]) -> PathBuf {
        self.root.join(std::ffi::OsStr::from_bytes(path))
    }
}

fn entry(path: Vec<u8>, kind: NodeKind, metadata: &Metadata) -> TreeEntry {
    TreeEntry {
        kind,
        mode: metadata.mode() & 0o7777,
        ..TreeEntry::directory(path)
    }
}

fn with_digest(mut entry: TreeEntry, found: [u8; 32]) -> TreeEntry {
    if let NodeKind::File { digest, .. } = &mut entry.kind {
        *digest = found;
    }
    entry
}

/// The files and their digests, in any order. Large files are shared among the threads.
fn hash_all(files: Vec<Pending>, cancel: &AtomicBool) -> Result<Vec<(TreeEntry, [u8; 32])>, RestoreError> {
    let queue = Mutex::new(Queue {
        files: files.into_iter(),
        open: None,
    });
    let done = Mutex::new(Vec::new());
    let failure = Mutex::new(None);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut buffer = vec![0; BLOCK];
                while !cancel.load(Ordering::Relaxed) && lock(&failure).is_none() {
                    let Some((file, run)) = lock(&queue).next() else { return };
                    match file.and_then(|file| file.hash(run, &mut buffer).map(|ended| (file, ended))) {
                        Ok((file, true)) => lock(&done).extend(file.take()),
                        Ok((_, false)) => {}
                        Err(error) => *lock(&failure) = Some(error),
                    }
                }
            });
        }
    });
    if let Some(error) = lock(&failure).take() {
        return Err(error);
    }
    if cancel.load(Ordering::Relaxed) {
        return Err(RestoreError::Cancelled);
    }
    Ok(std::mem::take(&mut *lock(&done)))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands out runs of blocks, file by file.
struct Queue {
    files: std::vec::IntoIter<Pending>,
    open: Option<(Arc<Hashed>, u64)>,
}

impl Iterator for Queue {
    type Item = (Result<Arc<Hashed>, RestoreError>, u64);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((file, run)) = self.open.take() {
            if run + 1 < file.runs {
                self.open = Some((Arc::clone(&file), run + 1));
            }
            return Some((Ok(file), run));
        }
        let pending = self.files.next()?;
        let opened = Hashed::open(pending).map(Arc::new);
        if let Ok(file) = &opened
            && file.runs > 1
        {
            self.open = Some((Arc::clone(file), 1));
        }
        Some((opened, 0))
    }
}

/// A file whose runs arrive in any order.
struct Hashed {
    file: File,
    path: PathBuf,
    size: u64,
    runs: u64,
    state: Mutex<State>,
}

struct State {
    digest: FileDigest,
    next: u64,
    early: HashMap<u64, Vec<[u8; 32]>>,
    entry: Option<TreeEntry>,
}

impl Hashed {
    fn open(pending: Pending) -> Result<Self, RestoreError> {
        let Pending { entry, path, size } = pending;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).unwrap_or(0);
        let file = File::options().read(true).custom_flags(flags).open(&path);
        let file = file.map_err(|error| RestoreError::local(format!("read {}", path.display()), error))?;
        let runs = size.div_ceil(RUN * BLOCK as u64).max(1);
        let state = State {
            digest: FileDigest::new(),
            next: 0,
            early: HashMap::new(),
            entry: Some(entry),
        };
        Ok(Self {
            file,
            path,
            size,
            runs,
            state: Mutex::new(state),
        })
    }

    /// Hashes one run; `true` when it was the last that the file waited for.
    fn hash(&self, run: u64, buffer: &mut [u8]) -> Result<bool, RestoreError> {
        let mut hashes = Vec::new();
        let mut position = run * RUN * BLOCK as u64;
        let end = self.size.min(position + RUN * BLOCK as u64);
        while position < end {
            let take = usize::try_from(end - position).unwrap_or(BLOCK).min(BLOCK);
            let read = self.file.read_exact_at(&mut buffer[..take], position);
            read.map_err(|error| RestoreError::local(format!("read {}", self.path.display()), error))?;
            hashes.push(*blake3::hash(&buffer[..take]).as_bytes());
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
        Ok(state.next == self.runs)
    }

    fn take(&self) -> Option<(TreeEntry, [u8; 32])> {
        let mut state = lock(&self.state);
        let digest = std::mem::take(&mut state.digest);
        state.entry.take().map(|entry| (entry, digest.finish()))
    }
}
