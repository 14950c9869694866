//! The verification ladder of a repository: inventory, checksum and lock, full read, decode.
//!
//! What the manifests name is sorted and merged with what the place lists; then each object climbs as far as was asked. Names, extents and
//! the memory of earlier reads are all read in the order of ids, so that nothing is held whole, however large the repository is.
//!
//! Invariant: three answers. A wrong byte is damage, an absent object is damage, and what could not be read now is neither.

mod extents;
mod found;
mod history;
mod listing;
mod logs;
mod names;
mod object;
mod source;
mod spill;
mod walk;

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt as _, stream};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::object_store::LockPolicy;
use crate::repository::Point;
use crate::{ArchiveError, Manifest, Repository, layout};
use extents::{ByPack, Extents};
pub use found::{Held, Locks, ObjectReport, ObjectState, Tally, Verification, VerifyDepth, VerifyEvent, VerifyOptions};
use found::{Judge, Verdict};
use history::{History, Known};
use listing::{Inventory, Listed, Lister};
use names::{Names, RunKey, SortedNames};
use object::{Asking, Read, Step};
use source::{Amount, Parts, Reading, Source, amount};
use walk::Walk;

/// Objects that are asked for at the same time. How many are in memory at the same time, their lengths say.
const AT_ONCE: usize = 32;
/// Manifests that are asked for at the same time.
const MANIFESTS: usize = 8;
/// So few objects are asked for one by one, where only some snapshots are looked at.
const FEW: u64 = 256;

type OnEvent<'a> = &'a (dyn Fn(VerifyEvent) + Sync);

impl Repository {
    /// Verifies recovery points: all, those of one store, or one of them. Trust and key documents were verified by opening.
    ///
    /// # Errors
    /// Only where a log cannot be read or believed: then there is nothing to verify against. Everything else is in the result.
    pub async fn verify(
        &self,
        only: Option<(&str, Option<&str>)>,
        depth: VerifyDepth,
        on_event: &(dyn Fn(VerifyEvent) + Sync),
    ) -> Result<Verification, ArchiveError> {
        self.verify_with(only, &VerifyOptions::new(depth), on_event).await
    }

    /// The same, in every detail.
    ///
    /// # Errors
    /// As [`Self::verify`]; [`ArchiveError::Cancelled`]; [`ArchiveError::Local`] where there is no room on this host for what does not fit
    /// into memory.
    pub async fn verify_with(
        &self,
        only: Option<(&str, Option<&str>)>,
        options: &VerifyOptions<'_>,
        on_event: &(dyn Fn(VerifyEvent) + Sync),
    ) -> Result<Verification, ArchiveError> {
        let mut found = Verification::default();
        on_event(VerifyEvent::Began("logs"));
        let points = self.points_to_verify(only).await?;
        let mut beside = Vec::new();
        if only.is_none() {
            let scorecards = self.verify_logs(&mut found).await?;
            beside.extend(scorecards.into_iter().map(|(key, bytes)| (key, bytes, 0)));
        }
        on_event(VerifyEvent::Began("lists and trees"));
        let told = self
            .read_what_is_told(&points, options, &mut found, &mut beside)
            .await?;
        on_event(VerifyEvent::Began("objects"));
        let outcome = self.look_at_all(&told, only.is_some(), beside, options, &mut found, on_event);
        let outcome = outcome.await;
        if let Err(error) = self.suspect_named(&found.damaged) {
            tracing::warn!(%error, "what is damaged could not be remembered: the next backup may lean on it");
        }
        outcome.map(|()| found)
    }

    /// Newest first per store.
    async fn points_to_verify(&self, only: Option<(&str, Option<&str>)>) -> Result<Vec<Point>, ArchiveError> {
        let mut points: Vec<Point> = match only {
            Some((store, Some(wanted))) => vec![self.point(store, Some(wanted)).await?],
            Some((store, None)) => self
                .points()
                .await?
                .remove(store)
                .ok_or_else(|| ArchiveError::NoPoint {
                    store: store.to_owned(),
                    wanted: "at all".to_owned(),
                })?,
            None => self.points().await?.into_values().flatten().collect(),
        };
        points.reverse();
        Ok(points)
    }

