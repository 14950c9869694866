//! From a stream of entries and bytes to packs, trees and lists.
//!
//! One producer cuts blocks into batches; workers hash, look up and compress; one assembler puts them in order again, fills
//! packs and builds the tree; uploaders put objects. Every channel is bounded, so memory is: batches in flight × 2 MiB, packs in
//! flight × 32 MiB, and the parent's table.
//!
//! Invariant: nothing here is a snapshot. Whoever owns the writer commits the manifest when [`SnapshotWriter::finish`] is `Ok`.

mod assemble;
mod base;
mod batch;
mod budget;
mod costs;
mod files;
pub(crate) mod fuzzing;
mod journal;
mod lean;
mod parent;
mod pending;
mod placeholder;
mod sealing;
mod table;
#[cfg(test)]
mod tests;
mod unread;
mod upload;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::runtime::Handle;

use crate::content::{BLOCK, HashKey};
use crate::edge::Edge;
use crate::index::{Cache, FileRecord, IndexReader, IndexWriter, page_size};
use crate::tree::{FILE_MAX, NodeKind, TreeEntry, check_entry};
use crate::{ArchiveError, Encryption, IndexRef, ListRef, Repository, TreeRef};
use assemble::{Assembler, IndexPlace, Setting};
use base::Base;
use batch::{Batch, Begun, Buffers, Item};
use budget::Budget;
pub use costs::{Assumed, RestoreCost};
use files::{MAP, TreeBuilder};
use journal::Journal;
pub use parent::{Indexing, Parent};
use sealing::Sealing;
pub use unread::FileTimes;
use upload::Uploader;
use worker::{Shared, work};

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
    /// Bytes of the source's pages: what changes in place changes by pages.
    pub page: u32,
    /// What is remembered for the next run; `None`: nothing, and the parent is searched by hash where it can be read.
    pub index: Option<Indexing>,
    /// Blocks are looked for anywhere in the parent, not only in their own place: for trees whose files are renamed.
    pub search_moved: bool,
    /// Where packs are noted until the snapshot is committed, for a run that may have to go on.
    pub journal: Option<PathBuf>,
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
            page: 8192,
            index: None,
            search_moved: false,
            journal: None,
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
    /// Bytes that this run put because they are new or changed.
    pub added_bytes: u64,
    /// Bytes that it put again on purpose.
    pub rewritten_bytes: u64,
    /// What a restore of it costs.
    pub restore: RestoreCost,
    /// What is remembered of it.
    pub index: Option<IndexRef>,
    /// The parent that was leaned on, if any.
    pub parent: Option<crate::ParentRef>,
}

