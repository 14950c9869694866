//! Appending to a log: entry bundle and tiles under names that hold the new size, then the checkpoint.
//!
//! Invariant: bytes of others are never adopted. Where a name of the next size is taken and the checkpoint does not move past
//! it, somebody died there: a new incarnation goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use muster_signing::{Checkpoint, KeyId, PublicKey, SecretKey, merkle};

use super::tiles::{self, ENTRY_MAX, Tile};
use super::{Entry, Heads, Log, LogEvent, SeenHead, origin, read};
use crate::edge::Edge;
use crate::object_store::{ErrorKind, ObjectStore, PutOptions};
use crate::{ArchiveError, LocalState, layout};

/// Where an entry came to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The incarnation.
    pub incarnation: String,
    /// The entry's index in it.
    pub index: u64,
}

/// What an append needs to know of the repository.
pub struct Place<'a> {
    /// Where objects are.
    pub store: &'a Arc<dyn ObjectStore>,
    /// Repository id.
    pub repository: &'a str,
    /// Local memory and locks.
    pub state: &'a LocalState,
    /// Whether the server was seen to honour conditional creates.
    pub conditional_create: bool,
}

/// Appends one entry to the log of `key`. `others` are the keys whose heads a new incarnation cites.
///
/// # Errors
/// As [`super::read`]; [`ArchiveError::Log`] where the log cannot be moved on.
pub async fn append(
    place: &Place<'_>,
    key: &SecretKey,
    others: &[PublicKey],
    event: LogEvent,
    edge: &dyn Edge,
) -> Result<Appended, ArchiveError> {
    let public = key.public();
    let _lock = lock(place, &public).await?;
    for attempt in 0..5u32 {
        let heads = Heads::load(&public.id(), place.state)?;
        let logs = read(place.store, place.repository, &public, None).await?;
        heads.compare(&logs)?;
        let known = logs.first().is_some_and(|log| heads.knows(log));
        let newest = logs
            .first()
            .filter(|_| known || place.conditional_create)
            .filter(|_| attempt < 4);
        let log = match newest {
            Some(log) => log.clone(),
            None => opened(place, key, others, edge).await?,
        };
        let entry = encode(&event, edge)?;
        if let Some(grown) = extend(place, key, &log, entry).await? {
            let index = grown.checkpoint.size - 1;
            heads.raise(std::slice::from_ref(&grown));
            return Ok(Appended {
                incarnation: grown.incarnation,
                index,
            });
        }
        tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
    }
    Err(ArchiveError::Log {
        log: layout::log(&public.id()),
        reason: "cannot be appended to: others append without pause".to_owned(),
    })
}

async fn lock(place: &Place<'_>, key: &PublicKey) -> Result<std::fs::File, ArchiveError> {
    let (state, name) = (place.state.clone(), format!("log-{}", key.id()));
    tokio::task::spawn_blocking(move || state.lock(&name))
        .await
        .map_err(|_| ArchiveError::Cancelled)?
}

async fn opened(
    place: &Place<'_>,
    key: &SecretKey,
    others: &[PublicKey],
    edge: &dyn Edge,
) -> Result<Log, ArchiveError> {
    let mut logs = Vec::new();
    for other in others {
        logs.extend(read(place.store, place.repository, other, None).await?);
    }
    let seen = uncited_heads(&logs);
    let own = logs.iter().filter(|log| log.key == key.public().id());
    let newest = own
        .filter_map(|log| u64::from_str_radix(log.incarnation.get(..16)?, 16).ok())
        .min();
    let by_clock = u64::MAX - edge.now_ms();
    let order = newest.map_or(by_clock, |newest| by_clock.min(newest.saturating_sub(1)));
    let mut random = [0; 4];
    edge.fill(&mut random);
    let incarnation = format!("{order:016x}-{:08x}", u32::from_be_bytes(random));
    let root = merkle::root(&[]);
    let checkpoint = Checkpoint {
        origin: origin(place.repository, &incarnation),
        size: 0,
        root,
    };
    let log = Log {
        key: key.public().id(),
        incarnation,
        checkpoint,
        note: Vec::new(),
        entries: Vec::new(),
        leaves: Vec::new(),
    };
    let entry = encode(&LogEvent::Opened { seen }, edge)?;
    let opened = extend(place, key, &log, entry).await?;
    opened.ok_or_else(|| ArchiveError::Log {
        log: log.name(),
        reason: "was opened by another process at the same instant".to_owned(),
    })
}

