//! A rehearsal: restore into a private place, start the engine, question it, write to it, and say one of four things about the backup.
//!
//! Invariants: the bytes are compared with the signed manifest before anything is started on them; what says something about the backup
//! (FAIL) is never mixed with what says that the rehearsal could not run (ERROR); whatever happens, the engine is stopped and the place
//! removed.

mod engine;
mod figures;
mod plan;
mod sandbox;
mod scorecard;
mod verdict;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;
use muster_archive::{Manifest, Tool};
use muster_signing::Verified;
use muster_stores::{CheckOutcome, Sandbox};
use serde_json::Value;

use crate::attributes::Owners;
use crate::execute::{RestoreReport, execute};
use crate::plan::{RestoreOptions, RestorePlan};
use crate::session::Session;
use crate::timeline::{Timeline, boot_clock};
use crate::{Event, RestoreError, tree_digest_of_directory};
pub use engine::Engine;
use engine::Running;
pub use figures::{Rpo, Rto};
pub use plan::{Objectives, RehearsalPlan};
use sandbox::Place;
pub use scorecard::{Check, Conditions, Scorecard};
use verdict::Findings;
pub use verdict::Verdict;

/// How long a step goes on after its deadline, at most.
const LOOK: Duration = Duration::from_millis(50);

/// When the clock of a rehearsal began: at the process's beginning, not at its first interesting moment.
#[derive(Clone, Debug)]
pub struct Started {
    pub(crate) at: String,
    pub(crate) at_ms: u64,
    pub(crate) boot: Duration,
}

impl Started {
    /// Now.
    pub fn now(edge: &dyn muster_archive::Edge) -> Self {
        Self {
            at: edge.now(),
            at_ms: edge.now_ms(),
            boot: boot_clock(),
        }
    }
}

/// Brings the bytes back. The product has one, [`FromArchive`]; whoever rehearses the rehearsal wraps it and spoils what it brings.
pub trait Restorer {
    /// Restores `plan` into `to`.
    ///
    /// # Errors
    /// As [`execute`].
    fn restore(&self, session: &Session<'_>, plan: &RestorePlan, to: &Path) -> Result<RestoreReport, RestoreError>;
}

/// What [`execute`] restores.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromArchive;

impl Restorer for FromArchive {
    fn restore(&self, session: &Session<'_>, plan: &RestorePlan, to: &Path) -> Result<RestoreReport, RestoreError> {
        execute(session, plan, to)
    }
}

/// What is rehearsed, and where.
pub struct Rehearsal<'a> {
    /// What is to be done, as a value.
    pub plan: &'a RehearsalPlan,
    /// The recovery point.
    pub manifest: &'a Verified<Manifest>,
    /// ULID of this rehearsal.
    pub id: &'a str,
    /// When it began.
    pub started: Started,
    /// Where sandboxes are made. Those that dead rehearsals left there are removed.
    pub work_dir: &'a Path,
    /// What is started on the restored bytes.
    pub engine: Engine,
    /// Who brings the bytes.
    pub restorer: &'a dyn Restorer,
    /// Who rehearses.
    pub tool: Tool,
    /// Facts of this host, for the scorecard.
    pub host: BTreeMap<String, Value>,
}

/// Rehearses, and says what came of it.
///
/// # Errors
/// Only [`RestoreError::Cancelled`]: everything else is a verdict.
pub fn rehearse(session: &Session<'_>, rehearsal: Rehearsal<'_>) -> Result<Scorecard, RestoreError> {
    let mut run = Run {
        session,
        plan: rehearsal.plan,
        manifest: rehearsal.manifest,
        timeline: Timeline::since(session.edge, &rehearsal.started),
        findings: Findings::default(),
        checks: Vec::new(),
        isolation: BTreeMap::new(),
        rto: Rto::new(rehearsal.plan.objectives.rto),
        conditions: Conditions::default(),
        reached: "L0",
        cleaning: false,
        cancel: Arc::default(),
    };
    run.findings.of_snapshot(&rehearsal.manifest.unreadable);
    run.phase("select");
    let wish = Arc::clone(&run.cancel);
    std::thread::scope(|scope| {
        let (over, waits) = crossbeam_channel::bounded::<()>(0);
        scope.spawn(move || {
            while waits.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                wish.store(session.check().is_err(), Ordering::Relaxed);
            }
        });
        // Dropped at the end, also by a panic: the other thread then ends too.
        let _over = over;
        run.perform(&rehearsal);
    });
    session.check()?;
    Ok(run.scorecard(rehearsal))
}

struct Run<'a> {
    session: &'a Session<'a>,
    plan: &'a RehearsalPlan,
    manifest: &'a Verified<Manifest>,
    timeline: Timeline<'a>,
    findings: Findings,
    checks: Vec<Check>,
    isolation: BTreeMap<String, Value>,
    rto: Rto,
    conditions: Conditions,
    reached: &'static str,
    cleaning: bool,
    /// The user's wish to end, where the engine sees it.
    cancel: Arc<AtomicBool>,
}

/// The rehearsal ends here: what it found is in the findings.
struct Ended;

