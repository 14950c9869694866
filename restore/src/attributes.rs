//! Owner, extended attributes, mode and times: applied when an entry's bytes are there, in this order.
//!
//! The order matters: a change of owner drops set-id bits and capabilities, and every write moves the times.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use muster_archive::tree::TreeEntry;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::loss::shown;

/// Most notes of a report.
const NOTES: usize = 50;

/// Who is to own what is restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owners {
    /// Those that the snapshot names, where this process may give files away (as root); else whoever restores.
    #[default]
    Recorded,
    /// Whoever restores.
    Mine,
    /// This user and group: the engine's, in a sandbox.
    Given {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
}

/// What an entry carries beside its content.
#[derive(Clone, Debug)]
pub(crate) struct Attributes {
    mode: u32,
    uid: u32,
    gid: u32,
    seconds: i64,
    nanos: u32,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Attributes {
    pub(crate) fn of(entry: &TreeEntry) -> Self {
        Self {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            seconds: entry.mtime_seconds,
            nanos: entry.mtime_nanos,
            xattrs: entry.xattrs.clone(),
        }
    }
}

/// Applies attributes as far as this process may, and notes what it may not.
pub(crate) struct Applier {
    owners: Owners,
    root: bool,
    me: (u32, u32),
    not_made: AtomicU64,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    named: Vec<String>,
    more: u64,
    owners: u64,
}

impl Applier {
    pub(crate) fn new(owners: Owners) -> Self {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        Self {
            owners,
            root: uid.is_root(),
            me: (uid.as_raw(), gid.as_raw()),
            not_made: AtomicU64::new(0),
            notes: Mutex::default(),
        }
    }

    /// Whether device nodes may be made.
    pub(crate) fn is_root(&self) -> bool {
        self.root
    }

    /// The owner alone, to an open directory.
    pub(crate) fn owner_only(&self, file: BorrowedFd<'_>, path: &[u8], attributes: &Attributes) {
        if let Some((uid, gid)) = self.owner(attributes) {
            self.noted(path, "owner", rustix::fs::fchown(file, Some(uid), Some(gid)));
        }
    }

    /// To an open file or directory.
    pub(crate) fn to_open(&self, file: BorrowedFd<'_>, path: &[u8], attributes: &Attributes) {
        if let Some((uid, gid)) = self.owner(attributes) {
            self.noted(path, "owner", rustix::fs::fchown(file, Some(uid), Some(gid)));
        }
        for (name, value) in &attributes.xattrs {
            let set = rustix::fs::fsetxattr(file, OsStr::from_bytes(name), value, XattrFlags::empty());
            self.xattr(path, name, set);
        }
        self.noted(
            path,
            "mode",
            rustix::fs::fchmod(file, Mode::from_raw_mode(attributes.mode)),
        );
        self.noted(path, "time", rustix::fs::futimens(file, &times(attributes)));
    }

    /// To a name that is never opened: a link, a pipe, a device. A link has no mode of its own.
    pub(crate) fn to_name(
        &self,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        path: &[u8],
        attributes: &Attributes,
        link: bool,
    ) {
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        if let Some((uid, gid)) = self.owner(attributes) {
            self.noted(
                path,
                "owner",
                rustix::fs::chownat(directory, name, Some(uid), Some(gid), nofollow),
            );
        }
        if !attributes.xattrs.is_empty() {
            // There is no lsetxattr relative to a descriptor; the directory's entry in /proc leads to it.
            let mut through = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
            through.extend_from_slice(name.as_bytes());
            for (key, value) in &attributes.xattrs {
                let set = rustix::fs::lsetxattr(&through, OsStr::from_bytes(key), value, XattrFlags::empty());
                self.xattr(path, key, set);
            }
        }
        if !link {
            self.noted(path, "mode", set_mode(directory, name, attributes.mode));
        }
        self.noted(
            path,
            "time",
            rustix::fs::utimensat(directory, name, &times(attributes), nofollow),
        );
    }

    /// An entry that this machine or this user does not make.
    pub(crate) fn not_made(&self, note: String) {
        self.not_made.fetch_add(1, Ordering::Relaxed);
        self.note(note);
    }

    /// How many there were.
    pub(crate) fn count_not_made(&self) -> u64 {
        self.not_made.load(Ordering::Relaxed)
    }

    pub(crate) fn note(&self, note: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.named.len() < NOTES {
            notes.named.push(note);
        } else {
            notes.more += 1;
        }
    }

    /// What could not be applied, in words.
    pub(crate) fn take_notes(&self) -> Vec<String> {
        let taken = std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner));
        let mut lines = taken.named;
        if taken.more > 0 {
            lines.push(format!("and {} more of this sort", taken.more));
        }
        if taken.owners > 0 {
            let me = self.me.0;
            lines.push(format!(
                "{} entries belong to user {me} and not to their recorded owners: only root gives files away",
                taken.owners
            ));
        }
        lines
    }

    fn owner(&self, attributes: &Attributes) -> Option<(Uid, Gid)> {
        let (uid, gid) = match self.owners {
            Owners::Mine => return None,
            Owners::Recorded => (attributes.uid, attributes.gid),
            Owners::Given { uid, gid } => (uid, gid),
        };
        if (uid, gid) == self.me || uid == u32::MAX || gid == u32::MAX {
            return None;
        }
        if !self.root {
            self.notes.lock().unwrap_or_else(PoisonError::into_inner).owners += 1;
            return None;
        }
        Some((Uid::from_raw(uid), Gid::from_raw(gid)))
    }

    fn xattr(&self, path: &[u8], name: &[u8], set: Result<(), Errno>) {
        self.noted(path, &format!("extended attribute {}", shown(name)), set);
    }

    fn noted(&self, path: &[u8], what: &str, set: Result<(), Errno>) {
        if let Err(error) = set {
            let error = std::io::Error::from(error);
            self.note(format!("{}: its {what} was not set: {error}", shown(path)));
        }
    }
}

/// The mode of a pipe or a device, and of nothing that took its place: `fchmodat` follows links.
fn set_mode(directory: BorrowedFd<'_>, name: &OsStr, mode: u32) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    match FileType::from_raw_mode(rustix::fs::fstat(&node)?.st_mode) {
        FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice => {}
        _ => return Err(Errno::LOOP),
    }
    let itself = format!("/proc/self/fd/{}", node.as_raw_fd());
    rustix::fs::chmod(itself, Mode::from_raw_mode(mode))
}

fn times(attributes: &Attributes) -> Timestamps {
    let modified = Timespec {
        tv_sec: attributes.seconds,
        tv_nsec: attributes.nanos.into(),
    };
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_OMIT,
        },
        last_modification: modified,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_name_that_was_exchanged_for_a_link_changes_nothing_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::write(&outside, "").unwrap();
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(dir.path().join("target")).unwrap();
        symlink(&outside, dir.path().join("target/pipe")).unwrap();
        let target = fs::File::open(dir.path().join("target")).unwrap();
        let attributes = Attributes::of(&TreeEntry {
            mode: 0o666,
            ..TreeEntry::directory("pipe")
        });
        let applier = Applier::new(Owners::Mine);
        applier.to_name(target.as_fd(), OsStr::new("pipe"), b"pipe", &attributes, false);
        assert_eq!(fs::metadata(&outside).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(applier.take_notes().len(), 1);
    }
}
