//! The walk: a live tree, in the byte order of its names, into a [`Sink`].
//!
//! Invariant: pipes and devices are never opened, links never followed, and what cannot be read, moves or changes is named while
//! the run goes on. Memory holds the names of the directories on the way down and one entry per hard link still to come.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::attributes::{FileId, Status, XattrReader};
use super::content::{ContentReader, Ending, has_hole};
use super::levels::{Levels, Step, names_in, open_directory};
use super::patterns::Patterns;
use crate::{ConsistencyPoint, EntryKind, Sink, SinkError, Source, StoreError, Taken, Xattr};

/// A directory tree as a store. Other file systems mounted in it are read as well.
#[derive(Debug)]
pub struct FilesSource {
    path: PathBuf,
    exclude: Patterns,
    started: String,
}

impl FilesSource {
    /// The tree at `path` without what the globs in `exclude` take: a glob without `/` takes a name at any depth, one with `/`
    /// a relative path, one that ends in `/` directories only. An excluded directory is not entered. `started` is the present
    /// instant (RFC 3339 UTC): nothing in the snapshot is older than the tree was then.
    pub fn new<P: AsRef<str>>(path: impl Into<PathBuf>, exclude: &[P], started: String) -> Result<Self, StoreError> {
        Ok(Self {
            path: path.into(),
            exclude: Patterns::new(exclude, "exclude")?,
            started,
        })
    }
}

impl Source for FilesSource {
    fn is_in_path_order(&self) -> bool {
        true
    }

    fn moves_files(&self) -> bool {
        true
    }

    fn snapshot(&mut self, sink: &mut dyn Sink) -> Result<Taken, StoreError> {
        let root = open_root(&self.path)?;
        let opened = Status::of_file(&root).map_err(|error| unreachable_root(&self.path, error))?;
        let (names, stopped) = names_in(rustix::fd::AsFd::as_fd(&root));
        if let Some(error) = stopped {
            return Err(unreachable_root(&self.path, error));
        }
        let mut walk = Walk {
            levels: Levels::new(root, opened.id(), names),
            exclude: &self.exclude,
            links: HashMap::new(),
            xattrs: XattrReader::new(),
            content: ContentReader::new(),
            sink,
            seen: Seen::default(),
        };
        walk.run()?;
        let seen = walk.seen;
        Ok(Taken {
            consistency_point: ConsistencyPoint {
                time: self.started.clone(),
                position: BTreeMap::from([
                    ("atomic".to_owned(), false.into()),
                    ("entries".to_owned(), seen.entries.into()),
                    ("files".to_owned(), seen.files.into()),
                    ("bytes".to_owned(), seen.bytes.into()),
                ]),
            },
            identity: BTreeMap::from([("path".to_owned(), self.path.to_string_lossy().into_owned().into())]),
        })
    }
}

fn open_root(path: &Path) -> Result<rustix::fd::OwnedFd, StoreError> {
    // The root alone may be a link: its owner wrote it into the configuration.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|error| unreachable_root(path, error))
}

fn unreachable_root(path: &Path, error: Errno) -> StoreError {
    let attempt = format!("open the directory {}", path.display());
    let refused = |reason: &str, hint: &str| StoreError::Refused {
        attempt: attempt.clone(),
        reason: reason.to_owned(),
        hint: Some(hint.to_owned()),
    };
    match error {
        Errno::NOENT => refused(
            "it does not exist",
            "correct `path` of the store, or mount what belongs there",
        ),
        Errno::NOTDIR => refused("it is not a directory", "`path` of a files store names a directory"),
        Errno::ACCESS | Errno::PERM => refused("permission denied", "run muster as a user who may read it"),
        error => StoreError::Unreachable {
            attempt,
            source: Box::new(std::io::Error::from(error)),
        },
    }
}

#[derive(Debug, Default)]
struct Seen {
    entries: u64,
    files: u64,
    bytes: u64,
}

