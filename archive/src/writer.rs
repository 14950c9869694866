//! From a stream of entries and bytes to packs, trees and lists.
//!
//! One producer cuts blocks into batches; workers hash, look up and compress; one assembler puts them in order again, fills
//! packs and builds the tree; uploaders put objects. Every channel is bounded, so memory is: batches in flight × 2 MiB, packs in
//! flight × 32 MiB, and the parent's table.
//!
//! Invariant: nothing here is a snapshot. Whoever owns the writer commits the manifest when [`SnapshotWriter::finish`] is `Ok`.

mod assemble;
mod batch;
mod files;
mod parent;
mod placeholder;
#[cfg(test)]
mod tests;
mod upload;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::runtime::Handle;

use crate::content::{BLOCK, HashKey};
use crate::edge::Edge;
use crate::tree::{FILE_MAX, NodeKind, TreeEntry, check_entry};
use crate::{ArchiveError, Encryption, ListRef, Manifest, Repository, TreeRef};
use assemble::Assembler;
use batch::{Batch, Item, work};
pub use parent::Parent;
use upload::Uploader;

/// Bytes at which the producer passes a batch on.
const BATCH: usize = 1 << 20;
/// Items at which it does so whatever their bytes.
const BATCH_ITEMS: usize = 4096;

/// How a snapshot is written.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    /// zstd level of frames.
    pub level: i32,
    /// Threads that hash and compress.
    pub workers: usize,
    /// Budget for everything that is held in memory, in bytes.
    pub memory: u64,
    /// The source gives its entries in path order: then none of them has to be kept, and one that comes out of order is an error.
    pub in_order: bool,
    /// How fast the source may be read.
    pub read_limit: Option<Arc<crate::RateLimit>>,
}

impl Default for WriterOptions {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            level: 1,
            workers,
            memory: 256 << 20,
            in_order: false,
            read_limit: None,
        }
    }
}

/// Counters that may be read at any time, for progress.
#[derive(Debug, Default)]
pub struct WriteProgress {
    /// Logical bytes taken from the source.
    pub read_bytes: AtomicU64,
    /// Files begun.
    pub files: AtomicU64,
    /// Bytes put into the repository.
    pub put_bytes: AtomicU64,
}

/// What a finished writer leaves for the manifest.
#[derive(Clone, Debug)]
pub struct Written {
    /// The tree.
    pub tree: TreeRef,
    /// The public list.
    pub list: ListRef,
    /// What opens it; `None`: it is plain.
    pub encryption: Option<Encryption>,
    /// Bytes of all objects that the snapshot needs.
    pub stored_bytes: u64,
    /// Bytes that this run put.
    pub added_bytes: u64,
    /// The parent that was leaned on, if any.
    pub parent: Option<crate::ParentRef>,
}

/// Takes a tree and writes it. Calls block while the pipeline is full.
pub struct SnapshotWriter {
    batch: Batch,
    filled: usize,
    size: u64,
    open: bool,
    sequence: u64,
    tasks: Option<Sender<Batch>>,
    spare: Receiver<Vec<u8>>,
    workers: Vec<JoinHandle<()>>,
    assembler: Option<JoinHandle<Result<Written, ArchiveError>>>,
    progress: Arc<WriteProgress>,
    cancel: Arc<AtomicBool>,
}

