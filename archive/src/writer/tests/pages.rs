//! Pages: what changed in place is found by its place, and nothing else is stored; what is remembered is never believed too much.

use std::sync::Arc;

use age::secrecy::ExposeSecret as _;
use muster_signing::KeyDocument;

use super::*;
use crate::object_store::PutOptions;
use crate::tree::Location;
use crate::writer::FileTimes;
use crate::{Identities, layout};

const PAGE: u64 = 8192;

pub(super) fn remembering() -> World {
    World {
        index: Some(IndexKey::new([5; 32])),
        ..World::new()
    }
}

pub(super) fn one(path: &str, pieces: Vec<Piece>) -> Tree {
    Tree::from([(path.to_owned(), pieces)])
}

/// Pages of noise, each with its seed.
fn pages(seeds: impl IntoIterator<Item = u8>) -> Vec<Piece> {
    seeds.into_iter().map(|seed| Piece::Noise(seed, PAGE)).collect()
}

fn extents(world: &World, manifest: &Verified<Manifest>) -> Vec<Extent> {
    let mut all = Vec::new();
    for leaf in world.wait(world.repository.tree_leaves(manifest)) {
        for entry in world.wait(world.repository.read_leaf(&leaf)) {
            if let NodeKind::File { content, .. } = entry.kind {
                match content {
                    Content::Inline(extents) => all.extend(extents),
                    Content::Maps(maps) => {
                        for map in maps {
                            all.extend(world.wait(world.repository.read_map(&map)));
                        }
                    }
                }
            }
        }
    }
    all
}

fn locations(extents: &[Extent]) -> impl Iterator<Item = Location> {
    extents.iter().filter_map(|extent| extent.location)
}

#[test]
fn one_changed_page_is_stored_alone_and_the_others_are_slices_of_the_parents_frame() {
    let mut world = remembering();
    let before = pages(0..16);
    let first = world.snapshot(&one("a", before.clone()));
    let mut after = before;
    after[3] = Piece::Noise(100, PAGE);
    let second = world.snapshot(&one("a", after.clone()));
    world.assert_reads_back(&second, &one("a", after));
    world.assert_verifies();
    assert!(
        second.added_bytes < PAGE + 4096,
        "{} bytes for one page",
        second.added_bytes
    );
    let found = extents(&world, &second);
    let lengths: Vec<u64> = found.iter().map(|extent| extent.length / PAGE).collect();
    assert_eq!(lengths, [3, 1, 4, 8]);
    assert_eq!(found[0].group.as_ref().unwrap().extents, 3);
    let old = locations(&extents(&world, &first)).next().unwrap();
    assert_eq!(
        (found[2].location.unwrap().pack, found[2].location.unwrap().within),
        (old.pack, 4 * 8192)
    );
}

#[test]
fn a_page_that_is_cut_grows_or_turns_to_zeros_is_not_taken_for_what_it_was() {
    let mut world = remembering();
    let noise = |length| Piece::Noise(1, length);
    let trees = [
        vec![noise(20 * PAGE + 100)],
        vec![noise(20 * PAGE + 99)],
        vec![noise(20 * PAGE + 101)],
        vec![noise(3 * PAGE)],
        vec![noise(3 * PAGE - 1)],
        vec![noise(PAGE)],
        vec![noise(2 * PAGE)],
        vec![noise(PAGE), Piece::Hole(PAGE), noise(PAGE)],
        vec![noise(PAGE), Piece::Fill(0, PAGE), noise(30 * PAGE)],
        vec![Piece::Hole(64 * PAGE), noise(PAGE)],
        vec![Piece::Fill(0, 8 * PAGE)],
        vec![],
        vec![noise(9 * PAGE)],
    ];
    for pieces in trees {
        let tree = one("a", pieces);
        let manifest = world.snapshot(&tree);
        world.assert_reads_back(&manifest, &tree);
    }
    world.assert_verifies();
}

#[test]
fn a_new_file_is_not_compared_with_what_the_file_before_it_was() {
    let mut world = remembering();
    world.snapshot(&one("a", pages(0..24)));
    let mut tree = one("a", pages(0..8));
    tree.insert("b".to_owned(), pages([100, 9, 10, 11, 12, 13, 14, 15]));
    let second = world.snapshot(&tree);
    world.assert_reads_back(&second, &tree);
    let lengths: Vec<u64> = extents(&world, &second).iter().map(|extent| extent.length).collect();
    assert_eq!(lengths, [8 * PAGE, 8 * PAGE]);
}

