//! Any place that keeps versions: what a delete marker or an overwrite hides is found again.
//!
//! An object lock protects versions, not names. So where a name is gone, and where the bytes of a content-addressed name are not those
//! of the name, the versions are listed and the right one is taken. Names that are found by listing (key documents, logs) are listed
//! with their hidden ones.
//!
//! Invariant: of a content-addressed name only a version of that SHA-256 is given; of any other name, which whoever reads it verifies by
//! its signature, the newest version that is no delete marker, or the newest that the reader finds right.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use muster_signing::Digest;

use super::{
    Capabilities, ErrorKind, Fits, ListPage, ListQuery, MAX_OBJECT, ObjectHead, ObjectStore, ObjectVersion, PutOptions,
    Retention, StorageError,
};
use crate::RateLimit;
use crate::layout;

/// Versions of one name that are read in search of the right one.
const MOST: usize = 64;

/// A name that was read from a version that it does not mean any more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recovered {
    /// The name.
    pub object: String,
    /// The version that was read, as the place calls it.
    pub version: String,
}

/// A place before another one.
#[derive(Debug)]
pub struct RecoveringStore {
    inner: Arc<dyn ObjectStore>,
    /// Content-addressed names that were looked for: the version that is right, if there is one.
    known: Mutex<BTreeMap<String, Option<String>>>,
    told: Mutex<BTreeMap<String, String>>,
    /// One search at a time: whoever waits for it finds its answer.
    searching: tokio::sync::Mutex<()>,
    /// The place does not say which names are hidden.
    untold: AtomicBool,
}

impl RecoveringStore {
    /// The same place; names that are hidden are looked for in their versions.
    pub fn before(inner: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        Arc::new(Self {
            inner,
            known: Mutex::default(),
            told: Mutex::default(),
            searching: tokio::sync::Mutex::default(),
            untold: AtomicBool::new(false),
        })
    }

    /// The newest version that fits, and its bytes.
    async fn search(&self, key: &str, max: u64, fits: Fits<'_>) -> Result<Option<(String, Bytes)>, StorageError> {
        let versions = match self.inner.versions(key).await {
            Ok(versions) => versions,
            // Who cannot or may not list versions has none to look through.
            Err(error) if is_untold(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        for version in versions.into_iter().filter(|version| !version.delete_marker).take(MOST) {
            let bytes = match self.inner.get_version(key, &version.id, max).await {
                Ok(bytes) => bytes,
                Err(error) if error.is_retryable() => return Err(error),
                Err(_) => continue,
            };
            if fits(&bytes) {
                if !version.newest {
                    self.tell(key, &version.id);
                }
                return Ok(Some((version.id, bytes)));
            }
        }
        Ok(None)
    }

    /// The version whose SHA-256 a name ends in, and its bytes where they were read for that.
    async fn version_of(&self, key: &str, name: Digest) -> Result<Option<(String, Option<Bytes>)>, StorageError> {
        let _one = self.searching.lock().await;
        if let Some(known) = self.known().get(key) {
            return Ok(known.clone().map(|version| (version, None)));
        }
        let found = self.search(key, MAX_OBJECT, &|bytes| Digest::of(bytes) == name).await?;
        let version = found.as_ref().map(|(version, _)| version.clone());
        self.known().insert(key.to_owned(), version);
        Ok(found.map(|(version, bytes)| (version, Some(bytes))))
    }

    /// The bytes of a hidden name; `None` where no version has them.
    async fn hidden(&self, key: &str, max: u64) -> Result<Option<Bytes>, StorageError> {
        let Some(name) = digest_of_name(key) else {
            return Ok(self.search(key, max, &|_| true).await?.map(|(_, bytes)| bytes));
        };
        match self.version_of(key, name).await? {
            None => Ok(None),
            Some((_, Some(bytes))) => Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= max)),
            Some((version, None)) => self.inner.get_version(key, &version, max).await.map(Some),
        }
    }

