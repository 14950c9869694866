//! Sorting more records than memory holds: what does not fit goes to unnamed files beside this host's other memory of the repository.
//!
//! Invariant: memory is bounded by the budget that was given, whatever is pushed; equal records come out once. The files have no name, so
//! that they end with the process, however it ends.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;

use crate::{ArchiveError, LocalState};

/// So many sorted runs of one size are merged into one of the next.
const FAN: usize = 64;
/// Bytes of a run that are read at once while runs are merged.
const CHUNK: usize = 32 << 10;

/// Records of `N` bytes (at most 255) on their way to be sorted.
pub(super) struct Sorter<const N: usize> {
    buffer: Vec<[u8; N]>,
    most: usize,
    runs: Vec<Run>,
    state: LocalState,
}

/// A sorted run on disk: each record as the number of leading bytes that it shares with the one before, and the rest.
struct Run {
    file: File,
    length: u64,
    level: u32,
}

impl<const N: usize> Sorter<N> {
    /// Keeps at most `budget` bytes of records in memory.
    pub(super) fn new(state: &LocalState, budget: usize) -> Self {
        Self {
            buffer: Vec::new(),
            most: (budget / N).max(16),
            runs: Vec::new(),
            state: state.clone(),
        }
    }

    /// # Errors
    /// [`ArchiveError::Local`] where there is no room for what memory does not hold.
    pub(super) fn push(&mut self, record: [u8; N]) -> Result<(), ArchiveError> {
        if self.buffer.len() >= self.most {
            self.tidy();
            // Where most were repetitions there is room again.
            if self.buffer.len() > self.most / 2 {
                self.spill()?;
            }
        }
        self.buffer.push(record);
        Ok(())
    }

    /// Everything that was pushed, to be read as often as it is wanted.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn finish(mut self) -> Result<Sorted<N>, ArchiveError> {
        self.tidy();
        Ok(Sorted {
            buffer: self.buffer,
            runs: self.runs,
            state: self.state,
        })
    }

    fn tidy(&mut self) {
        self.buffer.sort_unstable();
        self.buffer.dedup();
    }

    fn spill(&mut self) -> Result<(), ArchiveError> {
        let records = std::mem::take(&mut self.buffer);
        let mut writer = RunWriter::<N>::new(&self.state)?;
        for record in &records {
            writer.write(record)?;
        }
        self.runs.push(writer.finish(0)?);
        self.buffer = records;
        self.buffer.clear();
        while let Some(level) = self.runs.last().map(|run| run.level) {
            let first = self
                .runs
                .iter()
                .rposition(|run| run.level != level)
                .map_or(0, |at| at + 1);
            if self.runs.len() - first < FAN {
                break;
            }
            let merged = {
                let mut writer = RunWriter::<N>::new(&self.state)?;
                let mut merge = Merge::new(&[], &self.runs[first..], &self.state)?;
                while let Some(record) = merge.next()? {
                    writer.write(&record)?;
                }
                writer.finish(level + 1)?
            };
            self.runs.truncate(first);
            self.runs.push(merged);
        }
        Ok(())
    }
}

/// Sorted records, each once.
pub(super) struct Sorted<const N: usize> {
    buffer: Vec<[u8; N]>,
    runs: Vec<Run>,
    state: LocalState,
}

impl<const N: usize> Sorted<N> {
    /// From the smallest on.
    ///
    /// # Errors
    /// [`ArchiveError::Local`] where the spilled records cannot be read.
    pub(super) fn read(&self) -> Result<Merge<'_, N>, ArchiveError> {
        Merge::new(&self.buffer, &self.runs, &self.state)
    }

    /// How many runs did not fit into memory.
    #[cfg(test)]
    pub(super) fn spilled(&self) -> usize {
        self.runs.len()
    }
}

/// Merges sorted runs.
pub(super) struct Merge<'a, const N: usize> {
    memory: std::slice::Iter<'a, [u8; N]>,
    files: Vec<RunReader<'a, N>>,
    /// The next record of each source; the last one is memory.
    heads: BinaryHeap<Reverse<([u8; N], usize)>>,
    last: Option<[u8; N]>,
    state: &'a LocalState,
}

impl<'a, const N: usize> Merge<'a, N> {
    fn new(memory: &'a [[u8; N]], runs: &'a [Run], state: &'a LocalState) -> Result<Self, ArchiveError> {
        let mut merge = Self {
            memory: memory.iter(),
            files: runs.iter().map(RunReader::new).collect(),
            heads: BinaryHeap::new(),
            last: None,
            state,
        };
        for source in 0..=merge.files.len() {
            merge.refill(source)?;
        }
        Ok(merge)
    }

    /// The smallest record that is left, without taking it.
    pub(super) fn peek(&mut self) -> Result<Option<[u8; N]>, ArchiveError> {
        while let Some(Reverse((record, source))) = self.heads.peek().copied() {
            if self.last != Some(record) {
                return Ok(Some(record));
            }
            self.heads.pop();
            self.refill(source)?;
        }
        Ok(None)
    }

