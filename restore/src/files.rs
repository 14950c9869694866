//! Files on their way: made at their first byte, finished at their last, with a bounded number of them open.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use muster_archive::BLOCK;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::attributes::Attributes;
use crate::target::Target;

/// A file of the plan.
pub(crate) struct FileTask {
    /// Its path in the tree.
    pub(crate) path: Vec<u8>,
    /// Where it is written, if that is not its path.
    pub(crate) staged: Option<Vec<u8>>,
    pub(crate) size: u64,
    pub(crate) sparse: bool,
    pub(crate) attributes: Attributes,
    /// Pieces to come, and one for whoever still adds pieces.
    remaining: AtomicU64,
    lost: AtomicBool,
    /// Its name is taken or leads astray: nothing of it is written.
    refused: AtomicBool,
    /// The digest to compare with when it is written, where its extents did not tell.
    expected: OnceLock<[u8; 32]>,
    /// An earlier run of this restore made it: what it holds counts where its hashes are right.
    adopted: AtomicBool,
    handle: Mutex<Handle>,
}

#[derive(Default)]
struct Handle {
    file: Option<Arc<File>>,
    created: bool,
}

impl FileTask {
    pub(crate) fn new(path: Vec<u8>, staged: Option<Vec<u8>>, size: u64, sparse: bool, attributes: Attributes) -> Self {
        Self {
            path,
            staged,
            size,
            sparse,
            attributes,
            remaining: AtomicU64::new(1),
            lost: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            expected: OnceLock::new(),
            adopted: AtomicBool::new(false),
            handle: Mutex::default(),
        }
    }

    /// Where it is written.
    pub(crate) fn place(&self) -> &[u8] {
        self.staged.as_deref().unwrap_or(&self.path)
    }

    pub(crate) fn expect_piece(&self) {
        self.remaining.fetch_add(1, Ordering::Relaxed);
    }

    /// One piece less; `true` to whoever brought the last.
    pub(crate) fn piece_done(&self) -> bool {
        self.remaining.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// When its last byte is written, it is to be read back and compared with `digest`.
    pub(crate) fn read_back(&self, digest: [u8; 32]) {
        // Told once, by whoever adds its pieces.
        let _ = self.expected.set(digest);
    }

    pub(crate) fn expected(&self) -> Option<&[u8; 32]> {
        self.expected.get()
    }

    pub(crate) fn mark_lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Says that nothing of it can be written; `true` to the first who says so.
    pub(crate) fn refuse(&self) -> bool {
        self.mark_lost();
        !self.refused.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn is_adopted(&self) -> bool {
        self.adopted.load(Ordering::Relaxed)
    }

    /// Lets go of the open file; whoever writes at the moment keeps it a little longer.
    fn close(&self) {
        self.handle().file = None;
    }

    fn handle(&self) -> MutexGuard<'_, Handle> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens files and closes those that were opened first when there are too many.
pub(crate) struct OpenFiles<'a> {
    target: &'a Target,
    most: usize,
    opened: Mutex<VecDeque<Weak<FileTask>>>,
    /// Files that were taken over: none by two entries.
    adopted: Mutex<HashSet<u64>>,
}

impl<'a> OpenFiles<'a> {
    pub(crate) fn new(target: &'a Target, most: usize) -> Self {
        Self {
            target,
            most,
            opened: Mutex::default(),
            adopted: Mutex::default(),
        }
    }

    /// The file, made if this is its first byte.
    pub(crate) fn open(&self, task: &Arc<FileTask>) -> Result<Arc<File>, Errno> {
        let file = {
            let mut handle = task.handle();
            if let Some(file) = &handle.file {
                return Ok(Arc::clone(file));
            }
            let file = if handle.created {
                self.target.reopen(task.place())?
            } else {
                self.create(task)?
            };
            handle.created = true;
            let file = Arc::new(file);
            handle.file = Some(Arc::clone(&file));
            file
        };
        if task.remaining.load(Ordering::Relaxed) > 1 {
            self.keep_few(task);
        }
        Ok(file)
    }

    /// The file, its last byte written; it is closed when the caller lets go of it.
    pub(crate) fn finish(&self, task: &Arc<FileTask>) -> Result<Arc<File>, Errno> {
        let file = self.open(task)?;
        if task.is_lost() {
            file.set_len(task.size).map_err(|error| errno(&error))?;
        }
        task.close();
        Ok(file)
    }

    /// Takes over what an earlier run of this restore made of the file, if it did.
    pub(crate) fn adopt(&self, task: &Arc<FileTask>) -> Result<(), Errno> {
        match self.target.look_at(task.place()) {
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                task.adopted.store(true, Ordering::Relaxed);
                self.open(task).map(drop)
            }
        }
    }

    fn take_over(&self, task: &FileTask) -> Result<File, Errno> {
        let file = match self.target.reopen(task.place()) {
            Err(Errno::ACCESS) => {
                self.target.unlock(task.place())?;
                self.target.reopen(task.place())?
            }
            opened => opened?,
        };
        let status = rustix::fs::fstat(&file)?;
        let regular = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        let mut adopted = self.adopted.lock().unwrap_or_else(PoisonError::into_inner);
        if !regular || !adopted.insert(status.st_ino) {
            return Err(Errno::EXIST);
        }
        file.set_len(task.size).map_err(|error| errno(&error))?;
        Ok(file)
    }

    fn create(&self, task: &FileTask) -> Result<File, Errno> {
        if task.is_adopted() {
            return self.take_over(task);
        }
        let file = match self.target.create(task.place()) {
            Err(Errno::NOENT) => {
                self.target.make_parents(task.place())?;
                self.target.create(task.place())?
            }
            created => created?,
        };
        if task.sparse || task.size > BLOCK as u64 {
            file.set_len(task.size).map_err(|error| errno(&error))?;
        }
        Ok(file)
    }

    fn keep_few(&self, task: &Arc<FileTask>) {
        let oldest = {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            opened.push_back(Arc::downgrade(task));
            if opened.len() > self.most {
                opened.pop_front()
            } else {
                None
            }
        };
        if let Some(oldest) = oldest.and_then(|oldest| oldest.upgrade()) {
            oldest.close();
        }
    }
}

pub(crate) fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
