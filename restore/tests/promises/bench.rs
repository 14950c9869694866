//! A repository in memory, a writer, and what is needed to back up into it and to restore from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use muster_archive::object_store::{MemoryStore, ObjectStore};
use muster_archive::tree::TreeEntry;
use muster_archive::{
    Edge, InitOptions, ListRef, Manifest, Parent, Repository, SnapshotWriter, Tool, TreeRef, Unreadable, WriterOptions,
};
use muster_backup::Request;
use muster_restore::{Event, RestoreError, RestoreOptions, RestoreReport, Session};
use muster_signing::{Digest, KeyEntry, Role, SecretKey, Verified};
use muster_stores::Source;
use muster_stores::files::FilesSource;
use muster_testkit::faulty::{Faults, FaultyStore};
use muster_testkit::recording::{Notes, RecordingStore};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A clock that moves a millisecond at each look, and bytes that never repeat.
pub(crate) struct TestEdge(AtomicU64);

impl Edge for TestEdge {
    fn now_ms(&self) -> u64 {
        1_800_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let seed = self.0.fetch_add(1, Ordering::Relaxed);
            chunk.copy_from_slice(&Digest::of(&seed.to_le_bytes()).as_bytes()[..chunk.len()]);
        }
    }
}

pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) runtime: Runtime,
    pub(crate) repository: Repository,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) faults: Faults,
    pub(crate) notes: Notes,
    pub(crate) edge: Arc<TestEdge>,
    pub(crate) cancel: AtomicBool,
    writer: SecretKey,
}

