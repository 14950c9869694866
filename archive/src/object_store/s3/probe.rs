//! What an S3 server does with the headers that muster would lean on: each is tried with a value that an honest server refuses.

use bytes::Bytes;

use super::S3Store;
use super::calls::{How, sha256};
use crate::object_store::{Capabilities, ErrorKind, ObjectStore, StorageError};

/// What servers call a body that does not fit its checksum.
const WRONG_BODY: [&str; 4] = [
    "BadDigest",
    "InvalidDigest",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
];

impl S3Store {
    /// Tries conditions and checksums on objects beside `key`, and removes them where it may.
    pub(super) async fn try_headers(&self, key: &str) -> Result<Capabilities, StorageError> {
        let (over, sum) = (format!("{key}.if-match"), format!("{key}.checksum"));
        let found = Capabilities {
            if_match: self.refuses_another_tag(&over).await?,
            checksum: self.checks_and_keeps_a_checksum(&sum).await?,
            ..Capabilities::default()
        };
        for key in [&over, &sum] {
            let attempt = format!("delete {key} in {}", self.url());
            if let Err(error) = self.retry(key, &attempt, &mut 0, || self.delete_once(key)).await {
                tracing::debug!(%error, key, "the probe stays: nothing names it");
            }
        }
        Ok(found)
    }

    async fn refuses_another_tag(&self, key: &str) -> Result<bool, StorageError> {
        self.written(key, b"first", &How::default()).await?;
        let how = How {
            only_over: Some("\"00000000000000000000000000000000\"".to_owned()),
            ..How::default()
        };
        self.refused(key, b"second", &how).await
    }

    async fn checks_and_keeps_a_checksum(&self, key: &str) -> Result<bool, StorageError> {
        let wrong = How {
            sha256: Some(sha256(b"other bytes")),
            ..How::default()
        };
        if !self.refused(key, b"these bytes", &wrong).await? {
            return Ok(false);
        }
        let right = How {
            sha256: Some(sha256(b"these bytes")),
            ..How::default()
        };
        self.written(key, b"these bytes", &right).await?;
        let attempt = format!("look at {key} in {}", self.url());
        let head = self
            .retry(key, &attempt, &mut 0, || self.head_once(key, None, true))
            .await?;
        Ok(head.sha256 == Some(muster_signing::Digest::of(b"these bytes")))
    }

    async fn written(&self, key: &str, body: &'static [u8], how: &How) -> Result<(), StorageError> {
        let attempt = format!("write {key} in {}", self.url());
        let body = Bytes::from_static(body);
        let mut tries = 0;
        let put = self.retry(key, &attempt, &mut tries, || self.put_once(key, body.clone(), how));
        put.await.map(|_| ())
    }

    /// Whether this write is refused for what it says, which a server may do in several ways; a fault is no refusal.
    async fn refused(&self, key: &str, body: &'static [u8], how: &How) -> Result<bool, StorageError> {
        let attempt = format!("write {key} in {}", self.url());
        let body = Bytes::from_static(body);
        let mut tries = 0;
        let sent = self.retry(key, &attempt, &mut tries, || async {
            match self.put_once(key, body.clone(), how).await {
                Ok(_) => Ok(false),
                // Of a body that was sent as it is, this is the answer and not a bad wire.
                Err(failure) if WRONG_BODY.contains(&failure.code()) => Ok(true),
                Err(failure) => Err(failure),
            }
        });
        match sent.await {
            Err(error) if matches!(error.kind, ErrorKind::AlreadyExists | ErrorKind::Other) => Ok(true),
            answer => answer,
        }
    }
}
