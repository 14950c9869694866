//! Which recovery point a command works on: the latest or the one that is named, as the logs have it, and its verified manifest.
//!
//! Invariant: never an older point than the one that was asked for, and none that no log names unless the user named it and said so.

use muster_archive::{ArchiveError, Manifest, Point, Repository};
use muster_signing::Verified;

use crate::config::Config;
use crate::context::Context;
use crate::error::{CommandError, Kind, usage};
use crate::point::Target;
use crate::ui::{Ui, date, printable};

/// So many points are named where no log says which there are.
const SUGGESTED: usize = 3;

/// A recovery point that a command works on.
pub(crate) struct Chosen {
    pub(crate) point: Point,
    pub(crate) manifest: Verified<Manifest>,
    /// Whether a log that can be read names it.
    pub(crate) logged: bool,
}

impl Chosen {
    /// Says what the point's manifest does not prove by itself, where no log names it.
    pub(crate) fn warn(&self, ui: &Ui) {
        if !self.logged {
            ui.warn(
                "by its signed manifest alone: no log that can be read names it, so nothing proves that it is the latest, or that it was not removed",
            );
        }
    }
}

/// `--accept-unlogged` is about a point that is named; `example` is how to name one.
pub(crate) fn check_named(point: Option<&str>, accept_unlogged: bool, example: &str) -> Result<(), CommandError> {
    match accept_unlogged && point.is_none() {
        true => Err(
            usage("--accept-unlogged: without the log nothing says which point is the latest")
                .hint(format!("name one: {example} --accept-unlogged")),
        ),
        false => Ok(()),
    }
}

/// The point that `target` asks for. A damaged one names the `command` for the next older, and is never replaced by it; where no log names
/// it, and `accept_unlogged` does not say that the signed manifest is enough, the error names the commands for those that there are.
pub(crate) fn choose(
    context: &Context,
    config: &Config,
    repository: &Repository,
    target: &Target,
    accept_unlogged: bool,
    command: impl Fn(&Point) -> String,
) -> Result<Chosen, CommandError> {
    let found = match known(context, config, repository, &target.store) {
        Ok(()) => {
            let point = repository.point(&target.store, target.point.as_deref());
            match context.wait(async { Ok::<_, ArchiveError>(point.await) })? {
                Err(error @ ArchiveError::Ambiguous { .. }) => return Err(error.into()),
                found => found.map_err(CommandError::from),
            }
        }
        Err(error) => Err(error),
    };
    let (point, logged) = match found {
        Ok(point) => (point, true),
        Err(error) => (
            unlogged(context, repository, target, accept_unlogged, error, &command)?,
            false,
        ),
    };
    match context.wait(async { Ok::<_, ArchiveError>(repository.manifest(&point).await) })? {
        Ok((manifest, _)) => Ok(Chosen {
            point,
            manifest,
            logged,
        }),
        Err(error) => {
            let error =
                CommandError::from(error).context(format!("read recovery point {}@{}", point.store, point.snapshot));
            Err(match context.wait(repository.older(&point)).ok().flatten() {
                Some(older) => error.hint(command(&older)),
                None => error,
            })
        }
    }
}

/// What remains where no log that can be read names the point: a snapshot that the user names and accepts by its signed manifest alone.
/// Whoever does not is told which there are.
fn unlogged(
    context: &Context,
    repository: &Repository,
    target: &Target,
    accept: bool,
    error: CommandError,
    command: impl Fn(&Point) -> String,
) -> Result<Point, CommandError> {
    // Where no log can be read, a store that no configuration names looks like one that never was.
    if !matches!(error.kind(), Kind::Damaged | Kind::NothingEligible | Kind::Usage) {
        return Err(error);
    }
    let wanted = target.point.as_deref();
    if let Some(wanted) = wanted.filter(|_| accept) {
        context.ui.warn(printable(error.message().as_bytes()));
        return context.wait(repository.unproven_point(&target.store, wanted));
    }
    let there = repository.unproven_points(&target.store, wanted.unwrap_or_default(), SUGGESTED);
    let there = context.wait(there).unwrap_or_default();
    Err(there.iter().fold(error, |error, point| {
        error.hint(format!(
            "{} --accept-unlogged   (signed, of {}; whether it is the latest is not proven)",
            command(point),
            date(&point.time)
        ))
    }))
}

/// A store that is neither configured nor in the repository is a slip of the pen, and says what there is.
fn known(context: &Context, config: &Config, repository: &Repository, store: &str) -> Result<(), CommandError> {
    let Err(unknown) = config.store(store) else {
        return Ok(());
    };
    let points = context.wait(repository.latest())?;
    if points.contains_key(store) {
        return Ok(());
    }
    let error = usage(unknown.message());
    // An empty configuration would advise to add the store to it: that brings nothing back.
    let hints = unknown.hints().iter().filter(|_| !config.stores.is_empty());
    let error = hints.fold(error, |error, hint| error.hint(hint));
    let stores: Vec<&str> = points.keys().map(String::as_str).collect();
    Err(match stores.is_empty() {
        true => error,
        false => error.hint(format!("the repository holds {}: muster snapshots", stores.join(", "))),
    })
}
