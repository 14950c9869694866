//! A repository of small files and one table, in a place that a test chooses, with snapshots written as a backup writes them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use muster_archive::object_store::{ObjectStore, PutOptions};
use muster_archive::tree::{Content, NodeKind, TreeEntry};
use muster_archive::{
    Edge, InitOptions, ListRef, Manifest, Parent, RehearsalPlace, Repository, SnapshotWriter, Tool, Unreadable,
    Verification, VerifyDepth, VerifyOptions, WriterOptions, layout,
};
use muster_signing::{Digest, KeyEntry, Role, SecretKey};
use muster_testkit::trees::noise;
use serde_json::json;
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::runtime::Runtime;

/// Milliseconds since 1970 at which every test begins.
pub(crate) const NOW: u64 = 1_800_000_000_000;
/// Bytes of the table.
const TABLE: usize = 40 << 20;

/// A clock that counts, and bytes that never recur.
pub(crate) struct Counting(AtomicU64);

impl Edge for Counting {
    fn now_ms(&self) -> u64 {
        NOW + self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let seed = self.0.fetch_add(1, Ordering::Relaxed);
            chunk.copy_from_slice(&Digest::of(&seed.to_le_bytes()).as_bytes()[..chunk.len()]);
        }
    }
}

pub(crate) fn edge() -> Arc<Counting> {
    Arc::new(Counting(AtomicU64::new(0)))
}

pub(crate) fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(i64::try_from(NOW / 1000).unwrap() + seconds).unwrap()
}

pub(crate) const DAY: i64 = 86_400;

pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) repository: Repository,
    pub(crate) state: TempDir,
    root: SecretKey,
    writer: SecretKey,
    rehearser: SecretKey,
    edge: Arc<Counting>,
    sequence: AtomicU64,
}

