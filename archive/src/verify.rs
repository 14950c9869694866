//! The verification ladder of a repository: what is there, whole, and decodes to what was signed.
//!
//! Invariant: three answers. A wrong byte is damage, an absent object is damage, and what could not be read now is neither.

use std::collections::{BTreeMap, BTreeSet};

use muster_signing::{Digest, Role, payload};
use serde_json::Value;

use crate::content::{FileDigest, HashKey};
use crate::frame::FrameDecoder;
use crate::ledger::{Log, LogEvent, check_citations, check_tiles};
use crate::list::Named;
use crate::manifest::{Manifest, SCORECARD_MAX};
use crate::pack::{PACK_MAX, read_directory};
use crate::repository::Point;
use crate::seal::Cipher;
use crate::tree::{Check, Content, Extent, NodeKind, TreeEntry};
use crate::{ArchiveError, BLOCK, Repository, TreeDigest, layout};

/// How deep to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyDepth {
    /// Signatures, logs, lists, and that every listed object is there with its size.
    Inventory,
    /// Also every byte of every listed object, decoded and compared.
    ReadData,
}

/// What happened on the way.
#[derive(Clone, Debug)]
pub enum VerifyEvent {
    /// So many bytes were read whole of so many that are to be read.
    Read {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
}

/// What was found.
#[derive(Debug, Default)]
pub struct Verification {
    /// Recovery points whose manifests hold.
    pub snapshots: u64,
    /// Scorecards whose signatures hold.
    pub rehearsals: u64,
    /// Distinct objects that were seen.
    pub objects: u64,
    /// Bytes that were read whole.
    pub read_bytes: u64,
    /// Wrong or absent: each names the object (exit 7).
    pub damaged: Vec<ArchiveError>,
    /// Encrypted recovery points that no identity at hand decodes: read whole and compared with their names, and no further.
    pub sealed: u64,
    /// Could not be read now (exit 3).
    pub unreadable: Vec<ArchiveError>,
}

impl Verification {
    fn note(&mut self, error: ArchiveError) {
        if error.is_damage() {
            self.damaged.push(error)
        } else {
            self.unreadable.push(error)
        }
    }
}

impl Repository {
    /// Verifies recovery points: all, those of one store, or one of them. Trust and key documents were verified by opening.
    ///
    /// # Errors
    /// Only where a log cannot be read or believed: then there is nothing to verify against. Everything else is in the result.
    pub async fn verify(
        &self,
        only: Option<(&str, Option<&str>)>,
        depth: VerifyDepth,
        on_event: &(dyn Fn(VerifyEvent) + Sync),
    ) -> Result<Verification, ArchiveError> {
        let mut found = Verification::default();
        let mut points: Vec<Point> = match only {
            Some((store, Some(wanted))) => vec![self.point(store, Some(wanted)).await?],
            Some((store, None)) => self
                .points()
                .await?
                .remove(store)
                .ok_or_else(|| ArchiveError::NoPoint {
                    store: store.to_owned(),
                    wanted: "at all".to_owned(),
                })?,
            None => self.points().await?.into_values().flatten().collect(),
        };
        points.reverse();
        if only.is_none() {
            self.verify_logs(&mut found).await?;
        }
        let mut manifests = Vec::new();
        let mut objects: BTreeMap<(Named, Digest), (u64, String)> = BTreeMap::new();
        for point in &points {
            match self.manifest(point).await {
                Ok((manifest, _)) => manifests.push(manifest.value),
                Err(error) => found.note(error),
            }
        }
        found.snapshots = manifests.len() as u64;
        for manifest in &manifests {
            match self.objects_of(manifest).await {
                Ok(listed) => {
                    if let Err(error) = self.check_runs(manifest, &listed).await {
                        found.note(error);
                    }
                    objects.extend(
                        listed
                            .into_iter()
                            .filter(|((what, _), _)| *what != Named::Run)
                            .map(|(key, bytes)| (key, (bytes, manifest.snapshot.clone()))),
                    );
                }
                Err(error) => found.note(error),
            }
        }
        found.objects = objects.len() as u64;
        match depth {
            VerifyDepth::Inventory => self.inventory(&objects, &mut found).await,
            VerifyDepth::ReadData => self.read_everything(&manifests, &objects, &mut found, on_event).await,
        }
        if let Err(error) = self.suspect_named(&found.damaged) {
            tracing::warn!(%error, "what is damaged could not be remembered: the next backup may lean on it");
        }
        Ok(found)
    }

    async fn verify_logs(&self, found: &mut Verification) -> Result<(), ArchiveError> {
        let mut logs = self.all_logs().await?;
        if check_citations(&logs).is_err() {
            // A log may have grown between the reads of it and of one that cites it.
            logs = self.all_logs().await?;
            check_citations(&logs)?;
        }
        for log in logs {
            if let Err(error) = check_tiles(self.objects(), &log).await {
                found.note(error);
            }
            for (_, entry) in log.parsed() {
                let LogEvent::Rehearsal {
                    store,
                    rehearsal,
                    scorecard,
                    ..
                } = entry.event
                else {
                    continue;
                };
                match self.scorecard(&store, &rehearsal, &scorecard).await {
                    Ok(_) => found.rehearsals += 1,
                    Err(error) => found.note(error),
                }
            }
        }
        Ok(())
    }

