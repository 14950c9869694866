//! What a restore would do, as a value: computed, shown, and only then executed.
//!
//! Invariant: the listing that a plan is made of adds up to the tree digest of the signed manifest; a part of the listing that could
//! not be read is in [`RestorePlan::lost`], never passed over.

mod cost;
pub(crate) mod fuzzing;
mod select;
mod sorted;

use std::time::Instant;

use muster_archive::tree::{Content, NodeKind, TreeEntry};
use muster_archive::{ArchiveError, HashKey, Manifest, RestoreCost, TreeDigest, layout};
use muster_signing::{Digest, Verified};
use muster_stores::files::Patterns;
use serde::Serialize;

use crate::attributes::Owners;
use crate::journal::Journal;
use crate::loss::{LossKind, Lost, with_causes};
use crate::reading;
use crate::session::Session;
use crate::target::UNFINISHED;
use crate::{Phase, RestoreError};
pub use cost::RestoreEstimate;
use select::Selection;
use sorted::InOrder;

/// Decoded listings are kept between plan and execution up to about this many bytes.
const KEPT: usize = 32 << 20;
/// What a file system takes at least for anything.
const UNIT: u64 = 4096;

/// What is restored, and how.
#[derive(Clone, Debug, Default)]
pub struct RestoreOptions {
    /// Globs as in a store's `exclude`: a pattern without `/` is compared with every component's name, one with `/` with the
    /// path of the entry and of each directory above it. Empty: everything.
    pub include: Vec<String>,
    /// Who owns what is restored.
    pub owners: Owners,
    /// Leave a database startable although part of it is lost.
    pub allow_loss: bool,
    /// Threads that decode and write; `None`: one per core.
    pub workers: Option<usize>,
    /// Go on with what the same restore left unfinished in the target. One that was never begun begins.
    pub resume: bool,
    /// Make the restored store startable, where all of it was brought back; `None`: leave that to the caller.
    pub finish: Option<crate::FinishOptions>,
}

/// A restore that was planned and not yet executed.
#[derive(Debug, Serialize)]
pub struct RestorePlan {
    /// Store name.
    pub store: String,
    /// Kind of store.
    pub kind: String,
    /// ULID of the snapshot.
    pub snapshot: String,
    /// Entries that will be restored, directories above them included.
    pub entries: u64,
    /// Regular files among them.
    pub files: u64,
    /// Sum of their sizes.
    pub bytes: u64,
    /// Room that the target's file system must have.
    pub needed_bytes: u64,
    /// Parts of the listing that could not be read.
    pub lost: Vec<Lost>,
    /// The key of its hashes.
    #[serde(skip)]
    pub hash_key: HashKey,
    #[serde(skip)]
    pub(crate) root: Digest,
    #[serde(skip)]
    pub(crate) options: RestoreOptions,
    #[serde(skip)]
    pub(crate) consistency_point: serde_json::Value,
    #[serde(skip)]
    pub(crate) marker: String,
    #[serde(skip)]
    pub(crate) phase: Phase,
    /// Objects that make up the listing.
    #[serde(skip)]
    tree_objects: u64,
    /// What the manifest says of the whole snapshot's cost, and of the machine that it assumes.
    #[serde(skip)]
    pub cost: Option<RestoreCost>,
    #[serde(skip)]
    leaves: Vec<PlannedLeaf>,
    #[serde(skip)]
    selection: Selection,
}

#[derive(Debug)]
struct PlannedLeaf {
    id: Digest,
    kept: Option<Vec<TreeEntry>>,
}

