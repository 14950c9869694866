//! Logs that several processes, clones and forgetful hosts write, and hosts that somebody shows another past.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use muster_signing::{Checkpoint, Digest, PublicKey, Role, merkle};
use tokio::task::yield_now;

use super::World;
use crate::ledger::{self, Appended, Log, LogEvent, Place};
use crate::object_store::{ListPage, ListQuery, MemoryStore, ObjectHead, ObjectStore, PutOptions, StorageError};
use crate::{ArchiveError, LocalState, Repository, layout};

pub(super) fn snapshot(sequence: u64) -> LogEvent {
    LogEvent::Snapshot {
        store: "db".to_owned(),
        snapshot: format!("01K{sequence:023}"),
        sequence,
        manifest: Digest::of(&sequence.to_le_bytes()),
    }
}

/// A host with its own memory: a process, a container or a clone.
pub(super) struct Host<'a> {
    world: &'a World,
    objects: Arc<dyn ObjectStore>,
    repository: &'a Repository,
    state: tempfile::TempDir,
    conditional_create: bool,
}

impl<'a> Host<'a> {
    pub(super) fn new(world: &'a World, repository: &'a Repository, conditional_create: bool) -> Self {
        Self {
            world,
            objects: Arc::clone(&world.objects),
            repository,
            state: tempfile::tempdir().unwrap(),
            conditional_create,
        }
    }

    /// The same host, with this place before the objects.
    pub(super) fn through(self, objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, ..self }
    }

    /// Another machine with the same disk image.
    fn cloned(&self) -> Self {
        let clone = Self::new(self.world, self.repository, self.conditional_create);
        let (from, to) = (self.local().dir().join("heads"), clone.local().dir().join("heads"));
        std::fs::create_dir_all(&to).unwrap();
        for file in std::fs::read_dir(from).unwrap().flatten() {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
        clone
    }

    fn local(&self) -> LocalState {
        LocalState::new(self.state.path(), self.repository.id())
    }

    pub(super) async fn log(&self, events: &[LogEvent]) -> Result<Appended, ArchiveError> {
        let cited: [PublicKey; 1] = [self.world.writer.public()];
        let state = self.local();
        let place = Place {
            store: &self.objects,
            repository: self.repository.id(),
            state: &state,
            conditional_create: self.conditional_create,
            cited: &cited,
        };
        ledger::append(&place, &self.world.writer, None, events, &*self.world.edge).await
    }

    pub(super) fn wait(&self, events: &[LogEvent]) -> Appended {
        self.world.runtime.block_on(self.log(events)).unwrap()
    }
}

/// The sequences that the logs hold, all incarnations, and the newest one's.
pub(super) fn logged(world: &World, repository: &Repository) -> (Vec<u64>, Option<u64>) {
    let fresh = tempfile::tempdir().unwrap();
    let stranger = world.open(Some(&world.root.public()), fresh.path()).unwrap();
    assert_eq!(stranger.id(), repository.id());
    let points = world.runtime.block_on(stranger.points()).unwrap();
    let points = points.get("db").map_or(&[][..], Vec::as_slice);
    let latest = world.runtime.block_on(stranger.latest()).unwrap();
    (
        points.iter().map(|point| point.sequence).collect(),
        latest.get("db").map(|point| point.sequence),
    )
}

#[test]
fn eight_processes_of_one_writer_share_one_log_and_lose_nothing() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let host = |_| Host {
        objects: Stalled::before(&world, &repository, false),
        ..Host::new(&world, &repository, true)
    };
    let hosts: Vec<Host<'_>> = (0..8).map(host).collect();
    hosts[0].wait(&[snapshot(1)]);
    world.runtime.block_on(async {
        let of_host = |at: u64| {
            let host = &hosts[usize::try_from(at).unwrap()];
            async move {
                // Singly, and several at once, which must not pass each other by.
                let begin = 2 + at * 6;
                for numbers in [begin..begin + 1, begin + 1..begin + 3, begin + 3..begin + 6] {
                    host.log(&numbers.map(snapshot).collect::<Vec<_>>()).await.unwrap();
                }
            }
        };
        futures_util::future::join_all((0..8).map(of_host)).await;
    });
    assert_eq!(logged(&world, &repository), ((1..=49).collect(), Some(49)));
}

