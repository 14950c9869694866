//! The transparency log of one key: what was signed, in which order, with nothing left out.
//!
//! Invariant: entries are believed only up to a size whose root a signed checkpoint gives (docs/format/archive.md, "The log").
//! A head only grows; a remembered head that is not a prefix of what is read is an error, never a repair.

mod append;
mod tiles;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_signing::{Checkpoint, Digest, KeyId, PublicKey, merkle, note};
use serde::{Deserialize, Serialize};

pub use append::{Appended, Place, append};

use crate::object_store::{ErrorKind, ObjectStore};
use crate::{ArchiveError, LocalState, layout};

/// Most bytes of a checkpoint note.
const NOTE_MAX: u64 = 64 << 10;

/// One log as it was read and verified.
#[derive(Clone, Debug)]
pub struct Log {
    /// Whose log it is.
    pub key: KeyId,
    /// Its incarnation.
    pub incarnation: String,
    /// The verified head.
    pub checkpoint: Checkpoint,
    /// The head's signed note, byte for byte.
    pub note: Vec<u8>,
    /// All entries in order, byte for byte.
    pub entries: Vec<Vec<u8>>,
    pub(crate) leaves: Vec<Digest>,
}

impl Log {
    /// `ledger/<key id>/<incarnation>`.
    pub fn name(&self) -> String {
        format!("{}{}", layout::log(&self.key), self.incarnation)
    }

    /// The heads that its first entry cites.
    pub(crate) fn cited(&self) -> Vec<SeenHead> {
        match self.parsed().next() {
            Some((
                0,
                Entry {
                    event: LogEvent::Opened { seen },
                    ..
                },
            )) => seen,
            _ => Vec::new(),
        }
    }

    /// The entries that this version understands, with their index.
    pub fn parsed(&self) -> impl DoubleEndedIterator<Item = (u64, Entry)> + '_ {
        self.entries.iter().enumerate().filter_map(|(at, bytes)| {
            let entry: Entry = serde_json::from_slice(bytes).ok()?;
            (entry.schema == "muster.entry/1").then_some((at as u64, entry))
        })
    }
}

/// An entry of a log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// `muster.entry/1`.
    pub schema: String,
    /// RFC 3339 UTC, the writer's clock: a claim.
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub event: LogEvent,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum LogEvent {
    /// Entry 0 of every incarnation.
    Opened {
        /// Every head known to the process that opened it.
        seen: Vec<SeenHead>,
    },
    /// A committed snapshot.
    Snapshot {
        /// Store name.
        store: String,
        /// ULID.
        snapshot: String,
        /// Per store and writer.
        sequence: u64,
        /// Digest of the manifest's envelope.
        manifest: Digest,
    },
    /// A signed scorecard.
    Rehearsal {
        /// Store name.
        store: String,
        /// ULID of the rehearsal.
        rehearsal: String,
        /// ULID of the snapshot that was rehearsed.
        snapshot: String,
        /// `PASS`, `FAIL`, `ERROR` or `SKIPPED`.
        verdict: String,
        /// Digest of the scorecard's envelope.
        scorecard: Digest,
    },
    /// A written evidence bundle.
    Audit {
        /// Digest of the bundle.
        bundle: Digest,
    },
    /// A type of a later version.
    #[serde(other)]
    Unknown,
}

/// A head that a process saw when it opened an incarnation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenHead {
    /// Whose log.
    pub key: KeyId,
    /// Its incarnation.
    pub incarnation: String,
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: Digest,
}

