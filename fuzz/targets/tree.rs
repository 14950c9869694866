//! Tree objects: leaves, extent maps and indexes keep their bounds, and survive being written and read again.
//!
//! The input is taken as an object and as the body of one, which spares the fuzzer to forge a zstd frame.
use muster_archive::fuzzing::{leaf, map, tree_index, tree_index_again};
use muster_archive::tree::{
    Content, Extent, NodeKind, TreeEntry, decode_index_children, decode_leaf, decode_map, is_valid_path,
};
use muster_signing::Digest;

use crate::world::World;

const FRAME_MAX: u64 = 4 << 20;
const HEADER: usize = 14;

/// What the archive's own writer wrote, and its extents.
fn written() -> (Vec<Vec<u8>>, Vec<Extent>) {
    let world = World::new().unwrap();
    let trees = world.objects.iter().filter(|(name, _)| name.starts_with("trees/"));
    let trees: Vec<Vec<u8>> = trees.map(|(_, bytes)| bytes.to_vec()).collect();
    let entries = trees.iter().filter_map(|tree| decode_leaf(tree).ok()).flatten();
    let extents = entries.filter_map(|entry| match entry.kind {
        NodeKind::File {
            content: Content::Inline(extents),
            ..
        } => Some(extents),
        _ => None,
    });
    let extents = extents.flatten().collect();
    (trees, extents)
}

fn entries() -> Vec<TreeEntry> {
    let kinds = [
        NodeKind::Directory,
        NodeKind::File {
            sparse: true,
            size: 9,
            digest: [9; 32],
            content: Content::Maps(vec![Digest::of(b"map")]),
        },
        NodeKind::Symlink {
            target: b"../x".to_vec(),
        },
        NodeKind::HardLink { to: b"d/1".to_vec() },
        NodeKind::Fifo,
        NodeKind::Device {
            block: true,
            major: 8,
            minor: 1,
        },
    ];
    let entry = |(number, kind)| TreeEntry {
        kind,
        xattrs: vec![(b"user.a".to_vec(), b"b".to_vec())],
        ..TreeEntry::directory(format!("d/{number}"))
    };
    kinds.into_iter().enumerate().map(entry).collect()
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let (mut objects, extents) = written();
    assert!(objects.len() > 1 && !extents.is_empty(), "the writer wrote no tree");
    let made = [
        leaf(&entries()),
        leaf(&[]),
        map(&extents),
        tree_index(Digest::of(b"child"), b"d/0"),
    ];
    objects.extend(made.map(Option::unwrap));
    let body = |object: &Vec<u8>| zstd::bulk::decompress(&object[HEADER..], 1 << 20).unwrap();
    let bodies: Vec<_> = objects.iter().map(body).collect();
    // As many extents, or packs, as a varint can say.
    let vast = [&[0xff; 9][..], &[1]].concat();
    let vaster = [&[0][..], &vast].concat();
    objects.into_iter().chain(bodies).chain([vast, vaster]).collect()
}

/// The object of a kind whose body these bytes are.
fn wrapped(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [
        b"MUSTTREE",
        &[kind, 1][..],
        &length,
        &zstd::bulk::compress(body, 1).unwrap(),
    ]
    .concat()
}

fn check_extents(extents: &[Extent]) {
    for extent in extents {
        assert!(extent.length > 0);
        if let Some(at) = &extent.location {
            assert!(u64::from(at.within) + extent.length <= u64::from(at.frame_length));
            assert!(u64::from(at.frame_length) <= FRAME_MAX && u64::from(at.stored) <= FRAME_MAX);
        }
    }
}

fn keeps_bounds(object: &[u8]) {
    if let Ok(entries) = decode_leaf(object) {
        for entry in &entries {
            assert!(is_valid_path(&entry.path) && entry.mode <= 0o7777 && entry.mtime_nanos < 1_000_000_000);
            match &entry.kind {
                NodeKind::HardLink { to } => assert!(is_valid_path(to)),
                NodeKind::File {
                    size,
                    content: Content::Inline(extents),
                    ..
                } => {
                    check_extents(extents);
                    assert_eq!(extents.iter().map(|extent| extent.length).sum::<u64>(), *size);
                }
                _ => {}
            }
        }
        assert_eq!(decode_leaf(&leaf(&entries).unwrap()).unwrap(), entries);
    }
    if let Ok(extents) = decode_map(object) {
        check_extents(&extents);
        assert_eq!(decode_map(&map(&extents).unwrap()).unwrap(), extents);
    }
    if let Some((written, children)) = tree_index_again(object) {
        assert_eq!(tree_index_again(&written), Some((written.clone(), children)));
        assert_eq!(decode_index_children(object).unwrap().len(), children);
    }
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    keeps_bounds(data);
    (1..=3).for_each(|kind| keeps_bounds(&wrapped(kind, data)));
}