    /// Reads manifests, public lists and, where frames are to be decoded, trees.
    async fn read_what_is_told(
        &self,
        points: &[Point],
        options: &VerifyOptions<'_>,
        found: &mut Verification,
        beside: &mut Vec<(String, u64, i64)>,
    ) -> Result<Told, ArchiveError> {
        let mut names = Names::new(self, options.memory / 10);
        let mut extents = Extents::new(self.state(), options.memory / 3);
        let mut walk = Walk::new(self, options.cancel);
        let (mut lists_are_whole, mut decodes) = (true, true);
        let mut manifests = stream::iter(points)
            .map(|point| self.manifest(point))
            .buffered(MANIFESTS);
        for (ordinal, point) in (0u32..).zip(points) {
            let Some(read) = manifests.next().await else { break };
            if is_set(options.cancel) {
                return Err(ArchiveError::Cancelled);
            }
            let (manifest, envelope) = match read {
                Ok(read) => read,
                Err(error) => {
                    lists_are_whole = false;
                    found.note(error);
                    continue;
                }
            };
            found.snapshots += 1;
            let demand = demand_of(&manifest, options.lock.as_ref());
            let object = layout::manifest(&point.store, &point.snapshot);
            beside.push((object, envelope.len() as u64, demand));
            if let Err(error) = names.take(&manifest, ordinal, demand).await {
                if matches!(error, ArchiveError::Local { .. }) {
                    return Err(error);
                }
                lists_are_whole = false;
                found.note(error);
            }
            if options.depth == VerifyDepth::Inventory {
                continue;
            }
            match walk.snapshot(&manifest, &mut names, &mut extents).await {
                Ok(()) => {}
                Err(error @ (ArchiveError::Local { .. } | ArchiveError::Cancelled)) => return Err(error),
                Err(ArchiveError::NoIdentity { .. }) => {
                    found.sealed += 1;
                    decodes = false;
                }
                Err(error) => {
                    found.note(error);
                    decodes = false;
                }
            }
        }
        let (names, runs) = names.finish()?;
        let (extents, keys) = extents.finish()?;
        Ok(Told {
            names,
            runs,
            extents,
            keys: Arc::new(keys),
            snapshots: points.iter().map(|point| point.snapshot.clone()).collect(),
            lists_are_whole,
            decodes,
        })
    }

    async fn look_at_all(
        &self,
        told: &Told,
        only_some: bool,
        beside: Vec<(String, u64, i64)>,
        options: &VerifyOptions<'_>,
        found: &mut Verification,
        on_event: OnEvent<'_>,
    ) -> Result<(), ArchiveError> {
        let history = options.now.map(|now| History::of(self, now));
        let history = history.filter(|_| options.depth == VerifyDepth::ReadData);
        let known = || history.as_ref().map_or_else(Known::nothing, History::read);
        let reading = Reading {
            depth: options.depth,
            since: Reading::since(options.now, options.skip_read_within),
            decodes: told.decodes,
        };
        let mut amount = amount(&told.names, known(), &reading)?;
        found.objects = amount.objects;
        let inventory = match only_some {
            false => Inventory::Whole,
            true if amount.objects > FEW => Inventory::Named,
            true => Inventory::Skip,
        };
        let heads = options.heads.unwrap_or_else(|| {
            let seen = self.capabilities();
            seen.object_lock || seen.checksum || options.lock.is_some()
        });
        let mut source = Source::new(Parts {
            names: told.names.read()?,
            extents: ByPack::new(&told.extents)?,
            known: known(),
            reading,
            lister: Lister::new(self, inventory),
            inventory,
            snapshots: &told.snapshots,
            lists_are_whole: told.lists_are_whole,
            memory: options.memory / 2,
        });
        let asking = Asking {
            repository: self,
            heads,
            keys: Arc::clone(&told.keys),
        };
        let beside = match heads {
            true => self.beside(told, beside, only_some, found).await,
            false => Vec::new(),
        };
        amount.objects += beside.len() as u64;
        let mut sums = Sums {
            found,
            amount,
            looked: 0,
            read: 0,
            reads: options.depth == VerifyDepth::ReadData,
            decodes: told.decodes,
            judge: Judge {
                now: options.now,
                mode: options.lock.map(|lock| lock.mode),
            },
            locks: heads.then(Locks::default),
            history,
            cancel: options.cancel,
            on_event,
        };
        let named = stream::unfold(&mut source, |source| async move {
            let step = source.next().await.transpose()?;
            Some((step, source))
        });
        let outcome = match sums.take_all(named, &asking).await {
            Ok(()) => sums.take_all(stream::iter(beside.into_iter().map(Ok)), &asking).await,
            failed => failed,
        };
        // What was read is remembered, however the run ended.
        if let Some(history) = &mut sums.history {
            history.flush();
        }
        outcome?;
        sums.found.locks = sums.locks.filter(|_| options.now.is_some());
        source.errors.drain(..).for_each(|error| sums.found.note(error));
        let mut unnamed = source.unnamed();
        let mut lister = source.into_lister();
        if inventory == Inventory::Whole {
            let runs = lister.count_others(layout::RUNS, &told.runs).await;
            unnamed.objects += runs.objects;
            unnamed.bytes = unnamed.bytes.saturating_add(runs.bytes);
            // Where a list could not be read, nobody knows what it names.
            sums.found.unnamed = told.lists_are_whole.then_some(unnamed);
            sums.found.index = Some(lister.count_others(layout::INDEX, &BTreeMap::new()).await);
        }
        lister.failed.drain(..).for_each(|error| sums.found.note(error.into()));
        // What was found among versions while manifests, lists and trees were read, or while bytes were.
        let known: HashSet<String> = sums.found.recovered.iter().cloned().collect();
        for read in self.objects().recovered() {
            if !known.contains(&read.object) {
                sums.found.note_recovered(&read.object);
            }
        }
        Ok(())
    }