impl World {
    /// An empty repository in `objects`.
    pub(crate) fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self::sealed(objects, Vec::new())
    }

    /// The same, sealed to these recipients where there are any.
    pub(crate) fn sealed(objects: Arc<dyn ObjectStore>, recipients: Vec<String>) -> Self {
        let runtime = Runtime::new().unwrap();
        let [root, writer, rehearser] = [1, 2, 3].map(|seed| SecretKey::generate([seed; 32]));
        let state = tempfile::tempdir().unwrap();
        let edge = edge();
        let options = InitOptions {
            root: Some(&root),
            believed: root.public(),
            keys: [(Role::Writer, &writer), (Role::Rehearser, &rehearser)]
                .map(|(role, key)| KeyEntry::new(role, key.public(), "host", "2026-01-01T00:00:00Z"))
                .to_vec(),
            recipients,
            lock: None,
            state_dir: state.path(),
        };
        let made = runtime.block_on(Repository::init(Arc::clone(&objects), options, &*edge));
        Self {
            repository: made.unwrap().0,
            runtime,
            objects,
            state,
            root,
            writer,
            rehearser,
            edge,
            sequence: AtomicU64::new(0),
        }
    }

    /// The same repository as it is seen through another place, by a host with this memory.
    pub(crate) fn seen(&self, objects: Arc<dyn ObjectStore>, state: &Path) -> Repository {
        self.runtime
            .block_on(Repository::open(objects, Some(&self.root.public()), state))
            .unwrap()
    }

    /// A second key document, with these recipients.
    pub(crate) fn rotate(&self, recipients: Vec<String>) {
        let options = InitOptions {
            root: Some(&self.root),
            believed: self.root.public(),
            keys: Vec::new(),
            recipients,
            lock: None,
            state_dir: self.state.path(),
        };
        let rotated = Repository::rotate(Arc::clone(&self.objects), options, &*self.edge);
        self.runtime.block_on(rotated).unwrap();
    }

    /// A scorecard and its entry.
    pub(crate) fn rehearse(&self) {
        let place = RehearsalPlace {
            store: "db",
            rehearsal: "01K00000000000000000000009",
            snapshot: "01K00000000000000000000001",
            verdict: "PASS",
        };
        let scorecard = json!({ "verdict": "PASS" });
        let commit = self
            .repository
            .commit_scorecard(&place, &scorecard, &self.rehearser, &*self.edge);
        self.runtime.block_on(commit).unwrap();
    }

    /// Two snapshots: a table of 40 MiB, of which one page changes, and small files.
    pub(crate) fn two_snapshots(&self) {
        let mut table = noise(TABLE, 1);
        self.snapshot(&[("small", b"small".to_vec()), ("table", table.clone())]);
        table[20 << 20..(20 << 20) + 8192].copy_from_slice(&noise(8192, 2));
        self.snapshot(&[("small", b"other".to_vec()), ("table", table)]);
    }

    pub(crate) fn snapshot(&self, files: &[(&str, Vec<u8>)]) -> Manifest {
        let manifest = self.written(files);
        self.commit(&manifest);
        manifest
    }

    pub(crate) fn commit(&self, manifest: &Manifest) {
        self.runtime
            .block_on(self.repository.commit_snapshot(manifest, &self.writer, &*self.edge))
            .unwrap();
    }

    /// Writes a tree; the manifest is left to whoever asked.
    pub(crate) fn written(&self, files: &[(&str, Vec<u8>)]) -> Manifest {
        let options = WriterOptions {
            workers: 2,
            ..WriterOptions::default()
        };
        let parent = self.runtime.block_on(async {
            match self.repository.point("db", None).await {
                Err(_) => Parent::none(),
                Ok(point) => {
                    let (manifest, _) = self.repository.manifest(&point).await.unwrap();
                    self.repository.parent(&manifest, 64 << 20).await.unwrap()
                }
            }
        });
        let edge: Arc<dyn Edge> = Arc::<Counting>::clone(&self.edge);
        let (handle, cancel) = (self.runtime.handle().clone(), Arc::new(AtomicBool::new(false)));
        let mut writer = SnapshotWriter::start(self.repository.clone(), parent, &options, edge, handle, cancel);
        for (path, bytes) in files {
            let kind = NodeKind::File {
                sparse: false,
                size: 0,
                digest: [0; 32],
                content: Content::Inline(Vec::new()),
            };
            let entry = TreeEntry {
                kind,
                ..TreeEntry::directory(*path)
            };
            writer.begin_file(entry).unwrap();
            bytes.chunks(1 << 20).for_each(|piece| writer.write(piece).unwrap());
            writer.end_file().unwrap();
        }
        let written = writer.finish().unwrap();
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        Manifest {
            schema: "muster.manifest/1".to_owned(),
            critical: Vec::new(),
            repository: self.repository.id().to_owned(),
            store: "db".to_owned(),
            kind: "files".to_owned(),
            snapshot: format!("01K{sequence:023}"),
            sequence,
            parent: written.parent,
            log: None,
            started: self.edge.now(),
            finished: self.edge.now(),
            consistency_point: json!({}),
            source: json!({}),
            tree: written.tree,
            list: written.list,
            encryption: written.encryption,
            stored_bytes: written.stored_bytes,
            added_bytes: written.added_bytes,
            rewritten_bytes: 0,
            restore: None,
            index: None,
            unreadable: Unreadable::default(),
            tool: Tool {
                name: "muster".to_owned(),
                version: "0".to_owned(),
            },
            retain_until: None,
        }
    }

    /// A snapshot whose public list names so many packs of one byte, which are there.
    pub(crate) fn snapshot_of_many(&self, packs: u32) {
        let mut manifest = self.written(&[]);
        let mut ids: Vec<Digest> = (0..packs).map(|number| Digest::of(&number.to_le_bytes())).collect();
        ids.sort_unstable();
        let mut root = "muster-list/1\n".to_owned();
        for hunk in ids.chunks(2_000) {
            let lines: String = hunk.iter().map(|id| format!("pack {} 1 -\n", id.hex())).collect();
            let text = format!("muster-list/1\n{lines}");
            let id = Digest::of(text.as_bytes());
            root += &format!("list {} {} -\n", id.hex(), hunk.len());
            self.put(&layout::list(&id), text.into_bytes());
        }
        for id in &ids {
            self.put(&layout::pack(id), b"x".to_vec());
        }
        let id = Digest::of(root.as_bytes());
        self.put(&layout::list(&id), root.into_bytes());
        manifest.list = ListRef {
            root: id,
            objects: u64::from(packs),
            bytes: u64::from(packs),
        };
        self.commit(&manifest);
    }

    pub(crate) fn put(&self, key: &str, bytes: Vec<u8>) {
        self.runtime
            .block_on(self.objects.put(key, Bytes::from(bytes), PutOptions::OVERWRITE))
            .unwrap();
    }

    pub(crate) fn verify(&self, repository: &Repository, options: &VerifyOptions<'_>) -> Verification {
        self.runtime
            .block_on(repository.verify_with(None, options, &|_| {}))
            .unwrap()
    }

    /// Keys beneath a folder, with their lengths.
    pub(crate) fn keys(&self, prefix: &str) -> BTreeMap<String, u64> {
        let listed = self.runtime.block_on(self.objects.list(prefix)).unwrap();
        listed.into_iter().map(|object| (object.key, object.size)).collect()
    }
}

/// How a test asks where it does not matter.
pub(crate) fn asking(depth: VerifyDepth) -> VerifyOptions<'static> {
    VerifyOptions {
        now: Some(at(60)),
        ..VerifyOptions::new(depth)
    }
}

/// What was found, as words.
pub(crate) fn told(found: &Verification) -> Vec<String> {
    found
        .damaged
        .iter()
        .chain(&found.unreadable)
        .map(ToString::to_string)
        .collect()
}
