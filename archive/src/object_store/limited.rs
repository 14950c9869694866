//! Any place, at a limited speed: bodies that are written and bodies that are read each wait until they are paid for.
//!
//! A place that sends bodies in pieces is told the limit and waits itself, so that a long body is no burst.
//!
//! Invariant: everything else is the inner place's own. What is small and moves no data (heads, listings) does not wait.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Capabilities, Fits, ListPage, ListQuery, ObjectHead, ObjectStore, ObjectVersion, PutOptions, Recovered, Retention,
    StorageError, check_range,
};
use crate::RateLimit;

/// How fast bodies may move; `None`: as fast as they can.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Bodies that are written.
    pub upload: Option<Arc<RateLimit>>,
    /// Bodies that are read.
    pub download: Option<Arc<RateLimit>>,
}

/// A place before another one.
#[derive(Debug)]
pub struct LimitedStore {
    inner: Arc<dyn ObjectStore>,
    limits: Limits,
}

impl LimitedStore {
    /// The same place within these limits; itself, where there are none.
    pub fn before(inner: Arc<dyn ObjectStore>, limits: Limits) -> Arc<dyn ObjectStore> {
        match limits {
            Limits {
                upload: None,
                download: None,
            } => inner,
            Limits { upload, download } => {
                let upload = upload.filter(|limit| !inner.pace(limit));
                let limits = Limits { upload, download };
                Arc::new(Self { inner, limits })
            }
        }
    }

    async fn read(&self, bytes: u64) {
        if let Some(limit) = &self.limits.download {
            limit.pass(bytes).await;
        }
    }
}

#[async_trait]
impl ObjectStore for LimitedStore {
    async fn put(&self, key: &str, body: Bytes, options: PutOptions) -> Result<(), StorageError> {
        if let Some(limit) = &self.limits.upload {
            limit.pass(body.len() as u64).await;
        }
        self.inner.put(key, body, options).await
    }

    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, StorageError> {
        // How long it is, is known only afterwards: whoever comes next waits for it too.
        let body = self.inner.get_limited(key, max).await?;
        self.read(body.len() as u64).await;
        Ok(body)
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        check_range(key, &range)?;
        self.read(range.end - range.start).await;
        self.inner.get_range(key, range).await
    }

    async fn get_range_of_name(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        check_range(key, &range)?;
        self.read(range.end - range.start).await;
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
        let body = self.inner.get_version(key, version, max).await?;
        self.read(body.len() as u64).await;
        Ok(body)
    }

    async fn get_version_range(&self, key: &str, version: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        check_range(key, &range)?;
        self.read(range.end - range.start).await;
        self.inner.get_version_range(key, version, range).await
    }

    async fn recover(&self, key: &str, max: u64, fits: Fits<'_>) -> Result<Option<Bytes>, StorageError> {
        let body = self.inner.recover(key, max, fits).await?;
        self.read(body.as_ref().map_or(0, |body| body.len() as u64)).await;
        Ok(body)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::fake::FakeClock;
    use crate::object_store::MemoryStore;

    const MIB: usize = 1 << 20;

    fn limited(clock: &FakeClock, upload: u64, download: u64) -> Arc<dyn ObjectStore> {
        let limits = Limits {
            upload: Some(Arc::new(RateLimit::on(upload, Box::new(clock.clone())))),
            download: Some(Arc::new(RateLimit::on(download, Box::new(clock.clone())))),
        };
        LimitedStore::before(Arc::new(MemoryStore::new()), limits)
    }

    #[test]
    fn uploads_and_downloads_side_by_side_hold_their_rates_within_a_tenth() {
        let clock = FakeClock::default();
        let store = limited(&clock, 4 * MIB as u64, 8 * MIB as u64);
        let body = Bytes::from(vec![7; 8 * MIB]);
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let puts = names.map(|name| store.put(name, body.clone(), PutOptions::CREATE));
        let (put, seconds) = clock.time(futures_util::future::join_all(puts));
        assert!(put.iter().all(Result::is_ok));
        assert!((14.4..=17.6).contains(&seconds), "64 MiB at 4 MiB/s took {seconds} s");

        let reads = async {
            for n in 0..32u64 {
                let begin = n % 8 * MIB as u64;
                store.get_range("b", begin..begin + MIB as u64).await.unwrap();
            }
        };
        let ((whole, ()), seconds) = clock.time(futures_util::future::join(store.get("a"), reads));
        assert_eq!(whole.unwrap().len(), 8 * MIB);
        assert!((4.5..=5.5).contains(&seconds), "40 MiB at 8 MiB/s took {seconds} s");
    }

    /// A clock by which a second is past at each look: nobody ever waits.
    #[derive(Clone, Default)]
    struct Looks(Arc<std::sync::atomic::AtomicU64>);

    impl crate::limit::Clock for Looks {
        fn now(&self) -> std::time::Duration {
            let looks = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            std::time::Duration::from_secs(looks + 1)
        }

        fn sleep(&self, _: std::time::Duration) -> crate::limit::Wait {
            Box::pin(std::future::ready(()))
        }
    }

    #[tokio::test]
    async fn a_directory_pays_for_each_piece_of_a_body_and_keeps_all_of_it() {
        let (folder, looks) = (tempfile::tempdir().unwrap(), Looks::default());
        let limit = Arc::new(RateLimit::on(MIB as u64, Box::new(looks.clone())));
        let limits = Limits {
            upload: Some(limit),
            download: None,
        };
        let local = Arc::new(crate::object_store::LocalStore::new(folder.path()).unwrap());
        let store = LimitedStore::before(local, limits);
        let body: Bytes = (0..2 * MIB)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect::<Vec<u8>>()
            .into();
        store.put("packs/a", body.clone(), PutOptions::CREATE).await.unwrap();
        let pieces = looks.0.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(pieces, 32, "a sixteenth of a second's worth at a time");
        assert_eq!(store.get("packs/a").await.unwrap(), body);
    }

    #[test]
    fn what_moves_no_data_does_not_wait() {
        let clock = FakeClock::default();
        let store = limited(&clock, 1, 1);
        let quick = async {
            store.put("a", Bytes::new(), PutOptions::CREATE).await.unwrap();
            store.head("a").await.unwrap();
            store.list("").await.unwrap();
            store.delete("a").await.unwrap();
        };
        assert_eq!(clock.time(quick).1, 0.0);
    }
}
