//! The directory that a restore fills.
//!
//! Invariants: nothing is created, opened or changed outside it, whatever the tree says; no link in it is ever followed; what
//! is created was not there before. Until the restore is finished the directory is private and carries a mark.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::RestoreError;
use crate::journal::Journal;

/// Begins the name of the file that marks a target as unfinished.
pub const UNFINISHED: &str = ".muster-restore-unfinished";

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// An open target.
pub(crate) struct Target {
    root: OwnedFd,
    path: PathBuf,
    mode: u32,
    marker: String,
    beneath: bool,
    /// An unfinished restore goes on: what is there already may be taken over.
    resumed: bool,
}

impl Target {
    /// Refuses what is not empty; else makes the directory, takes it private and marks it with the journal. With `resume` the target
    /// of the same restore, unfinished, is taken as it is.
    pub(crate) fn prepare(path: &Path, marker: &str, journal: &Journal, resume: bool) -> Result<Self, RestoreError> {
        let attempt = |what: &str| format!("{what} {}", path.display());
        if !path.exists() {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)
                    .map_err(|error| RestoreError::local(attempt("make the directory above"), error))?;
            }
            fs::create_dir(path).map_err(|error| RestoreError::local(attempt("make the directory"), error))?;
        }
        // The target alone may be a link: whoever restores wrote it.
        let root = rustix::fs::open(
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|error| RestoreError::local(attempt("open the directory"), error))?;
        let names = names_in(&root).map_err(|error| RestoreError::local(attempt("list"), error))?;
        let status = rustix::fs::fstat(&root).map_err(|error| RestoreError::local(attempt("look at"), error))?;
        let mut resumed = false;
        // Killed between making the mark and writing it: nothing else was done, so the restore begins anew.
        let unwritten = names.len() == 1 && is_unwritten(&root, &names[0]);
        if unwritten {
            rustix::fs::unlinkat(&root, names[0].as_slice(), AtFlags::empty())
                .map_err(|error| RestoreError::local(attempt("take the empty mark away in"), error))?;
        } else if resume && names.iter().any(|name| name == marker.as_bytes()) {
            let mine = status.st_uid == rustix::process::geteuid().as_raw();
            let found = Journal::read(&root, marker.as_bytes()).filter(|_| mine);
            if found.as_ref() != Some(journal) {
                return Err(RestoreError::AnotherRestore {
                    target: path.to_owned(),
                    found: found.map(Box::new),
                });
            }
            resumed = true;
        } else if !names.is_empty() {
            let unfinished = names.iter().any(|name| name.starts_with(UNFINISHED.as_bytes()));
            return Err(RestoreError::NotEmpty {
                target: path.to_owned(),
                unfinished,
            });
        }
        let mode = status.st_mode & 0o7777;
        rustix::fs::fchmod(&root, Mode::RWXU).map_err(|error| RestoreError::local(attempt("take private"), error))?;
        let beneath = rustix::fs::openat2(&root, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve()).is_ok();
        let target = Self {
            root,
            path: path.to_owned(),
            mode,
            marker: marker.to_owned(),
            beneath,
            resumed,
        };
        if resumed {
            return Ok(target);
        }
        target
            .create(marker.as_bytes())
            .map_err(std::io::Error::from)
            .and_then(|mut file| {
                file.write_all(journal.text().as_bytes())?;
                // Whoever goes on after a power cut finds it whole, or finds nothing.
                file.sync_all()
            })
            .map_err(|error| RestoreError::local(attempt("mark as unfinished"), error))?;
        Ok(target)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether an unfinished restore goes on in it.
    pub(crate) fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// The journal, to be added to.
    pub(crate) fn journal(&self) -> Option<File> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        self.open(self.marker.as_bytes(), flags, Mode::empty())
            .ok()
            .map(File::from)
    }

    /// Lets its owner use what an earlier run of this restore gave its final mode already.
    pub(crate) fn unlock(&self, path: &[u8]) -> Result<(), Errno> {
        let node = self.open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let mode = match FileType::from_raw_mode(rustix::fs::fstat(&node)?.st_mode) {
            FileType::Directory => Mode::RWXU,
            FileType::RegularFile => Mode::RUSR | Mode::WUSR,
            _ => return Err(Errno::LOOP),
        };
        rustix::fs::chmod(format!("/proc/self/fd/{}", node.as_raw_fd()), mode)
    }

    /// What lies at a path, which is not followed.
    pub(crate) fn look_at(&self, path: &[u8]) -> Result<rustix::fs::Stat, Errno> {
        let (parent, name) = self.parent_of(path)?;
        rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Bytes that the file system still takes.
    pub(crate) fn free(&self) -> Result<u64, RestoreError> {
        free_of(&self.root)
            .map_err(|error| RestoreError::local(format!("ask how full {} is", self.path.display()), error))
    }

    /// Creates a file that was not there.
    pub(crate) fn create(&self, path: &[u8]) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        self.open(path, flags, Mode::RUSR | Mode::WUSR).map(File::from)
    }

    /// Opens a file that this restore created.
    pub(crate) fn reopen(&self, path: &[u8]) -> Result<File, Errno> {
        self.open(
            path,
            OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK,
            Mode::empty(),
        )
        .map(File::from)
    }

    pub(crate) fn open_directory(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        if path.is_empty() {
            return self
                .root
                .try_clone()
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO));
        }
        self.open(path, OFlags::RDONLY | DIRECTORY, Mode::empty())
    }

    /// The open directory that holds `path`, and its name there.
    pub(crate) fn parent_of<'p>(&self, path: &'p [u8]) -> Result<(OwnedFd, &'p OsStr), Errno> {
        let (parent, name) = split(path);
        Ok((self.open_directory(parent)?, OsStr::from_bytes(name)))
    }

    /// Makes a directory, private until it is finished.
    pub(crate) fn make_directory(&self, path: &[u8]) -> Result<(), Errno> {
        let (parent, name) = self.parent_of(path)?;
        rustix::fs::mkdirat(parent, name, Mode::RWXU)
    }

    /// Makes the directories above `path` that a lost part of the listing would have made.
    pub(crate) fn make_parents(&self, path: &[u8]) -> Result<(), Errno> {
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            match self.make_directory(&path[..at]) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) fn remove_file(&self, path: &[u8]) -> Result<(), Errno> {
        let (parent, name) = self.parent_of(path)?;
        rustix::fs::unlinkat(parent, name, AtFlags::empty())
    }

    pub(crate) fn rename(&self, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        let (old, old_name) = self.parent_of(from)?;
        let (new, new_name) = self.parent_of(to)?;
        rustix::fs::renameat_with(old, old_name, new, new_name, rustix::fs::RenameFlags::NOREPLACE)
    }

    /// Everything written is on the disk when this returns.
    pub(crate) fn sync(&self) -> Result<(), RestoreError> {
        rustix::fs::syncfs(&self.root)
            .map_err(|error| RestoreError::local(format!("write {} to its disk", self.path.display()), error))
    }

    /// Takes the mark away and gives the directory its mode: from here on it is a restored store.
    pub(crate) fn finish(&self, private: bool) -> Result<(), RestoreError> {
        let mode = if private { self.mode & 0o700 | 0o700 } else { self.mode };
        let attempt = || format!("finish {}", self.path.display());
        let failed = |error: Errno| RestoreError::local(attempt(), error);
        rustix::fs::unlinkat(&self.root, &*self.marker, AtFlags::empty()).map_err(failed)?;
        rustix::fs::fchmod(&self.root, Mode::from_raw_mode(mode)).map_err(failed)?;
        rustix::fs::fsync(&self.root).map_err(failed)
    }

    fn open(&self, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        if self.beneath {
            return rustix::fs::openat2(&self.root, path, flags, mode, resolve());
        }
        // An older kernel, or a container that forbids openat2: one component after the other, none of them a link.
        let (parents, name) = split(path);
        let mut directory = self.open_directory(b"")?;
        for component in parents
            .split(|byte| *byte == b'/')
            .filter(|component| !component.is_empty())
        {
            directory = rustix::fs::openat(&directory, component, OFlags::PATH | DIRECTORY, Mode::empty())?;
        }
        rustix::fs::openat(&directory, name, flags | OFlags::NOFOLLOW, mode)
    }
}