    pub(super) fn next(&mut self) -> Result<Option<[u8; N]>, ArchiveError> {
        let found = self.peek()?;
        if found.is_some() {
            self.last = found;
        }
        Ok(found)
    }

    fn refill(&mut self, source: usize) -> Result<(), ArchiveError> {
        let next = match self.files.get_mut(source) {
            Some(file) => file
                .next()
                .map_err(|error| self.state.failed("read what was spilled to", "a scratch file", error))?,
            None => self.memory.next().copied(),
        };
        if let Some(record) = next {
            self.heads.push(Reverse((record, source)));
        }
        Ok(())
    }
}

struct RunWriter<'a, const N: usize> {
    file: io::BufWriter<File>,
    length: u64,
    last: Option<[u8; N]>,
    state: &'a LocalState,
}

impl<'a, const N: usize> RunWriter<'a, N> {
    fn new(state: &'a LocalState) -> Result<Self, ArchiveError> {
        Ok(Self {
            file: io::BufWriter::with_capacity(CHUNK, state.scratch()?),
            length: 0,
            last: None,
            state,
        })
    }

    fn write(&mut self, record: &[u8; N]) -> Result<(), ArchiveError> {
        let shared = self.last.map_or(0, |last| {
            last.iter()
                .zip(record)
                .take_while(|(before, now)| before == now)
                .count()
        });
        let count = [u8::try_from(shared).unwrap_or(0)];
        let shared = usize::from(count[0]);
        self.last = Some(*record);
        self.length += 1 + (N - shared) as u64;
        let written = self
            .file
            .write_all(&count)
            .and_then(|()| self.file.write_all(&record[shared..]));
        written.map_err(|error| self.state.failed("spill to", "a scratch file", error))
    }

    fn finish(self, level: u32) -> Result<Run, ArchiveError> {
        let failed = |error| self.state.failed("spill to", "a scratch file", error);
        let file = self.file.into_inner().map_err(|error| failed(error.into_error()))?;
        Ok(Run {
            file,
            length: self.length,
            level,
        })
    }
}

struct RunReader<'a, const N: usize> {
    run: &'a Run,
    at: u64,
    chunk: Vec<u8>,
    used: usize,
    last: [u8; N],
}

impl<'a, const N: usize> RunReader<'a, N> {
    fn new(run: &'a Run) -> Self {
        Self {
            run,
            at: 0,
            chunk: Vec::new(),
            used: 0,
            last: [0; N],
        }
    }

    fn next(&mut self) -> io::Result<Option<[u8; N]>> {
        let mut count = [0];
        if !self.take(&mut count)? {
            return Ok(None);
        }
        let mut record = self.last;
        let rest = record
            .get_mut(usize::from(count[0])..)
            .ok_or(io::ErrorKind::InvalidData)?;
        if !self.take(rest)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.last = record;
        Ok(Some(record))
    }

    /// Fills `out`; false where the run ends before.
    fn take(&mut self, out: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        while filled < out.len() {
            if self.used == self.chunk.len() {
                let left = usize::try_from(self.run.length - self.at).unwrap_or(CHUNK).min(CHUNK);
                if left == 0 {
                    return Ok(false);
                }
                self.chunk.resize(left, 0);
                self.run.file.read_exact_at(&mut self.chunk, self.at)?;
                self.at += left as u64;
                self.used = 0;
            }
            let some = (out.len() - filled).min(self.chunk.len() - self.used);
            out[filled..filled + some].copy_from_slice(&self.chunk[self.used..self.used + some]);
            filled += some;
            self.used += some;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn record(number: u64) -> [u8; 20] {
        let mut record = [0; 20];
        record[..8].copy_from_slice(blake3::hash(&number.to_le_bytes()).as_bytes()[..8].as_ref());
        record[12..].copy_from_slice(&number.to_be_bytes());
        record
    }

    #[test]
    fn what_does_not_fit_into_memory_comes_out_sorted_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let state = LocalState::new(dir.path(), "r");
        let mut sorter = Sorter::new(&state, 20 * 50);
        let mut expected = BTreeSet::new();
        for number in 0..20_000u64 {
            let record = record(number % 9_000);
            expected.insert(record);
            sorter.push(record).unwrap();
        }
        let sorted = sorter.finish().unwrap();
        assert!(
            sorted.spilled() > 0 && sorted.spilled() < 2 * FAN,
            "{}",
            sorted.spilled()
        );
        for _ in 0..2 {
            let mut merge = sorted.read().unwrap();
            let mut found = Vec::new();
            while let Some(record) = merge.next().unwrap() {
                found.push(record);
            }
            assert!(found.iter().eq(&expected), "{} of {}", found.len(), expected.len());
        }
        let left: Vec<_> = std::fs::read_dir(state.dir()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn repetitions_need_no_disk() {
        let dir = tempfile::tempdir().unwrap();
        let state = LocalState::new(dir.path(), "r");
        let mut sorter = Sorter::new(&state, 20 * 100);
        for number in 0..100_000u64 {
            sorter.push(record(number % 40)).unwrap();
        }
        let sorted = sorter.finish().unwrap();
        assert_eq!(sorted.spilled(), 0);
        assert!(!state.dir().exists());
    }
}
