//! Objects in an S3 bucket, Amazon's or a compatible server's: `s3://bucket/prefix`.
//!
//! Each object is one PUT whose payload hash is signed, so that the server refuses what changed on the way. Retries are ours, not the
//! SDK's: a repeated `Create` must know that an earlier try may have landed. Nothing waits without a bound ([`Patience`]).

mod bucket;
mod calls;
mod connect;
mod download;
mod failure;
mod frames;
mod probe;
mod retry;
mod versions;

use std::fmt;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use bytes::Bytes;

use super::error::{ErrorKind, StorageError};
use super::key::{check_key, check_prefix};
use super::recheck::downgraded;
use super::{
    Capabilities, ListPage, ListQuery, MAX_OBJECT, ObjectHead, ObjectStore, ObjectVersion, PutMode, PutOptions,
    Retention, check_length, check_range,
};
use calls::{How, Page};
use download::Want;
use failure::Failure;
use retry::Budget;

use crate::RateLimit;

pub use bucket::{InspectedBucket, inspect_bucket};
pub(super) use connect::open;

/// How an S3 server is reached.
#[derive(Debug, Clone, Default)]
pub struct S3Options {
    /// The server's URL; without it what the environment and profile say, or Amazon's of the region.
    pub endpoint: Option<String>,
    /// The region; without it what the environment and profile say.
    pub region: Option<String>,
    /// Whether the bucket stands in the path instead of the host name; without it, yes wherever there is an endpoint.
    pub path_style: Option<bool>,
    /// The profile of the shared AWS configuration files; without it what `AWS_PROFILE` says, or `default`.
    pub profile: Option<String>,
    /// Who asks; without it the environment, the profile, or the machine's own role.
    pub credentials: Option<Credentials>,
    /// How long to wait and to try again.
    pub patience: Patience,
}

/// An access key and its secret.
#[derive(Clone)]
pub struct Credentials {
    /// The public part.
    pub access_key_id: String,
    /// The secret part.
    pub secret_access_key: String,
    /// For temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?}, …)", self.access_key_id)
    }
}

/// How long to wait for a server, and how long to try again.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the next sign of life: an answer to a small request, the next bytes of a body.
    pub stall: Duration,
    /// Tries at a server that never answered this process: a wrong address shows soon.
    pub unreached: Duration,
    /// Tries at a server that answered before, or says that it is busy: a restart of it does not end a backup.
    pub outage: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            stall: Duration::from_secs(30),
            unreached: Duration::from_secs(2),
            outage: Duration::from_secs(60),
        }
    }
}

/// A listing that only shows whether one may list.
const ANYTHING: ListQuery<'static> = ListQuery {
    prefix: "",
    after: None,
    max: 1,
    folders: false,
};

/// What a version is called where versioning is off or suspended.
const UNVERSIONED: &str = "null";

/// Objects beneath a prefix of one bucket.
struct S3Store {
    client: Client,
    bucket: String,
    /// Empty, or ends with `/`.
    prefix: String,
    /// For a bucket that must be made; none where the server has its own idea.
    location: Option<String>,
    patience: Patience,
    relies: Mutex<Capabilities>,
    budget: Budget,
    answered: AtomicBool,
    /// How fast bodies go out.
    pace: OnceLock<Arc<RateLimit>>,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Store({})", self.url())
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn put(&self, key: &str, body: Bytes, options: PutOptions) -> Result<(), StorageError> {
        check_key(key)?;
        check_length(key, &body)?;
        let attempt = format!("write {key} in {}", self.url());
        let relies = self.relies();
        let create = options.mode == PutMode::Create;
        if create && !relies.conditional_create && self.is_there(key).await? {
            return Err(StorageError::new(ErrorKind::AlreadyExists, key, attempt));
        }
        let how = How {
            only_new: create && relies.conditional_create,
            only_over: None,
            // Amazon takes no lock without it.
            sha256: (relies.checksum || options.retention.is_some()).then(|| calls::sha256(&body)),
            retention: options.retention,
        };
        let mut tries = 0;
        let written = self
            .retry(key, &attempt, &mut tries, || self.put_once(key, body.clone(), &how))
            .await;
        let version = match written {
            Err(error) if error.kind == ErrorKind::AlreadyExists && tries > 1 => {
                // Who may not read what is there cannot tell, and then the name is taken.
                if !self.get_limited(key, MAX_OBJECT).await.is_ok_and(|found| found == body) {
                    return Err(error);
                }
                self.head(key).await?.version
            }
            written => written?,
        };
        if relies.versions && version.as_deref().is_none_or(|version| version == UNVERSIONED) {
            return Err(downgraded(&self.url(), key, "versions").hint(
                "the bucket kept versions and keeps none now, so what is overwritten or deleted would be lost: switch versioning on \
                 again; `muster init` with the root key signs that it is so now",
            ));
        }
        match options.retention {
            None => Ok(()),
            Some(wanted) => self.read_back(key, version, wanted).await.map(|_| ()),
        }
    }

    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, StorageError> {
        check_key(key)?;
        let attempt = format!("read {key} in {}", self.url());
        let (version, range, max) = (None, None, max.min(MAX_OBJECT));
        self.fetch(
            &Want {
                key,
                version,
                range,
                max,
            },
            &attempt,
        )
        .await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        check_key(key)?;
        check_range(key, &range)?;
        let attempt = format!("read bytes {}..{} of {key} in {}", range.start, range.end, self.url());
        if range.is_empty() {
            // HTTP has no empty range.
            let short = self.head(key).await?.size < range.end;
            return if short {
                Err(StorageError::new(ErrorKind::Truncated, key, attempt))
            } else {
                Ok(Bytes::new())
            };
        }
        let (version, range, max) = (None, Some(range), MAX_OBJECT);
        self.fetch(
            &Want {
                key,
                version,
                range,
                max,
            },
            &attempt,
        )
        .await
    }

