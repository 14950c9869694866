//! `muster rehearse`: restore into a private sandbox, start the engine, question it, and sign what came of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use muster_archive::{ArchiveError, Manifest, RehearsalPlace, Repository, Tool};
use muster_restore::rehearsal::{
    Engine, FromArchive, Objectives, Rehearsal, RehearsalPlan, Scorecard, Started, Verdict, rehearse,
};
use muster_signing::{Digest, Role, SecretKey, Verified};
use muster_stores::postgres::{PostgresRehearsed, RehearsedOptions};
use serde_json::{Value, json};

use super::restore::{consistency_point, follow};
use crate::chosen::{check_named, choose};
use crate::config::{Config, StoreConfig, StoreKind};
use crate::context::Context;
use crate::edge::{self, Edge};
use crate::error::{CommandError, usage};
use crate::exit::Exit;
use crate::point::{self, Target};
use crate::ui::{Table, Tone, Ui, printable, seconds};
use crate::{keyfiles, stores};

/// Rehearse the restore of every store, or of those that are named, against the clock
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The sandbox lies beneath TMPDIR, else /var/tmp, and is removed afterwards. Verdicts: PASS; FAIL
says something about the backup (exit 4); ERROR says that the rehearsal could not run (exit 8). A
missed objective leaves PASS and exits 5.

Examples:
  muster rehearse
  muster rehearse accounts
  muster rehearse accounts --point 01JD0
  muster rehearse --json | jq '.rehearsals[] | {store, verdict, rto, rpo}'"
)]
pub(crate) struct Rehearse {
    /// The stores; all of them when none is named
    #[arg(value_name = "STORE")]
    stores: Vec<String>,
    /// The recovery point: latest, or the id of a snapshot of the one store that is named
    #[arg(long, value_name = "POINT", default_value = "latest")]
    point: String,
    /// Rehearse the named point by its signed manifest alone where no log that can be read names it
    #[arg(long)]
    accept_unlogged: bool,
}

/// Which recovery point is rehearsed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    /// `None` is the latest.
    pub(crate) point: Option<&'a str>,
    /// Whether its signed manifest is enough where no log that can be read names it.
    pub(crate) accept_unlogged: bool,
}

/// A rehearsal that took place.
pub(crate) struct Rehearsed {
    pub(crate) scorecard: Scorecard,
    pub(crate) digest: Digest,
    /// Whether a log that can be read names the point.
    pub(crate) logged: bool,
}

pub(crate) fn run(context: &Context, args: Rehearse) -> Result<Exit, CommandError> {
    let started = Started::now(&Edge);
    let config = context.config()?;
    let selected = config.select(&args.stores)?;
    let point = point::point(&args.point)?;
    if point.is_some() && selected.len() > 1 {
        return Err(usage("--point with a snapshot's id is about one store").hint("muster rehearse STORE --point ID"));
    }
    check_named(
        point.as_deref(),
        args.accept_unlogged,
        "muster rehearse STORE --point ID",
    )?;
    let wanted = Wanted {
        point: point.as_deref(),
        accept_unlogged: args.accept_unlogged,
    };
    let repository = context.repository(&config)?;
    let key = keyfiles::secret(&config, Role::Rehearser)?;
    repository.check_key(&key.public(), Role::Rehearser)?;
    let alone = selected.len() == 1;
    let (mut documents, mut failures, mut exit) = (Vec::new(), Vec::new(), Exit::Done);
    for (number, store) in selected.into_iter().enumerate() {
        // The first one's clock began with the process.
        let started = if number == 0 {
            started.clone()
        } else {
            Started::now(&Edge)
        };
        match one(context, &config, &repository, &key, store, wanted, started) {
            Ok(rehearsed) => {
                exit = exit.worst(verdict_exit(&rehearsed.scorecard));
                show(&context.ui, &rehearsed.scorecard);
                documents.push(document(&rehearsed));
            }
            Err(error) if error.exit() == Exit::NothingEligible => {
                exit = exit.worst(Exit::NothingEligible);
                context.ui.failure(&error);
                documents.push(skipped(store, &error.message()));
            }
            // Alone, an error without a verdict is the command's own; beside others it must not hide theirs.
            Err(error) if alone => return Err(error),
            Err(error) => {
                context.cancel.check()?;
                exit = exit.worst(error.exit());
                context.ui.failure(&error);
                failures.push(json!({ "store": store.name, "error": error.document() }));
            }
        }
    }
    context.ui.document(&json!({
        "schema": "muster.rehearse/1",
        "repository": repository.id(),
        "rehearsals": documents,
        "failures": failures,
    }));
    Ok(exit)
}

