//! `muster evidence show`: a bundle for a reader, offline and with the public root key alone.
//!
//! Invariant: nothing of a bundle is shown before all of it verified; where nobody named a root, that stands beside what is shown.

use muster_evidence::{Audit, Failure, Opened, Store};
use muster_policies::FrameworkView;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Named, Read, read};
use crate::commands::audit::frameworks;
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::exit::Exit;
use crate::ui::{Table, Tone, Ui, date, printable};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The bundle is verified first: what is wrong is exit 7, and nothing of it is shown. Without
--key, and without the [trust] root of a configuration, nobody says whose it is: it is shown,
and the exit is 12. The verdicts in it do not change the exit code. -v shows passes too, and what
each control asks for beyond its rules.

Examples:
  muster evidence show audit.tar --key root.pub
  muster evidence show audit.tar --json | jq '.frameworks[].controls[] | {control, verdict}'"
)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(super) named: Named,
}

pub(super) fn run(context: &Context, named: &Named) -> Result<Exit, CommandError> {
    let Read { found, opened, .. } = read(context, named, "show")?;
    let Opened { audit, results } = opened;
    // Another version of muster may sort controls in a way that this one cannot show.
    let views: Vec<FrameworkView> = match results.get("frameworks") {
        Some(frameworks) => Vec::deserialize(frameworks)
            .map_err(|error| CommandError::new(Kind::Failed, error).context("read the frameworks of the bundle"))?,
        None => Vec::new(),
    };
    let ui = &context.ui;
    ui.document(&json!({
        "schema": "muster.evidence show/1",
        "valid": found.valid,
        "signed_by": found.signed_by,
        "audit": audit,
        "results": results["results"],
        "frameworks": views,
        "not_shown": found.not_shown,
    }));
    head(ui, &audit);
    verdicts(ui, &audit, &results);
    if !views.is_empty() {
        ui.say("");
        frameworks::show(ui, &views);
    }
    stores(ui, &audit.stores);
    ui.say("");
    for line in &found.not_shown {
        ui.say(format!("not shown: {}", printable(line.as_bytes())));
    }
    Ok(match found.failure {
        None => {
            ui.say(ui.paint(Tone::Good, "\nvalid"));
            Exit::Done
        }
        Some(Failure::SignerUnknown) => {
            ui.say(ui.paint(Tone::Doubtful, "\nintact, signer unknown"));
            ui.note("name the root key that you hold: muster evidence show BUNDLE --key root.pub");
            Exit::Key
        }
        Some(Failure::Wrong) => Exit::Damaged,
    })
}

fn head(ui: &Ui, audit: &Audit) {
    for (what, text) in [
        ("repository", &audit.repository),
        ("judged at", &audit.evaluated_at),
        ("collected", &format!("{} to {}", audit.started, audit.finished)),
        ("by", &format!("{} {}", audit.tool.name, audit.tool.version)),
        ("profiles", &audit.profiles.join(", ")),
    ] {
        ui.say(format!("{what:<12}{}", printable(text.as_bytes())));
    }
}

/// What asks for attention, or with `-v` everything; then the count, as the statement signs it.
fn verdicts(ui: &Ui, audit: &Audit, results: &Value) {
    let mut table = Table::new(&["!verdict", "severity", "rule", "resource", "message"]);
    let text = |value: &Value, key: &str| printable(value[key].as_str().unwrap_or_default().as_bytes());
    for result in results["results"].as_array().into_iter().flatten() {
        let verdict = text(result, "verdict");
        if ui.is_verbose() || !matches!(verdict.as_str(), "pass" | "not_applicable") {
            table.plain([
                verdict,
                text(result, "severity"),
                text(result, "rule"),
                text(result, "resource"),
                text(result, "message"),
            ]);
        }
    }
    ui.say("");
    if !table.is_empty() {
        ui.table(&table);
        ui.say("");
    }
    let counts = audit.summary.iter().filter(|(_, count)| **count > 0);
    let counts: Vec<String> = counts
        .map(|(verdict, count)| format!("{count} {}", printable(verdict.replace('_', " ").as_bytes())))
        .collect();
    ui.say(counts.join(", "));
}

fn stores(ui: &Ui, stores: &[Store]) {
    let mut table = Table::new(&[
        "store",
        "kind",
        "newest point",
        "?snapshot",
        "last rehearsal",
        "verdict",
    ]);
    let safe = |text: &str| printable(text.as_bytes());
    for store in stores {
        let newest = store.newest.as_ref();
        let rehearsed = store.rehearsal.as_ref();
        table.plain([
            safe(&store.store),
            safe(&store.kind),
            newest.map_or_else(|| "none".to_owned(), |newest| date(&safe(&newest.time))),
            newest.map(|newest| safe(&newest.snapshot)).unwrap_or_default(),
            rehearsed.map_or_else(|| "never".to_owned(), |one| date(&safe(&one.time))),
            rehearsed.map(|one| safe(&one.verdict)).unwrap_or_default(),
        ]);
    }
    if !table.is_empty() {
        ui.say("");
        ui.table(&table);
    }
}
