//! The head of a log: its signed checkpoint, the right edge of its tiles, and its last entries.
//!
//! Invariant: nothing is believed that the signed root does not give. What it takes to open a head, to look back into the log, or to
//! show that it grew out of an older head is a handful of requests, whatever its length: one more for each 256-fold. Only where a
//! tile at the edge is lost is it made again of those beneath it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use muster_signing::merkle::{self, Subtree};
use muster_signing::{Checkpoint, Digest, KeyId, PublicKey, note};

use super::entry::{Entry, Last};
use super::memory::Heads;
use super::tiles::{self, BUNDLE_MAX, Edge, SIZE_MAX, TILE_MAX, WIDTH};
use crate::object_store::{ErrorKind, ListQuery, ObjectStore, StorageError};
use crate::{ArchiveError, LocalState, layout};

/// Most bytes of a checkpoint note.
const NOTE_MAX: u64 = 64 << 10;
/// How often a head is read anew because the log moved on meanwhile.
const ATTEMPTS: usize = 3;

/// A verified head.
#[derive(Clone, Debug)]
pub struct Head {
    /// Whose log it is.
    pub key: KeyId,
    /// Its incarnation.
    pub incarnation: String,
    /// Size and root.
    pub checkpoint: Checkpoint,
    /// The signed note, byte for byte.
    pub note: Vec<u8>,
    pub(super) edge: Edge,
    /// The entries of the last bundle.
    pub(super) tail: Vec<Vec<u8>>,
}

impl Head {
    /// `ledger/<key id>/<incarnation>`.
    pub fn name(&self) -> String {
        format!("{}{}", layout::log(&self.key), self.incarnation)
    }

    /// The newest entry of each line: all that the last bundle says.
    pub fn last(&self) -> Last {
        let mut last = Last::default();
        for (index, bytes) in (self.tail_begin()..).zip(&self.tail) {
            if let Some(entry) = Entry::parse(bytes) {
                last.apply(index, entry);
            }
        }
        last
    }

    /// Index of the first entry of the last bundle.
    pub(super) fn tail_begin(&self) -> u64 {
        self.checkpoint.size - self.tail.len() as u64
    }
}

/// The origin line of an incarnation's checkpoints.
pub fn origin(repository: &str, incarnation: &str) -> String {
    format!("muster/{repository}/{incarnation}")
}

/// A checkpoint that was read and whose signature holds.
pub(super) struct Signed {
    pub(super) checkpoint: Checkpoint,
    pub(super) note: Vec<u8>,
}

/// Reads the checkpoint of an incarnation; `None` where there is none.
pub(super) async fn checkpoint(
    store: &Arc<dyn ObjectStore>,
    repository: &str,
    key: &PublicKey,
    incarnation: &str,
) -> Result<Option<Signed>, ArchiveError> {
    let object = format!("{}{incarnation}/checkpoint", layout::log(&key.id()));
    let bytes = match store.get_limited(&object, NOTE_MAX).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ArchiveError::of(error, &object, "the listing")),
    };
    let name = origin(repository, incarnation);
    let (bytes, verified) = match note::verify(&bytes, &name, key) {
        Ok(text) => (bytes, Ok(text)),
        Err(error) => {
            let fits = |bytes: &[u8]| note::verify(bytes, &name, key).is_ok();
            match store.recover(&object, NOTE_MAX, &fits).await? {
                Some(older) => (older.clone(), note::verify(&older, &name, key)),
                None => (bytes, Err(error)),
            }
        }
    };
    let text = verified.map_err(|error| ArchiveError::damaged(&object, error))?;
    let checkpoint = Checkpoint::parse(&text).map_err(|error| ArchiveError::damaged(&object, error))?;
    if checkpoint.origin != name {
        return Err(ArchiveError::damaged(&object, "its origin is another log's"));
    }
    if checkpoint.size > SIZE_MAX {
        return Err(ArchiveError::damaged(&object, "its size is out of bounds"));
    }
    Ok(Some(Signed {
        checkpoint,
        note: bytes.to_vec(),
    }))
}

