//! What is committed to a repository: manifests, scorecards, and the log entries that make them count.
//!
//! Invariant: the signed object comes first, its log entry last; a snapshot that is committed but not logged is found and
//! logged by the next run of the same writer.

use std::collections::BTreeMap;

use bytes::Bytes;
use muster_signing::{Digest, PublicKey, Role, SecretKey, Verified, canonical_json, payload, seal};
use serde::Serialize;
use serde_json::Value;

use super::Repository;
use crate::edge::Edge;
use crate::ledger::{self, Appended, Head, LogEvent};
use crate::manifest::{MANIFEST_MAX, MANIFEST_PAYLOAD_MAX, Manifest, SCORECARD_PAYLOAD_MAX};
use crate::object_store::{ErrorKind, ListQuery, PutOptions};
use crate::{ArchiveError, LogRef, layout};

/// Most bytes of JSON of a set of stores, so that it fits an entry.
const STORES_MAX: usize = 48 << 10;
/// So many manifests are looked through for one that was not logged.
const ORPHANS_AMONG: usize = 256;

/// A committed document.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Digest of its envelope.
    pub digest: Digest,
    /// Its envelope.
    pub envelope: Vec<u8>,
    /// Where its log entry stands.
    pub logged: Appended,
}

impl Repository {
    /// Checks that `key` may act in `role` here.
    ///
    /// # Errors
    /// [`ArchiveError::WrongKey`].
    pub fn check_key(&self, key: &PublicKey, role: Role) -> Result<(), ArchiveError> {
        if role == Role::Writer {
            self.check_encryption()?;
        }
        if self.keys.role_of(&key.id()) == Some(role) {
            return Ok(());
        }
        Err(ArchiveError::WrongKey {
            key_id: key.id().to_string(),
            role: role.as_str(),
            repository: self.id().to_owned(),
        })
    }

    /// Commits a snapshot: fills in the log's head, signs its manifest, puts it, logs it.
    ///
    /// # Errors
    /// [`ArchiveError::WrongKey`], [`ArchiveError::Invalid`] where the manifest is too long, storage and log errors.
    pub async fn commit_snapshot(
        &self,
        manifest: &Manifest,
        key: &SecretKey,
        edge: &dyn Edge,
    ) -> Result<Commit, ArchiveError> {
        self.check_key(&key.public(), Role::Writer)?;
        if manifest.encryption.is_some() != self.is_encrypted() {
            return Err(ArchiveError::Invalid(
                "the root changed whether archives are encrypted while this one was written: run it again".to_owned(),
            ));
        }
        let object = layout::manifest(&manifest.store, &manifest.snapshot);
        let head = self.prepare_log(key, edge).await?;
        let manifest = Manifest {
            log: Some(LogRef {
                key: head.key.clone(),
                incarnation: head.incarnation.clone(),
                size: head.checkpoint.size,
            }),
            ..manifest.clone()
        };
        let envelope = self.sign(&manifest, payload::MANIFEST, MANIFEST_PAYLOAD_MAX, key)?;
        self.put_new(&object, &envelope).await?;
        let digest = Digest::of(&envelope);
        let mut events = self.keys_event(&head);
        events.push(snapshot_event(&manifest, digest));
        let logged = self.log(key, Some(&head), &events, edge).await?;
        Ok(Commit {
            digest,
            envelope,
            logged,
        })
    }

    /// Commits a scorecard: signs it, puts it, logs it.
    ///
    /// # Errors
    /// As [`Self::commit_snapshot`].
    pub async fn commit_scorecard<T: Serialize>(
        &self,
        place: &RehearsalPlace<'_>,
        scorecard: &T,
        key: &SecretKey,
        edge: &dyn Edge,
    ) -> Result<Commit, ArchiveError> {
        self.check_key(&key.public(), Role::Rehearser)?;
        let envelope = self.sign(scorecard, payload::SCORECARD, SCORECARD_PAYLOAD_MAX, key)?;
        self.put_new(&layout::scorecard(place.store, place.rehearsal), &envelope)
            .await?;
        let digest = Digest::of(&envelope);
        let event = LogEvent::Rehearsal {
            store: place.store.to_owned(),
            rehearsal: place.rehearsal.to_owned(),
            snapshot: place.snapshot.to_owned(),
            verdict: place.verdict.to_owned(),
            scorecard: digest,
        };
        let logged = self.log(key, None, &[event], edge).await?;
        Ok(Commit {
            digest,
            envelope,
            logged,
        })
    }

