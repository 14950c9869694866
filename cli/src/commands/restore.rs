//! `muster restore`: a recovery point into a directory, every digest checked. What it could not bring back is listed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use muster_archive::{Assumed, Manifest, Repository};
use muster_restore::{Event, FinishOptions, RestoreError, RestoreEstimate, RestoreOptions, RestorePlan, RestoreReport};
use muster_stores::ConsistencyPoint;
use serde_json::json;

use crate::chosen::{Chosen, check_named, choose};
use crate::context::{Context, believed};
use crate::error::{CommandError, Kind, usage};
use crate::exit::Exit;
use crate::losses::{self, LossFile};
use crate::measured;
use crate::point::Target;
use crate::ui::{Progress, Table, Tone, bytes, count, date, printable, rate, seconds};

/// So many losses are shown one by one.
const SHOWN: usize = 50;

/// Restore a recovery point into a directory
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The directory must be empty or absent. A damaged archive gives back all that is whole, lists the
rest, writes a signed loss report beside the directory and exits 7. On another machine a
muster.toml with [repository] url and [trust] root is all that it needs.

Examples:
  muster restore accounts --to /var/lib/postgresql/15/restored
  muster restore assets@01JD0 --to /srv/back --include 'maps/**'
  muster restore assets --to /srv/back --include castle.map      one file, wherever it lies
  muster restore accounts --to /srv/back --resume                go on after a kill or a power cut
  muster restore accounts --to /srv/back --dry-run"
)]
pub(crate) struct Restore {
    /// The store, and the recovery point where it is not the latest
    #[arg(value_name = "STORE[@POINT]")]
    target: String,
    /// The directory
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Only what matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Show the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Go on with the restore that was interrupted in this directory; what it wrote is compared, not fetched again
    #[arg(long)]
    resume: bool,
    /// Let a restored PostgreSQL stay read-only at its target until somebody promotes it
    #[arg(long)]
    pause: bool,
    /// Leave a database startable although parts of it are lost
    #[arg(long)]
    allow_loss: bool,
    /// Restore although nobody says whose repository this is; every hash is still checked
    #[arg(long)]
    accept_unknown_signer: bool,
    /// Restore the named point by its signed manifest alone where no log that can be read names it
    #[arg(long)]
    accept_unlogged: bool,
}