/// Reads the head of one incarnation; `None` where there is none.
pub(super) async fn of(
    store: &Arc<dyn ObjectStore>,
    repository: &str,
    key: &PublicKey,
    incarnation: &str,
) -> Result<Option<Head>, ArchiveError> {
    let mut signed = checkpoint(store, repository, key, incarnation).await?;
    for _ in 0..ATTEMPTS {
        let Some(Signed { checkpoint, note }) = signed else {
            return Ok(None);
        };
        let size = checkpoint.size;
        let again = async |way| behind(store, key, incarnation, (&checkpoint, &note), way).await;
        let read = match again(Way::AsItIs).await {
            Err(error @ ArchiveError::Damaged { .. }) => match again(Way::FirstVersion).await {
                Ok(first) => Ok(first),
                Err(_) => again(Way::MadeAgain).await.map_err(|_| error),
            },
            read => read,
        };
        match read {
            // A partial tile may go once the log is longer: then the longer one is what there is to read.
            Err(error @ ArchiveError::Missing { .. }) => {
                signed = self::checkpoint(store, repository, key, incarnation).await?;
                if signed.as_ref().is_some_and(|now| now.checkpoint.size == size) {
                    return again(Way::MadeAgain).await.map(Some).map_err(|_| error);
                }
            }
            other => return other.map(Some),
        }
    }
    Err(ArchiveError::Log {
        log: format!("{}{incarnation}", layout::log(&key.id())),
        reason: "grew faster than it could be read: try again".to_owned(),
    })
}

/// How the edge of a log is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// What stands under each name.
    AsItIs,
    /// The first version of each.
    FirstVersion,
    /// Tiles of hashes are not read but made of what lies beneath them.
    MadeAgain,
}

/// Reads what stands behind a checkpoint: the edge of its tiles and its last bundle.
async fn behind(
    store: &Arc<dyn ObjectStore>,
    key: &PublicKey,
    incarnation: &str,
    (checkpoint, note): (&Checkpoint, &[u8]),
    way: Way,
) -> Result<Head, ArchiveError> {
    let first = way == Way::FirstVersion;
    let base = format!("{}{incarnation}/", layout::log(&key.id()));
    let size = checkpoint.size;
    let (partial, mut levels) = (size % WIDTH, vec![Vec::new(); tiles::edge_levels(size) as usize]);
    let mut tail = Vec::new();
    if partial > 0 {
        tail = bundle(store, &base, size / WIDTH, partial, first).await?;
        levels[0] = tail.iter().map(|entry| merkle::leaf_hash(entry)).collect();
    }
    for (level, hashes) in (0u32..).zip(&mut levels).skip(1) {
        let width = tiles::edge_width(level, size);
        let place = (level, tiles::edge_index(level, size), width);
        if width > 0 {
            *hashes = match way {
                Way::MadeAgain => made_again(store, &base, place).await?,
                _ => tile(store, &base, place, first).await?,
            };
        }
    }
    let edge = Edge::of(levels, size).filter(|edge| edge.root() == checkpoint.root);
    let edge = edge.ok_or_else(|| {
        ArchiveError::damaged(
            &format!("{base}tile/entries"),
            "its entries and tiles do not give the root that the checkpoint signs",
        )
    })?;
    let mut head = Head {
        key: key.id(),
        incarnation: incarnation.to_owned(),
        checkpoint: checkpoint.clone(),
        note: note.to_vec(),
        edge,
        tail,
    };
    if partial == 0 && size > 0 {
        head.tail = Tiles::new(store, &head).bundle(size / WIDTH - 1).await?;
    }
    Ok(head)
}

/// The hashes of a tile that is lost: the roots of those beneath it, the lowest of all made of the entries.
async fn made_again(
    store: &Arc<dyn ObjectStore>,
    base: &str,
    (level, index, width): (u32, u64, u64),
) -> Result<Vec<Digest>, ArchiveError> {
    let mut hashes = Vec::new();
    for child in index * WIDTH..index * WIDTH + width {
        let below = match level {
            1 => {
                let entries = bundle(store, base, child, WIDTH, false).await?;
                entries.iter().map(|entry| merkle::leaf_hash(entry)).collect()
            }
            _ => tile(store, base, (level - 1, child, WIDTH), false).await?,
        };
        hashes.push(merkle::root(&below));
    }
    Ok(hashes)
}

