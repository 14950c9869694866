//! Tree objects in order, a few of them ahead: so that the latency of an object store is paid once and not per object.

use std::future::Future;
use std::sync::Arc;

use futures_util::StreamExt as _;
use muster_archive::ArchiveError;
use muster_archive::tree::{Extent, TreeEntry};
use muster_signing::Digest;
use tokio::sync::mpsc::{Receiver, channel};

use crate::session::Session;

/// Listing leaves that are read ahead.
const LEAVES_AHEAD: usize = 8;
/// Extent maps that are read ahead: each stands for 1 GiB.
const MAPS_AHEAD: usize = 3;

/// Objects in order, each with its id. Blocks where it is iterated; ends early, like the run, when it is cancelled.
pub(crate) struct Ahead<'a, T> {
    session: &'a Session<'a>,
    objects: Receiver<(Digest, Result<T, ArchiveError>)>,
}

impl<T> Iterator for Ahead<'_, T> {
    type Item = (Digest, Result<T, ArchiveError>);

    fn next(&mut self) -> Option<Self::Item> {
        self.session.wait(self.objects.recv()).ok().flatten()
    }
}

/// Reads listing leaves.
pub(crate) fn leaves<'a>(session: &'a Session<'a>, ids: Vec<Digest>) -> Ahead<'a, Vec<TreeEntry>> {
    let repository = Arc::new(session.repository.clone());
    ahead(session, ids, LEAVES_AHEAD, move |id| {
        let repository = Arc::clone(&repository);
        async move { repository.read_leaf(&id).await }
    })
}

/// Reads extent maps.
pub(crate) fn maps<'a>(session: &'a Session<'a>, ids: Vec<Digest>) -> Ahead<'a, Vec<Extent>> {
    let repository = Arc::new(session.repository.clone());
    ahead(session, ids, MAPS_AHEAD, move |id| {
        let repository = Arc::clone(&repository);
        async move { repository.read_map(&id).await }
    })
}

fn ahead<'a, T, F, R>(session: &'a Session<'a>, ids: Vec<Digest>, most: usize, read: R) -> Ahead<'a, T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ArchiveError>> + Send + 'static,
    R: Fn(Digest) -> F + Send + Sync + 'static,
{
    let (give, objects) = channel(1);
    session.handle.spawn(async move {
        let reads = ids.into_iter().map(|id| {
            let reading = read(id);
            async move { (id, reading.await) }
        });
        let mut reads = futures_util::stream::iter(reads).buffered(most);
        while let Some(object) = reads.next().await {
            if give.send(object).await.is_err() {
                return;
            }
        }
    });
    Ahead { session, objects }
}
