//! Where the objects of a repository lie: one small trait, and the places that keep it.
//!
//! The contract is executable (`tests/kit/src/contract.rs`) and every place passes it: a `Create` never replaces, a write is whole
//! or absent, a listing is complete and sorted, and an error says whether the data is wrong or could only not be had now.

mod capabilities;
mod error;
mod holding;
mod key;
mod limited;
mod local;
mod memory;
mod meta;
mod open;
mod probe;
mod recheck;
mod recovering;
mod s3;

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::RateLimit;

pub use capabilities::Capabilities;
pub use error::{ErrorKind, StorageError};
pub use holding::{HoldingStore, LockPolicy};
pub use key::{check_key, is_key};
pub use limited::{LimitedStore, Limits};
pub use local::LocalStore;
pub use memory::MemoryStore;
pub use meta::{ListPage, ListQuery, LockMode, ObjectHead, ObjectMeta, ObjectVersion, PutMode, PutOptions, Retention};
pub use open::open;
pub(crate) use probe::keeps_versions;
pub use probe::{probe, probe_conditional_create};
pub use recheck::recheck;
pub use recovering::{Recovered, RecoveringStore};
pub use s3::{Credentials, InspectedBucket, Patience, S3Options, inspect_bucket};

/// The longest object that is written or read whole: twice the longest pack.
pub const MAX_OBJECT: u64 = 128 << 20;

/// Entries of one page where all are wanted: what S3 gives at most.
const PAGE: usize = 1_000;

/// Whether these bytes are an object's right ones.
pub type Fits<'a> = &'a (dyn Fn(&[u8]) -> bool + Sync);

/// A place that holds objects under keys (see [`is_key`]).
#[async_trait]
pub trait ObjectStore: Debug + Send + Sync {
    /// Writes an object: when it returns `Ok` the bytes are durable and held as long as was asked, when it does not the old state
    /// stands or the write is whole. A place that cannot hold what must be held refuses with [`ErrorKind::NotHeld`].
    async fn put(&self, key: &str, body: Bytes, options: PutOptions) -> Result<(), StorageError>;

    /// Reads an object of at most `max` bytes; a longer one is [`ErrorKind::TooLarge`], and nothing is allocated for it.
    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, StorageError>;

    /// Reads a whole object.
    async fn get(&self, key: &str) -> Result<Bytes, StorageError> {
        self.get_limited(key, MAX_OBJECT).await
    }

    /// Reads exactly these bytes; an object that ends before `range.end` is [`ErrorKind::Truncated`].
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError>;

    /// Reads the same bytes of the object that this key was first given to, for whoever found those of [`Self::get_range`] wrong. Where the
    /// key ends in a SHA-256 and the place keeps versions, the version of that SHA-256 is looked for.
    async fn get_range_of_name(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        self.get_range(key, range).await
    }

    /// Says how long an object is, and what else the place knows of it.
    async fn head(&self, key: &str) -> Result<ObjectHead, StorageError>;

