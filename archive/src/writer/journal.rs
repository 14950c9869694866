//! The journal of a run: which packs it put and what is in them, so that a run which was interrupted need not put them again.
//!
//! Invariant: a pack is noted only after the repository took it, and is leaned on only when it is still there in its length. A torn or
//! damaged record ends the journal; what follows is stored again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use muster_signing::Digest;

use super::table::{Short, Table};
use crate::content::HashKey;
use crate::seal::{RunId, SealedAt};
use crate::tree::Location;

const MAGIC: &[u8; 9] = b"MUSTJRNL\x01";
/// Bytes before the first record.
const HEADER: u64 = 49;
const RAW: u32 = 1 << 31;
/// Bytes of one extent.
const EXTENT: usize = 48;
/// Most bytes of a record: 64 MiB in frames of no more than a few bytes are not written.
const RECORD_MAX: usize = 64 << 20;

/// A pack that a run put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) pack: Digest,
    pub(super) bytes: u64,
    pub(super) sealed: Option<SealedAt>,
    extents: Vec<u8>,
}

impl Left {
    pub(super) fn new(pack: Digest, bytes: u64, sealed: Option<SealedAt>, extents: &[(Short, u32, Location)]) -> Self {
        let mut body = Vec::with_capacity(extents.len() * EXTENT);
        for (hash, length, at) in extents {
            body.extend_from_slice(hash);
            let stored = at.stored | if at.raw { RAW } else { 0 };
            for number in [*length, at.ordinal, at.offset, stored, at.frame_length, at.within] {
                body.extend_from_slice(&number.to_le_bytes());
            }
        }
        Self {
            pack,
            bytes,
            sealed,
            extents: body,
        }
    }

    /// Puts its extents into `table`.
    fn learn(&self, table: &mut Table) {
        for extent in self.extents.as_chunks::<EXTENT>().0 {
            let (hash, numbers) = extent.split_at(24);
            let mut short = [0; 24];
            short.copy_from_slice(hash);
            let mut numbers = numbers
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| u32::from_le_bytes(*bytes));
            let mut next = || numbers.next().unwrap_or(0);
            let (length, ordinal, offset, stored, frame_length, within) =
                (next(), next(), next(), next(), next(), next());
            table.add(
                short,
                length,
                &Location {
                    pack: self.pack,
                    ordinal,
                    offset,
                    stored: stored & !RAW,
                    raw: stored & RAW != 0,
                    frame_length,
                    within,
                },
            );
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut body = self.pack.as_bytes().to_vec();
        body.extend_from_slice(&self.bytes.to_le_bytes());
        match &self.sealed {
            None => body.push(0),
            Some(sealed) => {
                body.push(1);
                body.extend_from_slice(sealed.run.as_bytes());
                body.extend_from_slice(&sealed.salt);
            }
        }
        body.extend_from_slice(&self.extents);
        let mut record = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        record.extend_from_slice(&body);
        record.extend_from_slice(&check_of(&body));
        record
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let (pack, rest) = body.split_first_chunk::<32>()?;
        let (bytes, rest) = rest.split_first_chunk::<8>()?;
        let (flag, rest) = rest.split_first()?;
        let (sealed, extents) = match flag {
            0 => (None, rest),
            1 => {
                let (run, rest) = rest.split_first_chunk::<16>()?;
                let (salt, rest) = rest.split_first_chunk::<32>()?;
                let run = RunId::from_bytes(*run);
                (Some(SealedAt { run, salt: *salt }), rest)
            }
            _ => return None,
        };
        extents.len().is_multiple_of(EXTENT).then(|| Self {
            pack: Digest::from_bytes(*pack),
            bytes: u64::from_le_bytes(*bytes),
            sealed,
            extents: extents.to_vec(),
        })
    }
}

fn check_of(body: &[u8]) -> [u8; 8] {
    let mut check = [0; 8];
    check.copy_from_slice(&blake3::hash(body).as_bytes()[..8]);
    check
}

/// Reads a journal record by record.
pub(super) struct Records {
    file: BufReader<File>,
    /// The key of its hashes.
    pub(super) hash_key: HashKey,
    /// The epoch of the key document under which its packs were sealed, or were not.
    pub(super) epoch: u64,
}