/// Rehearses one store and commits the signed scorecard.
pub(crate) fn one(
    context: &Context,
    config: &Config,
    repository: &Repository,
    key: &SecretKey,
    store: &StoreConfig,
    wanted: Wanted<'_>,
    started: Started,
) -> Result<Rehearsed, CommandError> {
    let target = Target {
        store: store.name.clone(),
        point: wanted.point.map(str::to_owned),
        named_latest: false,
    };
    let chosen = choose(context, config, repository, &target, wanted.accept_unlogged, |point| {
        format!("muster rehearse {} --point {}", point.store, point.snapshot)
    })?;
    let (point, manifest) = (&chosen.point, &chosen.manifest);
    // A key that is not at hand says nothing of the backup; whatever else is wrong is the rehearsal's to judge.
    let unlocked = context.wait(async { Ok::<_, CommandError>(repository.unlock(manifest).await) })?;
    if let Err(error @ ArchiveError::NoIdentity { .. }) = unlocked {
        return Err(error.into());
    }
    let objectives = Objectives {
        rto: store.objectives.rto.map(|objective| objective.as_secs_f64()),
        rpo: store.objectives.rpo.map(|objective| objective.as_secs_f64()),
    };
    let mut plan = RehearsalPlan::of(manifest, store.checks.clone(), objectives);
    if let Some(id) = &target.point {
        plan.point.clone_from(id);
    }
    let id = edge::ulid(edge::now())?.to_string();
    let work_dir = work_dir();
    let progress = context
        .ui
        .progress(&format!("rehearse {}", store.name), Some(manifest.tree.logical_bytes));
    let on_event = |event| follow(&progress, event);
    let session = context.session(repository, &on_event)?;
    let rehearsal = Rehearsal {
        plan: &plan,
        manifest,
        id: &id,
        started,
        work_dir: &work_dir,
        engine: engine(store, manifest)?,
        restorer: &FromArchive,
        tool: Tool {
            name: "muster".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        host: host(config),
    };
    let scorecard = rehearse(&session, rehearsal)?;
    drop(progress);
    let place = RehearsalPlace {
        store: &store.name,
        rehearsal: &id,
        snapshot: &point.snapshot,
        verdict: scorecard.verdict.as_str(),
    };
    let commit = context.wait(repository.commit_scorecard(&place, &scorecard, key, &Edge))?;
    chosen.warn(&context.ui);
    Ok(Rehearsed {
        scorecard,
        digest: commit.digest,
        logged: chosen.logged,
    })
}

/// What a verdict and its objectives mean for the exit code.
pub(crate) fn verdict_exit(scorecard: &Scorecard) -> Exit {
    match scorecard.verdict {
        Verdict::Fail => Exit::RehearsalFailed,
        Verdict::Error => Exit::CouldNotRun,
        Verdict::Skipped => Exit::NothingEligible,
        Verdict::Pass if scorecard.rto.met == Some(false) || scorecard.rpo.met == Some(false) => Exit::ObjectiveMissed,
        Verdict::Pass => Exit::Done,
    }
}

fn engine(store: &StoreConfig, manifest: &Verified<Manifest>) -> Result<Engine, CommandError> {
    match &store.kind {
        StoreKind::Postgres { .. } => {
            let expected = consistency_point(manifest)?;
            let engine = PostgresRehearsed::new(expected, stores::postgres_url(store)?, RehearsedOptions::default());
            Ok(Engine::given(Box::new(engine)))
        }
        StoreKind::Sqlite { .. } | StoreKind::Files { .. } => Ok(Engine::by_kind()),
    }
}

/// Where sandboxes are made: room for whole databases is in /var/tmp rather than in /tmp.
fn work_dir() -> PathBuf {
    std::env::var_os("TMPDIR")
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

/// Facts of this host that a timing depends on.
fn host(config: &Config) -> BTreeMap<String, Value> {
    let name = rustix::system::uname();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    BTreeMap::from([
        ("name".to_owned(), json!(name.nodename().to_string_lossy())),
        ("kernel".to_owned(), json!(name.release().to_string_lossy())),
        ("machine".to_owned(), json!(name.machine().to_string_lossy())),
        ("cores".to_owned(), json!(cores)),
        ("memory_limit_bytes".to_owned(), json!(config.memory)),
    ])
}

/// What a script is told of one rehearsal: the scorecard as it was signed, and its digest.
pub(crate) fn document(rehearsed: &Rehearsed) -> Value {
    let mut value = json!(rehearsed.scorecard);
    if let Value::Object(fields) = &mut value {
        fields.insert("scorecard_digest".into(), json!(rehearsed.digest.to_string()));
        // The depth that was asked for stands in the scorecard; a script wants the one that was reached.
        let planned = fields.insert("depth".into(), json!(rehearsed.scorecard.reached));
        fields.insert("depth_planned".into(), planned.unwrap_or_default());
        fields.insert("logged".into(), json!(rehearsed.logged));
        fields.remove("critical");
    }
    value
}

fn skipped(store: &StoreConfig, reason: &str) -> Value {
    json!({
        "store": store.name,
        "kind": store.kind.name(),
        "snapshot": null,
        "depth": "L0",
        "scenario": "clean",
        "verdict": "SKIPPED",
        "reasons": [reason],
        "phases": [],
        "rto": null,
        "rpo": null,
        "checks": [],
        "isolation": {},
        "scorecard_digest": null,
    })
}

/// One rehearsal for a human: the verdict and the two figures first, then where the time went and what was asked.
pub(crate) fn show(ui: &Ui, scorecard: &Scorecard) {
    let tone = match scorecard.verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Fail => Tone::Bad,
        Verdict::Error | Verdict::Skipped => Tone::Doubtful,
    };
    let verdict = ui.paint(tone, scorecard.verdict.as_str());
    ui.say(format!(
        "{verdict}  {}@{} ({})",
        scorecard.store, scorecard.snapshot, scorecard.kind
    ));
    for reason in &scorecard.reasons {
        ui.say(format!("      {}", printable(reason.as_bytes())));
    }
    if scorecard.verdict == Verdict::Fail {
        ui.advise(&format!("muster verify --repository {} --read-data", scorecard.store));
    }
    let rto = &scorecard.rto;
    let rpo = &scorecard.rpo;
    ui.say(figure(
        ui,
        "RTO",
        rto.verified_seconds,
        rto.objective_seconds,
        rto.met,
        "restored, started and checked",
    ));
    ui.say(figure(
        ui,
        "RPO",
        rpo.exposure_seconds,
        rpo.objective_seconds,
        rpo.met,
        "age of the point",
    ));
    ui.say("");
    let total: f64 = scorecard.phases.iter().map(|phase| phase.duration_seconds).sum();
    let mut table = Table::new(&["phase", ">took", "share", "outcome"]);
    for phase in &scorecard.phases {
        let tone = if phase.outcome == "ok" { None } else { Some(Tone::Bad) };
        table.row([
            (phase.name.clone(), None),
            (seconds(phase.duration_seconds), None),
            (bar(phase.duration_seconds, total), Some(Tone::Faint)),
            (phase.outcome.clone(), tone),
        ]);
    }
    ui.table(&table);
    ui.say("");
    let mut table = Table::new(&["check", "actual", "!passed"]);
    for check in &scorecard.checks {
        let (word, tone) = if check.passed {
            ("yes", Tone::Good)
        } else {
            ("NO", Tone::Bad)
        };
        table.row([
            (printable(check.name.as_bytes()), None),
            (printable(check.actual.as_bytes()), None),
            (word.to_owned(), Some(tone)),
        ]);
    }
    if !table.is_empty() {
        ui.table(&table);
        ui.say("");
    }
}

fn figure(ui: &Ui, name: &str, measured: Option<f64>, objective: Option<f64>, met: Option<bool>, what: &str) -> String {
    let measured = measured.map_or_else(|| "not measured".to_owned(), seconds);
    let (word, tone) = match met {
        Some(true) => ("met", Tone::Good),
        Some(false) => ("MISSED", Tone::Bad),
        None => ("no verdict on it", Tone::Faint),
    };
    let objective = objective.map_or_else(
        || "no objective".to_owned(),
        |objective| format!("objective {}", seconds(objective)),
    );
    format!(
        "      {name} {measured:>10}  {objective}: {}  ({what})",
        ui.paint(tone, word)
    )
}

fn bar(part: f64, whole: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 30")]
    let length = if whole > 0.0 {
        (part / whole * 30.0).round().clamp(0.0, 30.0) as usize
    } else {
        0
    };
    "█".repeat(length)
}