#[test]
fn a_page_of_zeros_beside_a_changed_one_is_named_as_zeros_and_not_looked_for_in_a_frame() {
    let mut world = remembering();
    let block = |first| {
        let mut pieces = pages([first, 1, 2, 3, 4, 5, 6, 7]);
        pieces[3] = Piece::Fill(0, PAGE);
        one("a", pieces)
    };
    world.snapshot(&block(0));
    let second = world.snapshot(&block(100));
    world.assert_reads_back(&second, &block(100));
    let found = extents(&world, &second);
    let shape: Vec<(u64, bool)> = found.iter().map(|e| (e.length / PAGE, e.location.is_none())).collect();
    assert_eq!(shape, [(1, false), (2, false), (1, true), (4, false)]);
    assert_eq!(world.snapshot(&block(100)).tree, second.tree);
}

#[test]
fn many_rounds_of_changes_stay_cheap_to_restore_and_store_little_again() {
    let mut world = remembering();
    let count = 2048u32;
    let mut state: Vec<u8> = (0..count).map(|page| (page % 250) as u8).collect();
    world.snapshot(&one("table", pages(state.clone())));
    let mut again = 0;
    // Without storing again the worst of these rounds decodes 1.42 times the table, equal pages being stored once.
    for round in 0..14u8 {
        for page in 0..count {
            let chance = blake3::hash(&[&page.to_le_bytes()[..], &[round]].concat());
            if chance.as_bytes()[0] < 48 {
                let slot = &mut state[page as usize];
                *slot = slot.wrapping_mul(5).wrapping_add(round + 1);
            }
        }
        let tree = one("table", pages(state.clone()));
        let manifest = world.snapshot(&tree);
        let logical = manifest.tree.logical_bytes;
        let cost = manifest.restore.as_ref().unwrap();
        again += manifest.rewritten_bytes;
        assert!(
            manifest.rewritten_bytes <= logical / 20 + (1 << 16),
            "round {round}: {} of {logical} again",
            manifest.rewritten_bytes
        );
        assert!(
            cost.decoded_bytes * 5 <= logical * 6,
            "round {round}: {} decoded for {logical}",
            cost.decoded_bytes
        );
        if round == 13 {
            world.assert_reads_back(&manifest, &tree);
        }
    }
    assert!(again > 0, "nothing was stored again");
    world.assert_verifies();
}

#[test]
fn an_unchanged_gibibyte_costs_bytes_and_names_the_same_map() {
    let mut world = remembering();
    let long = |tail| {
        one(
            "big",
            vec![Piece::Fill(1, GIB), Piece::Noise(2, PAGE), Piece::Noise(tail, PAGE)],
        )
    };
    let first = world.snapshot(&long(3));
    let second = world.snapshot(&long(4));
    world.assert_reads_back(&second, &long(4));
    let maps = |manifest: &Verified<Manifest>| {
        let leaf = world.wait(world.repository.tree_leaves(manifest))[0];
        match world.wait(world.repository.read_leaf(&leaf)).remove(0).kind {
            NodeKind::File {
                content: Content::Maps(maps),
                ..
            } => maps,
            _ => panic!("it has no maps"),
        }
    };
    assert_eq!(maps(&first)[0], maps(&second)[0]);
    assert_ne!(maps(&first)[1], maps(&second)[1]);
    assert!(second.added_bytes < 2 * PAGE, "{} bytes", second.added_bytes);
    world.assert_verifies();
}

#[test]
fn what_was_moved_or_renamed_is_not_stored_again() {
    let mut world = remembering();
    let mut tree = one("logs/app.log", vec![Piece::Noise(1, 40 * PAGE)]);
    tree.insert("small".to_owned(), vec![Piece::Noise(2, 3000)]);
    world.snapshot(&tree);
    let mut moved = one("logs/app.log.1", vec![Piece::Noise(1, 40 * PAGE)]);
    moved.insert("logs/app.log".to_owned(), vec![Piece::Noise(3, PAGE)]);
    moved.insert("tiny".to_owned(), vec![Piece::Noise(2, 3000)]);
    let manifest = world.snapshot(&moved);
    world.assert_reads_back(&manifest, &moved);
    world.assert_verifies();
    assert!(manifest.added_bytes < 2 * PAGE, "{} bytes", manifest.added_bytes);
}