/// The heads that no other incarnation cites yet: through them all others are cited, however many there are.
fn uncited_heads(logs: &[Log]) -> Vec<SeenHead> {
    let cited: BTreeSet<(KeyId, String)> = logs
        .iter()
        .flat_map(Log::cited)
        .map(|head| (head.key, head.incarnation))
        .collect();
    let heads = logs
        .iter()
        .filter(|log| !cited.contains(&(log.key.clone(), log.incarnation.clone())));
    heads
        .map(|log| SeenHead {
            key: log.key.clone(),
            incarnation: log.incarnation.clone(),
            size: log.checkpoint.size,
            root: log.checkpoint.root,
        })
        .collect()
}

fn encode(event: &LogEvent, edge: &dyn Edge) -> Result<Vec<u8>, ArchiveError> {
    let entry = Entry {
        schema: "muster.entry/1".to_owned(),
        time: edge.now(),
        event: event.clone(),
    };
    let bytes =
        serde_json::to_vec(&entry).map_err(|error| ArchiveError::Invalid(format!("encode a log entry: {error}")))?;
    if bytes.len() > ENTRY_MAX {
        return Err(ArchiveError::Invalid(format!(
            "a log entry of {} bytes is longer than {ENTRY_MAX}",
            bytes.len()
        )));
    }
    Ok(bytes)
}

/// Puts entry, tiles and checkpoint; `None` where another process holds the next size.
async fn extend(place: &Place<'_>, key: &SecretKey, log: &Log, entry: Vec<u8>) -> Result<Option<Log>, ArchiveError> {
    let mut grown = log.clone();
    grown.leaves.push(merkle::leaf_hash(&entry));
    grown.entries.push(entry);
    grown.checkpoint.size += 1;
    grown.checkpoint.root = merkle::root(&grown.leaves);
    let base = format!("{}/", grown.name());
    let bundle = tiles::last_bundle(&grown.entries)
        .ok_or_else(|| ArchiveError::Invalid("an empty log has no bundle".to_owned()))?;
    if !create(place.store, &base, bundle).await? {
        return Ok(None);
    }
    for tile in tiles::changed_tiles(&grown.leaves) {
        if !create(place.store, &base, tile).await? {
            return Ok(None);
        }
    }
    let unsigned = |error| ArchiveError::Log {
        log: grown.name(),
        reason: format!("cannot be signed: {error}"),
    };
    grown.note = grown.checkpoint.sign(key).map_err(unsigned)?.into_bytes();
    let mode = PutOptions::OVERWRITE;
    place
        .store
        .put(&format!("{base}checkpoint"), Bytes::from(grown.note.clone()), mode)
        .await?;
    Ok(Some(grown))
}

async fn create(store: &Arc<dyn ObjectStore>, base: &str, tile: Tile) -> Result<bool, ArchiveError> {
    let object = format!("{base}{}", tile.name);
    match store
        .put(&object, Bytes::from(tile.bytes.clone()), PutOptions::CREATE)
        .await
    {
        Ok(()) => Ok(true),
        Err(error) if error.kind == ErrorKind::AlreadyExists => {
            let found = store.get_limited(&object, 256 * (ENTRY_MAX as u64 + 2)).await?;
            Ok(found[..] == tile.bytes[..])
        }
        Err(error) => Err(error.into()),
    }
}
