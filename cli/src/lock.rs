//! One backup of a store at a time on this host: a kernel lock that ends with its process.
//!
//! The lock file is never removed: removing it would let two processes hold "the" lock on two different inodes.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{CommandError, Kind};
use crate::signals::Cancel;

/// How often a waiting run looks again.
const AGAIN: Duration = Duration::from_millis(100);

/// Held while a store is backed up; dropping it lets go.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _file: File,
}

/// Takes the lock of `store` under `state` (one repository's folder of local state), waiting at most `wait`.
pub(crate) fn take(state: &Path, store: &str, wait: Duration, cancel: &Cancel) -> Result<StoreLock, CommandError> {
    let directory = state.join("locks");
    std::fs::create_dir_all(&directory)
        .map_err(|error| CommandError::new(Kind::Failed, error).context(format!("create {}", directory.display())))?;
    let path = directory.join(format!("{store}.lock"));
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| CommandError::new(Kind::Failed, error).context(format!("open {}", path.display())))?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(StoreLock { _file: file }),
            Err(TryLockError::WouldBlock) if started.elapsed() < wait => {
                cancel.check()?;
                std::thread::sleep(AGAIN.min(wait.saturating_sub(started.elapsed())));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(CommandError::new(
                    Kind::Contended,
                    format!(
                        "store \"{store}\" is being backed up by another run (lock {})",
                        path.display()
                    ),
                )
                .hint(format!("muster backup {store} --lock-wait 10m")));
            }
            Err(TryLockError::Error(error)) => {
                return Err(CommandError::new(Kind::Failed, error).context(format!("lock {}", path.display())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_of_the_same_store_is_contended_and_another_store_is_not() {
        let state = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        let held = take(state.path(), "saves", Duration::ZERO, &cancel).unwrap();
        let error = take(state.path(), "saves", Duration::ZERO, &cancel).unwrap_err();
        assert_eq!(error.exit().code(), 11);
        assert!(error.hints()[0].contains("--lock-wait"));
        take(state.path(), "assets", Duration::ZERO, &cancel).unwrap();
        drop(held);
        take(state.path(), "saves", Duration::ZERO, &cancel).unwrap();
    }

    #[test]
    fn a_waiting_run_gets_the_lock_when_it_is_let_go() {
        let state = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        let held = take(state.path(), "saves", Duration::ZERO, &cancel).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| take(state.path(), "saves", Duration::from_secs(600), &cancel));
            drop(held);
            waiting.join().unwrap().unwrap();
        });
    }
}
