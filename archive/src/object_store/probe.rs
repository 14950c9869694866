//! Does this place honour conditional create? A 200 proves nothing: write twice, race, and look at what is there.

use bytes::Bytes;
use futures_util::future::join_all;

use super::{ErrorKind, ObjectStore, PutOptions, StorageError};

const RACERS: u8 = 16;

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
