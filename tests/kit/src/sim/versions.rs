//! What the simulated server keeps: per key its versions in order, each with its lock, and the server's clock.
//!
//! Invariant: a locked version is removed by nobody while its lock lasts; without versions nobody reaches a version but the newest.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use muster_archive::object_store::{
    ErrorKind, LockMode, ObjectHead, ObjectMeta, ObjectVersion, PutMode, PutOptions, Retention,
};
use muster_signing::Digest;
use time::OffsetDateTime;

use super::Bucket;

#[derive(Debug, Clone)]
struct Version {
    id: u64,
    /// `None`: a delete marker.
    body: Option<Bytes>,
    retention: Option<Retention>,
    checksum: Option<Digest>,
    modified_ms: u64,
    /// Which change of the server made it.
    change: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Objects {
    bucket: Bucket,
    keys: BTreeMap<String, Vec<Version>>,
    clock_ms: u64,
    changes: u64,
}

impl Objects {
    pub(super) fn new(bucket: Bucket, clock_ms: u64) -> Self {
        assert!(bucket.versions || !bucket.locks, "locks need versions");
        Self {
            bucket,
            keys: BTreeMap::new(),
            clock_ms,
            changes: 0,
        }
    }

    pub(super) fn wait(&mut self, time: Duration) {
        self.clock_ms += u64::try_from(time.as_millis()).expect("a time that ends");
    }

    pub(super) fn keeps_checksums(&self) -> bool {
        self.bucket.checksums
    }

    pub(super) fn creates_at_once(&self) -> bool {
        self.bucket.conditional
    }

    pub(super) fn put(&mut self, key: &str, body: Bytes, options: PutOptions) -> Result<(), ErrorKind> {
        if options.retention.is_some() && !self.bucket.locks {
            return Err(ErrorKind::NotHeld);
        }
        if options.mode == PutMode::Create && self.bucket.conditional && self.newest(key).is_some() {
            return Err(ErrorKind::AlreadyExists);
        }
        let checksum = self.bucket.checksums.then(|| Digest::of(&body));
        self.push(key, Some(body), options.retention, checksum);
        Ok(())
    }

    pub(super) fn plant(&mut self, key: &str, body: Option<Bytes>) {
        self.push(key, body, None, None);
    }

    fn push(&mut self, key: &str, body: Option<Bytes>, retention: Option<Retention>, checksum: Option<Digest>) {
        self.changes += 1;
        self.clock_ms += 1;
        let version = Version {
            id: self.changes,
            body,
            retention,
            checksum,
            modified_ms: self.clock_ms,
            change: self.changes,
        };
        // Without versions the old ones stay in memory all the same, out of everybody's reach: stale listings show them.
        self.keys.entry(key.to_owned()).or_default().push(version);
    }

    pub(super) fn newest(&self, key: &str) -> Option<Bytes> {
        self.keys.get(key)?.last()?.body.clone()
    }

    pub(super) fn head(&self, key: &str) -> Option<ObjectHead> {
        self.described(self.keys.get(key)?.last()?)
    }

    pub(super) fn version(&self, key: &str, id: &str) -> Option<Bytes> {
        self.find(key, id)?.body.clone()
    }

    pub(super) fn head_version(&self, key: &str, id: &str) -> Option<ObjectHead> {
        self.described(self.find(key, id)?)
    }

    pub(super) fn versions(&self, key: &str) -> Vec<ObjectVersion> {
        let all = self.keys.get(key).filter(|_| self.bucket.versions);
        let all = all.map(Vec::as_slice).unwrap_or_default();
        let described = |(age, version): (usize, &Version)| ObjectVersion {
            id: name(version),
            size: version.body.as_ref().map_or(0, |body| body.len() as u64),
            newest: age == 0,
            delete_marker: version.body.is_none(),
        };
        all.iter().rev().enumerate().map(described).collect()
    }

    pub(super) fn delete_version(&mut self, key: &str, id: &str) -> Result<(), ErrorKind> {
        let now = self.now();
        let Some(version) = self.find(key, id) else {
            return Ok(());
        };
        if version.retention.is_some_and(|retention| retention.until > now) {
            return Err(ErrorKind::Denied);
        }
        let gone = version.id;
        self.keys
            .get_mut(key)
            .expect("it has this version")
            .retain(|version| version.id != gone);
        Ok(())
    }

    pub(super) fn hold(&mut self, key: &str, wanted: Retention) -> Result<Retention, ErrorKind> {
        if !self.bucket.locks {
            return Err(ErrorKind::NotHeld);
        }
        let newest = self.keys.get_mut(key).and_then(|versions| versions.last_mut());
        let version = newest
            .filter(|version| version.body.is_some())
            .ok_or(ErrorKind::NotFound)?;
        let held = match version.retention {
            Some(held) if held.covers(&wanted) => held,
            Some(held) if held.mode == LockMode::Compliance => Retention {
                mode: held.mode,
                until: held.until.max(wanted.until),
            },
            _ => wanted,
        };
        version.retention = Some(held);
        Ok(held)
    }

    /// The objects with this prefix as they were `lag` changes ago.
    pub(super) fn listed(&self, prefix: &str, lag: u64) -> Vec<ObjectMeta> {
        let shown = self.changes.saturating_sub(lag);
        let beneath = self
            .keys
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix));
        let visible = beneath.filter_map(|(key, versions)| {
            let version = versions.iter().rev().find(|version| version.change <= shown)?;
            let size = version.body.as_ref()?.len() as u64;
            Some(ObjectMeta { key: key.clone(), size })
        });
        visible.collect()
    }

    /// All names that a version is kept under, hidden ones too.
    pub(super) fn ever(&self, prefix: &str) -> Vec<ObjectMeta> {
        if !self.bucket.versions {
            return self.listed(prefix, 0);
        }
        let beneath = self.keys.iter().filter(|(key, _)| key.starts_with(prefix));
        let kept = beneath.filter_map(|(key, versions)| {
            let size = versions.iter().rev().find_map(|version| version.body.as_ref())?.len() as u64;
            Some(ObjectMeta { key: key.clone(), size })
        });
        kept.collect()
    }

    pub(super) fn all(&self) -> BTreeMap<String, Bytes> {
        let newest = |(key, versions): (&String, &Vec<Version>)| Some((key.clone(), versions.last()?.body.clone()?));
        self.keys.iter().filter_map(newest).collect()
    }

    fn find(&self, key: &str, id: &str) -> Option<&Version> {
        let versions = self.keys.get(key).filter(|_| self.bucket.versions)?;
        versions.iter().find(|version| name(version) == id)
    }

    fn described(&self, version: &Version) -> Option<ObjectHead> {
        Some(ObjectHead {
            size: version.body.as_ref()?.len() as u64,
            sha256: version.checksum,
            version: self.bucket.versions.then(|| name(version)),
            retention: version.retention,
            modified: Some(at(version.modified_ms)),
        })
    }

    fn now(&self) -> OffsetDateTime {
        at(self.clock_ms)
    }
}

fn name(version: &Version) -> String {
    format!("v{:06}", version.id)
}

fn at(ms: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).expect("a time within the calendar")
}
