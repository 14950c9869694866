//! Which objects of this repository, at this place, this host read whole, and when: so that `--read-data=30d` need not read them again.
//!
//! Invariant: advisory in one direction. What is lost, damaged, or dated in the future costs a read; what was found wrong is taken out, and
//! nothing is put in that was not compared with its SHA-256 from the first byte to the last.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Write as _};
use std::time::{Duration, Instant};

use muster_signing::{Digest, Hasher};
use time::OffsetDateTime;

use super::names::code;
use crate::list::Named;
use crate::{ArchiveError, LocalState, Repository};

const MAGIC: &[u8; 8] = b"MUSTREAD";
/// Bytes of a record: what, id, whether its frames were decoded, seconds since 1970.
const RECORD: usize = 1 + 32 + 1 + 8;
/// Most records: 64 TB of packs, in 84 MB.
const MOST: u64 = 2_000_000;
/// Reads that are kept in memory before they are written down.
const FRESH: usize = 20_000;
/// A run that is ended from outside loses no more than this.
const PAUSE: Duration = Duration::from_secs(300);

type Record = [u8; RECORD];

/// What is known of an object's last whole read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastRead {
    /// Whether every frame that a tree named was decoded too.
    pub(super) decoded: bool,
    pub(super) at: OffsetDateTime,
}

/// The memory of whole reads.
pub(super) struct History {
    state: LocalState,
    name: String,
    now: OffsetDateTime,
    fresh: Vec<Record>,
    written: Instant,
}

impl History {
    /// The memory of reads from where the repository lies now: a copy elsewhere has the same id and other disks.
    pub(super) fn of(repository: &Repository, now: OffsetDateTime) -> Self {
        let place = Digest::of(repository.url().as_bytes()).hex();
        Self {
            state: repository.state().clone(),
            name: format!("read-{}", &place[..16]),
            now,
            fresh: Vec::new(),
            written: Instant::now(),
        }
    }

    /// What was known before this run, in the order of names. Nothing where the file is not what was written.
    pub(super) fn read(&self) -> Known {
        Known::open(&self.state, &self.name, self.now).unwrap_or_else(|error| {
            tracing::warn!(%error, "what was read before is not known: everything is read");
            Known::nothing()
        })
    }

    /// An object was read whole, and is right.
    pub(super) fn note(&mut self, what: Named, id: &Digest, decoded: bool) {
        let at = self.now.unix_timestamp().max(1);
        self.push(record(what, id, decoded, at));
    }

    /// An object is wrong or gone: whatever was known of it does not count.
    pub(super) fn forget(&mut self, what: Named, id: &Digest) {
        self.push(record(what, id, false, 0));
    }

    /// Writes down what is new.
    pub(super) fn flush(&mut self) {
        self.written = Instant::now();
        if self.fresh.is_empty() {
            return;
        }
        self.fresh.sort_unstable();
        if let Err(error) = self.merge() {
            tracing::warn!(%error, "what was read could not be remembered: the next run reads it again");
        }
        self.fresh.clear();
    }

    fn push(&mut self, record: Record) {
        self.fresh.push(record);
        if self.fresh.len() >= FRESH || self.written.elapsed() >= PAUSE {
            self.flush();
        }
    }

    fn merge(&self) -> Result<(), ArchiveError> {
        let mut old = self.read();
        let mut fresh = self.fresh.iter().peekable();
        self.state.replace(&self.name, |file| {
            let mut out = Out {
                file,
                sum: Hasher::new(),
                left: MOST,
            };
            out.put(MAGIC)?;
            loop {
                let next = match (fresh.peek(), old.peek()?) {
                    (None, None) => break,
                    (Some(new), Some(old)) if old[..33] < new[..33] => old,
                    (None, Some(old)) => old,
                    (Some(new), _) => **new,
                };
                // Of several that are fresh the last says most, but one that says "wrong" says all.
                let (mut last, mut wrong) = (next, false);
                while let Some(new) = fresh.next_if(|new| new[..33] == next[..33]) {
                    last = *new;
                    wrong |= new[34..] == [0; 8];
                }
                old.pass(&next)?;
                if !wrong && out.left > 0 {
                    out.put(&last)?;
                    out.left -= 1;
                }
            }
            let sum = out.sum.finish();
            out.file.write_all(sum.as_bytes())
        })
    }
}

struct Out<'a> {
    file: &'a mut io::BufWriter<File>,
    sum: Hasher,
    left: u64,
}

impl Out<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.file.write_all(bytes)
    }
}

fn record(what: Named, id: &Digest, decoded: bool, at: i64) -> Record {
    let mut out = [0; RECORD];
    out[0] = code(what);
    out[1..33].copy_from_slice(id.as_bytes());
    out[33] = u8::from(decoded);
    out[34..].copy_from_slice(&at.to_be_bytes());
    out
}

/// What was known before, read along with the names.
pub(super) struct Known {
    file: Option<BufReader<File>>,
    left: u64,
    next: Option<Record>,
    now: i64,
}

impl Known {
    pub(super) fn nothing() -> Self {
        Self {
            file: None,
            left: 0,
            next: None,
            now: 0,
        }
    }