    fn tell(&self, key: &str, version: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(key.to_owned(), version.to_owned()).is_none() {
            tracing::warn!(
                key,
                version,
                "the name is hidden or overwritten; this older version of it is read"
            );
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Option<String>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The SHA-256 that a content-addressed name ends in.
fn digest_of_name(key: &str) -> Option<Digest> {
    let (folder, name) = key.rsplit_once('/')?;
    let first = key.split('/').next()?;
    let addressed = ["packs", "trees", "lists", "index"].contains(&first) && folder.ends_with(name.get(..2)?);
    addressed.then(|| Digest::from_hex(name).ok()).flatten()
}

/// The place does not know the question, or this user may not ask it.
fn is_untold(error: &StorageError) -> bool {
    matches!(error.kind, ErrorKind::Other | ErrorKind::Denied | ErrorKind::Invalid)
}

#[async_trait]
impl ObjectStore for RecoveringStore {
    async fn put(&self, key: &str, body: Bytes, options: PutOptions) -> Result<(), StorageError> {
        let put = self.inner.put(key, body, options).await;
        self.known().remove(key);
        put
    }

    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, StorageError> {
        let found = self.inner.get_limited(key, max).await;
        let name = digest_of_name(key);
        let hidden = match &found {
            Ok(bytes) => name.is_some_and(|name| Digest::of(bytes) != name),
            Err(error) if error.kind == ErrorKind::TooLarge => name.is_some(),
            Err(error) => error.kind == ErrorKind::NotFound,
        };
        match hidden {
            true => self.hidden(key, max).await?.map_or(found, Ok),
            false => found,
        }
    }

    /// A range of a name that was overwritten cannot be told from the right one here: whoever decodes it finds out, and asks for
    /// [`ObjectStore::get_range_of_name`].
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let known = self.known().get(key).cloned().flatten();
        if let Some(version) = known {
            return self.inner.get_version_range(key, &version, range).await;
        }
        match self.inner.get_range(key, range.clone()).await {
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Truncated) => {
                match self.get_range_of_name(key, range).await {
                    Err(other) if !other.is_retryable() => Err(error),
                    answer => answer,
                }
            }
            answer => answer,
        }
    }

    async fn get_range_of_name(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let found = match digest_of_name(key) {
            Some(name) => self.version_of(key, name).await?,
            None => None,
        };
        match found {
            Some((version, _)) => self.inner.get_version_range(key, &version, range).await,
            None => self.inner.get_range(key, range).await,
        }
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StorageError> {
        match self.inner.head(key).await {
            Err(error) if error.kind == ErrorKind::NotFound => {
                let versions = self.inner.versions(key).await.unwrap_or_default();
                match versions.iter().find(|version| !version.delete_marker) {
                    Some(version) => self.inner.head_version(key, &version.id).await,
                    None => Err(error),
                }
            }
            answer => answer,
        }
    }

    /// Key documents and the incarnations of logs are found by listing: whoever hides one must not bring an older one back.
    async fn list_page(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        let by_name = query.prefix == layout::KEYS || (query.prefix.starts_with(layout::LEDGER) && query.folders);
        if by_name && !self.untold.load(Ordering::Relaxed) {
            match self.inner.list_page_ever(query).await {
                Err(error) if is_untold(&error) => {
                    tracing::debug!(%error, "names that are hidden cannot be asked for");
                    self.untold.store(true, Ordering::Relaxed);
                }
                answer => return answer,
            }
        }
        self.inner.list_page(query).await
    }

    async fn list_page_ever(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        self.inner.list_page_ever(query).await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        self.known().remove(key);
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
        Ok(self.search(key, max, fits).await?.map(|(_, bytes)| bytes))
    }

    fn recovered(&self) -> Vec<Recovered> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let told = told.iter().map(|(object, version)| Recovered {
            object: object.clone(),
            version: version.clone(),
        });
        told.collect()
    }

    async fn head_version(&self, key: &str, version: &str) -> Result<ObjectHead, StorageError> {
        self.inner.head_version(key, version).await
    }

    async fn delete_version(&self, key: &str, version: &str) -> Result<(), StorageError> {
        self.inner.delete_version(key, version).await
    }

    async fn hold(&self, key: &str, retention: Retention) -> Result<Retention, StorageError> {
        self.inner.hold(key, retention).await
    }

    fn url(&self) -> String {
        self.inner.url()
    }

    async fn prepare(&self) -> Result<(), StorageError> {
        self.inner.prepare().await
    }

    async fn prepare_held(&self) -> Result<(), StorageError> {
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
