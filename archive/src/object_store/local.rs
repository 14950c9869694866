//! A local directory that keeps objects as files: `file:///mnt/backup/muster`.
//!
//! A write goes to a file of its own beneath `.tmp/`, is synced, and gets its name in one step: a hard link (`Create`, which the
//! kernel refuses when the name is taken) or a rename (`Overwrite`). Then the folder is synced. So a reader sees the whole object or
//! none, and what was reported as written survives a power cut. Every path is walked folder by folder from the root's own handle
//! and no symbolic link is followed beneath it, so that nobody who can write in the repository can lead muster out of it.

mod scratch;
mod walk;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::error::{ErrorKind, StorageError};
use super::key::{SCRATCH, check_key, check_prefix};
use super::{
    ListPage, ListQuery, MAX_OBJECT, ObjectHead, ObjectStore, PutMode, PutOptions, cannot_hold, check_length,
    check_range,
};
use crate::RateLimit;
use scratch::Scratch;

const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC)
    .union(OFlags::RDONLY);
const FOLDER_MODE: Mode = Mode::RWXU;
const OBJECT_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Objects as files beneath one directory.
#[derive(Debug, Clone)]
pub struct LocalStore {
    place: Arc<Place>,
}

#[derive(Debug)]
struct Place {
    root: PathBuf,
    /// Numbers this process's unfinished writes.
    next: AtomicU64,
    /// Whether the remains of dead runs were looked for.
    swept: AtomicBool,
    /// Folders whose names are known to be on the disk, so that their parents need no further sync.
    durable: Mutex<HashSet<String>>,
    /// How fast bodies go to the disk.
    pace: OnceLock<Arc<RateLimit>>,
}

