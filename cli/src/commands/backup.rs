//! `muster backup`: a recovery point of each store. One store's trouble does not stop the others.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_archive::{IndexKey, Indexing, Manifest, RateLimit, Repository, WriteProgress, WriterOptions};
use muster_backup::{Event, Plan, Request, SnapshotReport};
use muster_signing::{Role, SecretKey};
use serde_json::{Value, json};

use crate::config::{Config, StoreConfig, duration, rate};
use crate::context::Context;
use crate::edge::Edge;
use crate::error::{CommandError, Kind};
use crate::exit::Exit;
use crate::ui::{Table, Tone, Ui, bytes, printable, ratio, seconds};
use crate::{keyfiles, lock, stores};

/// Take a recovery point of every store, or of those that are named
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A second run of a store that is being backed up exits 11 at once. What could not be read is
listed, and the exit is 3.

Examples:
  muster backup
  muster backup accounts assets
  muster backup accounts --lock-wait 10m
  muster backup --dry-run"
)]
pub(crate) struct Backup {
    /// The stores; all of them when none is named
    #[arg(value_name = "STORE")]
    stores: Vec<String>,
    /// Show what would be done
    #[arg(long)]
    dry_run: bool,
    /// Wait so long for a run of the same store that is still busy
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration, hide_default_value = true)]
    lock_wait: Duration,
    /// Read the stores no faster than so many bytes per second, like 50MiB [default: limits.read]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    limit_read: Option<u64>,
    /// Write to the repository no faster than so many bytes per second [default: limits.upload]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    limit_upload: Option<u64>,
}

/// How the backup of one store ended.
pub(crate) enum Outcome {
    Taken(Box<SnapshotReport>),
    Planned(Plan),
    /// Another run holds it.
    Busy(CommandError),
    Failed(CommandError),
}

/// A store and what became of it.
pub(crate) struct Backed {
    pub(crate) store: String,
    pub(crate) kind: &'static str,
    pub(crate) outcome: Outcome,
}

pub(crate) fn run(context: &Context, args: Backup) -> Result<Exit, CommandError> {
    let mut config = context.config()?;
    config.limit_read = args.limit_read.or(config.limit_read);
    config.limit_upload = args.limit_upload.or(config.limit_upload);
    let selected = config.select(&args.stores)?;
    let repository = context.repository(&config)?;
    super::keys::check_recipients(context, &config, &repository)?;
    let key = keyfiles::secret(&config, Role::Writer)?;
    if config.repository.object_lock.is_some() && !repository.capabilities().object_lock {
        return Err(CommandError::new(
            Kind::Config,
            "[repository] object_lock asks for locks that the server was not seen to hold",
        )
        .hint("muster init   (tries it, and has the root sign the answer)"));
    }
    if !args.dry_run {
        log_configuration(context, &config, &repository, &key)?;
    }
    let mut backed = Vec::new();
    for store in selected {
        context.cancel.check()?;
        backed.push(back_up(
            context,
            &config,
            &repository,
            &key,
            store,
            args.dry_run,
            args.lock_wait,
        ));
    }
    context.ui.document(&json!({
        "schema": "muster.backup/1",
        "repository": repository.id(),
        "dry_run": args.dry_run,
        "stores": backed.iter().map(document).collect::<Vec<_>>(),
    }));
    show(&context.ui, &backed);
    for one in &backed {
        if let Outcome::Failed(error) | Outcome::Busy(error) = &one.outcome {
            context.ui.failure(error);
        }
    }
    Ok(exit(&backed))
}

/// Lets the log say which stores the configuration names, where it does not say so yet.
fn log_configuration(
    context: &Context,
    config: &Config,
    repository: &Repository,
    key: &SecretKey,
) -> Result<(), CommandError> {
    let stores = config.stores.iter();
    let stores = stores
        .map(|store| (store.name.clone(), store.kind.name().to_owned()))
        .collect();
    let lock = config.repository.object_lock;
    let lock = lock.map_or(
        Value::Null,
        |lock| json!({"mode": lock.mode.as_str(), "days": lock.days}),
    );
    context.wait(repository.log_configuration(&stores, &lock, &Value::Null, key, &Edge))
}