/// Takes a tree and writes it. Calls block while the pipeline is full.
pub struct SnapshotWriter {
    batch: Batch,
    filled: usize,
    size: u64,
    open: bool,
    /// Blocks of the open file that were passed on.
    blocks: u64,
    /// What is remembered of the open file, and the segment of it that its blocks are compared with.
    record: Option<Arc<FileRecord>>,
    base: Option<Arc<Base>>,
    /// Nothing said that the open file changed while it was read.
    whole: bool,
    /// What the source told of the file that it is about to give.
    seen: Option<(Vec<u8>, FileTimes)>,
    reader: Option<IndexReader>,
    parent: Arc<Parent>,
    now_ms: u64,
    sequence: u64,
    tasks: Option<Sender<Batch>>,
    spare: Receiver<Buffers>,
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
        let indexing = options.index.as_ref();
        let derived = || indexing.and_then(|indexing| indexing.hash_key(&repository).ok());
        let key = parent.hash_key.clone().or_else(derived).unwrap_or_else(|| {
            let mut bytes = [0; 32];
            edge.fill(&mut bytes);
            HashKey::new(bytes)
        });
        let mut parent = parent;
        let reader = parent.reader.take();
        if !options.search_moved {
            parent.keep_to_places();
        }
        let parent = Arc::new(parent);
        let most = usize::try_from(options.memory / (10 << 20))
            .unwrap_or(usize::MAX)
            .max(4);
        let buffers = (options.workers * 2 + 4).min(most);
        let (tasks, task_queue) = bounded::<Batch>(buffers);
        let (done, done_queue) = bounded::<Batch>(buffers);
        let (give_back, spare) = bounded::<Buffers>(buffers);
        for _ in 1..buffers {
            let _ = give_back.try_send(Buffers::default());
        }
        let journal = options.journal.as_deref().and_then(|path| {
            Journal::open(path, &key, repository.keys().epoch)
                .inspect_err(|error| tracing::warn!(%error, "the run cannot be noted: a second one begins anew"))
                .ok()
        });
        let noted = journal.is_some();
        let uploader = Uploader::start(
            repository.objects(),
            handle.clone(),
            Arc::clone(&progress),
            journal.map(Arc::new),
        );
        let page = page_size(options.page);
        let shared = Arc::new(Shared {
            parent: Arc::clone(&parent),
            key: key.clone(),
            page,
            level: options.level,
            budget: Budget::default(),
        });
        let workers = (0..options.workers.clamp(1, buffers - 2))
            .map(|_| {
                let (queue, done, shared) = (task_queue.clone(), done.clone(), Arc::clone(&shared));
                std::thread::spawn(move || work(&queue, &done, &shared))
            })
            .collect();
        let now_ms = edge.now_ms();
        let sealed = indexing.and_then(|indexing| Some((indexing, indexing.seal(&repository).ok()?)));
        let room = usize::try_from(options.memory / 8).unwrap_or(usize::MAX);
        let index = sealed.map(|(indexing, seal)| {
            (
                indexing,
                IndexWriter::new(seal, key.clone(), now_ms, options.in_order, room),
            )
        });
        let place = index.as_ref().map(|(indexing, _)| IndexPlace {
            store: indexing.store.clone(),
            key: indexing.key.id(),
            cache: Cache::new(repository.state(), &indexing.store),
        });
        let index = index.map(|index| index.1);
        let assembler = {
            let (cancel, parent) = (Arc::clone(&cancel), Arc::clone(&parent));
            let (table_bytes, in_order) = (options.memory / 8, options.in_order);
            std::thread::spawn(move || {
                let sealing = Sealing::begin(repository.clone(), handle, &edge)?;
                let url = repository.url();
                let setting = Setting {
                    parent: Arc::clone(&parent),
                    uploader,
                    edge,
                    table_bytes,
                    url,
                    tree: TreeBuilder::new(&key, page, in_order, repository, index, sealing.tree(), parent),
                    sealing,
                    index: place,
                    journal: noted,
                };
                Assembler::new(setting).run(&done_queue, &give_back, &cancel)
            })
        };
        Self {
            batch: Batch::new(0, Buffers::default()),
            filled: 0,
            size: 0,
            open: false,
            blocks: 0,
            record: None,
            base: None,
            whole: false,
            seen: None,
            reader,
            parent,
            now_ms,
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
        (self.size, self.blocks, self.whole) = (0, 0, true);
        self.progress.files.fetch_add(1, Ordering::Relaxed);
        self.record = self.remembered(&entry.path);
        let times = self
            .seen
            .take()
            .filter(|(path, _)| *path == entry.path)
            .map(|seen| seen.1);
        self.push(Item::Begin(Box::new(Begun {
            ctime: times.map_or((0, 0), |times| times.ctime),
            read_whole: times.map_or(0, |times| self.time_of_reading(&times)),
            entry,
        })))
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
                self.close_block(false)?;
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
        if length == 0 {
            return Ok(());
        }
        let mut whole = length / BLOCK as u64;
        self.progress
            .read_bytes
            .fetch_add(whole * BLOCK as u64, Ordering::Relaxed);
        self.grow(whole.saturating_mul(BLOCK as u64))?;
        while whole > 0 {
            self.begin_segment()?;
            let take = whole.min(MAP as u64 - self.blocks % MAP as u64);
            self.blocks += take;
            whole -= take;
            self.push(Item::ZeroBlocks(take))?;
        }
        self.zeros(length % BLOCK as u64)
    }

    /// Closes the open file.
    ///
    /// # Errors
    /// As [`Self::entry`].
    pub fn end_file(&mut self) -> Result<(), ArchiveError> {
        self.check_open()?;
        if self.filled > 0 {
            let alone = self.size == self.filled as u64;
            self.close_block(alone)?;
        }
        self.open = false;
        (self.record, self.base) = (None, None);
        let whole = self.whole;
        self.push(Item::End { digest: None, whole })
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
        let batch = std::mem::replace(&mut self.batch, Batch::new(0, Buffers::default()));
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

    fn close_block(&mut self, alone: bool) -> Result<(), ArchiveError> {
        let length = std::mem::take(&mut self.filled);
        self.begin_segment()?;
        self.blocks += 1;
        self.push(Item::Block { length, alone })
    }

    /// Says what the blocks of a new segment are compared with.
    fn begin_segment(&mut self) -> Result<(), ArchiveError> {
        if !self.blocks.is_multiple_of(MAP as u64) {
            return Ok(());
        }
        self.base = self.find_base(self.blocks / MAP as u64);
        if self.base.is_some() {
            self.batch.items.push(Item::Base {
                base: self.base.clone(),
                block: 0,
                fresh: true,
            });
        }
        Ok(())
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
        let mut buffers = self.spare.recv().map_err(|_| ArchiveError::Cancelled)?;
        buffers.data.clear();
        buffers.data.reserve(BATCH + BLOCK);
        buffers.stored.clear();
        let batch = std::mem::replace(&mut self.batch, Batch::new(self.sequence, buffers));
        if self.open && self.base.is_some() {
            self.batch.items.push(Item::Base {
                base: self.base.clone(),
                block: u32::try_from(self.blocks % MAP as u64).unwrap_or(0),
                fresh: false,
            });
        }
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
