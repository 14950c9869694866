//! What a repository promises, over an in-memory place.

mod hostile;
mod levels;
mod lies;
mod log;
mod orphans;
mod together;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use muster_signing::{Digest, KeyEntry, PublicKey, Role, SecretKey};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{InitOptions, Repository};
use crate::edge::Edge;
use crate::object_store::{MemoryStore, ObjectStore, PutOptions};
use crate::tree::{Content, NodeKind, TreeEntry};
use crate::{
    ArchiveError, LocalState, Manifest, Parent, SnapshotWriter, Tool, Unreadable, VerifyDepth, WriterOptions, layout,
};

/// A clock and a random source that only count.
pub(crate) struct Counting(pub(crate) AtomicU64);

impl Edge for Counting {
    fn now_ms(&self) -> u64 {
        let tick = self.0.fetch_add(1, Ordering::Relaxed);
        if tick >= 1 << 62 {
            1_700_000_000_000 + tick - (1 << 62)
        } else {
            1_760_000_000_000 + tick
        }
    }

    fn fill(&self, bytes: &mut [u8]) {
        let seed = self.0.fetch_add(1, Ordering::Relaxed);
        for (at, chunk) in (0u64..).zip(bytes.chunks_mut(32)) {
            let hash = blake3::hash(&[seed.to_le_bytes(), at.to_le_bytes()].concat());
            chunk.copy_from_slice(&hash.as_bytes()[..chunk.len()]);
        }
    }
}

pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) edge: Arc<Counting>,
    pub(crate) state: tempfile::TempDir,
    pub(crate) root: SecretKey,
    pub(crate) writer: SecretKey,
    pub(crate) auditor: SecretKey,
}

impl World {
    pub(crate) fn new() -> Self {
        let key = |seed| SecretKey::generate([seed; 32]);
        Self {
            runtime: Runtime::new().unwrap(),
            objects: Arc::new(MemoryStore::new()),
            edge: Arc::new(Counting(AtomicU64::new(0))),
            state: tempfile::tempdir().unwrap(),
            root: key(1),
            writer: key(2),
            auditor: key(3),
        }
    }

    pub(crate) fn init(&self) -> Result<(Repository, bool), ArchiveError> {
        let keys = vec![
            KeyEntry::new(Role::Writer, self.writer.public(), "w", "2026-01-01T00:00:00Z"),
            KeyEntry::new(Role::Auditor, self.auditor.public(), "a", "2026-01-01T00:00:00Z"),
        ];
        let options = InitOptions {
            root: Some(&self.root),
            believed: self.root.public(),
            keys,
            recipients: Vec::new(),
            lock: None,
            state_dir: self.state.path(),
        };
        self.runtime
            .block_on(Repository::init(Arc::clone(&self.objects), options, &*self.edge))
    }

    pub(crate) fn open(&self, root: Option<&PublicKey>, state: &Path) -> Result<Repository, ArchiveError> {
        self.runtime
            .block_on(Repository::open(Arc::clone(&self.objects), root, state))
    }

    pub(crate) fn write(&self, repository: &Repository, parent: Parent, files: &[(&str, Vec<u8>)]) -> crate::Written {
        let options = WriterOptions {
            workers: 2,
            ..WriterOptions::default()
        };
        let edge: Arc<dyn Edge> = Arc::<Counting>::clone(&self.edge);
        let handle = self.runtime.handle().clone();
        let cancel = Arc::new(AtomicBool::new(false));
        let mut writer = SnapshotWriter::start(repository.clone(), parent, &options, edge, handle, cancel);
        writer.entry(TreeEntry::directory("dir")).unwrap();
        for (path, bytes) in files {
            let content = Content::Inline(Vec::new());
            let kind = NodeKind::File {
                sparse: false,
                size: 0,
                digest: [0; 32],
                content,
            };
            writer
                .begin_file(TreeEntry {
                    kind,
                    ..TreeEntry::directory(*path)
                })
                .unwrap();
            for piece in bytes.chunks(100_000) {
                writer.write(piece).unwrap();
            }
            writer.end_file().unwrap();
        }
        writer.finish().unwrap()
    }