/// The newest incarnation's head of one key, compared with what `state` remembers of it; `None` where the key has no log yet.
///
/// # Errors
/// [`ArchiveError::Damaged`], [`ArchiveError::Log`] where a byte or the order is wrong; storage errors as such.
pub(super) async fn newest(
    store: &Arc<dyn ObjectStore>,
    repository: &str,
    key: &PublicKey,
    state: Option<&LocalState>,
) -> Result<Option<Head>, ArchiveError> {
    let memory = state.map(|state| Heads::load(&key.id(), state)).transpose()?;
    let mut found = listed_first(store, repository, key).await?;
    let Some(memory) = memory else { return Ok(found) };
    if let Some((incarnation, seen)) = memory.newest() {
        let here = found.as_ref().filter(|head| head.incarnation == incarnation);
        let remembered = match here {
            Some(_) => None,
            // A newer one is there, or a listing lags: the remembered one must be there in either case.
            None => Some(of(store, repository, key, incarnation).await?),
        };
        let head = match &remembered {
            None => here,
            Some(head) => head.as_ref(),
        };
        let head = head.ok_or_else(|| memory.gone(incarnation, seen))?;
        let then = Tiles::new(store, head).root_at(seen.size).await?;
        memory.judge(incarnation, seen, head.checkpoint.size, then)?;
        if found.as_ref().is_none_or(|found| *found.incarnation > *incarnation) {
            found = remembered.flatten();
        }
    }
    memory.raise(found.as_ref().map(|head| (head.incarnation.as_str(), &head.checkpoint)));
    Ok(found)
}

/// The head of the incarnation that a listing names first. A folder without a checkpoint is no log yet.
async fn listed_first(
    store: &Arc<dyn ObjectStore>,
    repository: &str,
    key: &PublicKey,
) -> Result<Option<Head>, ArchiveError> {
    let mut after = None;
    while let Some(incarnation) = incarnation_after(store, key, after.as_deref()).await? {
        if let Some(head) = of(store, repository, key, &incarnation).await? {
            return Ok(Some(head));
        }
        after = Some(incarnation);
    }
    Ok(None)
}

/// The newest incarnation of a key that is older than `after`: one listing of one name.
pub(super) async fn incarnation_after(
    store: &Arc<dyn ObjectStore>,
    key: &PublicKey,
    after: Option<&str>,
) -> Result<Option<String>, ArchiveError> {
    let prefix = layout::log(&key.id());
    let after = after.map(|incarnation| format!("{prefix}{incarnation}/"));
    let query = ListQuery {
        prefix: &prefix,
        after: after.as_deref(),
        max: 1,
        folders: true,
    };
    let page = store.list_page(query).await?;
    let folder = page.folders.first();
    Ok(folder.map(|folder| folder[prefix.len()..].trim_end_matches('/').to_owned()))
}

/// A log seen from one head: any of its entries and subtrees, each read once and checked against the head.
pub(super) struct Tiles<'a> {
    store: &'a Arc<dyn ObjectStore>,
    head: &'a Head,
    base: String,
    read: BTreeMap<(u32, u64), Vec<Digest>>,
}

impl<'a> Tiles<'a> {
    pub(super) fn new(store: &'a Arc<dyn ObjectStore>, head: &'a Head) -> Self {
        Self {
            store,
            head,
            base: format!("{}/", head.name()),
            read: BTreeMap::new(),
        }
    }

    /// The root that the log had at an earlier size; `None` where it never had that many entries.
    pub(super) async fn root_at(&mut self, size: u64) -> Result<Option<Digest>, ArchiveError> {
        if size > self.head.checkpoint.size {
            return Ok(None);
        }
        if size == self.head.checkpoint.size {
            return Ok(Some(self.head.checkpoint.root));
        }
        self.folded(&merkle::subtrees(0, size)).await.map(Some)
    }

    /// The hashes of a proof whose parts `signing::merkle` names.
    pub(super) async fn proof(&mut self, parts: &[Vec<Subtree>]) -> Result<Vec<Digest>, ArchiveError> {
        let mut proof = Vec::with_capacity(parts.len());
        for parts in parts {
            proof.push(self.folded(parts).await?);
        }
        Ok(proof)
    }

    async fn folded(&mut self, parts: &[Subtree]) -> Result<Digest, ArchiveError> {
        let mut hashes = Vec::with_capacity(parts.len());
        for part in parts {
            hashes.push(self.subtree(*part).await?);
        }
        Ok(merkle::fold(&hashes))
    }

    async fn subtree(&mut self, part: Subtree) -> Result<Digest, ArchiveError> {
        let (level, inner) = (part.level / 8, part.level % 8);
        let first = part.index << inner;
        let hashes = self.tile(level, first / WIDTH).await?;
        let from = usize::try_from(first % WIDTH).unwrap_or(usize::MAX);
        let hashes = hashes.get(from..).and_then(|hashes| hashes.get(..1 << inner));
        hashes
            .map(merkle::root)
            .ok_or_else(|| ArchiveError::Invalid("a part of a log was asked for that it does not have".to_owned()))
    }

