//! Hostile, damaged and unlucky repositories: each test is a fault that was found once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use muster_signing::{Descriptor, Digest, KeyDocument, KeyEntry, Role, SecretKey};

use super::{Counting, World};
use crate::edge::Edge;
use crate::ledger::{self, LogEvent, Place};
use crate::object_store::{MemoryStore, ObjectStore, PutOptions};
use crate::tree::{
    Check, Child, Content, Extent, Index, LeafBuilder, Location, NodeKind, TreeEntry, decode_leaf, decode_map,
    encode_map,
};
use crate::*;

const FIRST: &str = "01K00000000000000000000001";
const SECOND: &str = "01K00000000000000000000002";

pub(super) fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![("dir/a", vec![7; 1000]), ("dir/b", vec![9; 70_000])]
}

fn hostile(id: &str, epochs: u64) -> Arc<dyn ObjectStore> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let root = SecretKey::generate([66; 32]);
    let objects: Arc<dyn ObjectStore> = Arc::new(MemoryStore::new());
    let put = |key: &str, bytes: Vec<u8>| {
        runtime
            .block_on(objects.put(key, Bytes::from(bytes), PutOptions::CREATE))
            .unwrap();
    };
    put(
        "muster.dsse",
        Descriptor::new(id, "t", root.public()).seal(&root).unwrap(),
    );
    let mut document = KeyDocument::first(id, "t", Vec::new());
    for epoch in 1..=epochs {
        let sealed = document.seal(&root).unwrap();
        document = KeyDocument {
            epoch: epoch + 1,
            previous: Some(Digest::of(&sealed)),
            ..document
        };
        put(&layout::key_document(epoch), sealed);
    }
    objects
}

#[test]
fn a_repository_id_cannot_lead_out_of_the_state_folder() {
    let world = World::new();
    let state = world.state.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let _ = world
        .runtime
        .block_on(Repository::open(hostile("../escaped", 1), None, &state));
    assert!(!world.state.path().join("escaped").exists());
}

#[test]
fn what_no_named_root_signed_leaves_nothing_in_the_memory_of_a_believed_repository() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let _ = world
        .runtime
        .block_on(Repository::open(hostile(repository.id(), 5), None, world.state.path()));
    world.open(Some(&world.root.public()), world.state.path()).unwrap();
}

#[test]
fn latest_after_a_writer_key_was_added() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    world.snapshot(&repository, FIRST, 1, &files());
    let second = World {
        writer: SecretKey::generate([20; 32]),
        objects: Arc::clone(&world.objects),
        edge: Arc::clone(&world.edge),
        ..World::new()
    };
    let (repository, _) = second.init().unwrap();
    second.snapshot(&repository, SECOND, 2, &files());
    let latest = second.runtime.block_on(repository.point("db", None)).unwrap();
    assert_eq!(latest.snapshot, SECOND);
}

#[test]
fn latest_when_the_clock_went_back_before_a_new_incarnation() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    world.snapshot(&repository, FIRST, 1, &files());
    let base = layout::log(&world.writer.public().id());
    let bundle = world
        .keys()
        .into_iter()
        .find(|key| key.starts_with(&base) && key.ends_with("entries/000.p/3"))
        .unwrap();
    world.replace(&bundle.replace("p/3", "p/4"), b"\x00\x03who"); // a run died there
    world.edge.0.store(1 << 62, Ordering::Relaxed); // now_ms = 1.759e12, a day and more earlier
    world.snapshot(&repository, SECOND, 2, &files());
    let latest = world.runtime.block_on(repository.point("db", None)).unwrap();
    assert_eq!(latest.snapshot, SECOND);
}

#[test]
fn a_container_that_forgets_can_log_for_years() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let others = [world.writer.public()];
    for run in 0..400 {
        let dir = tempfile::tempdir().unwrap();
        let state = LocalState::new(dir.path(), repository.id());
        let place = Place {
            store: &world.objects,
            repository: repository.id(),
            state: &state,
            conditional_create: false,
            cited: &others,
        };
        let event = LogEvent::Audit {
            bundle: Digest::of(b"x"),
        };
        world
            .runtime
            .block_on(ledger::append(&place, &world.writer, None, &[event], &*world.edge))
            .unwrap_or_else(|error| panic!("run {run}: {error}"));
    }
}

