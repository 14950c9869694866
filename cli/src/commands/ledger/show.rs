//! `muster ledger show`: heads and incarnations of all logs, and their newest entries. With `--checkpoint`, the heads as a file of pins.

use std::path::PathBuf;

use muster_archive::ledger::{Entry, LogEvent};
use muster_archive::{LogView, Repository};
use serde_json::{Value, json};

use super::{key_name, of, write};
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::{Table, count, date, printable, short_digest};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Entries are shown newest first. A file of heads that is kept elsewhere is a pin: with it,
`muster verify --pin` finds whatever was removed, changed or put in another order since.

Examples:
  muster ledger show
  muster ledger show --store accounts --type snapshot --limit 5
  muster ledger show --checkpoint --out pin.txt
  muster ledger show --type rehearsal --limit 9 --json | jq '.logs[].entries[]'"
)]
pub(crate) struct Show {
    /// Only entries that speak of this store
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
    /// Only entries of this type; may be repeated
    #[arg(long = "type", value_name = "TYPE", value_parser = ["opened", "snapshot", "keys", "stores", "retention", "rehearsal", "audit"])]
    types: Vec<String>,
    /// Show at most so many entries
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Write the signed heads of all logs instead, one after the other
    #[arg(long, conflicts_with_all = ["store", "types", "limit"])]
    checkpoint: bool,
    /// Where to write them [default: standard output]
    #[arg(long, value_name = "FILE", requires = "checkpoint")]
    out: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, args: Show) -> Result<Exit, CommandError> {
    let config = context.config()?;
    let repository = context.repository(&config)?;
    if args.checkpoint {
        return checkpoints(context, &repository, args.out);
    }
    let wanted = |entry: &Entry| {
        let (kind, _, _) = describe(&entry.event);
        let typed = args.types.is_empty() || args.types.iter().any(|wanted| wanted == kind);
        typed && args.store.as_deref().is_none_or(|store| speaks_of(&entry.event, store))
    };
    let logs = context.wait(repository.view_logs(args.limit, &wanted))?;
    let documents: Vec<Value> = logs.iter().map(|log| document(&repository, log)).collect();
    context
        .ui
        .document(&json!({ "schema": "muster.ledger show/1", "repository": repository.id(), "logs": documents }));
    if logs.is_empty() {
        context.ui.say("no log yet: the first backup opens one");
        return Ok(Exit::Done);
    }
    let mut heads = Table::new(&["log", "key", "!incarnation", ">entries", "?!root"]);
    for log in &logs {
        heads.plain([
            log.role.to_string(),
            printable(key_name(&repository, &log.key).as_bytes()),
            log.incarnation.clone(),
            count(log.checkpoint.size),
            short_digest(&log.checkpoint.root.to_string()),
        ]);
    }
    context.ui.table(&heads);
    let mut rows: Vec<(&LogView, u64, &Entry)> = logs
        .iter()
        .flat_map(|log| log.entries.iter().map(move |(index, entry)| (log, *index, entry)))
        .collect();
    rows.sort_by(|a, b| b.2.time.cmp(&a.2.time));
    let total: u64 = logs.iter().map(|log| log.checkpoint.size).sum();
    let mut table = Table::new(&["log", ">n", "!time", "event", "!what", "?digest"]);
    for (log, index, entry) in &rows {
        let (event, what, digest) = describe(&entry.event);
        table.plain([
            log.role.to_string(),
            index.to_string(),
            date(&entry.time),
            event.to_owned(),
            printable(what.as_bytes()),
            short_digest(&digest),
        ]);
    }
    context.ui.say("");
    context.ui.table(&table);
    if (rows.len() as u64) < total {
        context.ui.say(format!(
            "{} of {} entries, newest first: --limit shows more",
            count(rows.len() as u64),
            count(total)
        ));
    }
    Ok(Exit::Done)
}

/// Writes the heads, so that somebody can keep them elsewhere.
fn checkpoints(context: &Context, repository: &Repository, out: Option<PathBuf>) -> Result<Exit, CommandError> {
    let logs = context.wait(repository.all_heads())?;
    let notes: Vec<String> = logs
        .iter()
        .map(|log| String::from_utf8_lossy(&log.note).into_owned())
        .collect();
    let text = notes.join("\n");
    let documents: Vec<Value> = logs.iter().map(|log| document(repository, log)).collect();
    context.ui.document(&json!({
        "schema": "muster.ledger show/1",
        "repository": repository.id(),
        "logs": documents,
        "checkpoints": text,
        "out": out,
    }));
    match out {
        Some(path) => {
            write(&path, text.as_bytes())?;
            context
                .ui
                .say(format!("{} in {}", of(logs.len() as u64, "head"), path.display()));
            context.ui.note(format!(
                "keep it where whoever can write to the repository cannot reach it; later: muster verify --repository --pin {}",
                path.display()
            ));
        }
        None if !context.ui.is_json() => context.ui.product(&text),
        None => {}
    }
    Ok(Exit::Done)
}

fn document(repository: &Repository, log: &LogView) -> Value {
    let entry = |(index, entry): &(u64, Entry)| {
        let mut value = json!(entry);
        if let Value::Object(fields) = &mut value {
            fields.insert("index".into(), json!(index));
        }
        value
    };
    json!({
        "role": log.role.as_str(),
        "key_id": log.key.to_string(),
        "key_name": key_name(repository, &log.key),
        "incarnation": log.incarnation,
        "size": log.checkpoint.size,
        "root": log.checkpoint.root.to_string(),
        "checkpoint": String::from_utf8_lossy(&log.note),
        "entries": log.entries.iter().map(entry).collect::<Vec<_>>(),
    })
}

fn speaks_of(event: &LogEvent, wanted: &str) -> bool {
    match event {
        LogEvent::Snapshot { store, .. } | LogEvent::Rehearsal { store, .. } => store == wanted,
        LogEvent::Stores { stores } => stores.contains_key(wanted),
        _ => false,
    }
}

fn describe(event: &LogEvent) -> (&'static str, String, String) {
    match event {
        LogEvent::Opened { seen } => ("opened", of(seen.len() as u64, "head") + " seen", String::new()),
        LogEvent::Snapshot {
            store,
            snapshot,
            manifest,
            ..
        } => ("snapshot", format!("{store}@{snapshot}"), manifest.to_string()),
        LogEvent::Rehearsal {
            store,
            snapshot,
            verdict,
            scorecard,
            ..
        } => (
            "rehearsal",
            format!("{verdict} {store}@{snapshot}"),
            scorecard.to_string(),
        ),
        LogEvent::Audit { bundle } => ("audit", "bundle".to_owned(), bundle.to_string()),
        LogEvent::Keys { epoch, document } => ("keys", format!("epoch {epoch}"), document.to_string()),
        LogEvent::Stores { stores } => ("stores", of(stores.len() as u64, "store"), String::new()),
        LogEvent::Retention { object_lock, keep } => {
            ("retention", format!("lock {object_lock}, keep {keep}"), String::new())
        }
        LogEvent::Unknown => ("unknown", "an entry of a later version".to_owned(), String::new()),
    }
}
