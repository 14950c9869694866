//! A store that notes what is asked of it: the number of requests stands in for speed and cost, and is the same on every machine.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use muster_archive::object_store::{
    Capabilities, Fits, ListPage, ListQuery, ObjectHead, ObjectStore, ObjectVersion, PutOptions, Recovered, Retention,
    StorageError,
};

/// The operations of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// `put`, in either mode, and `refuses_to_replace`.
    Put,
    /// `get`, `get_limited`, `get_range`, `get_version` and their ranges.
    Get,
    /// `head` and `head_version`.
    Head,
    /// `list_page` and `list_page_ever`, of which `list` makes as many as it needs; its key is the prefix.
    List,
    /// `delete` and `delete_version`.
    Delete,
    /// `versions`.
    Versions,
    /// `hold`.
    Hold,
}

/// One call, noted when it came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// What was asked.
    pub call: Call,
    /// Of which key, or below which prefix.
    pub key: String,
    /// Bytes of body written or read; for a page of a listing the number of its entries.
    pub size: u64,
    /// Whether it succeeded.
    pub ok: bool,
}

/// The notes, shared with the store that takes them.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    calls: Arc<Mutex<Vec<Noted>>>,
    flights: Arc<Mutex<HashMap<(Call, String), Flights>>>,
}

/// Calls of one kind for one folder that have not come back, with the bytes that they write or ask for, and the most there ever were.
#[derive(Debug, Default)]
struct Flights {
    now: usize,
    most: usize,
    bytes: u64,
    most_bytes: u64,
}

impl Notes {
    /// All calls so far, in the order in which they came back.
    pub fn all(&self) -> Vec<Noted> {
        self.calls().clone()
    }

    /// How often this was asked of keys that begin with `prefix`.
    pub fn count(&self, call: Call, prefix: &str) -> usize {
        self.calls()
            .iter()
            .filter(|noted| noted.call == call && noted.key.starts_with(prefix))
            .count()
    }

    /// The bytes that these calls moved.
    pub fn bytes(&self, call: Call, prefix: &str) -> u64 {
        let calls = self.calls();
        calls
            .iter()
            .filter(|noted| noted.call == call && noted.key.starts_with(prefix))
            .map(|noted| noted.size)
            .sum()
    }

    /// How many objects of this folder were being put, or read whole or in part ([`Call::Get`]), at a time, at most.
    pub fn most_at_once(&self, call: Call, folder: &str) -> usize {
        self.flights()
            .get(&(call, folder.to_owned()))
            .map_or(0, |flights| flights.most)
    }

    /// How many bytes these calls were writing, or had asked for by ranges, at a time, at most.
    pub fn most_bytes_at_once(&self, call: Call, folder: &str) -> u64 {
        self.flights()
            .get(&(call, folder.to_owned()))
            .map_or(0, |flights| flights.most_bytes)
    }

    /// Forgets everything that has come back.
    pub fn clear(&self) {
        self.calls().clear();
        self.flights()
            .values_mut()
            .for_each(|flights| (flights.most, flights.most_bytes) = (flights.now, flights.bytes));
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<(Call, String), Flights>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call from its beginning to its end.
    async fn flight<T>(&self, call: Call, key: &str, bytes: u64, deed: impl Future<Output = T>) -> T {
        let place = (call, folder_of(key).to_owned());
        {
            let mut flights = self.flights();
            let flights = flights.entry(place.clone()).or_default();
            flights.now += 1;
            flights.bytes += bytes;
            flights.most = flights.most.max(flights.now);
            flights.most_bytes = flights.most_bytes.max(flights.bytes);
        }
        let outcome = deed.await;
        if let Some(flights) = self.flights().get_mut(&place) {
            flights.now -= 1;
            flights.bytes -= bytes;
        }
        outcome
    }

    fn calls(&self) -> MutexGuard<'_, Vec<Noted>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T>(&self, call: Call, key: &str, outcome: &Result<T, StorageError>, size: impl FnOnce(&T) -> u64) {
        let (ok, size) = (outcome.is_ok(), outcome.as_ref().map_or(0, size));
        self.calls().push(Noted {
            call,
            key: key.to_owned(),
            size,
            ok,
        });
    }
}

fn folder_of(key: &str) -> &str {
    key.split('/').next().unwrap_or(key)
}

