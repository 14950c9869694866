//! What a snapshot leans on is held as long as it needs it: extended only where it would be free too early, and then all of it.

use std::sync::Arc;

use muster_archive::Manifest;
use muster_archive::object_store::{HoldingStore, LockMode, LockPolicy, PutOptions};
use muster_signing::Verified;
use muster_testkit::recording::{Call, Notes, RecordingStore};
use muster_testkit::sim::{Bucket, Sim};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::world::{DAY, NOW, World, at, edge};

const TEN: LockPolicy = LockPolicy {
    mode: LockMode::Compliance,
    days: 10,
};

/// A sealed snapshot that is held for ten days, and what was asked of the place.
fn held() -> (World, Notes, Verified<Manifest>) {
    let sim = Sim::new(7, Bucket::LOCKED, NOW);
    let (recorded, notes) = RecordingStore::before(sim.store());
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    let world = World::sealed(HoldingStore::before(recorded, Some(TEN), edge()), vec![recipient]);
    let mut manifest = world.written(&[("a", vec![1; 100_000])]);
    manifest.retain_until = Some(text(at(10 * DAY)));
    world.commit(&manifest);
    let leaned = world.runtime.block_on(async {
        let point = world.repository.point("db", None).await.unwrap();
        world.repository.manifest(&point).await.unwrap().0
    });
    notes.clear();
    (world, notes, leaned)
}

fn text(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap()
}

fn hold(world: &World, leaned: &Verified<Manifest>, seconds: i64) -> String {
    let started = text(at(seconds));
    let held = world.repository.hold_leaned(Some(leaned), &TEN, &started);
    world.runtime.block_on(held).unwrap()
}

#[test]
fn what_stays_locked_for_half_of_the_days_is_let_be_and_the_snapshot_promises_no_more_than_that() {
    let (world, notes, leaned) = held();
    assert_eq!(hold(&world, &leaned, 4 * DAY), text(at(10 * DAY)));
    assert_eq!(notes.all(), [], "its manifest says so: nothing is asked");
}

#[test]
fn what_would_be_free_too_early_is_extended_once_and_all_of_it() {
    let (world, notes, leaned) = held();
    assert_eq!(hold(&world, &leaned, 6 * DAY), text(at(16 * DAY)));
    for folder in ["packs/", "trees/", "runs/"] {
        for key in world.keys(folder).keys() {
            let head = world.runtime.block_on(world.objects.head(key)).unwrap();
            assert_eq!(head.retention.unwrap().until, at(16 * DAY), "{key}");
        }
        assert!(notes.count(Call::Hold, folder) >= 1, "{folder}");
    }
    // Another run that leans on the same finds it done.
    notes.clear();
    assert_eq!(hold(&world, &leaned, 6 * DAY), text(at(16 * DAY)));
    assert_eq!(notes.count(Call::Hold, ""), 0);
}

#[test]
fn what_is_met_with_the_same_bytes_is_held_as_if_it_had_been_written() {
    let (world, _, _) = held();
    let (key, _) = world.keys("packs/").pop_first().unwrap();
    let bytes = world.runtime.block_on(world.objects.get(&key)).unwrap();
    let longer = LockPolicy { days: 60, ..TEN };
    let store = HoldingStore::before(Arc::clone(&world.objects), Some(longer), edge());
    let put = world.runtime.block_on(store.put(&key, bytes, PutOptions::CREATE));
    assert!(put.is_err(), "it is there");
    let head = world.runtime.block_on(world.objects.head(&key)).unwrap();
    assert!(head.retention.unwrap().until >= at(60 * DAY), "{head:?}");
}
