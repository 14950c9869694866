//! Frames: what decodes has the length that the tree gave, whatever the frame claims.

use muster_archive::FrameDecoder;
use muster_archive::tree::Location;
use muster_signing::Digest;

const FRAME_MAX: usize = 4 << 20;

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let packed = |plain: &[u8]| zstd::bulk::compress(plain, 1).unwrap();
    let text: Vec<u8> = (0..9000u32).flat_map(|n| n.to_string().into_bytes()).collect();
    let framed = |length: u32, frame: &[u8]| [&length.to_le_bytes()[..], frame].concat();
    // Magic, a descriptor with a content size of eight bytes, 2^60 of them, and a block of one byte repeated.
    let vast = [
        &[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..],
        &(1u64 << 60).to_le_bytes(),
        &[0x03, 0, 0x10, 7],
    ]
    .concat();
    vec![
        framed(5000, &packed(&[7; 5000])),
        framed(u32::try_from(text.len()).unwrap(), &packed(&text)),
        framed(3, b"abc"),
        framed(u32::MAX, &vast),
        framed(1 << 22, &vast),
    ]
}

/// Takes one input: the length that the tree gives, then the frame.
pub(crate) fn check(data: &[u8]) {
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
        let mut decoder = FrameDecoder::new().unwrap();
        if decoder.decode(&location, stored, &mut plain).is_ok() {
            assert_eq!(plain.len(), length as usize);
            assert!(plain.len() <= FRAME_MAX);
        }
        assert!(plain.capacity() <= FRAME_MAX.max(stored.len()) * 2);
    }
}