#[test]
fn an_incarnation_that_a_newer_one_cites_cannot_vanish() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    world.snapshot(&repository, FIRST, 1, &files());
    let base = layout::log(&world.writer.public().id());
    let old: Vec<String> = world.keys().into_iter().filter(|key| key.starts_with(&base)).collect();
    let bundle = old.iter().find(|key| key.ends_with("entries/000.p/3")).unwrap();
    world.replace(&bundle.replace("p/3", "p/4"), b"\x00\x03who");
    world.snapshot(&repository, SECOND, 2, &files());
    for key in &old {
        world.runtime.block_on(world.objects.delete(key)).unwrap();
    }
    let fresh = tempfile::tempdir().unwrap();
    let stranger = world.open(Some(&world.root.public()), fresh.path()).unwrap();
    let points = world.runtime.block_on(stranger.points());
    let verified = world.verify(&stranger);
    assert!(
        points.is_err() || !verified.is_empty(),
        "a snapshot is gone and the log that cites it says nothing"
    );
}

#[test]
fn an_extent_that_overflows_is_an_error() {
    let location = Location {
        pack: Digest::of(b""),
        ordinal: 0,
        offset: 44,
        stored: 10,
        raw: true,
        frame_length: 10,
        within: 1,
    };
    let object = encode_map(
        &[Extent {
            length: u64::MAX,
            check: Check::Whole([1; 32]),
            location: Some(location),
            group: None,
        }],
        None,
    )
    .unwrap();
    assert!(decode_map(&object).is_err());
}

#[test]
fn a_run_of_zeros_without_end_does_not_hang_verify() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let size = u64::MAX / 2;
    let content = Content::Inline(vec![Extent::zeros(size)]);
    let mut leaf = LeafBuilder::default();
    let entry = TreeEntry {
        kind: NodeKind::File {
            sparse: true,
            size,
            digest: [0; 32],
            content,
        },
        ..TreeEntry::directory("a")
    };
    leaf.push(&entry);
    let (leaf, entries, first) = leaf.finish(None).unwrap();
    let leaf = leaf.object(None).unwrap();
    let child = Child {
        id: Digest::of(&leaf),
        entries,
        first,
    };
    let index = Index {
        hash_key: HashKey::new([7; 32]),
        level: 0,
        ordered: true,
        children: vec![child.clone()],
    }
    .body()
    .object(None)
    .unwrap();
    world.replace(&layout::tree(&child.id), &leaf);
    world.replace(&layout::tree(&Digest::of(&index)), &index);
    let mut objects = std::collections::BTreeMap::new();
    objects.insert((list::Named::Tree, child.id), leaf.len() as u64);
    objects.insert((list::Named::Tree, Digest::of(&index)), index.len() as u64);
    let hunks = list::encode(&objects);
    world.replace(&layout::list(&hunks[0].0), &hunks[0].1);
    let mut digest = TreeDigest::new();
    digest.push(&entry);
    let mut manifest = world.snapshot(&repository, FIRST, 1, &[]);
    manifest.snapshot = SECOND.to_owned();
    manifest.tree = TreeRef {
        root: Digest::of(&index),
        digest: digest.finish(),
        entries: 1,
        files: 1,
        logical_bytes: size,
    };
    manifest.list = ListRef {
        root: hunks[0].0,
        objects: 2,
        bytes: objects.values().sum(),
    };
    world
        .runtime
        .block_on(repository.commit_snapshot(&manifest, &world.writer, &*world.edge))
        .unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _ = send.send(world.verify(&repository));
    });
    assert!(
        receive.recv_timeout(std::time::Duration::from_secs(20)).is_ok(),
        "verify hangs"
    );
}

#[test]
fn a_zero_extent_of_no_length_is_refused_and_a_map_is_small() {
    let object = encode_map(&vec![Extent::zeros(0); 8_000_000], None).unwrap();
    eprintln!(
        "{} bytes stored; {} bytes in memory",
        object.len(),
        8_000_000 * size_of::<Extent>()
    );
    assert!(decode_map(&object).is_err());
}

