//! Runs that did not end: what they put is used by the next one, and by nobody who must not lean on it.

use age::secrecy::ExposeSecret as _;

use super::pages::{one, remembering};
use super::*;
use crate::Identities;

#[test]
fn an_interrupted_run_is_gone_on_with_and_its_packs_are_not_put_again() {
    let folder = tempfile::tempdir().unwrap();
    for remembers in [true, false] {
        let mut world = World::new();
        world.index = remembers.then(|| IndexKey::new([5; 32]));
        let journal = folder.path().join(format!("journal-{remembers}"));
        let tree = one("big", (0..30).map(|seed| Piece::Noise(seed, 4 << 20)).collect());
        let options = WriterOptions {
            journal: Some(journal.clone()),
            ..world.options()
        };
        let start = |world: &World, parent| {
            let edge: Arc<dyn Edge> = Arc::<Counting>::clone(&world.edge);
            let handle = world.runtime.handle().clone();
            SnapshotWriter::start(world.repository.clone(), parent, &options, edge, handle, Arc::default())
        };
        let handle = world.runtime.handle().clone();
        let lean = |world: &World| world.repository.lean_on_nothing(&options, &handle).unwrap();
        let mut writer = start(&world, lean(&world));
        write_file(&mut writer, "big", &tree["big"][..25]).unwrap();
        drop(writer);
        let left = world.packs().len();
        assert!(left >= 1, "nothing was put before the run ended");
        // One of them is lost meanwhile.
        let gone = world.packs()[0].key.clone();
        if remembers {
            world.wait(async { world.repository.objects().delete(&gone).await.map_err(Into::into) });
        }
        let mut writer = start(&world, lean(&world));
        write_file(&mut writer, "big", &tree["big"]).unwrap();
        let manifest = world.commit(writer);
        world.assert_reads_back(&manifest, &tree);
        world.assert_verifies();
        let kept = (left - usize::from(remembers)) as u64 * (32 << 20);
        assert!(
            manifest.added_bytes + kept <= (120 << 20) + (4 << 20),
            "{} added although {kept} were there",
            manifest.added_bytes
        );
    }
}

#[test]
fn what_was_sealed_to_fewer_than_must_read_it_now_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let identities = [age::x25519::Identity::generate(), age::x25519::Identity::generate()];
    let public = |number: usize| identities[number].to_public().to_string();
    let file = folder.path().join("identity");
    std::fs::write(&file, identities[1].to_string().expose_secret()).unwrap();
    let mut world = remembering();
    let options = WriterOptions {
        journal: Some(folder.path().join("journal")),
        ..world.options()
    };
    let tree = one("big", (0..12).map(|seed| Piece::Noise(seed, 4 << 20)).collect());
    let start = |world: &World| {
        let handle = world.runtime.handle().clone();
        let parent = world.repository.lean_on_nothing(&options, &handle).unwrap();
        let edge: Arc<dyn Edge> = Arc::<Counting>::clone(&world.edge);
        SnapshotWriter::start(world.repository.clone(), parent, &options, edge, handle, Arc::default())
    };
    world.demand_encryption(vec![public(0)]);
    let mut writer = start(&world);
    write_file(&mut writer, "big", &tree["big"]).unwrap();
    drop(writer);
    assert!(!world.packs().is_empty(), "nothing was put before the run ended");
    world.demand_encryption(vec![public(0), public(1)]);
    let mut writer = start(&world);
    write_file(&mut writer, "big", &tree["big"]).unwrap();
    let manifest = world.commit(writer);
    assert!(manifest.added_bytes > 48 << 20, "{} bytes", manifest.added_bytes);
    world.repository = world
        .repository
        .clone()
        .with_identities(Identities::read(&file).unwrap());
    world.assert_reads_back(&manifest, &tree);
}
