//! Any place that keeps versions: what a delete marker or an overwrite hides is found again.
//!
//! An object lock protects versions, not names. So where a name is gone, and where the bytes of a content-addressed name are not those
//! of the name, the versions are listed and the right one is taken.
//!
//! Invariant: of a content-addressed name only bytes of that SHA-256 are given; of any other name, which whoever reads it verifies by its
//! signature, the newest version that is no delete marker.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use muster_signing::Digest;

use super::{
    Capabilities, ListPage, ListQuery, MAX_OBJECT, ObjectHead, ObjectStore, ObjectVersion, PutOptions, Retention,
    StorageError,
};

/// Versions of one name that are read in search of the right one.
const MOST: usize = 64;

/// A place before another one.
#[derive(Debug)]
pub struct RecoveringStore {
    inner: Arc<dyn ObjectStore>,
    /// The object that was recovered last: ranges of a pack are asked for one after the other.
    last: Mutex<Option<(String, Bytes)>>,
}

impl RecoveringStore {
    /// The same place; names that are hidden are looked for in their versions.
    pub fn before(inner: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
        Arc::new(Self {
            inner,
            last: Mutex::new(None),
        })
    }

    /// The bytes of a hidden name; `None` where no version has them.
    async fn recovered(&self, key: &str, max: u64) -> Option<Bytes> {
        if let Some((name, bytes)) = &*self.last.lock().unwrap_or_else(PoisonError::into_inner)
            && name == key
            && bytes.len() as u64 <= max
        {
            return Some(bytes.clone());
        }
        let versions = self.inner.versions(key).await.ok()?;
        let name = digest_of_name(key);
        for version in versions.iter().filter(|version| !version.delete_marker).take(MOST) {
            let Ok(bytes) = self.inner.get_version(key, &version.id, max).await else {
                continue;
            };
            if name.is_none_or(|name| Digest::of(&bytes) == name) {
                tracing::warn!(key, version = %version.id, "the name is hidden; an older version of it is read");
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((key.to_owned(), bytes.clone()));
                return Some(bytes);
            }
        }
        None
    }
}

/// The SHA-256 that a content-addressed name ends in.
fn digest_of_name(key: &str) -> Option<Digest> {
    let (folder, name) = key.rsplit_once('/')?;
    let first = key.split('/').next()?;
    let addressed = ["packs", "trees", "lists", "index"].contains(&first) && folder.ends_with(name.get(..2)?);
    addressed.then(|| Digest::from_hex(name).ok()).flatten()
}

#[async_trait]
impl ObjectStore for RecoveringStore {
    async fn put(&self, key: &str, body: Bytes, options: PutOptions) -> Result<(), StorageError> {
        self.inner.put(key, body, options).await
    }

    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, StorageError> {
        let found = self.inner.get_limited(key, max).await;
        let hidden = match &found {
            Ok(bytes) => digest_of_name(key).is_some_and(|name| Digest::of(bytes) != name),
            Err(error) => error.is_not_found(),
        };
        if hidden && let Some(bytes) = self.recovered(key, max).await {
            return Ok(bytes);
        }
        found
    }

    /// A range of a name that was overwritten cannot be told from the right one here: whoever decodes it finds out, and reads it whole.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        match self.inner.get_range(key, range.clone()).await {
            Err(error) if error.is_not_found() => {
                let Some(bytes) = self.recovered(key, MAX_OBJECT).await else {
                    return Err(error);
                };
                let slice = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
                let slice = slice.filter(|(start, end)| start <= end && *end <= bytes.len());
                slice.map(|(start, end)| bytes.slice(start..end)).ok_or(error)
            }
            answer => answer,
        }
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StorageError> {
        match self.inner.head(key).await {
            Err(error) if error.is_not_found() => {
                let versions = self.inner.versions(key).await.unwrap_or_default();
                match versions.iter().find(|version| !version.delete_marker) {
                    Some(version) => self.inner.head_version(key, &version.id).await,
                    None => Err(error),
                }
            }
            answer => answer,
        }
    }

    async fn list_page(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        self.inner.list_page(query).await
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

    fn rely_on_conditional_create(&self, proven: bool) {
        self.inner.rely_on_conditional_create(proven);
    }

    fn rely_on(&self, proven: Capabilities) {
        self.inner.rely_on(proven);
    }

    async fn try_out(&self, key: &str) -> Result<Capabilities, StorageError> {
        self.inner.try_out(key).await
    }
}
