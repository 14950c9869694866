//! The tree digest of a directory, from its bytes alone: what was restored is compared with what was signed.
//!
//! Invariants: no link is followed and nothing but regular files is opened. Of the names of a file with hard links, the first in path
//! order carries the content, as in a snapshot. Memory does not grow with the number of entries: they are numbered in path order, and
//! nobody walks far ahead of the first one whose bytes are not hashed yet. What is kept besides are the names of the directories on the
//! way to it, and the first name of each file with several.

mod file;
mod walk;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_archive::tree::{NodeKind, TreeEntry};
use muster_archive::{BLOCK, HashKey, TreeDigest};
use muster_signing::Digest;

use crate::RestoreError;
use file::Hashed;
use walk::{Root, Walk};

/// Entries that may wait for one before them.
const WAITING: usize = 4096;
/// How long a thread waits for the others without a look at whether everything is to end.
const LOOK: Duration = Duration::from_millis(100);

/// Computes the tree digest of everything in `directory`, as a snapshot with this hash key has it.
///
/// # Errors
/// Where something cannot be read, or changes while it is; [`RestoreError::Cancelled`].
pub fn tree_digest_of_directory(directory: &Path, key: &HashKey, cancel: &AtomicBool) -> Result<Digest, RestoreError> {
    compute(directory, key, cancel, WAITING).map(|order| order.digest.finish())
}

fn compute(directory: &Path, key: &HashKey, cancel: &AtomicBool, most: usize) -> Result<Order, RestoreError> {
    let root = Root::open(directory, key)?;
    let work = Work {
        root: &root,
        inner: Mutex::new(Inner {
            walk: Some(Walk::new(&root)?),
            open: None,
            order: Order::default(),
            failure: None,
        }),
        moved: Condvar::new(),
        most,
        cancel,
    };
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work.run());
        }
    });
    let inner = work.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
    match inner.failure {
        Some(error) => Err(error),
        None if cancel.load(Ordering::Relaxed) => Err(RestoreError::Cancelled),
        None => Ok(inner.order),
    }
}

/// Entries that come in any order, and go into the digest in path order.
struct Order {
    digest: TreeDigest,
    /// Numbers that were given out.
    given: u64,
    /// The number that the digest takes next.
    next: u64,
    waiting: BTreeMap<u64, TreeEntry>,
    most_waiting: usize,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            digest: TreeDigest::in_order(),
            given: 0,
            next: 0,
            waiting: BTreeMap::new(),
            most_waiting: 0,
        }
    }
}

impl Order {
    /// The number of the next entry in path order.
    fn give(&mut self) -> u64 {
        self.given += 1;
        self.given - 1
    }

    fn put(&mut self, number: u64, entry: TreeEntry) {
        self.waiting.insert(number, entry);
        self.most_waiting = self.most_waiting.max(self.waiting.len());
        while let Some(entry) = self.waiting.remove(&self.next) {
            self.digest.push(&entry);
            self.next += 1;
        }
    }

    /// Entries that are not in the digest yet, those that are being hashed among them.
    fn ahead(&self) -> u64 {
        self.given - self.next
    }
}

/// What the threads share.
struct Work<'a> {
    root: &'a Root,
    inner: Mutex<Inner<'a>>,
    /// Told when something was done that somebody may wait for.
    moved: Condvar,
    most: usize,
    cancel: &'a AtomicBool,
}

struct Inner<'a> {
    /// `None`: every entry has its number.
    walk: Option<Walk<'a>>,
    /// The file that is handed out, and its next run.
    open: Option<(Arc<Hashed<'a>>, u64)>,
    order: Order,
    failure: Option<RestoreError>,
}

impl<'a> Work<'a> {
    fn run(&self) {
        let mut buffer = vec![0; BLOCK];
        while let Some((file, run)) = self.take() {
            let hashed = file.hash(run, &mut buffer);
            let mut inner = lock(&self.inner);
            match hashed {
                Ok(Some(entry)) => inner.order.put(file.number, entry),
                Ok(None) => {}
                Err(error) => _ = inner.failure.get_or_insert(error),
            }
            self.moved.notify_all();
        }
    }

