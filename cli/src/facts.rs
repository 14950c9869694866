//! What muster knows, as the facts that policies judge (`docs/format/facts.md`).
//!
//! Invariant: what could not be read is `null` with a reason beside it, never a guess: a policy then says "unknown".

mod buckets;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{ToSocketAddrs, UdpSocket};

use muster_archive::ledger::{Log, LogEvent};
use muster_archive::{LoggedRehearsal, Manifest, Point, Repository, layout};
use muster_evidence::{Rehearsed, Signed, Snapshot, Store};
use muster_signing::{Role, Verified};
use muster_stores::postgres::Collected as Settings;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::config::{Config, Location, StoreConfig, StoreKind};
use crate::context::Context;
use crate::edge;
use crate::error::{CommandError, Kind};
use crate::history;
use crate::stores;

/// Everything that an audit collects: the facts, and the signed documents that stand behind them.
pub(crate) struct Collected {
    /// The document that policies see.
    pub(crate) facts: Value,
    /// The answers that it was read out of, by where they go beneath `inputs/`.
    pub(crate) raw: BTreeMap<String, Vec<u8>>,
    /// The stores as the statement names them.
    pub(crate) stores: Vec<Store>,
    pub(crate) manifests: Vec<Signed>,
    pub(crate) rehearsals: Vec<Signed>,
    /// Every log, verified.
    pub(crate) logs: Vec<Log>,
}

/// Asks stores and repository for what the policies judge.
pub(crate) fn collect(
    context: &Context,
    config: &Config,
    repository: &Repository,
    now: OffsetDateTime,
) -> Result<Collected, CommandError> {
    let mut logs = Vec::new();
    for role in [Role::Rehearser, Role::Writer, Role::Auditor] {
        logs.extend(context.wait(repository.logs(role))?);
    }
    let rehearsals = context.wait(repository.last_rehearsals())?;
    let points = context.wait(repository.points())?;
    let mut collected = Collected {
        facts: Value::Null,
        raw: BTreeMap::new(),
        stores: Vec::new(),
        manifests: Vec::new(),
        rehearsals: Vec::new(),
        logs: Vec::new(),
    };
    let mut facts = Vec::new();
    for store in &config.stores {
        context.cancel.check()?;
        let of_store = points.get(&store.name).map_or(&[][..], Vec::as_slice);
        facts.push(store_facts(
            context,
            repository,
            store,
            of_store,
            rehearsals.get(&store.name).cloned(),
            now,
            &mut collected,
        )?);
    }
    // What the root demands counts once the newest point of each store was written under it.
    let plain = facts.iter().any(|store| store["newest"]["encrypted"] == false);
    let encrypted = repository.is_encrypted() && !plain;
    collected.facts = json!({
        "schema": muster_policies::FACTS_SCHEMA,
        "time": edge::rfc3339(now),
        "tool": { "name": "muster", "version": env!("CARGO_PKG_VERSION") },
        "stores": facts,
        "repository": repository_facts(context, config, repository, &points, encrypted)?,
    });
    collected.facts["repository"]["stores_logged"] = json!(logged_stores(&logs));
    collected.facts["buckets"] = json!(buckets::of(context, config, &mut collected.raw)?);
    collected.logs = logs;
    Ok(collected)
}