    async fn all_logs(&self) -> Result<Vec<Log>, ArchiveError> {
        let mut logs = Vec::new();
        for role in [Role::Auditor, Role::Rehearser, Role::Writer] {
            logs.extend(self.logs(role).await?);
        }
        Ok(logs)
    }

    /// The verified payload and envelope of a scorecard that a log names.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`], [`ArchiveError::Damaged`], [`ArchiveError::Untrusted`], storage errors.
    pub async fn scorecard(
        &self,
        store: &str,
        rehearsal: &str,
        digest: &Digest,
    ) -> Result<(Value, bytes::Bytes), ArchiveError> {
        let object = layout::scorecard(store, rehearsal);
        let bytes = self.get(&object, SCORECARD_MAX, "the rehearser's log").await?;
        let opened = self.open_document::<Value>(&object, &bytes, payload::SCORECARD)?;
        if opened.digest == *digest {
            Ok((opened.value, bytes))
        } else {
            Err(ArchiveError::damaged(
                &object,
                "its digest is not the one that the log names",
            ))
        }
    }

    async fn inventory(&self, objects: &BTreeMap<(Named, Digest), (u64, String)>, found: &mut Verification) {
        for ((what, id), (bytes, snapshot)) in objects {
            let object = object_key(*what, id);
            match self.objects().head(&object).await {
                Ok(meta) if meta.size == *bytes => {}
                Ok(meta) => found.note(ArchiveError::damaged(
                    &object,
                    format!("it has {} bytes and not {bytes}", meta.size),
                )),
                Err(error) if error.kind == crate::object_store::ErrorKind::NotFound => {
                    found.note(ArchiveError::Missing {
                        object,
                        named_by: format!("snapshot {snapshot}"),
                    });
                }
                Err(error) => found.note(error.into()),
            }
        }
    }

    async fn read_everything(
        &self,
        manifests: &[Manifest],
        objects: &BTreeMap<(Named, Digest), (u64, String)>,
        found: &mut Verification,
        on_event: &(dyn Fn(VerifyEvent) + Sync),
    ) {
        let mut wanted: Wanted = BTreeMap::new();
        let mut trees = BTreeSet::new();
        for manifest in manifests {
            match self.walk(manifest, &mut wanted, &mut trees).await {
                Ok(()) => {}
                Err(ArchiveError::NoIdentity { .. }) => found.sealed += 1,
                Err(error) => found.note(error),
            }
        }
        let total = objects.values().map(|object| object.0).sum();
        for ((what, id), (bytes, snapshot)) in objects {
            let object = object_key(*what, id);
            let frames = wanted.remove(id).filter(|_| *what == Named::Pack);
            match self
                .get_content(
                    &object,
                    id,
                    (PACK_MAX as u64).max(*bytes),
                    &format!("snapshot {snapshot}"),
                )
                .await
            {
                Ok(content) if content.len() as u64 != *bytes => {
                    found.note(ArchiveError::damaged(
                        &object,
                        format!("it has {} bytes and not {bytes}", content.len()),
                    ));
                }
                Ok(content) => {
                    found.read_bytes += content.len() as u64;
                    if let Some(frames) = frames
                        && let Err(reason) = check_frames(
                            &content,
                            &frames,
                            self.keyring().cipher(id).as_ref(),
                            self.frame_decoder(),
                        )
                    {
                        found.note(ArchiveError::damaged(&object, reason));
                    }
                }
                Err(error) => found.note(error),
            }
            on_event(VerifyEvent::Read {
                done: found.read_bytes,
                total,
            });
        }
        for id in wanted.keys() {
            let (object, named_by) = (layout::pack(id), "a tree, and no public list".to_owned());
            found.note(ArchiveError::Missing { object, named_by });
        }
    }

    /// Decodes a snapshot's tree, compares its digest, and gathers the extents of packs not seen before.
    async fn walk(
        &self,
        manifest: &Manifest,
        wanted: &mut Wanted,
        seen: &mut BTreeSet<Digest>,
    ) -> Result<(), ArchiveError> {
        let mut digest = TreeDigest::new();
        let (mut entries, mut files, mut logical) = (0u64, 0u64, 0u64);
        let index = self.tree_index(manifest).await?;
        let hash_key = index.hash_key;
        for leaf in index.leaves {
            let new = seen.insert(leaf);
            for entry in self.read_leaf(&leaf).await? {
                digest.push(&entry);
                entries += 1;
                if let NodeKind::File { size, .. } = &entry.kind {
                    files += 1;
                    logical += size;
                    if new {
                        self.walk_file(&leaf, &entry, &hash_key, wanted, seen).await?;
                    }
                }
            }
        }
        let tree = &manifest.tree;
        if (digest.finish(), entries, files, logical) != (tree.digest, tree.entries, tree.files, tree.logical_bytes) {
            let object = layout::tree(&tree.root);
            return Err(ArchiveError::damaged(
                &object,
                "its tree is not the one that the manifest signs",
            ));
        }
        Ok(())
    }

