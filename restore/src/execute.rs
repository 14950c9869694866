//! A plan carried out: one thread walks the listing and plans reads, the runtime fetches a bounded number of them ahead, every core
//! decodes, compares and writes in place.
//!
//! Invariants: no byte stays that was not compared with its hash; what cannot be had is recorded and the rest goes on; memory is
//! bounded by one window of pieces and the bytes in flight, whatever the snapshot's size.

mod later;
mod produce;
mod prove;
mod resume;
mod work;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use muster_archive::layout;
use muster_signing::Digest;
use rustix::io::Errno;
use serde::Serialize;

use crate::attributes::Applier;
use crate::files::{FileTask, OpenFiles};
use crate::loss::{LossKind, LossLog, Lost, shown, with_causes};
use crate::plan::RestorePlan;
use crate::session::Session;
use crate::target::Target;
use crate::timeline::{Phase, Timeline};
use crate::{Event, RestoreError};

/// What a restore did.
#[derive(Clone, Debug, Serialize)]
pub struct RestoreReport {
    /// Store name.
    pub store: String,
    /// ULID of the snapshot.
    pub snapshot: String,
    /// Where it lies now.
    pub to: PathBuf,
    /// Logical bytes brought back.
    pub bytes: u64,
    /// Regular files brought back, whole or in part.
    pub files: u64,
    /// How long it took, planning included.
    pub duration_seconds: f64,
    /// What was done in turn.
    pub phases: Vec<Phase>,
    /// What could not be brought back.
    pub lost: Vec<Lost>,
    /// How many bytes that is, those of losses that are not named included.
    pub lost_bytes: u64,
    /// Losses beyond those that are named.
    pub lost_unnamed: u64,
    /// What was brought back differently: owners, attributes, device nodes.
    pub notes: Vec<String>,
    /// Device nodes that this user or this machine does not make.
    pub not_made: u64,
    /// Whether an unfinished restore went on.
    pub resumed: bool,
    /// Logical bytes that it had written before, proven and not read again from the repository.
    pub kept_bytes: u64,
    /// Objects of the tree and ranges of packs that came, planning included.
    pub requests: u64,
    /// Bytes of packs that came.
    pub fetched_bytes: u64,
    /// Bytes that frames decoded to: more than `bytes` where of a frame only a part is needed.
    pub decoded_bytes: u64,
}

impl RestoreReport {
    /// Whether the archive is to blame for anything that was lost (exit 7).
    pub fn is_damaged(&self) -> bool {
        self.lost.iter().any(|lost| lost.kind.is_damage())
    }

    /// Whether something only could not be read now (exit 3).
    pub fn is_incomplete(&self) -> bool {
        self.lost.iter().any(|lost| !lost.kind.is_damage())
    }
}

/// Carries out a plan into `to`, which must be empty or absent, or, to go on, what the same restore left unfinished.
///
/// # Errors
/// Where the target is not empty, has no room or fails; where the run is cancelled. What the archive does not give is in the report.
pub fn execute(session: &Session<'_>, plan: &RestorePlan, to: &Path) -> Result<RestoreReport, RestoreError> {
    let mut timeline = Timeline::new(session.edge);
    let begin = |timeline: &mut Timeline<'_>, name: &str| {
        session.tell(Event::Phase(name.to_owned()));
        timeline.begin(name);
    };
    begin(&mut timeline, "prepare");
    session.check()?;
    let journal = plan.journal(session.repository.id());
    let target = Target::prepare(to, &plan.marker, &journal, plan.options.resume)?;
    if let Some(journal) = target.journal() {
        timeline.keep_in(journal);
    }
    let free = target.free()?;
    let there = if free < plan.needed_bytes && target.is_resumed() {
        resume::room_taken(session, plan, &target)?
    } else {
        0
    };
    if free.saturating_add(there) < plan.needed_bytes {
        if !target.is_resumed() {
            target.finish(false)?;
        }
        return Err(RestoreError::NoRoom {
            target: to.to_owned(),
            needed: plan.needed_bytes,
            free,
        });
    }
    let run = Run::new(session, plan, &target);
    plan.lost.iter().for_each(|lost| run.lose(lost.clone()));

    begin(&mut timeline, "data");
    let moved = run.move_bytes();
    // Also where the target failed half-way: what was found damaged is damaged.
    run.suspect();
    let later = moved?;
    begin(&mut timeline, "attributes");
    run.finish_names(later)?;
    let whole = plan.options.include.is_empty() && (run.losses.is_empty() || plan.options.allow_loss);
    if let Some(options) = plan.options.finish.filter(|_| whole) {
        // Before the mark goes: what was killed here is still known to be unfinished.
        crate::finish::finish(&plan.kind, to, &plan.consistency_point, options)?;
    }
    begin(&mut timeline, "sync");
    target.sync()?;
    target.finish(plan.kind == "postgres")?;
    timeline.end("ok");

    let duration_seconds = timeline.elapsed() + plan.phase.duration_seconds;
    let mut phases = vec![plan.phase.clone()];
    phases.extend(timeline.into_phases());
    let lost = run.losses.take();
    Ok(RestoreReport {
        store: plan.store.clone(),
        snapshot: plan.snapshot.clone(),
        to: to.to_owned(),
        bytes: plan.bytes.saturating_sub(lost.bytes),
        files: run.files.load(Ordering::Relaxed),
        duration_seconds,
        phases,
        lost: lost.named,
        lost_bytes: lost.bytes,
        lost_unnamed: lost.unnamed,
        notes: run.applier.take_notes(),
        not_made: run.applier.count_not_made(),
        resumed: target.is_resumed(),
        kept_bytes: run.kept.load(Ordering::Relaxed),
        requests: plan.tree_requests() + run.traffic.requests.load(Ordering::Relaxed),
        fetched_bytes: run.traffic.fetched.load(Ordering::Relaxed),
        decoded_bytes: run.traffic.decoded.load(Ordering::Relaxed),
    })
}

