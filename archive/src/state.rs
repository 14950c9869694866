//! What this host remembers of a repository: the highest key epoch, the last head of each log, and the locks.
//!
//! Invariant: losing it costs time, never data. A lock is the kernel's and ends with its process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::ArchiveError;

/// A folder per repository id, made when first used.
#[derive(Clone, Debug)]
pub struct LocalState {
    dir: PathBuf,
}

impl LocalState {
    /// The state of one repository beneath `[state] dir`.
    pub fn new(state_dir: &Path, repository: &str) -> Self {
        Self {
            dir: state_dir.join(repository),
        }
    }

    /// Where it lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes the lock `name` if nobody holds it; `None` if somebody does. It ends when the file is dropped.
    ///
    /// # Errors
    /// [`ArchiveError::Local`] where the lock file cannot be made.
    pub fn try_lock(&self, name: &str) -> Result<Option<File>, ArchiveError> {
        let file = self.lock_file(name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(source)) => Err(self.failed("take the lock", name, source)),
        }
    }

    /// Waits for the lock `name`. Blocks; only for locks that are held for moments.
    pub(crate) fn lock(&self, name: &str) -> Result<File, ArchiveError> {
        let file = self.lock_file(name)?;
        file.lock()
            .map_err(|source| self.failed("take the lock", name, source))?;
        Ok(file)
    }

    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        match fs::read(self.dir.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.failed("read", name, source)),
        }
    }

    /// Replaces the file `name` whole or not at all.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.replace(name, |file| file.write_all(bytes))
    }

    /// The same for what is too long to be held at once.
    pub(crate) fn replace(
        &self,
        name: &str,
        content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), ArchiveError> {
        let attempt = || -> io::Result<()> {
            let path = self.dir.join(name);
            let folder = path.parent().unwrap_or(&self.dir);
            fs::create_dir_all(folder)?;
            let staged = path.with_extension(format!("new-{}", std::process::id()));
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&staged)?;
            let mut file = BufWriter::new(file);
            let written = content(&mut file).and_then(|()| file.into_inner()?.sync_all());
            if let Err(error) = written {
                let _ = fs::remove_file(&staged);
                return Err(error);
            }
            fs::rename(&staged, &path)
        };
        attempt().map_err(|source| self.failed("write", name, source))
    }

    /// A file that has no name and ends with the process: for what memory does not hold.
    pub(crate) fn scratch(&self) -> Result<File, ArchiveError> {
        let attempt = || -> io::Result<File> {
            fs::create_dir_all(&self.dir)?;
            for number in 0..u32::MAX {
                let path = self.dir.join(format!("scratch-{}-{number}", std::process::id()));
                let mut options = OpenOptions::new();
                match options.read(true).write(true).create_new(true).mode(0o600).open(&path) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    made => {
                        let file = made?;
                        fs::remove_file(&path)?;
                        return Ok(file);
                    }
                }
            }
            Err(io::ErrorKind::AlreadyExists.into())
        };
        attempt().map_err(|source| self.failed("make", "a scratch file", source))
    }

    /// The file `name` for whoever reads it piece by piece.
    pub(crate) fn open(&self, name: &str) -> Result<Option<File>, ArchiveError> {
        match File::open(self.dir.join(name)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.failed("read", name, source)),
        }
    }

    fn lock_file(&self, name: &str) -> Result<File, ArchiveError> {
        let folder = self.dir.join("locks");
        fs::create_dir_all(&folder)
            .and_then(|()| {
                let path = folder.join(format!("{name}.lock"));
                OpenOptions::new().create(true).append(true).mode(0o600).open(path)
            })
            .map_err(|source| self.failed("make the lock", name, source))
    }

    pub(crate) fn failed(&self, attempt: &str, name: &str, source: io::Error) -> ArchiveError {
        ArchiveError::Local {
            attempt: format!("{attempt} {name} of the local state in {}", self.dir.display()),
            source,
        }
    }
}
