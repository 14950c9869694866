//! Frames: the unit of compression and of range reads.
//!
//! Invariant: decoding allocates exactly the length that a verified tree gave, never what the frame claims.

use muster_signing::Digest;

use crate::pack::{frame_part, stored_word};
use crate::seal::{Cipher, Keyring};
use crate::tree::{FRAME_MAX, Location};

/// Why a frame could not be decoded.
#[derive(Debug, thiserror::Error)]
#[error("the frame at offset {offset} does not decode to {length} bytes")]
pub struct FrameError {
    offset: u32,
    length: u32,
}

/// Frames up to this length are few (changed pages) and compress badly one by one.
const SMALL: usize = 16 << 10;
/// So they get more effort: 1.5 % smaller than at level 1 on PostgreSQL pages, at 100 MB/s.
const SMALL_LEVEL: i32 = 6;

/// Compresses one frame after another with one context.
pub(crate) struct FrameEncoder {
    compressor: zstd::bulk::Compressor<'static>,
    level: i32,
    small: i32,
}

impl FrameEncoder {
    /// # Errors
    /// Where zstd cannot allocate its context.
    pub(crate) fn new(level: i32) -> std::io::Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(level)?;
        compressor.include_checksum(false)?;
        compressor.include_dictid(false)?;
        Ok(Self {
            compressor,
            level,
            small: level.max(SMALL_LEVEL),
        })
    }

    /// Appends `plain` to `out` as a frame; returns whether it is raw.
    ///
    /// # Errors
    /// Where zstd fails, which it does only without memory.
    pub(crate) fn append(&mut self, plain: &[u8], out: &mut Vec<u8>, scratch: &mut Vec<u8>) -> std::io::Result<bool> {
        scratch.clear();
        scratch.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        let level = if plain.len() <= SMALL { self.small } else { self.level };
        self.compressor.set_compression_level(level)?;
        self.compressor.compress_to_buffer(plain, scratch)?;
        let raw = scratch.len() > plain.len() - plain.len() / 20;
        out.extend_from_slice(if raw { plain } else { scratch });
        Ok(raw)
    }
}

/// Decodes one frame after another with one context.
pub struct FrameDecoder {
    decompressor: zstd::bulk::Decompressor<'static>,
    keyring: Keyring,
    /// The cipher of the pack that was read last.
    cipher: Option<(Digest, Cipher)>,
    opened: Vec<u8>,
}

impl FrameDecoder {
    /// A decoder of plain frames. [`crate::Repository::frame_decoder`] gives one that opens sealed frames too.
    ///
    /// # Errors
    /// Where zstd cannot allocate its context.
    pub fn new() -> std::io::Result<Self> {
        Self::with_keyring(Keyring::default())
    }

    pub(crate) fn with_keyring(keyring: Keyring) -> std::io::Result<Self> {
        Ok(Self {
            decompressor: zstd::bulk::Decompressor::new()?,
            keyring,
            cipher: None,
            opened: Vec::new(),
        })
    }

    /// Decodes the frame that `location` names from its stored bytes into `plain`, which is cleared first. The caller still
    /// compares each extent's hash.
    ///
    /// # Errors
    /// Where the bytes are not a frame of exactly `location.frame_length` decoded bytes, or not what their run sealed there.
    pub fn decode(&mut self, location: &Location, stored: &[u8], plain: &mut Vec<u8>) -> Result<(), FrameError> {
        let wrong = || FrameError {
            offset: location.offset,
            length: location.frame_length,
        };
        let length = location.frame_length as usize;
        if stored.len() != location.stored as usize || length > FRAME_MAX || stored.len() > FRAME_MAX {
            return Err(wrong());
        }
        let mut opened = std::mem::take(&mut self.opened);
        let decoded = self.open(location, stored, &mut opened).and_then(|sealed| {
            let frame = if sealed { &opened } else { stored };
            plain.clear();
            if location.raw {
                plain.extend_from_slice(frame);
                return Some(());
            }
            plain.reserve(length);
            self.decompressor.decompress_to_buffer(frame, plain).ok().map(|_| ())
        });
        self.opened = opened;
        if decoded.is_some() && plain.len() == length {
            Ok(())
        } else {
            Err(wrong())
        }
    }

    /// Whether the frame was sealed: then `opened` holds it. `None`: it is not what was sealed.
    fn open(&mut self, location: &Location, stored: &[u8], opened: &mut Vec<u8>) -> Option<bool> {
        if self.cipher.as_ref().is_none_or(|(pack, _)| *pack != location.pack) {
            self.cipher = self
                .keyring
                .cipher(&location.pack)
                .map(|cipher| (location.pack, cipher));
        }
        let Some((_, cipher)) = &self.cipher else {
            return Some(false);
        };
        let stored_word = stored_word(location.stored, location.raw);
        let part = frame_part(location.ordinal, stored_word, location.frame_length);
        cipher.open(part, stored, opened).ok().map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(plain: &[u8]) -> (bool, Vec<u8>) {
        let (mut out, mut scratch) = (Vec::new(), Vec::new());
        let raw = FrameEncoder::new(1)
            .unwrap()
            .append(plain, &mut out, &mut scratch)
            .unwrap();
        let location = at(&out, plain.len(), raw);
        let mut back = Vec::new();
        FrameDecoder::new().unwrap().decode(&location, &out, &mut back).unwrap();
        assert_eq!(back, plain);
        (raw, out)
    }

    fn at(stored: &[u8], length: usize, raw: bool) -> Location {
        let (stored, frame_length) = (u32::try_from(stored.len()).unwrap(), u32::try_from(length).unwrap());
        Location {
            pack: Digest::of(b""),
            ordinal: 0,
            offset: 0,
            stored,
            raw,
            frame_length,
            within: 0,
        }
    }

    #[test]
    fn what_compresses_is_compressed_and_what_does_not_is_stored_raw() {
        assert!(!round_trip(&[7; 65_536]).0);
        let noise: Vec<u8> = (0..2048u32)
            .flat_map(|n| *blake3::hash(&n.to_le_bytes()).as_bytes())
            .collect();
        assert!(round_trip(&noise).0);
        round_trip(b"x");
    }

    #[test]
    fn a_frame_of_another_length_is_refused_before_it_grows() {
        let (_, stored) = round_trip(&[7; 65_536]);
        let mut plain = Vec::new();
        let mut decoder = FrameDecoder::new().unwrap();
        assert!(
            decoder
                .decode(&at(&stored, 65_535, false), &stored, &mut plain)
                .is_err()
        );
        assert!(
            decoder
                .decode(&at(&stored, 65_537, false), &stored, &mut plain)
                .is_err()
        );
        assert!(
            decoder
                .decode(&at(&stored, 65_536, false), &stored[1..], &mut plain)
                .is_err()
        );
    }
}
