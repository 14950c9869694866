//! What a writer remembers of its last snapshot: roots, directory chunks and leaves keep their bounds, and are what they would be
//! written as.
//!
//! The first byte says what the rest is the body of, or that it is a whole object; bodies need no seal, so the fuzzer reaches them.

use muster_archive::IndexKey;
use muster_archive::fuzzing::{index_again, index_body, index_object};

const KEY: [u8; 32] = [7; 32];
/// One page of 8 KiB in one frame of one pack.
fn leaf() -> Vec<u8> {
    let head = [&[0x80, 0x40][..], &[0x80, 0x40], &[1], &[5; 32], &[0]].concat();
    // One extent, elsewhere: pack 0, ordinal 0, offset 44, stored 90, frame of 8 KiB, from its beginning.
    let extent = [
        &[1][..],
        &[0x82, 0x80, 0x02],
        &[0, 0],
        &[88],
        &[0xb4, 0x01],
        &[0x80, 0x40],
        &[0],
    ]
    .concat();
    [head, extent, vec![1], vec![9; 8], vec![1], vec![8; 32]].concat()
}

fn file(path: &[u8]) -> Vec<u8> {
    let size = [0x80, 0x40];
    let name = [&[u8::try_from(path.len()).unwrap()][..], path].concat();
    [name, vec![0], size.to_vec(), vec![1; 24], vec![0], vec![6; 32], leaf()].concat()
}

fn long_file(path: &[u8]) -> Vec<u8> {
    let name = [&[u8::try_from(path.len()).unwrap()][..], path].concat();
    let leaf = [&[3; 64][..], &[1], &[4; 16]].concat();
    [
        name,
        vec![2],
        vec![0x80, 0x80, 0x80, 0x80, 4],
        vec![1; 24],
        vec![9],
        vec![6; 32],
        vec![1],
        leaf,
    ]
    .concat()
}

fn bodies() -> [(u8, Vec<u8>); 3] {
    let root = [&[2; 32][..], &[9], &[1], &[5; 32], &[1, b'a']].concat();
    let chunk = [vec![2], file(b"a"), long_file(b"b")].concat();
    [(0, root), (1, chunk), (2, leaf())]
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (kind, body) in bodies() {
        assert!(index_again(kind, &body).is_some(), "a seed of kind {kind} is none");
        seeds.push([vec![kind], body.clone()].concat());
        let object = index_object(KEY, "r", "s", kind, &body).unwrap();
        seeds.push([vec![3], object].concat());
    }
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
            if let Some((kind, body)) = index_body(&IndexKey::new(KEY), "r", "s", body) {
                again(kind, &body);
            }
            assert!(
                index_body(&IndexKey::new([8; 32]), "r", "s", body).is_none(),
                "another key opens it"
            );
            assert!(
                index_body(&IndexKey::new(KEY), "r", "t", body).is_none(),
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
