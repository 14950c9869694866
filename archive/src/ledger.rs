//! The transparency log of one key: what was signed, in which order, with nothing left out.
//!
//! Invariant: entries are believed only up to a size whose root a signed checkpoint gives (docs/format/archive.md, "The log").
//! A head only grows; a remembered head that is not a prefix of what is read is an error, never a repair.

mod append;
mod entry;
pub(crate) mod fuzzing;
mod head;
mod memory;
mod proof;
mod tiles;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use muster_signing::{Checkpoint, Digest, KeyId, PublicKey, merkle};

pub use append::{Appended, Place, append, prepare};
pub use entry::{Entry, Last, LastEntry, LogEvent, SeenHead};
pub use head::{Head, origin};
pub use proof::{Consistency, Inclusion, prove_consistency, prove_inclusion};

use crate::object_store::{ListQuery, ObjectStore};
use crate::{ArchiveError, LocalState, layout};
use head::{Signed, Tiles};
use memory::Heads;

/// Longest log that is read whole.
const WHOLE_MAX: u64 = 1 << 24;
/// So many bundles are read ahead.
const BUNDLES_AHEAD: usize = 16;
/// Names in one page of a listing of incarnations.
const PAGE: usize = 1000;

/// One log as it was read whole and verified.
#[derive(Clone, Debug)]
pub struct Log {
    /// Whose log it is.
    pub key: KeyId,
    /// Its incarnation.
    pub incarnation: String,
    /// The verified head.
    pub checkpoint: Checkpoint,
    /// The head's signed note, byte for byte.
    pub note: Vec<u8>,
    /// All entries in order, byte for byte.
    pub entries: Vec<Vec<u8>>,
    pub(crate) leaves: Vec<Digest>,
}

impl Log {
    /// `ledger/<key id>/<incarnation>`.
    pub fn name(&self) -> String {
        format!("{}{}", layout::log(&self.key), self.incarnation)
    }

    /// The hashes of its entries, in order.
    pub fn leaves(&self) -> &[Digest] {
        &self.leaves
    }

    /// The heads that its first entry cites.
    pub(crate) fn cited(&self) -> Vec<SeenHead> {
        match self.entries.first().and_then(|bytes| Entry::parse(bytes)) {
            Some(Entry {
                event: LogEvent::Opened { seen },
                ..
            }) => seen,
            _ => Vec::new(),
        }
    }

    /// The entries that this version understands, with their index.
    pub fn parsed(&self) -> impl DoubleEndedIterator<Item = (u64, Entry)> + '_ {
        let entries = self.entries.iter().enumerate();
        entries.filter_map(|(at, bytes)| Some((at as u64, Entry::parse(bytes)?)))
    }
}

/// The head of the newest incarnation of one key, compared with what `state` remembers; `None` where the key has no log yet.
///
/// # Errors
/// [`ArchiveError::Damaged`], [`ArchiveError::Log`] where a byte or the order is wrong; storage errors as such.
pub async fn newest(
    store: &Arc<dyn ObjectStore>,
    repository: &str,
    key: &PublicKey,
    state: Option<&LocalState>,
) -> Result<Option<Head>, ArchiveError> {
    head::newest(store, repository, key, state).await
}

