//! One store's backup: find the parent, read the source, commit.
//!
//! Invariant: nothing is committed unless the source said `Ok` and every object is in the repository.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use muster_archive::object_store::LockPolicy;
use muster_archive::{
    ArchiveError, Edge, Manifest, Parent, Point, Repository, SnapshotWriter, Tool, Unreadable, WriterOptions,
};
use muster_signing::{Digest, Role, SecretKey, Verified};
use muster_stores::{Source, StoreError};
use tokio::runtime::Handle;
use ulid::Ulid;

use crate::Event;
use crate::sink::ArchiveSink;

/// What is to be backed up, and by whom.
pub struct Request<'a> {
    /// The store's name.
    pub store: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// The writer's key.
    pub key: &'a SecretKey,
    /// How the archive is written.
    pub options: WriterOptions,
    /// How what the snapshot needs is locked; the repository's place must do it.
    pub lock: Option<LockPolicy>,
    /// muster's version, for the manifest.
    pub version: &'a str,
    /// Wall clock and random source.
    pub edge: Arc<dyn Edge>,
    /// Runs the object store's I/O.
    pub handle: Handle,
    /// Ends the run when set.
    pub cancel: Arc<AtomicBool>,
}

/// What a backup would do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The store's name.
    pub store: String,
    /// The recovery point whose frames would be leaned on.
    pub parent: Option<Point>,
    /// The sequence number that the snapshot would get.
    pub sequence: u64,
    /// Expected logical bytes.
    pub expected_bytes: Option<u64>,
}

/// A committed snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotReport {
    /// What was signed.
    pub manifest: Manifest,
    /// Digest of the manifest's envelope.
    pub manifest_digest: Digest,
    /// From the first byte asked for to the log entry, monotonic.
    pub duration: std::time::Duration,
}

/// Why a backup left no snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The source failed.
    #[error("back up store {store}")]
    Source {
        /// The store's name.
        store: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The repository failed.
    #[error("back up store {store}")]
    Archive {
        /// The store's name.
        store: String,
        /// Why.
        #[source]
        source: ArchiveError,
    },
}

/// What a backup of `request.store` would lean on.
///
/// # Errors
/// [`BackupError::Archive`] where the logs cannot be read or believed.
pub fn plan(repository: &Repository, request: &Request<'_>, source: &mut dyn Source) -> Result<Plan, BackupError> {
    let archive = |source| BackupError::Archive {
        store: request.store.to_owned(),
        source,
    };
    repository
        .check_key(&request.key.public(), Role::Writer)
        .map_err(archive)?;
    let newest = request
        .handle
        .block_on(repository.latest())
        .map_err(archive)?
        .remove(request.store);
    Ok(Plan {
        store: request.store.to_owned(),
        sequence: newest.as_ref().map_or(0, |point| point.sequence) + 1,
        parent: newest,
        expected_bytes: source.estimate(),
    })
}