#[test]
fn a_clone_opens_an_incarnation_of_its_own_where_nothing_else_keeps_them_apart() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let first = Host::new(&world, &repository, false);
    let origin = first.wait(&[snapshot(1)]);
    let clone = first.cloned();
    assert_eq!(first.wait(&[snapshot(2)]).incarnation, origin.incarnation);
    let other = clone.wait(&[snapshot(3)]);
    assert!(other.incarnation < origin.incarnation, "the newest sorts first");
    first.wait(&[snapshot(4)]);
    clone.wait(&[snapshot(5)]);
    assert_eq!(logged(&world, &repository), (vec![1, 2, 3, 4, 5], Some(5)));
    let checked = world.runtime.block_on(repository.check_ledger()).unwrap();
    let damaged: Vec<String> = checked.damaged.iter().map(ToString::to_string).collect();
    assert!(damaged.iter().all(|error| error.contains("snapshots/")), "{damaged:?}");
}

#[test]
fn a_host_that_lost_its_memory_goes_on_where_conditional_create_was_proven() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let origin = Host::new(&world, &repository, true).wait(&[snapshot(1)]);
    let after = Host::new(&world, &repository, true).wait(&[snapshot(2)]);
    assert_eq!((after.incarnation, after.index), (origin.incarnation.clone(), 2));
    let unproven = Host::new(&world, &repository, false).wait(&[snapshot(3)]);
    assert_ne!(unproven.incarnation, origin.incarnation);
    assert_eq!(logged(&world, &repository), (vec![1, 2, 3], Some(3)));
}

#[test]
fn a_host_that_read_a_head_and_did_not_make_it_goes_on_from_it_only_where_conditional_create_was_proven() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let origin = Host::new(&world, &repository, false).wait(&[snapshot(1)]);
    for (sequence, conditional_create) in [(2, true), (3, false)] {
        let reader = Host::new(&world, &repository, conditional_create);
        let opened = world.open(Some(&world.root.public()), reader.state.path()).unwrap();
        world.runtime.block_on(opened.latest()).unwrap();
        let after = reader.wait(&[snapshot(sequence)]);
        assert_eq!(after.incarnation == origin.incarnation, conditional_create);
        assert_eq!(reader.wait(&[snapshot(sequence + 10)]).incarnation, after.incarnation);
    }
    assert_eq!(logged(&world, &repository), (vec![1, 2, 3, 12, 13], Some(13)));
}

#[test]
fn the_last_bundle_says_what_is_newest_of_every_store_across_bundles_and_incarnations() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let host = Host::new(&world, &repository, true);
    host.wait(&[snapshot(7)]);
    let other = |sequence| LogEvent::Audit {
        bundle: Digest::of(format!("{sequence}").as_bytes()),
    };
    // Singly and in one go, so that both ways over the edge of a bundle are taken.
    for count in [250, 1, 1, 1, 1, 1, 1, 1, 600, 1] {
        host.wait(&(0..count).map(other).collect::<Vec<_>>());
        assert_eq!(logged(&world, &repository).1, Some(7));
    }
    Host::new(&world, &repository, false).wait(&[other(0)]);
    assert_eq!(logged(&world, &repository), (vec![7], Some(7)));
    let checked = world.runtime.block_on(repository.check_ledger()).unwrap();
    assert_eq!(checked.logs.len(), 2);
    let damaged: Vec<String> = checked.damaged.iter().map(ToString::to_string).collect();
    assert_eq!(damaged.len(), 1, "only the manifest that never was: {damaged:?}");
}