/// Backs up one store under its lock. Everything that goes wrong is in the outcome.
pub(crate) fn back_up(
    context: &Context,
    config: &Config,
    repository: &Repository,
    key: &SecretKey,
    store: &StoreConfig,
    dry_run: bool,
    lock_wait: Duration,
) -> Backed {
    let attempt = || -> Result<Outcome, CommandError> {
        let request = Request {
            store: &store.name,
            kind: store.kind.name(),
            key,
            options: WriterOptions {
                memory: config.memory,
                read_limit: config.limit_read.map(|rate| Arc::new(RateLimit::new(rate))),
                index: (!dry_run).then(|| indexing(config, store)).transpose()?,
                ..WriterOptions::default()
            },
            lock: config.repository.object_lock,
            version: env!("CARGO_PKG_VERSION"),
            edge: Arc::new(Edge),
            handle: context.handle()?.clone(),
            cancel: context.cancel.flag(),
        };
        let mut source = stores::source(store)?;
        if dry_run {
            return Ok(Outcome::Planned(muster_backup::plan(
                repository,
                &request,
                &mut *source,
            )?));
        }
        let _held = match lock::take(repository.state(), &store.name, lock_wait, &context.cancel) {
            Ok(held) => held,
            Err(error) if error.exit() == Exit::Contended => return Ok(Outcome::Busy(error)),
            Err(error) => return Err(error),
        };
        let watched = Watch::default();
        let report = watched.during(&context.ui, &store.name, |on_event| {
            muster_backup::snapshot(repository, &request, &mut *source, on_event)
        })?;
        Ok(Outcome::Taken(Box::new(report)))
    };
    let outcome = attempt().unwrap_or_else(Outcome::Failed);
    Backed {
        store: store.name.clone(),
        kind: store.kind.name(),
        outcome,
    }
}

/// What this host remembers of a store, sealed to the index key beside its writer key.
fn indexing(config: &Config, store: &StoreConfig) -> Result<Indexing, CommandError> {
    let folder = config.keys.writer.parent().unwrap_or(&config.path);
    Ok(Indexing {
        key: IndexKey::read_or_make(&folder.join("index.key"), &Edge)?,
        store: store.name.clone(),
    })
}

/// The library counts while it reads; somebody has to look now and then.
#[derive(Default)]
struct Watch {
    counters: Mutex<Option<(Arc<WriteProgress>, Option<u64>)>>,
}

impl Watch {
    fn during<T>(&self, ui: &Ui, store: &str, work: impl FnOnce(&dyn Fn(Event)) -> T) -> T {
        let progress = ui.progress(&format!("back up {store}"), None);
        std::thread::scope(|scope| {
            let (done, wait) = channel::<()>();
            let progress = &progress;
            scope.spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = wait.recv_timeout(Duration::from_millis(100)) {
                    let counters = self.counters.lock().ok().and_then(|counters| counters.clone());
                    if let Some((counters, expected)) = counters {
                        progress.expect(expected.unwrap_or(0));
                        progress.set(counters.read_bytes.load(std::sync::atomic::Ordering::Relaxed));
                    } else {
                        progress.set(0);
                    }
                }
            });
            let outcome = work(&|event| match event {
                Event::Reading {
                    progress: counters,
                    expected_bytes,
                } => {
                    if let Ok(mut slot) = self.counters.lock() {
                        *slot = Some((counters, expected_bytes));
                    }
                }
                Event::LoggedOrphans { snapshots } => {
                    ui.note(format!(
                        "{store}: logged what an interrupted run had committed: {}",
                        snapshots.join(" ")
                    ));
                }
                Event::ParentUnusable { snapshot, reason } => ui.warn(format!(
                    "{store}: {snapshot} cannot be leaned on, everything is stored again: {}",
                    printable(reason.as_bytes())
                )),
                Event::Unreadable { path, reason } => {
                    ui.warn(format!(
                        "{store}: not read: {}: {}",
                        printable(path.as_bytes()),
                        printable(reason.as_bytes())
                    ));
                }
                Event::Note { text } => progress.note(&text),
                Event::Committing => progress.note("commit"),
                _ => {}
            });
            drop(done);
            outcome
        })
    }
}

/// What a script is told of one store.
pub(crate) fn document(backed: &Backed) -> Value {
    let mut value = json!({ "store": backed.store, "kind": backed.kind });
    let more = match &backed.outcome {
        Outcome::Taken(report) => taken(report),
        Outcome::Planned(plan) => json!({
            "status": "skipped",
            "parent": plan.parent.as_ref().map(|parent| &parent.snapshot),
            "sequence": plan.sequence,
            "expected_bytes": plan.expected_bytes,
            "error": null,
        }),
        Outcome::Busy(error) => not_taken("skipped", error),
        Outcome::Failed(error) => not_taken("failed", error),
    };
    if let (Value::Object(fields), Value::Object(more)) = (&mut value, more) {
        fields.extend(more);
    }
    value
}

/// The same keys as of a store that was backed up, so that a script need not ask which are there.
fn not_taken(status: &str, error: &CommandError) -> Value {
    json!({
        "status": status,
        "snapshot": null,
        "manifest_digest": null,
        "consistency_point": null,
        "logical_bytes": null,
        "stored_bytes": null,
        "added_bytes": null,
        "rewritten_bytes": null,
        "predicted_restore_seconds": null,
        "duration_seconds": null,
        "error": error.message(),
    })
}

