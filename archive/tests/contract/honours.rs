//! What a place was seen to honour at `init`, and does not honour any more: noticed before it is leaned on, and never done without in silence.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use bytes::Bytes;

use muster_archive::object_store::{
    Capabilities, ErrorKind, HoldingStore, ListPage, ListQuery, LockMode, LockPolicy, MemoryStore, ObjectHead,
    ObjectStore, ObjectVersion, PutOptions, Retention, StorageError, open,
};
use muster_archive::{ArchiveError, Edge, InitOptions, Repository, layout};
use muster_signing::{KeyEntry, Role, SecretKey};
use muster_testkit::ceph::{self, Ceph};
use muster_testkit::faulty::{Fault, FaultyStore, When};
use muster_testkit::proxy::{Deed, Proxy};
use muster_testkit::recording::{Call, RecordingStore};
use serde_json::Value;

/// A clock that runs with the world's, and a random source that only counts.
#[derive(Debug, Default)]
struct Plain(AtomicU64);

impl Edge for Plain {
    fn now_ms(&self) -> u64 {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        u64::try_from(since.as_millis()).unwrap()
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let seed = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed) ^ self.now_ms();
            chunk.copy_from_slice(&seed.to_le_bytes()[..chunk.len()]);
        }
    }
}

struct Host {
    state: tempfile::TempDir,
    root: SecretKey,
    writer: SecretKey,
    edge: Plain,
}

impl Host {
    fn new() -> Self {
        Self {
            state: tempfile::tempdir().unwrap(),
            root: SecretKey::generate([1; 32]),
            writer: SecretKey::generate([2; 32]),
            edge: Plain::default(),
        }
    }

    async fn init(
        &self,
        store: &Arc<dyn ObjectStore>,
        lock: Option<LockMode>,
    ) -> Result<(Repository, bool), ArchiveError> {
        let writer = KeyEntry::new(Role::Writer, self.writer.public(), "w", "2026-01-01T00:00:00Z");
        let options = InitOptions {
            root: Some(&self.root),
            believed: self.root.public(),
            keys: vec![writer],
            recipients: Vec::new(),
            lock,
            state_dir: self.state.path(),
        };
        Repository::init(Arc::clone(store), options, &self.edge).await
    }

    async fn open(&self, store: &Arc<dyn ObjectStore>) -> Repository {
        let state: &Path = self.state.path();
        Repository::open(Arc::clone(store), Some(&self.root.public()), state)
            .await
            .unwrap()
    }

    /// The first thing that a run writes.
    async fn write(&self, repository: &Repository, stores: &str) -> Result<(), ArchiveError> {
        let stores = BTreeMap::from([(stores.to_owned(), "files".to_owned())]);
        let nothing = (&Value::Null, &Value::Null);
        repository
            .log_configuration(&stores, nothing.0, nothing.1, &self.writer, &self.edge)
            .await
    }
}

