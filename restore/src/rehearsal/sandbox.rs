//! The private place of one rehearsal, and the removal of what dead rehearsals left.
//!
//! Invariants: it carries a lock that ends with its process, so that whoever comes next knows the dead from the living; it is removed when
//! it is dropped, with every process that still works in it.

use std::ffi::CStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use crate::RestoreError;
use crate::target::free_of;

const PREFIX: &str = "muster-rehearsal-";
const LOCK: &str = "lock";
const JOURNAL: &str = "journal";
const RUN_AT: &str = "run-at";
/// Longest path of a directory for sockets: an address holds 107 bytes, and a socket's name takes up to 30 of them.
const RUN_MAX: usize = 70;
/// Attempts to remove a tree.
const REMOVALS: u32 = 20;

/// A sandbox.
pub(super) struct Place {
    path: PathBuf,
    run: PathBuf,
    lock: Option<File>,
}

impl Place {
    /// Makes the sandbox `id` beneath `work_dir`. `passable`: the engine may run as
    /// another user, who passes through it.
    pub(super) fn make(work_dir: &Path, id: &str, passable: bool) -> Result<Self, RestoreError> {
        let path = work_dir.join(format!("{PREFIX}{id}"));
        let failed = |error: io::Error| RestoreError::local(format!("make the sandbox {}", path.display()), error);
        // Under another name until it carries its lock: nobody takes it for a dead one.
        let fresh = work_dir.join(format!(".{PREFIX}{id}.new"));
        let made = || -> io::Result<File> {
            fs::create_dir_all(work_dir)?;
            // Nobody lists it.
            let mode = if passable { 0o711 } else { 0o700 };
            DirBuilder::new().mode(0o700).create(&fresh)?;
            fs::set_permissions(&fresh, fs::Permissions::from_mode(mode))?;
            let lock = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(fresh.join(LOCK))?;
            lock.try_lock().map_err(io::Error::from)?;
            fs::rename(&fresh, &path)?;
            Ok(lock)
        };
        let lock = made()
            .inspect_err(|_| drop(fs::remove_dir_all(&fresh)))
            .map_err(failed)?;
        let mut place = Self {
            run: path.join("run"),
            path: path.clone(),
            lock: Some(lock),
        };
        if place.run.as_os_str().len() > RUN_MAX {
            place.run = std::env::temp_dir().join(format!("muster-{}", &id[id.len().saturating_sub(10)..]));
            fs::write(path.join(RUN_AT), place.run.as_os_str().as_encoded_bytes()).map_err(failed)?;
        }
        DirBuilder::new().mode(0o700).create(&place.run).map_err(failed)?;
        Ok(place)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the restored tree goes.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Where sockets, logs and pid files go.
    pub(super) fn run(&self) -> PathBuf {
        self.run.clone()
    }

    /// Where the phases are noted while they happen.
    pub(super) fn journal(&self) -> Option<File> {
        let path = self.path.join(JOURNAL);
        OpenOptions::new().append(true).create(true).mode(0o600).open(path).ok()
    }

    pub(super) fn free(&self) -> Result<u64, RestoreError> {
        let failed = |error: io::Error| RestoreError::local(format!("ask how full {} is", self.path.display()), error);
        let directory = File::open(&self.path).map_err(failed)?;
        free_of(&directory).map_err(|error| failed(error.into()))
    }

    /// Removes it, and says what stands in the way.
    pub(super) fn remove(mut self) -> Result<(), RestoreError> {
        self.clear()
    }

    fn clear(&mut self) -> Result<(), RestoreError> {
        if self.lock.take().is_none() {
            return Ok(());
        }
        clear(&self.path, &self.run)
            .map_err(|error| RestoreError::local(format!("remove the sandbox {}", self.path.display()), error))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            tracing::error!(%error, "a sandbox was not removed");
        }
    }
}

/// A dead rehearsal's sandbox that was removed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reaped {
    pub(super) path: PathBuf,
    /// The phase that was open in its journal.
    pub(super) died_in: Option<String>,
}