/// A store that passes everything on and takes notes.
#[derive(Debug)]
pub struct RecordingStore {
    inner: Arc<dyn ObjectStore>,
    notes: Notes,
}

impl RecordingStore {
    /// A recording store before `inner`, and its notes.
    pub fn before(inner: Arc<dyn ObjectStore>) -> (Arc<dyn ObjectStore>, Notes) {
        let notes = Notes::default();
        (
            Arc::new(Self {
                inner,
                notes: notes.clone(),
            }),
            notes,
        )
    }
}

#[async_trait]
impl ObjectStore for RecordingStore {
    async fn put(&self, key: &str, body: Bytes, options: PutOptions) -> Result<(), StorageError> {
        let size = body.len() as u64;
        let deed = self.inner.put(key, body, options);
        let outcome = self.notes.flight(Call::Put, key, size, deed).await;
        self.notes.note(Call::Put, key, &outcome, |()| size);
        outcome
    }

    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, StorageError> {
        let deed = self.inner.get_limited(key, max);
        let outcome = self.notes.flight(Call::Get, key, 0, deed).await;
        self.notes.note(Call::Get, key, &outcome, |body| body.len() as u64);
        outcome
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let length = range.end.saturating_sub(range.start);
        let deed = self.inner.get_range(key, range);
        let outcome = self.notes.flight(Call::Get, key, length, deed).await;
        self.notes.note(Call::Get, key, &outcome, |body| body.len() as u64);
        outcome
    }

    async fn get_range_of_name(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let outcome = self.inner.get_range_of_name(key, range).await;
        self.notes.note(Call::Get, key, &outcome, |body| body.len() as u64);
        outcome
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StorageError> {
        let outcome = self.inner.head(key).await;
        self.notes.note(Call::Head, key, &outcome, |_| 0);
        outcome
    }

    async fn list_page(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        let outcome = self.inner.list_page(query).await;
        self.notes.note(Call::List, query.prefix, &outcome, |page| {
            (page.objects.len() + page.folders.len()) as u64
        });
        outcome
    }

    async fn list_page_ever(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        let outcome = self.inner.list_page_ever(query).await;
        self.notes.note(Call::List, query.prefix, &outcome, |page| {
            (page.objects.len() + page.folders.len()) as u64
        });
        outcome
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let outcome = self.inner.delete(key).await;
        self.notes.note(Call::Delete, key, &outcome, |()| 0);
        outcome
    }

    async fn versions(&self, key: &str) -> Result<Vec<ObjectVersion>, StorageError> {
        let outcome = self.inner.versions(key).await;
        self.notes
            .note(Call::Versions, key, &outcome, |found| found.len() as u64);
        outcome
    }

    async fn get_version(&self, key: &str, version: &str, max: u64) -> Result<Bytes, StorageError> {
        let outcome = self.inner.get_version(key, version, max).await;
        self.notes.note(Call::Get, key, &outcome, |body| body.len() as u64);
        outcome
    }

    async fn get_version_range(&self, key: &str, version: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let outcome = self.inner.get_version_range(key, version, range).await;
        self.notes.note(Call::Get, key, &outcome, |body| body.len() as u64);
        outcome
    }

    async fn recover(&self, key: &str, max: u64, fits: Fits<'_>) -> Result<Option<Bytes>, StorageError> {
        self.inner.recover(key, max, fits).await
    }

    fn recovered(&self) -> Vec<Recovered> {
        self.inner.recovered()
    }

    async fn head_version(&self, key: &str, version: &str) -> Result<ObjectHead, StorageError> {
        let outcome = self.inner.head_version(key, version).await;
        self.notes.note(Call::Head, key, &outcome, |_| 0);
        outcome
    }

    async fn delete_version(&self, key: &str, version: &str) -> Result<(), StorageError> {
        let outcome = self.inner.delete_version(key, version).await;
        self.notes.note(Call::Delete, key, &outcome, |()| 0);
        outcome
    }

    async fn hold(&self, key: &str, retention: Retention) -> Result<Retention, StorageError> {
        let outcome = self.inner.hold(key, retention).await;
        self.notes.note(Call::Hold, key, &outcome, |_| 0);
        outcome
    }

    async fn refuses_to_replace(&self, key: &str, unchanged: Bytes) -> Result<bool, StorageError> {
        let outcome = self.inner.refuses_to_replace(key, unchanged).await;
        self.notes.note(Call::Put, key, &outcome, |_| 0);
        outcome
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
