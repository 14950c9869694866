//! Entries of a log: what each says, and what the last ones of each store are.
//!
//! Invariant: the first entry of every bundle carries the last entries before it, so that the last bundle alone says what is newest.

use std::collections::BTreeMap;

use muster_signing::{Digest, KeyId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tiles::{ENTRY_MAX, WIDTH};
use crate::ArchiveError;
use crate::edge::Edge;

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
    /// In the first entry of a bundle: the last entries before it, one for each store and type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last: Vec<LastEntry>,
    /// Whether `last` lacks some, because not all had room.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last_lacks: bool,
}

impl Entry {
    /// Reads an entry; `None` where it is not one of this version.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let entry: Self = serde_json::from_slice(bytes).ok()?;
        (entry.schema == "muster.entry/1").then_some(entry)
    }
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
    /// A key document that this writer had not met before.
    Keys {
        /// Its epoch.
        epoch: u64,
        /// Digest of its envelope.
        document: Digest,
    },
    /// For how long what is written from now on is held, and what is kept.
    Retention {
        /// The lock on new objects, as configured; `null` where there is none.
        object_lock: Value,
        /// The rule by which snapshots are kept, as configured; `null` where there is none.
        keep: Value,
    },
    /// The stores that this writer's configuration names from now on.
    Stores {
        /// Name and kind of each, by name.
        stores: BTreeMap<String, String>,
    },
    /// A type of a later version.
    #[serde(other)]
    Unknown,
}

impl LogEvent {
    /// What the newest is asked of: a store's snapshots, its rehearsals, or the one line of events of a type.
    fn line(&self) -> Option<(u8, &str)> {
        match self {
            Self::Snapshot { store, .. } => Some((0, store)),
            Self::Rehearsal { store, .. } => Some((1, store)),
            Self::Keys { .. } => Some((2, "")),
            Self::Retention { .. } => Some((3, "")),
            Self::Stores { .. } => Some((4, "")),
            Self::Opened { .. } | Self::Audit { .. } | Self::Unknown => None,
        }
    }

    /// Whether it takes the place of an earlier one of its line.
    fn replaces(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::Snapshot { sequence, .. }, Self::Snapshot { sequence: before, .. }) => sequence >= before,
            (Self::Keys { epoch, .. }, Self::Keys { epoch: before, .. }) => epoch >= before,
            _ => true,
        }
    }
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

/// An earlier entry of the same key, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastEntry {
    /// Its index.
    pub index: u64,
    /// In which incarnation, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
    /// Its time.
    pub time: String,
    /// What it says.
    #[serde(flatten)]
    pub event: LogEvent,
}

/// The newest entry of each line, up to some place in a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Last {
    lines: BTreeMap<(u8, String), LastEntry>,
    /// Whether older ones are missing, because they once had no room.
    pub lacks: bool,
}

impl Last {
    /// Takes in the next entry.
    pub(super) fn apply(&mut self, index: u64, entry: Entry) {
        if index.is_multiple_of(WIDTH) {
            for earlier in entry.last {
                self.take(earlier);
            }
            self.lacks |= entry.last_lacks;
        }
        self.take(LastEntry {
            index,
            incarnation: None,
            time: entry.time,
            event: entry.event,
        });
    }

    fn take(&mut self, entry: LastEntry) {
        let Some((kind, name)) = entry.event.line() else { return };
        let line = (kind, name.to_owned());
        if self
            .lines
            .get(&line)
            .is_none_or(|earlier| entry.event.replaces(&earlier.event))
        {
            self.lines.insert(line, entry);
        }
    }

    /// The same seen from another incarnation.
    pub(super) fn seen_from_elsewhere(mut self, incarnation: &str) -> Self {
        for entry in self.lines.values_mut() {
            entry.incarnation.get_or_insert_with(|| incarnation.to_owned());
        }
        self
    }

    /// Takes in what a newer incarnation knows.
    pub(super) fn merge(&mut self, newer: Self) {
        self.lacks |= newer.lacks;
        for entry in newer.lines.into_values() {
            self.take(entry);
        }
    }

