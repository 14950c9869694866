//! A store that fails on demand: before the deed, after it, or silently, at the n-th call of a kind on keys of a prefix.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_archive::object_store::{
    Capabilities, ErrorKind, Fits, ListPage, ListQuery, ObjectHead, ObjectStore, ObjectVersion, PutOptions, Recovered,
    Retention, StorageError,
};
use tokio::sync::Barrier;

use crate::recording::Call;

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The call fails and nothing was done.
    Fail(ErrorKind),
    /// The call is carried out and fails all the same: its answer was lost.
    Lost(ErrorKind),
    /// A write is reported as done and was not; a read finds nothing; a listing is empty.
    Drop,
    /// Only so many bytes are written or come back.
    Truncate(usize),
    /// One bit of the byte at this place (from the end when negative) is written or comes back wrong.
    Flip(isize),
    /// It takes this much longer.
    Delay(Duration),
    /// It waits for as many calls as the barrier is for, and no longer than ten seconds: who comes alone goes on alone. Those who met stay
    /// a while, so that one too many has time to come.
    Meet(Arc<Barrier>),
    /// It never comes back.
    Hang,
}

const LONGEST_MEETING: Duration = Duration::from_secs(10);
const A_WHILE: Duration = Duration::from_secs(1);

/// At which of the matching calls.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// At every one.
    Always,
    /// At the n-th only, counted from 1.
    Nth(usize),
    /// At the n-th and all later ones.
    From(usize),
}

#[derive(Debug)]
struct Rule {
    call: Call,
    prefix: String,
    when: When,
    fault: Fault,
    seen: usize,
    fired: usize,
}

/// Switches faults on and off; shared with the store that has them.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    rules: Arc<Mutex<Vec<Rule>>>,
}

impl Faults {
    /// Adds a fault. The first rule that matches a call and is due decides.
    pub fn add(&self, call: Call, prefix: &str, when: When, fault: Fault) {
        self.rules().push(Rule {
            call,
            prefix: prefix.to_owned(),
            when,
            fault,
            seen: 0,
            fired: 0,
        });
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// How often any fault struck since the last [`Faults::clear`]: a test whose fault never struck proved nothing.
    pub fn fired(&self) -> usize {
        self.rules().iter().map(|rule| rule.fired).sum()
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strike(&self, call: Call, key: &str) -> Option<Fault> {
        let mut chosen = None;
        for rule in self
            .rules()
            .iter_mut()
            .filter(|rule| rule.call == call && key.starts_with(&rule.prefix))
        {
            rule.seen += 1;
            let due = match rule.when {
                When::Always => true,
                When::Nth(n) => rule.seen == n,
                When::From(n) => rule.seen >= n,
            };
            if due && chosen.is_none() {
                rule.fired += 1;
                chosen = Some(rule.fault.clone());
            }
        }
        chosen
    }
}

/// A store with faults.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    faults: Faults,
}

impl FaultyStore {
    /// A store before `inner` that has no faults yet, and their switch.
    pub fn before(inner: Arc<dyn ObjectStore>) -> (Arc<dyn ObjectStore>, Faults) {
        let faults = Faults::default();
        (
            Arc::new(Self {
                inner,
                faults: faults.clone(),
            }),
            faults,
        )
    }
}

/// Carries a call out, with the fault before, after or instead of it.
async fn carry_out<T>(
    fault: Option<&Fault>,
    call: Call,
    key: &str,
    nothing: Result<T, ErrorKind>,
    deed: impl Future<Output = Result<T, StorageError>> + Send,
) -> Result<T, StorageError> {
    match fault {
        Some(Fault::Fail(kind)) => Err(injected(*kind, call, key)),
        Some(Fault::Lost(kind)) => match deed.await {
            Ok(_) => Err(injected(*kind, call, key)),
            failed => failed,
        },
        Some(Fault::Drop) => nothing.map_err(|kind| injected(kind, call, key)),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Delay(time)) => {
            tokio::time::sleep(*time).await;
            deed.await
        }
        Some(Fault::Meet(others)) => {
            // Whether anybody came shows in what the test counts.
            if tokio::time::timeout(LONGEST_MEETING, others.wait()).await.is_ok() {
                tokio::time::sleep(A_WHILE).await;
            }
            deed.await
        }
        Some(Fault::Truncate(_) | Fault::Flip(_)) | None => deed.await,
    }
}

fn injected(kind: ErrorKind, call: Call, key: &str) -> StorageError {
    StorageError::new(kind, key, format!("{call:?} {key}").to_lowercase()).caused_by("a fault of the test's")
}

