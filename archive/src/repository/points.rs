//! Recovery points: what the logs name, found from their heads.
//!
//! Invariant: only a logged snapshot is a point. The newest of each store, and a snapshot by its id, take a number of requests that
//! does not grow with the logs; only whoever wants all of them reads all.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use muster_signing::{Digest, KeyId, Role, Verified, payload};

use super::Repository;
use crate::ledger::{self, Entry, Head, Log, LogEvent};
use crate::manifest::{MANIFEST_MAX, Manifest};
use crate::object_store::ListQuery;
use crate::{ArchiveError, layout};

/// So many bundles a snapshot's entry is looked for behind the head that its writer saw. It stands in the first but when its writer
/// died in between.
const BUNDLES_BEHIND: u64 = 8;
/// So many manifests are looked through for one that holds, where no log says which there are.
const UNPROVEN: usize = 256;

/// A recovery point: a snapshot that a verified log names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Store name.
    pub store: String,
    /// ULID.
    pub snapshot: String,
    /// Per store and writer.
    pub sequence: u64,
    /// Digest of its manifest's envelope.
    pub manifest: Digest,
    /// When the writer says that it logged it.
    pub time: String,
    /// Where its log entry stands.
    pub entry: EntryRef,
}

/// Where an entry of a log stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRef {
    /// Whose log.
    pub key: KeyId,
    /// Its incarnation.
    pub incarnation: String,
    /// Its index.
    pub index: u64,
}

/// The newest rehearsal of a store, as a rehearser's log names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRehearsal {
    /// ULID.
    pub rehearsal: String,
    /// ULID of the snapshot.
    pub snapshot: String,
    /// `PASS`, `FAIL`, `ERROR` or `SKIPPED`.
    pub verdict: String,
    /// When it was logged, by the rehearser's clock.
    pub time: String,
    /// Digest of the scorecard's envelope.
    pub scorecard: Digest,
}

impl Point {
    /// What an entry says of a snapshot; `None` for other entries, and for names that cannot be.
    fn of(time: String, event: LogEvent, entry: EntryRef) -> Option<Self> {
        let LogEvent::Snapshot {
            store,
            snapshot,
            sequence,
            manifest,
        } = event
        else {
            return None;
        };
        let valid = layout::is_store_name(&store) && layout::is_ulid(&snapshot);
        valid.then_some(Self {
            store,
            snapshot,
            sequence,
            manifest,
            time,
            entry,
        })
    }
}

impl Repository {
    /// The head of the newest log of every key of `role` that has one, verified, in the order of the key document.
    ///
    /// # Errors
    /// See [`ledger::newest`].
    pub async fn heads(&self, role: Role) -> Result<Vec<Head>, ArchiveError> {
        let mut heads = Vec::new();
        let memory = self.anchored.then_some(&self.state);
        for key in self.keys.keys(role) {
            heads.extend(ledger::newest(&self.store, self.id(), &key, memory).await?);
        }
        Ok(heads)
    }

    /// Every log of every key of `role`, read whole and verified, newest incarnation of each key first.
    ///
    /// # Errors
    /// See [`ledger::read`].
    pub async fn logs(&self, role: Role) -> Result<Vec<Log>, ArchiveError> {
        let mut logs = Vec::new();
        let memory = self.anchored.then_some(&self.state);
        for key in self.keys.keys(role) {
            logs.extend(ledger::read(&self.store, self.id(), &key, memory).await?);
        }
        Ok(logs)
    }

    /// The recovery points of all stores by the verified logs, oldest first per store. Reads the logs whole.
    ///
    /// # Errors
    /// See [`ledger::read`].
    pub async fn points(&self) -> Result<BTreeMap<String, Vec<Point>>, ArchiveError> {
        Ok(points_of(&self.logs(Role::Writer).await?))
    }

    /// The newest recovery point of every store.
    ///
    /// # Errors
    /// See [`ledger::newest`].
    pub async fn latest(&self) -> Result<BTreeMap<String, Point>, ArchiveError> {
        let heads = self.heads(Role::Writer).await?;
        self.latest_of(&heads).await
    }

    pub(super) async fn latest_of(&self, heads: &[Head]) -> Result<BTreeMap<String, Point>, ArchiveError> {
        let mut newest: BTreeMap<String, Point> = BTreeMap::new();
        for head in heads {
            let last = head.last();
            if last.lacks {
                // Of so many stores not all had room where the bundle begins.
                let all = self.points().await?;
                return Ok(all
                    .into_iter()
                    .filter_map(|(store, points)| Some((store, points.into_iter().last()?)))
                    .collect());
            }
            for last in last.entries().cloned() {
                let entry = EntryRef {
                    key: head.key.clone(),
                    incarnation: last.incarnation.unwrap_or_else(|| head.incarnation.clone()),
                    index: last.index,
                };
                let Some(point) = Point::of(last.time, last.event, entry) else {
                    continue;
                };
                if newest
                    .get(&point.store)
                    .is_none_or(|known| point.sequence > known.sequence)
                {
                    newest.insert(point.store.clone(), point);
                }
            }
        }
        Ok(newest)
    }