pub(crate) fn run(context: &Context, args: Restore) -> Result<Exit, CommandError> {
    let mut target = Target::parse(&args.target)?;
    let to = directory(&args.to)?;
    check_named(
        target.point.as_deref(),
        args.accept_unlogged,
        "muster restore STORE@POINT --to DIR",
    )?;
    if args.resume
        && target.point.is_none()
        && let Some(journal) = muster_restore::unfinished(&to)?.filter(|journal| journal.store == target.store)
    {
        // The latest point may be another one by now: what was begun is what is finished.
        target.point = Some(journal.snapshot);
    }
    let config = context.config()?;
    let anyway = |error: CommandError| match error.kind() {
        Kind::Key => error.hint(format!(
            "muster restore {} --to {} --accept-unknown-signer   (every hash is still checked)",
            args.target,
            args.to.display()
        )),
        _ => error,
    };
    let root = match args.accept_unknown_signer {
        true => None,
        false => Some(believed(&config).map_err(anyway)?),
    };
    let repository = context
        .repository_at(&config, root, config.limit_read)
        .map_err(anyway)?;
    let chosen = choose(context, &config, &repository, &target, args.accept_unlogged, |point| {
        format!(
            "muster restore {}@{} --to {}",
            point.store,
            point.snapshot,
            args.to.display()
        )
    })?;
    let (point, manifest) = (&chosen.point, &chosen.manifest);
    if manifest.unreadable.count > 0 {
        context.ui.warn(format!(
            "{}@{} is incomplete: {} paths could not be read when it was taken",
            point.store, point.snapshot, manifest.unreadable.count
        ));
    }
    let progress = context
        .ui
        .progress(&format!("restore {}", point.store), Some(manifest.tree.logical_bytes));
    let on_event = |event| follow(&progress, event);
    let session = context.session(&repository, &on_event)?;
    let include = args.include;
    let options = RestoreOptions {
        include: include.clone(),
        allow_loss: args.allow_loss,
        resume: args.resume,
        finish: Some(FinishOptions { pause: args.pause }),
        ..RestoreOptions::default()
    };
    let plan = muster_restore::plan(&session, manifest, &options).map_err(|error| match error {
        RestoreError::NothingMatches { .. } => {
            CommandError::new(Kind::Failed, error).hint(format!("muster ls {}@{}", point.store, point.snapshot))
        }
        RestoreError::Archive(ref damage) if damage.is_damage() => {
            let older = context.wait(repository.older(point)).ok().flatten();
            let hint = older.map(|older| {
                let (store, snapshot, to) = (older.store, older.snapshot, args.to.display());
                format!("muster restore {store}@{snapshot} --to {to}")
            });
            hint.into_iter().fold(error.into(), CommandError::hint)
        }
        other => other.into(),
    })?;
    if args.dry_run {
        let estimate = plan.estimate(&session)?;
        drop(progress);
        let prediction = Prediction::of(&plan, &estimate, measured::last(&config.state, repository.id()));
        return Ok(show_plan(
            context,
            &plan,
            &estimate,
            &prediction,
            &to,
            (repository.is_anchored(), chosen.logged),
        ));
    }
    let report = muster_restore::execute(&session, &plan, &to).map_err(|error| match error {
        RestoreError::NotEmpty { unfinished: false, .. } => CommandError::new(Kind::Failed, error).hint(format!(
            "muster restore {} --to {}-restored   (nothing is written over)",
            args.target,
            args.to.display()
        )),
        other => other.into(),
    })?;
    drop(progress);
    if config.limit_read.is_none() {
        measured::remember(&config.state, repository.id(), &report);
    }
    let loss_file = match report.lost.is_empty() {
        true => None,
        false => Some(losses::write(&config, &repository, manifest, &report, &include)),
    };
    let exit = show(
        context,
        &report,
        &chosen,
        &repository,
        args.allow_loss,
        loss_file.as_ref(),
    );
    if exit != Exit::Done {
        context.ui.advise(&format!(
            "muster verify --repository {} --read-data   (says which recovery points are whole)",
            point.store
        ));
        if let Some(older) = context.wait(repository.older(point)).ok().flatten() {
            context.ui.advise(&format!(
                "muster restore {}@{} --to {}-older",
                older.store,
                older.snapshot,
                args.to.display()
            ));
        }
    }
    Ok(exit)
}

/// The consistency point that a manifest signs.
pub(crate) fn consistency_point(manifest: &Manifest) -> Result<ConsistencyPoint, CommandError> {
    serde_json::from_value(manifest.consistency_point.clone()).map_err(|error| {
        CommandError::new(Kind::Damaged, error).context(format!("read the consistency point of {}", manifest.snapshot))
    })
}

fn directory(to: &Path) -> Result<PathBuf, CommandError> {
    let text = to.to_string_lossy();
    if text == "-" || text.contains("://") {
        return Err(usage(format!("--to {text}: this version restores into a directory"))
            .hint("muster restore STORE --to /srv/back"));
    }
    std::path::absolute(to).map_err(|error| CommandError::new(Kind::Usage, error).context(format!("--to {text}")))
}

/// Draws what a restore tells.
pub(crate) fn follow(progress: &Progress, event: Event) {
    match event {
        Event::Phase(name) => progress.note(&name),
        Event::Progress { bytes, total } => {
            progress.expect(total);
            progress.set(bytes);
        }
        _ => {}
    }
}

/// How long a restore will take, and on what assumption.
struct Prediction {
    seconds: Option<f64>,
    /// The machine that is assumed.
    assumes: Option<Assumed>,
    /// When this host was measured; `None`: the manifest's machine is assumed as it is.
    measured: Option<String>,
}

impl Prediction {
    fn of(plan: &RestorePlan, estimate: &RestoreEstimate, measured: Option<measured::Measured>) -> Self {
        let assumes = plan.cost.as_ref().map(|cost| match &measured {
            Some(measured) => Assumed {
                decoded_bytes_per_second: measured.decoded_bytes_per_second,
                ..cost.assumes
            },
            None => cost.assumes,
        });
        Self {
            seconds: assumes.map(|machine| (estimate.seconds(&machine) * 1000.0).round() / 1000.0),
            assumes,
            measured: measured.map(|measured| measured.at),
        }
    }