impl<'a> Run<'a> {
    fn phase(&mut self, name: &'static str) {
        self.session.tell(Event::Phase(name.to_owned()));
        self.timeline.begin(name);
    }

    fn perform(&mut self, rehearsal: &Rehearsal<'_>) {
        let place = match self.prepare(rehearsal) {
            Ok((plan, place)) => {
                let deadline = Instant::now() + self.plan.limits.deadline();
                // Its outcome is in the findings; the place is removed in every case.
                let _ = self.bring_and_question(rehearsal, &plan, &place, deadline);
                Some(place)
            }
            Err(Ended) => None,
        };
        self.clean_up();
        if let Some(Err(error)) = place.map(Place::remove) {
            self.findings.note(&error);
            self.timeline.end("failed");
        }
        self.timeline.end("ok");
    }

    /// Chooses what is restored, and makes room.
    fn prepare(&mut self, rehearsal: &Rehearsal<'_>) -> Result<(RestorePlan, Place), Ended> {
        let options = RestoreOptions {
            owners: Owners::Mine,
            ..RestoreOptions::default()
        };
        let plan = crate::plan::plan(self.session, self.manifest, &options);
        let plan = plan.map_err(|error| self.findings.of_restore("plan the restore", &error))?;
        self.reached = "L1";
        self.phase("preflight");
        for reaped in sandbox::reap(rehearsal.work_dir) {
            let died_in = reaped.died_in.as_deref().unwrap_or("a phase that it did not note");
            tracing::warn!(place = %reaped.path.display(), died_in, "what a rehearsal that died left behind was removed");
        }
        // PostgreSQL refuses to run as root, so another user must pass through.
        let passable = self.manifest.kind == "postgres" && rustix::process::geteuid().is_root();
        let place = Place::make(rehearsal.work_dir, rehearsal.id, passable);
        let place = place.map_err(|error| self.findings.of_restore("make the sandbox", &error))?;
        if let Some(journal) = place.journal() {
            self.timeline.keep_in(journal);
        }
        self.conditions = Conditions::of(&self.session.repository.url(), place.path());
        let needed = plan.needed_bytes.saturating_add(plan.needed_bytes / 10 * 3);
        match place.free() {
            Ok(free) if free < needed => {
                let target = place.path().to_owned();
                let error = RestoreError::NoRoom { target, needed, free };
                self.findings.of_restore("look for room", &error);
                Err(self.give_up(place))
            }
            Ok(_) => Ok((plan, place)),
            Err(error) => {
                self.findings.of_restore("look for room", &error);
                Err(self.give_up(place))
            }
        }
    }

    fn give_up(&mut self, place: Place) -> Ended {
        if let Err(error) = place.remove() {
            self.findings.note(&error);
        }
        Ended
    }

    fn bring_and_question(
        &mut self,
        rehearsal: &Rehearsal<'_>,
        plan: &RestorePlan,
        place: &Place,
        deadline: Instant,
    ) -> Result<(), Ended> {
        self.phase("fetch");
        let began = self.timeline.elapsed();
        let report = self.within(deadline, |session| {
            rehearsal.restorer.restore(session, plan, &place.data())
        });
        let report = report.map_err(|error| self.findings.of_restore("restore", &error))?;
        self.rto.transfer_seconds = Some(figures::rounded(self.timeline.elapsed() - began));
        self.findings.of_losses(&report)?;

        self.phase("compare");
        self.compare(plan, place, deadline, report.not_made)?;
        self.reached = "L2";

        self.phase("engine_start");
        let mut engine = self.start(rehearsal, place, deadline)?;
        self.rto.engine_seconds = Some(figures::rounded(self.timeline.elapsed()));
        let questioned = self.question(&mut engine, deadline);
        self.isolation.extend(engine.isolation());
        self.stop(&mut engine);
        questioned
    }

    /// Does something that ends with the deadline as it would with the user's wish.
    fn within<T>(
        &self,
        deadline: Instant,
        step: impl FnOnce(&Session<'_>) -> Result<T, RestoreError>,
    ) -> Result<T, RestoreError> {
        let ended = AtomicBool::new(false);
        let (over, waits) = crossbeam_channel::bounded::<()>(0);
        let done = std::thread::scope(|scope| {
            scope.spawn(|| {
                while waits.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    if Instant::now() >= deadline || self.session.check().is_err() {
                        ended.store(true, Ordering::Relaxed);
                    }
                }
            });
            // Dropped at the end of the step, also when it panics: the other thread then ends too.
            let _over = over;
            step(&Session {
                cancel: &ended,
                ..*self.session
            })
        });
        match done {
            Err(RestoreError::Cancelled) if self.session.check().is_ok() => Err(RestoreError::Deadline {
                seconds: self.plan.limits.deadline_seconds,
            }),
            done => done,
        }
    }