fn store_facts(
    context: &Context,
    repository: &Repository,
    store: &StoreConfig,
    points: &[Point],
    rehearsed: Option<LoggedRehearsal>,
    now: OffsetDateTime,
    collected: &mut Collected,
) -> Result<Value, CommandError> {
    let mut behind = Store {
        store: store.name.clone(),
        kind: store.kind.name().to_owned(),
        ..Store::default()
    };
    let (mut newest, mut newest_error) = (Value::Null, Value::Null);
    if let Some(point) = points.last() {
        match manifest(context, repository, point) {
            Ok((manifest, envelope)) => {
                let time = history::consistent_at(&manifest);
                newest = json!({
                    "snapshot": point.snapshot,
                    "time": time,
                    "age_seconds": history::age_seconds(&time, now),
                    "unreadable_count": manifest.unreadable.count,
                    "logical_bytes": manifest.tree.logical_bytes,
                    "stored_bytes": manifest.stored_bytes,
                    "files": manifest.tree.files,
                    "encrypted": manifest.encryption.is_some(),
                });
                behind.newest = Some(Snapshot {
                    snapshot: point.snapshot.clone(),
                    time,
                    manifest_digest: manifest.digest,
                });
                keep(&mut collected.manifests, &store.name, &point.snapshot, envelope);
            }
            Err(error) => newest_error = json!(error.message()),
        }
    }
    let previous = points
        .len()
        .checked_sub(2)
        .and_then(|at| manifest(context, repository, &points[at]).ok());
    let (settings, settings_error) = match settings(store) {
        Ok(None) => (Value::Null, Value::Null),
        Ok(Some(settings)) => {
            let raw = serde_json::to_vec_pretty(&settings.raw)
                .map_err(|error| CommandError::new(Kind::Failed, error).context("encode a server's answers"))?;
            collected.raw.insert(format!("raw/store-{}.json", store.name), raw);
            (settings.facts, Value::Null)
        }
        Err(error) => (Value::Null, json!(error.message())),
    };
    let mut rehearsal = Value::Null;
    if let Some(last) = rehearsed {
        let (scorecard, envelope) =
            context.wait(repository.scorecard(&store.name, &last.rehearsal, &last.scorecard))?;
        rehearsal = rehearsal_facts(&last, &scorecard, now);
        keep(
            &mut collected.rehearsals,
            &store.name,
            &last.rehearsal,
            envelope.to_vec(),
        );
        // The manifest that was rehearsed goes with the scorecard, also where a newer one exists by now.
        if let Some(point) = points.iter().find(|point| point.snapshot == last.snapshot)
            && let Ok((_, envelope)) = manifest(context, repository, point)
        {
            keep(&mut collected.manifests, &store.name, &point.snapshot, envelope);
        }
        behind.rehearsal = Some(Rehearsed {
            rehearsal: last.rehearsal,
            snapshot: last.snapshot,
            time: last.time,
            verdict: last.verdict,
            scorecard_digest: last.scorecard,
        });
    }
    collected.stores.push(behind);
    Ok(json!({
        "name": store.name,
        "kind": store.kind.name(),
        "objectives": {
            "rpo_seconds": store.objectives.rpo.map(|rpo| rpo.as_secs_f64()),
            "rto_seconds": store.objectives.rto.map(|rto| rto.as_secs_f64()),
        },
        "checks_count": store.checks.len(),
        "points": points.len(),
        "newest": newest,
        "newest_error": newest_error,
        "previous": previous.map(|(manifest, _)| json!({
            "snapshot": manifest.snapshot,
            "logical_bytes": manifest.tree.logical_bytes,
        })),
        "settings": settings,
        "settings_error": settings_error,
        "last_rehearsal": rehearsal,
    }))
}

fn rehearsal_facts(last: &LoggedRehearsal, card: &Value, now: OffsetDateTime) -> Value {
    let checks = card["checks"].as_array().map_or(&[][..], Vec::as_slice);
    let judged = card["rpo"]["judged"].as_str().unwrap_or("exposure");
    json!({
        "rehearsal": last.rehearsal,
        "snapshot": last.snapshot,
        "verdict": last.verdict,
        "age_seconds": history::age_seconds(&last.time, now),
        "depth": card["reached"],
        "rto_verified_seconds": card["rto"]["verified_seconds"],
        "rto_met": card["rto"]["met"],
        "rpo_judged_seconds": card["rpo"][format!("{judged}_seconds")],
        "rpo_met": card["rpo"]["met"],
        "checks_total": checks.len(),
        "checks_passed": checks.iter().filter(|check| check["passed"] == true).count(),
        "isolation": card["isolation"],
        "conditions": card["conditions"],
    })
}

/// The settings of a live server; the other kinds have none that a profile judges.
fn settings(store: &StoreConfig) -> Result<Option<Settings>, CommandError> {
    match &store.kind {
        StoreKind::Postgres { .. } => {
            let now = || edge::rfc3339(edge::now());
            Ok(Some(muster_stores::postgres::collect(
                &stores::postgres_url(store)?,
                &now,
            )?))
        }
        StoreKind::Sqlite { .. } | StoreKind::Files { .. } => Ok(None),
    }
}

