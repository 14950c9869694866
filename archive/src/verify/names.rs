//! What the manifests name: every object of every snapshot, from the public lists, sorted and once.
//!
//! Invariant: a list that does not add up to what its manifest signs names nothing. A hunk that several snapshots share is read once,
//! so the work grows with what differs, and no list is held whole.

use std::collections::{BTreeMap, HashMap};

use futures_util::{StreamExt as _, stream};
use muster_signing::Digest;

use super::spill::{Merge, Sorted, Sorter};
use crate::list::{self, HUNK_MAX, Named};
use crate::manifest::RunRef;
use crate::{ArchiveError, Manifest, Repository, layout};

/// Hunks asked for at the same time.
const PARALLEL: usize = 8;
/// Most hunks whose sums are kept: beyond, they are read again.
const HUNKS_KEPT: usize = 100_000;
/// Bytes of a record: what, id, kind of record, bytes, demand, snapshot.
const RECORD: usize = 1 + 32 + 1 + 8 + 8 + 4;
const READ: u8 = 0;
const NAMED: u8 = 1;

/// An object, as what names it and what read it say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamedObject {
    pub(super) what: Named,
    pub(super) id: Digest,
    /// Its length; 0 where no list names it.
    pub(super) bytes: u64,
    /// Whether lists give it different lengths.
    pub(super) lengths_differ: bool,
    /// Until when it must be held, in seconds since 1970; 0: nobody promised.
    pub(super) demand: i64,
    /// The newest snapshot that names it; `None`: no public list does.
    pub(super) snapshot: Option<u32>,
    /// So many bytes were read of it already, and have its SHA-256.
    pub(super) read: Option<u64>,
}

/// Wrapped run keys that the manifests name. Their bytes were read and compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunKey {
    pub(super) digest: Digest,
    pub(super) bytes: u64,
    pub(super) demand: i64,
}

/// Gathers names.
pub(super) struct Names<'a> {
    repository: &'a Repository,
    sorter: Sorter<RECORD>,
    hunks: HashMap<Digest, Hunk>,
    pub(super) runs: BTreeMap<String, RunKey>,
}

/// What is kept of a hunk that was read.
#[derive(Clone)]
struct Hunk {
    first: Option<(Named, Digest)>,
    last: Option<(Named, Digest)>,
    lines: u64,
    bytes: u64,
    runs: Vec<(Digest, u64)>,
    /// The latest time that its objects were pushed with.
    demand: i64,
}

impl<'a> Names<'a> {
    pub(super) fn new(repository: &'a Repository, budget: usize) -> Self {
        Self {
            repository,
            sorter: Sorter::new(repository.state(), budget),
            hunks: HashMap::new(),
            runs: BTreeMap::new(),
        }
    }

    /// Adds what a snapshot names, which is to be held until `demand`.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`], [`ArchiveError::Damaged`], storage errors.
    pub(super) async fn take(&mut self, manifest: &Manifest, ordinal: u32, demand: i64) -> Result<(), ArchiveError> {
        let root = manifest.list.root;
        let object = layout::list(&root);
        let children = match self.known(&root, demand) {
            Some(_) => Vec::new(),
            None => self.read_root(&root, ordinal, demand, &manifest.snapshot).await?,
        };
        let hunks = if children.is_empty() {
            vec![(root, self.known(&root, demand))]
        } else {
            self.read_hunks(&children, ordinal, demand, &manifest.snapshot).await?
        };
        let (mut objects, mut bytes, mut last) = (0u64, 0u64, None);
        let mut runs = Vec::new();
        for (id, hunk) in hunks {
            let hunk = hunk.ok_or_else(|| ArchiveError::damaged(&layout::list(&id), "it is not a hunk"))?;
            if last.is_some() && hunk.first <= last {
                return Err(ArchiveError::damaged(&layout::list(&id), "it is not sorted"));
            }
            last = hunk.last.or(last);
            objects += hunk.lines;
            bytes = bytes.saturating_add(hunk.bytes);
            runs.extend(hunk.runs);
        }
        if (objects, bytes) != (manifest.list.objects, manifest.list.bytes) {
            let reason = "it does not add up to what the manifest says";
            return Err(ArchiveError::damaged(&object, reason));
        }
        self.check_runs(manifest, &runs, demand).await
    }

    /// Notes that an object was read and has the bytes of its name.
    ///
    /// # Errors
    /// [`ArchiveError::Local`].
    pub(super) fn note_read(&mut self, what: Named, id: &Digest, bytes: u64) -> Result<(), ArchiveError> {
        self.sorter.push(encode(what, id, READ, bytes, 0, 0))
    }

