//! Packs, public lists and frames: a directory tiles its pack, a list is what it would be written as, a frame has its length.
//!
//! The archive's private modules are compiled in by path.
#![no_main]
#![expect(
    dead_code,
    unreachable_pub,
    reason = "private parts of another crate, compiled in by path"
)]

#[path = "../../archive/src"]
mod archive {
    pub mod list;
    pub mod pack;
}

use std::collections::BTreeMap;

use archive::list::{self, Named};
use archive::pack::{PackBuilder, read_directory};
use libfuzzer_sys::fuzz_target;
use muster_archive::FrameDecoder;
use muster_archive::tree::Location;
use muster_fuzz::seeds::plant;
use muster_signing::Digest;

const FRAME_MAX: usize = 4 << 20;

fn pack() -> Vec<u8> {
    let mut pack = PackBuilder::new([9; 32]);
    pack.push(b"abc", true, 3);
    pack.push(&zstd::bulk::compress(&[7; 5000], 1).unwrap(), false, 5000);
    pack.finish().1.to_vec()
}

fn seeds() -> Vec<Vec<u8>> {
    let id = |n: u8| Digest::of(&[n]);
    let listed = BTreeMap::from([((Named::Pack, id(1)), 9), ((Named::Tree, id(2)), 10)]);
    let root = BTreeMap::from([((Named::List, id(3)), 4096)]);
    let frame = zstd::bulk::compress(&[7; 5000], 1).unwrap();
    vec![
        pack(),
        list::encode(&listed).remove(0).1,
        list::encode(&root).remove(0).1,
        [&5000u32.to_le_bytes()[..], &frame].concat(),
    ]
}

fn check_pack(data: &[u8]) {
    let Ok(entries) = read_directory(data) else { return };
    let mut at = 44;
    for entry in &entries {
        assert_eq!(entry.offset as usize, at);
        at += entry.stored as usize;
    }
    assert_eq!(at + entries.len() * 8 + 16, data.len());
}

/// A pack whose directory the input is, so that the fuzzer need not find magic and tail.
fn directory(data: &[u8]) -> Vec<u8> {
    let (records, frames) = data.split_at(data.len() / 8 * 4 / 8 * 8);
    let start = 44 + frames.len() as u64;
    let count = u32::try_from(records.len() / 8).unwrap();
    [
        &b"MUSTPACK\x01\0\0\0"[..],
        &[0; 32],
        frames,
        records,
        &start.to_le_bytes(),
        &count.to_le_bytes(),
        b"KCAP",
    ]
    .concat()
}

fn check_list(data: &[u8]) {
    let Ok(lines) = list::decode(data) else { return };
    let sorted = lines
        .windows(2)
        .all(|pair| (pair[0].0, pair[0].1) < (pair[1].0, pair[1].1));
    // A longer list is cut into hunks.
    if sorted && lines.len() < 64 {
        let objects = lines.iter().map(|(what, id, number)| ((*what, *id), *number)).collect();
        assert_eq!(list::encode(&objects)[0].1, data);
    }
}

fn check_frame(data: &[u8]) {
    let Some((length, stored)) = data.split_first_chunk() else {
        return;
    };
    let length = u32::from_le_bytes(*length);
    let mut plain = Vec::new();
    for raw in [false, true] {
        let location = Location {
            pack: Digest::of(b""),
            ordinal: 0,
            offset: 0,
            stored: u32::try_from(stored.len()).unwrap(),
            raw,
            frame_length: length,
            within: 0,
        };
        if FrameDecoder::new()
            .unwrap()
            .decode(&location, stored, &mut plain)
            .is_ok()
        {
            assert_eq!(plain.len(), length as usize);
            assert!(plain.len() <= FRAME_MAX);
        }
        assert!(plain.capacity() <= FRAME_MAX.max(stored.len()) * 2);
    }
}

fuzz_target!(init: plant("objects", &seeds()), |data: &[u8]| {
    check_pack(data);
    check_pack(&directory(data));
    check_list(data);
    check_frame(data);
});
