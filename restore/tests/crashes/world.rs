//! Hosts that back up into a simulated bucket, and the questions that a bucket is asked afterwards.
//!
//! Invariant: a snapshot says in its manifest which round of the tree it holds, so that whoever finds it knows what it must restore to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use muster_archive::object_store::ObjectStore;
use muster_archive::{
    ArchiveError, Edge, Identities, IndexKey, Indexing, InitOptions, LedgerCheck, Manifest, Point, RehearsalPlace,
    Repository, VerifyDepth, WriterOptions,
};
use muster_backup::{BackupError, Request, SnapshotReport};
use muster_restore::{RestoreOptions, Session};
use muster_signing::{Digest, KeyEntry, Role, SecretKey, Verified};
use muster_stores::{ConsistencyPoint, Entry, EntryKind, Sink, Source, StoreError, Taken};
use muster_testkit::sim::Sim;
use muster_testkit::trees::noise;
use tempfile::TempDir;
use tokio::runtime::{Handle, Runtime};

/// Milliseconds since 1970 at which every test begins.
pub(crate) const NOW: u64 = 1_800_000_000_000;
/// What the tests back up.
pub(crate) const STORE: &str = "store";

const PAGE: usize = 8192;
const PAGES: usize = 40;
/// Who can decrypt from the beginning on, and who is let in later.
const IDENTITIES: [&str; 2] = [
    "AGE-SECRET-KEY-1QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSKMP32K",
    "AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZ9K4CN",
];

/// The clock of one run, and bytes that no other run draws.
pub(crate) struct RunEdge {
    begin_ms: u64,
    luck: u64,
    looks: AtomicU64,
}

impl RunEdge {
    /// A run that begins so many seconds after all tests do.
    pub(crate) fn at(seconds: u64, luck: u64) -> Arc<Self> {
        Arc::new(Self {
            begin_ms: NOW + seconds * 1000,
            luck,
            looks: AtomicU64::new(0),
        })
    }

    pub(crate) fn was_begun_at(&self, seconds: u64) -> bool {
        self.begin_ms == NOW + seconds * 1000
    }
}

impl Edge for RunEdge {
    fn now_ms(&self) -> u64 {
        self.begin_ms + self.looks.fetch_add(1, Ordering::Relaxed)
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let look = self.looks.fetch_add(1, Ordering::Relaxed);
            let words = [self.begin_ms, self.luck, look].map(u64::to_le_bytes).concat();
            chunk.copy_from_slice(&Digest::of(&words).as_bytes()[..chunk.len()]);
        }
    }
}

/// A folder in memory where there is one: these tests write and sync a lot of small files.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// What a host keeps on its own disk.
#[derive(Debug)]
pub(crate) struct Host {
    folder: TempDir,
}

impl Host {
    /// A host that knows nothing.
    pub(crate) fn fresh() -> Self {
        Self { folder: folder() }
    }

    /// Another machine with the same disk image.
    pub(crate) fn image(&self) -> Self {
        let image = Self::fresh();
        copy(self.folder.path(), image.folder.path());
        image
    }

    /// Takes what the other host has on its disk now.
    pub(crate) fn take_image_of(&self, other: &Path) {
        copy(other, self.folder.path());
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy(&from, &to);
        } else if let Err(error) = fs::copy(&from, &to) {
            // What is written under another name until it is whole may have got its name meanwhile.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}", from.display());
        }
    }
}

/// A tree, by path.
pub(crate) type Tree = BTreeMap<String, Vec<u8>>;

/// What the store holds in a round, as this writer sees it: a table that changes in place, files that come and files that change.
pub(crate) fn tree(round: u64) -> Tree {
    let mut table = noise(PAGE * PAGES, 1);
    for past in 1..=round {
        for page in [3, 4, 8 + past % 30] {
            let at = usize::try_from(page).unwrap() * PAGE;
            table[at..at + PAGE].copy_from_slice(&noise(PAGE, 1000 + past * 7 + page));
        }
    }
    let mut tree = Tree::from([("table".to_owned(), table)]);
    for file in 0..3 {
        let changed = round / 3 * u64::from(round % 3 == file);
        tree.insert(format!("file-{file}"), noise(3000, 10 + file + 100 * changed));
    }
    tree.insert("round".to_owned(), format!("{round}\n").into_bytes());
    tree
}

struct Rounds {
    round: u64,
    time: String,
}

impl Source for Rounds {
    fn snapshot(&mut self, sink: &mut dyn Sink) -> Result<Taken, StoreError> {
        let mut taken = || {
            for (path, bytes) in tree(self.round) {
                sink.begin_file(Entry {
                    path: path.into_bytes(),
                    kind: EntryKind::File { sparse: false },
                    mode: 0o640,
                    uid: rustix::process::getuid().as_raw(),
                    gid: rustix::process::getgid().as_raw(),
                    mtime_seconds: 1_700_000_000,
                    mtime_nanos: 5,
                    xattrs: Vec::new(),
                })?;
                sink.write(&bytes)?;
                sink.end_file()?;
            }
            Ok::<_, muster_stores::SinkError>(())
        };
        taken()?;
        Ok(Taken {
            consistency_point: ConsistencyPoint {
                time: self.time.clone(),
                position: BTreeMap::new(),
            },
            identity: BTreeMap::from([("round".to_owned(), self.round.into())]),
        })
    }