/// Removes the sandboxes beneath `work_dir` whose processes are dead. Returns those that it removed.
pub(super) fn reap(work_dir: &Path) -> Vec<Reaped> {
    let Ok(entries) = fs::read_dir(work_dir) else {
        return Vec::new();
    };
    let me = rustix::process::geteuid().as_raw();
    let mut reaped = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let mine = path
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == me);
        if !named || !mine {
            continue;
        }
        let Ok(lock) = OpenOptions::new()
            .write(true)
            .custom_flags(no_follow())
            .open(path.join(LOCK))
        else {
            continue;
        };
        if lock.try_lock().is_err() {
            continue;
        }
        let run = run_of(&path, me);
        let died_in = open_phase(&path);
        match clear(&path, &run) {
            Ok(()) => reaped.push(Reaped { path, died_in }),
            Err(error) => tracing::warn!(place = %path.display(), %error, "a dead rehearsal's sandbox was not removed"),
        }
    }
    reaped
}

/// The last phase that a journal says to have begun.
fn open_phase(path: &Path) -> Option<String> {
    let journal = OpenOptions::new()
        .read(true)
        .custom_flags(no_follow())
        .open(path.join(JOURNAL))
        .ok()?;
    let mut text = String::new();
    io::Read::read_to_string(&mut io::Read::take(journal, 1 << 16), &mut text).ok()?;
    let last = text.lines().rfind(|line| line.contains(r#""began""#))?;
    let began: serde_json::Value = serde_json::from_str(last).ok()?;
    began.get("began")?.as_str().map(str::to_owned)
}

fn no_follow() -> i32 {
    i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0)
}

/// Where a dead sandbox's sockets are: in it, or where it noted and nowhere else.
fn run_of(path: &Path, me: u32) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    let inside = path.join("run");
    let Ok(noted) = fs::read(path.join(RUN_AT)) else {
        return inside;
    };
    let noted = PathBuf::from(std::ffi::OsString::from_vec(noted));
    let plausible = noted
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with("muster-"));
    let mine = noted
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir() && (metadata.uid() == me || me == 0));
    if plausible && mine && noted.parent() == Some(&*std::env::temp_dir()) {
        noted
    } else {
        inside
    }
}

fn clear(path: &Path, run: &Path) -> io::Result<()> {
    end_processes_in(path);
    if !run.starts_with(path) {
        remove_tree(run)?;
    }
    remove_tree(path)
}

/// Removes a tree in which a process that was just ended may still leave something. The lock goes last: whoever is killed on the way
/// leaves what the next rehearsal still takes for a dead sandbox.
fn remove_tree(path: &Path) -> io::Result<()> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match remove_once(path) {
            Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) if attempts < REMOVALS => {
                std::thread::sleep(Duration::from_millis(100));
            }
            done => return Ok(done?),
        }
    }
}

/// Without recursion and with two open directories, however deep the tree is: each directory's own directories are moved to the top,
/// and it is removed when it is empty. They may have been restored without permission to change them.
fn remove_once(path: &Path) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = rustix::fs::open(path, flags, Mode::empty())?;
    rustix::fs::fchmod(&top, Mode::RWXU)?;
    let mut moved = 0u64;
    loop {
        let mut directories = 0;
        for name in Dir::read_from(&top)? {
            let name = name?.file_name().to_owned();
            if is_dots(&name) || name.to_bytes() == LOCK.as_bytes() || unlinked(&top, &name)? {
                continue;
            }
            directories += 1;
            let directory = rustix::fs::openat(&top, &name, flags, Mode::empty())?;
            for inner in Dir::read_from(&directory)? {
                let inner = inner?.file_name().to_owned();
                if !is_dots(&inner) && !unlinked(&directory, &inner)? {
                    move_up(&directory, &inner, &top, &mut moved)?;
                }
            }
            match rustix::fs::unlinkat(&top, &name, AtFlags::REMOVEDIR) {
                // The next round sees what was left out of the listing, or was made meanwhile.
                Err(Errno::NOTEMPTY) => {}
                removed => removed?,
            }
        }
        if directories == 0 {
            break;
        }
    }
    unlinked(&top, c"lock")?;
    rustix::fs::rmdir(path)
}

fn is_dots(name: &CStr) -> bool {
    name == c"." || name == c".."
}

/// Removes what is no directory; a directory is made passable, and the answer is `false`.
fn unlinked(directory: &OwnedFd, name: &CStr) -> Result<bool, Errno> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        // Root needs no permission, and must not follow a link that was put there meanwhile.
        Err(Errno::ISDIR | Errno::PERM) if rustix::process::geteuid().is_root() => Ok(false),
        Err(Errno::ISDIR | Errno::PERM) => {
            rustix::fs::chmodat(directory, name, Mode::RWXU, AtFlags::empty()).map(|()| false)
        }
        Err(error) => Err(error),
    }
}

