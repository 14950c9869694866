//! Extents on their way from trees to the packs they lie in: sorted by pack and frame, so that each pack is read once and each frame is
//! decoded once, however many trees lean on it.
//!
//! Invariant: what is compared is what a tree says, and all of it: the frame's place in its pack, the extent's place in the frame, its check.

use muster_signing::Digest;

use super::spill::{Merge, Sorted, Sorter};
use crate::content::HashKey;
use crate::frame::FrameDecoder;
use crate::pack::read_directory;
use crate::seal::Cipher;
use crate::tree::{Check, Extent, Location};
use crate::{ArchiveError, LocalState};

/// Bytes of a record: pack, ordinal, offset, stored, raw, frame length, within, length, hash key, kind of check, check.
pub(super) const RECORD: usize = 32 + 4 + 4 + 4 + 1 + 4 + 4 + 4 + 4 + 1 + 32;
/// Most extents of a pack that are held at once; a pack with more is read again for the rest.
const MOST: usize = 100_000;
const WHOLE: u8 = 1;
const PIECE: u8 = 2;

/// Gathers extents.
pub(super) struct Extents {
    sorter: Sorter<RECORD>,
    keys: Vec<HashKey>,
}

impl Extents {
    pub(super) fn new(state: &LocalState, budget: usize) -> Self {
        Self {
            sorter: Sorter::new(state, budget),
            keys: Vec::new(),
        }
    }