    /// The entries of a bundle.
    pub(super) async fn bundle(&mut self, index: u64) -> Result<Vec<Vec<u8>>, ArchiveError> {
        let size = self.head.checkpoint.size;
        if !self.head.tail.is_empty() && index == self.head.tail_begin() / WIDTH {
            return Ok(self.head.tail.clone());
        }
        if index >= size / WIDTH {
            return Err(ArchiveError::Invalid(
                "an entry of a log was asked for that it does not have".to_owned(),
            ));
        }
        let place = usize::try_from(index % WIDTH).unwrap_or(0);
        let expected = self.tile(1, index / WIDTH).await?.get(place).copied();
        for first in [false, true] {
            let entries = match bundle(self.store, &self.base, index, WIDTH, first).await {
                Err(error) if error.is_damage() && !first => continue,
                entries => entries?,
            };
            let leaves: Vec<Digest> = entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
            if expected == Some(merkle::root(&leaves)) {
                return Ok(entries);
            }
        }
        Err(ArchiveError::damaged(
            &format!("{}{}", self.base, tiles::bundle_path(index, WIDTH)),
            "its entries are not those of the log",
        ))
    }

    /// The hashes of a tile: on the edge it is at hand; else the tile above it says what it must hash to.
    async fn tile(&mut self, level: u32, index: u64) -> Result<Vec<Digest>, ArchiveError> {
        let (mut above, mut place) = ((level, index), Vec::new());
        let mut hashes = loop {
            let (level, index) = above;
            if let Some(hashes) = self.head.edge.tile(level, index) {
                break hashes.to_vec();
            }
            if let Some(hashes) = self.read.get(&above) {
                break hashes.clone();
            }
            if level > 6 {
                return Err(ArchiveError::Invalid(
                    "a tile of a log was asked for that it does not have".to_owned(),
                ));
            }
            place.push(above);
            above = (level + 1, index / WIDTH);
        };
        while let Some((level, index)) = place.pop() {
            let expected = usize::try_from(index % WIDTH).ok().and_then(|at| hashes.get(at));
            let expected = *expected.ok_or_else(|| {
                ArchiveError::Invalid("a tile of a log was asked for that it does not have".to_owned())
            })?;
            let place = (level, index, WIDTH);
            let mut below = tile(self.store, &self.base, place, false).await;
            if below
                .as_ref()
                .map_or_else(ArchiveError::is_damage, |below| merkle::root(below) != expected)
            {
                below = tile(self.store, &self.base, place, true).await.or(below);
            }
            let below = below?;
            if merkle::root(&below) != expected {
                return Err(ArchiveError::damaged(
                    &format!("{}{}", self.base, tiles::tile_path(level, index, WIDTH)),
                    "its hashes are not those of the log",
                ));
            }
            self.read.insert((level, index), below.clone());
            hashes = below;
        }
        Ok(hashes)
    }
}

async fn tile(
    store: &Arc<dyn ObjectStore>,
    base: &str,
    (level, index, width): (u32, u64, u64),
    first: bool,
) -> Result<Vec<Digest>, ArchiveError> {
    let object = format!("{base}{}", tiles::tile_path(level, index, width));
    let bytes = read(store, &object, TILE_MAX, first).await;
    let bytes = bytes.map_err(|error| ArchiveError::of(error, &object, &format!("{base}checkpoint")))?;
    tiles::split_tile(&bytes, width).ok_or_else(|| ArchiveError::damaged(&object, "it is not a tile of its width"))
}

/// Reads a bundle. The caller compares its entries with the log's hashes.
pub(super) async fn bundle(
    store: &Arc<dyn ObjectStore>,
    base: &str,
    index: u64,
    width: u64,
    first: bool,
) -> Result<Vec<Vec<u8>>, ArchiveError> {
    let object = format!("{base}{}", tiles::bundle_path(index, width));
    let bytes = read(store, &object, BUNDLE_MAX, first).await;
    let bytes = bytes.map_err(|error| ArchiveError::of(error, &object, &format!("{base}checkpoint")))?;
    tiles::split_bundle(&bytes, width).ok_or_else(|| ArchiveError::damaged(&object, "it is not a bundle of its width"))
}

/// An object of a log; the `first` version of it, for whoever found that somebody wrote over it: nobody who is honest writes one twice.
async fn read(store: &Arc<dyn ObjectStore>, object: &str, max: u64, first: bool) -> Result<Bytes, StorageError> {
    if first {
        let versions = store.versions(object).await?;
        if let Some(first) = versions.iter().rev().find(|version| !version.delete_marker) {
            let bytes = store.get_version(object, &first.id, max).await?;
            // The place tells the user that it is an older version.
            let found = store.recover(object, max, &|found| *found == bytes[..]).await?;
            return Ok(found.unwrap_or(bytes));
        }
    }
    store.get_limited(object, max).await
}
