//! Appending to a log: entry bundles and tiles under names that hold the new size, then the checkpoint.
//!
//! Invariant: bytes of others are never adopted. Where the bundle of the next size is taken and the checkpoint does not move past it,
//! somebody died there: a new incarnation goes on, and sorts before every other. What it takes does not grow with the log.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use muster_signing::{Checkpoint, KeyId, PublicKey, SecretKey, merkle};

use super::entry::{self, Entry, Last, LogEvent, SeenHead};
use super::head::{self, Head, Tiles, origin};
use super::memory::Heads;
use super::tiles::{self, BUNDLE_MAX, Edge as RightEdge, Tile, WIDTH};
use crate::edge::Edge;
use crate::object_store::{ErrorKind, ObjectStore, PutOptions};
use crate::{ArchiveError, LocalState, layout};

/// So many of a key's newest incarnations a new one looks at: more are not opened at one instant.
const LOOKED_AT: usize = 4;

/// So often an append is tried while others append.
const ATTEMPTS: usize = 60;

/// Where an entry came to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The incarnation.
    pub incarnation: String,
    /// The entry's index in it; of several, the last one's.
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
    /// The keys whose heads a new incarnation cites.
    pub cited: &'a [PublicKey],
}

/// The head that the next entry of `key` will follow. Opens a log, or a new incarnation, where none can be gone on with.
///
/// # Errors
/// As [`super::read`]; storage errors.
pub async fn prepare(place: &Place<'_>, key: &SecretKey, edge: &dyn Edge) -> Result<Head, ArchiveError> {
    let _lock = lock(place, &key.public()).await?;
    let (head, memory) = present(place, key).await?;
    match head {
        Some(head) => Ok(head),
        None => {
            let opened = open(place, key, edge).await?;
            memory.raise_own(&opened.incarnation, &opened.checkpoint);
            Ok(opened)
        }
    }
}

/// Appends entries to the log of `key`, all or none. `after` spares reading a head that is still the newest.
///
/// # Errors
/// As [`super::read`]; [`ArchiveError::Log`] where the log cannot be moved on.
pub async fn append(
    place: &Place<'_>,
    key: &SecretKey,
    after: Option<&Head>,
    events: &[LogEvent],
    edge: &dyn Edge,
) -> Result<Appended, ArchiveError> {
    let public = key.public();
    let _lock = lock(place, &public).await?;
    let (mut hint, mut patience, mut seen) = (after, Patience::default(), None);
    let mut passed_by: Option<String> = None;
    for _ in 0..ATTEMPTS {
        let (head, memory) = match hint.take() {
            Some(head) if still(place, &public, head).await? => {
                let memory = Heads::load(&public.id(), place.state)?;
                (Some(head.clone()), memory)
            }
            _ => present(place, key).await?,
        };
        let note = head.as_ref().map(|head| head.note.clone());
        // A newer incarnation has no head yet: another process opens it, or died there.
        let waits = passed_by.as_ref().is_some_and(|newer| {
            let head = head.as_ref();
            head.is_none_or(|head| head.incarnation > *newer)
        });
        patience.moved(seen != note && !waits);
        if waits && !patience.is_over() {
            tokio::time::sleep(patience.wait(edge)).await;
            continue;
        }
        let head = match head.filter(|_| !patience.is_over()) {
            Some(head) => head,
            None => open(place, key, edge).await?,
        };
        seen = note;
        if let Some(grown) = extend(place, key, &head, events, edge).await? {
            memory.raise_own(&grown.incarnation, &grown.checkpoint);
            // Whoever took this run for dead meanwhile went on in a newer incarnation, which is where readers look.
            let newest = head::incarnation_after(place.store, &public, None).await?;
            passed_by = newest.filter(|newest| *newest < grown.incarnation);
            if passed_by.is_none() {
                return Ok(Appended {
                    index: grown.checkpoint.size - 1,
                    incarnation: grown.incarnation,
                });
            }
        }
        tokio::time::sleep(patience.wait(edge)).await;
    }
    Err(ArchiveError::Log {
        log: layout::log(&public.id()),
        reason: "cannot be appended to: others append without pause".to_owned(),
    })
}