#[test]
fn a_writer_logs_each_key_document_before_the_first_snapshot_under_it() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let tree = [("dir/a", vec![7; 1000])];
    world.snapshot(&repository, "01K00000000000000000000001", 1, &tree);
    world.snapshot(&repository, "01K00000000000000000000002", 2, &tree);
    let second = World {
        writer: muster_signing::SecretKey::generate([20; 32]),
        objects: Arc::clone(&world.objects),
        ..World::new()
    };
    second.init().unwrap();
    let repository = world.open(Some(&world.root.public()), world.state.path()).unwrap();
    assert_eq!(repository.keys().epoch, 2);
    world.snapshot(&repository, "01K00000000000000000000003", 3, &tree);
    let logs = world.runtime.block_on(repository.logs(Role::Writer)).unwrap();
    let events = logs[0].parsed().map(|(_, entry)| match entry.event {
        LogEvent::Keys { epoch, .. } => format!("keys {epoch}"),
        LogEvent::Snapshot { sequence, .. } => format!("snapshot {sequence}"),
        _ => "opened".to_owned(),
    });
    let events: Vec<String> = events.collect();
    assert_eq!(
        events,
        ["opened", "keys 1", "snapshot 1", "snapshot 2", "keys 2", "snapshot 3"]
    );
    let checked = world.runtime.block_on(repository.check_ledger()).unwrap();
    assert!(
        checked.damaged.is_empty() && checked.snapshots == 3,
        "{:?}",
        checked.damaged
    );
}

/// What a check says after the writer signed its newest log again, without what was the newest at `index`.
fn after_leaving_out(index: usize, incarnations: usize) -> Vec<String> {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let filler = LogEvent::Audit {
        bundle: Digest::of(b""),
    };
    for number in 0..incarnations {
        let host = Host::new(&world, &repository, number == 0);
        host.wait(&[vec![snapshot(1 + number as u64)], vec![filler.clone(); 300]].concat());
    }
    let check = || {
        let fresh = tempfile::tempdir().unwrap();
        let stranger = world.open(Some(&world.root.public()), fresh.path()).unwrap();
        let checked = world.runtime.block_on(stranger.check_ledger()).unwrap();
        let damaged = checked.damaged.iter().map(ToString::to_string);
        damaged.filter(|error| error.starts_with("the log")).collect::<Vec<_>>()
    };
    assert_eq!(check(), Vec::<String>::new());
    let logs = world.runtime.block_on(repository.logs(Role::Writer)).unwrap();
    let log = logs.into_iter().next().unwrap();
    let entries = log.entries.iter().enumerate().map(|(at, bytes)| {
        let mut value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        if at == index {
            value.as_object_mut().unwrap().remove("last").unwrap();
        }
        value.to_string().into_bytes()
    });
    for name in world.keys() {
        if name.starts_with(&format!("{}/", log.name())) {
            world.runtime.block_on(world.objects.delete(&name)).unwrap();
        }
    }
    rewrite(&world, repository.id(), &log, &entries.collect::<Vec<_>>());
    check()
}

#[test]
fn a_writer_that_leaves_the_newest_out_of_what_it_carries_on_is_found() {
    let found = after_leaving_out(256, 1);
    assert!(found.len() == 1 && found[0].contains("says at index 256"), "{found:?}");
    let found = after_leaving_out(0, 2);
    assert!(found.len() == 1 && found[0].contains("does not carry on"), "{found:?}");
}

