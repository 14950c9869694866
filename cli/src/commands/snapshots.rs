//! `muster snapshots`: the recovery points that the verified logs name.

use serde_json::json;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::history;
use crate::ui::{Table, Tone, bytes, date, printable, ratio, seconds};

/// List recovery points, oldest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  muster snapshots
  muster snapshots accounts
  muster snapshots --json | jq -r '.snapshots[-1].id'")]
pub(crate) struct Snapshots {
    /// Only those of this store
    store: Option<String>,
}

pub(crate) fn run(context: &Context, args: Snapshots) -> Result<Exit, CommandError> {
    let config = context.config()?;
    let repository = context.repository(&config)?;
    let mut points = context.wait(repository.points())?;
    if let Some(store) = &args.store {
        // A store that is no longer configured may still have recovery points, and they are wanted most then.
        if !points.contains_key(store) {
            config.store(store)?;
        }
        points.retain(|name, _| name == store);
    }
    let mut table = Table::new(&[
        "store",
        "!snapshot",
        "!consistent at (UTC)",
        ">size",
        "?>stored",
        "?>ratio",
        ">restore",
        "state",
    ]);
    let (mut snapshots, mut exit) = (Vec::new(), Exit::Done);
    for point in points.into_values().flatten() {
        match context.wait(repository.manifest(&point)) {
            Ok((manifest, _)) => {
                let time = history::consistent_at(&manifest);
                let unreadable = manifest.unreadable.count;
                let predicted = manifest.restore.as_ref().map(|restore| restore.predicted_seconds);
                let state = if unreadable == 0 {
                    "complete".to_owned()
                } else {
                    format!("{unreadable} unreadable")
                };
                table.row([
                    (point.store.clone(), None),
                    (point.snapshot.clone(), None),
                    (day_and_clock(&time), None),
                    (bytes(manifest.tree.logical_bytes), None),
                    (bytes(manifest.stored_bytes), None),
                    (ratio(manifest.tree.logical_bytes, manifest.stored_bytes), None),
                    (predicted.map_or_else(|| "-".to_owned(), seconds), None),
                    (state, (unreadable > 0).then_some(Tone::Doubtful)),
                ]);
                snapshots.push(json!({
                    "id": point.snapshot,
                    "store": point.store,
                    "kind": manifest.kind,
                    "time": time,
                    "consistency_point": manifest.consistency_point,
                    "logical_bytes": manifest.tree.logical_bytes,
                    "stored_bytes": manifest.stored_bytes,
                    "added_bytes": manifest.added_bytes,
                    "rewritten_bytes": manifest.rewritten_bytes,
                    "predicted_restore_seconds": predicted,
                    "restore": manifest.restore,
                    "parent": manifest.parent.as_ref().map(|parent| &parent.snapshot),
                    "signed_by": manifest.signer.to_string(),
                    "retain_until": manifest.retain_until,
                    "unreadable": unreadable,
                    "manifest_digest": point.manifest.to_string(),
                }));
            }
            // The others are still worth listing.
            Err(error) => {
                exit = exit.worst(error.exit());
                context.ui.warn(printable(error.message().as_bytes()));
                error.hints().iter().for_each(|hint| context.ui.advise(hint));
                let blank = || ("-".to_owned(), None);
                table.row([
                    (point.store.clone(), None),
                    (point.snapshot.clone(), None),
                    (day_and_clock(&point.time), None),
                    blank(),
                    blank(),
                    blank(),
                    blank(),
                    ("unusable".to_owned(), Some(Tone::Bad)),
                ]);
                snapshots.push(json!({ "id": point.snapshot, "store": point.store, "error": error.message() }));
            }
        }
    }
    if table.is_empty() {
        context.ui.say("no recovery point yet: muster backup");
    } else {
        context.ui.table(&table);
    }
    context
        .ui
        .document(&json!({ "schema": "muster.snapshots/1", "repository": repository.id(), "snapshots": snapshots }));
    Ok(exit)
}

/// A time without its zone, which stands in the heading.
fn day_and_clock(time: &str) -> String {
    date(time).trim_end_matches(" UTC").to_owned()
}