impl SnapshotWriter {
    /// Starts the pipeline's threads. `parent` is the snapshot whose frames may be leaned on; `cancel` ends everything when set.
    ///
    /// Must be called inside no async task; `handle` runs the object store's I/O.
    pub fn start(
        repository: Repository,
        parent: Parent,
        options: &WriterOptions,
        edge: Arc<dyn Edge>,
        handle: Handle,
        cancel: Arc<AtomicBool>,
    ) -> Self {
        let progress = Arc::new(WriteProgress::default());
        let key = parent.hash_key().cloned().unwrap_or_else(|| {
            let mut bytes = [0; 32];
            edge.fill(&mut bytes);
            HashKey::new(bytes)
        });
        let parent = Arc::new(parent);
        let most = usize::try_from(options.memory / (10 << 20))
            .unwrap_or(usize::MAX)
            .max(4);
        let buffers = (options.workers * 2 + 4).min(most);
        let (tasks, task_queue) = bounded::<Batch>(buffers);
        let (done, done_queue) = bounded::<Batch>(buffers);
        let (give_back, spare) = bounded::<Vec<u8>>(buffers);
        for _ in 1..buffers {
            let _ = give_back.try_send(Vec::new());
        }
        let uploader = Uploader::start(repository.objects(), handle, Arc::clone(&progress));
        let workers = (0..options.workers.clamp(1, buffers - 2))
            .map(|_| {
                let (queue, done, parent, level) =
                    (task_queue.clone(), done.clone(), Arc::clone(&parent), options.level);
                let key = key.clone();
                std::thread::spawn(move || work(&queue, &done, &parent, &key, level))
            })
            .collect();
        let assembler = {
            let cancel = Arc::clone(&cancel);
            let (table_bytes, in_order) = (options.memory / 8, options.in_order);
            std::thread::spawn(move || {
                let assembler = Assembler::new(parent, uploader, edge, table_bytes, &key, in_order);
                assembler.run(&done_queue, &give_back, &cancel)
            })
        };
        Self {
            batch: Batch::new(0, Vec::with_capacity(BATCH + BLOCK)),
            filled: 0,
            size: 0,
            open: false,
            sequence: 0,
            tasks: Some(tasks),
            spare,
            workers,
            assembler: Some(assembler),
            progress,
            cancel,
        }
    }

    /// Counters for progress.
    pub fn progress(&self) -> Arc<WriteProgress> {
        Arc::clone(&self.progress)
    }

    /// An entry without content.
    ///
    /// # Errors
    /// [`ArchiveError::Invalid`] for a path that may not stand in a tree, [`ArchiveError::Cancelled`] when the pipeline has
    /// ended; [`Self::finish`] then says why.
    pub fn entry(&mut self, entry: TreeEntry) -> Result<(), ArchiveError> {
        self.check(&entry, false)?;
        self.push(Item::Entry(Box::new(entry)))
    }

