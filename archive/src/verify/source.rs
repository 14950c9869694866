//! What is looked at, object by object: names, listings, extents and the memory of earlier reads, all sorted and read side by side.
//!
//! Invariant: one pass, and nothing held but the object at hand; whoever is given an object to read is given the memory for it.

use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::extents::{self, ByPack};
use super::history::Known;
use super::listing::{Inventory, Listed, Lister, object_key};
use super::names::{NamedObject, ReadNames, SortedNames};
use super::object::{Read, Step};
use super::{Tally, VerifyDepth};
use crate::list::Named;
use crate::object_store::MAX_OBJECT;
use crate::{ArchiveError, layout};

/// Memory is given away in pieces of this size.
const PIECE: u64 = 4096;

/// What decides whether an object is read.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    pub(super) depth: VerifyDepth,
    /// What was read whole at this time or later is not read again.
    pub(super) since: Option<OffsetDateTime>,
    /// Whether every tree could be walked to its end, so that a read is a decode too.
    pub(super) decodes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Plan {
    No,
    Skip,
    Whole,
}

impl Reading {
    /// What was read whole no longer ago than `age` is not read again.
    pub(super) fn since(now: Option<OffsetDateTime>, age: Option<std::time::Duration>) -> Option<OffsetDateTime> {
        now?.checked_sub(Duration::try_from(age?).ok()?)
    }

    fn plan(&self, named: &NamedObject, known: &mut Known) -> Plan {
        let last = known.find(named.what, &named.id);
        if self.depth == VerifyDepth::Inventory || named.read.is_some() {
            return Plan::No;
        }
        let recent = |since| last.is_some_and(|last| last.at >= since && (last.decoded || !self.decodes));
        if self.since.is_some_and(recent) {
            Plan::Skip
        } else {
            Plan::Whole
        }
    }
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Amount {
    pub(super) objects: u64,
    /// Bytes that are read.
    pub(super) bytes: u64,
}

/// Counts before anything is asked for.
pub(super) fn amount(names: &SortedNames, mut known: Known, reading: &Reading) -> Result<Amount, ArchiveError> {
    let mut names = names.read()?;
    let mut amount = Amount::default();
    while let Some(named) = names.next()? {
        if named.snapshot.is_none() {
            continue;
        }
        amount.objects += 1;
        if reading.plan(&named, &mut known) == Plan::Whole {
            amount.bytes = amount.bytes.saturating_add(named.bytes);
        }
    }
    Ok(amount)
}

/// Gives one object after the other.
pub(super) struct Source<'a> {
    names: ReadNames<'a>,
    extents: ByPack<'a>,
    known: Known,
    reading: Reading,
    lister: Lister<'a>,
    inventory: Inventory,
    /// Ids of snapshots, newest first: records name them by number.
    snapshots: &'a [String],
    /// Whether every public list could be read: then what no list names is wrong.
    lists_are_whole: bool,
    memory: Arc<Semaphore>,
    pieces: u32,
    again: Option<NamedObject>,
    /// What is wrong and is no object that could be looked at.
    pub(super) errors: Vec<ArchiveError>,
}

