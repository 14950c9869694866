//! What ends a run early: a full disk, a place that panics, a cancel, a writer that is let go. Each is an error that says why, and
//! no thread outlives it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Piece, World, write_file};
use crate::object_store::{
    ErrorKind, ListPage, ListQuery, MemoryStore, ObjectHead, ObjectStore, PutOptions, StorageError,
};
use crate::{ArchiveError, Parent, SnapshotWriter};

/// How writes of packs and trees end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    Whole,
    Full,
    Panics,
}

/// A place in memory whose disk goes bad after some content objects.
#[derive(Debug)]
struct Failing {
    inner: MemoryStore,
    disk: Disk,
    left: AtomicU64,
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put(&self, key: &str, body: Bytes, options: PutOptions) -> Result<(), StorageError> {
        let content = key.starts_with("packs/") || key.starts_with("trees/");
        let left = |left: u64| left.checked_sub(1);
        if self.disk != Disk::Whole
            && content
            && self
                .left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, left)
                .is_err()
        {
            assert!(self.disk == Disk::Full, "the disk is gone");
            return Err(StorageError::new(ErrorKind::NoSpace, key, "write"));
        }
        self.inner.put(key, body, options).await
    }

    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, StorageError> {
        self.inner.get_limited(key, max).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.inner.get_range(key, range).await
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StorageError> {
        self.inner.head(key).await
    }

    async fn list_page(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        self.inner.list_page(query).await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.inner.delete(key).await
    }

    fn url(&self) -> String {
        self.inner.url()
    }

    async fn prepare(&self) -> Result<(), StorageError> {
        self.inner.prepare().await
    }

    fn rely_on_conditional_create(&self, _proven: bool) {}
}

/// Writes files until the writer refuses, and returns it.
fn write_until_refused(writer: &mut SnapshotWriter) {
    for n in 0..40u8 {
        if write_file(writer, &format!("{n:03}"), &[Piece::Noise(n, 8 << 20)]).is_err() {
            return;
        }
    }
}

fn failing(disk: Disk, left: u64) -> (Arc<Failing>, World) {
    let store = Arc::new(Failing {
        inner: MemoryStore::new(),
        disk,
        left: AtomicU64::new(left),
    });
    let world = World::over(Arc::<Failing>::clone(&store));
    (store, world)
}

/// Two are its caller and the repository; a thread of a pipeline would be one more.
fn assert_nobody_holds(store: &Arc<Failing>) {
    assert_eq!(Arc::strong_count(store), 2, "a thread of the pipeline lives on");
}

#[test]
fn a_full_disk_ends_the_run_with_its_own_words_and_no_thread() {
    for left in [0, 1, 2, 5] {
        let (store, world) = failing(Disk::Full, left);
        let mut writer = world.start(Parent::none(), &Arc::default());
        write_until_refused(&mut writer);
        let error = writer.abort();
        assert!(
            matches!(&error, ArchiveError::Storage(error) if error.kind == ErrorKind::NoSpace),
            "{left}: {error}"
        );
        assert_nobody_holds(&store);
    }
}

#[test]
fn a_disk_that_fills_with_the_very_last_objects_is_no_snapshot() {
    let (store, world) = failing(Disk::Full, 1);
    let mut writer = world.start(Parent::none(), &Arc::default());
    write_file(&mut writer, "a", &[Piece::Noise(1, 100_000)]).unwrap();
    let error = writer.finish().unwrap_err();
    assert!(matches!(error, ArchiveError::Storage(_)), "{error}");
    assert_nobody_holds(&store);
}

#[test]
fn a_place_that_panics_is_an_error_and_no_hang() {
    let (store, world) = failing(Disk::Panics, 0);
    let mut writer = world.start(Parent::none(), &Arc::default());
    write_until_refused(&mut writer);
    let _ = writer.abort();
    let mut writer = world.start(Parent::none(), &Arc::default());
    write_file(&mut writer, "a", &[Piece::Noise(1, 100_000)]).unwrap();
    assert!(writer.finish().is_err());
    assert_nobody_holds(&store);
}

#[test]
fn a_writer_that_is_dropped_or_cancelled_leaves_no_thread_and_no_snapshot() {
    let (store, world) = failing(Disk::Whole, 0);
    let mut writer = world.start(Parent::none(), &Arc::default());
    write_file(&mut writer, "a", &[Piece::Noise(1, 50 << 20)]).unwrap();
    drop(writer);
    assert_nobody_holds(&store);
    let cancel = Arc::new(AtomicBool::new(false));
    let mut writer = world.start(Parent::none(), &cancel);
    write_file(&mut writer, "a", &[Piece::Noise(1, 50 << 20)]).unwrap();
    cancel.store(true, Ordering::Relaxed);
    assert!(write_file(&mut writer, "b", &[]).is_err());
    assert!(matches!(writer.abort(), ArchiveError::Cancelled));
    assert_nobody_holds(&store);
    let writer = world.start(Parent::none(), &cancel);
    assert!(matches!(writer.finish(), Err(ArchiveError::Cancelled)));
    assert_nobody_holds(&store);
    assert!(world.runtime.block_on(world.repository.point("db", None)).is_err());
}
