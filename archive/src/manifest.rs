//! The manifest: one signed object whose presence is the commit of a snapshot.

use muster_signing::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::RestoreCost;
use crate::seal::RunId;

/// Most bytes of a manifest, and of its envelope in base64.
pub(crate) const MANIFEST_PAYLOAD_MAX: usize = 64 << 10;
pub(crate) const MANIFEST_MAX: u64 = 96 << 10;
/// Most bytes of a scorecard, and of its envelope in base64.
pub(crate) const SCORECARD_PAYLOAD_MAX: usize = 700 << 10;
pub(crate) const SCORECARD_MAX: u64 = 1 << 20;
/// Most runs that a snapshot may need: their keys are fetched before its first byte is.
pub(crate) const RUNS_MAX: usize = 512;
/// Most paths named in `unreadable`.
const UNREADABLE_NAMED: usize = 50;
/// Most bytes of JSON that they take together.
const UNREADABLE_BYTES: usize = 16 << 10;

/// A signed manifest's payload (docs/format/archive.md, "Manifest").
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// `muster.manifest/1`.
    pub schema: String,
    /// Features that a reader must know.
    #[serde(default)]
    pub critical: Vec<String>,
    /// Repository id.
    pub repository: String,
    /// Store name.
    pub store: String,
    /// Kind of store.
    pub kind: String,
    /// ULID.
    pub snapshot: String,
    /// 1, 2, … per store and writer.
    pub sequence: u64,
    /// The snapshot that was leaned on.
    pub parent: Option<ParentRef>,
    /// The head of the log that the writer saw before it committed: behind it stands the snapshot's entry. Set when it is committed.
    #[serde(default)]
    pub log: Option<LogRef>,
    /// Begin, RFC 3339 UTC, writer's clock.
    pub started: String,
    /// End, RFC 3339 UTC, writer's clock.
    pub finished: String,
    /// Where the snapshot is consistent: `time` and what the kind says.
    pub consistency_point: Value,
    /// Who was read.
    pub source: Value,
    /// The tree.
    pub tree: TreeRef,
    /// The public list.
    pub list: ListRef,
    /// What opens it; `None`: it is plain.
    #[serde(default)]
    pub encryption: Option<Encryption>,
    /// Bytes of all objects that the snapshot needs.
    pub stored_bytes: u64,
    /// Bytes that this run put.
    pub added_bytes: u64,
    /// Bytes put again on purpose, not in `added_bytes`.
    pub rewritten_bytes: u64,
    /// What a restore of the whole snapshot costs.
    #[serde(default)]
    pub restore: Option<RestoreCost>,
    /// What the writer remembers of it, sealed to its own index key; `None`: nothing.
    #[serde(default)]
    pub index: Option<IndexRef>,
    /// What could not be read.
    pub unreadable: Unreadable,
    /// Who wrote it.
    pub tool: Tool,
    /// Not before this may its objects be deleted.
    pub retain_until: Option<String>,
}

/// A writer's index of a snapshot. No reader needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRef {
    /// Id of its root object.
    pub root: Digest,
    /// Which index key it is sealed to.
    pub key: String,
}

/// The snapshot that was leaned on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentRef {
    /// ULID.
    pub snapshot: String,
    /// Digest of its manifest's envelope.
    pub digest: Digest,
}

/// A head of a log that its writer saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRef {
    /// Whose log.
    pub key: muster_signing::KeyId,
    /// Its incarnation.
    pub incarnation: String,
    /// Its size.
    pub size: u64,
}

/// Whose keys open a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// Every run that its objects were sealed with, oldest first, its own last.
    pub runs: Vec<RunRef>,
}

/// A run, and the epoch under which its key was wrapped: `runs/<run>/<epoch>.age`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRef {
    /// The run.
    pub run: RunId,
    /// The epoch of the key document whose recipients can open it.
    pub epoch: u64,
}

/// The tree of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeRef {
    /// Id of the root index object.
    pub root: Digest,
    /// What a restored tree is compared with.
    pub digest: Digest,
    /// Number of entries.
    pub entries: u64,
    /// Number of regular files.
    pub files: u64,
    /// Sum of their sizes.
    pub logical_bytes: u64,
}

/// The public list of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRef {
    /// Id of the root hunk.
    pub root: Digest,
    /// Packs and tree objects listed.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What could not be read; any makes the snapshot incomplete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// How many paths.
    pub count: u64,
    /// The first of them.
    pub first: Vec<UnreadablePath>,
}

impl Unreadable {
    /// Counts a path, and names it if it is among the first.
    pub fn note(&mut self, path: &[u8], reason: &str) {
        self.count += 1;
        if self.first.len() < UNREADABLE_NAMED {
            let shown = |text: &str| {
                text.chars()
                    .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                    .take(300)
                    .collect::<String>()
            };
            self.first.push(UnreadablePath {
                path: shown(&String::from_utf8_lossy(path)),
                reason: shown(reason),
            });
            if serde_json::to_vec(&self.first).map_or(usize::MAX, |json| json.len()) > UNREADABLE_BYTES {
                self.first.pop();
            }
        }
    }
}

/// One path that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadablePath {
    /// The path; bytes that are not UTF-8 are shown as U+FFFD.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// The program that wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `muster`.
    pub name: String,
    /// Its version.
    pub version: String,
}
