//! What the kernel says of a name: one `statx` and the extended attributes that a restore can set again.
//!
//! Kept are `user.*`, `security.capability` and POSIX ACLs. Left out are `trusted.*` and labels such as `security.selinux`, which
//! belong to the machine and not to the data.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags};
use rustix::io::Errno;

use crate::{Entry, EntryKind, FileTimes, Xattr};

/// The kernel's own bound on one value, and on the list of names.
const XATTR_MAX: usize = 64 * 1024;

/// What identifies a file on this machine: device, inode, and birth where it is known, since inodes are used again.
pub(super) type FileId = (u32, u32, u64, i64, u32);

const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

/// One answer of `statx`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Status(Statx);

impl Status {
    /// Of a name in an open directory, never following it.
    pub(super) fn of_name(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Self, Errno> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        rustix::fs::statx(directory, OsStr::from_bytes(name), flags, WANTED).map(Self)
    }

    /// Of an open file.
    pub(super) fn of_file<F: AsFd>(file: F) -> Result<Self, Errno> {
        rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, WANTED).map(Self)
    }

    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(u32::from(self.0.stx_mode))
    }

    pub(super) fn id(&self) -> FileId {
        let born = self.0.stx_btime;
        (
            self.0.stx_dev_major,
            self.0.stx_dev_minor,
            self.0.stx_ino,
            born.tv_sec,
            born.tv_nsec,
        )
    }

    pub(super) fn size(&self) -> u64 {
        self.0.stx_size
    }

    pub(super) fn links(&self) -> u32 {
        self.0.stx_nlink
    }

    /// Fewer blocks than bytes: there may be holes (or compression, or data kept in the inode).
    pub(super) fn fewer_blocks_than_bytes(&self) -> bool {
        self.0.stx_blocks.saturating_mul(512) < self.0.stx_size
    }

    /// Major and minor number of a device node.
    pub(super) fn device(&self) -> (u32, u32) {
        (self.0.stx_rdev_major, self.0.stx_rdev_minor)
    }

    /// What tells whether the file was changed since an earlier look.
    pub(super) fn times(&self) -> FileTimes {
        let at = |stamp: rustix::fs::StatxTimestamp| (stamp.tv_sec, stamp.tv_nsec);
        FileTimes {
            size: self.size(),
            mtime: at(self.0.stx_mtime),
            ctime: at(self.0.stx_ctime),
        }
    }

    /// Why this file is not what it was at `earlier`, if it is not.
    pub(super) fn changed_since(&self, earlier: &Self) -> Option<String> {
        let (was, now) = (earlier.size(), self.size());
        let stamps = |status: &Self| {
            let (m, c) = (status.0.stx_mtime, status.0.stx_ctime);
            (m.tv_sec, m.tv_nsec, c.tv_sec, c.tv_nsec)
        };
        if now > was {
            Some(format!(
                "grew from {was} to {now} bytes while it was read; the first {was} are kept"
            ))
        } else if now < was {
            Some(format!("shrank from {was} to {now} bytes while it was read"))
        } else if stamps(self) != stamps(earlier) {
            Some("changed while it was read".to_owned())
        } else {
            None
        }
    }

    /// The entry that these facts describe.
    pub(super) fn entry(&self, path: &[u8], kind: EntryKind, xattrs: Vec<Xattr>) -> Entry {
        Entry {
            path: path.to_vec(),
            kind,
            mode: u32::from(self.0.stx_mode) & 0o7777,
            uid: self.0.stx_uid,
            gid: self.0.stx_gid,
            mtime_seconds: self.0.stx_mtime.tv_sec,
            mtime_nanos: self.0.stx_mtime.tv_nsec.min(999_999_999),
            xattrs,
        }
    }
}

/// Reads extended attributes; holds the one buffer that this needs.
#[derive(Debug)]
pub(super) struct XattrReader {
    names: Vec<u8>,
    value: Vec<u8>,
}

impl XattrReader {
    pub(super) fn new() -> Self {
        Self {
            names: vec![0; XATTR_MAX],
            value: vec![0; XATTR_MAX],
        }
    }

    /// Of an open file or directory.
    pub(super) fn of_file(&mut self, file: BorrowedFd<'_>) -> Result<Vec<Xattr>, Errno> {
        let Self { names, value } = self;
        collect(rustix::fs::flistxattr(file, names.as_mut_slice()), names, |name| {
            let length = rustix::fs::fgetxattr(file, OsStr::from_bytes(name), value.as_mut_slice())?;
            Ok(value.get(..length).unwrap_or_default().to_vec())
        })
    }

    /// Of a name that must not be opened (a pipe, a device node), or of a link itself.
    pub(super) fn of_name(&mut self, directory: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<Xattr>, Errno> {
        use std::os::fd::AsRawFd as _;
        let Self { names, value } = self;
        // There is no lgetxattr relative to a descriptor; the directory's entry in /proc leads to it whatever its path is by now.
        let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
        path.extend_from_slice(name);
        let path = OsStr::from_bytes(&path);
        collect(rustix::fs::llistxattr(path, names.as_mut_slice()), names, |name| {
            let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), value.as_mut_slice())?;
            Ok(value.get(..length).unwrap_or_default().to_vec())
        })
    }
}

fn collect(
    listed: Result<usize, Errno>,
    names: &[u8],
    mut get: impl FnMut(&[u8]) -> Result<Vec<u8>, Errno>,
) -> Result<Vec<Xattr>, Errno> {
    let length = match listed {
        Ok(length) => length,
        Err(Errno::NOTSUP | Errno::NOSYS) => 0,
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for name in names
        .get(..length)
        .unwrap_or_default()
        .split(|byte| *byte == 0)
        .filter(|name| kept(name))
    {
        match get(name) {
            Ok(value) => found.push(Xattr {
                name: name.to_vec(),
                value,
            }),
            // Removed since it was listed.
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error),
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn kept(name: &[u8]) -> bool {
    name.starts_with(b"user.")
        || matches!(
            name,
            b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default"
        )
}