/// How long others are waited for. While the log moves they live; where it stands still somebody died between entry and checkpoint.
#[derive(Default)]
struct Patience {
    stood_still: u32,
}

impl Patience {
    fn moved(&mut self, moved: bool) {
        self.stood_still = if moved { 0 } else { self.stood_still + 1 };
    }

    fn is_over(&self) -> bool {
        self.stood_still >= 4
    }

    /// Longer where nothing moves; never the same for two.
    fn wait(&self, edge: &dyn Edge) -> Duration {
        let mut random = [0; 2];
        edge.fill(&mut random);
        let longest = 100u64 << self.stood_still.min(4);
        Duration::from_millis(longest / 2 + u64::from(u16::from_le_bytes(random)) % (longest / 2))
    }
}

async fn lock(place: &Place<'_>, key: &PublicKey) -> Result<std::fs::File, ArchiveError> {
    let (state, name) = (place.state.clone(), format!("log-{}", key.id()));
    tokio::task::spawn_blocking(move || state.lock(&name))
        .await
        .map_err(|_| ArchiveError::Cancelled)?
}

/// The newest head, where this process may go on from it.
async fn present<'a>(place: &Place<'a>, key: &SecretKey) -> Result<(Option<Head>, Heads<'a>), ArchiveError> {
    let public = key.public();
    let memory = Heads::load(&public.id(), place.state)?;
    let head = head::newest(place.store, place.repository, &public, Some(place.state)).await?;
    // Without conditional create, only the host that made this very head goes on from it: one that read it may not be the only one.
    let made = |head: &Head| place.conditional_create || memory.made(&head.incarnation, &head.checkpoint);
    Ok((head.filter(made), memory))
}

/// Whether a head that was read a moment ago is still the log's.
async fn still(place: &Place<'_>, key: &PublicKey, head: &Head) -> Result<bool, ArchiveError> {
    let now = head::checkpoint(place.store, place.repository, key, &head.incarnation).await?;
    Ok(now.is_some_and(|now| now.note == head.note))
}

/// Opens a new incarnation: entry 0 cites the heads that are there, and carries on what they say is newest.
async fn open(place: &Place<'_>, key: &SecretKey, edge: &dyn Edge) -> Result<Head, ArchiveError> {
    let public = key.public();
    let mut heads = Vec::new();
    for other in place.cited.iter().filter(|other| other.id() != public.id()) {
        heads.extend(head::newest(place.store, place.repository, other, None).await?);
    }
    let own = newest_few(place, &public).await?;
    // One that somebody died in while opening it sorts among them too, whatever clock it had.
    let newest = head::incarnation_after(place.store, &public, None).await?;
    let named = own.iter().map(|head| &head.incarnation).chain(&newest);
    let newest = named
        .filter_map(|incarnation| u64::from_str_radix(incarnation.get(..16)?, 16).ok())
        .min();
    let mut last = Last::default();
    for head in own.iter().rev() {
        last.merge(head.last().seen_from_elsewhere(&head.incarnation));
    }
    heads.extend(own);
    let seen = uncited(place, &heads).await?;
    let by_clock = u64::MAX - edge.now_ms();
    let order = newest.map_or(by_clock, |newest| by_clock.min(newest.saturating_sub(1)));
    let mut random = [0; 4];
    edge.fill(&mut random);
    let incarnation = format!("{order:016x}-{:08x}", u32::from_be_bytes(random));
    let empty = Head {
        key: public.id(),
        checkpoint: Checkpoint {
            origin: origin(place.repository, &incarnation),
            size: 0,
            root: merkle::root(&[]),
        },
        incarnation,
        note: Vec::new(),
        edge: RightEdge::default(),
        tail: Vec::new(),
    };
    let opened = extend_after(place, key, &empty, last, &[LogEvent::Opened { seen }], edge).await?;
    opened.ok_or_else(|| ArchiveError::Log {
        log: empty.name(),
        reason: "was opened by another process at the same instant".to_owned(),
    })
}

