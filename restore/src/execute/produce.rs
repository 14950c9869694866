//! The thread that walks the listing: directories at once, files into windows of reads, everything else for later.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, unbounded};
use muster_archive::tree::{Content, Extent, NodeKind, TreeEntry, blocks};
use muster_archive::{ArchiveError, Repository, layout};
use muster_signing::Digest;
use rustix::io::Errno;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Run;
use super::later::Later;
use super::work::Worker;
use crate::RestoreError;
use crate::attributes::Attributes;
use crate::content::{ContentCheck, Sum};
use crate::files::FileTask;
use crate::loss::{LossKind, Lost, with_causes};
use crate::reading::{self, Maps};
use crate::window::{Job, Window};

/// Bytes of packs that may be in memory, in KiB.
const IN_FLIGHT: u32 = 64 << 10;
/// Reads in a row without an answer after which no more are tried.
const GIVE_UP: u32 = 8;
/// Logical bytes of an extent map.
const MAP: u64 = 1 << 30;

/// A job with what it needs.
pub(super) struct Ready {
    pub(super) job: Job,
    pub(super) fetched: Option<Result<Bytes, ArchiveError>>,
    pub(super) _permit: OwnedSemaphorePermit,
}

impl Run<'_> {
    /// Brings all bytes back; returns what is to be made and set when they are there.
    pub(super) fn move_bytes(&self) -> Result<Later, RestoreError> {
        let cores = || std::thread::available_parallelism().map_or(2, usize::from);
        let workers = self.plan.options.workers.unwrap_or_else(cores).max(1);
        let mut worker_list = Vec::with_capacity(workers);
        for _ in 0..workers {
            worker_list.push(Worker::new(self)?);
        }
        let later = std::thread::scope(|scope| {
            let (give, ready): (Sender<Ready>, Receiver<Ready>) = unbounded();
            for mut worker in worker_list {
                let ready = ready.clone();
                scope.spawn(move || worker.run(&ready));
            }
            let mut producer = Producer {
                run: self,
                give,
                window: Window::default(),
                in_flight: Arc::new(Semaphore::new(IN_FLIGHT as usize)),
                later: Later::default(),
                repository: Arc::new(self.session.repository.clone()),
            };
            let walked = producer.walk();
            walked.map(|()| producer.later)
        });
        self.outcome()?;
        later
    }
}

struct Producer<'a> {
    run: &'a Run<'a>,
    give: Sender<Ready>,
    window: Window,
    in_flight: Arc<Semaphore>,
    later: Later,
    repository: Arc<Repository>,
}

