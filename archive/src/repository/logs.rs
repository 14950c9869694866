//! Logs as people look at them, prove things from them, and check them from end to end.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};
use muster_signing::{Checkpoint, KeyId, Pin, PublicKey, Role};

use super::Repository;
use super::points::{EntryRef, Point, points_of};
use crate::ledger::{self, Consistency, Entry, Inclusion, Log, LogEvent};
use crate::{ArchiveError, layout};

/// The roles whose keys have logs.
const ROLES: [Role; 4] = [Role::Writer, Role::Rehearser, Role::Auditor, Role::Pruner];
/// So many documents are read at once.
const AT_ONCE: usize = 16;

/// One incarnation of a log, and some of its entries.
#[derive(Clone, Debug)]
pub struct LogView {
    /// What its key may sign.
    pub role: Role,
    /// Whose log it is.
    pub key: KeyId,
    /// Its incarnation.
    pub incarnation: String,
    /// Its verified head.
    pub checkpoint: Checkpoint,
    /// The head's signed note, byte for byte.
    pub note: Vec<u8>,
    /// Entries and where they stand, newest first.
    pub entries: Vec<(u64, Entry)>,
}

/// What a check of all logs found.
#[derive(Debug, Default)]
pub struct LedgerCheck {
    /// Every incarnation whose entries give the root that its checkpoint signs.
    pub logs: Vec<LogView>,
    /// Entries in them.
    pub entries: u64,
    /// Entries of a type that this version does not know.
    pub unknown: u64,
    /// Tiles of hashes that were compared with the entries.
    pub tiles: u64,
    /// Snapshot entries whose manifests are there, signed, and the ones that the entries name.
    pub snapshots: u64,
    /// The same of rehearsals and their scorecards.
    pub rehearsals: u64,
    /// Manifests and scorecards that no log names: committed by a run that did not live to log them.
    pub unlogged: Vec<String>,
    /// Wrong or absent: each names the object (exit 7).
    pub damaged: Vec<ArchiveError>,
    /// Could not be read now (exit 3).
    pub unreadable: Vec<ArchiveError>,
}

impl LedgerCheck {
    fn note<T>(&mut self, outcome: Result<T, ArchiveError>) -> Option<T> {
        match outcome {
            Ok(found) => return Some(found),
            Err(error) if error.is_damage() => self.damaged.push(error),
            Err(error) => self.unreadable.push(error),
        }
        None
    }
}

impl Repository {
    /// Every incarnation of every log, newest first per key, with the newest `most` of the entries that are `wanted`.
    ///
    /// # Errors
    /// See [`ledger::newest`].
    pub async fn view_logs(
        &self,
        most: usize,
        wanted: &(dyn Fn(&Entry) -> bool + Sync),
    ) -> Result<Vec<LogView>, ArchiveError> {
        let mut views = Vec::new();
        let memory = self.anchored.then_some(&self.state);
        for (role, key) in self.log_owners() {
            ledger::newest(&self.store, self.id(), &key, memory).await?;
            let mut lacking = most;
            for incarnation in ledger::incarnations(&self.store, &key).await? {
                let place = (incarnation.as_str(), lacking);
                let Some((head, entries)) = ledger::newest_entries(&self.store, self.id(), &key, place, wanted).await?
                else {
                    continue;
                };
                lacking -= entries.len().min(lacking);
                views.push(LogView {
                    role,
                    key: key.id(),
                    incarnation,
                    checkpoint: head.checkpoint,
                    note: head.note,
                    entries,
                });
            }
        }
        let mut times: Vec<&str> = views
            .iter()
            .flat_map(|view| view.entries.iter().map(|(_, entry)| entry.time.as_str()))
            .collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(oldest) = most
            .checked_sub(1)
            .and_then(|at| times.get(at))
            .map(|time| (*time).to_owned())
        {
            let mut left = most;
            for view in &mut views {
                view.entries.retain(|(_, entry)| {
                    entry.time >= oldest && left > 0 && {
                        left -= 1;
                        true
                    }
                });
            }
        }
        Ok(views)
    }

    /// The heads of all incarnations of all logs: what a file of pins holds.
    ///
    /// # Errors
    /// See [`ledger::newest`].
    pub async fn all_heads(&self) -> Result<Vec<LogView>, ArchiveError> {
        self.view_logs(0, &|_| false).await
    }

    /// Proves that an entry stands where it is said to stand.
    ///
    /// # Errors
    /// See [`ledger::prove_inclusion`].
    pub async fn prove_entry(&self, at: &EntryRef) -> Result<Inclusion, ArchiveError> {
        let key = self.log_owners().into_iter().find(|(_, key)| key.id() == at.key);
        let (_, key) = key.ok_or_else(|| ArchiveError::Log {
            log: format!("{}{}", layout::log(&at.key), at.incarnation),
            reason: "belongs to a key that the key document does not list".to_owned(),
        })?;
        ledger::prove_inclusion(&self.store, self.id(), &key, &at.incarnation, at.index).await
    }

    /// Proves that a log grew out of a head that was kept.
    ///
    /// # Errors
    /// [`ArchiveError::Log`] where it did not; see [`ledger::prove_consistency`].
    pub async fn prove_growth(&self, pin: &Pin) -> Result<Consistency, ArchiveError> {
        ledger::prove_consistency(&self.store, self.id(), &pin.public, &pin.incarnation, &pin.checkpoint).await
    }

