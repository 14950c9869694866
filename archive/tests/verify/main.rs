//! The verification ladder, rung by rung: what each sees, what it costs, and what it does not call damage.

#![expect(clippy::unwrap_used, reason = "a surprise ends the test")]

mod history;
mod holds;
mod lists;
mod locks;
mod versions;
mod world;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use muster_archive::object_store::{ErrorKind, MemoryStore, RecoveringStore};
use muster_archive::{ArchiveError, VerifyDepth, VerifyEvent, VerifyOptions};
use muster_testkit::faulty::{Fault, FaultyStore, When};
use muster_testkit::recording::{Call, RecordingStore};
use muster_testkit::sim::{Bucket, Sim, Weather};
use world::{NOW, World, asking, told};

const BOTH: [VerifyDepth; 2] = [VerifyDepth::Inventory, VerifyDepth::ReadData];

#[test]
fn an_inventory_costs_pages_of_a_listing_and_no_question_per_object() {
    let (objects, notes) = RecordingStore::before(Arc::new(MemoryStore::new()));
    let world = World::new(objects);
    world.snapshot_of_many(5_000);
    for stray in 0..3u8 {
        world.put(&format!("packs/ff/ff{stray:062x}"), vec![stray; 10]);
    }
    world.put("runs/00112233445566778899aabbccddeeff/00000001.age", vec![0; 100]);
    world.put(&format!("index/db/00/{:064}", 0), vec![0; 7]);
    notes.clear();
    let found = world.verify(&world.repository, &asking(VerifyDepth::Inventory));
    assert_eq!(told(&found), Vec::<String>::new());
    assert_eq!(found.objects, 5_004, "packs, three hunks and their root");
    assert_eq!(notes.count(Call::Head, ""), 0);
    assert_eq!(notes.count(Call::Versions, ""), 0);
    assert_eq!(notes.count(Call::Get, "packs/"), 0);
    assert_eq!(notes.count(Call::List, "packs/"), 6);
    assert_eq!(notes.count(Call::Get, "lists/"), 4, "each list is read once");
    // Trees that the empty snapshot wrote are named by no list here: they count too.
    let trees = world.keys("trees/");
    let unnamed = found.unnamed.unwrap();
    let lists = world.keys("lists/").len() as u64 - 4;
    assert_eq!(unnamed.objects, 3 + 1 + trees.len() as u64 + lists);
    assert_eq!(found.index.unwrap().bytes, 7);
}

#[test]
fn what_is_absent_or_has_another_length_is_named_by_the_inventory() {
    let world = World::new(Arc::new(MemoryStore::new()));
    world.two_snapshots();
    assert_eq!(
        told(&world.verify(&world.repository, &asking(VerifyDepth::Inventory))),
        [""; 0]
    );
    for prefix in ["packs/", "trees/"] {
        let (key, _) = world.keys(prefix).into_iter().next().unwrap();
        let whole = world.runtime.block_on(world.objects.get(&key)).unwrap();
        world.put(&key, whole[1..].to_vec());
        let cut = world.verify(&world.repository, &asking(VerifyDepth::Inventory));
        assert_eq!(cut.damaged.len(), 1, "{:?}", told(&cut));
        assert!(
            told(&cut)[0].contains(&key) && told(&cut)[0].contains("bytes and not"),
            "{:?}",
            told(&cut)
        );
        world.runtime.block_on(world.objects.delete(&key)).unwrap();
        for depth in BOTH {
            let gone = world.verify(&world.repository, &asking(depth));
            let missing =
                |error: &ArchiveError| matches!(error, ArchiveError::Missing { object, .. } if *object == key);
            assert!(gone.damaged.iter().any(missing), "{:?}", told(&gone));
        }
        world.put(&key, whole.to_vec());
    }
}

#[test]
fn a_flipped_bit_is_found_by_reading_and_told_once() {
    let world = World::new(Arc::new(MemoryStore::new()));
    world.two_snapshots();
    let keys: Vec<String> = ["packs/", "trees/", "lists/"]
        .map(|prefix| world.keys(prefix))
        .into_iter()
        .flatten()
        .map(|key| key.0)
        .collect();
    for key in keys {
        let whole = world.runtime.block_on(world.objects.get(&key)).unwrap();
        let mut bytes = whole.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        world.put(&key, bytes);
        let found = world.verify(&world.repository, &asking(VerifyDepth::ReadData));
        let named = told(&found).iter().filter(|error| error.starts_with(&key)).count();
        assert_eq!(named, 1, "{key}: {:?}", told(&found));
        world.put(&key, whole.to_vec());
    }
    assert_eq!(
        told(&world.verify(&world.repository, &asking(VerifyDepth::ReadData))),
        [""; 0]
    );
}

#[test]
fn a_full_read_asks_for_each_pack_once_however_little_memory_there_is() {
    let (objects, notes) = RecordingStore::before(Arc::new(MemoryStore::new()));
    let world = World::new(objects);
    world.two_snapshots();
    let packs = world.keys("packs/");
    let trees = world.keys("trees/");
    assert!(packs.len() >= 3, "{packs:?}");
    for memory in [160 << 20, 64 << 10] {
        notes.clear();
        let options = VerifyOptions {
            memory,
            ..asking(VerifyDepth::ReadData)
        };
        let found = world.verify(&world.repository, &options);
        assert_eq!(told(&found), Vec::<String>::new());
        assert_eq!(notes.count(Call::Get, "packs/"), packs.len());
        assert_eq!(notes.bytes(Call::Get, "packs/"), packs.values().sum::<u64>());
        // Of a map that changed, the one before is looked at again beside it: that is all that is read twice.
        assert!(
            notes.count(Call::Get, "trees/") <= trees.len() + 1,
            "{}",
            notes.count(Call::Get, "trees/")
        );
        let lists = world.keys("lists/").values().sum::<u64>();
        let all = packs.values().sum::<u64>() + trees.values().sum::<u64>() + lists;
        assert_eq!(found.read_bytes, all);
        assert_eq!(
            found.objects,
            (packs.len() + trees.len() + world.keys("lists/").len()) as u64
        );
    }
}

