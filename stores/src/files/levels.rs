//! The directories between the root of a tree and the place that is being read.
//!
//! Invariant: every step is relative to an open directory and never follows a link, so nothing swapped in meanwhile leads out
//! of the tree. However deep the tree, only the first [`TOP`] and the last [`WINDOW`] levels are open; one in between is opened
//! again step by step from above when the walk returns to it, and must then still be the same directory.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;

use super::attributes::{FileId, Status};

/// Levels below the root that stay open.
const TOP: usize = 64;
/// Levels above the innermost that stay open.
const WINDOW: usize = 64;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK);

/// An open directory whose names are being gone through.
#[derive(Debug)]
struct Level {
    directory: Option<OwnedFd>,
    id: FileId,
    name: Vec<u8>,
    names: std::vec::IntoIter<Box<[u8]>>,
    path_length: usize,
}

/// The stack of them, and the path of the innermost.
#[derive(Debug)]
pub(super) struct Levels {
    stack: Vec<Level>,
    path: Vec<u8>,
}

/// What to look at next.
#[derive(Debug)]
pub(super) enum Step {
    /// A name in the innermost directory.
    Name(Box<[u8]>),
    /// The innermost directory could not be found again; what was left in it is passed over.
    Lost {
        /// Its path.
        path: Vec<u8>,
        /// How many names were left in it.
        left: usize,
    },
    /// The tree is done.
    End,
}

/// Opens a directory by name, without following a link.
pub(super) fn open_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(parent, OsStr::from_bytes(name), DIRECTORY, Mode::empty())
}

impl Levels {
    /// Begins at an open root.
    pub(super) fn new(root: OwnedFd, id: FileId, names: Vec<Box<[u8]>>) -> Self {
        let level = Level {
            directory: Some(root),
            id,
            name: Vec::new(),
            names: names.into_iter(),
            path_length: 0,
        };
        Self {
            stack: vec![level],
            path: Vec::new(),
        }
    }

    /// The next name, in byte order, depth first.
    pub(super) fn step(&mut self) -> Step {
        loop {
            let Some(level) = self.stack.last_mut() else {
                return Step::End;
            };
            if level.names.len() == 0 {
                self.pop();
                continue;
            }
            if level.directory.is_none() && self.reopen().is_err() {
                let lost = self.stack.last().map_or(0, |level| level.names.len());
                let path = self.path.clone();
                self.pop();
                return Step::Lost { path, left: lost };
            }
            if let Some(name) = self.stack.last_mut().and_then(|level| level.names.next()) {
                return Step::Name(name);
            }
        }
    }

    /// The innermost directory.
    pub(super) fn directory(&self) -> Option<BorrowedFd<'_>> {
        self.stack
            .last()
            .and_then(|level| level.directory.as_ref())
            .map(OwnedFd::as_fd)
    }

    /// The relative path of `name` in the innermost directory.
    pub(super) fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let mut path = Vec::with_capacity(self.path.len() + 1 + name.len());
        path.extend_from_slice(&self.path);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        path
    }

    /// Goes into a directory that [`open_directory`] opened in the innermost one.
    pub(super) fn enter(&mut self, name: &[u8], directory: OwnedFd, id: FileId, names: Vec<Box<[u8]>>) {
        let leaving = self.stack.len().saturating_sub(WINDOW);
        if leaving >= TOP
            && let Some(level) = self.stack.get_mut(leaving)
        {
            level.directory = None;
        }
        self.path = self.path_of(name);
        self.stack.push(Level {
            directory: Some(directory),
            id,
            name: name.to_vec(),
            names: names.into_iter(),
            path_length: self.path.len(),
        });
    }

    fn pop(&mut self) {
        self.stack.pop();
        self.path
            .truncate(self.stack.last().map_or(0, |level| level.path_length));
    }

    /// Opens the innermost level again, and with it those that the walk returns to next.
    fn reopen(&mut self) -> Result<(), Errno> {
        let from = self
            .stack
            .iter()
            .rposition(|level| level.directory.is_some())
            .ok_or(Errno::NOENT)?;
        let end = self.stack.len();
        for at in from + 1..end {
            let (above, below) = self.stack.split_at_mut(at);
            let (Some(parent), Some(level)) = (above.last_mut(), below.first_mut()) else {
                return Err(Errno::NOENT);
            };
            let opened = match &parent.directory {
                Some(directory) => open_directory(directory.as_fd(), &level.name)?,
                None => return Err(Errno::NOENT),
            };
            let same = Status::of_file(&opened)?.id() == level.id;
            if at > from + 1 && (TOP..=end.saturating_sub(WINDOW)).contains(&(at - 1)) {
                parent.directory = None;
            }
            if !same {
                return Err(Errno::STALE);
            }
            level.directory = Some(opened);
        }
        Ok(())
    }
}

/// The names in an open directory, sorted by their bytes. On an error also those that came before it.
pub(super) fn names_in(directory: BorrowedFd<'_>) -> (Vec<Box<[u8]>>, Option<Errno>) {
    let mut names = Vec::new();
    let mut stopped = None;
    match Dir::read_from(directory) {
        Ok(entries) => {
            for entry in entries {
                match entry {
                    Ok(entry) => {
                        let name = entry.file_name().to_bytes();
                        if name != b"." && name != b".." {
                            names.push(Box::from(name));
                        }
                    }
                    Err(error) => stopped = Some(error),
                }
            }
        }
        Err(error) => stopped = Some(error),
    }
    names.sort_unstable();
    (names, stopped)
}
