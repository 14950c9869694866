//! Tree objects: leaves, extent maps and indexes keep their bounds, and survive being written and read again.
//!
//! The input is taken as an object and as the body of one, which spares the fuzzer to forge a zstd frame. The archive's
//! private modules are compiled in by path, since encoding is no part of its interface.
#![no_main]
#![expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "a private part of another crate, compiled in by path"
)]

#[path = "../../archive/src"]
mod archive {
    pub mod tree;
}

use archive::tree::{
    Child, Content, Extent, Index, LeafBuilder, Location, NodeKind, TreeEntry, decode_index, decode_index_children,
    decode_leaf, decode_map, encode_map, is_valid_path,
};
use libfuzzer_sys::fuzz_target;
use muster_fuzz::seeds::plant;
use muster_signing::Digest;

const FRAME_MAX: u64 = 4 << 20;
const HEADER: usize = 14;

fn extents() -> Vec<Extent> {
    let location = Location {
        pack: Digest::of(b"pack"),
        ordinal: 3,
        offset: 44,
        stored: 90,
        raw: false,
        frame_length: 70_000,
        within: 65_536,
    };
    let hole = Extent {
        length: 1 << 20,
        hash: [0; 32],
        location: None,
        group: None,
    };
    let part = Extent {
        length: 4464,
        hash: [7; 32],
        location: Some(location),
        group: None,
    };
    vec![hole, part]
}

fn entries() -> Vec<TreeEntry> {
    let file = |content| NodeKind::File {
        sparse: true,
        size: (1 << 20) + 4464,
        digest: [9; 32],
        content,
    };
    let kinds = [
        NodeKind::Directory,
        file(Content::Inline(extents())),
        file(Content::Maps(vec![Digest::of(b"map")])),
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

fn leaf(entries: &[TreeEntry]) -> Vec<u8> {
    let mut builder = LeafBuilder::default();
    entries.iter().for_each(|entry| builder.push(entry));
    builder.finish().0
}

fn seeds() -> Vec<Vec<u8>> {
    let child = Child {
        id: Digest::of(b"child"),
        entries: 7,
        first: b"d/0".to_vec(),
    };
    let index = Index {
        hash_key: HashKey::new([7; 32]),
        level: 1,
        ordered: true,
        children: vec![child],
    };
    let objects = [leaf(&entries()), leaf(&[]), encode_map(&extents(), None).unwrap(), index.encode(None).unwrap()];
    let body = |object: &Vec<u8>| zstd::bulk::decompress(&object[HEADER..], 1 << 20).unwrap();
    let bodies: Vec<_> = objects.iter().map(body).collect();
    objects.into_iter().chain(bodies).collect()
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

fn check(object: &[u8]) {
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
        assert_eq!(decode_leaf(&leaf(&entries)).unwrap(), entries);
    }
    if let Ok(extents) = decode_map(object) {
        check_extents(&extents);
        assert_eq!(decode_map(&encode_map(&extents, None).unwrap()).unwrap(), extents);
    }
    if let Ok(index) = decode_index(object) {
        assert_eq!(decode_index(&index.encode(None).unwrap()).unwrap(), index);
        assert_eq!(decode_index_children(object).unwrap().len(), index.children.len());
    }
}

fuzz_target!(init: plant("tree", &seeds()), |data: &[u8]| {
    check(data);
    (1..=3).for_each(|kind| check(&wrapped(kind, data)));
});