    /// The bytes that were restored, before anything touches them, beside the signed manifest.
    fn compare(&mut self, plan: &RestorePlan, place: &Place, deadline: Instant, not_made: u64) -> Result<(), Ended> {
        let found = self.within(deadline, |session| {
            tree_digest_of_directory(&place.data(), &plan.hash_key, session.cancel)
        });
        let found = found.map_err(|error| self.findings.of_restore("read the restored bytes", &error))?;
        let signed = self.manifest.tree.digest;
        self.checks
            .push(Check::compared("tree_digest", signed.to_string(), found.to_string()));
        if found == signed {
            return Ok(());
        }
        if not_made > 0 {
            return Err(self.findings.error(format!(
                "{not_made} device nodes were not made here, so that the restored tree cannot be compared: rehearse as root, where mknod is allowed"
            )));
        }
        Err(self.findings.failed(format!(
            "the restored bytes are not those of the signed manifest: tree digest {found}, not {signed}"
        )))
    }

    fn start(&mut self, rehearsal: &Rehearsal<'_>, place: &Place, deadline: Instant) -> Result<Running, Ended> {
        let data = place.data();
        let mut engine = rehearsal
            .engine
            .take(self.manifest, &data)
            .map_err(|error| self.findings.of_start(&error))?;
        let sandbox = Sandbox {
            data,
            run: place.run(),
            deadline,
            cancel: Arc::clone(&self.cancel),
        };
        let (session, timeline) = (self.session, &mut self.timeline);
        let mut first = true;
        let started = engine.start(&sandbox, &mut |phase| {
            // The first step of the engine is the phase that is open already.
            if !std::mem::take(&mut first) || phase != "engine_start" {
                session.tell(Event::Phase(phase.to_owned()));
                timeline.begin(phase);
            }
        });
        self.isolation.extend(engine.isolation());
        match started {
            Ok(()) => Ok(engine),
            Err(error) => {
                let ended = self.findings.of_start(&error);
                self.stop(&mut engine);
                Err(ended)
            }
        }
    }

    fn stop(&mut self, engine: &mut Running) {
        self.clean_up();
        if let Err(error) = engine.stop() {
            self.findings.note(&error);
        }
    }

    /// Begins the last phase, once.
    fn clean_up(&mut self) {
        if !std::mem::replace(&mut self.cleaning, true) {
            self.timeline.end(self.findings.word());
            self.phase("cleanup");
        }
    }

    fn question(&mut self, engine: &mut Running, deadline: Instant) -> Result<(), Ended> {
        self.ask_identity(engine)?;
        self.phase("checks");
        for check in &self.plan.checks {
            if self.session.check().is_err() {
                return Err(Ended);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let outcome = engine.check(check, self.plan.limits.check_timeout().min(left));
            self.judge(check, outcome);
        }
        if self.findings.is_clean() {
            self.rto.verified_seconds = Some(figures::rounded(self.timeline.elapsed()));
        }
        self.timeline.end(self.findings.word());
        self.phase("write");
        match engine.write() {
            Ok(()) => {
                self.checks.push(Check::compared(
                    "write",
                    "written and read back".to_owned(),
                    "written and read back".to_owned(),
                ));
            }
            Err(error) => return Err(self.findings.of_write(&error)),
        }
        self.reached = "L3";
        Ok(())
    }

    fn ask_identity(&mut self, engine: &mut Running) -> Result<(), Ended> {
        self.phase("identity");
        let facts = engine.identity().map_err(|error| self.findings.of_identity(&error))?;
        for fact in facts {
            if !fact.matches {
                self.findings.failed(format!(
                    "{} is {}, and the signed manifest says {}",
                    fact.name, fact.actual, fact.expected
                ));
            }
            self.checks.push(Check::fact(fact));
        }
        self.timeline.end(self.findings.word());
        Ok(())
    }

    fn judge(&mut self, check: &str, outcome: CheckOutcome) {
        let actual = match outcome {
            CheckOutcome::Passed { actual } => {
                self.checks.push(Check::configured(check, actual, true));
                return;
            }
            CheckOutcome::Failed { actual } => {
                self.findings.failed(format!("check {check:?} gave {actual}"));
                actual
            }
            CheckOutcome::CouldNotRun { reason } => {
                self.findings.error(format!("check {check:?} could not run: {reason}"));
                format!("could not run: {reason}")
            }
        };
        self.checks.push(Check::configured(check, actual, false));
    }

    fn scorecard(self, rehearsal: Rehearsal<'_>) -> Scorecard {
        let verdict = self.findings.verdict();
        let mut rto = self.rto;
        rto.judge(verdict);
        let rpo = Rpo::of(
            &self.manifest.consistency_point,
            rehearsal.started.at_ms,
            self.plan.objectives.rpo,
        );
        Scorecard::new(scorecard::Parts {
            session: self.session,
            plan: self.plan,
            manifest: self.manifest,
            id: rehearsal.id,
            started_at: rehearsal.started.at,
            verdict,
            reasons: self.findings.reasons(),
            phases: self.timeline.into_phases(),
            rto,
            rpo,
            checks: self.checks,
            isolation: self.isolation,
            conditions: self.conditions,
            reached: self.reached,
            tool: rehearsal.tool,
            host: rehearsal.host,
        })
    }
}