    pub(super) fn finish(self) -> Result<(SortedNames, BTreeMap<String, RunKey>), ArchiveError> {
        Ok((SortedNames(self.sorter.finish()?), self.runs))
    }

    fn known(&self, id: &Digest, demand: i64) -> Option<Hunk> {
        self.hunks.get(id).filter(|hunk| hunk.demand >= demand).cloned()
    }

    /// The children of a list of lists; none where the root is the only hunk, which then is known.
    async fn read_root(
        &mut self,
        root: &Digest,
        ordinal: u32,
        demand: i64,
        snapshot: &str,
    ) -> Result<Vec<(Digest, u64)>, ArchiveError> {
        let (size, lines) = fetch(self.repository, root, snapshot).await?;
        if lines.iter().all(|line| line.0 != Named::List) {
            self.keep(root, size, &lines, ordinal, demand)?;
            return Ok(Vec::new());
        }
        self.push_list(root, size, ordinal, demand)?;
        let children = lines.into_iter().map(|(what, id, lines)| {
            let wrong = || ArchiveError::damaged(&layout::list(root), "it is not sorted");
            if what == Named::List {
                Ok((id, lines))
            } else {
                Err(wrong())
            }
        });
        children.collect()
    }

    async fn read_hunks(
        &mut self,
        children: &[(Digest, u64)],
        ordinal: u32,
        demand: i64,
        snapshot: &str,
    ) -> Result<Vec<(Digest, Option<Hunk>)>, ArchiveError> {
        let unknown: Vec<Digest> = children
            .iter()
            .map(|child| child.0)
            .filter(|id| self.known(id, demand).is_none())
            .collect();
        let repository = self.repository;
        let mut fetched = stream::iter(unknown)
            .map(|id| async move { (id, fetch(repository, &id, snapshot).await) })
            .buffered(PARALLEL);
        let mut hunks = Vec::with_capacity(children.len());
        for (id, lines) in children {
            let hunk = match self.known(id, demand) {
                Some(hunk) => hunk,
                None => {
                    let Some((got, read)) = fetched.next().await else { break };
                    let (size, lines) = read?;
                    if lines.iter().any(|line| line.0 == Named::List) {
                        return Err(not_its_hunk(&got));
                    }
                    self.keep(&got, size, &lines, ordinal, demand)?
                }
            };
            if hunk.lines != *lines {
                return Err(not_its_hunk(id));
            }
            hunks.push((*id, Some(hunk)));
        }
        Ok(hunks)
    }

    /// Pushes a hunk's lines and keeps its sums.
    fn keep(
        &mut self,
        id: &Digest,
        size: u64,
        lines: &[(Named, Digest, u64)],
        ordinal: u32,
        demand: i64,
    ) -> Result<Hunk, ArchiveError> {
        if !lines.is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1)) {
            return Err(ArchiveError::damaged(&layout::list(id), "it is not sorted"));
        }
        for (what, id, bytes) in lines {
            self.sorter.push(encode(*what, id, NAMED, *bytes, demand, ordinal))?;
        }
        self.push_list(id, size, ordinal, demand)?;
        let key = |line: &(Named, Digest, u64)| (line.0, line.1);
        let hunk = Hunk {
            first: lines.first().map(key),
            last: lines.last().map(key),
            lines: lines.len() as u64,
            bytes: lines.iter().fold(0, |sum, line| sum.saturating_add(line.2)),
            runs: lines
                .iter()
                .filter(|line| line.0 == Named::Run)
                .map(|line| (line.1, line.2))
                .collect(),
            demand,
        };
        if self.hunks.len() >= HUNKS_KEPT {
            self.hunks.clear();
        }
        self.hunks.insert(*id, hunk.clone());
        Ok(hunk)
    }

    /// The hunk itself is needed too, by whoever copies or verifies.
    fn push_list(&mut self, id: &Digest, size: u64, ordinal: u32, demand: i64) -> Result<(), ArchiveError> {
        self.sorter
            .push(encode(Named::List, id, NAMED, size, demand, ordinal))?;
        self.note_read(Named::List, id, size)
    }

    /// Reads the wrapped keys of a snapshot's runs that were not read before, and holds them against its list.
    async fn check_runs(
        &mut self,
        manifest: &Manifest,
        listed: &[(Digest, u64)],
        demand: i64,
    ) -> Result<(), ArchiveError> {
        let runs = manifest
            .encryption
            .as_ref()
            .map_or(&[][..], |encryption| &encryption.runs);
        let new: Vec<RunRef> = runs
            .iter()
            .filter(|run| !self.runs.contains_key(&layout::run_key(&run.run, run.epoch)))
            .copied()
            .collect();
        let is_listed = |id: &Digest, bytes: u64| listed.contains(&(*id, bytes));
        for (object, digest, bytes) in self.repository.run_objects(&new, &is_listed).await? {
            let key = RunKey { digest, bytes, demand };
            self.runs.insert(object, key);
        }
        // Each run has a key of its own; another's in its place is listed too.
        let mut seen: BTreeMap<Digest, String> = BTreeMap::new();
        for run in runs {
            let object = layout::run_key(&run.run, run.epoch);
            let Some(key) = self.runs.get_mut(&object) else {
                continue;
            };
            key.demand = key.demand.max(demand);
            if !listed.contains(&(key.digest, key.bytes)) {
                let reason = "its bytes are not those that the public list names";
                return Err(ArchiveError::damaged(&object, reason));
            }
            if let Some(twin) = seen.insert(key.digest, object.clone()) {
                return Err(ArchiveError::damaged(&object, format!("its bytes are those of {twin}")));
            }
        }
        if listed.len() == runs.len() {
            return Ok(());
        }
        let object = layout::list(&manifest.list.root);
        Err(ArchiveError::damaged(
            &object,
            "it names other run keys than the manifest",
        ))
    }
}

