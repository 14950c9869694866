//! `muster demo`: the whole loop on throw-away stores, so that one command shows what muster is for.
//!
//! It uses the same functions as the commands of its steps; only the stores are made up.

mod world;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use muster_archive::Repository;
use muster_restore::rehearsal::Started;
use muster_signing::Role;
use serde_json::{Value, json};

use super::audit::Audited;
use super::backup::{self, Backed};
use super::init::{self, Init};
use super::{audit, check, rehearse, verify};
use crate::config::Config;
use crate::context::Context;
use crate::edge::Edge;
use crate::error::{CommandError, Kind};
use crate::exit::Exit;
use crate::keyfiles;
use crate::ui::{Tone, Ui, count, seconds};
use world::{Load, World};

/// Run the whole loop on throw-away stores: init, backup, change, backup, rehearse, audit, verify
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Needs no server, no network and no configuration. Without --keep everything is removed at the end.

Examples:
  muster demo
  muster demo --keep
  muster demo --dir /tmp/demo --keep --json"
)]
pub(crate) struct Demo {
    /// Where to work: an empty or absent directory [default: a new one beneath TMPDIR]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Keep everything that was made, to look at and to play with
    #[arg(long)]
    keep: bool,
}

/// What the steps left.
#[derive(Default)]
struct Results {
    backups: Vec<Value>,
    rehearsals: Vec<Value>,
    exit: Option<Exit>,
}

pub(crate) fn run(context: &Context, args: Demo) -> Result<Exit, CommandError> {
    let begun = Instant::now();
    let place = Place::make(args.dir.as_deref(), args.keep)?;
    let dir = place.path.clone();
    let dir = dir.as_path();
    let ui = &context.ui;
    ui.say(format!(
        "A game's save database under write load and its assets, in {}\n",
        dir.display()
    ));
    let world = World::make(dir).map_err(|error| error.context("make the demo's stores"))?;

    step(ui, 1, "init", "a configuration, keys, the root of trust, a repository");
    let config_path = dir.join("muster.toml");
    std::fs::write(&config_path, world::CONFIGURATION)
        .map_err(|error| CommandError::new(Kind::Failed, error).context(format!("write {}", config_path.display())))?;
    let context = context.with_config(&config_path);
    let made = init::initialise(&context, Init { repository: None })?;
    ui.say(format!(
        "  repository {}\n  root key   {}\n",
        made.config.repository.url,
        made.root.id()
    ));
    let repository = context.repository(&made.config)?;
    let mut results = Results::default();
    let load = Load::start(&world)?;

    step(ui, 2, "backup", "both stores, while players go on playing");
    back_up(&context, &made.config, &repository, &mut results)?;
    step(ui, 3, "change", "an hour in the life of a game");
    let changed = world.change()?;
    ui.say(format!(
        "  {changed}; {} transfers of coins so far\n",
        count(load.transfers())
    ));
    step(ui, 4, "backup", "what changed, and no more");
    back_up(&context, &made.config, &repository, &mut results)?;
    let transfers = load.end()?;
    ui.say(format!(
        "  {} transfers of coins happened meanwhile: the check below proves that none was caught half-way\n",
        count(transfers)
    ));

    step(
        ui,
        5,
        "rehearse",
        "restore into a sandbox, start, question, write: against the clock",
    );
    rehearse_all(&context, &made.config, &repository, &mut results)?;

    step(ui, 6, "audit", "judge what was collected, and sign it");
    let wanted = audit::Wanted {
        out: Some(dir.join("evidence.tar")),
        ..audit::Wanted::default()
    };
    let audited = audit::audit(&context, &made.config, &repository, wanted)?;
    check::show(ui, &audited.report);

    ui.say("");
    step(
        ui,
        7,
        "verify",
        "as an auditor would, offline, with the public root key alone",
    );
    let verification = muster_evidence::verify_bundle(&verify::read_bundle(&audited.bundle)?, Some(&made.root));
    let passed = verification.checks.iter().filter(|check| check.passed).count();
    let word = if verification.valid {
        ui.paint(Tone::Good, "valid")
    } else {
        ui.paint(Tone::Bad, "NOT VALID")
    };
    ui.say(format!(
        "  {word}: {passed} of {} checks passed\n",
        verification.checks.len()
    ));

    let rehearsed = results.exit.unwrap_or(Exit::CouldNotRun);
    let exit = if verification.valid {
        rehearsed
    } else {
        rehearsed.worst(Exit::Damaged)
    };
    let took = begun.elapsed();
    context
        .ui
        .document(&document(dir, &made.config, &audited, results, took));
    farewell(ui, dir, &made.config, &audited, args.keep, took);
    context.cancel.check()?;
    place.leave()?;
    Ok(exit)
}

