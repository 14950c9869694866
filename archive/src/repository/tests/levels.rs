//! A tree whose index has two levels: nothing stands for a level but its own object.

use std::collections::BTreeMap;

use muster_signing::Digest;

use super::hostile::files;
use super::{FIRST, SECOND, World};
use crate::list::{self, Named};
use crate::tree::{Child, Index, decode_index};
use crate::{ListRef, Manifest, Repository, layout};

/// A repository with a snapshot whose index has a root and one index beneath it; their ids, the root's first.
fn two_levels() -> (World, Repository, [Digest; 2]) {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let mut manifest = world.snapshot(&repository, FIRST, 1, &files());
    let inner = manifest.tree.root;
    let read = |id: &Digest| {
        let object = layout::tree(id);
        world.runtime.block_on(world.objects.get(&object)).unwrap()
    };
    let below = decode_index(&read(&inner)).unwrap();
    let child = Child {
        id: inner,
        ..below.children[0].clone()
    };
    let index = Index {
        level: 1,
        children: vec![child],
        ..below
    };
    let object = index.body().object(None).unwrap();
    let root = Digest::of(&object);
    world.replace(&layout::tree(&root), &object);
    let listed = world.runtime.block_on(repository.objects_of(&manifest)).unwrap();
    let mut objects: BTreeMap<(Named, Digest), u64> = listed;
    objects.insert((Named::Tree, root), object.len() as u64);
    let hunks = list::encode(&objects);
    world.replace(&layout::list(&hunks[0].0), &hunks[0].1);
    manifest.tree.root = root;
    manifest.list = ListRef {
        root: hunks[0].0,
        objects: objects.len() as u64,
        bytes: objects.values().sum(),
    };
    let manifest = Manifest {
        snapshot: SECOND.to_owned(),
        sequence: 2,
        ..manifest
    };
    let committed = repository.commit_snapshot(&manifest, &world.writer, &*world.edge);
    world.runtime.block_on(committed).unwrap();
    (world, repository, [root, inner])
}

#[test]
fn each_level_of_an_index_is_named_where_it_is_lost_altered_or_another_ones() {
    let (world, repository, levels) = two_levels();
    assert_eq!(world.verify(&repository), Vec::<String>::new());
    for (at, id) in levels.iter().enumerate() {
        let object = layout::tree(id);
        let whole = world.runtime.block_on(world.objects.get(&object)).unwrap();
        let other = layout::tree(&levels[1 - at]);
        let other = world.runtime.block_on(world.objects.get(&other)).unwrap();
        let mut flipped = whole.to_vec();
        flipped[whole.len() / 2] ^= 1;
        for harm in [None, Some(&flipped[..]), Some(&other[..])] {
            match harm {
                None => world.runtime.block_on(world.objects.delete(&object)).unwrap(),
                Some(bytes) => world.replace(&object, bytes),
            }
            let told = world.verify(&repository);
            assert!(told.iter().any(|error| error.contains(&object)), "level {at}: {told:?}");
            let point = world.runtime.block_on(repository.point("db", None)).unwrap();
            let read = world.runtime.block_on(async {
                let (manifest, _) = repository.manifest(&point).await.unwrap();
                repository.tree_index(&manifest).await
            });
            let error = read.unwrap_err();
            assert!(
                error.is_damage() && error.to_string().contains(&object),
                "level {at}: {error}"
            );
            world.replace(&object, &whole);
        }
    }
}