    fn line(&self) -> Option<String> {
        let (time, machine) = (self.seconds?, self.assumes?);
        let decoded = rate(machine.decoded_bytes_per_second, 1.0);
        let source = match &self.measured {
            Some(at) => format!("{decoded} decoded and written, as this host did on {}", date(at)),
            None => format!("{decoded} decoded and written, assumed: this host has not restored from here yet"),
        };
        Some(format!(
            "predicted: {} ({} read, {source})",
            seconds(time),
            rate(machine.read_bytes_per_second, 1.0)
        ))
    }
}

fn show_plan(
    context: &Context,
    plan: &RestorePlan,
    estimate: &RestoreEstimate,
    prediction: &Prediction,
    to: &Path,
    (anchored, logged): (bool, bool),
) -> Exit {
    let exit = plan.lost.iter().fold(Exit::Done, |exit, lost| {
        exit.worst(if lost.kind.is_damage() {
            Exit::Damaged
        } else {
            Exit::Incomplete
        })
    });
    let free = free_for(to);
    let fits = free.is_none_or(|free| free >= plan.needed_bytes);
    let exit = if fits { exit } else { exit.worst(Exit::Failed) };
    let mut document = json!(plan);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("schema".into(), json!("muster.restore/1"));
        fields.insert("dry_run".into(), json!(true));
        fields.insert(
            "requests".into(),
            json!(estimate.pack_requests + estimate.tree_requests),
        );
        fields.insert("fetch_bytes".into(), json!(estimate.pack_bytes));
        fields.insert("decode_bytes".into(), json!(estimate.decoded_bytes));
        fields.insert("unread_maps".into(), json!(estimate.unread_maps));
        fields.insert("predicted_seconds".into(), json!(prediction.seconds));
        fields.insert("assumes".into(), json!(prediction.assumes));
        fields.insert("measured_at".into(), json!(prediction.measured));
        fields.insert("free_bytes".into(), json!(free));
        fields.insert("to".into(), json!(to));
        fields.insert("signer_known".into(), json!(anchored));
        fields.insert("logged".into(), json!(logged));
    }
    context.ui.document(&document);
    context.ui.say(format!(
        "would restore {}@{} into {}",
        plan.store,
        plan.snapshot,
        to.display()
    ));
    context.ui.say(format!(
        "{} entries, {} files, {}; the file system needs {}{}",
        count(plan.entries),
        count(plan.files),
        bytes(plan.bytes),
        bytes(plan.needed_bytes),
        free.map(|free| format!(" and has {} free", bytes(free)))
            .unwrap_or_default()
    ));
    context.ui.say(format!(
        "{} requests, {} to fetch, {} to decode",
        count(estimate.pack_requests + estimate.tree_requests),
        bytes(estimate.pack_bytes),
        bytes(estimate.decoded_bytes)
    ));
    if let Some(line) = prediction.line() {
        context.ui.say(line);
    }
    if estimate.unread_maps > 0 {
        context.ui.warn(format!(
            "{} extent maps cannot be read: what they hold is not counted, and would be lost",
            count(estimate.unread_maps)
        ));
    }
    if !fits {
        context
            .ui
            .warn("it does not fit: make room, or name another file system with --to");
    }
    for lost in &plan.lost {
        context.ui.warn(format!(
            "would be lost: {}: {}",
            printable(lost.object.as_bytes()),
            printable(lost.reason.as_bytes())
        ));
    }
    exit
}

/// What is free where the directory lies or will lie.
fn free_for(to: &Path) -> Option<u64> {
    let present = to.ancestors().find(|path| path.exists())?;
    let status = rustix::fs::statvfs(present).ok()?;
    Some(status.f_bavail.saturating_mul(status.f_frsize))
}

