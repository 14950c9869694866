//! Tree objects round trip, and hostile ones are errors.

use proptest::prelude::*;

use super::*;

fn location() -> impl Strategy<Value = Option<(Location, u64)>> {
    proptest::option::of(
        (
            any::<[u8; 32]>(),
            any::<u32>(),
            any::<u32>(),
            1u32..4000,
            any::<bool>(),
            1u32..65_536,
        )
            .prop_map(|(pack, ordinal, offset, stored, raw, frame_length)| {
                let within = frame_length / 3;
                let location = Location {
                    pack: Digest::from_bytes(pack),
                    ordinal,
                    offset,
                    stored,
                    raw,
                    frame_length,
                    within,
                };
                (location, u64::from(frame_length - within))
            }),
    )
}

fn extent() -> impl Strategy<Value = Extent> {
    (location(), any::<[u8; 32]>(), 1u64..1 << 20).prop_map(|(location, hash, zeros)| match location {
        Some((location, length)) => Extent {
            length,
            check: Check::Whole(hash),
            location: Some(location),
            group: None,
        },
        None => Extent::zeros(zeros),
    })
}

fn kind() -> impl Strategy<Value = NodeKind> {
    prop_oneof![
        (
            any::<bool>(),
            any::<[u8; 32]>(),
            proptest::collection::vec(extent(), 0..5)
        )
            .prop_map(|(sparse, digest, extents)| {
                let size = total_length(&extents).unwrap();
                NodeKind::File {
                    sparse,
                    size,
                    digest,
                    content: Content::Inline(extents),
                }
            }),
        (0u64..1 << 45, proptest::collection::vec(any::<[u8; 32]>(), 0..4)).prop_map(|(size, ids)| NodeKind::File {
            sparse: true,
            size,
            digest: [7; 32],
            content: Content::Maps(ids.into_iter().map(Digest::from_bytes).collect()),
        }),
        Just(NodeKind::Directory),
        Just(NodeKind::Fifo),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(|target| NodeKind::Symlink { target }),
        Just(NodeKind::HardLink { to: b"a/b".to_vec() }),
        (any::<bool>(), any::<u32>(), any::<u32>()).prop_map(|(block, major, minor)| NodeKind::Device {
            block,
            major,
            minor
        }),
    ]
}

fn entry() -> impl Strategy<Value = TreeEntry> {
    (
        "[a-z\u{80}-\u{ff}]{1,9}(/[a-z]{1,9}){0,3}",
        kind(),
        0u32..0o10000,
        any::<(u32, u32, i64)>(),
        0u32..1_000_000_000,
    )
        .prop_map(|(path, kind, mode, (uid, gid, mtime_seconds), mtime_nanos)| TreeEntry {
            path: path.into_bytes(),
            kind,
            mode,
            uid,
            gid,
            mtime_seconds,
            mtime_nanos,
            xattrs: vec![(b"user.a".to_vec(), b"\x00\xff".to_vec())],
        })
}

/// Blocks of a file, each in one piece or in several.
fn blocks() -> impl Strategy<Value = Vec<Extent>> {
    let pieces = proptest::collection::vec((location(), any::<[u8; 8]>()), 1..5);
    proptest::collection::vec((pieces, any::<[u8; 32]>()), 0..20).prop_map(|blocks| {
        blocks
            .into_iter()
            .flat_map(|(pieces, hash)| block(&pieces, hash))
            .collect()
    })
}

/// Where a piece lies, unless it is zeros, and its check.
type Piece = (Option<(Location, u64)>, [u8; 8]);

fn block(pieces: &[Piece], hash: [u8; 32]) -> Vec<Extent> {
    if pieces.iter().skip(1).all(|(location, _)| location.is_none()) {
        return vec![Extent::zeros(BLOCK as u64)];
    }
    let count = pieces.len() as u64;
    let mut extents: Vec<Extent> = pieces
        .iter()
        .zip(0u64..)
        .map(|((location, first), number)| {
            let length = if number == 0 {
                BLOCK as u64 - (count - 1) * 4096
            } else {
                4096
            };
            let Some((location, _)) = location.as_ref().filter(|_| number > 0) else {
                return Extent::zeros(length);
            };
            let location = Location {
                frame_length: 131_072,
                ..*location
            };
            Extent {
                length,
                check: Check::Piece(*first),
                location: Some(location),
                group: None,
            }
        })
        .collect();
    extents[0].group = Some(Box::new(Group {
        hash,
        extents: u32::try_from(count).unwrap(),
    }));
    extents
}

proptest! {
    #[test]
    fn pieces_keep_their_checks_and_blocks_their_hashes(extents in blocks()) {
        let object = encode_map(&extents, None).unwrap();
        prop_assert_eq!(decode_map(&object).unwrap(), extents);
    }

    #[test]
    fn a_leaf_decodes_to_what_was_pushed(entries in proptest::collection::vec(entry(), 0..20)) {
        let mut leaf = LeafBuilder::default();
        entries.iter().for_each(|entry| leaf.push(entry));
        let (body, count, _) = leaf.finish(None).unwrap();
        let object = body.object(None).unwrap();
        prop_assert_eq!(count, entries.len() as u64);
        prop_assert_eq!(decode_leaf(&object).unwrap(), entries);
    }

    #[test]
    fn a_map_decodes_to_what_was_encoded(extents in proptest::collection::vec(extent(), 0..50)) {
        prop_assert_eq!(decode_map(&encode_map(&extents, None).unwrap()).unwrap(), extents);
    }

    #[test]
    fn hostile_bodies_are_errors_and_never_panics(kind in 1u8..4, body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let object = seal(kind, &body, None).unwrap();
        let _ = decode_leaf(&object);
        let _ = decode_map(&object);
        let _ = decode_index(&object);
    }

    #[test]
    fn hostile_objects_are_errors_and_never_panics(object in proptest::collection::vec(any::<u8>(), 0..100)) {
        prop_assert!(decode_leaf(&object).is_err() && decode_map(&object).is_err() && decode_index(&object).is_err());
    }
}

#[test]
fn a_path_that_leaves_the_tree_is_refused() {
    for path in ["../x", "/x", "a/../../x", "a//b", "./a", ""] {
        let mut leaf = LeafBuilder::default();
        leaf.push(&TreeEntry::directory(path));
        assert!(
            decode_leaf(&leaf.finish(None).unwrap().0.object(None).unwrap()).is_err(),
            "{path:?}"
        );
    }
}

#[test]
fn a_body_that_decompresses_beyond_its_length_is_refused() {
    let mut object = seal(KIND_MAP, &vec![0; 1 << 20], None).unwrap();
    object[10..14].copy_from_slice(&10u32.to_le_bytes());
    assert!(decode_map(&object).is_err());
}

#[test]
fn an_index_decodes_to_what_was_encoded() {
    let child = Child {
        id: Digest::of(b"x"),
        entries: 9,
        first: b"a/b".to_vec(),
    };
    let index = Index {
        hash_key: HashKey::new([7; 32]),
        level: 0,
        ordered: true,
        children: vec![child.clone(), child],
    };
    assert_eq!(decode_index(&index.body().object(None).unwrap()).unwrap(), index);
}