    /// Opens a file; its kind must be [`crate::tree::NodeKind::File`], whose size, digest and content are filled in.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn begin_file(&mut self, entry: TreeEntry) -> Result<(), ArchiveError> {
        self.check(&entry, true)?;
        self.open = true;
        self.size = 0;
        self.progress.files.fetch_add(1, Ordering::Relaxed);
        self.push(Item::Begin(Box::new(entry)))
    }

    /// The next bytes of the open file.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        self.grow(bytes.len() as u64)?;
        self.progress
            .read_bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        while !bytes.is_empty() {
            let take = bytes.len().min(BLOCK - self.filled);
            let (head, rest) = bytes.split_at(take);
            self.batch.data.extend_from_slice(head);
            self.filled += take;
            bytes = rest;
            if self.filled == BLOCK {
                self.close_block()?;
            }
        }
        Ok(())
    }

    /// The next `length` bytes of the open file are zeros.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn zeros(&mut self, mut length: u64) -> Result<(), ArchiveError> {
        self.check_open()?;
        static ZEROS: [u8; BLOCK] = [0; BLOCK];
        while length > 0 && (self.filled > 0 || length < BLOCK as u64) {
            let take = length.min((BLOCK - self.filled) as u64);
            self.write(&ZEROS[..usize::try_from(take).unwrap_or(BLOCK)])?;
            length -= take;
        }
        if length > 0 {
            let whole = length / BLOCK as u64;
            self.progress
                .read_bytes
                .fetch_add(whole * BLOCK as u64, Ordering::Relaxed);
            self.grow(whole.saturating_mul(BLOCK as u64))?;
            self.push(Item::ZeroBlocks(whole))?;
            return self.zeros(length % BLOCK as u64);
        }
        Ok(())
    }

    /// Closes the open file.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn end_file(&mut self) -> Result<(), ArchiveError> {
        self.check_open()?;
        if self.filled > 0 {
            self.close_block()?;
        }
        self.open = false;
        self.push(Item::End)
    }

    /// Flushes everything and returns what the manifest needs. No object is missing when this is `Ok`.
    ///
    /// # Errors
    /// Whatever ended the pipeline: storage errors, [`ArchiveError::Cancelled`].
    pub fn finish(mut self) -> Result<Written, ArchiveError> {
        if self.open {
            return Err(ArchiveError::Invalid("a file is still open".to_owned()));
        }
        let sent = self.pass_on(true);
        self.tasks = None;
        let written = self.join()?;
        sent.map(|()| written)
    }

    fn join(&mut self) -> Result<Written, ArchiveError> {
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                return Err(ArchiveError::Invalid(
                    "a worker of the archive pipeline panicked".to_owned(),
                ));
            }
        }
        match self.assembler.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => Err(ArchiveError::Invalid("the archive pipeline panicked".to_owned())),
        }
    }

    /// Why the pipeline ended early, after a call returned an error.
    pub fn abort(mut self) -> ArchiveError {
        self.cancel_pipeline();
        self.join().err().unwrap_or(ArchiveError::Cancelled)
    }

    fn cancel_pipeline(&mut self) {
        self.batch.abandoned = true;
        let batch = std::mem::replace(&mut self.batch, Batch::new(0, Vec::new()));
        if let Some(tasks) = self.tasks.take() {
            let _ = tasks.send(Batch {
                sequence: self.sequence,
                ..batch
            });
        }
    }

    fn check(&self, entry: &TreeEntry, file: bool) -> Result<(), ArchiveError> {
        let path = || String::from_utf8_lossy(&entry.path);
        if self.open {
            return Err(ArchiveError::Invalid(format!(
                "{:?} was given while another file is open",
                path()
            )));
        }
        if file != matches!(entry.kind, NodeKind::File { .. }) {
            return Err(ArchiveError::Invalid(format!(
                "{:?} was given as what it is not",
                path()
            )));
        }
        check_entry(entry)
            .map_err(|reason| ArchiveError::Invalid(format!("{:?} may not stand in a tree: {reason}", path())))
    }

    fn grow(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        self.check_open()?;
        self.size = self.size.saturating_add(bytes);
        if self.size > FILE_MAX {
            return Err(ArchiveError::Invalid(format!("a file is longer than {FILE_MAX} bytes")));
        }
        Ok(())
    }

    fn check_open(&self) -> Result<(), ArchiveError> {
        if self.open {
            Ok(())
        } else {
            Err(ArchiveError::Invalid(
                "bytes were given while no file is open".to_owned(),
            ))
        }
    }

    fn close_block(&mut self) -> Result<(), ArchiveError> {
        let length = std::mem::take(&mut self.filled);
        self.push(Item::Block(length))
    }

    fn push(&mut self, item: Item) -> Result<(), ArchiveError> {
        self.batch.items.push(item);
        self.pass_on(false)
    }

    fn pass_on(&mut self, last: bool) -> Result<(), ArchiveError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(ArchiveError::Cancelled);
        }
        if !last && self.batch.data.len() < BATCH && self.batch.items.len() < BATCH_ITEMS {
            return Ok(());
        }
        self.sequence += 1;
        let mut buffer = self.spare.recv().map_err(|_| ArchiveError::Cancelled)?;
        buffer.clear();
        buffer.reserve(BATCH + BLOCK);
        let batch = std::mem::replace(&mut self.batch, Batch::new(self.sequence, buffer));
        let tasks = self.tasks.as_ref().ok_or(ArchiveError::Cancelled)?;
        tasks.send(batch).map_err(|_| ArchiveError::Cancelled)
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if self.assembler.is_some() {
            self.cancel_pipeline();
            let _ = self.join();
        }
    }
}

impl Repository {
    /// What a new snapshot of a store may lean on: the frames and tree objects of `manifest`, as far as the budget allows.
    ///
    /// # Errors
    /// Where the parent cannot be read; the caller then writes without one.
    pub async fn parent(
        &self,
        manifest: &muster_signing::Verified<Manifest>,
        budget: u64,
    ) -> Result<Parent, ArchiveError> {
        Parent::load(self, manifest, budget).await
    }
}
