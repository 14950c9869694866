//! The pack table of a tree object: which packs its extents lie in, and what each was sealed with.
//!
//! Invariant: an extent names a pack by its place in the table, so a pack's id stands once in an object.

use std::collections::HashMap;

use muster_signing::Digest;

use super::TreeError;
use super::codec::BODY_MAX;
use super::wire::{Cursor, put_varint};
use crate::seal::{RunId, SealError, SealedAt, TreeSeal};

/// Most runs in one object's table.
const RUNS_MAX: usize = 512;

#[derive(Default)]
pub(super) struct PackTable {
    ids: Vec<Digest>,
    positions: HashMap<Digest, u64>,
}

impl PackTable {
    pub(super) fn position(&mut self, id: Digest) -> u64 {
        *self.positions.entry(id).or_insert_with(|| {
            self.ids.push(id);
            self.ids.len() as u64 - 1
        })
    }

    pub(super) fn encode(&self, sealing: Option<&TreeSeal>) -> Result<Vec<u8>, SealError> {
        let mut out = Vec::with_capacity(self.ids.len() * 66 + 10);
        let Some(sealing) = sealing else {
            put_varint(&mut out, self.ids.len() as u64);
            self.ids.iter().for_each(|id| out.extend_from_slice(id.as_bytes()));
            return Ok(out);
        };
        let mut runs: Vec<RunId> = Vec::new();
        let mut table = Vec::with_capacity(self.ids.len() * 66);
        for id in &self.ids {
            let sealed = sealing.pack(id)?;
            let run = runs.iter().position(|run| *run == sealed.run).unwrap_or_else(|| {
                runs.push(sealed.run);
                runs.len() - 1
            });
            table.extend_from_slice(id.as_bytes());
            put_varint(&mut table, run as u64);
            table.extend_from_slice(&sealed.salt);
        }
        put_varint(&mut out, runs.len() as u64);
        runs.iter().for_each(|run| out.extend_from_slice(run.as_bytes()));
        put_varint(&mut out, self.ids.len() as u64);
        out.extend_from_slice(&table);
        Ok(out)
    }
}

/// The pack table of a decoded object.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    pub(super) ids: Vec<Digest>,
    sealed: Vec<SealedAt>,
}

impl Packs {
    /// Each pack and what it was sealed with; nothing where the object is plain.
    pub(crate) fn sealed(&self) -> impl Iterator<Item = (Digest, SealedAt)> {
        self.ids.iter().copied().zip(self.sealed.iter().copied())
    }
}

pub(super) fn take_packs(cursor: &mut Cursor<'_>, sealed: bool) -> Result<Packs, TreeError> {
    let mut packs = Packs::default();
    if !sealed {
        let count = cursor.count(BODY_MAX / 32, 32)?;
        packs.ids.reserve(count);
        for _ in 0..count {
            packs.ids.push(Digest::from_bytes(cursor.array()?));
        }
        return Ok(packs);
    }
    let count = cursor.count(RUNS_MAX, 16)?;
    let runs = (0..count)
        .map(|_| Ok(RunId::from_bytes(cursor.array()?)))
        .collect::<Result<Vec<_>, TreeError>>()?;
    for _ in 0..cursor.count(BODY_MAX / 65, 65)? {
        packs.ids.push(Digest::from_bytes(cursor.array()?));
        let run = usize::try_from(cursor.varint()?).ok().and_then(|at| runs.get(at));
        packs.sealed.push(SealedAt {
            run: *run.ok_or(TreeError("a pack names a run that is not in its table"))?,
            salt: cursor.array()?,
        });
    }
    Ok(packs)
}