/// What all threads of one restore share.
struct Run<'a> {
    session: &'a Session<'a>,
    plan: &'a RestorePlan,
    target: &'a Target,
    open: OpenFiles<'a>,
    applier: Applier,
    losses: LossLog,
    failure: Mutex<Option<RestoreError>>,
    stopped: AtomicBool,
    done: AtomicU64,
    files: AtomicU64,
    /// Logical bytes that were there already.
    kept: AtomicU64,
    /// Reads in a row that the storage did not answer.
    unanswered: AtomicU32,
    /// Frames that a second look found damaged as well.
    confirmed: AtomicU32,
    /// Packs that lack something, or hold something else.
    damaged: Mutex<BTreeSet<Digest>>,
    traffic: Traffic,
}

/// What was asked of packs, and what it became.
#[derive(Default)]
struct Traffic {
    requests: AtomicU64,
    fetched: AtomicU64,
    decoded: AtomicU64,
}

impl Traffic {
    /// An object of the tree came.
    fn tree(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// A range of a pack came.
    fn fetched(&self, bytes: usize) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.fetched.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn decoded(&self, bytes: usize) {
        self.decoded.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl<'a> Run<'a> {
    fn new(session: &'a Session<'a>, plan: &'a RestorePlan, target: &'a Target) -> Self {
        Self {
            session,
            plan,
            target,
            open: OpenFiles::new(target, open_files()),
            applier: Applier::new(plan.options.owners),
            losses: LossLog::default(),
            failure: Mutex::default(),
            stopped: AtomicBool::new(false),
            done: AtomicU64::new(0),
            files: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            unanswered: AtomicU32::new(0),
            confirmed: AtomicU32::new(0),
            damaged: Mutex::default(),
            traffic: Traffic::default(),
        }
    }

    /// Whether everything is to end: the first failure, or the user's wish.
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.session.cancel.load(Ordering::Relaxed)
    }

    fn fail(&self, error: RestoreError) {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn outcome(&self) -> Result<(), RestoreError> {
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => self.session.check(),
        }
    }

    fn lose(&self, lost: Lost) {
        if self.losses.push(lost.clone()) {
            self.session.tell(Event::Lost(lost));
        }
    }

    /// The whole file is lost, or as much of it as is not written yet.
    fn lose_file(&self, file: &FileTask, object: String, reason: &str, kind: LossKind) {
        file.mark_lost();
        self.lose(Lost::new(&file.path, 0, file.size, object, reason, kind));
    }

    fn progress(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.session.tell(Event::Progress {
            bytes: done,
            total: self.plan.bytes,
        });
    }

    /// What a failure to write `file` means: this file cannot be, or nothing more can.
    fn target_failed(&self, file: &FileTask, error: Errno) {
        match error {
            Errno::EXIST | Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::XDEV => {
                if file.refuse() {
                    let reason = format!("{}: {}", strange(error), std::io::Error::from(error));
                    self.lose_file(file, self.plan.listing(), &reason, LossKind::Damaged);
                }
            }
            error => self.fail(self.target_error(&file.path, error)),
        }
    }

    fn target_error(&self, path: &[u8], error: Errno) -> RestoreError {
        let source = std::io::Error::from(error);
        if matches!(error, Errno::NOSPC | Errno::DQUOT) {
            let target = self.target.path().to_owned();
            return RestoreError::Full {
                target,
                needed: self.plan.needed_bytes,
                source,
            };
        }
        RestoreError::local(
            format!("write {} in {}", shown(path), self.target.path().display()),
            source,
        )
    }

    /// Remembers on this host what was found damaged, so that its next backup stores again what lies there.
    fn suspect(&self) {
        let damaged = std::mem::take(&mut *self.damaged.lock().unwrap_or_else(PoisonError::into_inner));
        if let Err(error) = self.session.repository.suspect(damaged) {
            let reason = with_causes(&error);
            tracing::warn!(
                reason,
                "what was found damaged is not remembered: the next backup may lean on it"
            );
        }
    }

    fn note_damaged(&self, pack: Digest) {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.insert(pack);
    }

    fn pack_lost(&self, piece: &crate::window::Piece, reason: &str, kind: LossKind) {
        piece.file.mark_lost();
        if kind.is_damage() {
            self.note_damaged(piece.location.pack);
        }
        let object = layout::pack(&piece.location.pack);
        self.lose(Lost::new(
            &piece.file.path,
            piece.offset,
            u64::from(piece.length),
            object,
            reason,
            kind,
        ));
    }
}

fn strange(error: Errno) -> &'static str {
    if error == Errno::EXIST {
        "another entry has this name"
    } else {
        "its path leads through something that is not a directory"
    }
}

/// How many files may be open at a time.
fn open_files() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(1024);
    usize::try_from(limit / 4).unwrap_or(1024).clamp(16, 512)
}