/// Reads and verifies every incarnation of one key's log, newest first. Compares each with what `state` remembers, and
/// remembers what it saw.
///
/// # Errors
/// [`ArchiveError::Damaged`], [`ArchiveError::Log`] where a byte or the order is wrong; storage errors as such.
pub async fn read(
    store: &Arc<dyn ObjectStore>,
    repository: &str,
    key: &PublicKey,
    state: Option<&LocalState>,
) -> Result<Vec<Log>, ArchiveError> {
    let memory = state.map(|state| Heads::load(&key.id(), state)).transpose()?;
    let logs = read_all(store, repository, key).await?;
    check_citations(&logs)?;
    if let Some(memory) = memory {
        memory.compare(&logs)?;
        memory.raise(&logs);
    }
    Ok(logs)
}

async fn read_all(store: &Arc<dyn ObjectStore>, repository: &str, key: &PublicKey) -> Result<Vec<Log>, ArchiveError> {
    let prefix = layout::log(&key.id());
    let mut names: Vec<String> = Vec::new();
    for object in store.list(&prefix).await? {
        let Some((incarnation, "checkpoint")) = object.key[prefix.len()..].split_once('/') else {
            continue;
        };
        names.push(incarnation.to_owned());
    }
    names.sort();
    let mut logs = Vec::with_capacity(names.len());
    for incarnation in names {
        let log = read_one(store, repository, key, &incarnation).await?;
        let log = log.ok_or_else(|| ArchiveError::Log {
            log: format!("{prefix}{incarnation}"),
            reason: "vanished while it was read".to_owned(),
        })?;
        logs.push(log);
    }
    Ok(logs)
}

/// The origin line of an incarnation's checkpoints.
pub fn origin(repository: &str, incarnation: &str) -> String {
    format!("muster/{repository}/{incarnation}")
}

async fn read_one(
    store: &Arc<dyn ObjectStore>,
    repository: &str,
    key: &PublicKey,
    incarnation: &str,
) -> Result<Option<Log>, ArchiveError> {
    let base = format!("{}{incarnation}/", layout::log(&key.id()));
    let object = format!("{base}checkpoint");
    let bytes = match store.get_limited(&object, NOTE_MAX).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ArchiveError::of(error, &object, "the listing")),
    };
    let name = origin(repository, incarnation);
    let text = note::verify(&bytes, &name, key).map_err(|error| ArchiveError::damaged(&object, error))?;
    let checkpoint = Checkpoint::parse(&text).map_err(|error| ArchiveError::damaged(&object, error))?;
    if checkpoint.origin != name {
        return Err(ArchiveError::damaged(&object, "its origin is another log's"));
    }
    let entries = tiles::read_entries(store, &base, checkpoint.size).await?;
    let leaves: Vec<Digest> = entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
    if merkle::root(&leaves) != checkpoint.root {
        return Err(ArchiveError::damaged(
            &format!("{base}tile/entries"),
            "its entries do not give the root that the checkpoint signs",
        ));
    }
    Ok(Some(Log {
        key: key.id(),
        incarnation: incarnation.to_owned(),
        checkpoint,
        note: bytes.to_vec(),
        entries,
        leaves,
    }))
}

/// Reads every tile that a log's present size has and compares it with the log's leaves.
pub(crate) async fn check_tiles(store: &Arc<dyn ObjectStore>, log: &Log) -> Result<(), ArchiveError> {
    let base = format!("{}/", log.name());
    for tile in tiles::hash_tiles(&log.leaves) {
        let object = format!("{base}{}", tile.name);
        let found = store
            .get_limited(&object, 256 * 32)
            .await
            .map_err(|error| ArchiveError::of(error, &object, &log.name()))?;
        if found[..] != tile.bytes[..] {
            return Err(ArchiveError::damaged(
                &object,
                "its hashes are not those of the log's entries",
            ));
        }
    }
    Ok(())
}

