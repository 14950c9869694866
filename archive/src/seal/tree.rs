//! What a run seals tree objects with: its key, a salt for each, and where the packs that they name were sealed.

use std::sync::Arc;

use muster_signing::Digest;

use super::cipher::Part;
use super::keyring::{Keyring, SealedAt};
use super::{RunId, RunSeal, SealError, TAG};
use crate::edge::Edge;

/// Seals the tree objects of one run.
#[derive(Clone)]
pub(crate) struct TreeSeal {
    seal: RunSeal,
    keyring: Keyring,
    edge: Arc<dyn Edge>,
}

impl TreeSeal {
    pub(crate) fn new(seal: RunSeal, keyring: Keyring, edge: Arc<dyn Edge>) -> Self {
        Self { seal, keyring, edge }
    }

    /// The run that seals.
    pub(crate) fn run(&self) -> RunId {
        self.seal.run()
    }

    /// What a pack that a tree names was sealed with.
    pub(crate) fn pack(&self, id: &Digest) -> Result<SealedAt, SealError> {
        self.keyring.pack(id).ok_or_else(|| {
            SealError(format!(
                "pack {id} was leaned on, and no run is known to have sealed it"
            ))
        })
    }

    /// Appends run, salt and the sealed `frame` to the header of a tree object of `kind`, whose body has `decoded` bytes.
    pub(crate) fn append(
        &self,
        kind: u8,
        decoded: u32,
        mut frame: Vec<u8>,
        object: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let mut salt = [0; 32];
        self.edge.fill(&mut salt);
        let part = Part {
            kind,
            ordinal: 0,
            stored: u32::try_from(frame.len() + TAG).unwrap_or(u32::MAX),
            decoded,
        };
        let tag = self
            .seal
            .cipher(&salt)?
            .seal(part, &mut frame)
            .map_err(|_| SealError("the cipher library failed to seal a tree object".to_owned()))?;
        object.extend_from_slice(self.seal.run().as_bytes());
        object.extend_from_slice(&salt);
        object.extend_from_slice(&frame);
        object.extend_from_slice(&tag);
        Ok(())
    }
}