    /// Logs a written evidence bundle.
    ///
    /// # Errors
    /// [`ArchiveError::WrongKey`], storage and log errors.
    pub async fn log_audit(&self, bundle: Digest, key: &SecretKey, edge: &dyn Edge) -> Result<Appended, ArchiveError> {
        self.check_key(&key.public(), Role::Auditor)?;
        self.log(key, None, &[LogEvent::Audit { bundle }], edge).await
    }

    /// Logs which stores this writer's configuration names and for how long it has objects held and kept, where its log does not say
    /// so yet. `object_lock` and `keep` are as configured, null where nothing is.
    ///
    /// # Errors
    /// [`ArchiveError::WrongKey`], storage and log errors.
    pub async fn log_configuration(
        &self,
        stores: &BTreeMap<String, String>,
        object_lock: &Value,
        keep: &Value,
        key: &SecretKey,
        edge: &dyn Edge,
    ) -> Result<(), ArchiveError> {
        self.check_key(&key.public(), Role::Writer)?;
        let head = self.prepare_log(key, edge).await?;
        let last = head.last();
        let said = |event: &LogEvent| last.entries().any(|entry| entry.event == *event);
        let retention = LogEvent::Retention {
            object_lock: object_lock.clone(),
            keep: keep.clone(),
        };
        let never = !last
            .entries()
            .any(|entry| matches!(entry.event, LogEvent::Retention { .. }));
        let nothing = object_lock.is_null() && keep.is_null() && never;
        let mut events = self.keys_event(&head);
        let stores = LogEvent::Stores { stores: stores.clone() };
        if serde_json::to_vec(&stores).is_ok_and(|json| json.len() <= STORES_MAX) {
            events.extend(Some(stores).filter(|event| !said(event)));
        } else {
            tracing::warn!("the configuration names more stores than an entry of the log has room for");
        }
        events.extend(Some(retention).filter(|event| !said(event) && !nothing));
        if !events.is_empty() {
            self.log(key, Some(&head), &events, edge).await?;
        }
        Ok(())
    }

    /// Logs the snapshots of `store` that this writer committed and did not live to log. Returns their ids.
    ///
    /// Only what is newer than everything that this writer logged of the store counts: an older one was held back by somebody.
    ///
    /// # Errors
    /// Storage and log errors; whatever else lies among the manifests is left alone and warned of.
    pub async fn log_orphans(
        &self,
        store: &str,
        key: &SecretKey,
        edge: &dyn Edge,
    ) -> Result<Vec<String>, ArchiveError> {
        let heads = self.heads(Role::Writer).await?;
        let own = heads.iter().filter(|head| head.key == key.public().id());
        let newest_of = |heads: Vec<Head>| async move { self.latest_of(&heads).await.map(|mut all| all.remove(store)) };
        let own = newest_of(own.cloned().collect()).await?;
        let newest = own.as_ref().map_or(0, |point| point.sequence);
        // A writer that logged nothing of this store yet looks behind what the others logged.
        let begin = match own {
            Some(own) => Some(own),
            None => newest_of(heads).await?,
        };
        let after = begin.map(|point| layout::manifest(store, &point.snapshot));
        let query = ListQuery {
            prefix: &layout::manifest_prefix(store, ""),
            after: after.as_deref(),
            max: ORPHANS_AMONG,
            folders: false,
        };
        let mut orphans: Vec<Verified<Manifest>> = Vec::new();
        for object in self.store.list_page(query).await?.objects {
            match self.orphan(&object.key, store).await {
                Ok(found) if found.signer == key.public().id() && found.sequence > newest => orphans.push(found),
                Ok(_) => {}
                Err(ArchiveError::Storage(error)) => return Err(error.into()),
                Err(error) => tracing::warn!(%error, "a manifest that no log names was left alone"),
            }
        }
        orphans.sort_by_key(|manifest| manifest.sequence);
        let events: Vec<LogEvent> = orphans
            .iter()
            .map(|orphan| snapshot_event(orphan, orphan.digest))
            .collect();
        if !events.is_empty() {
            self.log(key, None, &events, edge).await?;
        }
        Ok(orphans.into_iter().map(|manifest| manifest.value.snapshot).collect())
    }