/// Plans the restore of a snapshot.
///
/// # Errors
/// Where the index of the tree cannot be read or the listing is not the one that was signed, where a pattern cannot be understood or
/// nothing matches.
pub fn plan(
    session: &Session<'_>,
    manifest: &Verified<Manifest>,
    options: &RestoreOptions,
) -> Result<RestorePlan, RestoreError> {
    let (started_at, began) = (session.edge.now(), Instant::now());
    let patterns = match options.include.as_slice() {
        [] => None,
        include => Some(Patterns::new(include, "--include")?),
    };
    let index = session.wait(session.repository.tree_index(manifest))??;
    let mut plan = RestorePlan {
        store: manifest.store.clone(),
        kind: manifest.kind.clone(),
        snapshot: manifest.snapshot.clone(),
        entries: 0,
        files: 0,
        bytes: 0,
        needed_bytes: 0,
        lost: Vec::new(),
        hash_key: index.hash_key,
        root: manifest.tree.root,
        options: options.clone(),
        consistency_point: manifest.consistency_point.clone(),
        marker: UNFINISHED.to_owned(),
        phase: Phase {
            name: "plan".to_owned(),
            started_at,
            duration_seconds: 0.0,
            outcome: "ok".to_owned(),
        },
        tree_objects: (index.indexes.len() + index.leaves.len()) as u64,
        cost: manifest.restore.clone(),
        leaves: Vec::new(),
        selection: Selection::new(patterns),
    };
    plan.read(session, index.leaves, manifest)?;
    plan.count(session)?;
    if plan.files == 0 && plan.entries == 0 && !options.include.is_empty() {
        let patterns = options.include.join(" ");
        return Err(RestoreError::NothingMatches {
            snapshot: plan.snapshot,
            patterns,
        });
    }
    plan.phase.duration_seconds = began.elapsed().as_secs_f64();
    Ok(plan)
}

impl RestorePlan {
    /// Tells each entry that will be restored, in the listing's order.
    ///
    /// # Errors
    /// What `each` returns; [`RestoreError::Cancelled`].
    pub fn each_entry(
        &self,
        session: &Session<'_>,
        mut each: impl FnMut(TreeEntry) -> Result<(), RestoreError>,
    ) -> Result<(), RestoreError> {
        self.each_leaf(session, |leaf| match leaf {
            Ok(entries) => entries
                .into_iter()
                .filter_map(|entry| self.selection.take(entry))
                .try_for_each(&mut each),
            Err(_) => Ok(()),
        })
    }

    /// Each leaf's entries, or what was lost with it.
    pub(crate) fn each_leaf(
        &self,
        session: &Session<'_>,
        mut each: impl FnMut(Result<Vec<TreeEntry>, Lost>) -> Result<(), RestoreError>,
    ) -> Result<(), RestoreError> {
        let absent: Vec<Digest> = self
            .leaves
            .iter()
            .filter(|leaf| leaf.kept.is_none())
            .map(|leaf| leaf.id)
            .collect();
        let mut read = reading::leaves(session, absent);
        for leaf in &self.leaves {
            session.check()?;
            match &leaf.kept {
                Some(entries) => each(Ok(entries.clone()))?,
                None => match read.next() {
                    Some((_, Ok(entries))) => each(Ok(entries))?,
                    Some((id, Err(error))) => each(Err(lost_leaf(&id, &error)))?,
                    None => return Err(RestoreError::Cancelled),
                },
            }
        }
        Ok(())
    }

    /// Objects of the tree that planning read, and those that executing reads again.
    pub(crate) fn tree_requests(&self) -> u64 {
        let again = self.leaves.iter().filter(|leaf| leaf.kept.is_none()).count() as u64;
        self.tree_objects + 2 * again
    }

    /// Whether patterns leave anything out.
    pub fn is_partial(&self) -> bool {
        !self.options.include.is_empty()
    }

    /// The entry as it will be restored; `None` when it is not taken.
    pub(crate) fn select(&self, entry: TreeEntry) -> Option<TreeEntry> {
        self.selection.take(entry)
    }

    /// Which restore this is.
    pub(crate) fn journal(&self, repository: &str) -> Journal {
        Journal::new(
            repository,
            &self.store,
            &self.snapshot,
            self.root.hex(),
            &self.options.include,
        )
    }

    /// The name of the whole listing in the repository.
    pub(crate) fn listing(&self) -> String {
        layout::tree(&self.root)
    }

