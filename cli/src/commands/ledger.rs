//! `muster ledger`: the transparency logs of a repository, verified as they are read.

use muster_archive::ledger::LogEvent;
use muster_signing::Role;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::{Table, date, short_digest};

/// The transparency log
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  muster ledger show")]
pub(crate) enum Ledger {
    /// Verify every log and list its entries, oldest first
    #[command(after_help = "Examples:
  muster ledger show
  muster ledger show --json | jq '.logs[].entries[] | select(.type == \"rehearsal\")'")]
    Show,
}

pub(crate) fn run(context: &Context, args: Ledger) -> Result<Exit, CommandError> {
    let Ledger::Show = args;
    let config = context.config()?;
    let repository = context.repository(&config)?;
    let (mut logs, mut table) = (
        Vec::new(),
        Table::new(&["log", ">n", "!time", "event", "!what", "?digest"]),
    );
    for role in [Role::Writer, Role::Rehearser, Role::Auditor] {
        let read = context.wait(repository.logs(role))?;
        // Newest incarnation first as it is read; a person reads from the oldest.
        for log in read.iter().rev() {
            let mut entries = Vec::new();
            for (index, entry) in log.parsed() {
                let (event, what, digest) = describe(&entry.event);
                table.plain([
                    role.to_string(),
                    index.to_string(),
                    date(&entry.time),
                    event.to_owned(),
                    what,
                    short_digest(&digest),
                ]);
                let mut value = json!(entry);
                if let Value::Object(fields) = &mut value {
                    fields.insert("index".into(), json!(index));
                }
                entries.push(value);
            }
            logs.push(json!({
                "role": role.as_str(),
                "key_id": log.key.to_string(),
                "incarnation": log.incarnation,
                "size": log.checkpoint.size,
                "root": log.checkpoint.root.to_string(),
                "checkpoint": String::from_utf8_lossy(&log.note),
                "entries": entries,
            }));
        }
    }
    if logs.is_empty() {
        context.ui.say("no log yet: the first backup opens one");
    } else {
        context.ui.table(&table);
    }
    context
        .ui
        .document(&json!({ "schema": "muster.ledger show/1", "repository": repository.id(), "logs": logs }));
    Ok(Exit::Done)
}

fn describe(event: &LogEvent) -> (&'static str, String, String) {
    match event {
        LogEvent::Opened { seen } => ("opened", format!("{} heads seen", seen.len()), String::new()),
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
        LogEvent::Stores { stores } => ("stores", count_of(stores.len(), "store"), String::new()),
        LogEvent::Retention { object_lock, .. } => ("retention", format!("object lock {object_lock}"), String::new()),
        LogEvent::Unknown => ("unknown", "an entry of a later version".to_owned(), String::new()),
    }
}

fn count_of(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