impl LocalStore {
    /// A store beneath `root`, an absolute path. Nothing is touched yet.
    pub fn new(root: impl Into<PathBuf>) -> Result<Self, StorageError> {
        let root = root.into();
        if !root.is_absolute() {
            let attempt = format!("use {} as a repository", root.display());
            return Err(StorageError::new(ErrorKind::Invalid, "", attempt).hint("the path must be absolute"));
        }
        let (next, swept, durable, pace) = Default::default();
        Ok(Self {
            place: Arc::new(Place {
                root,
                next,
                swept,
                durable,
                pace,
            }),
        })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.place.root
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Place) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let place = Arc::clone(&self.place);
        let done = tokio::task::spawn_blocking(move || work(&place)).await;
        done.unwrap_or_else(|ended| {
            Err(StorageError::new(ErrorKind::Other, "", format!("work in {}", self.url())).caused_by(ended))
        })
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put(&self, key: &str, body: Bytes, options: PutOptions) -> Result<(), StorageError> {
        check_key(key)?;
        check_length(key, &body)?;
        if options.retention.is_some() {
            return Err(cannot_hold(self.url(), key));
        }
        let key = key.to_owned();
        self.blocking(move |place| {
            place
                .put(&key, &body, options.mode)
                .map_err(|cause| place.error(cause, &key, "write"))
        })
        .await
    }

    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, StorageError> {
        check_key(key)?;
        let key = key.to_owned();
        self.blocking(move |place| {
            let (file, size) = place.object(&key).map_err(|cause| place.error(cause, &key, "read"))?;
            if size > max.min(MAX_OBJECT) {
                let attempt = format!("read {}, {size} bytes, as at most {max}", place.named(&key));
                return Err(StorageError::new(ErrorKind::TooLarge, &key, attempt));
            }
            let mut body = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            file.take(size)
                .read_to_end(&mut body)
                .map_err(|cause| place.error(cause, &key, "read"))?;
            if (body.len() as u64) < size {
                return Err(StorageError::new(
                    ErrorKind::Truncated,
                    &key,
                    format!("read {}", place.named(&key)),
                ));
            }
            Ok(Bytes::from(body))
        })
        .await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        check_key(key)?;
        check_range(key, &range)?;
        let key = key.to_owned();
        self.blocking(move |place| {
            let (file, size) = place.object(&key).map_err(|cause| place.error(cause, &key, "read"))?;
            if range.end > size {
                let attempt = format!("read bytes {}..{} of {}", range.start, range.end, place.named(&key));
                return Err(StorageError::new(ErrorKind::Truncated, &key, attempt).hint(format!("it has {size} bytes")));
            }
            let mut part = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
            file.read_exact_at(&mut part, range.start)
                .map_err(|cause| place.error(cause, &key, "read"))?;
            Ok(Bytes::from(part))
        })
        .await
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StorageError> {
        check_key(key)?;
        let key = key.to_owned();
        self.blocking(move |place| {
            let (file, size) = place
                .object(&key)
                .map_err(|cause| place.error(cause, &key, "look at"))?;
            let written = file.metadata().and_then(|about| about.modified());
            let (sha256, version, retention) = (None, None, None);
            Ok(ObjectHead {
                size,
                sha256,
                version,
                retention,
                modified: written.ok().map(Into::into),
            })
        })
        .await
    }

    async fn list_page(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        check_prefix(query.prefix)?;
        let (prefix, after) = (query.prefix.to_owned(), query.after.map(str::to_owned));
        let (max, folders) = (query.max, query.folders);
        self.blocking(move |place| {
            let query = ListQuery {
                prefix: &prefix,
                after: after.as_deref(),
                max,
                folders,
            };
            let listing = place.root().and_then(|root| walk::page(root, &query));
            listing.map_err(|cause| place.error(cause, "", &format!("list {prefix:?}")))
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        check_key(key)?;
        let key = key.to_owned();
        self.blocking(move |place| place.delete(&key).map_err(|cause| place.error(cause, &key, "delete")))
            .await
    }

    fn url(&self) -> String {
        format!("file://{}", self.place.root.display().to_string().replace('%', "%25"))
    }

    async fn prepare(&self) -> Result<(), StorageError> {
        self.blocking(|place| {
            if place.root.is_dir() {
                return Ok(());
            }
            let made = std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&place.root);
            made.map_err(|cause| place.error(cause, "", "create"))?;
            for folder in place.root.ancestors().skip(1) {
                // A folder that may not be opened was there before and needs no sync.
                let _ = File::open(folder).and_then(|folder| folder.sync_all());
            }
            Ok(())
        })
        .await
    }

    fn pace(&self, limit: &Arc<RateLimit>) -> bool {
        self.place.pace.set(Arc::clone(limit)).is_ok()
    }

    /// The kernel honours it.
    fn rely_on_conditional_create(&self, _proven: bool) {}
}

/// Why an operation failed: the root is special, because a disk that is not mounted must not look like a missing object.
enum Cause {
    Root(Errno),
    Io(std::io::Error),
}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

impl From<std::io::Error> for Cause {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl Place {
    fn root(&self) -> Result<OwnedFd, Cause> {
        // The root itself may be a symbolic link: its owner made it.
        rustix::fs::open(&self.root, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty()).map_err(Cause::Root)
    }

    /// The folder that holds a key's file, and the file's name in it.
    fn folder<'a>(&self, key: &'a str) -> Result<(OwnedFd, &'a str), Cause> {
        let mut at = self.root()?;
        let (folders, name) = split(key);
        for folder in folders {
            at = rustix::fs::openat(&at, folder, FOLDER, Mode::empty())?;
        }
        Ok((at, name))
    }

    /// The same for a write: missing folders are made, and their names are on the disk when it returns.
    fn folder_for_write<'a>(&self, key: &'a str) -> Result<(OwnedFd, &'a str), Cause> {
        let mut at = self.root()?;
        let (folders, name) = split(key);
        let mut path = String::new();
        for folder in folders {
            path.push_str(folder);
            path.push('/');
            let (next, made) = match rustix::fs::openat(&at, folder, FOLDER, Mode::empty()) {
                Err(Errno::NOENT) => (make_folder(&at, folder)?, true),
                found => (found?, false),
            };
            if made || !self.durable().contains(&path) {
                sync_folder(&at)?;
                self.durable().insert(path.clone());
            }
            at = next;
        }
        Ok((at, name))
    }

    fn durable(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn object(&self, key: &str) -> Result<(File, u64), Cause> {
        let (folder, name) = self.folder(key)?;
        // NONBLOCK: a fifo in an object's place must not hang the reader.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Errno::NOENT.into());
        }
        Ok((File::from(file), u64::try_from(stat.st_size).unwrap_or(0)))
    }

    fn put(&self, key: &str, body: &[u8], mode: PutMode) -> Result<(), Cause> {
        let (folder, name) = self.folder_for_write(key)?;
        let taken = mode == PutMode::Create && rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        let named = if taken {
            Err(Errno::EXIST.into())
        } else {
            self.write(&folder, name, body, mode)
        };
        // Also for the loser of a race: whoever is told that an object exists may build on it.
        sync_folder(&folder)?;
        named
    }

    fn write(&self, folder: &OwnedFd, name: &str, body: &[u8], mode: PutMode) -> Result<(), Cause> {
        let mut scratch = Scratch::create(self)?;
        scratch.write(body, self.pace.get().map(|pace| &**pace))?;
        match mode {
            PutMode::Create => scratch.link(folder, name),
            PutMode::Overwrite => scratch.rename(folder, name),
        }
    }

    fn delete(&self, key: &str) -> Result<(), Cause> {
        let gone = |errno| matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::LOOP);
        let (folder, name) = match self.folder(key) {
            Err(Cause::Io(error)) if Errno::from_io_error(&error).is_some_and(gone) => return Ok(()),
            found => found?,
        };
        match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
            Err(errno) if gone(errno) => Ok(()),
            done => Ok(done?),
        }
    }

    fn named(&self, key: &str) -> String {
        let separator = if key.is_empty() { "" } else { "/" };
        format!("{}{separator}{key}", self.root.display())
    }

    fn error(&self, cause: impl Into<Cause>, key: &str, verb: &str) -> StorageError {
        let (kind, source): (_, std::io::Error) = match cause.into() {
            Cause::Root(errno @ (Errno::NOENT | Errno::NOTDIR)) => (ErrorKind::NoContainer, errno.into()),
            Cause::Root(errno) => (kind_of(errno), errno.into()),
            Cause::Io(error) => {
                let short = error.kind() == std::io::ErrorKind::UnexpectedEof;
                let kind = if short {
                    ErrorKind::Truncated
                } else {
                    Errno::from_io_error(&error).map_or(ErrorKind::Other, kind_of)
                };
                (kind, error)
            }
        };
        let error = StorageError::new(kind, key, format!("{verb} {}", self.named(key))).caused_by(source);
        match kind {
            ErrorKind::NoContainer => error.hint(format!(
                "is the disk of {} mounted? `muster init` makes a new one",
                self.root.display()
            )),
            ErrorKind::NoSpace => error.hint("free some space: nothing was written"),
            _ => error,
        }
    }
}

