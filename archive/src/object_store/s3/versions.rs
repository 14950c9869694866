//! Versions and their locks: one request and its answer each. A lock belongs to a version, never to a name.

use std::collections::BTreeMap;

use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode};
use time::OffsetDateTime;

use super::S3Store;
use super::calls::{PAGE, Page};
use super::failure::Failure;
use crate::object_store::{ErrorKind, ListQuery, LockMode, ObjectMeta, ObjectVersion, Retention};

/// Versions of one object that are looked at, the newest first: what a server lists in one page.
const MOST_VERSIONS: i32 = 1_000;

impl S3Store {
    pub(super) async fn versions_once(&self, key: &str) -> Result<Vec<ObjectVersion>, Failure> {
        let full = self.full(key);
        let request = self
            .client
            .list_object_versions()
            .bucket(&self.bucket)
            .prefix(&full)
            .max_keys(MOST_VERSIONS);
        let answer = self.within(0, request.send()).await?.map_err(Failure::from_sdk)?;
        let bytes = |size: Option<i64>| size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        let objects = answer.versions().iter().filter(|found| found.key() == Some(&full));
        let objects = objects.map(|found| {
            let size = bytes(found.size());
            (
                found.version_id(),
                size,
                found.is_latest(),
                false,
                found.last_modified(),
            )
        });
        let markers = answer
            .delete_markers()
            .iter()
            .filter(|found| found.key() == Some(&full));
        let markers = markers.map(|found| (found.version_id(), 0, found.is_latest(), true, found.last_modified()));
        let mut found: Vec<_> = objects
            .chain(markers)
            .filter_map(|(id, size, newest, delete_marker, written)| {
                let version = ObjectVersion {
                    id: id?.to_owned(),
                    size,
                    newest: newest == Some(true),
                    delete_marker,
                };
                Some((version, written.map_or(0, DateTime::as_nanos)))
            })
            .collect();
        // Stable: among versions of one instant the server's order stands.
        found.sort_by_key(|(version, written)| std::cmp::Reverse((version.newest, *written)));
        Ok(found.into_iter().map(|(version, _)| version).collect())
    }

    /// A page of all names that any version is kept under, hidden ones among them.
    pub(super) async fn list_ever_once(
        &self,
        query: &ListQuery<'_>,
        after: Option<(String, Option<String>)>,
    ) -> Result<Page<(String, Option<String>)>, Failure> {
        let (key, version) = match after {
            Some((key, version)) => (Some(key), version),
            None => (query.after.map(|after| self.full(after)), None),
        };
        let request = self
            .client
            .list_object_versions()
            .bucket(&self.bucket)
            .prefix(self.full(query.prefix))
            // Versions count here, and a name may have many.
            .max_keys(if query.folders { i32::try_from(query.max).unwrap_or(PAGE).clamp(1, PAGE) } else { PAGE })
            .set_delimiter(query.folders.then(|| "/".to_owned()))
            .set_key_marker(key)
            .set_version_id_marker(version);
        let answer = self.within(0, request.send()).await?.map_err(Failure::from_sdk)?;
        let bytes = |size: Option<i64>| size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        let versions = answer.versions().iter().map(|found| (found.key(), bytes(found.size())));
        let markers = answer.delete_markers().iter().map(|found| (found.key(), 0u64));
        let mut names: BTreeMap<String, u64> = BTreeMap::new();
        for (key, size) in versions.chain(markers) {
            if let Some(key) = self.listed(query, key) {
                let most = names.entry(key.to_owned()).or_default();
                *most = size.max(*most);
            }
        }
        let objects = names.into_iter().map(|(key, size)| ObjectMeta { key, size }).collect();
        let mut folders = self.folders(query, answer.common_prefixes());
        folders.sort_unstable();
        let next = answer.next_key_marker().filter(|_| answer.is_truncated() == Some(true));
        let next = next.map(|key| (key.to_owned(), answer.next_version_id_marker().map(str::to_owned)));
        if answer.is_truncated() == Some(true) && next.is_none() {
            return Err(Failure::new(ErrorKind::Other).hint("the server's listing breaks off"));
        }
        Ok(Page::of(objects, folders, next))
    }

