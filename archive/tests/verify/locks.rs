//! What holds each object, and whether that is what was promised.

use std::sync::Mutex;

use muster_archive::object_store::{HoldingStore, LockMode, LockPolicy};
use muster_archive::{Held, Locks, ObjectReport, VerifyDepth, VerifyEvent, VerifyOptions};
use muster_testkit::sim::{Bucket, Sim};

use crate::world::{DAY, NOW, World, at, edge};

fn policy(mode: LockMode, days: u32) -> LockPolicy {
    LockPolicy { mode, days }
}

fn locks(world: &World, seconds: i64, lock: LockPolicy) -> (Locks, Vec<ObjectReport>) {
    let reports = Mutex::new(Vec::new());
    let options = VerifyOptions {
        now: Some(at(seconds)),
        lock: Some(lock),
        ..VerifyOptions::new(VerifyDepth::Inventory)
    };
    let on_event = |event| {
        if let VerifyEvent::Object(report) = event {
            reports.lock().unwrap().push(report);
        }
    };
    let verified = world.repository.verify_with(None, &options, &on_event);
    let found = world.runtime.block_on(verified).unwrap();
    assert!(found.is_whole());
    (found.locks.unwrap(), reports.into_inner().unwrap())
}

#[test]
fn every_object_is_shown_with_its_lock_and_what_ends_too_early_is_counted() {
    let ten = policy(LockMode::Compliance, 10);
    let sim = Sim::new(7, Bucket::LOCKED, NOW);
    let world = World::new(HoldingStore::before(sim.store(), Some(ten), edge()));
    world.snapshot(&[("a", vec![1; 100_000])]);

    let (all, reports) = locks(&world, 60, ten);
    assert_eq!(
        (all.locked, all.free, all.lacking, all.short),
        (all.objects, 0, 0, 0),
        "{all:?}"
    );
    assert!(
        all.earliest.unwrap() >= at(10 * DAY) && all.latest.unwrap() < at(10 * DAY + 60),
        "{all:?}"
    );
    for kind in [
        "packs/",
        "trees/",
        "lists/",
        "snapshots/",
        "keys/",
        "ledger/",
        "muster.dsse",
    ] {
        assert!(
            reports.iter().any(|report| report.object.starts_with(kind)),
            "no {kind}"
        );
    }
    assert!(reports.iter().all(|report| report.lock.is_some()), "{reports:?}");

    // The rule was changed: what is there is held for too short until a backup extends it.
    let (longer, reports) = locks(&world, 60, policy(LockMode::Compliance, 60));
    assert!(longer.short >= 4 && longer.lacking == 0, "{longer:?}");
    let pack = reports
        .iter()
        .find(|report| report.object.starts_with("packs/"))
        .unwrap();
    assert_eq!(pack.held, Held::Short);

    // Half of the days later nobody promised more, and at their end nothing is locked.
    let (later, _) = locks(&world, 6 * DAY, ten);
    assert_eq!((later.short, later.lacking, later.free), (0, 0, 0), "{later:?}");
    let (after, _) = locks(&world, 11 * DAY, ten);
    assert_eq!((after.locked, after.free), (0, after.objects), "{after:?}");
}

#[test]
fn a_weaker_mode_and_no_lock_at_all_are_not_what_the_configuration_says() {
    let governance = policy(LockMode::Governance, 10);
    let sim = Sim::new(7, Bucket::LOCKED, NOW);
    let world = World::new(HoldingStore::before(sim.store(), Some(governance), edge()));
    world.snapshot(&[("a", vec![1; 100_000])]);
    let (weaker, _) = locks(&world, 60, policy(LockMode::Compliance, 10));
    assert!(weaker.short >= 4, "{weaker:?}");

    let bare = World::new(Sim::new(7, Bucket::LOCKED, NOW).store());
    bare.snapshot(&[("a", vec![1; 100_000])]);
    let (none, reports) = locks(&bare, 60, governance);
    assert_eq!((none.locked, none.free), (0, none.objects));
    assert!(none.lacking >= 4, "{none:?}");
    assert!(reports.iter().any(|report| report.held == Held::Free));
}

#[test]
fn what_a_manifest_promises_is_demanded_whatever_this_host_configures() {
    let world = World::new(Sim::new(7, Bucket::LOCKED, NOW).store());
    let mut manifest = world.written(&[("a", vec![1; 100_000])]);
    manifest.retain_until = Some("2027-02-01T00:00:00Z".to_owned());
    world.commit(&manifest);
    let options = VerifyOptions {
        now: Some(at(60)),
        heads: Some(true),
        ..VerifyOptions::new(VerifyDepth::Inventory)
    };
    let verified = world.repository.verify_with(None, &options, &|_| {});
    let locks = world.runtime.block_on(verified).unwrap().locks.unwrap();
    assert!(locks.lacking >= 4, "{locks:?}");
}