    pub(crate) fn snapshot(
        &self,
        repository: &Repository,
        id: &str,
        sequence: u64,
        files: &[(&str, Vec<u8>)],
    ) -> Manifest {
        let previous = self.runtime.block_on(repository.point("db", None)).ok();
        let parent = match previous {
            None => Parent::none(),
            Some(point) => self.runtime.block_on(async {
                let (manifest, _) = repository.manifest(&point).await.unwrap();
                repository.parent(&manifest, 64 << 20).await.unwrap()
            }),
        };
        let written = self.write(repository, parent, files);
        let manifest = Manifest {
            schema: "muster.manifest/1".to_owned(),
            critical: Vec::new(),
            repository: repository.id().to_owned(),
            store: "db".to_owned(),
            kind: "files".to_owned(),
            snapshot: id.to_owned(),
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
        };
        self.runtime
            .block_on(repository.commit_snapshot(&manifest, &self.writer, &*self.edge))
            .unwrap();
        manifest
    }

    pub(crate) fn verify(&self, repository: &Repository) -> Vec<String> {
        let found = self
            .runtime
            .block_on(repository.verify(None, VerifyDepth::ReadData, &|_| {}));
        match found {
            Ok(found) => found
                .damaged
                .iter()
                .chain(&found.unreadable)
                .map(ToString::to_string)
                .collect(),
            Err(error) => vec![error.to_string()],
        }
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.runtime
            .block_on(self.objects.list(""))
            .unwrap()
            .into_iter()
            .map(|object| object.key)
            .collect()
    }

    pub(crate) fn replace(&self, key: &str, bytes: &[u8]) {
        self.runtime
            .block_on(
                self.objects
                    .put(key, Bytes::copy_from_slice(bytes), PutOptions::OVERWRITE),
            )
            .unwrap();
    }
}

fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

fn sample() -> Vec<(&'static str, Vec<u8>)> {
    let mut table = noise(1, 40 << 20);
    table[1 << 20..3 << 20].fill(0);
    vec![
        ("dir/empty", Vec::new()),
        ("dir/small", b"hello".to_vec()),
        ("dir/table", table),
        ("zeros", vec![0; 100_000]),
    ]
}

const FIRST: &str = "01K00000000000000000000001";
const SECOND: &str = "01K00000000000000000000002";

#[test]
fn init_is_idempotent_and_believes_only_its_root() {
    let world = World::new();
    let (first, wrote) = world.init().unwrap();
    assert!(wrote);
    let (again, wrote) = world.init().unwrap();
    assert!(!wrote && again.id() == first.id());
    assert!(!world.open(None, world.state.path()).unwrap().is_anchored());
    let other = SecretKey::generate([9; 32]).public();
    assert!(matches!(
        world.open(Some(&other), world.state.path()),
        Err(ArchiveError::OtherRoot { .. })
    ));
}

#[test]
fn a_second_snapshot_adds_only_what_changed_and_both_verify() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let mut files = sample();
    let first = world.snapshot(&repository, FIRST, 1, &files);
    assert!(first.added_bytes > 38 << 20, "{}", first.added_bytes);
    files[2].1[20 << 20] ^= 1;
    files.push(("zz-copy", noise(1, 1 << 20)));
    let second = world.snapshot(&repository, SECOND, 2, &files);
    assert!(second.added_bytes < 200_000, "{}", second.added_bytes);
    assert_eq!(second.parent.unwrap().snapshot, FIRST);
    assert_eq!(second.tree.logical_bytes, first.tree.logical_bytes + (1 << 20));
    assert_eq!(world.verify(&repository), Vec::<String>::new());
}

#[test]
fn latest_is_the_last_logged_snapshot_and_its_loss_is_an_error_not_an_older_point() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    world.snapshot(&repository, FIRST, 1, &sample());
    world.snapshot(&repository, SECOND, 2, &sample());
    let latest = world.runtime.block_on(repository.point("db", None)).unwrap();
    assert_eq!(latest.snapshot, SECOND);
    world
        .runtime
        .block_on(world.objects.delete(&layout::manifest("db", SECOND)))
        .unwrap();
    let error = world.runtime.block_on(repository.manifest(&latest)).unwrap_err();
    assert!(matches!(error, ArchiveError::Missing { .. }), "{error}");
}

#[test]
fn every_object_flipped_or_removed_is_seen_and_named() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    world.snapshot(&repository, FIRST, 1, &sample());
    assert_eq!(world.verify(&repository), Vec::<String>::new());
    for key in world.keys() {
        if key.contains(".p/") {
            continue;
        }
        let whole = world.runtime.block_on(world.objects.get(&key)).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 0x10;
            world.replace(&key, &bytes);
            let fresh = tempfile::tempdir().unwrap();
            let seen = match world.open(Some(&world.root.public()), fresh.path()) {
                Ok(repository) => world.verify(&repository),
                Err(error) => vec![error.to_string()],
            };
            assert!(!seen.is_empty(), "byte {at} of {key} was flipped and nothing saw it");
        }
        world.replace(&key, &whole);
    }
    let packs: Vec<String> = world
        .keys()
        .into_iter()
        .filter(|key| key.starts_with("packs/"))
        .collect();
    world.runtime.block_on(world.objects.delete(&packs[0])).unwrap();
    assert!(world.verify(&repository).iter().any(|error| error.contains(&packs[0])));
}