    /// Reads every log from end to end: all incarnations, all tiles, what they cite, and what their entries name.
    ///
    /// # Errors
    /// Storage errors of listings; whatever else is wrong is in the result.
    pub async fn check_ledger(&self) -> Result<LedgerCheck, ArchiveError> {
        let mut found = LedgerCheck::default();
        let mut logs = Vec::new();
        for (role, key) in self.log_owners() {
            let memory = self.anchored.then_some(&self.state);
            let read = ledger::read(&self.store, self.id(), &key, memory).await;
            for log in found.note(read).unwrap_or_default() {
                self.check_log(role, &log, &mut found).await;
                logs.push(log);
            }
        }
        if let Err(first) = ledger::check_citations(&logs) {
            // A log may have grown between the reads of it and of one that cites it.
            let mut again = Vec::new();
            for (_, key) in self.log_owners() {
                again.extend(
                    ledger::read(&self.store, self.id(), &key, None)
                        .await
                        .unwrap_or_default(),
                );
            }
            if found.damaged.is_empty() && ledger::check_citations(&again).is_err() {
                found.damaged.push(first);
            }
        }
        for log in &logs {
            found.note(ledger::check_carried(log, &logs));
        }
        self.check_names(&logs, &mut found).await;
        self.find_unlogged(&logs, &mut found).await?;
        Ok(found)
    }

    async fn check_log(&self, role: Role, log: &Log, found: &mut LedgerCheck) {
        found.entries += log.entries.len() as u64;
        for outcome in ledger::compare_tiles(&self.store, log).await {
            if found.note(outcome).is_some() {
                found.tiles += 1;
            }
        }
        found.note(ledger::check_last(log));
        for (index, entry) in log.parsed() {
            let misplaced = |reason: String| ArchiveError::Log {
                log: log.name(),
                reason: format!("at index {index} {reason}"),
            };
            match entry.event {
                LogEvent::Unknown => found.unknown += 1,
                LogEvent::Opened { .. } if index > 0 => {
                    found.damaged.push(misplaced("is opened a second time".to_owned()));
                }
                LogEvent::Keys { epoch, document } => {
                    let name = layout::key_document(epoch);
                    let known = self.documents.iter().find(|(known, _)| *known == name);
                    if known.map(|(_, bytes)| muster_signing::Digest::of(bytes)) != Some(document) {
                        found
                            .damaged
                            .push(misplaced(format!("names another {name} than is there")));
                    }
                }
                _ => {}
            }
        }
        found.logs.push(LogView {
            role,
            key: log.key.clone(),
            incarnation: log.incarnation.clone(),
            checkpoint: log.checkpoint.clone(),
            note: log.note.clone(),
            entries: Vec::new(),
        });
    }

    /// Compares entries with the manifests and scorecards that they name.
    async fn check_names(&self, logs: &[Log], found: &mut LedgerCheck) {
        let writers: BTreeSet<KeyId> = self.keys.keys(Role::Writer).iter().map(PublicKey::id).collect();
        let written: Vec<Log> = logs.iter().filter(|log| writers.contains(&log.key)).cloned().collect();
        let points: Vec<Point> = points_of(&written).into_values().flatten().collect();
        let manifests: Vec<_> = stream::iter(&points)
            .map(|point| self.manifest(point))
            .buffered(AT_ONCE)
            .collect()
            .await;
        for manifest in manifests {
            found.snapshots += u64::from(found.note(manifest).is_some());
        }
        let rehearsals = logs
            .iter()
            .flat_map(Log::parsed)
            .filter_map(|(_, entry)| match entry.event {
                LogEvent::Rehearsal {
                    store,
                    rehearsal,
                    scorecard,
                    ..
                } => Some((store, rehearsal, scorecard)),
                _ => None,
            });
        let rehearsals: Vec<_> = rehearsals.collect();
        let scorecards: Vec<_> = stream::iter(&rehearsals)
            .map(|(store, rehearsal, scorecard)| self.scorecard(store, rehearsal, scorecard))
            .buffered(AT_ONCE)
            .collect()
            .await;
        for scorecard in scorecards {
            found.rehearsals += u64::from(found.note(scorecard).is_some());
        }
    }

    /// Looks for manifests and scorecards that no entry names.
    async fn find_unlogged(&self, logs: &[Log], found: &mut LedgerCheck) -> Result<(), ArchiveError> {
        let named = logs
            .iter()
            .flat_map(Log::parsed)
            .filter_map(|(_, entry)| match entry.event {
                LogEvent::Snapshot { store, snapshot, .. } => Some(layout::manifest(&store, &snapshot)),
                LogEvent::Rehearsal { store, rehearsal, .. } => Some(layout::scorecard(&store, &rehearsal)),
                _ => None,
            });
        let named: BTreeSet<String> = named.collect();
        for prefix in [layout::SNAPSHOTS, layout::REHEARSALS] {
            let listed = self.store.list(prefix).await?;
            let unlogged = listed.into_iter().filter(|object| !named.contains(&object.key));
            found.unlogged.extend(unlogged.map(|object| object.key));
        }
        Ok(())
    }

    /// Every key that has a log, and what it may sign.
    fn log_owners(&self) -> Vec<(Role, PublicKey)> {
        let keys = |role: &Role| {
            self.keys
                .keys(*role)
                .into_iter()
                .map(|key| (*role, key))
                .collect::<Vec<_>>()
        };
        ROLES.iter().flat_map(keys).collect()
    }
}