    fn is_in_path_order(&self) -> bool {
        true
    }
}

fn round_of(manifest: &Manifest) -> u64 {
    manifest.source["round"].as_u64().unwrap()
}

/// Who there is, and what the repository is to be.
pub(crate) struct World {
    pub(crate) runtime: Runtime,
    root: SecretKey,
    rehearser: SecretKey,
    encrypted: bool,
    identity: TempDir,
}

impl World {
    pub(crate) fn new(encrypted: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let identity = folder();
        for (number, text) in IDENTITIES.iter().enumerate() {
            fs::write(identity.path().join(number.to_string()), text).unwrap();
        }
        Self {
            runtime,
            root: SecretKey::generate([1; 32]),
            rehearser: SecretKey::generate([2; 32]),
            encrypted,
            identity,
        }
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// The key of a writer, by number.
    pub(crate) fn writer(number: u8) -> SecretKey {
        SecretKey::generate([10 + number; 32])
    }

    fn identities(&self, number: usize) -> Identities {
        Identities::read(&self.identity.path().join(number.to_string())).unwrap()
    }

    /// `muster keys rotate`: the second identity is let in.
    pub(crate) fn rotate(&self, store: Arc<dyn ObjectStore>, host: &Host, edge: &RunEdge) -> Result<(), ArchiveError> {
        let recipients = [0, 1]
            .into_iter()
            .flat_map(|number| self.identities(number).recipients());
        let options = InitOptions {
            root: Some(&self.root),
            believed: self.root.public(),
            keys: Vec::new(),
            recipients: recipients.collect(),
            lock: None,
            state_dir: &host.state(),
        };
        self.runtime
            .block_on(Repository::rotate(store, options, edge))
            .map(|_| ())
    }

    /// `muster init` with so many writers.
    pub(crate) fn init(
        &self,
        store: Arc<dyn ObjectStore>,
        host: &Host,
        edge: &RunEdge,
        writers: u8,
    ) -> Result<Repository, ArchiveError> {
        let mut keys = vec![KeyEntry::new(
            Role::Rehearser,
            self.rehearser.public(),
            "r",
            &edge.now(),
        )];
        keys.extend((0..writers).map(|n| KeyEntry::new(Role::Writer, Self::writer(n).public(), "w", &edge.now())));
        let recipients = self.identities(0).recipients().into_iter();
        let options = InitOptions {
            root: Some(&self.root),
            believed: self.root.public(),
            keys,
            recipients: recipients.filter(|_| self.encrypted).collect(),
            lock: None,
            state_dir: &host.state(),
        };
        let made = self.runtime.block_on(Repository::init(store, options, edge));
        made.map(|(repository, _)| repository)
    }

    pub(crate) fn open(&self, store: Arc<dyn ObjectStore>, host: &Host) -> Result<Repository, ArchiveError> {
        let (root, state) = (self.root.public(), host.state());
        self.runtime.block_on(Repository::open(store, Some(&root), &state))
    }

    /// `muster backup` of a round by a writer whose host holds no identity.
    pub(crate) fn backup(
        &self,
        store: Arc<dyn ObjectStore>,
        host: &Host,
        edge: &Arc<RunEdge>,
        (writer, round): (u8, u64),
    ) -> Result<SnapshotReport, ArchiveError> {
        let repository = self.open(store, host)?;
        let key = Self::writer(writer);
        let request = Request {
            store: STORE,
            kind: "files",
            key: &key,
            options: WriterOptions {
                workers: 1,
                index: Some(Indexing {
                    key: IndexKey::new([writer; 32]),
                    store: STORE.to_owned(),
                }),
                ..WriterOptions::default()
            },
            lock: None,
            version: "0",
            edge: Arc::<RunEdge>::clone(edge),
            handle: self.handle().clone(),
            cancel: Arc::default(),
        };
        let mut source = Rounds {
            round,
            time: edge.now(),
        };
        let done = muster_backup::snapshot(&repository, &request, &mut source, &|_| {});
        done.map_err(|error| match error {
            BackupError::Archive { source, .. } => source,
            other => panic!("{other}"),
        })
    }

    /// What a rehearsal leaves: a scorecard and an entry in the rehearser's log.
    pub(crate) fn log_rehearsal(
        &self,
        store: Arc<dyn ObjectStore>,
        host: &Host,
        edge: &RunEdge,
        rehearsal: &str,
    ) -> Result<(), ArchiveError> {
        let repository = self.open(store, host)?;
        let place = RehearsalPlace {
            store: STORE,
            rehearsal,
            snapshot: "01K00000000000000000000001",
            verdict: "PASS",
        };
        let scorecard = serde_json::json!({ "rehearsal": rehearsal });
        let commit = repository.commit_scorecard(&place, &scorecard, &self.rehearser, edge);
        self.runtime.block_on(commit).map(|_| ())
    }

    /// What somebody sees of the bucket who never saw it before, could decrypt from the beginning on, and has good luck.
    pub(crate) fn see(&self, sim: &Sim, words: &str) -> Seen<'_> {
        self.see_as(0, sim, words)
    }