impl Records {
    /// The journal at `path`, if there is one.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let mut file = BufReader::new(File::open(path).ok()?);
        let (mut magic, mut key, mut epoch) = ([0; 9], [0; 32], [0; 8]);
        file.read_exact(&mut magic).ok()?;
        file.read_exact(&mut key).ok()?;
        file.read_exact(&mut epoch).ok()?;
        (&magic == MAGIC).then(|| Self {
            file,
            hash_key: HashKey::new(key),
            epoch: u64::from_le_bytes(epoch),
        })
    }

    /// Puts the extents of those packs that `there` knows into a table.
    pub(super) fn learn(self, there: impl Fn(&Digest) -> bool, room: u64) -> Table {
        let mut table = Table::with_room(room);
        for left in self.filter(|left| there(&left.pack)) {
            left.learn(&mut table);
            if table.is_full() {
                break;
            }
        }
        table.sort();
        table
    }
}

impl Iterator for Records {
    type Item = Left;

    fn next(&mut self) -> Option<Left> {
        let mut length = [0; 4];
        self.file.read_exact(&mut length).ok()?;
        let length = u32::from_le_bytes(length) as usize;
        if length > RECORD_MAX {
            return None;
        }
        let mut body = Vec::new();
        self.file.by_ref().take(length as u64).read_to_end(&mut body).ok()?;
        let mut check = [0; 8];
        self.file.read_exact(&mut check).ok()?;
        if body.len() != length || check != check_of(&body) {
            return None;
        }
        Left::decode(&body)
    }
}

/// A journal that a run writes.
#[derive(Debug)]
pub(super) struct Journal {
    file: Mutex<File>,
    path: PathBuf,
}

impl Journal {
    /// Goes on with the journal at `path` where its hashes have this key and its packs are of this epoch, else begins it anew.
    pub(super) fn open(path: &Path, key: &HashKey, epoch: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut whole = 0;
        if let Some(mut records) =
            Records::open(path).filter(|records| records.hash_key == *key && records.epoch == epoch)
        {
            whole = HEADER;
            // Behind a torn record nothing would be found again.
            for left in records.by_ref() {
                whole += left.encode().len() as u64;
            }
        }
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)?;
        file.set_len(whole)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(whole))?;
        if whole == 0 {
            file.write_all(MAGIC)?;
            file.write_all(key.as_bytes())?;
            file.write_all(&epoch.to_le_bytes())?;
        }
        Ok(Self {
            file: Mutex::new(file),
            path: path.to_owned(),
        })
    }

    /// Notes a pack that the repository took. What cannot be noted is stored again, if it comes to that.
    pub(super) fn note(&self, left: &Left) {
        let written = self
            .file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_all(&left.encode());
        if let Err(error) = written {
            tracing::warn!(%error, journal = %self.path.display(), "a pack could not be noted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(seed: u8) -> Left {
        let location = Location {
            pack: Digest::of(&[seed]),
            ordinal: 3,
            offset: 44,
            stored: 5,
            raw: seed.is_multiple_of(2),
            frame_length: 65_536,
            within: 8,
        };
        let sealed = seed.is_multiple_of(3).then(|| SealedAt {
            run: RunId::from_bytes([seed; 16]),
            salt: [seed; 32],
        });
        Left::new(Digest::of(&[seed]), 100, sealed, &[([seed; 24], 9, location)])
    }

    #[test]
    fn a_journal_is_read_up_to_where_it_is_torn_and_goes_on_from_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal/db");
        let key = HashKey::new([7; 32]);
        let journal = Journal::open(&path, &key, 1).unwrap();
        (0..4).for_each(|seed| journal.note(&left(seed)));
        let all: Vec<Left> = Records::open(&path).unwrap().collect();
        assert_eq!(all, (0..4).map(left).collect::<Vec<_>>());
        let table = Records::open(&path)
            .unwrap()
            .learn(|pack| *pack != Digest::of(&[1]), 1 << 20);
        assert!(table.find(&[1; 24], 9).is_none() && table.find(&[2; 24], 8).is_none());
        assert_eq!(table.find(&[2; 24], 9).unwrap().within, 8);

        let bytes = fs::read(&path).unwrap();
        for cut in 0..bytes.len() {
            fs::write(&path, &bytes[..cut]).unwrap();
            let read = Records::open(&path).map_or(0, Iterator::count);
            assert!(read < 4, "cut at {cut}");
            Journal::open(&path, &key, 1).unwrap().note(&left(9));
            assert_eq!(Records::open(&path).unwrap().count(), read + 1, "cut at {cut}");
        }
        let mut bad = bytes.clone();
        bad[60] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert_eq!(Records::open(&path).unwrap().count(), 0);
        Journal::open(&path, &HashKey::new([8; 32]), 1).unwrap();
        assert_eq!(Records::open(&path).unwrap().hash_key, HashKey::new([8; 32]));
    }
}
