//! The simulated server: it keeps the contract in every kind of bucket, and its faults are the ones it promises.

#![expect(clippy::expect_used, reason = "a test ends at the first surprise")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use muster_archive::object_store::{ErrorKind, LockMode, PutOptions, Retention, probe_conditional_create};
use muster_archive::{Edge, InitOptions, Repository};
use muster_signing::{KeyEntry, Role, SecretKey};
use muster_testkit::contract;
use muster_testkit::sim::{Bucket, Fate, Held, Moment, Sim, Stall, Weather, crowd, race};
use time::OffsetDateTime;

const NOW: u64 = 1_800_000_000_000;

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000 + seconds).expect("a date")
}

async fn kind<T: std::fmt::Debug>(
    call: impl Future<Output = Result<T, muster_archive::object_store::StorageError>>,
) -> ErrorKind {
    call.await.expect_err("it is refused").kind
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_bucket_of_each_kind_keeps_the_contract() {
    for bucket in [Bucket::PLAIN, Bucket::LOCKED] {
        contract::check(Sim::new(1, bucket, NOW).process("one").store()).await;
    }
}

#[tokio::test]
async fn a_server_that_ignores_conditions_is_found_out() {
    let ignorant = Bucket {
        conditional: false,
        ..Bucket::PLAIN
    };
    for (bucket, proven) in [(Bucket::PLAIN, true), (ignorant, false)] {
        let store = Sim::new(1, bucket, NOW).process("one").store();
        assert_eq!(probe_conditional_create(&*store, "x").await.expect("probe"), proven);
    }
}

#[tokio::test]
async fn a_lock_outlives_overwriting_hiding_and_deleting_and_ends_by_the_servers_clock() {
    let sim = Sim::new(1, Bucket::LOCKED, NOW);
    let store = sim.process("one").store();
    let day = Retention {
        mode: LockMode::Compliance,
        until: at(86_400),
    };
    let put = |body: &'static str, lock| store.put("a", Bytes::from(body), PutOptions::OVERWRITE.held(lock));
    put("first", Some(day)).await.expect("put");
    put("second", None).await.expect("overwrite");
    store.delete("a").await.expect("hide");
    assert_eq!(kind(store.get("a")).await, ErrorKind::NotFound);
    let versions = store.versions("a").await.expect("versions");
    let shown: Vec<(bool, bool, u64)> = versions.iter().map(|v| (v.newest, v.delete_marker, v.size)).collect();
    assert_eq!(shown, [(true, true, 0), (false, false, 6), (false, false, 5)]);
    let first = &versions[2].id;
    assert_eq!(store.get_version("a", first, 9).await.expect("version"), "first");
    assert_eq!(kind(store.delete_version("a", first)).await, ErrorKind::Denied);
    sim.wait(Duration::from_secs(86_401));
    store.delete_version("a", first).await.expect("the lock has ended");
    assert_eq!(kind(store.get_version("a", first, 9)).await, ErrorKind::NotFound);

    let plain = Sim::new(1, Bucket::PLAIN, NOW).process("one").store();
    let held = PutOptions::CREATE.held(Some(day));
    assert_eq!(kind(plain.put("a", Bytes::new(), held)).await, ErrorKind::NotHeld);
}

#[tokio::test]
async fn a_process_dies_where_it_is_told_to_and_never_speaks_again() {
    for (fate, left) in [
        (Fate::Before, None),
        (Fate::After, Some("body")),
        (Fate::Torn, Some("bo")),
    ] {
        let sim = Sim::new(1, Bucket::PLAIN, NOW);
        let victim = sim.process("victim");
        let seen = std::sync::Arc::new(std::sync::Mutex::new(None));
        let (view, there) = (sim.clone(), std::sync::Arc::clone(&seen));
        victim.dies_at(2, fate, move || {
            *there.lock().expect("unpoisoned") = Some(view.read("b").is_some())
        });
        let store = victim.store();
        store
            .put("a", Bytes::from("body"), PutOptions::CREATE)
            .await
            .expect("alive");
        assert_eq!(victim.died_at(), None);
        assert_eq!(
            kind(store.put("b", Bytes::from("body"), PutOptions::CREATE)).await,
            ErrorKind::Unreachable
        );
        assert_eq!(
            kind(store.put("c", Bytes::from("body"), PutOptions::CREATE)).await,
            ErrorKind::Unreachable
        );
        assert_eq!(sim.read("b").as_deref(), left.map(str::as_bytes));
        assert_eq!(*seen.lock().expect("unpoisoned"), Some(left.is_some()), "{fate:?}");
        assert!(sim.read("c").is_none() && victim.died_at().expect("dead").contains("put b"));
    }
}

#[tokio::test]
async fn the_weather_is_the_seeds_and_a_stale_list_catches_up() {
    let luck = |seed| async move {
        let sim = Sim::new(seed, Bucket::PLAIN, NOW);
        sim.weather(Weather {
            throttled: 200,
            lost_answers: 200,
            ..Weather::FAIR
        });
        let store = sim.process("one").store();
        let mut told = Vec::new();
        for number in 0..50 {
            let put = store
                .put(&format!("a/{number}"), Bytes::new(), PutOptions::CREATE)
                .await;
            told.push((
                put.map_err(|error| error.kind),
                sim.read(&format!("a/{number}")).is_some(),
            ));
        }
        told
    };
    let told = luck(7).await;
    assert_eq!(told, luck(7).await);
    assert_ne!(told, luck(8).await);
    for outcome in [
        (Ok(()), true),
        (Err(ErrorKind::Throttled), false),
        (Err(ErrorKind::Unreachable), true),
    ] {
        assert!(told.contains(&outcome), "{outcome:?} never happened");
    }

    let sim = Sim::new(1, Bucket::PLAIN, NOW);
    sim.weather(Weather {
        stale_lists: 2,
        ..Weather::FAIR
    });
    let store = sim.process("one").store();
    let mut listed = Vec::new();
    for key in ["a", "b", "c"] {
        store.put(key, Bytes::new(), PutOptions::CREATE).await.expect("put");
        listed.push(store.list("").await.expect("list").len());
    }
    assert_eq!(listed, [0, 0, 1]);
    assert_eq!(sim.store().list("").await.expect("list").len(), 3);
}

#[tokio::test]
async fn a_listing_that_lags_hides_no_key_document() {
    let sim = Sim::new(1, Bucket::PLAIN, NOW);
    sim.weather(Weather {
        stale_lists: 100,
        ..Weather::FAIR
    });
    let (root, state) = (SecretKey::generate([1; 32]), tempfile::tempdir().expect("a folder"));
    let options = |keys: &[u8], state_dir| InitOptions {
        root: Some(&root),
        believed: root.public(),
        keys: keys
            .iter()
            .map(|key| {
                KeyEntry::new(
                    Role::Writer,
                    SecretKey::generate([*key; 32]).public(),
                    "w",
                    "2027-01-01T00:00:00Z",
                )
            })
            .collect(),
        recipients: Vec::new(),
        lock: None,
        state_dir,
    };
    let store = sim.process("one").store();
    for (keys, epoch) in [(&[2][..], 1), (&[2], 1), (&[3], 2), (&[2, 3], 2)] {
        let edge = Still(AtomicU64::new(0));
        let init = Repository::init(store.clone(), options(keys, state.path()), &edge);
        let (made, _) = init.await.expect("init");
        assert_eq!(made.keys().epoch, epoch, "{keys:?}");
    }
    let stranger = tempfile::tempdir().expect("a folder");
    let opened = Repository::open(store, Some(&root.public()), stranger.path()).await;
    assert_eq!(opened.expect("the first one is asked for by its name").keys().epoch, 1);
}

struct Still(AtomicU64);

impl Edge for Still {
    fn now_ms(&self) -> u64 {
        NOW
    }

    fn fill(&self, bytes: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        bytes
            .iter_mut()
            .zip(number.iter().cycle())
            .for_each(|(to, from)| *to = *from);
    }
}

/// Three racers who each take the next free number; the order of who got which is the schedule.
async fn schedule(seed: u64, stall: Option<Stall>) -> Vec<Vec<u32>> {
    let sim = Sim::new(1, Bucket::PLAIN, NOW);
    let processes: Vec<_> = ["one", "two", "three"].map(|name| sim.process(name)).into();
    let run = |process: &muster_testkit::sim::Process| {
        let store = process.store();
        async move {
            let mut taken = Vec::new();
            for number in 0..12u32 {
                let key = format!("numbers/{number}");
                match store.put(&key, Bytes::new(), PutOptions::CREATE).await {
                    Ok(()) => taken.push(number),
                    Err(error) => assert_eq!(error.kind, ErrorKind::AlreadyExists),
                }
                if number == 5 {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            taken
        }
    };
    let racers = processes
        .iter()
        .map(|process| (process, Box::pin(run(process)) as _))
        .collect();
    race(seed, stall, racers).await
}

#[tokio::test]
async fn a_race_is_its_seeds_alone_and_a_stalled_racer_comes_last() {
    let first = schedule(3, None).await;
    for _ in 0..5 {
        assert_eq!(schedule(3, None).await, first);
    }
    let mut others = Vec::new();
    for seed in 4..12 {
        others.push(schedule(seed, None).await);
    }
    assert!(
        others.iter().any(|other| *other != first),
        "{first:?} whatever the seed"
    );
    let stalled = schedule(3, Some(Stall { racer: 1, after: 0 })).await;
    assert!(
        stalled[1].is_empty() && stalled[0].len() + stalled[2].len() == 12,
        "{stalled:?}"
    );
}

#[test]
fn a_crowd_is_its_seeds_alone_and_whoever_is_held_comes_last() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let schedule = |seed, held| -> Vec<Vec<u32>> {
        let sim = Sim::new(1, Bucket::PLAIN, NOW);
        let processes = ["one", "two", "three"].map(|name| sim.process(name));
        let run = |process: &muster_testkit::sim::Process| {
            let mut taken = Vec::new();
            for number in 0..12u32 {
                let create = process.store();
                let key = format!("numbers/{number}");
                let put = create.put(&key, Bytes::new(), PutOptions::CREATE);
                if runtime.block_on(put).is_ok() {
                    taken.push(number);
                }
            }
            taken
        };
        let clients = processes
            .iter()
            .map(|process| (process, Box::new(|| run(process)) as _))
            .collect();
        crowd(seed, held, clients)
    };
    let first = schedule(3, None);
    assert!((0..5).all(|_| schedule(3, None) == first));
    assert!((4..12).any(|seed| schedule(seed, None) != first));
    for (from, most) in [(Moment::Before("numbers/0"), 0), (Moment::After("numbers/4"), 5)] {
        let held = schedule(3, Some(Held { client: 1, from }));
        assert!(held[1].iter().all(|number| *number < most), "{from:?}: {held:?}");
        assert_eq!(held.iter().map(Vec::len).sum::<usize>(), 12);
    }
}
