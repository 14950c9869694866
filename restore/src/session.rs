//! What a restore or a rehearsal reads from and runs on: handed in whole, nothing of it is global.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_archive::{Edge, Repository};
use tokio::runtime::Handle;

use crate::{Event, RestoreError};

/// How long a wait for the storage goes on without a look at the wish to end.
const LOOK: Duration = Duration::from_millis(100);

/// The surroundings of one run.
///
/// All of this crate blocks. Call it from a thread of its own, never from inside an async task; `handle` belongs to a runtime with
/// threads (not a `current_thread` one).
#[derive(Clone, Copy)]
pub struct Session<'a> {
    /// Where to read.
    pub repository: &'a Repository,
    /// Runs the object store's I/O.
    pub handle: &'a Handle,
    /// Wall clock and randomness.
    pub edge: &'a dyn Edge,
    /// Set it, and the run ends soon with [`RestoreError::Cancelled`].
    pub cancel: &'a AtomicBool,
    /// Told what happens. Called from several threads.
    pub on_event: &'a (dyn Fn(Event) + Sync),
}

impl Session<'_> {
    pub(crate) fn check(&self) -> Result<(), RestoreError> {
        if self.cancel.load(Ordering::Relaxed) {
            Err(RestoreError::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Waits for the storage, however long it takes, but not beyond the wish to end.
    pub(crate) fn wait<F: Future>(&self, future: F) -> Result<F::Output, RestoreError> {
        self.handle.block_on(async {
            tokio::pin!(future);
            loop {
                match tokio::time::timeout(LOOK, &mut future).await {
                    Ok(output) => return Ok(output),
                    Err(_) => self.check()?,
                }
            }
        })
    }

    pub(crate) fn tell(&self, event: Event) {
        (self.on_event)(event);
    }
}
