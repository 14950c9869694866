//! Packs: frames gathered into objects of about 32 MiB whose name is their SHA-256.
//!
//! Invariant: a pack's first bytes are a random salt, so its name never recurs and nothing is ever overwritten.

use bytes::Bytes;
use muster_signing::{Digest, Hasher};

use super::seal::{Cipher, DIRECTORY, FRAME, Part, RunId, RunSeal, SealError, SealedAt, TAG};

const MAGIC: &[u8; 8] = b"MUSTPACK";
const TAIL: &[u8; 4] = b"KCAP";
const VERSION: u16 = 1;
const HEADER: usize = 44;
/// Bytes of the header of a sealed pack: the run behind the salt.
const SEALED_HEADER: usize = HEADER + 16;
/// Flag: frames and directory are sealed.
const SEALED: u16 = 1;
/// Most bytes of a pack.
pub(crate) const PACK_MAX: usize = 64 << 20;
/// Bytes at which the writer closes a pack.
pub(crate) const PACK_TARGET: usize = 32 << 20;
const RAW: u32 = 1 << 31;

/// A pack that is being filled.
pub(crate) struct PackBuilder {
    bytes: Vec<u8>,
    salt: [u8; 32],
    seal: Option<RunSeal>,
    hasher: Hasher,
    hashed: usize,
    directory: Vec<(u32, u32)>,
}

/// Where a frame came to lie in the open pack.
#[derive(Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) ordinal: u32,
    pub(crate) offset: u32,
    /// Stored length, with the tag where the pack is sealed.
    pub(crate) stored: u32,
}

impl PackBuilder {
    /// `salt` is random; `seal` is the run's, `None` in a plain repository.
    pub(crate) fn new(salt: [u8; 32], seal: Option<RunSeal>) -> Self {
        let mut bytes = Vec::with_capacity(PACK_TARGET + (1 << 20));
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&if seal.is_some() { SEALED } else { 0 }.to_le_bytes());
        bytes.extend_from_slice(&salt);
        if let Some(seal) = &seal {
            bytes.extend_from_slice(seal.run().as_bytes());
        }
        Self {
            bytes,
            salt,
            seal,
            hasher: Hasher::new(),
            hashed: 0,
            directory: Vec::new(),
        }
    }

    /// Adds a frame as it is compressed; sealing waits for [`Self::finish`].
    pub(crate) fn push(&mut self, frame: &[u8], raw: bool, frame_length: u32) -> Placed {
        let clip = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let offset = clip(self.bytes.len());
        self.bytes.extend_from_slice(frame);
        if self.seal.is_some() {
            self.bytes.extend_from_slice(&[0; TAG]);
        } else {
            self.hash();
        }
        let stored = clip(self.bytes.len()) - offset;
        let placed = Placed {
            ordinal: clip(self.directory.len()),
            offset,
            stored,
        };
        self.directory.push((stored | if raw { RAW } else { 0 }, frame_length));
        placed
    }

    /// What it is sealed with; `None`: it is plain.
    pub(crate) fn sealed_at(&self) -> Option<SealedAt> {
        let run = self.seal.as_ref()?.run();
        Some(SealedAt { run, salt: self.salt })
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= PACK_TARGET
    }

    /// The whole object and its name. Seals what is to be sealed, which takes as long as hashing does.
    ///
    /// # Errors
    /// [`SealError`] where the cipher library fails.
    pub(crate) fn finish(mut self) -> Result<(Digest, Bytes), SealError> {
        let cipher = self.seal.take().map(|seal| seal.cipher(&self.salt)).transpose()?;
        if let Some(cipher) = &cipher {
            self.seal_frames(cipher)?;
        }
        let start = self.bytes.len();
        for (stored, decoded) in &self.directory {
            self.bytes.extend_from_slice(&stored.to_le_bytes());
            self.bytes.extend_from_slice(&decoded.to_le_bytes());
        }
        if let Some(cipher) = &cipher {
            let tag = cipher
                .seal(directory_part(self.directory.len()), &mut self.bytes[start..])
                .map_err(|_| cipher_failed())?;
            self.bytes.extend_from_slice(&tag);
        }
        self.bytes.extend_from_slice(&(start as u64).to_le_bytes());
        self.bytes
            .extend_from_slice(&u32::try_from(self.directory.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.bytes.extend_from_slice(TAIL);
        self.hash();
        Ok((self.hasher.finish(), Bytes::from(self.bytes)))
    }

    fn seal_frames(&mut self, cipher: &Cipher) -> Result<(), SealError> {
        let mut start = SEALED_HEADER;
        for (ordinal, (stored, decoded)) in (0..).zip(&self.directory) {
            let end = start + (stored & !RAW) as usize;
            let frame = self.bytes.get_mut(start..end).ok_or_else(cipher_failed)?;
            let (plain, place) = frame.split_at_mut(frame.len() - TAG);
            let part = frame_part(ordinal, *stored, *decoded);
            place.copy_from_slice(&cipher.seal(part, plain).map_err(|_| cipher_failed())?);
            start = end;
        }
        Ok(())
    }

    fn hash(&mut self) {
        self.hasher.update(&self.bytes[self.hashed..]);
        self.hashed = self.bytes.len();
    }
}

/// What is authenticated with a frame; `stored` has bit 31 set where it is raw.
pub(crate) fn frame_part(ordinal: u32, stored: u32, decoded: u32) -> Part {
    Part {
        kind: FRAME,
        ordinal,
        stored,
        decoded,
    }
}

/// A frame's stored length as the directory has it.
pub(crate) fn stored_word(stored: u32, raw: bool) -> u32 {
    stored | if raw { RAW } else { 0 }
}

fn directory_part(frames: usize) -> Part {
    let length = u32::try_from(frames * 8).unwrap_or(u32::MAX);
    Part {
        kind: DIRECTORY,
        ordinal: u32::MAX,
        stored: length.saturating_add(16),
        decoded: length,
    }
}

fn cipher_failed() -> SealError {
    SealError("the cipher library failed to seal a pack".to_owned())
}

/// What a pack's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) salt: [u8; 32],
    /// The run that sealed it; `None`: it is plain.
    pub(crate) run: Option<RunId>,
}