    async fn orphan(&self, object: &str, store: &str) -> Result<Verified<Manifest>, ArchiveError> {
        let bytes = self.get(object, MANIFEST_MAX, "the listing").await?;
        let found = self.open_document::<Manifest>(object, &bytes, payload::MANIFEST)?;
        let here = found.repository == self.id() && found.store == store;
        if here && layout::is_ulid(&found.snapshot) && layout::manifest(store, &found.snapshot) == object {
            return Ok(found);
        }
        Err(ArchiveError::damaged(object, "it is the manifest of another snapshot"))
    }

    /// The head that the next entry of `key` will follow; opens a log where there is none.
    async fn prepare_log(&self, key: &SecretKey, edge: &dyn Edge) -> Result<Head, ArchiveError> {
        self.recheck().await?;
        let cited = self.log_keys();
        ledger::prepare(&self.place(&cited), key, edge).await
    }

    /// The entry that a log lacks when a new key document is there.
    fn keys_event(&self, head: &Head) -> Vec<LogEvent> {
        let last = head.last();
        let mut logged = last.entries().filter_map(|entry| match entry.event {
            LogEvent::Keys { epoch, .. } => Some(epoch),
            _ => None,
        });
        match logged.next() {
            Some(epoch) if epoch >= self.keys.epoch => Vec::new(),
            _ => vec![LogEvent::Keys {
                epoch: self.keys.epoch,
                document: self.keys.digest,
            }],
        }
    }

    async fn log(
        &self,
        key: &SecretKey,
        after: Option<&Head>,
        events: &[LogEvent],
        edge: &dyn Edge,
    ) -> Result<Appended, ArchiveError> {
        self.recheck().await?;
        let cited = self.log_keys();
        ledger::append(&self.place(&cited), key, after, events, edge).await
    }

    fn log_keys(&self) -> Vec<PublicKey> {
        let roles = [Role::Writer, Role::Rehearser, Role::Auditor];
        roles.iter().flat_map(|role| self.keys.keys(*role)).collect()
    }

    fn place<'a>(&'a self, cited: &'a [PublicKey]) -> ledger::Place<'a> {
        ledger::Place {
            store: &self.store,
            repository: self.id(),
            state: &self.state,
            conditional_create: self.conditional_create(),
            cited,
        }
    }

    fn sign<T: Serialize>(
        &self,
        value: &T,
        payload_type: &str,
        most: usize,
        key: &SecretKey,
    ) -> Result<Vec<u8>, ArchiveError> {
        let payload = canonical_json(value)
            .map_err(|error| ArchiveError::Invalid(format!("encode a document to sign: {error}")))?;
        if payload.len() > most {
            let length = payload.len();
            return Err(ArchiveError::Invalid(format!(
                "a document of {length} bytes is longer than {most}"
            )));
        }
        Ok(seal(payload_type, &payload, key))
    }

    async fn put_new(&self, object: &str, envelope: &[u8]) -> Result<(), ArchiveError> {
        match self
            .store
            .put(object, Bytes::copy_from_slice(envelope), PutOptions::CREATE)
            .await
        {
            Ok(()) => Ok(()),
            Err(error) if error.kind == ErrorKind::AlreadyExists => Err(ArchiveError::AlreadyThere {
                url: self.url(),
                found: object.to_owned(),
            }),
            Err(error) => Err(error.into()),
        }
    }
}

/// Where a scorecard belongs.
pub struct RehearsalPlace<'a> {
    /// Store name.
    pub store: &'a str,
    /// ULID of the rehearsal.
    pub rehearsal: &'a str,
    /// ULID of the snapshot.
    pub snapshot: &'a str,
    /// `PASS`, `FAIL`, `ERROR` or `SKIPPED`.
    pub verdict: &'a str,
}

fn snapshot_event(manifest: &Manifest, digest: Digest) -> LogEvent {
    LogEvent::Snapshot {
        store: manifest.store.clone(),
        snapshot: manifest.snapshot.clone(),
        sequence: manifest.sequence,
        manifest: digest,
    }
}