/// Backs up one store. Blocks.
///
/// # Errors
/// [`BackupError`]; whatever it is, no recovery point appeared. A manifest that was put and not logged is logged by the next run.
pub fn snapshot(
    repository: &Repository,
    request: &Request<'_>,
    source: &mut dyn Source,
    on_event: &dyn Fn(Event),
) -> Result<SnapshotReport, BackupError> {
    let archive = |source| BackupError::Archive {
        store: request.store.to_owned(),
        source,
    };
    let begin = std::time::Instant::now();
    let started = request.edge.now();
    repository
        .check_key(&request.key.public(), Role::Writer)
        .map_err(archive)?;
    let orphans = request
        .handle
        .block_on(repository.log_orphans(request.store, request.key, &*request.edge))
        .map_err(archive)?;
    if !orphans.is_empty() {
        on_event(Event::LoggedOrphans { snapshots: orphans });
    }
    let Plan {
        parent,
        sequence,
        expected_bytes,
        ..
    } = plan(repository, request, source)?;
    let journal = repository.state().dir().join("journal").join(request.store);
    let options = WriterOptions {
        in_order: source.is_in_path_order(),
        page: source.page_size(),
        search_moved: source.moves_files(),
        journal: Some(journal.clone()),
        ..request.options.clone()
    };
    let (parent, leaned) = lean_on(repository, request, &options, parent, on_event).map_err(archive)?;
    let parent_bytes = leaned.as_ref().map(|manifest| manifest.tree.logical_bytes);
    let writer = SnapshotWriter::start(
        repository.clone(),
        parent,
        &options,
        Arc::clone(&request.edge),
        request.handle.clone(),
        Arc::clone(&request.cancel),
    );
    on_event(Event::Reading {
        progress: writer.progress(),
        expected_bytes: expected_bytes.or(parent_bytes),
    });
    let mut sink = ArchiveSink {
        writer,
        unreadable: Unreadable::default(),
        on_event,
        failure: None,
        read_limit: request.options.read_limit.clone(),
        cancel: Arc::clone(&request.cancel),
    };
    let taken = source.snapshot(&mut sink);
    let ArchiveSink {
        writer,
        unreadable,
        failure,
        ..
    } = sink;
    let taken = match (taken, failure) {
        (Ok(taken), None) => taken,
        (_, Some(ArchiveError::Cancelled)) => return Err(archive(writer.abort())),
        (_, Some(error)) => return Err(archive(error)),
        (Err(source), None) => {
            return Err(BackupError::Source {
                store: request.store.to_owned(),
                source,
            });
        }
    };
    on_event(Event::Committing);
    let written = writer.finish().map_err(archive)?;
    let retain_until = match &request.lock {
        None => None,
        Some(policy) => {
            let held = repository.hold_leaned(leaned.as_ref(), policy, &started);
            Some(request.handle.block_on(held).map_err(archive)?)
        }
    };
    let encode =
        |error: serde_json::Error| archive(ArchiveError::Invalid(format!("encode what the source said: {error}")));
    let manifest = Manifest {
        schema: "muster.manifest/1".to_owned(),
        critical: Vec::new(),
        repository: repository.id().to_owned(),
        store: request.store.to_owned(),
        kind: request.kind.to_owned(),
        snapshot: new_id(&*request.edge),
        sequence,
        parent: written.parent,
        log: None,
        started,
        finished: request.edge.now(),
        consistency_point: serde_json::to_value(&taken.consistency_point).map_err(encode)?,
        source: serde_json::to_value(&taken.identity).map_err(encode)?,
        tree: written.tree,
        list: written.list,
        encryption: written.encryption,
        stored_bytes: written.stored_bytes,
        added_bytes: written.added_bytes,
        rewritten_bytes: written.rewritten_bytes,
        restore: Some(written.restore),
        index: written.index,
        unreadable,
        tool: Tool {
            name: "muster".to_owned(),
            version: request.version.to_owned(),
        },
        retain_until,
    };
    let commit = request
        .handle
        .block_on(repository.commit_snapshot(&manifest, request.key, &*request.edge))
        .map_err(archive)?;
    // What it noted is committed: a journal that stays costs the next run a look at packs that it knows anyway.
    let _ = std::fs::remove_file(journal);
    Ok(SnapshotReport {
        manifest,
        manifest_digest: commit.digest,
        duration: begin.elapsed(),
    })
}

/// Loads the parent. A damaged one is told and left; one that cannot be read now ends the run, which would else store everything
/// again.
fn lean_on(
    repository: &Repository,
    request: &Request<'_>,
    options: &WriterOptions,
    point: Option<Point>,
    on_event: &dyn Fn(Event),
) -> Result<(Parent, Option<Verified<Manifest>>), ArchiveError> {
    let Some(point) = point else {
        return Ok((repository.lean_on_nothing(options, &request.handle)?, None));
    };
    let load = || -> Result<(Parent, Verified<Manifest>), ArchiveError> {
        let (manifest, _) = request.handle.block_on(repository.manifest(&point))?;
        let parent = repository.lean_on(&manifest, options, &request.handle)?;
        Ok((parent, manifest))
    };
    let loaded = load();
    let unusable = |reason| {
        on_event(Event::ParentUnusable {
            snapshot: point.snapshot.clone(),
            reason,
        });
    };
    match loaded {
        Ok((parent, manifest)) => {
            if let [first, ..] = parent.lost_packs() {
                let lost = parent.lost_packs().len();
                unusable(format!(
                    "{lost} of its packs are missing or cut, {first} among them: what they hold is stored again"
                ));
            }
            Ok((parent, Some(manifest)))
        }
        Err(error) if error.is_damage() || matches!(error, ArchiveError::NoIdentity { .. }) => {
            unusable(chain(&error));
            Ok((repository.lean_on_nothing(options, &request.handle)?, None))
        }
        Err(error) => Err(error),
    }
}

fn new_id(edge: &dyn Edge) -> String {
    let mut random = [0; 16];
    edge.fill(&mut random[6..]);
    Ulid::from_parts(edge.now_ms(), u128::from_be_bytes(random)).to_string()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