/// Reads the header of a whole pack.
///
/// # Errors
/// One line that says what is wrong with its form.
pub(crate) fn read_header(pack: &[u8]) -> Result<Header, &'static str> {
    if pack.len() < HEADER + 16 || pack.len() > PACK_MAX || &pack[..8] != MAGIC {
        return Err("it is not a pack");
    }
    if u16::from_le_bytes([pack[8], pack[9]]) > VERSION {
        return Err("it needs a newer version of muster");
    }
    let salt = pack[12..HEADER].try_into().map_err(|_| "it is not a pack")?;
    let run = match u16::from_le_bytes([pack[10], pack[11]]) {
        0 => None,
        SEALED if pack.len() >= SEALED_HEADER + TAG + 16 => {
            let run = pack[HEADER..SEALED_HEADER].try_into().map_err(|_| "it is not a pack")?;
            Some(RunId::from_bytes(run))
        }
        _ => return Err("it has flags that this version does not know"),
    };
    Ok(Header { salt, run })
}

/// One frame of a pack, from its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryEntry {
    pub(crate) offset: u32,
    pub(crate) stored: u32,
    pub(crate) raw: bool,
    pub(crate) frame_length: u32,
}

/// Reads the directory of a whole pack. `cipher` opens it where it is sealed.
///
/// # Errors
/// One line that says what is wrong with its form.
pub(crate) fn read_directory(pack: &[u8], cipher: Option<&Cipher>) -> Result<Vec<DirectoryEntry>, &'static str> {
    let sealed = read_header(pack)?.run.is_some();
    let (header, tag) = if sealed { (SEALED_HEADER, TAG) } else { (HEADER, 0) };
    let (body, tail) = pack.split_at(pack.len() - 16);
    let field = |range: std::ops::Range<usize>| {
        tail[range]
            .iter()
            .rev()
            .fold(0u64, |value, byte| (value << 8) | u64::from(*byte))
    };
    let (start, count) = (field(0..8), field(8..12));
    let end = start.checked_add(count * 8 + tag as u64);
    if &tail[12..] != TAIL || end != Some(body.len() as u64) || start < header as u64 {
        return Err("its directory does not fit");
    }
    let stored = usize::try_from(start).map_err(|_| "its directory does not fit")?;
    let stored = &body[stored..];
    let mut opened = Vec::new();
    let directory = match (sealed, cipher) {
        (false, _) => stored,
        (true, None) => return Err("it is sealed, and its key is not at hand"),
        (true, Some(cipher)) => {
            let frames = usize::try_from(count).map_err(|_| "its directory does not fit")?;
            cipher
                .open(directory_part(frames), stored, &mut opened)
                .map_err(|_| "its directory is not the one that its run sealed")?;
            &opened
        }
    };
    let mut offset = u32::try_from(header).unwrap_or(0);
    let mut entries = Vec::with_capacity(directory.len() / 8);
    for record in directory.as_chunks::<8>().0 {
        let [a, b, c, d, e, f, g, h] = *record;
        let stored = u32::from_le_bytes([a, b, c, d]);
        let entry = DirectoryEntry {
            offset,
            stored: stored & !RAW,
            raw: stored & RAW != 0,
            frame_length: u32::from_le_bytes([e, f, g, h]),
        };
        offset = offset.checked_add(entry.stored).ok_or("its frames do not fit")?;
        entries.push(entry);
    }
    if u64::from(offset) == start {
        Ok(entries)
    } else {
        Err("its frames do not fill it")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn a_pack_lists_what_was_pushed_and_is_named_by_its_bytes() {
        let mut pack = PackBuilder::new([9; 32], None);
        let first = pack.push(b"abc", true, 3);
        let second = pack.push(b"defgh", false, 70_000);
        assert_eq!(
            (first.ordinal, first.offset, second.ordinal, second.offset),
            (0, 44, 1, 47)
        );
        let (id, bytes) = pack.finish().unwrap();
        assert_eq!(id, Digest::of(&bytes));
        let directory = read_directory(&bytes, None).unwrap();
        assert_eq!(
            directory[1],
            DirectoryEntry {
                offset: 47,
                stored: 5,
                raw: false,
                frame_length: 70_000
            }
        );
        assert_eq!(directory.len(), 2);
    }

    #[test]
    fn a_sealed_pack_hides_its_frames_and_its_directory_and_opens_for_its_run() {
        let seal = RunSeal::new("00112233445566778899aabbccddeeff", Zeroizing::new([5; 32])).unwrap();
        let mut pack = PackBuilder::new([9; 32], Some(seal.clone()));
        let first = pack.push(b"the first frame", true, 15);
        let second = pack.push(b"the second frame", false, 70_000);
        assert_eq!((first.offset, first.stored, second.offset), (60, 31, 91));
        let (id, bytes) = pack.finish().unwrap();
        assert_eq!(id, Digest::of(&bytes));
        assert!(!bytes.windows(5).any(|window| window == b"frame"));
        let header = read_header(&bytes).unwrap();
        assert_eq!((header.run, header.salt), (Some(seal.run()), [9; 32]));

        let cipher = seal.cipher(&[9; 32]).unwrap();
        assert!(read_directory(&bytes, None).is_err());
        assert!(read_directory(&bytes, Some(&seal.cipher(&[8; 32]).unwrap())).is_err());
        let directory = read_directory(&bytes, Some(&cipher)).unwrap();
        assert_eq!(
            (directory[1].offset, directory[1].stored, directory[1].raw),
            (91, 32, false)
        );
        let (mut plain, stored) = (Vec::new(), &bytes[60..91]);
        let part = frame_part(0, stored_word(31, true), 15);
        cipher.open(part, stored, &mut plain).unwrap();
        assert_eq!(plain, b"the first frame");
        let swapped = frame_part(1, stored_word(31, true), 15);
        assert!(cipher.open(swapped, stored, &mut plain).is_err());
    }

    proptest! {
        #[test]
        fn hostile_packs_are_errors_and_never_panics(flags in 0..3u8, tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = b"MUSTPACK\x01\x00\x00\x00".to_vec();
            bytes[10] = flags;
            bytes.extend_from_slice(&tail);
            let _ = read_directory(&bytes, None);
        }
    }
}