fn kind_of(errno: Errno) -> ErrorKind {
    match errno {
        // Symbolic links and other things in the place of a folder or an object are no object.
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => ErrorKind::NotFound,
        Errno::EXIST => ErrorKind::AlreadyExists,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => ErrorKind::Denied,
        Errno::NOSPC | Errno::DQUOT => ErrorKind::NoSpace,
        Errno::STALE | Errno::TIMEDOUT | Errno::NOTCONN | Errno::HOSTDOWN => ErrorKind::Unreachable,
        _ => ErrorKind::Other,
    }
}

fn split(key: &str) -> (impl Iterator<Item = &str>, &str) {
    let (folders, name) = key.rsplit_once('/').unwrap_or(("", key));
    (folders.split('/').filter(|folder| !folder.is_empty()), name)
}

fn make_folder(at: &OwnedFd, name: &str) -> Result<OwnedFd, Cause> {
    match rustix::fs::mkdirat(at, name, FOLDER_MODE) {
        Err(Errno::EXIST) => {}
        made => made?,
    }
    Ok(rustix::fs::openat(at, name, FOLDER, Mode::empty())?)
}

fn sync_folder(folder: &OwnedFd) -> Result<(), Cause> {
    match rustix::fs::fsync(folder) {
        // Some network and FUSE file systems have no such operation on folders.
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(()),
        synced => Ok(synced?),
    }
}