    /// The next run of blocks to hash; `None` when there is nothing left to do, or no reason to.
    fn take(&self) -> Option<(Arc<Hashed<'a>>, u64)> {
        let mut inner = lock(&self.inner);
        loop {
            if inner.failure.is_some() || self.cancel.load(Ordering::Relaxed) {
                return None;
            }
            if let Some((file, run)) = &inner.open {
                // Runs of one file do not overtake each other by much: what was hashed too early waits in memory.
                if file.takes(*run) {
                    let (file, run) = (Arc::clone(file), *run);
                    inner.open = (run + 1 < file.runs).then(|| (Arc::clone(&file), run + 1));
                    return Some((file, run));
                }
            } else if inner.walk.is_none() {
                return None;
            } else if inner.order.ahead() < self.most as u64 {
                if let Err(error) = self.step(&mut inner) {
                    inner.failure = Some(error);
                    self.moved.notify_all();
                }
                continue;
            }
            inner = self
                .moved
                .wait_timeout(inner, LOOK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Takes the next entry off the walk.
    fn step(&self, inner: &mut Inner<'a>) -> Result<(), RestoreError> {
        let Some(walk) = &mut inner.walk else { return Ok(()) };
        match walk.next()? {
            Some(entry) => {
                let number = inner.order.give();
                if let NodeKind::File { size, .. } = entry.kind {
                    let file = Hashed::open(self.root, number, entry, size)?;
                    inner.open = Some((Arc::new(file), 0));
                } else {
                    inner.order.put(number, entry);
                }
            }
            None => {
                inner.walk = None;
                self.moved.notify_all();
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use muster_archive::FileDigest;
    use muster_archive::tree::Content;

    use super::*;

    fn file(path: &str, bytes: &[u8], key: &HashKey) -> TreeEntry {
        let mut digest = FileDigest::new(key);
        digest.update(bytes);
        TreeEntry {
            kind: NodeKind::File {
                sparse: false,
                size: bytes.len() as u64,
                digest: digest.finish(),
                content: Content::Inline(Vec::new()),
            },
            mode: 0o644,
            ..TreeEntry::directory(path)
        }
    }

    #[test]
    fn however_many_entries_there_are_few_of_them_are_in_memory() {
        use std::os::unix::fs::PermissionsExt as _;
        let (dir, key) = (tempfile::tempdir().unwrap(), HashKey::new([7; 32]));
        let mut expected = TreeDigest::new();
        let mut write = |path: String, bytes: &[u8]| {
            let at = dir.path().join(&path);
            std::fs::write(&at, bytes).unwrap();
            std::fs::set_permissions(&at, std::fs::Permissions::from_mode(0o644)).unwrap();
            expected.push(&file(&path, bytes, &key));
        };
        // The first file is long: what comes after it would overtake it.
        write("a".to_owned(), &vec![3; 24 << 20]);
        for folder in 0..20 {
            let path = format!("folder-{folder:02}");
            std::fs::create_dir(dir.path().join(&path)).unwrap();
            for n in 0..100 {
                write(format!("{path}/{n:03}"), format!("{folder}-{n}").as_bytes());
            }
        }
        for folder in 0..20 {
            let path = format!("folder-{folder:02}");
            let mode = std::fs::metadata(dir.path().join(&path)).unwrap().permissions().mode() & 0o7777;
            expected.push(&TreeEntry {
                mode,
                ..TreeEntry::directory(path)
            });
        }
        let expected = expected.finish();
        for most in [1, 8, WAITING] {
            let order = compute(dir.path(), &key, &AtomicBool::new(false), most).unwrap();
            assert_eq!((order.given, order.next), (2021, 2021));
            assert!(
                order.most_waiting <= most,
                "{} waited where {most} may",
                order.most_waiting
            );
            assert_eq!(order.digest.finish(), expected, "{most}");
        }
    }

    #[test]
    fn a_wish_to_end_ends_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x"), "x").unwrap();
        let ended = tree_digest_of_directory(dir.path(), &HashKey::new([7; 32]), &AtomicBool::new(true));
        assert!(matches!(ended, Err(RestoreError::Cancelled)));
    }
}