/// Looks for an entry from `from` on in one incarnation, in at most `bundles` of them. `heads` are those that were read already.
///
/// # Errors
/// As [`newest`]; `Ok(None)` where the incarnation is not there, or does not hold it so near.
pub(crate) async fn find<T>(
    store: &Arc<dyn ObjectStore>,
    repository: &str,
    (key, heads): (&PublicKey, &[Head]),
    (incarnation, from, bundles): (&str, u64, u64),
    mut wanted: impl FnMut(u64, Entry) -> Option<T>,
) -> Result<Option<T>, ArchiveError> {
    let known = heads
        .iter()
        .find(|head| head.incarnation == incarnation && head.key == key.id());
    let head = match known {
        Some(head) => Some(head.clone()),
        None => head::of(store, repository, key, incarnation).await?,
    };
    let Some(head) = head else { return Ok(None) };
    let mut reader = Tiles::new(store, &head);
    let first = from / tiles::WIDTH;
    let end = head.checkpoint.size.div_ceil(tiles::WIDTH);
    for bundle in (first..end).take(usize::try_from(bundles).unwrap_or(usize::MAX)) {
        for (index, bytes) in (bundle * tiles::WIDTH..).zip(reader.bundle(bundle).await?) {
            let found = Entry::parse(&bytes).filter(|_| index >= from);
            if let Some(found) = found.and_then(|entry| wanted(index, entry)) {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// The head of one incarnation and its newest entries that are `wanted`, newest first, at most `most`. Reads no further than it must.
///
/// # Errors
/// As [`newest`]; `Ok(None)` where the incarnation is not there.
pub(crate) async fn newest_entries(
    store: &Arc<dyn ObjectStore>,
    repository: &str,
    key: &PublicKey,
    (incarnation, most): (&str, usize),
    wanted: &(dyn Fn(&Entry) -> bool + Sync),
) -> Result<Option<(Head, Vec<(u64, Entry)>)>, ArchiveError> {
    let Some(head) = head::of(store, repository, key, incarnation).await? else {
        return Ok(None);
    };
    let (mut reader, mut entries) = (Tiles::new(store, &head), Vec::new());
    let mut bundle = head.checkpoint.size.div_ceil(tiles::WIDTH);
    while bundle > 0 && entries.len() < most {
        bundle -= 1;
        let read = (bundle * tiles::WIDTH..).zip(reader.bundle(bundle).await?);
        let parsed: Vec<_> = read
            .filter_map(|(index, bytes)| Some((index, Entry::parse(&bytes)?)))
            .collect();
        let lacking = most - entries.len();
        entries.extend(
            parsed
                .into_iter()
                .rev()
                .filter(|(_, entry)| wanted(entry))
                .take(lacking),
        );
    }
    Ok(Some((head, entries)))
}

/// Reads and verifies every incarnation of one key's log whole, newest first. Compares each with what `state` remembers, and
/// remembers what it saw.
///
/// # Errors
/// As [`newest`].
pub async fn read(
    store: &Arc<dyn ObjectStore>,
    repository: &str,
    key: &PublicKey,
    state: Option<&LocalState>,
) -> Result<Vec<Log>, ArchiveError> {
    let memory = state.map(|state| Heads::load(&key.id(), state)).transpose()?;
    let mut logs = Vec::new();
    for incarnation in incarnations(store, key).await? {
        logs.extend(read_one(store, repository, key, &incarnation).await?);
    }
    check_citations(&logs)?;
    if let Some(memory) = memory {
        memory.compare(&logs)?;
        memory.raise(logs.iter().map(|log| (log.incarnation.as_str(), &log.checkpoint)));
    }
    Ok(logs)
}

/// The names of a key's incarnations, newest first.
pub(crate) async fn incarnations(store: &Arc<dyn ObjectStore>, key: &PublicKey) -> Result<Vec<String>, ArchiveError> {
    let prefix = layout::log(&key.id());
    let mut folders: Vec<String> = Vec::new();
    loop {
        let query = ListQuery {
            prefix: &prefix,
            after: folders.last().map(String::as_str),
            max: PAGE,
            folders: true,
        };
        let page = store.list_page(query).await?;
        let more = page.more && !page.folders.is_empty();
        folders.extend(page.folders);
        if !more {
            break;
        }
    }
    let name = |folder: &String| folder[prefix.len()..].trim_end_matches('/').to_owned();
    Ok(folders.iter().map(name).collect())
}

async fn read_one(
    store: &Arc<dyn ObjectStore>,
    repository: &str,
    key: &PublicKey,
    incarnation: &str,
) -> Result<Option<Log>, ArchiveError> {
    let base = format!("{}{incarnation}/", layout::log(&key.id()));
    let Some(Signed { checkpoint, note }) = head::checkpoint(store, repository, key, incarnation).await? else {
        return Ok(None);
    };
    if checkpoint.size > WHOLE_MAX {
        let reason = "its size is out of bounds for a log that is read whole";
        return Err(ArchiveError::damaged(&format!("{base}checkpoint"), reason));
    }
    let wrong = || {
        ArchiveError::damaged(
            &format!("{base}tile/entries"),
            "its entries do not give the root that the checkpoint signs",
        )
    };
    let mut read = Err(wrong());
    // Where somebody wrote over bundles, their first versions are the log's.
    for first in [false, true] {
        let bundles: Result<Vec<Vec<Vec<u8>>>, ArchiveError> = stream::iter(tiles::bundles(checkpoint.size))
            .map(|(index, width)| head::bundle(store, &base, index, width, first))
            .buffered(BUNDLES_AHEAD)
            .try_collect()
            .await;
        let found = bundles.and_then(|bundles| {
            let entries = bundles.concat();
            let leaves: Vec<Digest> = entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
            let right = merkle::root(&leaves) == checkpoint.root;
            right.then_some((entries, leaves)).ok_or_else(wrong)
        });
        match found {
            Err(ArchiveError::Damaged { .. }) if first => {}
            found => read = found,
        }
        if !matches!(read, Err(ArchiveError::Damaged { .. })) {
            break;
        }
    }
    let (entries, leaves) = read?;
    Ok(Some(Log {
        key: key.id(),
        incarnation: incarnation.to_owned(),
        checkpoint,
        note,
        entries,
        leaves,
    }))
}

/// Reads every tile that a log's present size has and compares it with the log's leaves.
pub(crate) async fn check_tiles(store: &Arc<dyn ObjectStore>, log: &Log) -> Result<(), ArchiveError> {
    compare_tiles(store, log).await.into_iter().collect()
}

/// The same, tile by tile.
pub(crate) async fn compare_tiles(store: &Arc<dyn ObjectStore>, log: &Log) -> Vec<Result<(), ArchiveError>> {
    let (base, name) = (format!("{}/", log.name()), log.name());
    let compared = stream::iter(tiles::hash_tiles(&log.leaves)).map(|tile| {
        let (object, name) = (format!("{base}{}", tile.name), &name);
        async move {
            let found = store.get_limited(&object, tiles::TILE_MAX).await;
            let found = found.map_err(|error| ArchiveError::of(error, &object, name))?;
            let fits = |bytes: &[u8]| *bytes == tile.bytes[..];
            if fits(&found) || store.recover(&object, tiles::TILE_MAX, &fits).await?.is_some() {
                return Ok(());
            }
            let reason = "its hashes are not those of the log's entries";
            Err(ArchiveError::damaged(&object, reason))
        }
    });
    compared.buffered(BUNDLES_AHEAD).collect().await
}

/// Compares what the first entries of bundles say is newest with the entries before them.
pub(crate) fn check_last(log: &Log) -> Result<(), ArchiveError> {
    let mut last = Last::default();
    for (index, entry) in log.parsed() {
        if index > 0 && index.is_multiple_of(tiles::WIDTH) && !last.covers(&entry) {
            return Err(ArchiveError::Log {
                log: log.name(),
                reason: format!(
                    "says at index {index} that other entries were the last than those that stand before it"
                ),
            });
        }
        last.apply(index, entry);
    }
    Ok(())
}

/// Compares what the first entry of an incarnation carries on with the older incarnations of the key that it cites.
pub(crate) fn check_carried(log: &Log, all: &[Log]) -> Result<(), ArchiveError> {
    let Some(first) = log.entries.first().and_then(|bytes| Entry::parse(bytes)) else {
        return Ok(());
    };
    for seen in log.cited().into_iter().filter(|seen| seen.key == log.key) {
        let older = all
            .iter()
            .find(|other| other.key == seen.key && other.incarnation == seen.incarnation);
        let mut last = Last::default();
        for (index, entry) in older.iter().flat_map(|older| older.parsed()) {
            if index < seen.size {
                last.apply(index, entry);
            }
        }
        if !last.is_carried_by(&first) {
            return Err(ArchiveError::Log {
                log: log.name(),
                reason: format!(
                    "does not carry on what {} had as the newest when it was opened",
                    seen.incarnation
                ),
            });
        }
    }
    Ok(())
}

/// Compares the heads that newer incarnations cite with what is there: a cited log that is gone, shorter or other was removed.
///
/// # Errors
/// [`ArchiveError::Log`], naming the cited log.
pub(crate) fn check_citations(logs: &[Log]) -> Result<(), ArchiveError> {
    let keys: BTreeSet<&KeyId> = logs.iter().map(|log| &log.key).collect();
    for log in logs {
        for seen in log.cited() {
            if !keys.contains(&seen.key) {
                continue;
            }
            let found = logs
                .iter()
                .find(|other| other.key == seen.key && other.incarnation == seen.incarnation);
            let prefix = found.and_then(|other| other.leaves.get(..usize::try_from(seen.size).ok()?));
            if prefix.map(merkle::root) != Some(seen.root) {
                return Err(ArchiveError::Log {
                    log: format!("{}{}", layout::log(&seen.key), seen.incarnation),
                    reason: format!("is not there as {} saw it, with {} entries", log.name(), seen.size),
                });
            }
        }
    }
    Ok(())
}