    async fn get_version_range(&self, key: &str, version: &str, range: Range<u64>) -> Result<Bytes, StorageError> {
        check_key(key)?;
        check_range(key, &range)?;
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let (begin, end) = (range.start, range.end);
        let attempt = format!(
            "read bytes {begin}..{end} of version {version} of {key} in {}",
            self.url()
        );
        let (version, range, max) = (Some(version), Some(range), MAX_OBJECT);
        self.fetch(
            &Want {
                key,
                version,
                range,
                max,
            },
            &attempt,
        )
        .await
    }

    async fn head(&self, key: &str) -> Result<ObjectHead, StorageError> {
        check_key(key)?;
        let attempt = format!("look at {key} in {}", self.url());
        self.retry(key, &attempt, &mut 0, || {
            self.head_once(key, None, self.relies().checksum)
        })
        .await
    }

    async fn list_page(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        check_prefix(query.prefix)?;
        let attempt = format!("list {:?} in {}", query.prefix, self.url());
        let once = |token| self.list_once(&query, token);
        self.page_of(&query, attempt, once).await
    }

    async fn list_page_ever(&self, query: ListQuery<'_>) -> Result<ListPage, StorageError> {
        check_prefix(query.prefix)?;
        let attempt = format!("list the versions below {:?} in {}", query.prefix, self.url());
        let once = |token| self.list_ever_once(&query, token);
        self.page_of(&query, attempt, once).await
    }