#[test]
fn a_past_that_was_rewritten_and_grew_is_refused_by_a_host_that_saw_the_other_one() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let writer = Host::new(&world, &repository, true);
    writer.wait(&(1..=300).map(snapshot).collect::<Vec<_>>());
    // What an attacker with the writer's key shows: the same log up to there, and another entry from there on.
    let forked = World {
        objects: copy_of(&world),
        state: tempfile::tempdir().unwrap(),
        ..World::new()
    };
    let saw = tempfile::tempdir().unwrap();
    writer.wait(&[snapshot(301)]);
    let honest = world.open(Some(&world.root.public()), saw.path()).unwrap();
    world.runtime.block_on(honest.latest()).unwrap();
    let attacker = Host {
        objects: Arc::clone(&forked.objects),
        ..Host::new(&world, &repository, true)
    };
    attacker.wait(&(400..=1000).map(snapshot).collect::<Vec<_>>());
    let shown = forked.open(Some(&world.root.public()), saw.path()).unwrap();
    let error = forked.runtime.block_on(shown.latest()).unwrap_err();
    assert!(error.to_string().contains("its first 302 entries differ"), "{error}");
    let stranger = tempfile::tempdir().unwrap();
    let stranger = forked.open(Some(&world.root.public()), stranger.path()).unwrap();
    assert!(
        forked.runtime.block_on(stranger.latest()).is_ok(),
        "who saw nothing cannot know"
    );
}

#[test]
fn a_log_that_was_removed_whole_is_missed_by_a_host_that_saw_it() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    Host::new(&world, &repository, true).wait(&[snapshot(1)]);
    world.runtime.block_on(repository.latest()).unwrap();
    for key in world.keys().into_iter().filter(|key| key.starts_with(layout::LEDGER)) {
        world.runtime.block_on(world.objects.delete(&key)).unwrap();
    }
    let error = world.runtime.block_on(repository.latest()).unwrap_err();
    assert!(error.to_string().contains("is gone"), "{error}");
}

#[test]
fn an_entry_of_one_that_was_taken_for_dead_still_comes_to_stand_where_readers_look() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    Host::new(&world, &repository, true).wait(&[snapshot(1)]);
    let host = Host {
        objects: Stalled::before(&world, &repository, true),
        ..Host::new(&world, &repository, true)
    };
    host.wait(&[snapshot(2)]);
    let (all, latest) = logged(&world, &repository);
    assert_eq!((all, latest), (vec![1, 2, 9], Some(9)));
    let heads = world.runtime.block_on(repository.heads(Role::Writer)).unwrap();
    let newest = heads[0].checkpoint.size;
    assert_eq!(newest, 3, "opened, nine, and two once more");
}

#[test]
fn one_that_died_while_it_opened_a_log_by_a_clock_that_was_ahead_stops_nobody() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let host = Host::new(&world, &repository, true);
    let origin = host.wait(&[snapshot(1)]);
    let dead = "0000010000000000-00000000";
    let bundle = format!(
        "{}{dead}/tile/entries/000.p/1",
        layout::log(&world.writer.public().id())
    );
    let put = world.objects.put(&bundle, Bytes::from("x"), PutOptions::CREATE);
    world.runtime.block_on(put).unwrap();
    let after = host.wait(&[snapshot(2)]);
    assert!(*after.incarnation < *dead, "readers look in the first one");
    assert_eq!(host.wait(&[snapshot(3)]), Appended { index: 2, ..after });
    assert_eq!(logged(&world, &repository), (vec![1, 2, 3], Some(3)));
    let logs = world.runtime.block_on(repository.logs(Role::Writer)).unwrap();
    let old = logs.iter().find(|log| log.incarnation == origin.incarnation);
    assert!(old.unwrap().entries.len() <= 3, "said once and not again and again");
}

#[test]
fn a_snapshot_that_is_logged_again_in_a_newer_incarnation_is_as_new_as_its_head_says() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let other = LogEvent::Snapshot {
        store: "db".to_owned(),
        snapshot: "01K00000000000000000000009".to_owned(),
        sequence: 2,
        manifest: Digest::of(b"other"),
    };
    let (first, second) = (
        Host::new(&world, &repository, false),
        Host::new(&world, &repository, false),
    );
    first.wait(&[snapshot(2)]);
    second.wait(&[other]);
    let again = second.wait(&[snapshot(2)]);
    let newest = world
        .runtime
        .block_on(repository.latest())
        .unwrap()
        .remove("db")
        .unwrap();
    assert_eq!(
        (&newest.entry.incarnation, newest.entry.index),
        (&again.incarnation, again.index)
    );
    let points = world
        .runtime
        .block_on(repository.points())
        .unwrap()
        .remove("db")
        .unwrap();
    assert_eq!((points.len(), points.last()), (2, Some(&newest)));
}