impl Producer<'_> {
    fn walk(&mut self) -> Result<(), RestoreError> {
        let run = self.run;
        let walked = run.plan.each_leaf(run.session, |leaf| match leaf {
            Err(lost) => {
                run.lose(lost);
                Ok(())
            }
            Ok(entries) => {
                let entries: Vec<TreeEntry> = entries.into_iter().filter_map(|entry| run.plan.select(entry)).collect();
                let mut maps = reading::maps(run.session, &entries);
                entries.into_iter().try_for_each(|entry| self.entry(entry, &mut maps))
            }
        });
        let sent = walked.and_then(|()| self.send_window());
        if sent.is_err() {
            // Workers let go of what waits for them.
            run.stopped.store(true, Ordering::Relaxed);
        }
        sent
    }

    fn entry(&mut self, entry: TreeEntry, maps: &mut Maps<'_>) -> Result<(), RestoreError> {
        if self.run.is_stopped() {
            return Err(RestoreError::Cancelled);
        }
        match entry.kind {
            NodeKind::Directory => self.directory(entry),
            NodeKind::File { .. } => self.file(entry, maps),
            _ => {
                self.later.names.push(entry);
                Ok(())
            }
        }
    }

    fn directory(&mut self, entry: TreeEntry) -> Result<(), RestoreError> {
        let target = self.run.target;
        let made = match target.make_directory(&entry.path) {
            // An earlier run of this restore may have given it its mode.
            Err(Errno::EXIST) if target.is_resumed() => target
                .unlock(&entry.path)
                .and_then(|()| target.open_directory(&entry.path).map(drop)),
            Err(Errno::NOENT) => target
                .make_parents(&entry.path)
                .and_then(|()| target.make_directory(&entry.path)),
            // A stand-in for a hard link was there first, and made its parents.
            Err(Errno::EXIST) => target.open_directory(&entry.path).map(drop),
            made => made,
        };
        match made {
            Ok(()) => {
                self.later
                    .directories
                    .push((entry.path.clone(), Attributes::of(&entry)));
                Ok(())
            }
            Err(error @ (Errno::EXIST | Errno::LOOP | Errno::NOTDIR | Errno::XDEV)) => {
                let reason = format!("{}: {}", super::strange(error), std::io::Error::from(error));
                self.run.lose(Lost::new(
                    &entry.path,
                    0,
                    0,
                    self.run.plan.listing(),
                    &reason,
                    LossKind::Damaged,
                ));
                Ok(())
            }
            Err(error) => Err(self.run.target_error(&entry.path, error)),
        }
    }

    /// `maps` gives those of this file next.
    fn file(&mut self, entry: TreeEntry, maps: &mut Maps<'_>) -> Result<(), RestoreError> {
        let attributes = Attributes::of(&entry);
        let TreeEntry { path, kind, .. } = entry;
        let NodeKind::File {
            sparse,
            size,
            digest,
            content,
        } = kind
        else {
            return Ok(());
        };
        let staged = self.later.stage(&self.run.plan.kind, &path, &attributes);
        let task = Arc::new(FileTask::new(path, staged, size, sparse, attributes));
        if self.run.target.is_resumed()
            && let Err(error) = self.run.take_up(&task)
        {
            self.run.target_failed(&task, error);
        }
        let mut check = ContentCheck::new(&self.run.plan.hash_key, size);
        let mut whole = true;
        match content {
            Content::Inline(extents) => whole = self.extents(&task, &mut check, &extents)?,
            Content::Maps(ids) => {
                for (number, (id, map)) in maps.by_ref().take(ids.len()).enumerate() {
                    self.run.traffic.tree();
                    match map {
                        Ok(extents) if whole => whole = self.extents(&task, &mut check, &extents)?,
                        Ok(extents) => self.extents_after_gap(&task, number, &extents)?,
                        Err(error) => {
                            whole = false;
                            self.lose_map(&task, number, &id, &error);
                        }
                    }
                }
            }
        }
        self.run.session.check()?;
        if whole {
            match check.finish(&digest) {
                Sum::Right => {}
                Sum::ReadBack => task.read_back(digest),
                Sum::Wrong => self.contradicts(&task),
            }
        }
        if task.piece_done() {
            self.window.finish(task);
        }
        if self.window.is_full() {
            self.send_window()
        } else {
            Ok(())
        }
    }

    /// Takes the next extents of a file; `false` when they do not fit it.
    fn extents(
        &mut self,
        task: &Arc<FileTask>,
        check: &mut ContentCheck,
        extents: &[Extent],
    ) -> Result<bool, RestoreError> {
        for block in blocks(extents) {
            let mut begin = None;
            for extent in block {
                let Some(offset) = check.next(extent) else {
                    self.contradicts(task);
                    return Ok(false);
                };
                begin.get_or_insert(offset);
            }
            self.window.add(task, begin.unwrap_or_default(), block);
        }
        if self.window.is_full() {
            self.send_window()?;
        }
        Ok(true)
    }

    /// Takes the extents of a map after one that is lost: each map but the last covers 1 GiB, so their place is known.
    fn extents_after_gap(
        &mut self,
        task: &Arc<FileTask>,
        number: usize,
        extents: &[Extent],
    ) -> Result<(), RestoreError> {
        let mut offset = (number as u64).saturating_mul(MAP);
        for block in blocks(extents) {
            let length = block.iter().map(|extent| extent.length).sum();
            if offset.saturating_add(length) > task.size {
                self.contradicts(task);
                return Ok(());
            }
            self.window.add(task, offset, block);
            offset += length;
        }
        if self.window.is_full() {
            self.send_window()
        } else {
            Ok(())
        }
    }

    fn contradicts(&self, task: &FileTask) {
        let reason = "the listing contradicts itself: its extents do not make up the file's digest";
        self.run
            .lose_file(task, self.run.plan.listing(), reason, LossKind::Damaged);
    }

    fn lose_map(&self, task: &FileTask, number: usize, id: &Digest, error: &ArchiveError) {
        let offset = (number as u64).saturating_mul(MAP);
        let length = MAP.min(task.size.saturating_sub(offset));
        task.mark_lost();
        let reason = with_causes(error);
        self.run.lose(Lost::new(
            &task.path,
            offset,
            length,
            layout::tree(id),
            &reason,
            LossKind::of(error),
        ));
    }

    fn send_window(&mut self) -> Result<(), RestoreError> {
        if self.run.target.is_resumed() {
            let run = self.run;
            self.window.sieve(|pieces| run.sieve(pieces));
        }
        for job in self.window.take_jobs() {
            if self.run.is_stopped() {
                return Err(RestoreError::Cancelled);
            }
            self.send(job)?;
        }
        Ok(())
    }

    /// Gives a job to the workers, its bytes fetched. Waits while too much is in flight.
    fn send(&self, job: Job) -> Result<(), RestoreError> {
        let session = self.run.session;
        let length = match &job {
            Job::Read { start, end, .. } => end - start,
            _ => 0,
        };
        let share = u32::try_from(length.div_ceil(1024).max(1))
            .unwrap_or(u32::MAX)
            .min(IN_FLIGHT);
        let waiting = Arc::clone(&self.in_flight).acquire_many_owned(share);
        let permit = session.wait(waiting)?.map_err(|_| RestoreError::Cancelled)?;
        let give = self.give.clone();
        let given_up = self.run.unanswered.load(Ordering::Relaxed) >= GIVE_UP;
        match &job {
            Job::Read { pack, start, end, .. } if !given_up => {
                let (repository, pack, range) = (Arc::clone(&self.repository), *pack, *start..*end);
                session.handle.spawn(async move {
                    let fetched = Some(repository.read_pack_range(&pack, range).await);
                    // Nobody listens any more when the run has failed.
                    let _ = give.send(Ready {
                        job,
                        fetched,
                        _permit: permit,
                    });
                });
            }
            _ => {
                let _ = give.send(Ready {
                    job,
                    fetched: None,
                    _permit: permit,
                });
            }
        }
        Ok(())
    }
}