/// The body as a truncating or flipping fault leaves it.
fn spoiled(body: Bytes, fault: Option<&Fault>) -> Bytes {
    match fault {
        Some(Fault::Truncate(length)) => body.slice(..body.len().min(*length)),
        Some(Fault::Flip(at)) if !body.is_empty() => {
            let mut bytes = body.to_vec();
            let length = isize::try_from(bytes.len()).expect("a body in memory");
            let place = usize::try_from(at.rem_euclid(length)).expect("not negative");
            bytes[place] ^= 1;
            bytes.into()
        }
        _ => body,
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put(&self, key: &str, body: Bytes, options: PutOptions) -> Result<(), StorageError> {
        let fault = self.faults.strike(Call::Put, key);
        let body = spoiled(body, fault.as_ref());
        carry_out(
            fault.as_ref(),
            Call::Put,
            key,
            Ok(()),
            self.inner.put(key, body, options),
        )
        .await
    }

    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, StorageError> {
        let fault = self.faults.strike(Call::Get, key);
        let nothing = Err(ErrorKind::NotFound);
        let body = carry_out(
            fault.as_ref(),
            Call::Get,
            key,
            nothing,
            self.inner.get_limited(key, max),
        )
        .await?;
        Ok(spoiled(body, fault.as_ref()))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let fault = self.faults.strike(Call::Get, key);
        let nothing = Err(ErrorKind::NotFound);
        let body = carry_out(
            fault.as_ref(),
            Call::Get,
            key,
            nothing,
            self.inner.get_range(key, range),
        )
        .await?;
        Ok(spoiled(body, fault.as_ref()))
    }

    async fn get_range_of_name(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let fault = self.faults.strike(Call::Get, key);
        let deed = self.inner.get_range_of_name(key, range);
        let body = carry_out(fault.as_ref(), Call::Get, key, Err(ErrorKind::NotFound), deed).await?;
        Ok(spoiled(body, fault.as_ref()))
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StorageError> {
        let fault = self.faults.strike(Call::Head, key);
        carry_out(
            fault.as_ref(),
            Call::Head,
            key,
            Err(ErrorKind::NotFound),
            self.inner.head(key),
        )
        .await
    }

    async fn list_page(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        let fault = self.faults.strike(Call::List, query.prefix);
        carry_out(
            fault.as_ref(),
            Call::List,
            query.prefix,
            Ok(ListPage::default()),
            self.inner.list_page(query),
        )
        .await
    }

    async fn list_page_ever(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        let fault = self.faults.strike(Call::List, query.prefix);
        let (prefix, nothing) = (query.prefix, Ok(ListPage::default()));
        let deed = self.inner.list_page_ever(query);
        carry_out(fault.as_ref(), Call::List, prefix, nothing, deed).await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        let fault = self.faults.strike(Call::Delete, key);
        carry_out(fault.as_ref(), Call::Delete, key, Ok(()), self.inner.delete(key)).await
    }

    async fn versions(&self, key: &str) -> Result<Vec<ObjectVersion>, StorageError> {
        let fault = self.faults.strike(Call::Versions, key);
        let deed = self.inner.versions(key);
        carry_out(fault.as_ref(), Call::Versions, key, Ok(Vec::new()), deed).await
    }

    async fn get_version(&self, key: &str, version: &str, max: u64) -> Result<Bytes, StorageError> {
        let fault = self.faults.strike(Call::Get, key);
        let deed = self.inner.get_version(key, version, max);
        let body = carry_out(fault.as_ref(), Call::Get, key, Err(ErrorKind::NotFound), deed).await?;
        Ok(spoiled(body, fault.as_ref()))
    }

    async fn get_version_range(&self, key: &str, version: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        let fault = self.faults.strike(Call::Get, key);
        let deed = self.inner.get_version_range(key, version, range);
        let body = carry_out(fault.as_ref(), Call::Get, key, Err(ErrorKind::NotFound), deed).await?;
        Ok(spoiled(body, fault.as_ref()))
    }

    async fn recover(&self, key: &str, max: u64, fits: Fits<'_>) -> Result<Option<Bytes>, StorageError> {
        self.inner.recover(key, max, fits).await
    }

    fn recovered(&self) -> Vec<Recovered> {
        self.inner.recovered()
    }

    async fn head_version(&self, key: &str, version: &str) -> Result<ObjectHead, StorageError> {
        let fault = self.faults.strike(Call::Head, key);
        let deed = self.inner.head_version(key, version);
        carry_out(fault.as_ref(), Call::Head, key, Err(ErrorKind::NotFound), deed).await
    }

    async fn delete_version(&self, key: &str, version: &str) -> Result<(), StorageError> {
        let fault = self.faults.strike(Call::Delete, key);
        let deed = self.inner.delete_version(key, version);
        carry_out(fault.as_ref(), Call::Delete, key, Ok(()), deed).await
    }

    async fn hold(&self, key: &str, retention: Retention) -> Result<Retention, StorageError> {
        let fault = self.faults.strike(Call::Hold, key);
        let deed = self.inner.hold(key, retention);
        carry_out(fault.as_ref(), Call::Hold, key, Ok(retention), deed).await
    }

    async fn refuses_to_replace(&self, key: &str, unchanged: Bytes) -> Result<bool, StorageError> {
        let fault = self.faults.strike(Call::Put, key);
        // A place that drops a write says that it is done.
        let deed = self.inner.refuses_to_replace(key, unchanged);
        carry_out(fault.as_ref(), Call::Put, key, Ok(false), deed).await
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
