//! What a writer remembers of its last snapshot: roots, directory chunks and leaves keep their bounds, and are what they would be
//! written as.
//!
//! The first byte says what the rest is the body of, or that it is a whole object; bodies need no seal, so the fuzzer reaches them.

use muster_archive::IndexKey;
use muster_archive::fuzzing::{index_again, index_body, index_object};

use crate::world::{INDEX_KEY, STORE, World};

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let world = World::new().unwrap();
    let key = IndexKey::new(INDEX_KEY);
    let mut seeds = Vec::new();
    for object in &world.index {
        let (kind, body) = index_body(&key, &world.manifest.repository, STORE, object).expect("the writer's own");
        assert!(index_again(kind, &body).is_some(), "kind {kind}");
        seeds.push([vec![kind], body.clone()].concat());
        let object = index_object(INDEX_KEY, "r", "s", kind, &body).unwrap();
        seeds.push([vec![3], object].concat());
    }
    assert!(!seeds.is_empty(), "the writer remembered nothing");
    // As many extents, prints and chunks as a varint can say.
    seeds.push([&[2, 0x80, 0x40][..], &[0xff; 9], &[1]].concat());
    seeds.push([&[0][..], &[0; 32], &[0], &[0xff; 9], &[1]].concat());
    seeds
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let Some((first, body)) = data.split_first() else {
        return;
    };
    match first % 4 {
        3 => {
            if let Some((kind, body)) = index_body(&IndexKey::new(INDEX_KEY), "r", "s", body) {
                again(kind, &body);
            }
            assert!(
                index_body(&IndexKey::new([8; 32]), "r", "s", body).is_none(),
                "another key opens it"
            );
            assert!(
                index_body(&IndexKey::new(INDEX_KEY), "r", "t", body).is_none(),
                "another store's opens"
            );
        }
        kind => again(kind, body),
    }
}

fn again(kind: u8, body: &[u8]) {
    let Some(written) = index_again(kind, body) else { return };
    let twice = index_again(kind, &written).expect("what was written is read");
    assert_eq!(twice, written);
}