    pub(super) async fn delete_version_once(&self, key: &str, version: &str) -> Result<(), Failure> {
        let request = self
            .client
            .delete_object()
            .bucket(&self.bucket)
            .key(self.full(key))
            .version_id(version);
        self.within(0, request.send()).await?.map_err(Failure::from_sdk)?;
        Ok(())
    }

    /// The lock on a version, from those servers too that do not tell it with a HEAD.
    pub(super) async fn retention_once(&self, key: &str, version: &str) -> Result<Option<Retention>, Failure> {
        let request = self.client.get_object_retention().bucket(&self.bucket);
        let request = request.key(self.full(key)).version_id(version);
        let answer = match self.within(0, request.send()).await?.map_err(Failure::from_sdk) {
            Err(failure) if failure.says_there_is_no_lock() => return Ok(None),
            answer => answer?,
        };
        let retention = answer.retention();
        Ok(lock(
            retention
                .and_then(ObjectLockRetention::mode)
                .map(ObjectLockRetentionMode::as_str),
            retention.and_then(ObjectLockRetention::retain_until_date),
        ))
    }

    pub(super) async fn retain_once(&self, key: &str, version: &str, wanted: Retention) -> Result<(), Failure> {
        let mode = match wanted.mode {
            LockMode::Governance => ObjectLockRetentionMode::Governance,
            LockMode::Compliance => ObjectLockRetentionMode::Compliance,
        };
        let retention = ObjectLockRetention::builder()
            .mode(mode)
            .retain_until_date(DateTime::from_secs(wanted.until.unix_timestamp()))
            .build();
        let request = self.client.put_object_retention().bucket(&self.bucket);
        let request = request.key(self.full(key)).version_id(version).retention(retention);
        let done = self.within(0, request.send()).await?.map_err(Failure::from_sdk);
        done.map(|_| ()).map_err(Failure::of_a_lock)
    }
}

/// A lock as a server tells it; another mode than the two that bind is none.
pub(super) fn lock(mode: Option<&str>, until: Option<&DateTime>) -> Option<Retention> {
    let mode = match mode {
        Some("GOVERNANCE") => LockMode::Governance,
        Some("COMPLIANCE") => LockMode::Compliance,
        _ => return None,
    };
    let until = OffsetDateTime::from_unix_timestamp_nanos(until?.as_nanos()).ok()?;
    Some(Retention { mode, until })
}

/// A lock as it is asked for with a PUT.
pub(super) fn asked(wanted: Retention) -> (ObjectLockMode, DateTime) {
    let mode = match wanted.mode {
        LockMode::Governance => ObjectLockMode::Governance,
        LockMode::Compliance => ObjectLockMode::Compliance,
    };
    (mode, DateTime::from_secs(wanted.until.unix_timestamp()))
}

impl Failure {
    fn says_there_is_no_lock(&self) -> bool {
        let without = [
            "NoSuchObjectLockConfiguration",
            "ObjectLockConfigurationNotFoundError",
            "InvalidRequest",
        ];
        self.kind() == ErrorKind::NotFound || without.contains(&self.code())
    }

    /// A refusal to lock: the bucket or the server cannot, or this user may not.
    pub(super) fn of_a_lock(self) -> Self {
        match self.kind() {
            ErrorKind::Other => self
                .with_kind(ErrorKind::NotHeld)
                .hint("`object_lock` needs a server that has it and a bucket that was made with it"),
            ErrorKind::Denied if !self.has_hint() => {
                self.hint("`object_lock` needs the rights s3:PutObjectRetention and s3:GetObjectRetention")
            }
            _ => self,
        }
    }
}