    async fn walk_file(
        &self,
        leaf: &Digest,
        entry: &TreeEntry,
        hash_key: &HashKey,
        wanted: &mut Wanted,
        seen: &mut BTreeSet<Digest>,
    ) -> Result<(), ArchiveError> {
        let NodeKind::File {
            size, digest, content, ..
        } = &entry.kind
        else {
            return Ok(());
        };
        let mut sum = FileSum::new(hash_key);
        match content {
            Content::Inline(extents) => sum.take(extents, wanted),
            Content::Maps(maps) => {
                for map in maps {
                    let extents = self.read_map(map).await?;
                    let mut known = BTreeMap::new();
                    let gathered = if seen.insert(*map) { &mut *wanted } else { &mut known };
                    sum.take(&extents, gathered);
                }
            }
        }
        let whole = sum.size == *size && (!sum.in_blocks || sum.digest.finish() == *digest);
        let path = String::from_utf8_lossy(&entry.path);
        let wrong = || {
            ArchiveError::damaged(
                &layout::tree(leaf),
                format!("the extents of {path} are not those of its digest"),
            )
        };
        if whole { Ok(()) } else { Err(wrong()) }
    }
}

/// Per pack, per frame: the extents that are to be compared, and the key of their hashes.
type Wanted = BTreeMap<Digest, BTreeMap<u32, Vec<(Extent, HashKey)>>>;

/// Adds up a file's extents.
struct FileSum {
    key: HashKey,
    digest: FileDigest,
    /// Extents of a group that are still to come.
    grouped: u32,
    size: u64,
    in_blocks: bool,
}

impl FileSum {
    fn new(key: &HashKey) -> Self {
        Self {
            key: key.clone(),
            digest: FileDigest::new(key),
            grouped: 0,
            size: 0,
            in_blocks: true,
        }
    }

    fn take(&mut self, extents: &[Extent], wanted: &mut Wanted) {
        for extent in extents {
            if let Some(location) = extent.location {
                wanted
                    .entry(location.pack)
                    .or_default()
                    .entry(location.ordinal)
                    .or_default()
                    .push((extent.clone(), self.key.clone()));
            }
            let aligned = self.size.is_multiple_of(BLOCK as u64);
            self.size = self.size.saturating_add(extent.length);
            if let Some(group) = &extent.group {
                self.digest.push_block(&group.hash);
                self.grouped = group.extents;
            }
            if self.grouped > 0 {
                self.grouped -= 1;
                continue;
            }
            self.in_blocks &= aligned;
            if let Check::Whole(hash) = &extent.check {
                self.in_blocks &= extent.length <= BLOCK as u64;
                self.digest.push_block(hash);
            } else {
                self.zeros(extent.length);
            }
        }
    }

    fn zeros(&mut self, length: u64) {
        static ZEROS: [u8; BLOCK] = [0; BLOCK];
        let whole = length / BLOCK as u64;
        let hash = self.key.hash(&ZEROS);
        for _ in 0..whole {
            self.digest.push_block(&hash);
        }
        let rest = usize::try_from(length % BLOCK as u64).unwrap_or(0);
        if rest > 0 {
            self.digest.push_block(&self.key.hash(&ZEROS[..rest]));
        }
    }
}

fn object_key(what: Named, id: &Digest) -> String {
    match what {
        Named::Pack => layout::pack(id),
        Named::Tree => layout::tree(id),
        Named::List => layout::list(id),
        Named::Run => format!("{} with SHA-256 {}", layout::RUNS, id.hex()),
    }
}

/// Compares every wanted extent of a whole pack with its hash.
fn check_frames(
    pack: &[u8],
    wanted: &BTreeMap<u32, Vec<(Extent, HashKey)>>,
    cipher: Option<&Cipher>,
    decoder: std::io::Result<FrameDecoder>,
) -> Result<(), String> {
    let directory = read_directory(pack, cipher)?;
    let mut decoder = decoder.map_err(|error| error.to_string())?;
    let mut plain = Vec::new();
    for (ordinal, extents) in wanted {
        let mut decoded = false;
        for (extent, key) in extents {
            let Some(location) = extent.location else { continue };
            let listed = directory.get(*ordinal as usize).is_some_and(|entry| {
                (entry.offset, entry.stored, entry.raw, entry.frame_length)
                    == (location.offset, location.stored, location.raw, location.frame_length)
            });
            if !listed {
                return Err(format!("frame {ordinal} is not where a tree says"));
            }
            if !decoded {
                let start = location.offset as usize;
                let stored = &pack[start..start + location.stored as usize];
                decoder
                    .decode(&location, stored, &mut plain)
                    .map_err(|error| error.to_string())?;
                decoded = true;
            }
            let start = location.within as usize;
            let length = usize::try_from(extent.length).unwrap_or(usize::MAX);
            let bytes = plain.get(start..start.saturating_add(length));
            if bytes.is_none_or(|bytes| !key.fits(bytes, &extent.check)) {
                return Err(format!(
                    "an extent in frame {ordinal} has other bytes than its hash says"
                ));
            }
        }
    }
    Ok(())
}
