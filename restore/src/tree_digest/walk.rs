//! The entries of a directory in path order, as it lies there.
//!
//! Invariant: a directory comes before what is in it, and names in the order of their bytes: that is the order of the digest.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use muster_archive::HashKey;
use muster_archive::tree::{Content, NodeKind, TreeEntry};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::RestoreError;
use crate::target::names_in;

/// How anything in the tree is opened.
pub(super) const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK);

/// The open directory. Everything in it is reached relative to it, as it was when it was made: so a path that the restore could write
/// can be read, however long the directory's own is.
pub(super) struct Root {
    pub(super) key: HashKey,
    pub(super) fd: OwnedFd,
    shown: PathBuf,
}

impl Root {
    pub(super) fn open(directory: &Path, key: &HashKey) -> Result<Self, RestoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(directory, flags, Mode::empty())
            .map_err(|error| RestoreError::local(format!("list {}", directory.display()), error))?;
        Ok(Self {
            key: key.clone(),
            fd,
            shown: directory.to_owned(),
        })
    }

    pub(super) fn failed(&self, what: &str, path: &[u8], error: impl Into<io::Error>) -> RestoreError {
        let place = self.shown.join(OsStr::from_bytes(path));
        RestoreError::local(format!("{what} {}", place.display()), error)
    }

    fn names(&self, path: &[u8]) -> Result<std::vec::IntoIter<Vec<u8>>, RestoreError> {
        let listed = if path.is_empty() {
            names_in(&self.fd)
        } else {
            rustix::fs::openat(self.fd.as_fd(), path, READ | OFlags::DIRECTORY, Mode::empty())
                .and_then(|directory| names_in(&directory))
        };
        let mut names = listed.map_err(|error| self.failed("list", path, error))?;
        names.sort();
        Ok(names.into_iter())
    }
}

/// A walk that goes on when it is asked to.
pub(super) struct Walk<'a> {
    root: &'a Root,
    /// The directories on the way, each with the names that are left. No recursion: whoever fills a tree decides how deep it is.
    levels: Vec<(Vec<u8>, std::vec::IntoIter<Vec<u8>>)>,
    /// First name of each file with several.
    links: HashMap<(u64, u64), Vec<u8>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(root: &'a Root) -> Result<Self, RestoreError> {
        Ok(Self {
            root,
            levels: vec![(Vec::new(), root.names(&[])?)],
            links: HashMap::new(),
        })
    }

    /// The next entry; a file's digest is not in it yet.
    pub(super) fn next(&mut self) -> Result<Option<TreeEntry>, RestoreError> {
        while let Some((directory, names)) = self.levels.last_mut() {
            let Some(name) = names.next() else {
                self.levels.pop();
                continue;
            };
            let path = if directory.is_empty() {
                name
            } else {
                [directory.as_slice(), b"/", &name].concat()
            };
            if let Some(entry) = self.entry(path)? {
                if matches!(entry.kind, NodeKind::Directory) {
                    let names = self.root.names(&entry.path)?;
                    self.levels.push((entry.path.clone(), names));
                }
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// What lies at a path; `None` for what no snapshot holds.
    fn entry(&mut self, path: Vec<u8>) -> Result<Option<TreeEntry>, RestoreError> {
        let failed = |error: Errno| self.root.failed("look at", &path, error);
        let status = rustix::fs::statat(&self.root.fd, path.as_slice(), AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        let kind = match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile => match self.first_name(&path, &status) {
                Some(to) => NodeKind::HardLink { to },
                None => NodeKind::File {
                    sparse: false,
                    size: u64::try_from(status.st_size).unwrap_or(0),
                    digest: [0; 32],
                    content: Content::Inline(Vec::new()),
                },
            },
            FileType::Directory => NodeKind::Directory,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&self.root.fd, path.as_slice(), Vec::new()).map_err(failed)?;
                NodeKind::Symlink {
                    target: target.into_bytes(),
                }
            }
            FileType::Fifo => NodeKind::Fifo,
            device @ (FileType::BlockDevice | FileType::CharacterDevice) => NodeKind::Device {
                block: device == FileType::BlockDevice,
                major: rustix::fs::major(status.st_rdev),
                minor: rustix::fs::minor(status.st_rdev),
            },
            _ => return Ok(None),
        };
        Ok(Some(TreeEntry {
            kind,
            mode: status.st_mode & 0o7777,
            ..TreeEntry::directory(path)
        }))
    }

    /// The name under which this file came before.
    fn first_name(&mut self, path: &[u8], status: &Stat) -> Option<Vec<u8>> {
        if status.st_nlink < 2 {
            return None;
        }
        let first = self
            .links
            .entry((status.st_dev, status.st_ino))
            .or_insert_with(|| path.to_vec());
        (first != path).then(|| first.clone())
    }
}