    /// One recovery point of `store`: the newest, or the one whose id begins with `wanted`.
    ///
    /// # Errors
    /// [`ArchiveError::NoPoint`], [`ArchiveError::Ambiguous`]; see [`ledger::newest`].
    pub async fn point(&self, store: &str, wanted: Option<&str>) -> Result<Point, ArchiveError> {
        let missing = |wanted: &str| ArchiveError::NoPoint {
            store: store.to_owned(),
            wanted: wanted.to_owned(),
        };
        let heads = self.heads(Role::Writer).await?;
        let Some(wanted) = wanted else {
            let newest = self.latest_of(&heads).await?.remove(store);
            return newest.ok_or_else(|| missing("at all"));
        };
        let upper = wanted.to_ascii_uppercase();
        if let Some(point) = self.near_its_manifest(store, &upper, &heads).await? {
            return Ok(point);
        }
        let points = self.points().await?.remove(store).unwrap_or_default();
        let mut found: Vec<Point> = points
            .into_iter()
            .filter(|point| point.snapshot.starts_with(&upper))
            .collect();
        match found.len() {
            0 => Err(missing(wanted)),
            1 => Ok(found.remove(0)),
            count => Err(ArchiveError::Ambiguous {
                store: store.to_owned(),
                wanted: wanted.to_owned(),
                count,
            }),
        }
    }

    /// The point whose manifest is the only one with such an id, found in the log behind the head that its writer saw. `None` where
    /// that does not answer it: then the logs are read whole.
    async fn near_its_manifest(
        &self,
        store: &str,
        wanted: &str,
        heads: &[Head],
    ) -> Result<Option<Point>, ArchiveError> {
        if !wanted.bytes().all(|byte| byte.is_ascii_alphanumeric()) || !layout::is_store_name(store) {
            return Ok(None);
        }
        let query = ListQuery {
            prefix: &layout::manifest_prefix(store, wanted),
            after: None,
            max: 2,
            folders: false,
        };
        let page = self.store.list_page(query).await?;
        let [object] = &page.objects[..] else { return Ok(None) };
        let bytes = self.get(&object.key, MANIFEST_MAX, "the listing").await;
        let Ok(manifest) = bytes.and_then(|bytes| self.candidate(&object.key, &bytes)) else {
            // Whether this is damage to a point or a stray object is for the logs to say.
            return Ok(None);
        };
        if layout::manifest(store, &manifest.snapshot) != object.key {
            // Another point's manifest stands in this one's place.
            return Ok(None);
        }
        let Some(seen) = manifest.log.clone() else {
            return Ok(None);
        };
        let keys = self.keys.keys(Role::Writer);
        let Some(key) = keys.into_iter().find(|key| key.id() == seen.key) else {
            return Ok(None);
        };
        let is_it = |index, entry: Entry| {
            let place = EntryRef {
                key: key.id(),
                incarnation: seen.incarnation.clone(),
                index,
            };
            let point = Point::of(entry.time, entry.event, place)?;
            (point.store == store && point.snapshot == manifest.snapshot).then_some(point)
        };
        let behind = (seen.incarnation.as_str(), seen.size, BUNDLES_BEHIND);
        ledger::find(&self.store, self.id(), (&key, heads), behind, is_it).await
    }

    fn candidate(&self, object: &str, bytes: &Bytes) -> Result<Verified<Manifest>, ArchiveError> {
        self.open_document(object, bytes, payload::MANIFEST)
    }

    /// A snapshot by its signed manifest alone, whatever the logs say: for whoever lost a log. Its entry is where its writer meant to put
    /// it. That it was ever logged, that it was not removed since, and that no newer one is there, nothing proves.
    ///
    /// # Errors
    /// [`ArchiveError::NoPoint`] where no manifest of `store` that holds has an id that begins with `wanted`, [`ArchiveError::Ambiguous`];
    /// storage errors.
    pub async fn unproven_point(&self, store: &str, wanted: &str) -> Result<Point, ArchiveError> {
        let mut found = self.unproven_points(store, wanted, 2).await?;
        match (found.len(), found.pop()) {
            (1, Some(point)) => Ok(point),
            (0, _) => Err(ArchiveError::NoPoint {
                store: store.to_owned(),
                wanted: wanted.to_owned(),
            }),
            (count, _) => Err(ArchiveError::Ambiguous {
                store: store.to_owned(),
                wanted: wanted.to_owned(),
                count,
            }),
        }
    }