/// The heads of a key's newest incarnations, newest first.
async fn newest_few(place: &Place<'_>, key: &PublicKey) -> Result<Vec<Head>, ArchiveError> {
    let (mut heads, mut after) = (Vec::new(), None);
    while heads.len() < LOOKED_AT {
        let Some(incarnation) = head::incarnation_after(place.store, key, after.as_deref()).await? else {
            break;
        };
        heads.extend(head::of(place.store, place.repository, key, &incarnation).await?);
        after = Some(incarnation);
    }
    Ok(heads)
}

/// The heads that none of the others cites as they are: through them all others are cited, however many there are.
async fn uncited(place: &Place<'_>, heads: &[Head]) -> Result<Vec<SeenHead>, ArchiveError> {
    let mut cited: BTreeSet<(KeyId, String, u64)> = BTreeSet::new();
    for head in heads {
        let first = match head.tail_begin() {
            0 => head.tail.first().cloned(),
            _ => Tiles::new(place.store, head).bundle(0).await?.into_iter().next(),
        };
        if let Some(LogEvent::Opened { seen }) = first.and_then(|bytes| Some(Entry::parse(&bytes)?.event)) {
            cited.extend(seen.into_iter().map(|seen| (seen.key, seen.incarnation, seen.size)));
        }
    }
    let here = heads.iter().map(|head| SeenHead {
        key: head.key.clone(),
        incarnation: head.incarnation.clone(),
        size: head.checkpoint.size,
        root: head.checkpoint.root,
    });
    Ok(here
        .filter(|head| !cited.contains(&(head.key.clone(), head.incarnation.clone(), head.size)))
        .collect())
}

/// Puts entries, tiles and checkpoint; `None` where another process holds the next size.
async fn extend(
    place: &Place<'_>,
    key: &SecretKey,
    head: &Head,
    events: &[LogEvent],
    edge: &dyn Edge,
) -> Result<Option<Head>, ArchiveError> {
    extend_after(place, key, head, head.last(), events, edge).await
}

async fn extend_after(
    place: &Place<'_>,
    key: &SecretKey,
    head: &Head,
    mut last: Last,
    events: &[LogEvent],
    edge: &dyn Edge,
) -> Result<Option<Head>, ArchiveError> {
    let base = format!("{}/", head.name());
    let mut grown = head.clone();
    if head.checkpoint.size.is_multiple_of(WIDTH) {
        grown.tail.clear();
    }
    let (mut claim, mut tiles) = (None, Vec::new());
    for event in events {
        let index = grown.edge.size();
        let entry = entry::encode(event, index, &last, edge)?;
        if let Some(entry) = Entry::parse(&entry) {
            last.apply(index, entry);
        }
        if grown.tail.len() as u64 == WIDTH {
            grown.tail.clear();
        }
        grown.edge.push(merkle::leaf_hash(&entry), &mut tiles);
        grown.tail.push(entry);
        let bundle = || tiles::join_bundle(index / WIDTH, &grown.tail);
        if claim.is_none() {
            claim = Some(bundle());
        } else if grown.tail.len() as u64 == WIDTH {
            tiles.push(bundle());
        }
    }
    // The bundle of the next size comes first, however many entries there are: it is what every other process would want too.
    let Some(claim) = claim else { return Ok(Some(grown)) };
    let size = grown.edge.size();
    if events.len() > 1 && !size.is_multiple_of(WIDTH) {
        tiles.push(tiles::join_bundle(size / WIDTH, &grown.tail));
    }
    tiles.extend(grown.edge.partial_tiles(head.checkpoint.size));
    if !create(place.store, &base, claim).await? {
        return Ok(None);
    }
    for tile in tiles {
        if !create(place.store, &base, tile).await? {
            return Ok(None);
        }
    }
    grown.checkpoint.size = size;
    grown.checkpoint.root = grown.edge.root();
    let unsigned = |error| ArchiveError::Log {
        log: grown.name(),
        reason: format!("cannot be signed: {error}"),
    };
    grown.note = grown.checkpoint.sign(key).map_err(unsigned)?.into_bytes();
    let note = Bytes::from(grown.note.clone());
    place
        .store
        .put(&format!("{base}checkpoint"), note, PutOptions::OVERWRITE)
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
            let found = store.get_limited(&object, BUNDLE_MAX).await?;
            Ok(found[..] == tile.bytes[..])
        }
        Err(error) => Err(error.into()),
    }
}