/// The capability that an error says was lost.
fn lost(outcome: Result<(), ArchiveError>) -> String {
    match outcome {
        Err(ArchiveError::Storage(error)) if error.kind == ErrorKind::Downgraded => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_that_is_ignored_since_init_ends_a_run_before_it_writes() {
    let host = Host::new();
    let (store, faults) = FaultyStore::before(Arc::new(MemoryStore::new()));
    let (store, notes) = RecordingStore::before(store);
    let (repository, _) = host.init(&store, None).await.unwrap();
    assert!(repository.conditional_create());
    let repository = host.open(&store).await;
    host.write(&repository, "a").await.unwrap();

    // The server answers 200 to what it must refuse.
    faults.add(Call::Put, layout::DESCRIPTOR, When::Always, Fault::Drop);
    let repository = host.open(&store).await;
    notes.clear();
    let error = lost(host.write(&repository, "b").await);
    assert!(
        error.contains("conditional_create") && error.contains("muster init"),
        "{error}"
    );
    assert_eq!(notes.count(Call::Put, layout::LEDGER), 0, "nothing was written");

    // `init` has the root sign it; runs then do without, and say so to nobody's surprise.
    let (repository, wrote) = host.init(&store, None).await.unwrap();
    assert!(wrote && !repository.conditional_create());
    host.write(&host.open(&store).await, "b").await.unwrap();
    let (_, wrote) = host.init(&store, None).await.unwrap();
    assert!(!wrote, "once is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_asks_once() {
    let host = Host::new();
    let (store, notes) = RecordingStore::before(Arc::new(MemoryStore::new()));
    host.init(&store, None).await.unwrap();
    let repository = host.open(&store).await;
    notes.clear();
    host.write(&repository, "a").await.unwrap();
    host.write(&repository, "b").await.unwrap();
    assert_eq!(notes.count(Call::Put, layout::DESCRIPTOR), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_descriptor_that_somebody_hid_is_no_lost_condition() {
    let host = Host::new();
    let store: Arc<dyn ObjectStore> = Arc::new(MemoryStore::new());
    host.init(&store, None).await.unwrap();
    let repository = host.open(&store).await;
    store.delete(layout::DESCRIPTOR).await.unwrap();
    host.write(&repository, "a").await.unwrap();
    host.open(&store).await;
}

/// A place that says yes to locks: it keeps versions, takes a lock, tells it back, and lets the version go.
#[derive(Debug)]
struct Liar {
    inner: MemoryStore,
    tells: bool,
    keeps: bool,
}

#[async_trait]
impl ObjectStore for Liar {
    async fn put(&self, key: &str, body: Bytes, options: PutOptions) -> Result<(), StorageError> {
        self.inner.put(key, body, options.held(None)).await
    }

    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, StorageError> {
        self.inner.get_limited(key, max).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.inner.get_range(key, range).await
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StorageError> {
        let head = self.inner.head(key).await?;
        let version = self.tells.then(|| "1".to_owned());
        Ok(ObjectHead { version, ..head })
    }

    async fn list_page(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        self.inner.list_page(query).await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.inner.delete(key).await
    }

    async fn get_version(&self, key: &str, _version: &str, max: u64) -> Result<Bytes, StorageError> {
        self.inner.get_limited(key, max).await
    }

    async fn delete_version(&self, key: &str, _version: &str) -> Result<(), StorageError> {
        match self.keeps {
            true => Ok(()),
            false => self.inner.delete(key).await,
        }
    }

    async fn hold(&self, _key: &str, retention: Retention) -> Result<Retention, StorageError> {
        Ok(retention)
    }

    async fn versions(&self, _key: &str) -> Result<Vec<ObjectVersion>, StorageError> {
        Ok(Vec::new())
    }

    fn url(&self) -> String {
        "lies:".to_owned()
    }

    async fn prepare(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn rely_on_conditional_create(&self, _proven: bool) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_takes_locks_and_keeps_none_is_refused_at_init() {
    // It names no version; it lets the version go; it says that it let it go.
    for (tells, keeps) in [(false, false), (true, false), (true, true)] {
        let host = Host::new();
        let inner = MemoryStore::new();
        let store: Arc<dyn ObjectStore> = Arc::new(Liar { inner, tells, keeps });
        match host.init(&store, Some(LockMode::Compliance)).await {
            Err(ArchiveError::Storage(error)) => assert_eq!(error.kind, ErrorKind::NotHeld, "{error}"),
            other => panic!("{tells} {keeps}: {other:?}"),
        }
        assert_eq!(
            store.list(layout::KEYS).await.unwrap(),
            [],
            "nothing is signed that was not proven"
        );
    }
}

/// The server's bucket as its owner changes it with a tool of his own.
pub(super) struct Owner {
    pub(super) client: aws_sdk_s3::Client,
    pub(super) bucket: String,
}

impl Owner {
    pub(super) fn of(ceph: &Ceph, url: &str) -> Self {
        let who =
            aws_sdk_s3::config::Credentials::new(ceph::ACCESS_KEY_ID, ceph::SECRET_ACCESS_KEY, None, None, "test");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
            .region(aws_config::Region::new("us-east-1"))
            .endpoint_url(ceph.endpoint())
            .force_path_style(true)
            .credentials_provider(who)
            .build();
        let bucket = url.trim_start_matches("s3://").split('/').next().unwrap().to_owned();
        Self {
            client: aws_sdk_s3::Client::from_conf(config),
            bucket,
        }
    }

    async fn version(&self, status: BucketVersioningStatus) {
        let configuration = VersioningConfiguration::builder().status(status).build();
        let request = self.client.put_bucket_versioning().bucket(&self.bucket);
        request.versioning_configuration(configuration).send().await.unwrap();
    }

    /// Whoever comes may do anything: what a proxy has changed is signed by nobody.
    pub(super) async fn open_to_everybody(&self) {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::{0}","arn:aws:s3:::{0}/*"]}}]}}"#,
            self.bucket
        );
        let request = self.client.put_bucket_policy().bucket(&self.bucket).policy(policy);
        request.send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versioning_that_was_suspended_since_init_ends_the_first_write() {
    let ceph = Ceph::server();
    let url = ceph.fresh_url();
    let host = Host::new();
    let store = open(&url, &ceph.options()).await.unwrap();
    store.prepare().await.unwrap();
    let owner = Owner::of(&ceph, &url);
    owner.version(BucketVersioningStatus::Enabled).await;
    let (repository, _) = host.init(&store, None).await.unwrap();
    assert!(repository.capabilities().versions);
    host.write(&repository, "a").await.unwrap();

    owner.version(BucketVersioningStatus::Suspended).await;
    let store = open(&url, &ceph.options()).await.unwrap();
    let error = lost(host.write(&host.open(&store).await, "b").await);
    assert!(
        error.contains("rely on versions") && error.contains("switch versioning on"),
        "{error}"
    );

    let (repository, wrote) = host.init(&store, None).await.unwrap();
    assert!(wrote && !repository.capabilities().versions);
    host.write(&host.open(&store).await, "b").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_takes_the_condition_out_is_noticed() {
    let ceph = Ceph::server();
    let url = ceph.fresh_url();
    let host = Host::new();
    let direct = open(&url, &ceph.options()).await.unwrap();
    direct.prepare().await.unwrap();
    Owner::of(&ceph, &url).open_to_everybody().await;
    let (repository, _) = host.init(&direct, None).await.unwrap();
    assert!(repository.conditional_create());

    let proxy = Proxy::before(ceph.address(), |head| match head.starts_with("PUT ") {
        true => Deed::Without("if-none-match"),
        false => Deed::Pass,
    });
    let store = open(&url, &ceph::options(&proxy.url())).await.unwrap();
    let error = lost(host.write(&host.open(&store).await, "a").await);
    assert!(error.contains("conditional_create"), "{error}");
    assert!(
        direct.list(layout::LEDGER).await.unwrap().is_empty(),
        "nothing was written"
    );
    // Where the condition never held, `init` finds it out.
    let other = Host::new();
    let behind = open(&format!("{url}-2"), &ceph::options(&proxy.url())).await.unwrap();
    let (repository, _) = other.init(&behind, None).await.unwrap();
    assert!(!repository.conditional_create());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ignores_lock_headers_is_found_out_at_init_and_at_each_write() {
    let ceph = Ceph::server();
    let url = ceph.fresh_url();
    let direct = open(&url, &ceph.options()).await.unwrap();
    direct.prepare_held().await.unwrap();
    Owner::of(&ceph, &url).open_to_everybody().await;
    let policy = LockPolicy {
        mode: LockMode::Governance,
        days: 1,
    };
    let held = |store| HoldingStore::before(store, Some(policy), Arc::new(Plain::default()));

    let proxy = Proxy::before(ceph.address(), |head| match head.starts_with("PUT ") {
        true => Deed::Without("x-amz-object-lock"),
        false => Deed::Pass,
    });
    let deaf = held(open(&url, &ceph::options(&proxy.url())).await.unwrap());
    let host = Host::new();
    match host.init(&deaf, Some(policy.mode)).await {
        Err(ArchiveError::Storage(error)) => {
            assert_eq!(error.kind, ErrorKind::NotHeld, "{error}");
            assert!(error.to_string().contains("keeps none"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert!(
        proxy.heads().iter().any(|head| head.contains("x-amz-object-lock-mode")),
        "the client asked for a lock"
    );
    assert!(direct.list(layout::KEYS).await.unwrap().is_empty());

    // An honest server at `init`, and the same proxy later.
    let host = Host::new();
    let url = format!("{url}-2");
    let honest = held(open(&url, &ceph.options()).await.unwrap());
    let (repository, _) = host.init(&honest, Some(policy.mode)).await.unwrap();
    let expected = Capabilities {
        versions: true,
        object_lock: true,
        ..repository.capabilities()
    };
    assert_eq!(repository.capabilities(), expected);
    let deaf = held(open(&url, &ceph::options(&proxy.url())).await.unwrap());
    match host.write(&host.open(&deaf).await, "a").await {
        Err(ArchiveError::Storage(error)) => assert_eq!(error.kind, ErrorKind::NotHeld, "{error}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_another_run_extends_further_at_the_same_time_is_long_enough() {
    let ceph = Ceph::server();
    let url = ceph.fresh_url();
    let direct = open(&url, &ceph.options()).await.unwrap();
    direct.prepare_held().await.unwrap();
    let now = i64::try_from(Plain::default().now_ms() / 1000).unwrap();
    let now = time::OffsetDateTime::from_unix_timestamp(now).unwrap();
    let days = move |days| Retention {
        mode: LockMode::Governance,
        until: now + time::Duration::days(days),
    };
    let key = "packs/00/shared";
    let put = direct.put(key, Bytes::from("x"), PutOptions::CREATE.held(Some(days(1))));
    put.await.unwrap();
    let (other, runtime) = (Arc::clone(&direct), tokio::runtime::Handle::current());
    let proxy = Proxy::before(ceph.address(), move |head| {
        if head.starts_with("PUT ") && head.contains("retention") {
            runtime.block_on(other.hold(key, days(9))).unwrap();
        }
        Deed::Pass
    });
    let late = open(&url, &ceph::options(&proxy.url())).await.unwrap();
    assert_eq!(late.hold(key, days(3)).await.unwrap(), days(9));
    assert_eq!(direct.head(key).await.unwrap().retention, Some(days(9)));
}
