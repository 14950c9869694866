//! One request and its answer each, without retries. Whatever a server sends is checked against what was asked.

use std::sync::Arc;

use aws_sdk_s3::types::{
    BucketLocationConstraint, ChecksumMode, CommonPrefix, CreateBucketConfiguration, ObjectLockMode,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use muster_signing::Digest;

use super::S3Store;
use super::failure::Failure;
use crate::object_store::key::is_key;
use crate::object_store::{ErrorKind, ListQuery, ObjectHead, ObjectMeta, Retention};

/// One page of a listing.
pub(super) struct Page<T> {
    pub(super) objects: Vec<ObjectMeta>,
    pub(super) folders: Vec<String>,
    /// The least name in it.
    pub(super) first: Option<String>,
    /// With what the next one is asked for.
    pub(super) next: Option<T>,
}

impl<T> Page<T> {
    pub(super) fn of(objects: Vec<ObjectMeta>, folders: Vec<String>, next: Option<T>) -> Self {
        let least = [
            objects.first().map(|object| object.key.as_str()),
            folders.first().map(String::as_str),
        ];
        let first = least.into_iter().flatten().min().map(str::to_owned);
        Self {
            objects,
            folders,
            first,
            next,
        }
    }
}

/// Entries of a page, at most, by S3's own rule.
pub(super) const PAGE: i32 = 1_000;

/// The SHA-256 of a body, as a header says it.
pub(super) fn sha256(body: &[u8]) -> String {
    STANDARD.encode(Digest::of(body).as_bytes())
}

/// How an object is written.
#[derive(Debug, Default)]
pub(super) struct How {
    /// Only where there is none.
    pub(super) only_new: bool,
    /// Only over the object with this tag.
    pub(super) only_over: Option<String>,
    /// Base64 of what the server is to compare the bytes with, and to keep.
    pub(super) sha256: Option<String>,
    /// The lock that comes with it.
    pub(super) retention: Option<Retention>,
}

fn digest(base64: &str) -> Option<Digest> {
    let bytes = STANDARD.decode(base64).ok()?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Digest::from_hex(&hex).ok()
}

fn moment(at: &aws_sdk_s3::primitives::DateTime) -> Option<time::OffsetDateTime> {
    time::OffsetDateTime::from_unix_timestamp_nanos(at.as_nanos()).ok()
}

impl S3Store {
    pub(super) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Writes; says under which version, where there are any.
    pub(super) async fn put_once(&self, key: &str, body: Bytes, how: &How) -> Result<Option<String>, Failure> {
        let taken = Arc::default();
        let request = self.client.put_object().bucket(&self.bucket).key(self.full(key));
        let (mode, until) = how.retention.map(super::versions::asked).unzip();
        let request = request
            .body(super::frames::body(body, &taken, self.pace.get()))
            .set_if_none_match(how.only_new.then(|| "*".to_owned()))
            .set_if_match(how.only_over.clone())
            .set_checksum_sha256(how.sha256.clone())
            .set_object_lock_mode(mode)
            .set_object_lock_retain_until_date(until);
        let answer = self
            .while_taken(&taken, request.send())
            .await?
            .map_err(Failure::from_sdk);
        let answer = match how.retention {
            Some(_) => answer.map_err(Failure::of_a_lock),
            None => answer,
        };
        Ok(answer?.version_id().map(str::to_owned))
    }

    /// `checksum`: the server is asked for the checksum that it keeps.
    pub(super) async fn head_once(
        &self,
        key: &str,
        version: Option<&str>,
        checksum: bool,
    ) -> Result<ObjectHead, Failure> {
        let request = self.client.head_object().bucket(&self.bucket).key(self.full(key));
        let request = request
            .set_version_id(version.map(str::to_owned))
            .set_checksum_mode(checksum.then_some(ChecksumMode::Enabled));
        let answer = self.within(0, request.send()).await?.map_err(Failure::from_sdk)?;
        let length = answer.content_length().and_then(|length| u64::try_from(length).ok());
        let Some(size) = length else {
            return Err(Failure::new(ErrorKind::Other).hint("the server does not say how long it is"));
        };
        Ok(ObjectHead {
            size,
            sha256: answer.checksum_sha256().and_then(digest),
            version: answer.version_id().map(str::to_owned),
            retention: super::versions::lock(
                answer.object_lock_mode().map(ObjectLockMode::as_str),
                answer.object_lock_retain_until_date(),
            ),
            modified: answer.last_modified().and_then(moment),
        })
    }

    /// A page of what muster may have written; other names in the bucket are not objects of a repository.
    pub(super) async fn list_once(
        &self,
        query: &ListQuery<'_>,
        token: Option<String>,
    ) -> Result<Page<String>, Failure> {
        let request = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(self.full(query.prefix))
            .max_keys(i32::try_from(query.max).unwrap_or(PAGE).clamp(1, PAGE))
            .set_delimiter(query.folders.then(|| "/".to_owned()))
            .set_start_after(query.after.map(|after| self.full(after)))
            .set_continuation_token(token);
        let answer = self.within(0, request.send()).await?.map_err(Failure::from_sdk)?;
        let mut objects = Vec::new();
        for object in answer.contents() {
            let Some(key) = self.listed(query, object.key()) else {
                continue;
            };
            let size = object.size().and_then(|size| u64::try_from(size).ok());
            let Some(size) = size else {
                return Err(Failure::new(ErrorKind::Other).hint("the server lists an object without its size"));
            };
            objects.push(ObjectMeta {
                key: key.to_owned(),
                size,
            });
        }
        let folders = self.folders(query, answer.common_prefixes());
        if !objects.is_sorted_by(|a, b| a.key < b.key) || !folders.is_sorted_by(|a, b| a < b) {
            return Err(Failure::new(ErrorKind::Other).hint("the server's listing is not sorted"));
        }
        let next = match (answer.is_truncated(), answer.next_continuation_token()) {
            (Some(true), None) => {
                return Err(Failure::new(ErrorKind::Other).hint("the server's listing breaks off"));
            }
            (Some(true), next) => next.map(str::to_owned),
            _ => None,
        };
        Ok(Page::of(objects, folders, next))
    }

    /// A listed name, if it is one that was asked for.
    pub(super) fn listed<'k>(&self, query: &ListQuery<'_>, name: Option<&'k str>) -> Option<&'k str> {
        let key = name?.strip_prefix(&self.prefix)?;
        let wanted = is_key(key) && key.starts_with(query.prefix) && query.after.is_none_or(|after| key > after);
        wanted.then_some(key)
    }

    pub(super) fn folders(&self, query: &ListQuery<'_>, listed: &[CommonPrefix]) -> Vec<String> {
        let folders = listed
            .iter()
            .filter_map(|folder| folder.prefix()?.strip_prefix(&self.prefix));
        folders
            .filter(|folder| folder.strip_suffix('/').is_some_and(is_key) && folder.starts_with(query.prefix))
            .filter(|folder| query.after.is_none_or(|after| *folder > after))
            .map(str::to_owned)
            .collect()
    }

    pub(super) async fn delete_once(&self, key: &str) -> Result<(), Failure> {
        let request = self.client.delete_object().bucket(&self.bucket).key(self.full(key));
        self.within(0, request.send()).await?.map_err(Failure::from_sdk)?;
        Ok(())
    }

    pub(super) async fn head_bucket_once(&self) -> Result<(), Failure> {
        let request = self.client.head_bucket().bucket(&self.bucket);
        self.within(0, request.send()).await?.map_err(Failure::from_sdk)?;
        Ok(())
    }

    pub(super) async fn create_bucket_once(&self, locks: bool) -> Result<(), Failure> {
        let place = self.location.as_deref().map(|region| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(region))
                .build()
        });
        let request = self
            .client
            .create_bucket()
            .set_object_lock_enabled_for_bucket(locks.then_some(true))
            .bucket(&self.bucket)
            .set_create_bucket_configuration(place);
        match self.within(0, request.send()).await? {
            // Another run of ours was quicker.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|said| said.is_bucket_already_owned_by_you()) =>
            {
                Ok(())
            }
            made => made.map(|_| ()).map_err(Failure::from_sdk),
        }
    }
}