#[test]
fn a_listing_that_is_behind_is_no_loss() {
    let sim = Sim::new(7, Bucket::PLAIN, NOW);
    let world = World::new(sim.store());
    world.two_snapshots();
    let repository = world.seen(sim.process("reader").store(), world.state.path());
    sim.weather(Weather {
        stale_lists: 6,
        ..Weather::FAIR
    });
    for depth in BOTH {
        assert_eq!(told(&world.verify(&repository, &asking(depth))), Vec::<String>::new());
    }
}

#[test]
fn a_name_that_is_hidden_or_overwritten_is_recovered_where_versions_are_kept_and_lost_where_not() {
    for bucket in [Bucket::LOCKED, Bucket::PLAIN] {
        let sim = Sim::new(7, bucket, NOW);
        let world = World::new(sim.store());
        world.two_snapshots();
        let packs: Vec<String> = world.keys("packs/").into_keys().collect();
        let (tree, _) = world.keys("trees/").into_iter().next().unwrap();
        sim.hide(&packs[0]);
        sim.hide(&tree);
        sim.plant(&packs[1], "other bytes");
        let objects = RecoveringStore::before(sim.process("reader").store());
        let repository = world.seen(objects, world.state.path());
        for depth in BOTH {
            let found = world.verify(&repository, &asking(depth));
            let hidden = [&packs[0], &packs[1], &tree];
            if bucket == Bucket::LOCKED {
                assert_eq!(told(&found), Vec::<String>::new(), "{depth:?}");
                let recovered: BTreeSet<&String> = found.recovered.iter().collect();
                assert_eq!(recovered, BTreeSet::from(hidden), "{depth:?}");
                assert_eq!(found.recovered_objects, 3);
            } else {
                for key in hidden {
                    assert!(
                        told(&found).iter().any(|error| error.starts_with(key.as_str())),
                        "{depth:?} {key}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_had_now_is_not_damage() {
    let world = World::new(Arc::new(MemoryStore::new()));
    world.two_snapshots();
    for (call, prefix, depth) in [
        (Call::List, "packs/", VerifyDepth::Inventory),
        (Call::List, "trees/", VerifyDepth::ReadData),
        (Call::Get, "packs/", VerifyDepth::ReadData),
        (Call::Get, "trees/", VerifyDepth::ReadData),
        (Call::Get, "lists/", VerifyDepth::Inventory),
    ] {
        let (objects, faults) = FaultyStore::before(Arc::clone(&world.objects));
        let repository = world.seen(objects, world.state.path());
        faults.add(call, prefix, When::Always, Fault::Fail(ErrorKind::Unreachable));
        let found = world.verify(&repository, &asking(depth));
        assert!(faults.fired() > 0);
        assert!(found.damaged.is_empty(), "{call:?} {prefix}: {:?}", told(&found));
        assert!(!found.unreadable.is_empty(), "{call:?} {prefix}");
    }
}

#[test]
fn one_store_of_a_large_repository_is_asked_for_by_name() {
    let (objects, notes) = RecordingStore::before(Arc::new(MemoryStore::new()));
    let world = World::new(objects);
    world.two_snapshots();
    for stray in 0..2_500u32 {
        world.put(&format!("packs/ff/ff{stray:062x}"), vec![1]);
    }
    notes.clear();
    let options = asking(VerifyDepth::Inventory);
    let verified = world.repository.verify_with(Some(("db", None)), &options, &|_| {});
    let found = world.runtime.block_on(verified).unwrap();
    assert_eq!(told(&found), Vec::<String>::new());
    assert_eq!(notes.count(Call::List, "packs/"), 0);
    assert!(found.unnamed.is_none(), "nobody looked");
}

#[test]
fn progress_ends_where_it_was_said_to_end_and_every_object_is_reported() {
    let world = World::new(Arc::new(MemoryStore::new()));
    world.two_snapshots();
    let events = Mutex::new(Vec::new());
    let options = asking(VerifyDepth::ReadData);
    let on_event = |event| events.lock().unwrap().push(event);
    let verified = world.repository.verify_with(None, &options, &on_event);
    let found = world.runtime.block_on(verified).unwrap();
    let events = events.into_inner().unwrap();
    let read = events.iter().rev().find_map(|event| match event {
        VerifyEvent::Read { done, total } => Some((*done, *total)),
        _ => None,
    });
    let (done, total) = read.unwrap();
    assert_eq!(done, total);
    let reported = events
        .iter()
        .filter(|event| matches!(event, VerifyEvent::Object(_)))
        .count();
    assert_eq!(reported as u64, found.objects);
}

#[test]
fn a_run_that_is_cancelled_says_so() {
    let world = World::new(Arc::new(MemoryStore::new()));
    world.two_snapshots();
    let cancel = AtomicBool::new(true);
    let options = VerifyOptions {
        cancel: Some(&cancel),
        ..asking(VerifyDepth::ReadData)
    };
    let outcome = world
        .runtime
        .block_on(world.repository.verify_with(None, &options, &|_| {}));
    assert!(matches!(outcome, Err(ArchiveError::Cancelled)), "{outcome:?}");
}