    /// Reads the listing once: proves it, learns what the patterns take, keeps what is small.
    fn read(&mut self, session: &Session<'_>, ids: Vec<Digest>, manifest: &Manifest) -> Result<(), RestoreError> {
        let (mut digest, mut order) = (TreeDigest::in_order(), InOrder::default());
        let (mut entries, mut files, mut bytes, mut kept) = (0u64, 0u64, 0u64, 0usize);
        for (id, leaf) in reading::leaves(session, ids) {
            session.check()?;
            let leaf = match leaf {
                Ok(leaf) => leaf,
                Err(error) => {
                    self.lost.push(lost_leaf(&id, &error));
                    continue;
                }
            };
            let mut cost = 0;
            for entry in &leaf {
                digest.push(entry);
                order.note(&entry.path);
                entries += 1;
                if let NodeKind::File { size, .. } = entry.kind {
                    files += 1;
                    bytes = bytes.saturating_add(size);
                }
                cost += cost_of(entry);
                self.selection.learn(entry);
                self.avoid_marker(&entry.path);
            }
            kept += cost;
            self.leaves.push(PlannedLeaf {
                id,
                kept: (kept <= KEPT).then_some(leaf),
            });
        }
        session.check()?;
        if !self.lost.is_empty() {
            return Ok(());
        }
        let tree = &manifest.tree;
        let digest = match order.holds() {
            true => digest.finish(),
            false => sorted::digest(session, self, sorted::MEMORY)?,
        };
        if digest != tree.digest || (entries, files, bytes) != (tree.entries, tree.files, tree.logical_bytes) {
            let reason = "its entries do not add up to the tree that the manifest signs".to_owned();
            return Err(ArchiveError::Damaged {
                object: self.listing(),
                reason,
            }
            .into());
        }
        Ok(())
    }

    fn avoid_marker(&mut self, path: &[u8]) {
        // Somebody took a snapshot of a restore that had not finished: its mark is data here, and ours needs another name.
        while path == self.marker.as_bytes() {
            self.marker.push('-');
        }
    }

    fn count(&mut self, session: &Session<'_>) -> Result<(), RestoreError> {
        let (mut entries, mut files, mut bytes, mut needed) = (0u64, 0u64, 0u64, 0u64);
        self.each_entry(session, |entry| {
            entries += 1;
            needed = needed.saturating_add(UNIT / 8);
            match &entry.kind {
                NodeKind::File {
                    sparse, size, content, ..
                } => {
                    files += 1;
                    bytes = bytes.saturating_add(*size);
                    needed = needed.saturating_add(room(*sparse, *size, content));
                }
                NodeKind::Directory => needed = needed.saturating_add(UNIT),
                _ => {}
            }
            Ok(())
        })?;
        (self.entries, self.files, self.bytes, self.needed_bytes) = (entries, files, bytes, needed);
        Ok(())
    }
}

/// Room that a file takes at least. What a sparse file with maps holds is not known before they are read.
fn room(sparse: bool, size: u64, content: &Content) -> u64 {
    match (sparse, content) {
        (false, _) => size.div_ceil(UNIT).saturating_mul(UNIT),
        (true, Content::Inline(extents)) => extents
            .iter()
            .filter(|extent| extent.location.is_some())
            .map(|extent| extent.length.div_ceil(UNIT) * UNIT)
            .sum(),
        (true, Content::Maps(_)) => 0,
    }
}

fn lost_leaf(id: &Digest, error: &ArchiveError) -> Lost {
    let reason = format!("a part of the listing cannot be read: {}", with_causes(error));
    Lost::new(b"", 0, 0, layout::tree(id), &reason, LossKind::of(error))
}

/// About how many bytes a decoded entry takes.
fn cost_of(entry: &TreeEntry) -> usize {
    let content = match &entry.kind {
        NodeKind::File {
            content: Content::Inline(extents),
            ..
        } => extents.len() * 128,
        NodeKind::File {
            content: Content::Maps(maps),
            ..
        } => maps.len() * 32,
        NodeKind::Symlink { target } | NodeKind::HardLink { to: target } => target.len(),
        _ => 0,
    };
    let xattrs: usize = entry
        .xattrs
        .iter()
        .map(|(name, value)| name.len() + value.len() + 48)
        .sum();
    256 + entry.path.len() + content + xattrs
}
