//! One backup of a store at a time on this host. The lock is the kernel's (see [`LocalState`]); here is only the waiting.

use std::fs::File;
use std::time::{Duration, Instant};

use muster_archive::LocalState;

use crate::error::{CommandError, Kind};
use crate::signals::Cancel;

/// How often a waiting run looks again.
const AGAIN: Duration = Duration::from_millis(100);

/// Takes the lock of `store`, waiting at most `wait`. It ends when the file is dropped, or with the process.
pub(crate) fn take(state: &LocalState, store: &str, wait: Duration, cancel: &Cancel) -> Result<File, CommandError> {
    let started = Instant::now();
    loop {
        if let Some(held) = state.try_lock(store)? {
            return Ok(held);
        }
        let left = wait.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(CommandError::new(
                Kind::Contended,
                format!("store \"{store}\" is being backed up by another run"),
            )
            .hint(format!("muster backup {store} --lock-wait 10m")));
        }
        cancel.check()?;
        std::thread::sleep(AGAIN.min(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_of_the_same_store_is_contended_and_another_store_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let state = LocalState::new(directory.path(), "repository");
        let cancel = Cancel::default();
        let held = take(&state, "saves", Duration::ZERO, &cancel).unwrap();
        let error = take(&state, "saves", Duration::ZERO, &cancel).unwrap_err();
        assert_eq!(error.exit().code(), 11);
        assert!(error.hints()[0].contains("--lock-wait"));
        take(&state, "assets", Duration::ZERO, &cancel).unwrap();
        drop(held);
        take(&state, "saves", Duration::ZERO, &cancel).unwrap();
    }

    #[test]
    fn a_waiting_run_gets_the_lock_when_it_is_let_go() {
        let directory = tempfile::tempdir().unwrap();
        let state = LocalState::new(directory.path(), "repository");
        let cancel = Cancel::default();
        let held = take(&state, "saves", Duration::ZERO, &cancel).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| take(&state, "saves", Duration::from_secs(600), &cancel));
            drop(held);
            waiting.join().unwrap().unwrap();
        });
    }
}