    /// The same, of the identity with this number.
    pub(crate) fn see_as(&self, identity: usize, sim: &Sim, words: &str) -> Seen<'_> {
        let host = Host::fresh();
        let opened = self.open(sim.store(), &host);
        let repository = opened.unwrap_or_else(|error| panic!("{words}: {}", chain(&error)));
        let repository = repository.with_identities(self.identities(identity));
        Seen {
            world: self,
            repository,
            _host: host,
            words: words.to_owned(),
        }
    }
}

/// A bucket as somebody sees it, and what the test says when that is not as it must be.
pub(crate) struct Seen<'a> {
    world: &'a World,
    repository: Repository,
    _host: Host,
    words: String,
}

impl Seen<'_> {
    fn wait<T>(&self, call: impl Future<Output = Result<T, ArchiveError>>) -> T {
        let answer = self.world.runtime.block_on(call);
        answer.unwrap_or_else(|error| panic!("{}: {}", self.words, chain(&error)))
    }

    /// The recovery points of the store, oldest first.
    pub(crate) fn points(&self) -> Vec<Point> {
        self.wait(self.repository.points()).remove(STORE).unwrap_or_default()
    }

    /// The newest, which must be the last of all.
    pub(crate) fn latest(&self) -> Option<Point> {
        let latest = self.wait(self.repository.latest()).remove(STORE);
        let last = self.points().pop();
        assert_eq!(latest, last, "{}: two answers to what is newest", self.words);
        latest
    }

    pub(crate) fn manifest(&self, point: &Point) -> Verified<Manifest> {
        self.wait(self.repository.manifest(point)).0
    }

    /// Restores a point and compares every byte. Returns its round.
    pub(crate) fn restores(&self, point: &Point) -> u64 {
        let manifest = self.manifest(point);
        let (words, cancel, scratch) = (&self.words, AtomicBool::new(false), folder());
        let session = Session {
            repository: &self.repository,
            handle: self.world.handle(),
            edge: &*RunEdge::at(0, 0),
            cancel: &cancel,
            on_event: &|_| {},
        };
        let back = scratch.path().join("back");
        let restored = muster_restore::plan(&session, &manifest, &RestoreOptions::default())
            .and_then(|plan| muster_restore::execute(&session, &plan, &back));
        let report = restored.unwrap_or_else(|error| panic!("{words}: restore: {}", chain(&error)));
        assert!(report.lost.is_empty(), "{words}: {:?}", report.lost);
        let found = fs::read_dir(&back).unwrap().flatten().map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        });
        let found: Tree = found.collect();
        let round = round_of(&manifest);
        let same = found == tree(round);
        assert!(same, "{words}: {} does not hold what round {round} was", point.snapshot);
        let index = self.wait(self.repository.tree_index(&manifest));
        let digest = muster_restore::tree_digest_of_directory(&back, &index.hash_key, &cancel).unwrap();
        assert_eq!(digest, manifest.tree.digest, "{words}");
        round
    }

    /// Reads every byte that any point needs, and every log from end to end. Returns the rounds that there are, oldest first.
    pub(crate) fn is_whole(&self) -> Vec<u64> {
        let verified = self.wait(self.repository.verify(None, VerifyDepth::ReadData, &|_| {}));
        let wrong: Vec<String> = verified
            .damaged
            .iter()
            .chain(&verified.unreadable)
            .map(|error| chain(error))
            .collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", self.words);
        self.ledger();
        self.latest();
        self.points()
            .iter()
            .map(|point| round_of(&self.manifest(point)))
            .collect()
    }

    /// The newest rehearsal's id.
    pub(crate) fn rehearsal(&self) -> Option<String> {
        let last = self.wait(self.repository.last_rehearsals()).remove(STORE);
        last.map(|last| last.rehearsal)
    }

    /// Every log, read whole: no two entries at one index, and each head what its entries give.
    pub(crate) fn ledger(&self) -> LedgerCheck {
        let checked = self.wait(self.repository.check_ledger());
        let wrong: Vec<String> = checked
            .damaged
            .iter()
            .chain(&checked.unreadable)
            .map(|error| chain(error))
            .collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", self.words);
        checked
    }
}

/// The seeds that a test goes through, or the one that the environment names: to see a failure again.
pub(crate) fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("MUSTER_TEST_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..count).collect(),
    }
}

/// Cases at one time: most of them wait now and then.
const AT_ONCE: usize = 8;

/// Does this for all cases, several at once, and ends the test with what all of those said that failed.
pub(crate) fn for_each<T: Sync>(cases: &[T], deed: impl Fn(&T) + Sync) {
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap()) {
                    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| deed(case))) {
                        let words = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                        failed.lock().unwrap().push(words);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{} of {} cases failed:\n{}",
        failed.len(),
        cases.len(),
        failed.join("\n")
    );
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
