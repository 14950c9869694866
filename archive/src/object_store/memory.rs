//! Objects in this process's memory: for tests and for scratch repositories. Clones share the objects.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::error::{ErrorKind, StorageError};
use super::key::{check_key, check_prefix};
use super::{
    ListPage, ListQuery, ObjectHead, ObjectMeta, ObjectStore, PutMode, PutOptions, cannot_hold, check_length,
    check_range,
};

/// A place that ends with the process.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
}

impl MemoryStore {
    /// An empty place.
    pub fn new() -> Self {
        Self::default()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn object(&self, key: &str) -> Result<Bytes, StorageError> {
        check_key(key)?;
        let found = self.objects().get(key).cloned();
        found.ok_or_else(|| StorageError::new(ErrorKind::NotFound, key, format!("read {key} in memory")))
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn put(&self, key: &str, body: Bytes, options: PutOptions) -> Result<(), StorageError> {
        check_key(key)?;
        check_length(key, &body)?;
        if options.retention.is_some() {
            return Err(cannot_hold(self.url(), key));
        }
        let mut objects = self.objects();
        if options.mode == PutMode::Create && objects.contains_key(key) {
            return Err(StorageError::new(
                ErrorKind::AlreadyExists,
                key,
                format!("create {key} in memory"),
            ));
        }
        objects.insert(key.to_owned(), body);
        Ok(())
    }

    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, StorageError> {
        let body = self.object(key)?;
        if body.len() as u64 > max {
            let attempt = format!("read {key} in memory, {} bytes, as at most {max}", body.len());
            return Err(StorageError::new(ErrorKind::TooLarge, key, attempt));
        }
        Ok(body)
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        check_range(key, &range)?;
        let body = self.object(key)?;
        match (usize::try_from(range.start), usize::try_from(range.end)) {
            (Ok(start), Ok(end)) if end <= body.len() => Ok(body.slice(start..end)),
            _ => {
                let attempt = format!("read bytes {}..{} of {key} in memory", range.start, range.end);
                Err(StorageError::new(ErrorKind::Truncated, key, attempt))
            }
        }
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StorageError> {
        let size = self.object(key)?.len() as u64;
        let (sha256, version, retention, modified) = (None, None, None, None);
        Ok(ObjectHead {
            size,
            sha256,
            version,
            retention,
            modified,
        })
    }

    async fn list_page(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        check_prefix(query.prefix)?;
        let objects = self.objects();
        let from = objects
            .range(query.prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(query.prefix))
            .map(|(key, body)| ObjectMeta {
                key: key.clone(),
                size: body.len() as u64,
            });
        Ok(ListPage::cut(from, &query))
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        check_key(key)?;
        self.objects().remove(key);
        Ok(())
    }

    fn url(&self) -> String {
        "memory:".to_owned()
    }

    async fn prepare(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn rely_on_conditional_create(&self, _proven: bool) {}
}