#[test]
fn an_index_that_is_gone_damaged_or_anothers_costs_no_data() {
    type Harm = fn(&mut World);
    let harms: [(&str, Harm); 4] = [
        ("gone", |world| world.each_index_object(|_| None)),
        ("damaged", |world| {
            world.each_index_object(|bytes| {
                let mut bytes = bytes.to_vec();
                let last = bytes.len() - 1;
                bytes[last] ^= 1;
                Some(bytes)
            });
        }),
        ("another's", |world| world.index = Some(IndexKey::new([6; 32]))),
        ("not wanted", |world| world.index = None),
    ];
    let tree = |seed| {
        let mut tree = one("big", vec![Piece::Noise(seed, 600 * PAGE)]);
        tree.insert("small".to_owned(), vec![Piece::Noise(8, 100)]);
        tree
    };
    for (name, harm) in harms {
        let mut world = remembering();
        world.snapshot(&tree(1));
        harm(&mut world);
        let same = world.snapshot(&tree(1));
        world.assert_reads_back(&same, &tree(1));
        assert!(same.added_bytes < 600 * PAGE / 4, "{name}: {} bytes", same.added_bytes);
        let next = world.snapshot(&tree(2));
        world.assert_reads_back(&next, &tree(2));
        world.assert_verifies();
    }
}

#[test]
fn a_file_is_passed_over_only_where_nothing_says_that_it_may_have_changed() {
    let mut world = remembering();
    let times = FileTimes {
        size: 3 * PAGE,
        mtime: (1_700_000_000, 5),
        ctime: (1_700_000_000, 6),
    };
    let pieces = vec![Piece::Noise(1, 3 * PAGE)];
    let first = {
        let mut writer = world.start(world.parent(), &Arc::default());
        for path in ["a", "b", "c"] {
            assert!(
                !writer.is_unchanged(path.as_bytes(), &times),
                "nothing is remembered yet"
            );
            write_timed(&mut writer, path, &times, &pieces, path == "b");
        }
        world.commit(writer)
    };
    let ask = |world: &World, path: &str, times: &FileTimes| {
        let mut writer = world.start(world.parent(), &Arc::default());
        writer.is_unchanged(path.as_bytes(), times)
    };
    assert!(ask(&world, "a", &times));
    assert!(!ask(&world, "b", &times), "it changed while it was read");
    assert!(!ask(&world, "d", &times), "it is new");
    // A page was written, and its times were put back as far as a program can.
    let written = FileTimes {
        ctime: (1_700_000_000, 7),
        ..times
    };
    assert!(!ask(&world, "a", &written));
    for other in [
        FileTimes { size: 1, ..times },
        FileTimes {
            mtime: (1_700_000_000, 4),
            ..times
        },
    ] {
        assert!(!ask(&world, "a", &other));
    }
    let second = {
        let mut writer = world.start(world.parent(), &Arc::default());
        for path in ["a", "b", "c"] {
            if writer.is_unchanged(path.as_bytes(), &times) {
                writer.reuse_file(timed(path, &times)).unwrap();
            } else {
                write_timed(&mut writer, path, &times, &pieces, false);
            }
        }
        world.commit(writer)
    };
    assert_eq!(first.tree, second.tree);
    world.assert_verifies();
    world.edge.0.fetch_add(6 * 24 * 3_600_000, Ordering::Relaxed);
    assert!(ask(&world, "a", &times));
    world.edge.0.fetch_add(24 * 3_600_000 + 60_000, Ordering::Relaxed);
    assert!(!ask(&world, "a", &times), "it was not read for a week");
}

#[test]
fn many_files_that_are_passed_over_make_the_same_tree_wherever_a_batch_ends() {
    let mut world = remembering();
    let times = |number: u32| FileTimes {
        size: u64::from(number % 50) + 1,
        mtime: (1_700_000_000, number),
        ctime: (1_700_000_000, number),
    };
    let path = |number: u32| format!("{:02}/{number:05}", number / 1000);
    let first = {
        let mut writer = world.start(world.parent(), &Arc::default());
        for number in 0..9000 {
            writer.is_unchanged(path(number).as_bytes(), &times(number));
            let pieces = [Piece::Noise(u8::try_from(number % 250).unwrap(), times(number).size)];
            write_timed(&mut writer, &path(number), &times(number), &pieces, false);
        }
        world.commit(writer)
    };
    let second = {
        let mut writer = world.start(world.parent(), &Arc::default());
        for number in 0..9000 {
            assert!(writer.is_unchanged(path(number).as_bytes(), &times(number)));
            writer.reuse_file(timed(&path(number), &times(number))).unwrap();
        }
        world.commit(writer)
    };
    assert_eq!(first.tree, second.tree);
    assert_eq!(first.list, second.list);
    world.assert_verifies();
}