/// Signs other entries as the whole of a log.
fn rewrite(world: &World, repository: &str, log: &Log, entries: &[Vec<u8>]) {
    let base = format!("{}/", log.name());
    let put = |name: &str, bytes: Vec<u8>| {
        let key = format!("{base}{name}");
        let put = world.objects.put(&key, Bytes::from(bytes), PutOptions::CREATE);
        world.runtime.block_on(put).unwrap();
    };
    for (number, bundle) in entries.chunks(256).enumerate() {
        let bytes = bundle
            .iter()
            .flat_map(|entry| [&u16::try_from(entry.len()).unwrap().to_be_bytes()[..], entry].concat());
        let partial = if bundle.len() < 256 {
            format!(".p/{}", bundle.len())
        } else {
            String::new()
        };
        put(&format!("tile/entries/{number:03}{partial}"), bytes.collect());
    }
    let leaves: Vec<Digest> = entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
    let head = Checkpoint {
        origin: ledger::origin(repository, &log.incarnation),
        size: entries.len() as u64,
        root: merkle::root(&leaves),
    };
    put("checkpoint", head.sign(&world.writer).unwrap().into_bytes());
}

fn copy_of(world: &World) -> Arc<dyn ObjectStore> {
    let copy: Arc<dyn ObjectStore> = Arc::new(MemoryStore::new());
    for key in world.keys() {
        let bytes = world.runtime.block_on(world.objects.get(&key)).unwrap();
        world
            .runtime
            .block_on(copy.put(&key, bytes, PutOptions::CREATE))
            .unwrap();
    }
    copy
}

/// A place that lets others go first at each request, and where a process stalls before it moves a checkpoint, so long that another
/// takes it for dead.
#[derive(Debug)]
pub(super) struct Stalled {
    inner: Arc<dyn ObjectStore>,
    meanwhile: std::path::PathBuf,
    repository: String,
    key: muster_signing::SecretKey,
    once: AtomicBool,
}

impl Stalled {
    pub(super) fn before(world: &World, repository: &Repository, stalls: bool) -> Arc<dyn ObjectStore> {
        Arc::new(Self {
            inner: Arc::clone(&world.objects),
            meanwhile: Host::new(world, repository, true).state.keep(),
            repository: repository.id().to_owned(),
            key: muster_signing::SecretKey::generate([2; 32]),
            once: AtomicBool::new(!stalls),
        })
    }
}

#[async_trait]
impl ObjectStore for Stalled {
    async fn put(&self, key: &str, body: Bytes, options: PutOptions) -> Result<(), StorageError> {
        if key.ends_with("/checkpoint") && !self.once.swap(true, Ordering::SeqCst) {
            let state = LocalState::new(&self.meanwhile, &self.repository);
            let cited = [self.key.public()];
            let place = Place {
                store: &self.inner,
                repository: &self.repository,
                state: &state,
                conditional_create: true,
                cited: &cited,
            };
            let edge = super::Counting(std::sync::atomic::AtomicU64::new(1 << 20));
            ledger::append(&place, &self.key, None, &[snapshot(9)], &edge)
                .await
                .unwrap();
        }
        yield_now().await;
        self.inner.put(key, body, options).await
    }

    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, StorageError> {
        yield_now().await;
        self.inner.get_limited(key, max).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.inner.get_range(key, range).await
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StorageError> {
        self.inner.head(key).await
    }

    async fn list_page(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        yield_now().await;
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

    fn rely_on_conditional_create(&self, proven: bool) {
        self.inner.rely_on_conditional_create(proven);
    }
}