    /// The newest `most` snapshots, by their ids, whose manifests hold: newest first. Lists all manifests of the store.
    ///
    /// # Errors
    /// Storage errors of the listing; what cannot be read or believed is passed over.
    pub async fn unproven_points(&self, store: &str, wanted: &str, most: usize) -> Result<Vec<Point>, ArchiveError> {
        let mut found = Vec::new();
        if !layout::is_store_name(store) || !wanted.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(found);
        }
        let prefix = layout::manifest_prefix(store, &wanted.to_ascii_uppercase());
        let listed = self.store.list(&prefix).await?;
        for object in listed.iter().rev().take(UNPROVEN) {
            if found.len() >= most {
                break;
            }
            let bytes = self.get(&object.key, MANIFEST_MAX, "the listing").await;
            let Ok(manifest) = bytes.and_then(|bytes| self.candidate(&object.key, &bytes)) else {
                continue;
            };
            let named = (manifest.repository.as_str(), manifest.store.as_str());
            let Some(seen) = manifest.log.clone().filter(|_| named == (self.id(), store)) else {
                continue;
            };
            if !layout::is_ulid(&manifest.snapshot) || layout::manifest(store, &manifest.snapshot) != object.key {
                continue;
            }
            found.push(Point {
                store: store.to_owned(),
                snapshot: manifest.snapshot.clone(),
                sequence: manifest.sequence,
                manifest: manifest.digest,
                time: manifest.finished.clone(),
                entry: EntryRef {
                    key: seen.key,
                    incarnation: seen.incarnation,
                    index: seen.size,
                },
            });
        }
        Ok(found)
    }

    /// The newest rehearsal of every store. Several hosts may rehearse it, each with a log of its own: the ids sort by their time.
    ///
    /// # Errors
    /// See [`ledger::newest`].
    pub async fn last_rehearsals(&self) -> Result<BTreeMap<String, LoggedRehearsal>, ArchiveError> {
        let heads = self.heads(Role::Rehearser).await?;
        let lasts: Vec<_> = heads.iter().map(Head::last).collect();
        let mut newest = BTreeMap::new();
        if lasts.iter().any(|last| last.lacks) {
            for log in self.logs(Role::Rehearser).await?.iter().rev() {
                for (_, entry) in log.parsed() {
                    note_rehearsal(&mut newest, entry.time, entry.event);
                }
            }
        } else {
            for entry in lasts.iter().flat_map(|last| last.entries().cloned()) {
                note_rehearsal(&mut newest, entry.time, entry.event);
            }
        }
        Ok(newest)
    }

    /// The recovery point before this one. Reads the logs whole.
    ///
    /// # Errors
    /// See [`ledger::read`].
    pub async fn older(&self, point: &Point) -> Result<Option<Point>, ArchiveError> {
        let points = self.points().await?.remove(&point.store).unwrap_or_default();
        let before = points.into_iter().take_while(|other| other.snapshot != point.snapshot);
        Ok(before.last())
    }
}

fn note_rehearsal(newest: &mut BTreeMap<String, LoggedRehearsal>, time: String, event: LogEvent) {
    let LogEvent::Rehearsal {
        store,
        rehearsal,
        snapshot,
        verdict,
        scorecard,
    } = event
    else {
        return;
    };
    if newest.get(&store).is_none_or(|known| known.rehearsal <= rehearsal) {
        let found = LoggedRehearsal {
            rehearsal,
            snapshot,
            verdict,
            time,
            scorecard,
        };
        newest.insert(store, found);
    }
}

/// The recovery points that logs name, per store, oldest first: by sequence, which counts over all writers of a store, and among equals as
/// the logs have them. A snapshot that is logged again in a newer incarnation stands there, as it does for whoever reads heads alone.
pub(crate) fn points_of(logs: &[Log]) -> BTreeMap<String, Vec<Point>> {
    let mut points: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for log in logs {
        for (index, entry) in log.parsed().rev() {
            let place = EntryRef {
                key: log.key.clone(),
                incarnation: log.incarnation.clone(),
                index,
            };
            if let Some(point) = Point::of(entry.time, entry.event, place)
                && known.insert((point.store.clone(), point.snapshot.clone()))
            {
                points.entry(point.store.clone()).or_default().push(point);
            }
        }
    }
    for points in points.values_mut() {
        points.reverse();
        points.sort_by_key(|point| point.sequence);
    }
    points
}