    /// Opens the file once its sum was compared.
    fn open(state: &LocalState, name: &str, now: OffsetDateTime) -> Result<Self, ArchiveError> {
        let failed = |error| state.failed("read", name, error);
        let Some(file) = state.open(name)? else {
            return Ok(Self::nothing());
        };
        let length = file.metadata().map_err(failed)?.len();
        let damaged = || failed(io::Error::new(io::ErrorKind::InvalidData, "it is damaged"));
        let body = length.checked_sub(40).ok_or_else(damaged)?;
        if body % RECORD as u64 != 0 || body / RECORD as u64 > MOST {
            return Err(damaged());
        }
        let mut reader = BufReader::new(file);
        let mut sum = Hasher::new();
        let mut piece = vec![0; 64 << 10];
        let mut left = usize::try_from(body + 8).map_err(|_| damaged())?;
        while left > 0 {
            let some = left.min(piece.len());
            reader.read_exact(&mut piece[..some]).map_err(failed)?;
            sum.update(&piece[..some]);
            left -= some;
        }
        let mut told = [0; 32];
        reader.read_exact(&mut told).map_err(failed)?;
        let mut magic = [0; 8];
        io::Seek::rewind(&mut reader).map_err(failed)?;
        reader.read_exact(&mut magic).map_err(failed)?;
        if sum.finish().as_bytes() != &told || &magic != MAGIC {
            return Err(damaged());
        }
        Ok(Self {
            file: Some(reader),
            left: body / RECORD as u64,
            next: None,
            now: now.unix_timestamp(),
        })
    }

    /// When an object was read whole. Names come sorted.
    pub(super) fn find(&mut self, what: Named, id: &Digest) -> Option<LastRead> {
        let wanted = record(what, id, false, 0);
        while let Some(found) = self.peek().ok().flatten() {
            if found[..33] < wanted[..33] {
                self.next = None;
                continue;
            }
            if found[..33] != wanted[..33] {
                return None;
            }
            let mut at = [0; 8];
            at.copy_from_slice(&found[34..]);
            return Some(LastRead {
                decoded: found[33] == 1,
                at: OffsetDateTime::from_unix_timestamp(i64::from_be_bytes(at)).ok()?,
            });
        }
        None
    }

    /// The next record. What is dated in the future is none.
    fn peek(&mut self) -> io::Result<Option<Record>> {
        while self.next.is_none() && self.left > 0 {
            let Some(file) = &mut self.file else { break };
            let mut record = [0; RECORD];
            file.read_exact(&mut record)?;
            self.left -= 1;
            let mut at = [0; 8];
            at.copy_from_slice(&record[34..]);
            if i64::from_be_bytes(at) <= self.now {
                self.next = Some(record);
            }
        }
        Ok(self.next)
    }

    fn pass(&mut self, record: &Record) -> io::Result<()> {
        if self.peek()?.is_some_and(|next| next[..33] == record[..33]) {
            self.next = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(state: &LocalState, now: i64) -> History {
        History {
            state: state.clone(),
            name: "read-x".to_owned(),
            now: OffsetDateTime::from_unix_timestamp(now).unwrap(),
            fresh: Vec::new(),
            written: Instant::now(),
        }
    }

    fn id(number: u32) -> Digest {
        Digest::of(&number.to_le_bytes())
    }

    fn ages(history: &History, count: u32) -> Vec<Option<i64>> {
        let mut ids: Vec<(Digest, u32)> = (0..count).map(|number| (id(number), number)).collect();
        ids.sort_unstable();
        let mut known = history.read();
        let mut found = vec![None; count as usize];
        for (id, number) in ids {
            let last = known.find(Named::Pack, &id);
            found[number as usize] = last.map(|last| last.at.unix_timestamp());
        }
        found
    }

    #[test]
    fn what_was_read_is_known_until_it_is_found_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let state = LocalState::new(dir.path(), "r");
        let mut first = history(&state, 1_000);
        (0..4).for_each(|number| first.note(Named::Pack, &id(number), true));
        first.flush();
        let mut second = history(&state, 2_000);
        second.note(Named::Pack, &id(1), true);
        second.forget(Named::Pack, &id(2));
        second.note(Named::Tree, &id(3), true);
        second.flush();
        let third = history(&state, 3_000);
        assert_eq!(ages(&third, 5), [Some(1_000), Some(2_000), None, Some(1_000), None]);
    }

    #[test]
    fn a_time_in_the_future_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let state = LocalState::new(dir.path(), "r");
        let mut first = history(&state, 1_000);
        first.note(Named::Pack, &id(0), true);
        first.flush();
        assert_eq!(ages(&history(&state, 1_000), 1), [Some(1_000)]);
        assert_eq!(ages(&history(&state, 999), 1), [None]);
    }

    #[test]
    fn a_damaged_file_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let state = LocalState::new(dir.path(), "r");
        let mut first = history(&state, 1_000);
        (0..3).for_each(|number| first.note(Named::Pack, &id(number), true));
        first.flush();
        let path = state.dir().join("read-x");
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(ages(&first, 3), [None; 3], "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(ages(&first, 3), [None; 3], "cut at {at}");
        }
        first.note(Named::Pack, &id(1), true);
        first.flush();
        assert_eq!(ages(&first, 3), [None, Some(1_000), None]);
    }
}