#[test]
fn a_time_close_to_the_parents_beginning_is_not_believed() {
    let mut world = remembering();
    let begun = i64::try_from(world.edge.now_ms() / 1000).unwrap();
    for (seconds, believed) in [(begun - 60, true), (begun - 1, false), (begun + 1000, false)] {
        let times = FileTimes {
            size: PAGE,
            mtime: (1_700_000_000, 0),
            ctime: (seconds, 0),
        };
        let mut writer = world.start(world.parent(), &Arc::default());
        writer.is_unchanged(b"a", &times);
        write_timed(&mut writer, "a", &times, &[Piece::Noise(1, PAGE)], false);
        world.commit(writer);
        let mut writer = world.start(world.parent(), &Arc::default());
        assert_eq!(writer.is_unchanged(b"a", &times), believed, "{seconds} at {begun}");
    }
}

#[test]
fn a_pack_that_is_suspected_is_not_leaned_on_again() {
    let mut world = remembering();
    let tree = one("a", pages(0..32));
    world.snapshot(&tree);
    let pack = locations(&extents(&world, &world.latest())).next().unwrap().pack;
    world.repository.suspect([pack]).unwrap();
    let after = world.snapshot(&tree);
    assert!(locations(&extents(&world, &after)).all(|location| location.pack != pack));
    assert!(after.added_bytes > 30 * PAGE);
    let again = world.snapshot(&tree);
    assert!(again.added_bytes < PAGE, "{} bytes", again.added_bytes);
}

#[test]
fn a_file_whose_pack_is_suspected_is_not_passed_over() {
    let mut world = remembering();
    let times = FileTimes {
        size: 3 * PAGE,
        mtime: (1_700_000_000, 5),
        ctime: (1_700_000_000, 6),
    };
    let mut writer = world.start(world.parent(), &Arc::default());
    writer.is_unchanged(b"a", &times);
    write_timed(&mut writer, "a", &times, &[Piece::Noise(1, 3 * PAGE)], false);
    let first = world.commit(writer);
    let ask = |world: &World| {
        let mut writer = world.start(world.parent(), &Arc::default());
        writer.is_unchanged(b"a", &times)
    };
    assert!(ask(&world));
    let pack = locations(&extents(&world, &first)).next().unwrap().pack;
    world.repository.suspect([pack]).unwrap();
    assert!(!ask(&world), "its bytes are stored again");
}

#[test]
fn what_verify_found_damaged_is_stored_again_by_the_next_backup() {
    let mut world = remembering();
    let tree = one("a", pages(0..32));
    world.snapshot(&tree);
    let pack = world.packs().remove(0).key;
    let objects = Arc::clone(world.repository.objects());
    world.runtime.block_on(async {
        let mut bytes = objects.get_limited(&pack, 1 << 30).await.unwrap().to_vec();
        bytes[1000] ^= 1;
        objects.put(&pack, bytes.into(), PutOptions::OVERWRITE).await.unwrap();
        let found = world
            .repository
            .verify(None, VerifyDepth::ReadData, &|_| {})
            .await
            .unwrap();
        assert_eq!(found.damaged.len(), 1, "{found:?}");
    });
    let after = world.snapshot(&tree);
    world.assert_reads_back(&after, &tree);
}

#[test]
fn a_host_without_identity_stores_what_changed_and_reads_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let identity = age::x25519::Identity::generate();
    let file = folder.path().join("identity");
    std::fs::write(&file, identity.to_string().expose_secret()).unwrap();
    let mut world = remembering();
    world.demand_encryption(vec![identity.to_public().to_string()]);
    let mut pieces = pages(0..64);
    pieces.push(Piece::Noise(70, 500 * PAGE));
    let mut tree = one("table", pieces.clone());
    tree.insert("small".to_owned(), vec![Piece::Noise(80, 1000)]);
    let first = world.snapshot(&tree);
    pieces[5] = Piece::Noise(100, PAGE);
    tree.insert("table".to_owned(), pieces);
    let second = world.snapshot(&tree);
    assert!(
        second.added_bytes < 10 * PAGE,
        "{} bytes for one page",
        second.added_bytes
    );
    let third = world.snapshot(&tree);
    assert!(third.added_bytes < 6 * PAGE, "{} bytes for nothing", third.added_bytes);
    assert_eq!(third.encryption.as_ref().unwrap().runs.len(), 3);
    for manifest in [&first, &second, &third] {
        let read = world.runtime.block_on(world.repository.tree_leaves(manifest));
        assert!(matches!(read, Err(ArchiveError::NoIdentity { .. })), "{read:?}");
    }
    world.repository = world
        .repository
        .clone()
        .with_identities(Identities::read(&file).unwrap());
    world.assert_reads_back(&third, &tree);
    world.assert_verifies();
}