    /// One page of the objects whose keys begin with a prefix.
    async fn list_page(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError>;

    /// All objects whose keys begin with `prefix` (not necessarily a whole component), sorted by the bytes of their keys.
    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StorageError> {
        let mut found: Vec<ObjectMeta> = Vec::new();
        loop {
            let after = found.last().map(|object| object.key.clone());
            let query = ListQuery {
                prefix,
                after: after.as_deref(),
                max: PAGE,
                folders: false,
            };
            let page = self.list_page(query).await?;
            let ascends = page.last() > after.as_deref();
            if page.more && !ascends {
                let error = StorageError::new(ErrorKind::Other, "", format!("list {prefix:?} in {}", self.url()));
                return Err(error.hint("the listing goes round in circles"));
            }
            found.extend(page.objects);
            if !page.more {
                return Ok(found);
            }
        }
    }

    /// The same page of all names that any version is kept under, those that delete markers hide among them. A place without versions has
    /// none of those; one that cannot tell fails with [`ErrorKind::Other`] or [`ErrorKind::Denied`].
    async fn list_page_ever(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        self.list_page(query).await
    }

    /// Removes an object; one that is not there is removed already.
    async fn delete(&self, key: &str) -> Result<(), StorageError>;

    /// The versions of an object and its delete markers, newest first; none where the place keeps only what is newest.
    async fn versions(&self, key: &str) -> Result<Vec<ObjectVersion>, StorageError> {
        check_key(key).map(|()| Vec::new())
    }

    /// Reads one version of an object, at most `max` bytes.
    async fn get_version(&self, key: &str, version: &str, _max: u64) -> Result<Bytes, StorageError> {
        check_key(key)?;
        Err(no_versions(self.url(), key, version))
    }

    /// Reads exactly these bytes of one version.
    async fn get_version_range(&self, key: &str, version: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        check_range(key, &range)?;
        let whole = self.get_version(key, version, MAX_OBJECT).await?;
        let ends = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let ends = ends.filter(|(_, end)| *end <= whole.len());
        ends.map(|(start, end)| whole.slice(start..end)).ok_or_else(|| {
            let attempt = format!(
                "read bytes {}..{} of version {version} of {key}",
                range.start, range.end
            );
            StorageError::new(ErrorKind::Truncated, key, attempt)
        })
    }

    /// The newest version of an object that `fits`, for whoever found that what the key means now does not. `None` where there is none, or
    /// the place keeps no versions.
    async fn recover(&self, key: &str, _max: u64, _fits: Fits<'_>) -> Result<Option<Bytes>, StorageError> {
        check_key(key).map(|()| None)
    }

    /// Which names were read from a version that they do not mean any more, sorted.
    fn recovered(&self) -> Vec<Recovered> {
        Vec::new()
    }

    /// What is known of one version of an object.
    async fn head_version(&self, key: &str, version: &str) -> Result<ObjectHead, StorageError> {
        check_key(key)?;
        Err(no_versions(self.url(), key, version))
    }

    /// Removes one version of an object, or a delete marker, for good.
    async fn delete_version(&self, key: &str, version: &str) -> Result<(), StorageError> {
        check_key(key)?;
        Err(no_versions(self.url(), key, version))
    }

    /// Holds the newest version of an object at least so long: looks first, asks only where what is there is not enough, and looks
    /// again. Says what holds it then.
    async fn hold(&self, key: &str, _retention: Retention) -> Result<Retention, StorageError> {
        check_key(key)?;
        Err(cannot_hold(self.url(), key))
    }

    /// Where this is, without secrets, as a user would write it.
    fn url(&self) -> String;

    /// Makes the bucket or root directory if it is missing and may be made. Nothing else makes it.
    async fn prepare(&self) -> Result<(), StorageError>;

    /// The same; what is made can lock objects.
    async fn prepare_held(&self) -> Result<(), StorageError> {
        self.prepare().await
    }

    /// Lets bodies that are written go out no faster than this, piece by piece. `false` where the place takes a body whole, or was
    /// told already: then whoever asks waits before each body.
    fn pace(&self, _limit: &Arc<RateLimit>) -> bool {
        false
    }

    /// Says whether the place was seen to honour conditional create ([`probe_conditional_create`]). Until it is told so, a place
    /// that cannot know looks before it writes, which is right for one writer and not for two at once.
    fn rely_on_conditional_create(&self, proven: bool);

    /// Tells the place what it was seen to honour, so that it leans on that and on nothing else.
    fn rely_on(&self, proven: Capabilities) {
        self.rely_on_conditional_create(proven.conditional_create);
    }

    /// Whether a `Create` over a present object is refused now, by the place itself. `unchanged` are the bytes that are there: where the
    /// condition is ignored, nothing is changed by it.
    async fn refuses_to_replace(&self, key: &str, unchanged: Bytes) -> Result<bool, StorageError> {
        match self.put(key, unchanged, PutOptions::CREATE).await {
            Ok(()) => Ok(false),
            Err(error) if error.kind == ErrorKind::AlreadyExists => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Tries what else the place honours, with objects whose keys begin with `key` and which it removes where it may.
    async fn try_out(&self, key: &str) -> Result<Capabilities, StorageError> {
        check_key(key).map(|()| Capabilities::default())
    }
}

fn no_versions(url: String, key: &str, version: &str) -> StorageError {
    StorageError::new(
        ErrorKind::NotFound,
        key,
        format!("find version {version} of {key} in {url}"),
    )
    .hint("this place keeps no versions")
}

/// Refuses to lock where there are no locks.
fn cannot_hold(url: String, key: &str) -> StorageError {
    StorageError::new(ErrorKind::NotHeld, key, format!("lock {key} in {url}"))
        .hint("`object_lock` needs an S3 bucket that was made with object lock")
}

/// Refuses an empty, backward or overlong range before anything is asked of a server.
fn check_range(key: &str, range: &Range<u64>) -> Result<(), StorageError> {
    if range.start > range.end || range.end - range.start > MAX_OBJECT {
        let attempt = format!("read bytes {}..{} of {key}", range.start, range.end);
        return Err(StorageError::new(ErrorKind::Invalid, key, attempt));
    }
    Ok(())
}

/// Refuses an object that no reader would take back.
fn check_length(key: &str, body: &Bytes) -> Result<(), StorageError> {
    if body.len() as u64 > MAX_OBJECT {
        let attempt = format!("write {} bytes as {key}", body.len());
        return Err(StorageError::new(ErrorKind::TooLarge, key, attempt));
    }
    Ok(())
}