struct Walk<'a> {
    levels: Levels,
    exclude: &'a Patterns,
    /// Files with names still to come: the path of the first one, and how many are left.
    links: HashMap<FileId, (Vec<u8>, u32)>,
    xattrs: XattrReader,
    content: ContentReader,
    sink: &'a mut dyn Sink,
    seen: Seen,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), SinkError> {
        loop {
            match self.levels.step() {
                Step::End => return Ok(()),
                Step::Lost { path, left } => {
                    let reason = format!("was moved while it was read; {left} names in it were passed over");
                    self.sink.unreadable(&path, reason);
                }
                Step::Name(name) => {
                    let path = self.levels.path_of(&name);
                    self.name(&path, &name)?;
                }
            }
        }
    }

    fn name(&mut self, path: &[u8], name: &[u8]) -> Result<(), SinkError> {
        let Some(directory) = self.levels.directory() else {
            return Ok(());
        };
        let status = match Status::of_name(directory, name) {
            Ok(status) => status,
            Err(error) => {
                // Without its type a directory pattern cannot be compared; what any other pattern takes is not missed.
                if !self.exclude.matches(path, name, false) {
                    self.sink.unreadable(path, lost(error));
                }
                return Ok(());
            }
        };
        let kind = status.file_type();
        if self.exclude.matches(path, name, kind == FileType::Directory) {
            return Ok(());
        }
        match kind {
            FileType::RegularFile => self.file(path, name, &status),
            FileType::Directory => self.directory(path, name, &status),
            FileType::Symlink => match rustix::fs::readlinkat(directory, OsStr::from_bytes(name), Vec::new()) {
                Ok(target) => self.special(
                    path,
                    name,
                    &status,
                    EntryKind::Symlink {
                        target: target.into_bytes(),
                    },
                ),
                Err(error) => {
                    self.sink.unreadable(path, lost(error));
                    Ok(())
                }
            },
            FileType::Fifo => self.special(path, name, &status, EntryKind::Fifo),
            FileType::CharacterDevice | FileType::BlockDevice => {
                let (major, minor) = status.device();
                let block = kind == FileType::BlockDevice;
                self.special(path, name, &status, EntryKind::Device { block, major, minor })
            }
            FileType::Socket => {
                self.sink
                    .note(&format!("{}: a socket, passed over", String::from_utf8_lossy(path)));
                Ok(())
            }
            _ => {
                self.sink.unreadable(path, "is of a kind that is not known".to_owned());
                Ok(())
            }
        }
    }

    fn special(&mut self, path: &[u8], name: &[u8], status: &Status, kind: EntryKind) -> Result<(), SinkError> {
        let Some(directory) = self.levels.directory() else {
            return Ok(());
        };
        let xattrs = self.xattrs.of_name(directory, name);
        let xattrs = self.or_told(path, xattrs);
        self.seen.entries += 1;
        self.sink.entry(status.entry(path, kind, xattrs))
    }

    fn directory(&mut self, path: &[u8], name: &[u8], seen: &Status) -> Result<(), SinkError> {
        let Some(parent) = self.levels.directory() else {
            return Ok(());
        };
        let opened = open_directory(parent, name).and_then(|fd| Status::of_file(&fd).map(|status| (fd, status)));
        let (directory, status) = match opened {
            Ok(opened) => opened,
            Err(error @ (Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => {
                self.sink.unreadable(path, lost(error));
                return Ok(());
            }
            Err(error) => {
                self.seen.entries += 1;
                self.sink.entry(seen.entry(path, EntryKind::Directory, Vec::new()))?;
                self.sink.unreadable(path, lost(error));
                return Ok(());
            }
        };
        let xattrs = self.xattrs.of_file(rustix::fd::AsFd::as_fd(&directory));
        let xattrs = self.or_told(path, xattrs);
        let (names, stopped) = names_in(rustix::fd::AsFd::as_fd(&directory));
        self.seen.entries += 1;
        self.sink.entry(status.entry(path, EntryKind::Directory, xattrs))?;
        if let Some(error) = stopped {
            self.sink
                .unreadable(path, format!("not all of its names could be listed: {}", lost(error)));
        }
        self.levels.enter(name, directory, status.id(), names);
        Ok(())
    }

    fn file(&mut self, path: &[u8], name: &[u8], seen: &Status) -> Result<(), SinkError> {
        let known = seen.links() > 1 && self.further_name(path, seen)?;
        if known {
            return Ok(());
        }
        let Some(directory) = self.levels.directory() else {
            return Ok(());
        };
        if self.sink.is_unchanged(path, &seen.times()) {
            let xattrs = self.xattrs.of_name(directory, name);
            let xattrs = self.or_told(path, xattrs);
            self.seen.entries += 1;
            self.seen.files += 1;
            self.seen.bytes += seen.size();
            self.sink
                .reuse_file(seen.entry(path, EntryKind::File { sparse: false }, xattrs))?;
            self.expect_further_names(path, seen);
            return Ok(());
        }
        let opened = open_file(directory, name).and_then(|file| Status::of_file(&file).map(|status| (file, status)));
        let (file, status) = match opened {
            Ok((_, status)) if status.file_type() != FileType::RegularFile => {
                self.sink
                    .unreadable(path, "was replaced by something else while it was read".to_owned());
                return Ok(());
            }
            Ok(opened) => opened,
            Err(error) => {
                self.sink.unreadable(path, lost(error));
                return Ok(());
            }
        };
        let xattrs = self.xattrs.of_file(rustix::fd::AsFd::as_fd(&file));
        let xattrs = self.or_told(path, xattrs);
        let size = status.size();
        let sparse = status.fewer_blocks_than_bytes() && has_hole(&file, size);
        self.seen.entries += 1;
        self.seen.files += 1;
        self.sink
            .begin_file(status.entry(path, EntryKind::File { sparse }, xattrs))?;
        let ending = self.content.copy(&file, size, sparse, self.sink)?;
        let now = Status::of_file(&file).unwrap_or(status);
        let reason = match ending {
            Ending::Failed(at, error) => Some(format!("could not be read beyond byte {at}: {error}")),
            Ending::Short if now.size() >= size => Some("ended early while it was read".to_owned()),
            Ending::Short | Ending::Whole => now.changed_since(&status),
        };
        match reason {
            Some(reason) => self.sink.unreadable(path, reason),
            None => self.seen.bytes += size,
        }
        self.sink.end_file()?;
        self.expect_further_names(path, &status);
        Ok(())
    }

    fn expect_further_names(&mut self, path: &[u8], status: &Status) {
        if status.links() > 1 {
            self.links.insert(status.id(), (path.to_vec(), status.links() - 1));
        }
    }

    /// Whether this is a further name of a file that was given before; then it has been told.
    fn further_name(&mut self, path: &[u8], status: &Status) -> Result<bool, SinkError> {
        let Some((first, left)) = self.links.get_mut(&status.id()) else {
            return Ok(false);
        };
        *left = left.saturating_sub(1);
        let (to, done) = (first.clone(), *left == 0);
        if done {
            self.links.remove(&status.id());
        }
        self.seen.entries += 1;
        self.sink
            .entry(status.entry(path, EntryKind::HardLink { to }, Vec::new()))?;
        Ok(true)
    }

    fn or_told(&mut self, path: &[u8], xattrs: Result<Vec<Xattr>, Errno>) -> Vec<Xattr> {
        xattrs.unwrap_or_else(|error| {
            let error = std::io::Error::from(error);
            self.sink
                .unreadable(path, format!("its extended attributes could not be read: {error}"));
            Vec::new()
        })
    }
}

fn open_file(directory: BorrowedFd<'_>, name: &[u8]) -> Result<File, Errno> {
    // Without waiting: what was a file when it was looked at may be a pipe by now.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let name = OsStr::from_bytes(name);
    rustix::fs::openat(directory, name, flags | OFlags::NOATIME, Mode::empty())
        .or_else(|error| match error {
            // Only its owner may read a file without touching its access time.
            Errno::PERM => rustix::fs::openat(directory, name, flags, Mode::empty()),
            error => Err(error),
        })
        .map(File::from)
}

fn lost(error: Errno) -> String {
    match error {
        Errno::NOENT => "vanished before it could be read".to_owned(),
        Errno::LOOP | Errno::NOTDIR | Errno::NXIO => {
            "was replaced by something else before it could be read".to_owned()
        }
        Errno::ACCESS | Errno::PERM => "permission denied".to_owned(),
        error => std::io::Error::from(error).to_string(),
    }
}