pub(crate) fn nothing(_: Event) {}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new()))
    }

    /// A new repository in this place.
    pub(crate) fn over(place: Arc<dyn ObjectStore>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (faulty, faults) = FaultyStore::before(Arc::clone(&place));
        let (objects, notes) = RecordingStore::before(faulty);
        let edge = Arc::new(TestEdge(AtomicU64::new(0)));
        let (root, writer) = (SecretKey::generate([1; 32]), SecretKey::generate([2; 32]));
        let options = InitOptions {
            root: Some(&root),
            believed: root.public(),
            keys: vec![KeyEntry::new(Role::Writer, writer.public(), "test", &edge.now())],
            recipients: Vec::new(),
            lock: None,
            state_dir: &dir.path().join("state"),
        };
        let (repository, _) = runtime
            .block_on(Repository::init(Arc::clone(&objects), options, &*edge))
            .unwrap();
        let cancel = AtomicBool::new(false);
        Self {
            dir,
            runtime,
            repository,
            objects: place,
            faults,
            notes,
            edge,
            cancel,
            writer,
        }
    }

    /// A path in the test's own folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The key that signs what is backed up here.
    pub(crate) fn writer(&self) -> &SecretKey {
        &self.writer
    }

    pub(crate) fn session<'a>(&'a self, on_event: &'a (dyn Fn(Event) + Sync)) -> Session<'a> {
        Session {
            repository: &self.repository,
            handle: self.runtime.handle(),
            edge: &*self.edge,
            cancel: &self.cancel,
            on_event,
        }
    }

    pub(crate) fn backup(&self, kind: &str, source: &mut dyn Source) -> Verified<Manifest> {
        let request = Request {
            store: "store",
            kind,
            key: &self.writer,
            options: WriterOptions::default(),
            lock: None,
            version: "0",
            edge: Arc::clone(&self.edge) as Arc<dyn Edge>,
            handle: self.runtime.handle().clone(),
            cancel: Arc::default(),
        };
        let report = muster_backup::snapshot(&self.repository, &request, source, &|_| {}).unwrap();
        self.manifest(&report.manifest.snapshot)
    }

    pub(crate) fn backup_files(&self, tree: &Path) -> Verified<Manifest> {
        self.backup(
            "files",
            &mut FilesSource::new::<&str>(tree, &[], self.edge.now()).unwrap(),
        )
    }

    pub(crate) fn manifest(&self, snapshot: &str) -> Verified<Manifest> {
        self.runtime.block_on(async {
            let point = self.repository.point("store", Some(snapshot)).await.unwrap();
            self.repository.manifest(&point).await.unwrap().0
        })
    }

    /// A snapshot of exactly these entries, each file with these bytes: also of trees that no source would give.
    pub(crate) fn commit(
        &self,
        kind: &str,
        entries: impl IntoIterator<Item = (TreeEntry, Vec<u8>)>,
    ) -> Verified<Manifest> {
        let edge = Arc::clone(&self.edge) as Arc<dyn Edge>;
        let handle = self.runtime.handle().clone();
        let parent = Parent::none();
        let options = WriterOptions::default();
        let mut writer = SnapshotWriter::start(self.repository.clone(), parent, &options, edge, handle, Arc::default());
        for (entry, bytes) in entries {
            if entry.kind.code() == 0 {
                writer.begin_file(entry).unwrap();
                writer.write(&bytes).unwrap();
                writer.end_file().unwrap();
            } else {
                writer.entry(entry).unwrap();
            }
        }
        let written = writer.finish().unwrap();
        self.sign(kind, written.tree, written.list)
    }

    /// Commits a snapshot of a tree that is there already.
    pub(crate) fn sign(&self, kind: &str, tree: TreeRef, list: ListRef) -> Verified<Manifest> {
        let snapshot = format!("01J{:0>23}", self.edge.0.fetch_add(1, Ordering::Relaxed));
        let manifest = self.unsigned(kind, snapshot.clone(), tree, list);
        self.runtime
            .block_on(self.repository.commit_snapshot(&manifest, &self.writer, &*self.edge))
            .unwrap();
        self.manifest(&snapshot)
    }

    fn unsigned(&self, kind: &str, snapshot: String, tree: TreeRef, list: ListRef) -> Manifest {
        Manifest {
            schema: "muster.manifest/1".to_owned(),
            critical: Vec::new(),
            repository: self.repository.id().to_owned(),
            store: "store".to_owned(),
            kind: kind.to_owned(),
            snapshot,
            sequence: 1,
            parent: None,
            log: None,
            started: self.edge.now(),
            finished: self.edge.now(),
            consistency_point: serde_json::json!({ "time": self.edge.now() }),
            source: serde_json::json!({}),
            tree,
            list,
            encryption: None,
            stored_bytes: 0,
            added_bytes: 0,
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

    pub(crate) fn restore(
        &self,
        manifest: &Verified<Manifest>,
        options: &RestoreOptions,
        to: &Path,
    ) -> Result<RestoreReport, RestoreError> {
        let session = self.session(&nothing);
        let plan = muster_restore::plan(&session, manifest, options)?;
        muster_restore::execute(&session, &plan, to)
    }

    /// Restores everything, which must be whole.
    pub(crate) fn restore_whole(&self, manifest: &Verified<Manifest>, to: &Path) -> RestoreReport {
        let report = self.restore(manifest, &RestoreOptions::default(), to).unwrap();
        assert!(report.lost.is_empty() && report.lost_bytes == 0, "{:?}", report.lost);
        report
    }

    /// The tree digest of a directory, as the snapshot has it.
    pub(crate) fn digest(&self, manifest: &Verified<Manifest>, directory: &Path) -> Digest {
        let index = self.runtime.block_on(self.repository.tree_index(manifest)).unwrap();
        muster_restore::tree_digest_of_directory(directory, &index.hash_key, &self.cancel).unwrap()
    }

    /// The keys of the objects with this prefix.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let listed = self.runtime.block_on(self.objects.list(prefix)).unwrap();
        listed.into_iter().map(|object| object.key).collect()
    }
}

pub(crate) fn include(patterns: &[&str]) -> RestoreOptions {
    RestoreOptions {
        include: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(),
        ..RestoreOptions::default()
    }
}
