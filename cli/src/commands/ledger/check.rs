//! `muster ledger check`: every log from end to end, and all that its entries name.

use muster_archive::{ArchiveError, LedgerCheck};
use serde_json::{Value, json};

use super::{key_name, of};
use crate::context::Context;
use crate::error::{self, CommandError};
use crate::exit::Exit;
use crate::ui::{Table, Tone, count, printable, short_digest};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Reads all incarnations of all logs, compares every tile with the entries, every cited head with
what is there, and every entry with the manifest, scorecard or key document that it names.
Wrong or missing is exit 7.

Examples:
  muster ledger check
  muster ledger check --json | jq '.damaged'"
)]
pub(crate) struct Check {}

pub(crate) fn run(context: &Context, _args: &Check) -> Result<Exit, CommandError> {
    let config = context.config()?;
    let repository = context.repository(&config)?;
    let found: LedgerCheck = context.wait(repository.check_ledger())?;
    let exit = match (found.damaged.is_empty(), found.unreadable.is_empty()) {
        (false, _) => Exit::Damaged,
        (true, false) => Exit::Incomplete,
        (true, true) => Exit::Done,
    };
    let logs = found.logs.iter().map(|log| {
        json!({
            "role": log.role.as_str(),
            "key_id": log.key.to_string(),
            "key_name": key_name(&repository, &log.key),
            "incarnation": log.incarnation,
            "size": log.checkpoint.size,
            "root": log.checkpoint.root.to_string(),
        })
    });
    context.ui.document(&json!({
        "schema": "muster.ledger check/1",
        "repository": repository.id(),
        "valid": exit == Exit::Done,
        "logs": logs.collect::<Vec<Value>>(),
        "entries": found.entries,
        "unknown_entries": found.unknown,
        "tiles": found.tiles,
        "snapshots": found.snapshots,
        "rehearsals": found.rehearsals,
        "unlogged": found.unlogged,
        "damaged": messages(&found.damaged),
        "unreadable": messages(&found.unreadable),
    }));
    let mut table = Table::new(&["log", "key", "!incarnation", ">entries", "?!root"]);
    for log in &found.logs {
        table.plain([
            log.role.to_string(),
            printable(key_name(&repository, &log.key).as_bytes()),
            log.incarnation.clone(),
            count(log.checkpoint.size),
            short_digest(&log.checkpoint.root.to_string()),
        ]);
    }
    if !table.is_empty() {
        context.ui.table(&table);
    }
    context.ui.say(format!(
        "{} and {}; {} and {} as the entries name them",
        of(found.entries, "entry"),
        of(found.tiles, "tile"),
        of(found.snapshots, "manifest"),
        of(found.rehearsals, "scorecard")
    ));
    if found.unknown > 0 {
        context
            .ui
            .warn(format!("{} entries are of a later version", count(found.unknown)));
    }
    for name in &found.unlogged {
        context.ui.warn(format!(
            "{name} stands in no log: a run died before it logged it, and the next backup of that store does"
        ));
    }
    for error in found.damaged.iter().chain(&found.unreadable) {
        context.ui.say(format!(
            "{}  {}",
            context.ui.paint(Tone::Bad, "FAIL"),
            printable(error::chain(error).as_bytes())
        ));
    }
    let (text, tone) = match exit {
        Exit::Done => ("whole", Tone::Good),
        Exit::Incomplete => ("not all of it could be read", Tone::Doubtful),
        _ => ("NOT WHOLE", Tone::Bad),
    };
    context.ui.say(format!(
        "\nthe logs of {}: {}",
        repository.url(),
        context.ui.paint(tone, text)
    ));
    Ok(exit)
}

fn messages(errors: &[ArchiveError]) -> Vec<String> {
    errors.iter().map(|error| error::chain(error)).collect()
}
