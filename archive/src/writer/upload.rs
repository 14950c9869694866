//! Putting objects while others are being made.
//!
//! Invariant: `finish` is `Ok` only when every object that was handed over is in the repository.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use crossbeam_channel::{Sender, bounded};
use tokio::runtime::Handle;

use super::WriteProgress;
use super::journal::{Journal, Left};
use crate::ArchiveError;
use crate::object_store::{ErrorKind, ObjectStore, PutOptions, StorageError};

/// Objects put at the same time; each may be a pack of 32 MiB.
const PARALLEL: usize = 2;

/// An object to put, and what is noted when it is there.
struct Put {
    key: String,
    bytes: Bytes,
    left: Option<Left>,
}

/// Threads that put content-addressed objects.
pub(super) struct Uploader {
    queue: Option<Sender<Put>>,
    threads: Vec<JoinHandle<()>>,
    failure: Arc<Mutex<Option<ArchiveError>>>,
}

impl Uploader {
    pub(super) fn start(
        store: &Arc<dyn ObjectStore>,
        handle: Handle,
        progress: Arc<WriteProgress>,
        journal: Option<Arc<Journal>>,
    ) -> Self {
        let (queue, objects) = bounded::<Put>(0);
        let failure = Arc::new(Mutex::new(None));
        let threads = (0..PARALLEL)
            .map(|_| {
                let (store, handle, progress) = (Arc::clone(store), handle.clone(), Arc::clone(&progress));
                let (objects, failure, journal) = (objects.clone(), Arc::clone(&failure), journal.clone());
                std::thread::spawn(move || {
                    for Put { key, bytes, left } in objects {
                        let length = bytes.len() as u64;
                        if let Err(error) = handle.block_on(put(&*store, &key, bytes)) {
                            failure
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .get_or_insert(error.into());
                            return;
                        }
                        progress.put_bytes.fetch_add(length, Ordering::Relaxed);
                        if let (Some(journal), Some(left)) = (&journal, &left) {
                            journal.note(left);
                        }
                    }
                })
            })
            .collect();
        Self {
            queue: Some(queue),
            threads,
            failure,
        }
    }

    /// Hands an object over; waits while all are busy. `left` is noted in the journal when it is there.
    pub(super) fn put(&self, key: String, bytes: Bytes, left: Option<Left>) -> Result<(), ArchiveError> {
        self.check()?;
        let queue = self.queue.as_ref().ok_or(ArchiveError::Cancelled)?;
        queue
            .send(Put { key, bytes, left })
            .map_err(|_| self.check().err().unwrap_or(ArchiveError::Cancelled))
    }

    /// Waits until everything is put.
    pub(super) fn finish(mut self) -> Result<(), ArchiveError> {
        self.end();
        self.check()
    }

    fn check(&self) -> Result<(), ArchiveError> {
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn end(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                let error = ArchiveError::Invalid("an uploader of the archive pipeline panicked".to_owned());
                self.failure
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .get_or_insert(error);
            }
        }
    }
}

impl Drop for Uploader {
    fn drop(&mut self) {
        self.end();
    }
}

/// Puts an object whose name is its digest. One that is there already with other bytes is damaged: it is put right.
async fn put(store: &dyn ObjectStore, key: &str, bytes: Bytes) -> Result<(), StorageError> {
    match store.put(key, bytes.clone(), PutOptions::CREATE).await {
        Err(error) if error.kind == ErrorKind::AlreadyExists => {
            let there = store.get_limited(key, bytes.len() as u64).await;
            match there {
                Ok(there) if there == bytes => Ok(()),
                Err(error) if error.kind != ErrorKind::TooLarge => Err(error),
                _ => {
                    tracing::warn!(key, "was damaged and is put again");
                    store.put(key, bytes, PutOptions::OVERWRITE).await
                }
            }
        }
        other => other,
    }
}
