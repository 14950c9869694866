//! A small repository in memory: one snapshot, one scorecard, one logged audit, made by the archive's own writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use muster_archive::object_store::{MemoryStore, ObjectStore, PutOptions};
use muster_archive::tree::{Content, NodeKind, TreeEntry};
use muster_archive::{
    Edge, IndexKey, Indexing, InitOptions, Manifest, Parent, RehearsalPlace, Repository, SnapshotWriter, Tool,
    Unreadable, WriterOptions, layout,
};
use muster_signing::{Digest, KeyEntry, Role};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::key;

/// Any error of making it.
pub(crate) type Fault = Box<dyn std::error::Error>;

/// The repository's objects, and what is needed to forge others.
pub(crate) struct World {
    /// Runs the archive's calls.
    pub(crate) runtime: Runtime,
    /// Where local state lies; wiped with this value.
    pub(crate) state: TempDir,
    /// Every object that a verification needs, by name.
    pub(crate) objects: Vec<(String, Bytes)>,
    /// What the writer remembers, sealed to [`INDEX_KEY`]. Nobody verifies it.
    pub(crate) index: Vec<Bytes>,
    /// The manifest of the one snapshot.
    pub(crate) manifest: Manifest,
}

/// A clock and a random source that only count.
struct Counting(AtomicU64);

impl Edge for Counting {
    fn now_ms(&self) -> u64 {
        1_760_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn fill(&self, bytes: &mut [u8]) {
        let seed = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        blake3::Hasher::new().update(&seed).finalize_xof().fill(bytes);
    }
}

/// The key of the only writer's index.
pub(crate) const INDEX_KEY: [u8; 32] = [7; 32];
/// The only store.
pub(crate) const STORE: &str = "db";
/// The only snapshot.
pub(crate) const SNAPSHOT: &str = "01K00000000000000000000001";
const REHEARSAL: &str = "01K00000000000000000000002";
const DAY: &str = "2026-11-25T00:00:00Z";

impl World {
    /// Makes it.
    ///
    /// # Errors
    /// Whatever the archive says.
    pub(crate) fn new() -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
        let state = tempfile::tempdir()?;
        let store: Arc<dyn ObjectStore> = Arc::new(MemoryStore::new());
        let edge = Arc::new(Counting(AtomicU64::new(0)));
        let root = key(Role::Root);
        let roles = [Role::Writer, Role::Rehearser, Role::Auditor];
        let options = InitOptions {
            root: Some(&root),
            believed: root.public(),
            keys: roles
                .map(|role| KeyEntry::new(role, key(role).public(), "host", DAY))
                .to_vec(),
            recipients: Vec::new(),
            lock: None,
            state_dir: state.path(),
        };
        let (repository, _) = runtime.block_on(Repository::init(Arc::clone(&store), options, &*edge))?;
        let manifest = write(&repository, &runtime, &edge)?;
        let objects = runtime.block_on(async {
            let writer = key(Role::Writer);
            repository.commit_snapshot(&manifest, &writer, &*edge).await?;
            let place = RehearsalPlace {
                store: STORE,
                rehearsal: REHEARSAL,
                snapshot: SNAPSHOT,
                verdict: "PASS",
            };
            let scorecard = json!({"schema": "muster.scorecard/1", "verdict": "PASS"});
            repository
                .commit_scorecard(&place, &scorecard, &key(Role::Rehearser), &*edge)
                .await?;
            repository
                .log_audit(Digest::of(b"bundle"), &key(Role::Auditor), &*edge)
                .await?;
            let mut objects = Vec::new();
            for object in store.list("").await? {
                objects.push((object.key.clone(), store.get_limited(&object.key, object.size).await?));
            }
            Ok::<_, Fault>(objects)
        })?;
        let needed = |(name, _): &(String, Bytes)| !outgrown(name, &objects);
        let remembered = |(name, _): &(String, Bytes)| name.starts_with(layout::INDEX);
        let index = objects.iter().filter(|object| remembered(object));
        let index = index.map(|(_, bytes)| bytes.clone()).collect();
        let kept = objects.iter().filter(|object| needed(object) && !remembered(object));
        let objects = kept.cloned().collect();
        Ok(Self {
            runtime,
            state,
            objects,
            index,
            manifest,
        })
    }

    /// A place with these objects.
    #[must_use]
    pub(crate) fn place(&self, objects: &[(String, Bytes)]) -> Arc<dyn ObjectStore> {
        let store: Arc<dyn ObjectStore> = Arc::new(MemoryStore::new());
        for (name, bytes) in objects {
            let put = store.put(name, bytes.clone(), PutOptions::OVERWRITE);
            assert!(self.runtime.block_on(put).is_ok(), "{name}");
        }
        store
    }
}

/// Whether a wider tile of the same place has taken over.
fn outgrown(name: &str, objects: &[(String, Bytes)]) -> bool {
    let parted = |name: &str| {
        let (place, width) = name.rsplit_once(".p/")?;
        Some((place.to_owned(), width.parse::<u32>().ok()?))
    };
    let Some((place, width)) = parted(name) else {
        return false;
    };
    let wider =
        |(other, _): &(String, Bytes)| parted(other).is_some_and(|(there, more)| there == place && more > width);
    objects.iter().any(wider)
}

fn write(repository: &Repository, runtime: &Runtime, edge: &Arc<Counting>) -> Result<Manifest, Fault> {
    let options = WriterOptions {
        workers: 1,
        in_order: true,
        index: Some(Indexing {
            key: IndexKey::new(INDEX_KEY),
            store: STORE.to_owned(),
        }),
        ..WriterOptions::default()
    };
    let shared: Arc<dyn Edge> = Arc::<Counting>::clone(edge);
    let cancel = Arc::new(AtomicBool::new(false));
    let handle = runtime.handle().clone();
    let mut writer = SnapshotWriter::start(repository.clone(), Parent::none(), &options, shared, handle, cancel);
    writer.entry(TreeEntry::directory("dir"))?;
    for (path, size) in [("dir/a", 1000u64), ("dir/b", 70_000)] {
        let kind = NodeKind::File {
            sparse: false,
            size: 0,
            digest: [0; 32],
            content: Content::Inline(Vec::new()),
        };
        writer.begin_file(TreeEntry {
            kind,
            ..TreeEntry::directory(path)
        })?;
        writer.write(&vec![7; usize::try_from(size)?])?;
        writer.end_file()?;
    }
    let written = writer.finish()?;
    Ok(Manifest {
        schema: "muster.manifest/1".to_owned(),
        critical: Vec::new(),
        repository: repository.id().to_owned(),
        store: STORE.to_owned(),
        kind: "files".to_owned(),
        snapshot: SNAPSHOT.to_owned(),
        sequence: 1,
        parent: written.parent,
        log: None,
        started: edge.now(),
        finished: edge.now(),
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
    })
}
