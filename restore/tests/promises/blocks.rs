//! A block that lies in several pieces: eight bytes say which piece is wrong, and the block's hash alone says that none is.

use std::fs;
use std::ops::Range;

use muster_archive::object_store::PutOptions;
use muster_archive::tree::{Content, NodeKind, TreeEntry};
use muster_archive::{FileDigest, HashKey, ListRef, TreeDigest, TreeRef, layout};
use muster_restore::{LossKind, RestoreOptions, RestoreReport};
use muster_signing::{Digest, Verified};
use muster_testkit::trees::noise;

use crate::bench::Bench;

const BLOCK: usize = 65_536;
/// Where the block is cut, at pages as a writer cuts and elsewhere: its second piece is zeros.
const CUTS: [[Range<usize>; 4]; 2] = [
    [0..8192, ZEROS, 16_384..40_960, 40_960..BLOCK],
    [0..8192, ZEROS, 16_384..40_000, 40_000..BLOCK],
];
const ZEROS: Range<usize> = 8192..16_384;

fn key() -> HashKey {
    HashKey::new([7; 32])
}

fn block() -> Vec<u8> {
    let mut block = noise(BLOCK, 5);
    block[ZEROS].fill(0);
    block
}

fn uv(out: &mut Vec<u8>, mut value: usize) {
    while value > 127 {
        out.push(u8::try_from(value & 127).unwrap() | 128);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

/// A tree object whose zstd frame is one raw block.
fn object(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    let mut object = [b"MUSTTREE", &[kind, 1][..], &length.to_le_bytes()].concat();
    object.extend_from_slice(&[0x28, 0xb5, 0x2f, 0xfd, 0xa0]);
    object.extend_from_slice(&length.to_le_bytes());
    object.extend_from_slice(&(length << 3 | 1).to_le_bytes()[..3]);
    object.extend_from_slice(body);
    object
}

/// A snapshot of one file, `a`, of one block in these pieces, each in a raw frame, with checks of their bytes and this block's hash.
fn snapshot(
    bench: &Bench,
    pieces: &[Vec<u8>],
    checks: &[[u8; 8]],
    hash: &[u8; 32],
) -> Verified<muster_archive::Manifest> {
    let put = |key: String, bytes: Vec<u8>| {
        let put = bench.objects.put(&key, bytes.into(), PutOptions::OVERWRITE);
        bench.runtime.block_on(put).unwrap();
    };
    let mut pack = [b"MUSTPACK", &[1, 0, 0, 0][..], &[3; 32]].concat();
    let (mut extents, mut directory, mut frames) = (Vec::new(), Vec::new(), 0u32);
    for (piece, check) in pieces.iter().zip(checks) {
        uv(&mut extents, piece.len());
        if piece.iter().all(|byte| *byte == 0) {
            extents.push(0);
            continue;
        }
        extents.push(1);
        extents.extend_from_slice(check);
        for number in [0, frames as usize, pack.len(), piece.len() * 2 + 1] {
            uv(&mut extents, number);
        }
        let length = u32::try_from(piece.len()).unwrap();
        directory.extend_from_slice(&(length | 1 << 31).to_le_bytes());
        directory.extend_from_slice(&length.to_le_bytes());
        pack.extend_from_slice(piece);
        frames += 1;
    }
    let at = pack.len() as u64;
    pack.extend_from_slice(&directory);
    pack.extend_from_slice(&at.to_le_bytes());
    pack.extend_from_slice(&frames.to_le_bytes());
    pack.extend_from_slice(b"KCAP");
    let pack_id = Digest::of(&pack);
    put(layout::pack(&pack_id), pack);

    let mut digest = FileDigest::new(&key());
    digest.push_block(hash);
    let digest = digest.finish();
    let mut body = [&[1][..], pack_id.as_bytes(), &[1, 1, b'a', 0]].concat();
    uv(&mut body, 0o600);
    body.extend_from_slice(&[0; 2 + 8 + 4 + 1 + 1]);
    uv(&mut body, BLOCK);
    body.extend_from_slice(&digest);
    uv(&mut body, 1);
    uv(&mut body, BLOCK);
    body.push(3);
    body.extend_from_slice(hash);
    uv(&mut body, pieces.len());
    body.extend_from_slice(&extents);
    body.push(0);
    let leaf = object(1, &body);
    let index = object(
        3,
        &[
            key().as_bytes(),
            &[0, 1, 1][..],
            Digest::of(&leaf).as_bytes(),
            &[1, 1, b'a'],
        ]
        .concat(),
    );
    let mut tree = TreeDigest::new();
    tree.push(&TreeEntry {
        kind: NodeKind::File {
            sparse: false,
            size: BLOCK as u64,
            digest,
            content: Content::Inline(Vec::new()),
        },
        mode: 0o600,
        ..TreeEntry::directory("a")
    });
    let tree = TreeRef {
        root: Digest::of(&index),
        digest: tree.finish(),
        entries: 1,
        files: 1,
        logical_bytes: BLOCK as u64,
    };
    let list = ListRef {
        root: Digest::of(b""),
        objects: 0,
        bytes: 0,
    };
    put(layout::tree(&Digest::of(&leaf)), leaf);
    put(layout::tree(&Digest::of(&index)), index);
    bench.sign("files", tree, list)
}

fn restore(pieces: &[Vec<u8>], checks: &[[u8; 8]], hash: &[u8; 32]) -> (RestoreReport, Vec<u8>) {
    let bench = Bench::new();
    let manifest = snapshot(&bench, pieces, checks, hash);
    let back = bench.path("back");
    let report = bench.restore(&manifest, &RestoreOptions::default(), &back).unwrap();
    (report, fs::read(back.join("a")).unwrap())
}

fn pieces(cuts: &[Range<usize>; 4]) -> (Vec<Vec<u8>>, Vec<[u8; 8]>) {
    let pieces: Vec<Vec<u8>> = cuts.iter().map(|cut| block()[cut.clone()].to_vec()).collect();
    let check = |piece: &Vec<u8>| key().hash(piece)[..8].try_into().unwrap();
    let checks = pieces.iter().map(check).collect();
    (pieces, checks)
}

#[test]
fn pieces_that_fit_make_up_their_block() {
    for cuts in CUTS {
        let (pieces, checks) = pieces(&cuts);
        let (report, bytes) = restore(&pieces, &checks, &key().hash(&block()));
        assert!(report.lost.is_empty() && bytes == block(), "{:?}", report.lost);
    }
}

#[test]
fn the_hash_of_the_block_alone_proves_its_pieces() {
    for cuts in CUTS {
        let (pieces, mut checks) = pieces(&cuts);
        checks[2][7] ^= 1;
        let (report, bytes) = restore(&pieces, &checks, &key().hash(&block()));
        assert!(report.lost.is_empty() && bytes == block(), "{:?}", report.lost);
    }
}

#[test]
fn pieces_that_fit_and_are_not_their_block_are_damage_and_do_not_stay() {
    for cuts in CUTS {
        let (pieces, checks) = pieces(&cuts);
        let (report, bytes) = restore(&pieces, &checks, &key().hash(b"another block"));
        assert!(report.is_damaged());
        assert_eq!(report.lost_bytes, (BLOCK - ZEROS.len()) as u64);
        assert!(
            report.lost.iter().all(|lost| lost.object.starts_with("packs/")),
            "{:?}",
            report.lost
        );
        assert!(bytes == vec![0; BLOCK], "wrong bytes passed");
    }
}

#[test]
fn of_a_block_with_a_lost_piece_the_others_come_back() {
    for cuts in CUTS {
        let (mut pieces, checks) = pieces(&cuts);
        pieces[2][100] ^= 1;
        let (report, bytes) = restore(&pieces, &checks, &key().hash(&block()));
        let lost: Vec<_> = report
            .lost
            .iter()
            .map(|lost| (lost.offset, lost.length, lost.kind))
            .collect();
        let range = cuts[2].clone();
        assert_eq!(lost, [(range.start as u64, range.len() as u64, LossKind::Damaged)]);
        let mut expected = block();
        expected[range].fill(0);
        assert!(
            bytes == expected,
            "what is whole did not come back, or what is wrong did"
        );
    }
}
