//! Tree objects in order, some of them ahead: so that the latency of an object store is paid once and not per object.
//!
//! Invariant: what is read ahead stands for a bounded number of listing entries or pages, however many objects that is.

use std::future::Future;
use std::sync::Arc;

use futures_util::StreamExt as _;
use muster_archive::ArchiveError;
use muster_archive::tree::{Content, Extent, NodeKind, TreeEntry};
use muster_signing::Digest;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::session::Session;

/// Objects that are read at a time, however small.
const AHEAD: usize = 16;
/// Listing leaves that are in memory.
const LEAVES: u32 = 8;
/// MiB of files whose extent maps are in memory.
const MAPPED: u32 = 3 << 10;
/// MiB of a file that one extent map stands for.
const MAP: u64 = 1 << 10;

/// An object to read, and its share of what may be in memory.
type Wanted = (Digest, u32);

struct Read<T> {
    id: Digest,
    object: Result<T, ArchiveError>,
    _share: Option<OwnedSemaphorePermit>,
}

/// Objects in order, each with its id. Blocks where it is iterated; ends early, like the run, when it is cancelled.
pub(crate) struct Ahead<'a, T> {
    session: &'a Session<'a>,
    objects: Receiver<Read<T>>,
}

/// Extent maps, file by file.
pub(crate) type Maps<'a> = Ahead<'a, Vec<Extent>>;

impl<T> Iterator for Ahead<'_, T> {
    type Item = (Digest, Result<T, ArchiveError>);

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.session.wait(self.objects.recv()).ok().flatten()?;
        Some((read.id, read.object))
    }
}

/// Reads listing leaves.
pub(crate) fn leaves<'a>(session: &'a Session<'a>, ids: Vec<Digest>) -> Ahead<'a, Vec<TreeEntry>> {
    let repository = Arc::new(session.repository.clone());
    let wanted = ids.into_iter().map(|id| (id, 1)).collect();
    ahead(session, wanted, LEAVES, move |id| {
        let repository = Arc::clone(&repository);
        async move { repository.read_leaf(&id).await }
    })
}

/// Reads the extent maps of all these files, one file's after the other's.
pub(crate) fn maps<'a>(session: &'a Session<'a>, entries: &[TreeEntry]) -> Maps<'a> {
    let repository = Arc::new(session.repository.clone());
    let wanted = entries.iter().flat_map(maps_of).collect();
    ahead(session, wanted, MAPPED, move |id| {
        let repository = Arc::clone(&repository);
        async move { repository.read_map(&id).await }
    })
}

fn maps_of(entry: &TreeEntry) -> Vec<Wanted> {
    let NodeKind::File {
        size,
        content: Content::Maps(ids),
        ..
    } = &entry.kind
    else {
        return Vec::new();
    };
    let share = |number: usize| {
        let rest = (size >> 20).saturating_sub((number as u64).saturating_mul(MAP));
        u32::try_from(rest.clamp(1, MAP)).unwrap_or(MAPPED)
    };
    ids.iter()
        .enumerate()
        .map(|(number, id)| (*id, share(number)))
        .collect()
}

fn ahead<'a, T, F, R>(session: &'a Session<'a>, wanted: Vec<Wanted>, most: u32, read: R) -> Ahead<'a, T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ArchiveError>> + Send + 'static,
    R: Fn(Digest) -> F + Send + Sync + 'static,
{
    let (give, objects) = channel(1);
    if !wanted.is_empty() {
        session.handle.spawn(async move {
            // First come, first served: the object that is waited for has its share before those behind it.
            let free = Arc::new(Semaphore::new(most as usize));
            let reads = wanted.into_iter().map(|(id, share)| {
                let (reading, free) = (read(id), Arc::clone(&free));
                async move {
                    let share = free.acquire_many_owned(share).await.ok();
                    let object = reading.await;
                    Read {
                        id,
                        object,
                        _share: share,
                    }
                }
            });
            let mut reads = futures_util::stream::iter(reads).buffered(AHEAD);
            while let Some(object) = reads.next().await {
                if give.send(object).await.is_err() {
                    return;
                }
            }
        });
    }
    Ahead { session, objects }
}
