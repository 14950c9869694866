//! Manifests as they are named and signed, and those that were committed and never logged.

use muster_signing::{payload, seal};

use super::World;
use super::hostile::files;
use crate::*;

const FIRST: &str = "01K00000000000000000000001";
const SECOND: &str = "01K00000000000000000000002";
const THIRD: &str = "01K00000000000000000000003";

#[test]
fn a_manifest_is_canonical_json() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    world.snapshot(&repository, FIRST, 1, &files());
    let envelope = world
        .runtime
        .block_on(world.objects.get(&layout::manifest("db", FIRST)))
        .unwrap();
    let payload = muster_signing::inspect(&envelope).unwrap().payload;
    let value: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(
        String::from_utf8(payload).unwrap(),
        String::from_utf8(muster_signing::canonical_json(&value).unwrap()).unwrap()
    );
}

#[test]
fn fifty_unreadable_names_never_prevent_a_snapshot() {
    let mut unreadable = Unreadable::default();
    for _ in 0..50 {
        unreadable.note(&[1; 300], "permission denied");
    }
    let bytes = serde_json::to_vec(&unreadable).unwrap();
    assert!(bytes.len() < 40_000, "{}", bytes.len());
    let mut emoji = Unreadable::default();
    for _ in 0..50 {
        emoji.note("🗂".repeat(300).as_bytes(), "permission denied (os error 13)");
    }
    let bytes = serde_json::to_vec(&emoji).unwrap();
    assert!(bytes.len() < 40_000, "{}", bytes.len());
}

#[test]
fn a_foreign_file_among_the_manifests_does_not_stop_backups() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    world.replace("snapshots/db/core", &vec![0; 200_000]);
    world
        .runtime
        .block_on(repository.log_orphans("db", &world.writer, &*world.edge))
        .unwrap();
}

#[test]
fn a_manifest_of_another_store_is_no_orphan_of_this_one() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    world.snapshot(&repository, FIRST, 1, &files());
    let bytes = world
        .runtime
        .block_on(world.objects.get(&layout::manifest("db", FIRST)))
        .unwrap();
    world.replace(&layout::manifest("other", FIRST), &bytes);
    for _ in 0..2 {
        let logged = world
            .runtime
            .block_on(repository.log_orphans("other", &world.writer, &*world.edge))
            .unwrap();
        assert!(logged.is_empty(), "{logged:?}");
    }
}

#[test]
fn an_orphan_of_another_repository_is_not_logged_here() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let good = world.snapshot(&repository, FIRST, 1, &files());
    let manifest = Manifest {
        repository: "somewhere-else".to_owned(),
        snapshot: SECOND.to_owned(),
        ..good
    };
    let envelope = seal(
        payload::MANIFEST,
        &serde_json::to_vec(&manifest).unwrap(),
        &world.writer,
    );
    world.replace(&layout::manifest("db", SECOND), &envelope);
    world
        .runtime
        .block_on(repository.log_orphans("db", &world.writer, &*world.edge))
        .unwrap();
    let latest = world.runtime.block_on(repository.point("db", None)).unwrap();
    world.runtime.block_on(repository.manifest(&latest)).unwrap();
}

#[test]
fn an_orphan_held_back_does_not_become_the_latest() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let good = world.snapshot(&repository, FIRST, 1, &files());
    // sequence 2 was committed and not logged; the place hid it until sequence 3 was there
    let held = Manifest {
        snapshot: SECOND.to_owned(),
        sequence: 2,
        ..good
    };
    let envelope = seal(payload::MANIFEST, &serde_json::to_vec(&held).unwrap(), &world.writer);
    world.snapshot(&repository, THIRD, 3, &files());
    world.replace(&layout::manifest("db", SECOND), &envelope);
    world
        .runtime
        .block_on(repository.log_orphans("db", &world.writer, &*world.edge))
        .unwrap();
    assert_eq!(
        world.runtime.block_on(repository.point("db", None)).unwrap().snapshot,
        THIRD
    );
}