/// Compares the heads that newer incarnations cite with what is there: a cited log that is gone, shorter or other was removed.
///
/// # Errors
/// [`ArchiveError::Log`], naming the cited log.
pub(crate) fn check_citations(logs: &[Log]) -> Result<(), ArchiveError> {
    let keys: BTreeSet<&KeyId> = logs.iter().map(|log| &log.key).collect();
    for log in logs {
        for seen in log.cited() {
            if !keys.contains(&seen.key) {
                continue;
            }
            let found = logs
                .iter()
                .find(|other| other.key == seen.key && other.incarnation == seen.incarnation);
            let prefix = found.and_then(|other| other.leaves.get(..usize::try_from(seen.size).ok()?));
            if prefix.map(merkle::root) != Some(seen.root) {
                return Err(ArchiveError::Log {
                    log: format!("{}{}", layout::log(&seen.key), seen.incarnation),
                    reason: format!("is not there as {} saw it, with {} entries", log.name(), seen.size),
                });
            }
        }
    }
    Ok(())
}

/// What this host remembers of one incarnation's head.
#[derive(Clone, Serialize, Deserialize)]
struct Remembered {
    size: u64,
    root: Digest,
}

/// What this host remembers of the heads of one key's log.
///
/// Invariant: it is loaded before the logs are read, so that what another process appends and remembers meanwhile is not
/// taken for a log that went back.
struct Heads<'a> {
    key: KeyId,
    state: &'a LocalState,
    seen: BTreeMap<String, Remembered>,
}

impl<'a> Heads<'a> {
    fn load(key: &KeyId, state: &'a LocalState) -> Result<Self, ArchiveError> {
        let seen = match state.read(&Self::name(key))? {
            None => BTreeMap::new(),
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| ArchiveError::Local {
                attempt: format!(
                    "read {} (delete it to begin anew, which forgets which heads were seen)",
                    state.dir().join(Self::name(key)).display()
                ),
                source: error.into(),
            })?,
        };
        Ok(Self {
            key: key.clone(),
            state,
            seen,
        })
    }

    fn name(key: &KeyId) -> String {
        format!("heads/{key}.json")
    }

    /// Whether this log is just as this host saw it last.
    fn knows(&self, log: &Log) -> bool {
        self.seen
            .get(&log.incarnation)
            .is_some_and(|seen| seen.size == log.checkpoint.size)
    }

    fn compare(&self, logs: &[Log]) -> Result<(), ArchiveError> {
        for (incarnation, seen) in &self.seen {
            let name = format!("{}{incarnation}", layout::log(&self.key));
            let wrong = |reason: String| {
                Err(ArchiveError::Log {
                    log: name.clone(),
                    reason,
                })
            };
            let Some(log) = logs.iter().find(|log| log.incarnation == *incarnation) else {
                return wrong(format!("is gone; this host saw it with {} entries", seen.size));
            };
            if log.checkpoint.size < seen.size {
                return wrong(format!(
                    "went back to {} entries; this host saw {}",
                    log.checkpoint.size, seen.size
                ));
            }
            let prefix = usize::try_from(seen.size).ok().and_then(|size| log.leaves.get(..size));
            if prefix.map(merkle::root) != Some(seen.root) {
                return wrong(format!(
                    "is not the one that this host saw: its first {} entries differ",
                    seen.size
                ));
            }
        }
        Ok(())
    }

    /// Remembers heads that grew. Where that is not possible the next run knows less, and nothing else is lost.
    fn raise(self, logs: &[Log]) {
        if logs.iter().all(|log| self.knows(log)) {
            return;
        }
        let mut heads = Self::load(&self.key, self.state).map_or(self.seen, |now| now.seen);
        for log in logs {
            let Checkpoint { size, root, .. } = log.checkpoint;
            let seen = heads
                .entry(log.incarnation.clone())
                .or_insert(Remembered { size, root });
            if seen.size < size {
                *seen = Remembered { size, root };
            }
        }
        let bytes = serde_json::to_vec(&heads).map_err(|error| error.to_string());
        let written = bytes.and_then(|bytes| {
            self.state
                .write(&Self::name(&self.key), &bytes)
                .map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            tracing::warn!(%error, "the heads of the logs could not be remembered");
        }
    }
}