    /// The number of a hash key in the records.
    pub(super) fn key(&mut self, key: &HashKey) -> u32 {
        let known = self.keys.iter().position(|other| other == key);
        let at = known.unwrap_or_else(|| {
            self.keys.push(key.clone());
            self.keys.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// Adds an extent. Zeros lie in no pack.
    ///
    /// # Errors
    /// [`ArchiveError::Local`].
    pub(super) fn push(&mut self, extent: &Extent, key: u32) -> Result<(), ArchiveError> {
        let Some(at) = &extent.location else { return Ok(()) };
        let (kind, check) = match extent.check {
            Check::Zeros => return Ok(()),
            Check::Whole(hash) => (WHOLE, hash),
            Check::Piece(first) => {
                let mut check = [0; 32];
                check[..8].copy_from_slice(&first);
                (PIECE, check)
            }
        };
        let mut out = [0; RECORD];
        out[..32].copy_from_slice(at.pack.as_bytes());
        out[32..36].copy_from_slice(&at.ordinal.to_be_bytes());
        out[36..40].copy_from_slice(&at.offset.to_be_bytes());
        out[40..44].copy_from_slice(&at.stored.to_be_bytes());
        out[44] = u8::from(at.raw);
        out[45..49].copy_from_slice(&at.frame_length.to_be_bytes());
        out[49..53].copy_from_slice(&at.within.to_be_bytes());
        // The reader of a tree holds an extent in a frame to 4 MiB.
        let length = u32::try_from(extent.length).unwrap_or(u32::MAX);
        out[53..57].copy_from_slice(&length.to_be_bytes());
        out[57..61].copy_from_slice(&key.to_be_bytes());
        out[61] = kind;
        out[62..].copy_from_slice(&check);
        self.sorter.push(out)
    }

    pub(super) fn finish(self) -> Result<(Sorted<RECORD>, Vec<HashKey>), ArchiveError> {
        Ok((self.sorter.finish()?, self.keys))
    }
}

/// The extents pack by pack, read along with the packs in the order of their ids.
pub(super) struct ByPack<'a>(Merge<'a, RECORD>);

impl<'a> ByPack<'a> {
    pub(super) fn new(sorted: &'a Sorted<RECORD>) -> Result<Self, ArchiveError> {
        Ok(Self(sorted.read()?))
    }

    /// The next pack that extents lie in.
    pub(super) fn pack(&mut self) -> Result<Option<Digest>, ArchiveError> {
        let record = self.0.peek()?;
        Ok(record.map(|record| pack_of(&record)))
    }

    /// The extents of a pack, as many as are held at once; where there are more, the pack is the next one again.
    pub(super) fn take(&mut self, pack: &Digest) -> Result<Vec<[u8; RECORD]>, ArchiveError> {
        let mut found = Vec::new();
        while found.len() < MOST
            && let Some(record) = self.0.peek()?
            && pack_of(&record) == *pack
        {
            found.push(record);
            self.0.next()?;
        }
        Ok(found)
    }

    /// Passes over the extents of a pack.
    pub(super) fn skip(&mut self, pack: &Digest) -> Result<(), ArchiveError> {
        while self.pack()? == Some(*pack) {
            self.0.next()?;
        }
        Ok(())
    }
}

fn pack_of(record: &[u8; RECORD]) -> Digest {
    Digest::from_bytes(bytes(record, 0))
}

fn bytes<const N: usize>(record: &[u8; RECORD], from: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&record[from..from + N]);
    out
}

fn number(record: &[u8; RECORD], from: usize) -> u32 {
    u32::from_be_bytes(bytes(record, from))
}

fn location(record: &[u8; RECORD]) -> Location {
    Location {
        pack: pack_of(record),
        ordinal: number(record, 32),
        offset: number(record, 36),
        stored: number(record, 40),
        raw: record[44] == 1,
        frame_length: number(record, 45),
        within: number(record, 49),
    }
}

/// Compares extents, all of one pack, with the whole pack. Its SHA-256 was compared before.
///
/// # Errors
/// One line that says what does not fit.
pub(super) fn compare(
    pack: &[u8],
    extents: &[[u8; RECORD]],
    keys: &[HashKey],
    cipher: Option<&Cipher>,
    decoder: &mut FrameDecoder,
) -> Result<(), String> {
    let directory = read_directory(pack, cipher)?;
    let mut plain = Vec::new();
    let mut decoded = None;
    for record in extents {
        let at = location(record);
        let ordinal = at.ordinal;
        if decoded != Some(ordinal) {
            plain.clear();
            decoded = None;
        }
        let listed = directory.get(ordinal as usize).is_some_and(|entry| {
            (entry.offset, entry.stored, entry.raw, entry.frame_length)
                == (at.offset, at.stored, at.raw, at.frame_length)
        });
        let stored = pack.get(at.offset as usize..(at.offset as usize).saturating_add(at.stored as usize));
        let Some(stored) = stored.filter(|_| listed) else {
            return Err(format!("frame {ordinal} is not where a tree says"));
        };
        if decoded.is_none() {
            decoder
                .decode(&at, stored, &mut plain)
                .map_err(|error| error.to_string())?;
            decoded = Some(ordinal);
        }
        let start = at.within as usize;
        let slice = plain.get(start..start.saturating_add(number(record, 53) as usize));
        let check = match record[61] {
            PIECE => Check::Piece(bytes(record, 62)),
            _ => Check::Whole(bytes(record, 62)),
        };
        let key = keys.get(number(record, 57) as usize);
        if !slice.zip(key).is_some_and(|(slice, key)| key.fits(slice, &check)) {
            return Err(format!(
                "an extent in frame {ordinal} has other bytes than its hash says"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::PackBuilder;

    const KEY: [u8; 32] = [7; 32];

    /// A pack of two raw frames, and an extent of the second.
    fn sample() -> (Vec<u8>, Extent) {
        let mut builder = PackBuilder::new([9; 32], None);
        builder.push(b"first", true, 5);
        let second = builder.push(b"0123456789", true, 10);
        let (pack, bytes) = builder.finish().unwrap();
        let location = Location {
            pack,
            ordinal: second.ordinal,
            offset: second.offset,
            stored: second.stored,
            raw: true,
            frame_length: 10,
            within: 3,
        };
        let extent = Extent {
            length: 4,
            check: Check::Whole(HashKey::new(KEY).hash(b"3456")),
            location: Some(location),
            group: None,
        };
        (bytes.to_vec(), extent)
    }

    fn outcome(pack: &[u8], extents: &[Extent]) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let mut gathered = Extents::new(&LocalState::new(dir.path(), "r"), 1 << 20);
        let key = gathered.key(&HashKey::new(KEY));
        extents.iter().for_each(|extent| gathered.push(extent, key).unwrap());
        let (sorted, keys) = gathered.finish().unwrap();
        let mut packs = ByPack::new(&sorted).unwrap();
        let id = packs.pack().unwrap().unwrap();
        let records = packs.take(&id).unwrap();
        assert!(packs.pack().unwrap().is_none());
        compare(pack, &records, &keys, None, &mut FrameDecoder::new().unwrap())
    }

    #[test]
    fn an_extent_is_where_a_tree_says_and_has_the_bytes_of_its_check() {
        let (pack, extent) = sample();
        outcome(&pack, std::slice::from_ref(&extent)).unwrap();
        let at = extent.location.unwrap();
        let hash = HashKey::new(KEY).hash(b"3456");
        let piece = Extent {
            check: Check::piece(&hash),
            ..extent.clone()
        };
        outcome(&pack, &[extent.clone(), piece.clone()]).unwrap();
        let moved = |location: Location| Extent {
            location: Some(location),
            ..extent.clone()
        };
        let wrong = [
            moved(Location { within: 2, ..at }),
            moved(Location { within: 8, ..at }),
            moved(Location { ordinal: 0, ..at }),
            moved(Location { ordinal: 2, ..at }),
            moved(Location {
                offset: at.offset - 1,
                ..at
            }),
            moved(Location { stored: 9, ..at }),
            moved(Location { frame_length: 11, ..at }),
            moved(Location { raw: false, ..at }),
            Extent {
                length: 3,
                ..extent.clone()
            },
            Extent {
                check: Check::Whole(HashKey::new([8; 32]).hash(b"3456")),
                ..extent.clone()
            },
            Extent {
                check: Check::Piece([1; 8]),
                ..piece
            },
        ];
        for wrong in wrong {
            let told = outcome(&pack, std::slice::from_ref(&wrong));
            assert!(told.is_err(), "{wrong:?}");
            // Not even beside one that is right.
            assert!(outcome(&pack, &[extent.clone(), wrong.clone()]).is_err(), "{wrong:?}");
        }
    }
}
