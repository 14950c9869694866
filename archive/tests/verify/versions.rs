//! Signed documents and wrapped keys that somebody wrote over: read from their versions where the place keeps them, named where not.

use std::sync::{Arc, Mutex};

use age::secrecy::ExposeSecret as _;
use muster_archive::object_store::{ObjectStore, RecoveringStore};
use muster_archive::{Identities, Repository, VerifyDepth, VerifyEvent, VerifyOptions};
use muster_testkit::sim::{Bucket, Sim};
use muster_testkit::trees::noise;

use crate::world::{NOW, World, asking, told};

/// The repository as a host sees it that remembers nothing, with an identity that opens it.
fn seen(
    world: &World,
    objects: Arc<dyn ObjectStore>,
    identity: &age::x25519::Identity,
) -> (Repository, tempfile::TempDir) {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("identity");
    std::fs::write(&file, identity.to_string().expose_secret()).unwrap();
    let repository = world.seen(objects, state.path());
    (repository.with_identities(Identities::read(&file).unwrap()), state)
}

#[test]
fn a_wrapped_key_and_a_scorecard_that_were_written_over_are_found_in_their_versions() {
    for kept in [true, false] {
        let bucket = if kept { Bucket::LOCKED } else { Bucket::PLAIN };
        let sim = Sim::new(7, bucket, NOW);
        let identity = age::x25519::Identity::generate();
        let world = World::sealed(sim.store(), vec![identity.to_public().to_string()]);
        world.snapshot(&[("a", vec![1; 100_000])]);
        world.rehearse();
        let places = [world.keys("runs/"), world.keys("rehearsals/")];
        let keys: Vec<String> = places.into_iter().flat_map(|found| found.into_keys()).collect();
        assert_eq!(keys.len(), 2);
        for key in keys {
            let whole = world.runtime.block_on(world.objects.get(&key)).unwrap();
            world.put(&key, b"something else".to_vec());
            let (repository, _state) = seen(&world, RecoveringStore::before(sim.store()), &identity);
            let found = world.verify(&repository, &asking(VerifyDepth::ReadData));
            let told = told(&found);
            let reads = world.runtime.block_on(async {
                let point = repository.point("db", None).await.unwrap();
                let (manifest, _) = repository.manifest(&point).await.unwrap();
                repository.tree_index(&manifest).await.is_ok()
            });
            match kept {
                true => assert_eq!((told, reads), (Vec::new(), true), "{key}"),
                false => assert!(told.iter().any(|error| error.contains(&key)), "{key}: {told:?}"),
            }
            world.put(&key, whole.to_vec());
        }
    }
}

#[test]
fn a_pack_that_is_hidden_behind_a_delete_marker_is_leaned_on_and_not_stored_again() {
    for (kept, bucket) in [(true, Bucket::LOCKED), (false, Bucket::PLAIN)] {
        let sim = Sim::new(7, bucket, NOW);
        let world = World::new(RecoveringStore::before(sim.store()));
        let files = [("a", noise(1_000_000, 1))];
        world.snapshot(&files);
        for key in world.keys("packs/").keys() {
            world.runtime.block_on(sim.store().delete(key)).unwrap();
        }
        let added = world.written(&files).added_bytes;
        assert_eq!(added < 100_000, kept, "{added} bytes");
    }
}

#[test]
fn what_has_no_checksum_among_objects_with_one_is_not_what_muster_wrote() {
    let bucket = Bucket {
        checksums: true,
        ..Bucket::LOCKED
    };
    let sim = Sim::new(7, bucket, NOW);
    let world = World::new(sim.store());
    assert!(world.repository.capabilities().checksum);
    world.snapshot(&[("a", noise(1_000_000, 1))]);
    let (pack, _) = world.keys("packs/").pop_first().unwrap();
    let heads = VerifyOptions {
        heads: Some(true),
        ..VerifyOptions::new(VerifyDepth::Inventory)
    };
    let recovered = || {
        let names = Mutex::new(Vec::new());
        let on_event = |event| match event {
            VerifyEvent::Object(report) if report.recovered => names.lock().unwrap().push(report.object),
            _ => {}
        };
        let verified = world.repository.verify_with(None, &heads, &on_event);
        assert!(world.runtime.block_on(verified).unwrap().is_whole());
        names.into_inner().unwrap()
    };
    assert_eq!(recovered(), [""; 0]);

    // As long as what it replaces: no listing tells them apart, and no byte of either is read.
    let length = world.runtime.block_on(world.objects.head(&pack)).unwrap().size;
    sim.plant(&pack, vec![7; usize::try_from(length).unwrap()]);
    assert_eq!(recovered(), [pack]);
}

#[test]
fn a_stranger_finds_logs_and_key_documents_that_are_hidden_from_listings() {
    for (kept, bucket) in [(true, Bucket::LOCKED), (false, Bucket::PLAIN)] {
        let sim = Sim::new(7, bucket, NOW);
        let recipient = || age::x25519::Identity::generate().to_public().to_string();
        let world = World::sealed(sim.store(), vec![recipient()]);
        world.snapshot(&[("a", vec![1; 1000])]);
        world.rotate(vec![recipient()]);
        // The first key document is asked for by its name.
        for folder in ["ledger/", "keys/00000002"] {
            for key in world.keys(folder).keys() {
                world.runtime.block_on(world.objects.delete(key)).unwrap();
            }
        }
        let state = tempfile::tempdir().unwrap();
        let repository = world.seen(RecoveringStore::before(sim.store()), state.path());
        let latest = world.runtime.block_on(repository.latest()).unwrap();
        let found = (repository.keys().epoch, latest.contains_key("db"));
        assert_eq!(found, if kept { (2, true) } else { (1, false) });
    }
}
