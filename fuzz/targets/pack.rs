//! Packs: a directory tiles its pack.

use muster_archive::fuzzing::{pack, pack_directory};

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let frame = zstd::bulk::compress(&[7; 5000], 1).unwrap();
    let frames: [(&[u8], bool, u32); 2] = [(b"abc", true, 3), (&frame, false, 5000)];
    let whole = pack(&frames).unwrap();
    let mut endless = whole.clone();
    let count = endless.len() - 8;
    endless[count..count + 4].fill(0xff);
    vec![
        whole,
        pack(&[]).unwrap(),
        endless,
        [3u32.to_le_bytes(), 3u32.to_le_bytes()].concat(),
    ]
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    tiles(data);
    tiles(&around(data));
}

fn tiles(data: &[u8]) {
    let Some(entries) = pack_directory(data) else { return };
    let mut at = 44;
    for (offset, stored, _) in &entries {
        assert_eq!(*offset as usize, at);
        at += *stored as usize;
    }
    assert_eq!(at + entries.len() * 8 + 16, data.len());
}

/// A pack whose directory the input is, so that nobody need guess magic and tail.
fn around(data: &[u8]) -> Vec<u8> {
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