#[test]
fn leaves_that_did_not_change_are_not_sealed_again_unless_someone_new_must_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let identities = [age::x25519::Identity::generate(), age::x25519::Identity::generate()];
    let public = |number: usize| identities[number].to_public().to_string();
    let file = folder.path().join("identity");
    std::fs::write(&file, identities[0].to_string().expose_secret()).unwrap();
    let mut world = remembering();
    world.demand_encryption(vec![public(0)]);
    let mut tree: Tree = (0..3000u64)
        .map(|number| (format!("{:02}/{number}", number % 30), vec![Piece::Noise(7, 50)]))
        .collect();
    let first = world.snapshot(&tree);
    let leaves = world.trees();
    assert!(leaves > 3, "{leaves} tree objects");

    let unchanged = world.snapshot(&tree);
    assert_eq!((unchanged.tree.root, world.trees()), (first.tree.root, leaves));
    tree.insert("07/7".to_owned(), vec![Piece::Noise(9, 50)]);
    let changed = world.snapshot(&tree);
    assert_eq!(world.trees(), leaves + 2, "a leaf and the index over it");

    world.demand_encryption(vec![public(0), public(1)]);
    let both = world.snapshot(&tree);
    assert_eq!(
        world.trees(),
        2 * leaves + 2,
        "the second recipient must read all of them"
    );
    world.repository = world
        .repository
        .clone()
        .with_identities(Identities::read(&file).unwrap());
    for manifest in [&changed, &both] {
        // The manifest alone says under which epochs the keys of its runs were wrapped.
        world.assert_reads_back(manifest, &tree);
    }
    world.assert_verifies();
}

fn timed(path: &str, times: &FileTimes) -> TreeEntry {
    let kind = NodeKind::File {
        sparse: false,
        size: 0,
        digest: [0; 32],
        content: Content::Inline(Vec::new()),
    };
    TreeEntry {
        kind,
        mtime_seconds: times.mtime.0,
        mtime_nanos: times.mtime.1,
        ..TreeEntry::directory(path)
    }
}

fn write_timed(writer: &mut SnapshotWriter, path: &str, times: &FileTimes, pieces: &[Piece], changes: bool) {
    writer.begin_file(timed(path, times)).unwrap();
    let mut bytes = Bytewise::new(pieces);
    let mut all = vec![0; usize::try_from(pieces.iter().map(Piece::length).sum::<u64>()).unwrap()];
    bytes.next(&mut all);
    writer.write(&all).unwrap();
    if changes {
        writer.distrust_file();
    }
    writer.end_file().unwrap();
}

impl World {
    /// The root demands encryption to these recipients from now on.
    pub(super) fn demand_encryption(&mut self, recipients: Vec<String>) {
        let root = SecretKey::generate([1; 32]);
        let documents = self.repository.trust_documents();
        let last = documents.last().unwrap();
        let next = KeyDocument {
            epoch: self.repository.keys().epoch + 1,
            previous: Some(Digest::of(&last.1)),
            encryption: "required".to_owned(),
            recipients,
            ..self.repository.keys().clone()
        };
        let sealed = next.seal(&root).unwrap();
        let objects = Arc::clone(self.repository.objects());
        let key = layout::key_document(next.epoch);
        self.runtime
            .block_on(objects.put(&key, sealed.into(), PutOptions::CREATE))
            .unwrap();
        let state = self._state.path().to_owned();
        self.repository = self
            .runtime
            .block_on(Repository::open(objects, Some(&root.public()), &state))
            .unwrap();
    }

    /// How many tree objects there are.
    fn trees(&self) -> usize {
        let listed = self.runtime.block_on(self.repository.objects().list("trees/"));
        listed.unwrap().len()
    }

    fn latest(&self) -> Verified<Manifest> {
        let point = self.wait(self.repository.point("db", None));
        self.wait(self.repository.manifest(&point)).0
    }

    /// Replaces or removes every index object, in the repository and in this host's cache.
    fn each_index_object(&mut self, harm: fn(&[u8]) -> Option<Vec<u8>>) {
        let _ = std::fs::remove_dir_all(self.repository.state().dir().join("index"));
        let objects = Arc::clone(self.repository.objects());
        let listed = self.runtime.block_on(objects.list(layout::INDEX)).unwrap();
        assert!(!listed.is_empty());
        for object in listed {
            self.runtime.block_on(async {
                let bytes = objects.get_limited(&object.key, 1 << 30).await.unwrap();
                match harm(&bytes) {
                    Some(bytes) => objects
                        .put(&object.key, bytes.into(), PutOptions::OVERWRITE)
                        .await
                        .unwrap(),
                    None => objects.delete(&object.key).await.unwrap(),
                };
            });
        }
    }
}