fn taken(report: &SnapshotReport) -> Value {
    let manifest = &report.manifest;
    json!({
        "status": "ok",
        "snapshot": manifest.snapshot,
        "manifest_digest": report.manifest_digest.to_string(),
        "consistency_point": manifest.consistency_point,
        "parent": manifest.parent.as_ref().map(|parent| &parent.snapshot),
        "entries": manifest.tree.entries,
        "files": manifest.tree.files,
        "logical_bytes": manifest.tree.logical_bytes,
        "stored_bytes": manifest.stored_bytes,
        "added_bytes": manifest.added_bytes,
        "rewritten_bytes": manifest.rewritten_bytes,
        "decoded_bytes": manifest.restore.as_ref().map(|restore| restore.decoded_bytes),
        "restore_requests": manifest.restore.as_ref().map(|restore| restore.requests),
        "predicted_restore_seconds": manifest.restore.as_ref().map(|restore| restore.predicted_seconds),
        "duration_seconds": report.duration.as_secs_f64(),
        "unreadable": manifest.unreadable.count,
        "unreadable_first": manifest.unreadable.first,
        "error": null,
    })
}

/// The table for a human.
pub(crate) fn show(ui: &Ui, backed: &[Backed]) {
    let mut table = Table::new(&[
        "store",
        "?kind",
        "!snapshot",
        ">size",
        ">added",
        "?>stored",
        ">ratio",
        ">took",
        "!state",
    ]);
    for one in backed {
        let blank = || ("-".to_owned(), None);
        let row = match &one.outcome {
            Outcome::Taken(report) => {
                let manifest: &Manifest = &report.manifest;
                let state = match manifest.unreadable.count {
                    0 => ("ok".to_owned(), Some(Tone::Good)),
                    count => (format!("{count} unreadable"), Some(Tone::Doubtful)),
                };
                [
                    (manifest.snapshot.clone(), None),
                    (bytes(manifest.tree.logical_bytes), None),
                    (bytes(manifest.added_bytes), None),
                    (bytes(manifest.stored_bytes), None),
                    (ratio(manifest.tree.logical_bytes, manifest.stored_bytes), None),
                    (seconds(report.duration.as_secs_f64()), None),
                    state,
                ]
            }
            Outcome::Planned(plan) => {
                let parent = plan
                    .parent
                    .as_ref()
                    .map_or_else(|| "first".to_owned(), |parent| format!("after {}", parent.snapshot));
                let expected = plan.expected_bytes.map_or_else(|| "-".to_owned(), bytes);
                [
                    (parent, None),
                    (expected, None),
                    blank(),
                    blank(),
                    blank(),
                    blank(),
                    ("would run".to_owned(), None),
                ]
            }
            Outcome::Busy(_) => [
                blank(),
                blank(),
                blank(),
                blank(),
                blank(),
                blank(),
                ("busy".to_owned(), Some(Tone::Doubtful)),
            ],
            Outcome::Failed(_) => [
                blank(),
                blank(),
                blank(),
                blank(),
                blank(),
                blank(),
                ("FAILED".to_owned(), Some(Tone::Bad)),
            ],
        };
        let [snapshot, size, added, stored, ratio, took, state] = row;
        table.row([
            (one.store.clone(), None),
            (one.kind.to_owned(), None),
            snapshot,
            size,
            added,
            stored,
            ratio,
            took,
            state,
        ]);
    }
    ui.table(&table);
}

/// One store that failed beside others that did not is "incomplete"; alone it is what it is.
pub(crate) fn exit(backed: &[Backed]) -> Exit {
    let any_taken = backed
        .iter()
        .any(|one| matches!(one.outcome, Outcome::Taken(_) | Outcome::Planned(_)));
    backed.iter().fold(Exit::Done, |exit, one| {
        exit.worst(match &one.outcome {
            Outcome::Taken(report) if report.manifest.unreadable.count > 0 => Exit::Incomplete,
            Outcome::Taken(_) | Outcome::Planned(_) => Exit::Done,
            Outcome::Busy(_) => Exit::Contended,
            Outcome::Failed(error) if error.exit() == Exit::Failed && any_taken => Exit::Incomplete,
            Outcome::Failed(error) => error.exit(),
        })
    })
}

/// The error of a backup that must have succeeded for the rest to make sense.
pub(crate) fn require(backed: Backed) -> Result<(), CommandError> {
    match backed.outcome {
        Outcome::Taken(_) | Outcome::Planned(_) => Ok(()),
        Outcome::Busy(error) | Outcome::Failed(error) => Err(error),
    }
}