/// What a source is made of.
pub(super) struct Parts<'a> {
    pub(super) names: ReadNames<'a>,
    pub(super) extents: ByPack<'a>,
    pub(super) known: Known,
    pub(super) reading: Reading,
    pub(super) lister: Lister<'a>,
    pub(super) inventory: Inventory,
    pub(super) snapshots: &'a [String],
    pub(super) lists_are_whole: bool,
    /// Most bytes of objects that are in memory at the same time.
    pub(super) memory: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(parts: Parts<'a>) -> Self {
        let pieces = u32::try_from(parts.memory as u64 / PIECE).unwrap_or(u32::MAX).max(1);
        let pieces = pieces.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
        Self {
            names: parts.names,
            extents: parts.extents,
            known: parts.known,
            reading: parts.reading,
            lister: parts.lister,
            inventory: parts.inventory,
            snapshots: parts.snapshots,
            lists_are_whole: parts.lists_are_whole,
            memory: Arc::new(Semaphore::new(pieces as usize)),
            pieces,
            again: None,
            errors: Vec::new(),
        }
    }

    /// The next object.
    ///
    /// # Errors
    /// [`ArchiveError::Local`] where what was spilled cannot be read.
    pub(super) async fn next(&mut self) -> Result<Option<Step>, ArchiveError> {
        if let Some(named) = self.again.take() {
            // So many extents lie in it that it is read again for the rest.
            return self.step(&named, Listed::Unknown, Plan::Whole).await.map(Some);
        }
        while let Some(named) = self.names.next()? {
            if named.what == Named::Pack {
                self.pass_unlisted(Some(&named))?;
            }
            let plan = self.reading.plan(&named, &mut self.known);
            let object = object_key(named.what, &named.id);
            if named.snapshot.is_none() {
                if self.lists_are_whole {
                    self.errors.push(ArchiveError::damaged(
                        &object,
                        "a tree names it, and no public list does",
                    ));
                }
                continue;
            }
            let listed = match self.inventory {
                Inventory::Skip if plan == Plan::Whole || named.read.is_some() => Listed::Unknown,
                Inventory::Skip => Listed::Absent,
                _ => self.lister.find(named.what, &named.id).await,
            };
            if named.lengths_differ {
                let reason = "public lists give it different lengths";
                self.errors.push(ArchiveError::damaged(&object, reason));
                continue;
            }
            if let Some(read) = named.read.filter(|read| *read != named.bytes) {
                let reason = format!("it has {read} bytes and not {}", named.bytes);
                self.errors.push(ArchiveError::damaged(&object, reason));
                continue;
            }
            return self.step(&named, listed, plan).await.map(Some);
        }
        self.pass_unlisted(None)?;
        self.lister.finish().await;
        Ok(None)
    }

    /// What the listings held beside the names, and why a listing broke off.
    pub(super) fn into_lister(self) -> Lister<'a> {
        self.lister
    }

    pub(super) fn unnamed(&self) -> Tally {
        self.lister.unnamed
    }

    async fn step(&mut self, named: &NamedObject, listed: Listed, plan: Plan) -> Result<Step, ArchiveError> {
        let read = match plan {
            Plan::No => Read::No,
            Plan::Skip => Read::Skipped,
            Plan::Whole if named.what == Named::Pack => Read::Whole(self.extents.take(&named.id)?),
            Plan::Whole => Read::Whole(Vec::new()),
        };
        if named.what == Named::Pack {
            if plan != Plan::Whole {
                self.extents.skip(&named.id)?;
            } else if self.extents.pack()? == Some(named.id) {
                self.again = Some(*named);
            }
        }
        let snapshot = named.snapshot.and_then(|at| self.snapshots.get(at as usize));
        let permit = match &read {
            Read::Whole(extents) => self.room(named, listed, extents.len()).await,
            _ => None,
        };
        Ok(Step {
            what: Some(named.what),
            id: Some(named.id),
            object: object_key(named.what, &named.id),
            bytes: named.bytes,
            named_by: snapshot.map_or_else(|| "a snapshot".to_owned(), |id| format!("snapshot {id}")),
            demand: named.demand,
            listed,
            was_read: named.read.is_some(),
            read,
            permit,
        })
    }

    /// Waits for memory for an object and its extents. One that needs more than there is gets all of it.
    async fn room(&self, named: &NamedObject, listed: Listed, extents: usize) -> Option<OwnedSemaphorePermit> {
        let there = match listed {
            Listed::Bytes(bytes) => bytes,
            _ => 0,
        };
        let bytes = named.bytes.max(there).min(MAX_OBJECT) + (extents * extents::RECORD) as u64;
        let pieces = u32::try_from(bytes / PIECE + 1).unwrap_or(u32::MAX).min(self.pieces);
        Arc::clone(&self.memory).acquire_many_owned(pieces).await.ok()
    }

    /// Packs that trees lean on, up to this one, and that no public list names.
    fn pass_unlisted(&mut self, up_to: Option<&NamedObject>) -> Result<(), ArchiveError> {
        while let Some(pack) = self.extents.pack()?
            && up_to.is_none_or(|named| pack < named.id)
        {
            if self.lists_are_whole {
                let (object, named_by) = (layout::pack(&pack), "a tree, and no public list".to_owned());
                self.errors.push(ArchiveError::Missing { object, named_by });
            }
            self.extents.skip(&pack)?;
        }
        Ok(())
    }
}
