//! Any place, every object of which is locked when it is written.
//!
//! Invariant: what is written without a retention of its own is held for the configured time from now; an object that was there already
//! is held at least as long, or the write fails. Probes and unfinished writes are not a repository's objects and stay unlocked.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::{
    Capabilities, ErrorKind, Fits, ListPage, ListQuery, LockMode, ObjectHead, ObjectStore, ObjectVersion, PutMode,
    PutOptions, Recovered, Retention, StorageError,
};
use crate::RateLimit;
use crate::edge::Edge;

/// For how long what is written is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockPolicy {
    /// Who may lift it.
    pub mode: LockMode,
    /// Days from the write.
    pub days: u32,
}

impl LockPolicy {
    /// The lock of something written now (RFC 3339, by this host's clock): whole seconds. `None` where this is no time.
    pub fn from(&self, now: &str) -> Option<Retention> {
        let now = OffsetDateTime::parse(now, &Rfc3339).ok()?;
        Some(Retention {
            mode: self.mode,
            until: now
                .replace_nanosecond(0)
                .ok()?
                .checked_add(Duration::days(i64::from(self.days)))?,
        })
    }
}

/// A place before another one.
pub struct HoldingStore {
    inner: Arc<dyn ObjectStore>,
    policy: LockPolicy,
    edge: Arc<dyn Edge>,
}

impl std::fmt::Debug for HoldingStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HoldingStore")
            .field("inner", &self.inner)
            .field("policy", &self.policy)
            .finish()
    }
}

impl HoldingStore {
    /// The same place, which locks by this policy; itself, where there is none.
    pub fn before(
        inner: Arc<dyn ObjectStore>,
        policy: Option<LockPolicy>,
        edge: Arc<dyn Edge>,
    ) -> Arc<dyn ObjectStore> {
        match policy {
            None => inner,
            Some(policy) => Arc::new(Self { inner, policy, edge }),
        }
    }
}

#[async_trait]
impl ObjectStore for HoldingStore {
    async fn put(&self, key: &str, body: Bytes, options: PutOptions) -> Result<(), StorageError> {
        if options.retention.is_some() || key.starts_with("probes/") {
            return self.inner.put(key, body, options).await;
        }
        let wanted = self.policy.from(&self.edge.now()).ok_or_else(|| {
            StorageError::new(
                ErrorKind::Invalid,
                key,
                format!("lock {key} for {} days", self.policy.days),
            )
        })?;
        match self.inner.put(key, body, options.held(Some(wanted))).await {
            Err(error) if error.kind == ErrorKind::AlreadyExists && options.mode == PutMode::Create => {
                // Whoever meets the same bytes there takes it for written, so it must be held as if it were.
                let _ = self.inner.hold(key, wanted).await?;
                Err(error)
            }
            written => written,
        }
    }

    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, StorageError> {
        self.inner.get_limited(key, max).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.inner.get_range(key, range).await
    }

    async fn get_range_of_name(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.inner.get_range_of_name(key, range).await
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StorageError> {
        self.inner.head(key).await
    }

    async fn list_page(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        self.inner.list_page(query).await
    }

    async fn list_page_ever(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        self.inner.list_page_ever(query).await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.inner.delete(key).await
    }

    async fn versions(&self, key: &str) -> Result<Vec<ObjectVersion>, StorageError> {
        self.inner.versions(key).await
    }

    async fn get_version(&self, key: &str, version: &str, max: u64) -> Result<Bytes, StorageError> {
        self.inner.get_version(key, version, max).await
    }

    async fn get_version_range(&self, key: &str, version: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.inner.get_version_range(key, version, range).await
    }

    async fn recover(&self, key: &str, max: u64, fits: Fits<'_>) -> Result<Option<Bytes>, StorageError> {
        self.inner.recover(key, max, fits).await
    }

    fn recovered(&self) -> Vec<Recovered> {
        self.inner.recovered()
    }

    async fn head_version(&self, key: &str, version: &str) -> Result<ObjectHead, StorageError> {
        self.inner.head_version(key, version).await
    }

    async fn delete_version(&self, key: &str, version: &str) -> Result<(), StorageError> {
        self.inner.delete_version(key, version).await
    }

    /// Extends only what would end in less than half of the policy's time: a lock is set once for many runs.
    async fn hold(&self, key: &str, retention: Retention) -> Result<Retention, StorageError> {
        let half = Retention {
            until: retention.until - Duration::days(i64::from(self.policy.days)) / 2,
            ..retention
        };
        match self.inner.head(key).await?.retention {
            Some(held) if held.covers(&half) => Ok(held),
            _ => self.inner.hold(key, retention).await,
        }
    }

    fn url(&self) -> String {
        self.inner.url()
    }

    async fn prepare(&self) -> Result<(), StorageError> {
        self.inner.prepare_held().await
    }

    fn pace(&self, limit: &Arc<RateLimit>) -> bool {
        self.inner.pace(limit)
    }

    fn rely_on_conditional_create(&self, proven: bool) {
        self.inner.rely_on_conditional_create(proven);
    }

    fn rely_on(&self, proven: Capabilities) {
        self.inner.rely_on(proven);
    }

    async fn refuses_to_replace(&self, key: &str, unchanged: Bytes) -> Result<bool, StorageError> {
        self.inner.refuses_to_replace(key, unchanged).await
    }

    async fn try_out(&self, key: &str) -> Result<Capabilities, StorageError> {
        self.inner.try_out(key).await
    }
}