#[test]
fn a_snapshot_after_damage_is_whole() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let quiet = vec![("dir/empty", Vec::new()), ("dir/zeros", vec![0; 70_000])];
    world.snapshot(&repository, FIRST, 1, &quiet);
    let key = world.keys().into_iter().find(|key| key.starts_with("trees/")).unwrap();
    world.replace(&key, b"rot");
    // what `backup` does with a parent that cannot be read
    let (point, manifest) = world.runtime.block_on(async {
        let point = repository.point("db", None).await.unwrap();
        let manifest = repository.manifest(&point).await.unwrap().0;
        (point, manifest)
    });
    assert!(
        world.runtime.block_on(repository.parent(&manifest, 1 << 20)).is_err(),
        "{point:?}"
    );
    let written = world.write(&repository, Parent::none(), &quiet);
    let manifest = Manifest {
        snapshot: SECOND.to_owned(),
        sequence: 2,
        tree: written.tree,
        list: written.list,
        ..manifest.value
    };
    world
        .runtime
        .block_on(repository.commit_snapshot(&manifest, &world.writer, &*world.edge))
        .unwrap();
    let found = world
        .runtime
        .block_on(repository.verify(Some(("db", Some(SECOND))), VerifyDepth::ReadData, &|_| {}))
        .unwrap();
    assert!(found.damaged.is_empty(), "{:?}", found.damaged);
}

#[test]
fn a_pack_that_the_parent_lost_is_stored_again() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    world.snapshot(&repository, FIRST, 1, &files());
    let key = world.keys().into_iter().find(|key| key.starts_with("packs/")).unwrap();
    world.runtime.block_on(world.objects.delete(&key)).unwrap();
    world.snapshot(&repository, SECOND, 2, &files());
    let found = world
        .runtime
        .block_on(repository.verify(Some(("db", Some(SECOND))), VerifyDepth::Inventory, &|_| {}))
        .unwrap();
    assert!(found.damaged.is_empty(), "{:?}", found.damaged);
}

#[test]
fn an_object_with_bytes_added_is_damaged_and_not_merely_unreadable() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    world.snapshot(&repository, FIRST, 1, &files());
    for (key, added) in world
        .keys()
        .into_iter()
        .filter(|key| key.ends_with("checkpoint") || key == "muster.dsse")
        .zip([2 << 20, 2 << 20])
    {
        let whole = world.runtime.block_on(world.objects.get(&key)).unwrap();
        let mut bytes = whole.to_vec();
        bytes.resize(bytes.len() + added, b' ');
        world.replace(&key, &bytes);
        let fresh = tempfile::tempdir().unwrap();
        let error = match world.open(Some(&world.root.public()), fresh.path()) {
            Ok(repository) => world.runtime.block_on(repository.points()).unwrap_err(),
            Err(error) => error,
        };
        assert!(error.is_damage(), "{key}: {error:?}");
        world.replace(&key, &whole);
    }
}

#[test]
fn what_the_writer_takes_the_reader_can_read() {
    let long = |n: usize| vec![b'x'; n];
    let base = TreeEntry::directory("d");
    let entries = [
        TreeEntry {
            mode: 0o100_644,
            ..base.clone()
        },
        TreeEntry {
            mtime_nanos: 1_000_000_000,
            ..base.clone()
        },
        TreeEntry {
            xattrs: vec![(long(256), long(1))],
            ..base.clone()
        },
        TreeEntry {
            xattrs: vec![(long(6), long(70_000))],
            ..base.clone()
        },
        TreeEntry {
            kind: NodeKind::Symlink { target: long(5000) },
            ..base.clone()
        },
        TreeEntry {
            kind: NodeKind::HardLink { to: b"../x".to_vec() },
            ..base.clone()
        },
    ];
    let mut bad = Vec::new();
    for (at, entry) in entries.into_iter().enumerate() {
        let world = World::new();
        let (repository, _) = world.init().unwrap();
        let edge: Arc<dyn Edge> = Arc::<Counting>::clone(&world.edge);
        let mut writer = SnapshotWriter::start(
            repository,
            Parent::none(),
            &WriterOptions::default(),
            edge,
            world.runtime.handle().clone(),
            Arc::new(AtomicBool::new(false)),
        );
        if writer.entry(entry.clone()).is_ok() && writer.finish().is_ok() {
            let mut leaf = LeafBuilder::default();
            leaf.push(&entry);
            if decode_leaf(&leaf.finish(None).unwrap().0.object(None).unwrap()).is_err() {
                bad.push(at);
            }
        }
    }
    assert!(bad.is_empty(), "taken and unreadable: {bad:?}");
}