fn not_its_hunk(id: &Digest) -> ArchiveError {
    ArchiveError::damaged(&layout::list(id), "it is not the hunk that its root describes")
}

type Lines = Vec<(Named, Digest, u64)>;

async fn fetch(repository: &Repository, id: &Digest, snapshot: &str) -> Result<(u64, Lines), ArchiveError> {
    let object = layout::list(id);
    let named_by = format!("snapshot {snapshot}");
    let bytes = repository.get_content(&object, id, HUNK_MAX, &named_by).await?;
    let lines = list::decode(&bytes).map_err(|reason| ArchiveError::damaged(&object, reason))?;
    Ok((bytes.len() as u64, lines))
}

fn encode(what: Named, id: &Digest, record: u8, bytes: u64, demand: i64, snapshot: u32) -> [u8; RECORD] {
    let mut out = [0; RECORD];
    out[0] = code(what);
    out[1..33].copy_from_slice(id.as_bytes());
    out[33] = record;
    out[34..42].copy_from_slice(&bytes.to_be_bytes());
    out[42..50].copy_from_slice(&demand.max(0).to_be_bytes());
    out[50..].copy_from_slice(&snapshot.to_be_bytes());
    out
}

/// The order of kinds, which is that of their folders.
pub(super) fn code(what: Named) -> u8 {
    match what {
        Named::List => 0,
        Named::Pack => 1,
        Named::Run => 2,
        Named::Tree => 3,
    }
}

fn field<const N: usize>(record: &[u8; RECORD], from: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&record[from..from + N]);
    out
}

/// Names, sorted.
pub(super) struct SortedNames(Sorted<RECORD>);

impl SortedNames {
    pub(super) fn read(&self) -> Result<ReadNames<'_>, ArchiveError> {
        Ok(ReadNames(self.0.read()?))
    }
}

/// The names one after the other: lists, packs, trees, each by its id. Run keys are told elsewhere.
pub(super) struct ReadNames<'a>(Merge<'a, RECORD>);

impl ReadNames<'_> {
    pub(super) fn next(&mut self) -> Result<Option<NamedObject>, ArchiveError> {
        while let Some(first) = self.0.peek()? {
            let mut found = NamedObject {
                what: match first[0] {
                    0 => Named::List,
                    1 => Named::Pack,
                    2 => Named::Run,
                    _ => Named::Tree,
                },
                id: Digest::from_bytes(field(&first, 1)),
                bytes: 0,
                lengths_differ: false,
                demand: 0,
                snapshot: None,
                read: None,
            };
            while let Some(record) = self.0.peek()?
                && record[..33] == first[..33]
            {
                self.0.next()?;
                let bytes = u64::from_be_bytes(field(&record, 34));
                if record[33] == READ {
                    found.read = Some(bytes);
                    continue;
                }
                found.lengths_differ |= found.snapshot.is_some() && found.bytes != bytes;
                found.bytes = bytes;
                found.demand = found.demand.max(i64::from_be_bytes(field(&record, 42)));
                let snapshot = u32::from_be_bytes(field(&record, 50));
                found.snapshot = Some(found.snapshot.map_or(snapshot, |other| other.min(snapshot)));
            }
            if found.what != Named::Run {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}
