//! An unfinished write: a locked file beneath `.tmp/` that goes away with its owner.
//!
//! The lock tells the living from the dead without a clock: whoever can take it may remove the file. The first write of each process
//! does so, and the space of runs that were killed comes back.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{Cause, FOLDER, OBJECT_MODE, Place, SCRATCH, make_folder};
use crate::RateLimit;

/// Most that is written at once where writes are paced.
const PIECE: usize = 4 << 20;

/// A file without its final name; removed when dropped.
pub(super) struct Scratch {
    folder: OwnedFd,
    name: String,
    file: File,
}

impl Scratch {
    pub(super) fn create(place: &Place) -> Result<Self, Cause> {
        let root = place.root()?;
        let folder = match rustix::fs::openat(&root, SCRATCH, FOLDER, Mode::empty()) {
            Err(Errno::NOENT) => make_folder(&root, SCRATCH)?,
            found => found?,
        };
        if !place.swept.swap(true, Ordering::Relaxed) {
            sweep(&folder);
        }
        let process = std::process::id();
        loop {
            let name = format!("{process}-{}", place.next.fetch_add(1, Ordering::Relaxed));
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = match rustix::fs::openat(&folder, name.as_str(), flags, OBJECT_MODE) {
                Err(Errno::EXIST) => continue, // another host's, or a dead run's with our number
                opened => File::from(opened?),
            };
            let scratch = Self {
                folder: folder.try_clone()?,
                name,
                file,
            };
            if scratch.is_ours()? {
                return Ok(scratch);
            }
        }
    }

    /// Locks it; false when a sweep was quicker.
    fn is_ours(&self) -> Result<bool, Cause> {
        match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(rustix::fs::fstat(&self.file)?.st_nlink > 0),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(_) => Ok(true), // no locks on this file system: nothing is swept there either
        }
    }

    /// Where `pace` says how fast, in pieces, each of which is paid for and on the disk before the next: what waits in the kernel would
    /// come to the disk at once.
    pub(super) fn write(&mut self, body: &[u8], pace: Option<&RateLimit>) -> Result<(), Cause> {
        match pace {
            None => self.file.write_all(body)?,
            Some(pace) => {
                for piece in body.chunks(pace.piece(PIECE)) {
                    pace.pass_blocking(piece.len() as u64, &AtomicBool::new(false));
                    self.file.write_all(piece)?;
                    self.file.sync_data()?;
                }
            }
        }
        Ok(self.file.sync_all()?)
    }

    /// Gives it its name; fails where the name is taken.
    pub(super) fn link(&self, folder: &OwnedFd, name: &str) -> Result<(), Cause> {
        match rustix::fs::linkat(&self.folder, self.name.as_str(), folder, name, AtFlags::empty()) {
            // No hard links on this file system: the other atomic way.
            Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK) => {
                let flags = RenameFlags::NOREPLACE;
                Ok(rustix::fs::renameat_with(
                    &self.folder,
                    self.name.as_str(),
                    folder,
                    name,
                    flags,
                )?)
            }
            linked => Ok(linked?),
        }
    }

    /// Gives it its name, whatever had it before.
    pub(super) fn rename(&self, folder: &OwnedFd, name: &str) -> Result<(), Cause> {
        Ok(rustix::fs::renameat(&self.folder, self.name.as_str(), folder, name)?)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Gone already after a rename. Where it cannot be removed now, the next run's sweep does it.
        let _ = rustix::fs::unlinkat(&self.folder, self.name.as_str(), AtFlags::empty());
    }
}

/// Removes what no living process holds, as far as it can.
fn sweep(folder: &OwnedFd) {
    let Ok(entries) = Dir::read_from(folder) else { return };
    for entry in entries.flatten() {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(folder, entry.file_name(), flags, Mode::empty()) else {
            continue;
        };
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = rustix::fs::unlinkat(folder, entry.file_name(), AtFlags::empty());
        }
    }
}
