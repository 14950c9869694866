//! The tree digest of a directory, from its bytes alone: what was restored is compared with what was signed.
//!
//! Invariant: no link is followed and nothing but regular files is opened. Of the names of a file with hard links, the first in path
//! order carries the content, as in a snapshot.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use muster_archive::tree::{Content, NodeKind, TreeEntry};
use muster_archive::{BLOCK, FileDigest, HashKey, TreeDigest};
use muster_signing::Digest;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

use crate::RestoreError;
use crate::target::names_in;

/// Blocks that a thread hashes at a time: 4 MiB.
const RUN: u64 = 64;
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK);

/// Computes the tree digest of everything in `directory`, as a snapshot with this hash key has it.
///
/// # Errors
/// Where something cannot be read, or changes while it is; [`RestoreError::Cancelled`].
pub fn tree_digest_of_directory(directory: &Path, key: &HashKey, cancel: &AtomicBool) -> Result<Digest, RestoreError> {
    let root = Root::open(directory, key)?;
    let mut walk = Walk {
        root: &root,
        links: HashMap::new(),
        digest: TreeDigest::new(),
        files: Vec::new(),
        cancel,
    };
    walk.run()?;
    let Walk { mut digest, files, .. } = walk;
    for (entry, file) in hash_all(&root, files, cancel)? {
        digest.push(&with_digest(entry, file));
    }
    Ok(digest.finish())
}

/// The open directory. Everything in it is reached relative to it, as it was when it was made: so a path that the restore could write
/// can be read, however long the directory's own is.
struct Root {
    key: HashKey,
    fd: OwnedFd,
    shown: PathBuf,
}

impl Root {
    fn open(directory: &Path, key: &HashKey) -> Result<Self, RestoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(directory, flags, Mode::empty())
            .map_err(|error| RestoreError::local(format!("list {}", directory.display()), error))?;
        Ok(Self {
            key: key.clone(),
            fd,
            shown: directory.to_owned(),
        })
    }

    fn failed(&self, what: &str, path: &[u8], error: impl Into<io::Error>) -> RestoreError {
        let place = self.shown.join(OsStr::from_bytes(path));
        RestoreError::local(format!("{what} {}", place.display()), error)
    }

    fn names(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, RestoreError> {
        let listed = if path.is_empty() {
            names_in(&self.fd)
        } else {
            rustix::fs::openat(self.fd.as_fd(), path, READ | OFlags::DIRECTORY, Mode::empty())
                .and_then(|directory| names_in(&directory))
        };
        let mut names = listed.map_err(|error| self.failed("list", path, error))?;
        names.sort();
        Ok(names)
    }
}

struct Walk<'a> {
    root: &'a Root,
    /// First name of each file with several.
    links: HashMap<(u64, u64), Vec<u8>>,
    digest: TreeDigest,
    files: Vec<Pending>,
    cancel: &'a AtomicBool,
}

struct Pending {
    entry: TreeEntry,
    size: u64,
}

impl Walk<'_> {
    /// Depth first, without recursion: whoever fills a tree decides how deep it is.
    fn run(&mut self) -> Result<(), RestoreError> {
        let mut levels = vec![(Vec::new(), self.root.names(&[])?.into_iter())];
        while let Some((directory, names)) = levels.last_mut() {
            let Some(name) = names.next() else {
                levels.pop();
                continue;
            };
            let path = if directory.is_empty() {
                name
            } else {
                [directory.as_slice(), b"/", &name].concat()
            };
            if self.cancel.load(Ordering::Relaxed) {
                return Err(RestoreError::Cancelled);
            }
            if self.name(&path)? {
                let names = self.root.names(&path)?.into_iter();
                levels.push((path, names));
            }
        }
        Ok(())
    }

    /// Takes in one name; whether it is a directory.
    fn name(&mut self, path: &[u8]) -> Result<bool, RestoreError> {
        let failed = |error: Errno| self.root.failed("look at", path, error);
        let status = rustix::fs::statat(&self.root.fd, path, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        let special = |kind| entry(path.to_vec(), kind, &status);
        let kind = FileType::from_raw_mode(status.st_mode);
        match kind {
            FileType::RegularFile => {
                let size = u64::try_from(status.st_size).unwrap_or(0);
                let file = special(NodeKind::File {
                    sparse: false,
                    size,
                    digest: [0; 32],
                    content: Content::Inline(Vec::new()),
                });
                if status.st_nlink > 1
                    && let Some(first) = self.first_name(path, &status)
                {
                    self.digest.push(&special(NodeKind::HardLink { to: first }));
                } else {
                    self.files.push(Pending { entry: file, size });
                }
            }
            FileType::Directory => self.digest.push(&special(NodeKind::Directory)),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&self.root.fd, path, Vec::new()).map_err(failed)?;
                let target = target.into_bytes();
                self.digest.push(&special(NodeKind::Symlink { target }));
            }
            FileType::Fifo => self.digest.push(&special(NodeKind::Fifo)),
            FileType::BlockDevice | FileType::CharacterDevice => {
                let (major, minor) = (rustix::fs::major(status.st_rdev), rustix::fs::minor(status.st_rdev));
                let block = kind == FileType::BlockDevice;
                self.digest.push(&special(NodeKind::Device { block, major, minor }));
            }
            _ => {}
        }
        Ok(kind == FileType::Directory)
    }

    /// The name under which this file came before.
    fn first_name(&mut self, path: &[u8], status: &Stat) -> Option<Vec<u8>> {
        let first = self
            .links
            .entry((status.st_dev, status.st_ino))
            .or_insert_with(|| path.to_vec());
        (first != path).then(|| first.clone())
    }
}

fn entry(path: Vec<u8>, kind: NodeKind, status: &Stat) -> TreeEntry {
    TreeEntry {
        kind,
        mode: status.st_mode & 0o7777,
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
fn hash_all(root: &Root, files: Vec<Pending>, cancel: &AtomicBool) -> Result<Vec<(TreeEntry, [u8; 32])>, RestoreError> {
    let queue = Mutex::new(Queue {
        root,
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
struct Queue<'a> {
    root: &'a Root,
    files: std::vec::IntoIter<Pending>,
    open: Option<(Arc<Hashed<'a>>, u64)>,
}

impl<'a> Iterator for Queue<'a> {
    type Item = (Result<Arc<Hashed<'a>>, RestoreError>, u64);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((file, run)) = self.open.take() {
            if run + 1 < file.runs {
                self.open = Some((Arc::clone(&file), run + 1));
            }
            return Some((Ok(file), run));
        }
        let pending = self.files.next()?;
        let opened = Hashed::open(self.root, pending).map(Arc::new);
        if let Ok(file) = &opened
            && file.runs > 1
        {
            self.open = Some((Arc::clone(file), 1));
        }
        Some((opened, 0))
    }
}

/// A file whose runs arrive in any order.
struct Hashed<'a> {
    root: &'a Root,
    path: Vec<u8>,
    file: File,
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

impl<'a> Hashed<'a> {
    fn open(root: &'a Root, pending: Pending) -> Result<Self, RestoreError> {
        let Pending { entry, size } = pending;
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
            path,
            file,
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
        Ok(state.next == self.runs)
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

    fn take(&self) -> Option<(TreeEntry, [u8; 32])> {
        let mut state = lock(&self.state);
        let digest = std::mem::replace(&mut state.digest, FileDigest::new(&self.root.key));
        state.entry.take().map(|entry| (entry, digest.finish()))
    }
}