#[test]
fn an_entry_or_bytes_at_the_wrong_time_are_refused() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let edge: Arc<dyn Edge> = Arc::<Counting>::clone(&world.edge);
    let mut writer = SnapshotWriter::start(
        repository,
        Parent::none(),
        &WriterOptions::default(),
        edge,
        world.runtime.handle().clone(),
        Arc::new(AtomicBool::new(false)),
    );
    assert!(writer.write(b"outside").is_err(), "bytes without a file are swallowed");
    assert!(writer.end_file().is_err());
    assert!(writer.begin_file(TreeEntry::directory("d")).is_err());
}

#[test]
fn verify_of_a_store_that_is_not_there_is_not_a_pass() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    world.snapshot(&repository, FIRST, 1, &files());
    let found = world
        .runtime
        .block_on(repository.verify(Some(("tpyo", None)), VerifyDepth::ReadData, &|_| {}));
    assert!(found.is_err(), "{found:?}");
}

#[test]
fn a_key_that_is_asked_for_in_another_role_is_refused() {
    let world = World::new();
    world.init().unwrap();
    let options = InitOptions {
        root: Some(&world.root),
        believed: world.root.public(),
        keys: vec![KeyEntry::new(Role::Auditor, world.writer.public(), "x", "t")],
        recipients: Vec::new(),
        lock: None,
        state_dir: world.state.path(),
    };
    assert!(
        world
            .runtime
            .block_on(Repository::init(Arc::clone(&world.objects), options, &*world.edge))
            .is_err()
    );
}

#[test]
fn nothing_is_written_in_the_clear_where_the_root_demands_encryption() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let first = repository
        .trust_documents()
        .iter()
        .find(|document| document.0 == layout::key_document(1))
        .unwrap();
    let mut next = KeyDocument {
        epoch: 2,
        previous: Some(Digest::of(&first.1)),
        ..repository.keys().clone()
    };
    next.encryption = "age".to_owned();
    world.replace(&layout::key_document(2), &next.seal(&world.root).unwrap());
    let repository = world.open(Some(&world.root.public()), world.state.path()).unwrap();
    let refused = repository.check_key(&world.writer.public(), Role::Writer);
    assert!(matches!(refused, Err(ArchiveError::TooNew { .. })), "{refused:?}");
}

#[test]
fn a_damaged_pack_is_told_once_and_an_ambiguous_id_is_not_a_missing_point() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    world.snapshot(&repository, FIRST, 1, &files());
    world.snapshot(&repository, SECOND, 2, &files());
    let ambiguous = world.runtime.block_on(repository.point("db", Some("01K")));
    assert!(
        matches!(ambiguous, Err(ArchiveError::Ambiguous { count: 2, .. })),
        "{ambiguous:?}"
    );
    let pack = world.keys().into_iter().find(|key| key.starts_with("packs/")).unwrap();
    world.replace(&pack, b"other bytes");
    let told = world.verify(&repository);
    assert_eq!(told.iter().filter(|error| error.contains(&pack)).count(), 1, "{told:?}");
}

#[test]
fn a_public_list_of_many_hunks_is_read_whole_and_only_in_order() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let mut manifest = world.snapshot(&repository, FIRST, 1, &[]);
    let objects: std::collections::BTreeMap<_, _> = (0..9000u32)
        .map(|n| ((list::Named::Pack, Digest::of(&n.to_le_bytes())), u64::from(n)))
        .collect();
    let hunks = list::encode(&objects);
    assert!(hunks.len() > 2);
    for (id, hunk) in &hunks {
        world.replace(&layout::list(id), hunk);
    }
    manifest.list = ListRef {
        root: hunks.last().unwrap().0,
        objects: 9000,
        bytes: objects.values().sum(),
    };
    let read = world.runtime.block_on(repository.objects_of(&manifest)).unwrap();
    assert!(read == objects);
    let root = String::from_utf8(hunks.last().unwrap().1.clone()).unwrap();
    let mut lines: Vec<&str> = root.lines().collect();
    lines[1..].reverse();
    let turned = lines.join("\n") + "\n";
    manifest.list.root = Digest::of(turned.as_bytes());
    world.replace(&layout::list(&manifest.list.root), turned.as_bytes());
    assert!(world.runtime.block_on(repository.objects_of(&manifest)).is_err());
}