fn step(ui: &Ui, number: u8, name: &str, what: &str) {
    ui.say(format!(
        "{}  {what}",
        ui.paint(Tone::Heading, &format!("{number} {name}"))
    ));
}

fn back_up(
    context: &Context,
    config: &Config,
    repository: &Repository,
    results: &mut Results,
) -> Result<(), CommandError> {
    let key = keyfiles::secret(config, Role::Writer)?;
    let mut backed: Vec<Backed> = Vec::new();
    for store in &config.stores {
        context.cancel.check()?;
        backed.push(backup::back_up(
            context,
            config,
            repository,
            &key,
            store,
            false,
            Duration::ZERO,
        ));
    }
    backup::show(&context.ui, &backed);
    context.ui.say("");
    results.backups.extend(backed.iter().map(backup::document));
    backed.into_iter().try_for_each(backup::require)
}

fn rehearse_all(
    context: &Context,
    config: &Config,
    repository: &Repository,
    results: &mut Results,
) -> Result<(), CommandError> {
    let key = keyfiles::secret(config, Role::Rehearser)?;
    let mut exit = Exit::Done;
    for store in &config.stores {
        let rehearsed = rehearse::one(
            context,
            config,
            repository,
            &key,
            store,
            rehearse::Wanted::default(),
            Started::now(&Edge),
        )?;
        rehearse::show(&context.ui, &rehearsed.scorecard);
        exit = exit.worst(rehearse::verdict_exit(&rehearsed.scorecard));
        results.rehearsals.push(rehearse::document(&rehearsed));
    }
    results.exit = Some(exit);
    Ok(())
}

fn document(dir: &Path, config: &Config, audited: &Audited, results: Results, took: Duration) -> Value {
    json!({
        "schema": "muster.demo/1",
        "dir": dir,
        "config": config.path,
        "repository": config.repository.url,
        "root_key": config.trust_root,
        "bundle": audited.bundle,
        "bundle_digest": audited.digest.to_string(),
        "backups": results.backups,
        "rehearsals": results.rehearsals,
        "summary": audited.report.summary,
        "duration_seconds": took.as_secs_f64(),
    })
}

fn farewell(ui: &Ui, dir: &Path, config: &Config, audited: &Audited, keep: bool, took: Duration) {
    ui.say(format!(
        "The whole loop took {}. The evidence:\n  {}",
        seconds(took.as_secs_f64()),
        audited.bundle.display()
    ));
    let command = format!(
        "muster verify {} --key {}",
        audited.bundle.display(),
        config.trust_root.display()
    );
    if keep {
        ui.say(format!("Verify it:\n  {command}"));
        ui.say(format!(
            "Look around:\n  muster --config {} snapshots\n  muster --config {} status",
            config.path.display(),
            config.path.display()
        ));
    } else {
        ui.say(format!("{} is removed now; `muster demo --keep` leaves it, and then this verifies the bundle anywhere:\n  {command}", dir.display()));
    }
}

/// Where the demo works. Removed when it is dropped, unless it is to be kept.
struct Place {
    path: PathBuf,
    keep: bool,
}

impl Place {
    fn make(named: Option<&Path>, keep: bool) -> Result<Self, CommandError> {
        let failed = |what: String| move |error: std::io::Error| CommandError::new(Kind::Failed, error).context(what);
        let Some(named) = named else {
            let path = tempfile::Builder::new().prefix("muster-demo-").tempdir();
            let path = path.map_err(failed("make a directory for the demo".to_owned()))?.keep();
            return Ok(Self { path, keep });
        };
        let path = std::path::absolute(named).map_err(failed(format!("use --dir {}", named.display())))?;
        std::fs::create_dir_all(&path).map_err(failed(format!("make {}", path.display())))?;
        let mut entries = std::fs::read_dir(&path).map_err(failed(format!("look into {}", path.display())))?;
        match entries.next() {
            // What was empty may be removed as a whole later on; nothing else ever is.
            None => Ok(Self { path, keep }),
            Some(_) => Err(
                CommandError::new(Kind::Usage, format!("--dir {}: it is not empty", path.display()))
                    .hint("muster demo --dir ANOTHER"),
            ),
        }
    }

    /// Removes what is not kept, and says so when that fails.
    fn leave(mut self) -> Result<(), CommandError> {
        let remove = !std::mem::replace(&mut self.keep, true);
        if !remove {
            return Ok(());
        }
        let attempt = format!("remove {}", self.path.display());
        std::fs::remove_dir_all(&self.path).map_err(|error| CommandError::new(Kind::Failed, error).context(attempt))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.keep {
            // The error that led here is the one that is told.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