fn show(
    context: &Context,
    report: &RestoreReport,
    chosen: &Chosen,
    repository: &Repository,
    allow_loss: bool,
    loss_file: Option<&Result<LossFile, CommandError>>,
) -> Exit {
    let (ui, anchored, recovered) = (&context.ui, repository.is_anchored(), repository.recovered());
    let manifest = &chosen.manifest;
    let mut document = json!(report);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("schema".into(), json!("muster.restore/1"));
        fields.insert("kind".into(), json!(manifest.kind));
        fields.insert("consistency_point".into(), manifest.consistency_point.clone());
        fields.insert("signer_known".into(), json!(anchored));
        fields.insert("logged".into(), json!(chosen.logged));
        let recovered = recovered
            .iter()
            .map(|name| json!({"object": name.object, "version": name.version}));
        fields.insert("recovered".into(), recovered.collect());
        let written = loss_file.and_then(|written| written.as_ref().ok());
        fields.insert("loss_report".into(), json!(written.map(|file| &file.path)));
        fields.insert(
            "loss_report_signed".into(),
            json!(written.map(|file| file.unsigned.is_none())),
        );
    }
    ui.document(&document);
    ui.say(format!(
        "{} {}@{} into {}: {} {}, {} in {} ({})",
        match report.lost.is_empty() {
            true => "restored".to_owned(),
            false => ui.paint(Tone::Bad, "restored WITH LOSSES"),
        },
        report.store,
        report.snapshot,
        report.to.display(),
        count(report.files),
        if report.files == 1 { "file" } else { "files" },
        bytes(report.bytes),
        seconds(report.duration_seconds),
        rate(report.bytes, report.duration_seconds)
    ));
    if !anchored {
        ui.warn("intact, signer unknown: every hash was checked, and nobody says whose repository this is");
    }
    chosen.warn(ui);
    if !recovered.is_empty() {
        ui.warn(format!(
            "{} names in the repository are hidden or were written over: older versions of them were read   (muster verify --repository)",
            count(recovered.len() as u64)
        ));
    }
    for note in &report.notes {
        ui.note(printable(note.as_bytes()));
    }
    if report.lost.is_empty() {
        if manifest.kind == "postgres" && report.files == manifest.tree.files {
            ui.note(format!(
                "next, as the owner of the files: pg_ctl -D {} start",
                report.to.display()
            ));
        }
        return Exit::Done;
    }
    let mut table = Table::new(&["lost", ">offset", ">length", "reason"]);
    let mut blamed: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for lost in &report.lost {
        *blamed.entry((&lost.object, &lost.reason)).or_default() += 1;
    }
    for lost in report.lost.iter().take(SHOWN) {
        let reason = lost
            .reason
            .trim_start_matches(&lost.object)
            .trim_start_matches([':', ' ']);
        table.row([
            (printable(lost.path.as_bytes()), Some(Tone::Bad)),
            (lost.offset.to_string(), None),
            (lost.length.to_string(), None),
            (printable(reason.as_bytes()), None),
        ]);
    }
    ui.table(&table);
    if report.lost.len() > SHOWN {
        ui.say(format!(
            "and {} more: --json lists all",
            count((report.lost.len() - SHOWN) as u64)
        ));
    }
    ui.warn(format!(
        "{} were not brought back, in {} {}",
        bytes(report.lost_bytes),
        count(report.lost.len() as u64),
        if report.lost.len() == 1 { "place" } else { "places" }
    ));
    for ((object, reason), places) in blamed.into_iter().take(SHOWN) {
        let reason = reason.trim_start_matches(object).trim_start_matches([':', ' ']);
        ui.warn(format!(
            "{}: {} ({} of these)",
            printable(object.as_bytes()),
            printable(reason.as_bytes()),
            count(places)
        ));
    }
    match loss_file {
        Some(Ok(file)) => {
            let signed = match &file.unsigned {
                None => "signed".to_owned(),
                Some(why) => format!("NOT signed: {}", printable(why.as_bytes())),
            };
            ui.say(format!("loss report: {} ({signed})", file.path.display()));
            ui.advise(&format!("muster verify {}", file.path.display()));
        }
        Some(Err(error)) => ui.failure(error),
        None => {}
    }
    if manifest.kind != "files" && !allow_loss {
        ui.warn("the database was left unstartable: --allow-loss leaves it as it is");
    }
    let mut exit = Exit::Done;
    if report.is_incomplete() {
        exit = exit.worst(Exit::Incomplete);
    }
    if report.is_damaged() {
        exit = exit.worst(Exit::Damaged);
    }
    exit
}
