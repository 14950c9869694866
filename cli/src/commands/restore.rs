//! `muster restore`: a recovery point into a directory, every digest checked. What it could not bring back is listed.

use std::path::{Path, PathBuf};

use muster_archive::{ArchiveError, Manifest, Point, Repository};
use muster_restore::{Event, FinishOptions, RestoreOptions, RestorePlan, RestoreReport};
use muster_signing::Verified;
use muster_stores::ConsistencyPoint;
use serde_json::json;

use crate::context::{Context, believed};
use crate::error::{CommandError, Kind, usage};
use crate::exit::Exit;
use crate::point::Target;
use crate::ui::{Progress, Table, Tone, bytes, count, printable, rate, seconds};

/// Restore a recovery point into a directory
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The directory must be empty or absent. A damaged archive gives back all that is whole, lists the
rest and exits 7.

Examples:
  muster restore accounts --to /var/lib/postgresql/15/restored
  muster restore assets@01JD0 --to /srv/back --include 'maps/**'
  muster restore assets --to /srv/back --include castle.map      one file, wherever it lies
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
    /// Leave a database startable although parts of it are lost
    #[arg(long)]
    allow_loss: bool,
    /// Restore although nobody says whose repository this is; every hash is still checked
    #[arg(long)]
    accept_unknown_signer: bool,
}

pub(crate) fn run(context: &Context, args: Restore) -> Result<Exit, CommandError> {
    let target = Target::parse(&args.target)?;
    let to = directory(&args.to)?;
    let config = context.config()?;
    let root = if args.accept_unknown_signer {
        None
    } else {
        Some(believed(&config)?)
    };
    let repository = context.repository_under(&config, root)?;
    let (point, manifest) = open_point(context, &repository, &target, |point| {
        format!(
            "muster restore {}@{} --to {}",
            point.store,
            point.snapshot,
            args.to.display()
        )
    })?;
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
    let options = RestoreOptions {
        include: args.include,
        allow_loss: args.allow_loss,
        ..RestoreOptions::default()
    };
    let plan = muster_restore::plan(&session, &manifest, &options)?;
    if args.dry_run {
        drop(progress);
        return Ok(show_plan(context, &plan, &to, repository.is_anchored()));
    }
    let report = muster_restore::execute(&session, &plan, &to)?;
    drop(progress);
    if options.include.is_empty() && (report.lost.is_empty() || args.allow_loss) {
        muster_restore::finish(
            &manifest.kind,
            &to,
            &manifest.consistency_point,
            FinishOptions::default(),
        )?;
    }
    Ok(show(
        context,
        &report,
        &manifest,
        repository.is_anchored(),
        args.allow_loss,
    ))
}

/// The recovery point and its verified manifest; a damaged one names the command for the next older, and is never replaced by it.
pub(crate) fn open_point(
    context: &Context,
    repository: &Repository,
    target: &Target,
    command: impl Fn(&Point) -> String,
) -> Result<(Point, Verified<Manifest>), CommandError> {
    let point = context.wait(repository.point(&target.store, target.point.as_deref()))?;
    match context.wait(async { Ok::<_, ArchiveError>(repository.manifest(&point).await) })? {
        Ok((manifest, _)) => Ok((point, manifest)),
        Err(error) => {
            let points = context
                .wait(repository.points())?
                .remove(&point.store)
                .unwrap_or_default();
            let at = points
                .iter()
                .position(|other| other.snapshot == point.snapshot)
                .unwrap_or(0);
            let error =
                CommandError::from(error).context(format!("read recovery point {}@{}", point.store, point.snapshot));
            Err(match points[..at].last() {
                Some(older) => error.hint(command(older)),
                None => error,
            })
        }
    }
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

fn show_plan(context: &Context, plan: &RestorePlan, to: &Path, anchored: bool) -> Exit {
    let exit = plan.lost.iter().fold(Exit::Done, |exit, lost| {
        exit.worst(if lost.kind.is_damage() {
            Exit::Damaged
        } else {
            Exit::Incomplete
        })
    });
    let mut document = json!(plan);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("schema".into(), json!("muster.restore/1"));
        fields.insert("dry_run".into(), json!(true));
        fields.insert("to".into(), json!(to));
        fields.insert("signer_known".into(), json!(anchored));
    }
    context.ui.document(&document);
    context.ui.say(format!(
        "would restore {}@{} into {}",
        plan.store,
        plan.snapshot,
        to.display()
    ));
    context.ui.say(format!(
        "{} entries, {} files, {}; the file system needs {}",
        count(plan.entries),
        count(plan.files),
        bytes(plan.bytes),
        bytes(plan.needed_bytes)
    ));
    for lost in &plan.lost {
        context.ui.warn(format!(
            "would be lost: {}: {}",
            printable(lost.object.as_bytes()),
            printable(lost.reason.as_bytes())
        ));
    }
    exit
}

fn show(context: &Context, report: &RestoreReport, manifest: &Manifest, anchored: bool, allow_loss: bool) -> Exit {
    let ui = &context.ui;
    let mut document = json!(report);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("schema".into(), json!("muster.restore/1"));
        fields.insert("kind".into(), json!(manifest.kind));
        fields.insert("consistency_point".into(), manifest.consistency_point.clone());
        fields.insert("signer_known".into(), json!(anchored));
    }
    ui.document(&document);
    ui.say(format!(
        "restored {}@{} into {}: {} files, {} in {} ({})",
        report.store,
        report.snapshot,
        report.to.display(),
        count(report.files),
        bytes(report.bytes),
        seconds(report.duration_seconds),
        rate(report.bytes, report.duration_seconds)
    ));
    if !anchored {
        ui.warn("intact, signer unknown: every hash was checked, and nobody says whose repository this is");
    }
    for note in &report.notes {
        ui.note(printable(note.as_bytes()));
    }
    if report.lost.is_empty() {
        return Exit::Done;
    }
    let mut table = Table::new(&["lost", ">offset", ">length", "object", "reason"]);
    for lost in report.lost.iter().take(50) {
        table.row([
            (printable(lost.path.as_bytes()), Some(Tone::Bad)),
            (lost.offset.to_string(), None),
            (lost.length.to_string(), None),
            (printable(lost.object.as_bytes()), None),
            (printable(lost.reason.as_bytes()), None),
        ]);
    }
    ui.table(&table);
    ui.warn(format!(
        "{} were not brought back, in {} places",
        bytes(report.lost_bytes),
        count(report.lost.len() as u64)
    ));
    for lost in report.lost.iter().take(50) {
        ui.warn(format!(
            "{}: {}: {}",
            printable(lost.path.as_bytes()),
            printable(lost.object.as_bytes()),
            printable(lost.reason.as_bytes())
        ));
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