    async fn delete(&self, key: &str) -> Result<(), StorageError> {
        check_key(key)?;
        let attempt = format!("delete {key} in {}", self.url());
        match self.retry(key, &attempt, &mut 0, || self.delete_once(key)).await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    async fn versions(&self, key: &str) -> Result<Vec<ObjectVersion>, StorageError> {
        check_key(key)?;
        let attempt = format!("list the versions of {key} in {}", self.url());
        self.retry(key, &attempt, &mut 0, || self.versions_once(key)).await
    }

    async fn get_version(&self, key: &str, version: &str, max: u64) -> Result<Bytes, StorageError> {
        check_key(key)?;
        let attempt = format!("read version {version} of {key} in {}", self.url());
        let (version, range, max) = (Some(version), None, max.min(MAX_OBJECT));
        self.fetch(
            &Want {
                key,
                version,
                range,
                max,
            },
            &attempt,
        )
        .await
    }

    async fn head_version(&self, key: &str, version: &str) -> Result<ObjectHead, StorageError> {
        check_key(key)?;
        let attempt = format!("look at version {version} of {key} in {}", self.url());
        self.retry(key, &attempt, &mut 0, || {
            self.head_once(key, Some(version), self.relies().checksum)
        })
        .await
    }

    async fn delete_version(&self, key: &str, version: &str) -> Result<(), StorageError> {
        check_key(key)?;
        let attempt = format!("delete version {version} of {key} in {}", self.url());
        self.retry(key, &attempt, &mut 0, || self.delete_version_once(key, version))
            .await
    }

    async fn hold(&self, key: &str, retention: Retention) -> Result<Retention, StorageError> {
        let head = self.head(key).await?;
        match head.retention {
            Some(held) if held.covers(&retention) => return Ok(held),
            _ => {}
        }
        let attempt = format!("lock {key} in {}", self.url());
        let Some(version) = head.version else {
            let error = StorageError::new(ErrorKind::NotHeld, key, attempt);
            return Err(
                error.hint("the bucket keeps no versions: `object_lock` needs one that was made with object lock")
            );
        };
        let extended = self
            .retry(key, &attempt, &mut 0, || self.retain_once(key, &version, retention))
            .await;
        match (extended, self.read_back(key, Some(version), retention).await) {
            (Ok(()), held) => held,
            // No server shortens a lock: another run extended it further meanwhile.
            (Err(_), Ok(held)) => Ok(held),
            (Err(error), Err(_)) => Err(error),
        }
    }

    fn url(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
            .trim_end_matches('/')
            .to_owned()
    }

    async fn prepare(&self) -> Result<(), StorageError> {
        self.make_bucket(false).await
    }

    async fn prepare_held(&self) -> Result<(), StorageError> {
        self.make_bucket(true).await
    }

    fn pace(&self, limit: &Arc<RateLimit>) -> bool {
        self.pace.set(Arc::clone(limit)).is_ok()
    }

    fn rely_on_conditional_create(&self, proven: bool) {
        self.relies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .conditional_create = proven;
    }

    fn rely_on(&self, proven: Capabilities) {
        *self.relies.lock().unwrap_or_else(PoisonError::into_inner) = proven;
    }

    async fn refuses_to_replace(&self, key: &str, unchanged: Bytes) -> Result<bool, StorageError> {
        check_key(key)?;
        let attempt = format!("write {key} in {}", self.url());
        let how = How {
            only_new: true,
            ..How::default()
        };
        match self
            .retry(key, &attempt, &mut 0, || self.put_once(key, unchanged.clone(), &how))
            .await
        {
            Ok(_) => Ok(false),
            Err(error) if error.kind == ErrorKind::AlreadyExists => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn try_out(&self, key: &str) -> Result<Capabilities, StorageError> {
        self.try_headers(key).await
    }
}

impl S3Store {
    /// One page out of as many answers as it takes.
    async fn page_of<T, F>(
        &self,
        query: &ListQuery<'_>,
        attempt: String,
        once: impl Fn(Option<T>) -> F,
    ) -> Result<ListPage, StorageError>
    where
        T: Clone + PartialEq,
        F: Future<Output = Result<Page<T>, Failure>>,
    {
        let mut found = ListPage::default();
        let mut token = None;
        loop {
            let page = self.retry("", &attempt, &mut 0, || once(token.clone())).await?;
            let in_order = found.last() <= page.first.as_deref();
            if page.first.is_some() && !in_order {
                let error = StorageError::new(ErrorKind::Other, "", attempt);
                return Err(error.hint("the server's listing is not sorted"));
            }
            // Versions of one name may lie on both sides of an answer's end.
            let last = found.last().map(str::to_owned);
            let is_new = |name: &str| Some(name) != last.as_deref();
            found
                .objects
                .extend(page.objects.into_iter().filter(|object| is_new(&object.key)));
            found
                .folders
                .extend(page.folders.into_iter().filter(|folder| is_new(folder)));
            let full = found.objects.len() + found.folders.len() >= query.max;
            match page.next {
                None => return Ok(found),
                _ if full => return Ok(ListPage { more: true, ..found }),
                next if next == token => {
                    let error = StorageError::new(ErrorKind::Other, "", attempt);
                    return Err(error.hint("the server's listing goes round in circles"));
                }
                next => token = next,
            }
        }
    }

    async fn make_bucket(&self, locks: bool) -> Result<(), StorageError> {
        let attempt = format!("look for bucket {}", self.bucket);
        match self.retry("", &attempt, &mut 0, || self.head_bucket_once()).await {
            Err(error) if error.is_not_found() => {}
            // A HEAD has no body: it takes another question to learn whether the credentials are wrong or only this is not allowed,
            // and who may not ask may still be allowed to write.
            Err(error) if error.kind == ErrorKind::Denied => {
                return match self
                    .retry("", &attempt, &mut 0, || self.list_once(&ANYTHING, None))
                    .await
                {
                    Err(error) if error.kind != ErrorKind::Denied || error.hint.is_some() => Err(error),
                    _ => Ok(()),
                };
            }
            answer => return answer,
        }
        let attempt = format!("create bucket {}", self.bucket);
        self.retry("", &attempt, &mut 0, || self.create_bucket_once(locks))
            .await
    }

    fn relies(&self) -> Capabilities {
        *self.relies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the server says that it holds; what it was told proves nothing.
    async fn read_back(
        &self,
        key: &str,
        version: Option<String>,
        wanted: Retention,
    ) -> Result<Retention, StorageError> {
        let attempt = format!("lock {key} in {}", self.url());
        let refused = |hint: &str| StorageError::new(ErrorKind::NotHeld, key, attempt.clone()).hint(hint);
        let Some(version) = version.filter(|version| version != UNVERSIONED) else {
            return Err(refused(
                "the server took the lock and named no version that it could belong to",
            ));
        };
        let told = self.head_version(key, &version).await?.retention;
        let found = match told {
            Some(found) => Some(found),
            None => {
                self.retry(key, &attempt, &mut 0, || self.retention_once(key, &version))
                    .await?
            }
        };
        match found {
            Some(found) if found.covers(&wanted) => Ok(found),
            Some(_) => Err(refused("the server took the lock and keeps a weaker one")),
            None => Err(refused("the server took the lock and keeps none")),
        }
    }

    async fn is_there(&self, key: &str) -> Result<bool, StorageError> {
        match self.head(key).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