/// Whether this is the mark of a restore of this user that was ended before it wrote anything.
fn is_unwritten(root: &OwnedFd, name: &[u8]) -> bool {
    name.starts_with(UNFINISHED.as_bytes())
        && rustix::fs::statat(root, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|status| {
            FileType::from_raw_mode(status.st_mode) == FileType::RegularFile
                && status.st_size == 0
                && status.st_uid == rustix::process::geteuid().as_raw()
        })
}

/// Bytes that the file system of `directory` still takes.
pub(crate) fn free_of<F: rustix::fd::AsFd>(directory: F) -> Result<u64, Errno> {
    let status = rustix::fs::fstatvfs(directory)?;
    Ok(status.f_bavail.saturating_mul(status.f_frsize))
}

fn resolve() -> ResolveFlags {
    ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// The names in an open directory.
pub(crate) fn names_in(directory: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn journal(snapshot: &str) -> Journal {
        Journal::new("id", "store", snapshot, String::new(), &[])
    }

    fn prepared(dir: &Path) -> Target {
        Target::prepare(dir, UNFINISHED, &journal("a"), false).unwrap()
    }

    #[test]
    fn what_is_not_empty_is_refused_and_an_unfinished_restore_is_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("deep/er");
        drop(prepared(&at));
        assert!(matches!(
            Target::prepare(&at, UNFINISHED, &journal("a"), false),
            Err(RestoreError::NotEmpty { unfinished: true, .. })
        ));
        fs::remove_file(at.join(UNFINISHED)).unwrap();
        fs::write(at.join("precious"), "x").unwrap();
        assert!(matches!(
            Target::prepare(&at, UNFINISHED, &journal("a"), false),
            Err(RestoreError::NotEmpty { unfinished: false, .. })
        ));
        assert_eq!(fs::read(at.join("precious")).unwrap(), b"x");
    }

    #[test]
    fn no_path_and_no_link_leads_out_of_it() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("target");
        for beneath in [true, false] {
            let mut target = prepared(&at);
            target.beneath = beneath;
            symlink(outside.path(), at.join("link")).unwrap();
            assert!(target.create(b"link/x").is_err());
            assert!(target.create(b"link").is_err());
            assert!(target.make_directory(b"link/d").is_err());
            assert!(target.open_directory(b"link").is_err());
            assert!(target.reopen(b"link").is_err());
            assert!(!beneath || target.create(b"../x").is_err());
            assert!(!beneath || target.create(b"/tmp/muster-restore-escape").is_err());
            assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
            fs::remove_dir_all(&at).unwrap();
        }
    }

    #[test]
    fn it_is_private_until_it_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mode = || fs::metadata(dir.path()).unwrap().permissions().mode() & 0o7777;
        let target = prepared(dir.path());
        assert_eq!(mode(), 0o700);
        assert!(dir.path().join(UNFINISHED).exists());
        target.finish(false).unwrap();
        assert_eq!(mode(), 0o755);
        assert!(!dir.path().join(UNFINISHED).exists());
        prepared(dir.path()).finish(true).unwrap();
        assert_eq!(mode(), 0o700);
    }

    #[test]
    fn a_mark_that_was_never_written_stands_in_nobodys_way_and_anything_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join(UNFINISHED);
        let text = || fs::read_to_string(&mark).unwrap();
        for resume in [false, true] {
            fs::write(&mark, "").unwrap();
            let target = Target::prepare(dir.path(), UNFINISHED, &journal("a"), resume).unwrap();
            assert!(!target.is_resumed() && text() == journal("a").text());
            fs::remove_file(&mark).unwrap();
            fs::write(&mark, "").unwrap();
            fs::write(dir.path().join("precious"), "x").unwrap();
            assert!(Target::prepare(dir.path(), UNFINISHED, &journal("a"), resume).is_err());
            fs::remove_file(dir.path().join("precious")).unwrap();
            fs::remove_file(&mark).unwrap();
        }
        symlink("/nowhere", &mark).unwrap();
        assert!(Target::prepare(dir.path(), UNFINISHED, &journal("a"), false).is_err());
    }

    #[test]
    fn only_the_same_restore_goes_on_in_an_unfinished_target() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            !Target::prepare(dir.path(), UNFINISHED, &journal("a"), true)
                .unwrap()
                .is_resumed()
        );
        assert!(
            Target::prepare(dir.path(), UNFINISHED, &journal("a"), true)
                .unwrap()
                .is_resumed()
        );
        let other = Target::prepare(dir.path(), UNFINISHED, &journal("b"), true);
        assert!(matches!(
            other,
            Err(RestoreError::AnotherRestore { found: Some(_), .. })
        ));
        fs::remove_file(dir.path().join(UNFINISHED)).unwrap();
        fs::write(dir.path().join("precious"), "x").unwrap();
        let unmarked = Target::prepare(dir.path(), UNFINISHED, &journal("a"), true);
        assert!(matches!(
            unmarked,
            Err(RestoreError::NotEmpty { unfinished: false, .. })
        ));
    }
}
