//! What whoever holds a writer's key can sign although it is not so: each lie is told by the check that is made for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_signing::{Digest, canonical_json, payload, seal};

use super::hostile::files;
use super::{FIRST, SECOND, World};
use crate::list::{self, Named};
use crate::tree::{Check, Child, Content, Extent, Index, LeafBuilder, NodeKind, TreeEntry};
use crate::{
    ArchiveError, FileDigest, HashKey, InitOptions, ListRef, Manifest, Repository, TreeDigest, TreeRef, layout,
};

fn commit(world: &World, repository: &Repository, manifest: &Manifest) -> Result<(), ArchiveError> {
    let committed = repository.commit_snapshot(manifest, &world.writer, &*world.edge);
    world.runtime.block_on(committed).map(|_| ())
}

#[test]
fn a_list_that_does_not_add_up_to_what_its_manifest_signs_names_nothing() {
    let lies: [fn(&mut ListRef); 2] = [|list| list.bytes += 1, |list| list.objects -= 1];
    for lie in lies {
        let world = World::new();
        let (repository, _) = world.init().unwrap();
        let mut manifest = world.snapshot(&repository, FIRST, 1, &files());
        manifest.snapshot = SECOND.to_owned();
        manifest.sequence = 2;
        lie(&mut manifest.list);
        commit(&world, &repository, &manifest).unwrap();
        let told = world.verify(&repository);
        let list = layout::list(&manifest.list.root);
        assert!(told.len() == 1 && told[0].contains(&list), "{told:?}");
        let point = world.runtime.block_on(repository.point("db", None)).unwrap();
        let parent = world.runtime.block_on(async {
            let (manifest, _) = repository.manifest(&point).await.unwrap();
            repository.parent(&manifest, 64 << 20).await
        });
        assert!(parent.unwrap_err().is_damage(), "nothing is leaned on");
    }
}

#[test]
fn a_manifest_that_was_signed_a_second_time_is_not_the_one_that_the_log_names() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let manifest = world.snapshot(&repository, FIRST, 1, &files());
    let other = Manifest {
        consistency_point: serde_json::json!({ "time": "2026-01-01T00:00:00Z" }),
        ..manifest
    };
    let object = layout::manifest("db", FIRST);
    let again = seal(payload::MANIFEST, &canonical_json(&other).unwrap(), &world.writer);
    world.replace(&object, &again);
    let point = world.runtime.block_on(repository.point("db", None)).unwrap();
    let read = world.runtime.block_on(repository.manifest(&point));
    let error = read.unwrap_err();
    assert!(error.is_damage() && error.to_string().contains(&object), "{error}");
    let told = world.verify(&repository);
    assert!(told.iter().any(|error| error.contains(&object)), "{told:?}");
}

#[test]
fn what_was_written_in_the_clear_is_not_committed_once_the_root_demands_encryption() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let plain = world.snapshot(&repository, FIRST, 1, &files());
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    let options = InitOptions {
        root: Some(&world.root),
        believed: world.root.public(),
        keys: Vec::new(),
        recipients: vec![recipient],
        lock: None,
        state_dir: world.state.path(),
    };
    let rotated = Repository::rotate(Arc::clone(&world.objects), options, &*world.edge);
    world.runtime.block_on(rotated).unwrap();
    let now = world.open(Some(&world.root.public()), world.state.path()).unwrap();
    assert!(now.is_encrypted());
    let manifest = Manifest {
        snapshot: SECOND.to_owned(),
        sequence: 2,
        ..plain
    };
    let refused = commit(&world, &now, &manifest).unwrap_err();
    assert!(refused.to_string().contains("encrypted"), "{refused}");
    assert!(!world.keys().contains(&layout::manifest("db", SECOND)));
}

/// A snapshot of one file of one block, whose extent is `lie` of a right one; everything above it adds up.
fn tree_that_lies(lie: impl FnOnce(&mut Extent)) -> (World, Repository, String) {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let block = vec![("dir/b", super::noise(3, crate::BLOCK))];
    let mut manifest = world.snapshot(&repository, FIRST, 1, &block);
    let (key, mut entry) = world.runtime.block_on(async {
        let index = repository.tree_index(&manifest).await.unwrap();
        let entries = repository.read_leaf(&index.leaves[0]).await.unwrap();
        let file = |entry: &TreeEntry| matches!(entry.kind, NodeKind::File { .. });
        (index.hash_key, entries.into_iter().find(file).unwrap())
    });
    let NodeKind::File { content, digest, .. } = &mut entry.kind else {
        panic!("a file")
    };
    let Content::Inline(extents) = content else {
        panic!("few extents")
    };
    lie(&mut extents[0]);
    let pack = extents[0].location.unwrap().pack;
    if let Check::Whole(hash) = extents[0].check {
        let mut sum = FileDigest::new(&key);
        sum.push_block(&hash);
        *digest = sum.finish();
    }
    put_tree(&world, &key, &entry, pack, &mut manifest);
    commit(&world, &repository, &manifest).unwrap();
    (world, repository, layout::pack(&pack))
}

/// Puts a tree of one entry, and has `manifest` name it and the pack.
fn put_tree(world: &World, key: &HashKey, entry: &TreeEntry, pack: Digest, manifest: &mut Manifest) {
    let mut leaf = LeafBuilder::default();
    leaf.push(entry);
    let (leaf, entries, first) = leaf.finish(None).unwrap();
    let leaf = leaf.object(None).unwrap();
    let id = Digest::of(&leaf);
    let index = Index {
        hash_key: key.clone(),
        level: 0,
        ordered: true,
        children: vec![Child { id, entries, first }],
    };
    let index = index.body().object(None).unwrap();
    let root = Digest::of(&index);
    let packed = world
        .runtime
        .block_on(world.objects.head(&layout::pack(&pack)))
        .unwrap();
    let objects = BTreeMap::from([
        ((Named::Pack, pack), packed.size),
        ((Named::Tree, id), leaf.len() as u64),
        ((Named::Tree, root), index.len() as u64),
    ]);
    let hunks = list::encode(&objects);
    world.replace(&layout::tree(&id), &leaf);
    world.replace(&layout::tree(&root), &index);
    world.replace(&layout::list(&hunks[0].0), &hunks[0].1);
    let mut digest = TreeDigest::new();
    digest.push(entry);
    manifest.snapshot = SECOND.to_owned();
    manifest.sequence = 2;
    manifest.tree = TreeRef {
        root,
        digest: digest.finish(),
        entries: 1,
        files: 1,
        logical_bytes: crate::BLOCK as u64,
    };
    manifest.list = ListRef {
        root: hunks[0].0,
        objects: 3,
        bytes: objects.values().sum(),
    };
}

#[test]
fn a_full_read_decodes_frames_and_tells_where_a_tree_says_what_is_not_in_a_whole_pack() {
    let lies: [fn(&mut Extent); 3] = [
        |extent| extent.check = Check::Whole([1; 32]),
        |extent| extent.location.as_mut().unwrap().offset += 1,
        |extent| extent.location.as_mut().unwrap().ordinal += 1,
    ];
    for lie in lies {
        let (world, repository, pack) = tree_that_lies(lie);
        let told = world.verify(&repository);
        assert!(told.len() == 1 && told[0].contains(&pack), "{told:?}");
    }
    let (world, repository, _) = tree_that_lies(|_| {});
    assert_eq!(world.verify(&repository), Vec::<String>::new());
}
