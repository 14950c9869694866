//! Does this place honour conditional create? A 200 proves nothing: write twice, race, and look at what is there.

use bytes::Bytes;
use futures_util::future::join_all;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::{Capabilities, ErrorKind, LockMode, ObjectStore, PutOptions, Retention, StorageError};

const RACERS: u8 = 16;
/// For how long the probe's own object is locked, in seconds.
const LOCKED: i64 = 60;

/// Finds out what a place honours; `lock` is the lock that the configuration asks for, tried only when it does; `now` is RFC 3339. Writes
/// `probes/<unique_name>.*` and tells the store the answer.
///
/// # Errors
/// [`ErrorKind::NotHeld`] where a lock is asked for and the place does not hold it: refused, kept nowhere, or kept and not enforced.
pub async fn probe(
    store: &dyn ObjectStore,
    unique_name: &str,
    lock: Option<LockMode>,
    now: &str,
) -> Result<Capabilities, StorageError> {
    let conditional_create = probe_conditional_create(store, unique_name).await?;
    let mut proven = Capabilities {
        conditional_create,
        ..store.try_out(&format!("probes/{unique_name}")).await?
    };
    let versions = format!("probes/{unique_name}.versions");
    proven.versions = keeps_versions(store, &versions).await?;
    if let Err(error) = store.delete(&versions).await {
        tracing::debug!(%error, key = versions, "the probe stays: nothing names it");
    }
    if let Some(mode) = lock {
        let now = OffsetDateTime::parse(now, &Rfc3339)
            .ok()
            .and_then(|now| now.replace_nanosecond(0).ok());
        let now = now.ok_or_else(|| StorageError::new(ErrorKind::Invalid, unique_name, "read the clock".to_owned()))?;
        let until = now + Duration::seconds(LOCKED);
        enforces_a_lock(store, &format!("probes/{unique_name}.lock"), Retention { mode, until }).await?;
        proven.object_lock = true;
    }
    store.rely_on(proven);
    Ok(proven)
}

/// Whether what is overwritten stays as an older version. Writes `key` twice.
pub(crate) async fn keeps_versions(store: &dyn ObjectStore, key: &str) -> Result<bool, StorageError> {
    for body in ["first", "second"] {
        store
            .put(key, Bytes::from_static(body.as_bytes()), PutOptions::OVERWRITE)
            .await?;
    }
    let versions = match store.versions(key).await {
        Ok(versions) => versions,
        Err(error) if matches!(error.kind, ErrorKind::Other | ErrorKind::Denied) => Vec::new(),
        Err(error) => return Err(error),
    };
    let Some(older) = versions
        .iter()
        .find(|version| !version.newest && !version.delete_marker)
    else {
        return Ok(false);
    };
    Ok(store.get_version(key, &older.id, 64).await?.as_ref() == b"first")
}

/// Locks an object and tries to delete its version: a server that takes the lock and lets the object go is found out here.
async fn enforces_a_lock(store: &dyn ObjectStore, key: &str, retention: Retention) -> Result<(), StorageError> {
    let body = Bytes::from_static(b"locked");
    store
        .put(key, body.clone(), PutOptions::CREATE.held(Some(retention)))
        .await?;
    let ignored =
        |hint: &str| StorageError::new(ErrorKind::NotHeld, key, format!("lock {key} in {}", store.url())).hint(hint);
    let Some(version) = store.head(key).await?.version else {
        return Err(ignored(
            "the server took the lock and keeps no versions that it could belong to",
        ));
    };
    let deleted = store.delete_version(key, &version).await;
    match store.get_version(key, &version, 64).await {
        Ok(found) if found == body && deleted.is_err() => Ok(()),
        Err(error) if !error.is_not_found() => Err(error),
        _ => Err(ignored(
            "the server took the lock and then deleted the object: it does not enforce object lock, so take `object_lock` out or use \
             another server",
        )),
    }
}

/// Whether of several `Create`s of one key exactly one succeeds: one after the other, and at once. Writes `probes/<unique_name>.*`,
/// removes it where it may, and tells the store the answer ([`ObjectStore::rely_on_conditional_create`]).
pub async fn probe_conditional_create(store: &dyn ObjectStore, unique_name: &str) -> Result<bool, StorageError> {
    let twice = format!("probes/{unique_name}.twice");
    let race = format!("probes/{unique_name}.race");
    store.rely_on_conditional_create(true);
    let answer = match second_create_is_refused(store, &twice).await {
        Ok(true) => exactly_one_wins(store, &race).await,
        other => other,
    };
    store.rely_on_conditional_create(matches!(answer, Ok(true)));
    for key in [&twice, &race] {
        if let Err(error) = store.delete(key).await {
            tracing::debug!(%error, key, "the probe stays: nothing names it");
        }
    }
    answer
}

async fn second_create_is_refused(store: &dyn ObjectStore, key: &str) -> Result<bool, StorageError> {
    let first = Bytes::from_static(b"first");
    match store.put(key, first.clone(), PutOptions::CREATE).await {
        // A server that does not know conditional writes may refuse the header.
        Err(error) if error.kind == ErrorKind::Other => return Ok(false),
        other => other?,
    }
    match store.put(key, Bytes::from_static(b"second"), PutOptions::CREATE).await {
        Ok(()) => Ok(false),
        Err(error) if error.kind == ErrorKind::AlreadyExists => Ok(store.get_limited(key, 64).await? == first),
        Err(error) => Err(error),
    }
}

async fn exactly_one_wins(store: &dyn ObjectStore, key: &str) -> Result<bool, StorageError> {
    let racer = |number: u8| async move {
        (
            number,
            store.put(key, Bytes::from(vec![number]), PutOptions::CREATE).await,
        )
    };
    let mut winners = Vec::new();
    for (number, outcome) in join_all((0..RACERS).map(racer)).await {
        match outcome {
            Ok(()) => winners.push(number),
            Err(error) if error.kind == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(winners.len() == 1 && store.get_limited(key, 64).await? == winners)
}