    /// Whether the first entry of a bundle carries on just this, as far as it had room.
    pub(super) fn covers(&self, first: &Entry) -> bool {
        let known = first
            .last
            .iter()
            .all(|entry| self.lines.values().any(|line| line == entry));
        let all = first.last.len() == self.lines.len() && first.last_lacks == self.lacks;
        known && (all || first.last_lacks)
    }

    /// Whether the first entry of a newer incarnation carries this on, or what is newer.
    pub(super) fn is_carried_by(&self, first: &Entry) -> bool {
        let carried = |entry: &LastEntry| {
            let same_line = |other: &&LastEntry| other.event.line() == entry.event.line();
            let found = first.last.iter().find(same_line);
            found.map_or(first.last_lacks, |found| found.event.replaces(&entry.event))
        };
        self.lines.values().all(carried)
    }

    /// The entries, newest of each line.
    pub fn entries(&self) -> impl Iterator<Item = &LastEntry> {
        self.lines.values()
    }
}

/// Encodes the entry at `index`; where a bundle begins it carries `last` as far as there is room.
pub(super) fn encode(event: &LogEvent, index: u64, last: &Last, edge: &dyn Edge) -> Result<Vec<u8>, ArchiveError> {
    let mut entry = Entry {
        schema: "muster.entry/1".to_owned(),
        time: edge.now(),
        event: event.clone(),
        last: Vec::new(),
        last_lacks: false,
    };
    if index.is_multiple_of(WIDTH) {
        entry.last = last.lines.values().cloned().collect();
        entry.last_lacks = last.lacks;
    }
    loop {
        let bytes = serde_json::to_vec(&entry)
            .map_err(|error| ArchiveError::Invalid(format!("encode a log entry: {error}")))?;
        if bytes.len() <= ENTRY_MAX {
            return Ok(bytes);
        }
        if entry.last.is_empty() {
            return Err(ArchiveError::Invalid(format!(
                "a log entry of {} bytes is longer than {ENTRY_MAX}",
                bytes.len()
            )));
        }
        // Those that were heard of longest ago go first.
        entry.last.sort_by(|a, b| b.time.cmp(&a.time));
        entry.last.truncate(entry.last.len() * 3 / 4);
        entry.last_lacks = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(store: &str, sequence: u64) -> Entry {
        Entry {
            schema: "muster.entry/1".to_owned(),
            time: format!("2026-01-01T00:00:{:02}Z", sequence % 60),
            event: LogEvent::Snapshot {
                store: store.to_owned(),
                snapshot: "01K00000000000000000000001".to_owned(),
                sequence,
                manifest: Digest::of(store.as_bytes()),
            },
            last: Vec::new(),
            last_lacks: false,
        }
    }

    struct Still;

    impl Edge for Still {
        fn now_ms(&self) -> u64 {
            0
        }
        fn fill(&self, _bytes: &mut [u8]) {}
    }

    #[test]
    fn the_newest_of_a_store_is_that_of_the_highest_sequence_and_among_equals_the_later() {
        let mut last = Last::default();
        for (index, sequence) in [(1, 5), (2, 7), (3, 6), (4, 7)] {
            last.apply(index, snapshot("db", sequence));
        }
        let newest: Vec<u64> = last.entries().map(|entry| entry.index).collect();
        assert_eq!(newest, [4]);
    }

    #[test]
    fn a_thousand_stores_do_not_fit_and_the_entry_says_so() {
        let mut last = Last::default();
        for index in 1..1000 {
            last.apply(index, snapshot(&format!("store-{index}"), index));
        }
        let event = LogEvent::Audit {
            bundle: Digest::of(b""),
        };
        let entry = Entry::parse(&encode(&event, 256, &last, &Still).unwrap()).unwrap();
        assert!(entry.last_lacks && entry.last.len() > 150, "{}", entry.last.len());
        let mut read = Last::default();
        read.apply(256, entry);
        assert!(read.lacks);
        let inner = Entry::parse(&encode(&event, 257, &last, &Still).unwrap()).unwrap();
        assert!(inner.last.is_empty() && !inner.last_lacks);
    }
}