/// The stores that the writers' configurations named when they last ran, and their kinds.
pub(crate) fn logged_stores(logs: &[Log]) -> BTreeMap<String, String> {
    let (mut seen, mut named) = (BTreeSet::new(), BTreeMap::new());
    for log in logs {
        let newest = log.parsed().rev().find_map(|(_, entry)| match entry.event {
            LogEvent::Stores { stores } => Some(stores),
            _ => None,
        });
        // The newest incarnation that says so speaks for its key.
        if let Some(stores) = newest
            && seen.insert(&log.key)
        {
            named.extend(stores);
        }
    }
    named
}

fn repository_facts(
    context: &Context,
    config: &Config,
    repository: &Repository,
    points: &BTreeMap<String, Vec<Point>>,
    encrypted: bool,
) -> Result<Value, CommandError> {
    let keys = repository.keys();
    let mut roles: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in &keys.keys {
        *roles.entry(entry.role.as_str()).or_default() += 1;
    }
    let local = config.repository.url.starts_with("file://");
    // One LIST tells which of the logged manifests are there.
    let listed =
        context.wait(async { Ok::<_, CommandError>(repository.objects().list(layout::SNAPSHOTS).await.ok()) })?;
    let missing = listed.map(|objects| {
        let all = points.values().flatten();
        let absent = all.filter(|point| {
            let key = layout::manifest(&point.store, &point.snapshot);
            objects
                .binary_search_by(|object| object.key.as_str().cmp(&key))
                .is_err()
        });
        absent
            .map(|point| format!("{}/{}", point.store, point.snapshot))
            .collect::<Vec<_>>()
    });
    Ok(json!({
        "id": repository.id(),
        "scheme": if local { "file" } else { "s3" },
        "same_host": same_host(&config.repository),
        "encrypted": encrypted,
        "object_lock": object_lock(config, repository),
        "conditional_create": repository.conditional_create(),
        "key_epoch": keys.epoch,
        "roles": roles,
        "root_key_on_this_host": config.keys.root.exists(),
        "missing_manifests": missing,
        "snapshots": points.values().map(Vec::len).sum::<usize>(),
        "copies": 0,
    }))
}

/// How what is written is locked: only where the server was seen to hold a lock.
fn object_lock(config: &Config, repository: &Repository) -> Value {
    match config.repository.object_lock {
        Some(lock) if repository.capabilities().object_lock => json!({"mode": lock.mode.as_str(), "days": lock.days}),
        _ => Value::Null,
    }
}

/// Whether a repository lies on this host; `None` where its name has no address.
fn same_host(location: &Location) -> Option<bool> {
    if location.url.starts_with("file://") {
        return Some(true);
    }
    let Some(endpoint) = &location.endpoint else {
        return Some(false);
    };
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("https", endpoint));
    let authority = rest.split('/').next().unwrap_or(rest);
    let port = if scheme == "http" { 80 } else { 443 };
    let mut addresses = authority
        .to_socket_addrs()
        .or_else(|_| format!("{authority}:{port}").to_socket_addrs())
        .ok()?
        .peekable();
    addresses.peek()?;
    // Only an address of this host can be bound to, whatever name it was reached by.
    Some(addresses.any(|address| UdpSocket::bind((address.ip(), 0)).is_ok()))
}

fn manifest(
    context: &Context,
    repository: &Repository,
    point: &Point,
) -> Result<(Verified<Manifest>, Vec<u8>), CommandError> {
    let (manifest, envelope) = context.wait(repository.manifest(point))?;
    Ok((manifest, envelope.to_vec()))
}

fn keep(documents: &mut Vec<Signed>, store: &str, id: &str, envelope: Vec<u8>) {
    if !documents.iter().any(|known| known.store == store && known.id == id) {
        documents.push(Signed {
            store: store.to_owned(),
            id: id.to_owned(),
            envelope,
        });
    }
}
