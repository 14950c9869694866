//! Proofs that stand alone, as texts that other tools for transparency logs read.
//!
//! Invariant: a proof ends with the signed checkpoint that it leads to, so that nobody needs this repository to check it.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use muster_signing::{Checkpoint, Digest, KeyId, PublicKey, merkle};

use super::head::{self, Head, Tiles};
use crate::object_store::ObjectStore;
use crate::{ArchiveError, layout};

/// Shows that an entry stands at an index of a log.
#[derive(Clone, Debug)]
pub struct Inclusion {
    /// Whose log.
    pub key: KeyId,
    /// Its incarnation.
    pub incarnation: String,
    /// Where the entry stands.
    pub index: u64,
    /// The entry, byte for byte.
    pub entry: Vec<u8>,
    /// The hashes beside its path, lowest first.
    pub hashes: Vec<Digest>,
    /// The head that it leads to.
    pub checkpoint: Checkpoint,
    /// That head, signed.
    pub note: Vec<u8>,
}

impl Inclusion {
    /// As C2SP tlog-proof writes it; the entry itself goes beside it.
    pub fn text(&self) -> String {
        let first = format!("c2sp.org/tlog-proof@v1\nindex {}\n", self.index);
        with_note(first, &self.hashes, &self.note)
    }
}

/// Shows that a log grew out of an older head of it.
#[derive(Clone, Debug)]
pub struct Consistency {
    /// Whose log.
    pub key: KeyId,
    /// Its incarnation.
    pub incarnation: String,
    /// The older size.
    pub old: u64,
    /// The hashes of the proof, lowest first.
    pub hashes: Vec<Digest>,
    /// The head that it leads to.
    pub checkpoint: Checkpoint,
    /// That head, signed.
    pub note: Vec<u8>,
}

impl Consistency {
    /// As C2SP tlog-witness takes it.
    pub fn text(&self) -> String {
        with_note(format!("old {}\n", self.old), &self.hashes, &self.note)
    }
}

fn with_note(mut text: String, hashes: &[Digest], note: &[u8]) -> String {
    for hash in hashes {
        text.push_str(&STANDARD.encode(hash.as_bytes()));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&String::from_utf8_lossy(note));
    text
}

/// Proves that an entry stands in a log.
///
/// # Errors
/// [`ArchiveError::Log`] where there is no such entry, [`ArchiveError::Damaged`], storage errors.
pub async fn prove_inclusion(
    store: &Arc<dyn ObjectStore>,
    repository: &str,
    key: &PublicKey,
    incarnation: &str,
    index: u64,
) -> Result<Inclusion, ArchiveError> {
    let head = there(store, repository, key, incarnation).await?;
    let size = head.checkpoint.size;
    let parts = merkle::inclusion_parts(index, size).ok_or_else(|| ArchiveError::Log {
        log: head.name(),
        reason: format!("has {size} entries, and none at index {index}"),
    })?;
    let mut tiles = Tiles::new(store, &head);
    let hashes = tiles.proof(&parts).await?;
    let bundle = tiles.bundle(index / super::tiles::WIDTH).await?;
    let entry = bundle.into_iter().nth((index % super::tiles::WIDTH) as usize);
    Ok(Inclusion {
        key: key.id(),
        incarnation: incarnation.to_owned(),
        index,
        entry: entry.unwrap_or_default(),
        hashes,
        checkpoint: head.checkpoint,
        note: head.note,
    })
}

/// Proves that a log grew out of an older head, and fails where it did not: where entries were removed, changed or put in another
/// order since, where the log went back or is gone.
///
/// # Errors
/// [`ArchiveError::Log`] saying which of these, [`ArchiveError::Damaged`], storage errors.
pub async fn prove_consistency(
    store: &Arc<dyn ObjectStore>,
    repository: &str,
    key: &PublicKey,
    incarnation: &str,
    old: &Checkpoint,
) -> Result<Consistency, ArchiveError> {
    let head = there(store, repository, key, incarnation).await;
    let head = head.map_err(|error| match error {
        ArchiveError::Log { log, .. } => ArchiveError::Log {
            log,
            reason: format!("is gone; it was seen with {} entries", old.size),
        },
        other => other,
    })?;
    let wrong = |reason: String| ArchiveError::Log {
        log: head.name(),
        reason,
    };
    let size = head.checkpoint.size;
    let mut tiles = Tiles::new(store, &head);
    let Some(then) = tiles.root_at(old.size).await? else {
        return Err(wrong(format!(
            "went back to {size} entries; it was seen with {}",
            old.size
        )));
    };
    if then != old.root {
        return Err(wrong(format!(
            "is not the one that was seen: its first {} entries were changed, removed or put in another order",
            old.size
        )));
    }
    let parts = merkle::consistency_parts(old.size, size).unwrap_or_default();
    Ok(Consistency {
        key: key.id(),
        incarnation: incarnation.to_owned(),
        old: old.size,
        hashes: tiles.proof(&parts).await?,
        checkpoint: head.checkpoint,
        note: head.note,
    })
}

async fn there(
    store: &Arc<dyn ObjectStore>,
    repository: &str,
    key: &PublicKey,
    incarnation: &str,
) -> Result<Head, ArchiveError> {
    let head = head::of(store, repository, key, incarnation).await?;
    head.ok_or_else(|| ArchiveError::Log {
        log: format!("{}{incarnation}", layout::log(&key.id())),
        reason: "is not there".to_owned(),
    })
}