    /// What no public list names and what has locks too: manifests, scorecards, run keys, the root's documents and logs. Each was read before.
    async fn beside(
        &self,
        told: &Told,
        beside: Vec<(String, u64, i64)>,
        only_some: bool,
        found: &mut Verification,
    ) -> Vec<Step> {
        let logs = match only_some {
            true => Vec::new(),
            false => self.objects().list(layout::LEDGER).await.unwrap_or_else(|error| {
                found.note(error.into());
                Vec::new()
            }),
        };
        let logs = logs.into_iter().map(|object| (object.key, object.size, 0));
        let runs = told.runs.iter();
        let runs = runs.map(|(object, run)| (object.clone(), run.bytes, run.demand));
        let documents = self.trust_documents().iter().filter(|_| !only_some);
        let documents = documents.map(|(object, bytes)| (object.clone(), bytes.len() as u64, 0));
        beside
            .into_iter()
            .chain(runs)
            .chain(documents)
            .chain(logs)
            .map(|(object, bytes, demand)| Step {
                what: None,
                id: None,
                object,
                bytes,
                named_by: "this repository".to_owned(),
                demand,
                listed: Listed::Unknown,
                was_read: true,
                read: Read::No,
                permit: None,
            })
            .collect()
    }
}

/// What manifests, lists and trees say.
struct Told {
    names: SortedNames,
    runs: BTreeMap<String, RunKey>,
    extents: spill::Sorted<{ extents::RECORD }>,
    keys: Arc<Vec<crate::HashKey>>,
    snapshots: Vec<String>,
    lists_are_whole: bool,
    decodes: bool,
}

/// Adds up what objects show.
struct Sums<'a> {
    found: &'a mut Verification,
    amount: Amount,
    looked: u64,
    read: u64,
    /// Whether bytes are what was asked for.
    reads: bool,
    decodes: bool,
    judge: Judge,
    locks: Option<Locks>,
    history: Option<History>,
    cancel: Option<&'a AtomicBool>,
    on_event: OnEvent<'a>,
}

impl Sums<'_> {
    async fn take_all(
        &mut self,
        steps: impl futures_util::Stream<Item = Result<Step, ArchiveError>>,
        asking: &Asking<'_>,
    ) -> Result<(), ArchiveError> {
        let climbing = steps.map(|step| async {
            match step {
                Ok(step) => Ok(asking.climb(step).await),
                Err(error) => Err(error),
            }
        });
        let mut climbing = pin!(climbing.buffered(AT_ONCE));
        while let Some(verdict) = climbing.next().await {
            self.take(verdict?);
            if is_set(self.cancel) {
                return Err(ArchiveError::Cancelled);
            }
        }
        Ok(())
    }

    fn take(&mut self, verdict: Verdict) {
        let held = match &mut self.locks {
            Some(locks) if verdict.error.is_none() => self.judge.judge(verdict.lock, verdict.demand, locks),
            _ => Held::Unjudged,
        };
        if let (Some(history), Some(what), Some(id)) = (&mut self.history, verdict.what, verdict.id) {
            match &verdict.error {
                None if verdict.read > 0 && verdict.fetched => history.note(what, &id, self.decodes),
                Some(error) if error.is_damage() => history.forget(what, &id),
                _ => {}
            }
        }
        if verdict.state == ObjectState::Skipped {
            self.found.skipped.add(verdict.bytes);
        }
        if verdict.recovered && verdict.error.is_none() {
            self.found.note_recovered(&verdict.object);
        }
        if self.reads {
            self.found.read_bytes = self.found.read_bytes.saturating_add(verdict.read);
        }
        if verdict.fetched {
            self.read = self.read.saturating_add(verdict.bytes);
            (self.on_event)(VerifyEvent::Read {
                done: self.read,
                total: self.amount.bytes,
            });
        }
        self.looked += 1;
        (self.on_event)(VerifyEvent::Looked {
            done: self.looked,
            total: self.amount.objects,
        });
        (self.on_event)(VerifyEvent::Object(ObjectReport {
            object: verdict.object,
            bytes: verdict.bytes,
            state: verdict.state,
            recovered: verdict.recovered,
            lock: verdict.lock,
            held,
        }));
        if let Some(error) = verdict.error {
            self.found.note(error);
        }
    }
}

/// Until when a snapshot's objects must be held, in seconds since 1970: as its manifest promises, and so long as the configuration's rule
/// extends what a snapshot leans on, which is half of its days from the snapshot's begin.
fn demand_of(manifest: &Manifest, lock: Option<&LockPolicy>) -> i64 {
    let time = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let promised = manifest.retain_until.as_deref().and_then(time);
    let ruled = lock.and_then(|lock| {
        let half = time::Duration::days(i64::from(lock.days)) / 2;
        time(&manifest.started)?.checked_add(half)
    });
    promised.max(ruled).map_or(0, OffsetDateTime::unix_timestamp)
}

fn is_set(flag: Option<&AtomicBool>) -> bool {
    flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
}