fn move_up(from: &OwnedFd, name: &CStr, top: &OwnedFd, moved: &mut u64) -> Result<(), Errno> {
    loop {
        *moved += 1;
        let to = format!(".removed-{moved}");
        match rustix::fs::renameat_with(from, name, top, to, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            done => return done,
        }
    }
}

/// Ends what an engine that outlived its rehearsal left running: processes whose working directory lies in the sandbox.
fn end_processes_in(path: &Path) {
    let Ok(path) = path.canonicalize() else { return };
    for (signal, wait) in [(Signal::QUIT, 50), (Signal::KILL, 20)] {
        let found = processes_in(&path);
        if found.is_empty() {
            return;
        }
        for pid in found {
            let _ = rustix::process::kill_process(pid, signal);
        }
        for _ in 0..wait {
            if processes_in(&path).is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn processes_in(path: &Path) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered = entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<i32>().ok()?, entry.path())));
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    numbered
        .filter(|(pid, _)| *pid != me)
        .filter(|(_, entry)| fs::read_link(entry.join("cwd")).is_ok_and(|cwd| cwd.starts_with(path)))
        .filter_map(|(pid, _)| Pid::from_raw(pid))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const ID: &str = "01JDAAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn it_is_private_and_gone_when_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::make(dir.path(), ID, false).unwrap();
        assert_eq!(place.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(place.run().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(place.run().as_os_str().len() <= RUN_MAX && place.free().unwrap() > 0);
        fs::create_dir_all(place.data().join("sealed/inner")).unwrap();
        fs::set_permissions(place.data().join("sealed"), fs::Permissions::from_mode(0o500)).unwrap();
        drop(place);
        assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
    }

    #[test]
    fn the_lock_is_the_last_thing_to_go_so_that_a_killed_removal_is_taken_up_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut place = Place::make(dir.path(), ID, false).unwrap();
        let path = place.path().to_owned();
        // A mount point cannot be removed: the removal ends there, as if the process were killed.
        let busy = place.data().join("a");
        fs::create_dir_all(&busy).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=64k", "muster-test"];
        assert!(Command::new("mount").args(mount).arg(&busy).status().unwrap().success());
        place.lock = None;
        let removed = remove_tree(&path);
        assert!(Command::new("umount").arg(&busy).status().unwrap().success());
        assert!(removed.is_err() && path.join(LOCK).exists());
        assert_eq!(reap(dir.path()).len(), 1);
        assert!(!path.exists());
    }

    #[test]
    fn a_long_path_gets_a_short_place_for_sockets_and_loses_it_again() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::make(&dir.path().join("d".repeat(80)), ID, false).unwrap();
        let run = place.run();
        assert!(run.is_dir() && run.as_os_str().len() <= RUN_MAX);
        place.remove().unwrap();
        assert!(!run.exists());
    }

    #[test]
    fn what_a_dead_rehearsal_left_is_removed_and_a_living_one_is_let_alone() {
        let dir = tempfile::tempdir().unwrap();
        let living = Place::make(dir.path(), ID, false).unwrap();
        let mut dead = Place::make(dir.path(), "01JDBBBBBBBBBBBBBBBBBBBBBB", false).unwrap();
        fs::create_dir(dead.data()).unwrap();
        let noted = concat!(
            r#"{"began":"select"}"#,
            "\n",
            r#"{"ended":"select"}"#,
            "\n",
            r#"{"began":"fetch"}"#,
            "\n"
        );
        fs::write(dead.path().join(JOURNAL), noted).unwrap();
        let mut left = Command::new("sleep")
            .arg("600")
            .current_dir(dead.data())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Only when it has become another program has it let go of what it inherited, the lock among it.
        while fs::read_to_string(format!("/proc/{}/comm", left.id())).unwrap() != "sleep\n" {
            std::thread::yield_now();
        }
        // As the kernel does when the process is killed.
        dead.lock = None;
        let (path, died_in) = (dead.path().to_owned(), Some("fetch".to_owned()));
        assert_eq!(reap(dir.path()), [Reaped { path, died_in }]);
        assert!(
            left.wait().unwrap().code().is_none(),
            "its engine was ended by a signal"
        );
        assert!(living.path().exists() && !dead.path().exists());
        assert!(reap(dir.path()).is_empty());
    }
}