#[test]
fn a_log_that_went_back_is_refused_by_a_host_that_saw_more() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    world.snapshot(&repository, FIRST, 1, &sample());
    let key = world
        .keys()
        .into_iter()
        .find(|key| key.ends_with("/checkpoint"))
        .unwrap();
    let before = world.runtime.block_on(world.objects.get(&key)).unwrap();
    world.snapshot(&repository, SECOND, 2, &sample());
    world.replace(&key, &before);
    let error = world.runtime.block_on(repository.points()).unwrap_err();
    assert!(error.to_string().contains("went back"), "{error}");
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = world.open(Some(&world.root.public()), elsewhere.path()).unwrap();
    let seen = world.runtime.block_on(stranger.point("db", None)).unwrap();
    assert_eq!(seen.snapshot, FIRST, "a host without memory cannot know");
}

#[test]
fn a_run_that_died_between_tiles_and_checkpoint_leads_to_a_new_incarnation_that_cites_the_old() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    world.snapshot(&repository, FIRST, 1, &sample());
    let base = layout::log(&world.writer.public().id());
    let bundle = world
        .keys()
        .into_iter()
        .find(|key| key.ends_with("entries/000.p/3"))
        .unwrap();
    world.replace(&bundle.replace("p/3", "p/4"), b"\x00\x03who");
    world.snapshot(&repository, SECOND, 2, &sample());
    let incarnations = world
        .keys()
        .iter()
        .filter(|key| key.starts_with(&base) && key.ends_with("/checkpoint"))
        .count();
    assert_eq!(incarnations, 2);
    assert_eq!(
        world.runtime.block_on(repository.point("db", None)).unwrap().snapshot,
        SECOND
    );
    assert_eq!(world.runtime.block_on(repository.points()).unwrap()["db"].len(), 2);
}

#[test]
fn a_manifest_that_is_not_logged_is_no_point_until_its_writer_logs_it() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    world.snapshot(&repository, FIRST, 1, &sample());
    let logs: Vec<(String, Bytes)> = world
        .keys()
        .into_iter()
        .filter(|key| key.starts_with("ledger/"))
        .map(|key| (key.clone(), world.runtime.block_on(world.objects.get(&key)).unwrap()))
        .collect();
    let unlogged = World {
        objects: Arc::new(MemoryStore::new()),
        ..World::new()
    };
    for key in world.keys().into_iter().filter(|key| !key.starts_with("ledger/")) {
        unlogged.replace(&key, &world.runtime.block_on(world.objects.get(&key)).unwrap());
    }
    assert!(!logs.is_empty());
    let repository = unlogged
        .open(Some(&world.root.public()), unlogged.state.path())
        .unwrap();
    assert!(unlogged.runtime.block_on(repository.point("db", None)).is_err());
    let logged = unlogged
        .runtime
        .block_on(repository.log_orphans("db", &unlogged.writer, &*unlogged.edge))
        .unwrap();
    assert_eq!(logged, [FIRST]);
    assert_eq!(
        unlogged
            .runtime
            .block_on(repository.point("db", None))
            .unwrap()
            .snapshot,
        FIRST
    );
}

#[test]
fn a_key_of_another_role_may_not_commit() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let auditor = repository.check_key(&world.auditor.public(), Role::Writer);
    assert!(matches!(auditor, Err(ArchiveError::WrongKey { .. })));
    let stranger = SecretKey::generate([8; 32]).public();
    assert!(matches!(
        repository.check_key(&stranger, Role::Writer),
        Err(ArchiveError::WrongKey { .. })
    ));
}

#[test]
fn an_older_key_document_than_the_one_seen_is_refused() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    LocalState::new(world.state.path(), repository.id())
        .write("epoch", b"7\n")
        .unwrap();
    let error = world.open(Some(&world.root.public()), world.state.path()).unwrap_err();
    assert!(error.to_string().contains("saw key epoch 7"), "{error}");
    assert_ne!(Digest::of(b""), Digest::of(b"x"));
}
