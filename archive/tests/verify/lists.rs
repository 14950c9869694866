//! Public lists of many hunks: whichever of them is not what its name says, it is named, and no other snapshot is concerned.

use std::sync::Arc;

use muster_archive::VerifyDepth;
use muster_archive::object_store::MemoryStore;

use crate::world::{World, asking, told};

#[test]
fn a_list_of_lists_and_each_of_its_hunks_is_named_where_it_is_lost_cut_altered_or_another_one() {
    let world = World::new(Arc::new(MemoryStore::new()));
    world.snapshot(&[("a", vec![1; 100])]);
    let plain = world.keys("lists/");
    world.snapshot_of_many(5_000);
    let all = world.keys("lists/");
    let hunks: Vec<&String> = all.keys().filter(|key| !plain.contains_key(*key)).collect();
    let verify = || world.verify(&world.repository, &asking(VerifyDepth::Inventory));
    assert_eq!(told(&verify()), [""; 0]);
    let read = |key: &str| world.runtime.block_on(world.objects.get(key)).unwrap().to_vec();
    let mut named = 0;
    for (at, key) in hunks.iter().enumerate() {
        let whole = read(key);
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        let another = read(hunks[(at + 1) % hunks.len()]);
        let cut = whole[..whole.len() / 2].to_vec();
        for harm in [None, Some(cut), Some(flipped), Some(another)] {
            match harm {
                None => world.runtime.block_on(world.objects.delete(key)).unwrap(),
                Some(bytes) => world.put(key, bytes),
            }
            let found = verify();
            // The list of the empty tree that the writer made is named by nothing here.
            named += usize::from(!found.damaged.is_empty());
            assert!(
                found.damaged.is_empty() || told(&found).iter().all(|error| error.contains(key.as_str())),
                "{key}: {:?}",
                told(&found)
            );
            assert_eq!(found.snapshots, 2, "both manifests hold");
            world.put(key, whole.clone());
        }
    }
    assert_eq!(named, 4 * 4, "three hunks and their root, each harm of each");
}
