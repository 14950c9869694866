//! `muster status`: is each store's newest recovery point young enough, and did it come back the last time? For cron and people.

use muster_archive::{LoggedRehearsal, Point, Repository};
use serde_json::json;

use crate::config::{StoreConfig, duration_text};
use crate::context::Context;
use crate::edge;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::history;
use crate::ui::{Table, Tone, seconds};

/// Show the newest recovery point of each store and its age against the RPO, and the last rehearsal
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit 5 when the newest recovery point of a store is older than its RPO allows, or there is none.

Examples:
  muster status
  muster status --json | jq '.stores[] | select(.met == false)'"
)]
pub(crate) struct Status {}

pub(crate) fn run(context: &Context, _args: Status) -> Result<Exit, CommandError> {
    let config = context.config()?;
    let stores = config.select(&[])?;
    let repository = context.repository(&config)?;
    let points = context.wait(repository.latest())?;
    let mut rehearsals = context.wait(repository.last_rehearsals())?;
    let now = edge::now();
    let mut table = Table::new(&[
        "store",
        "?kind",
        "!newest",
        ">age",
        "?>rpo",
        "!objective",
        "!last rehearsal",
    ]);
    let (mut documents, mut exit) = (Vec::new(), Exit::Done);
    for store in stores {
        let newest = points.get(&store.name);
        let (time, trouble) = match newest.map(|point| consistent_at(context, &repository, point)) {
            Some(Ok(time)) => (Some(time), None),
            Some(Err(error)) => {
                exit = exit.worst(error.exit());
                (None, Some(error))
            }
            None => (None, None),
        };
        let age = time.as_deref().and_then(|time| history::age_seconds(time, now));
        let met = met(store, age);
        if met == Some(false) {
            exit = exit.worst(Exit::ObjectiveMissed);
        }
        let rehearsal = rehearsals.remove(&store.name);
        let rehearsed_age = rehearsal
            .as_ref()
            .and_then(|last| history::age_seconds(&last.time, now));
        let (word, tone) = match met {
            Some(true) => ("met", Tone::Good),
            Some(false) => ("missed", Tone::Bad),
            None => ("none set", Tone::Faint),
        };
        table.row([
            (store.name.clone(), None),
            (store.kind.name().to_owned(), None),
            (
                newest.map_or_else(|| "never".to_owned(), |point| point.snapshot.clone()),
                None,
            ),
            (age.map_or_else(|| "-".to_owned(), seconds), None),
            (store.objectives.rpo.map_or_else(|| "-".to_owned(), duration_text), None),
            (word.to_owned(), Some(tone)),
            shown(rehearsal.as_ref(), rehearsed_age),
        ]);
        documents.push(json!({
            "store": store.name,
            "kind": store.kind.name(),
            "newest": newest.map(|point| &point.snapshot),
            "newest_time": time,
            "age_seconds": age,
            "rpo_objective_seconds": store.objectives.rpo.map(|rpo| rpo.as_secs_f64()),
            "met": met,
            "last_rehearsal": rehearsal.map(|last| json!({ "verdict": last.verdict, "age_seconds": rehearsed_age })),
            "error": trouble.as_ref().map(CommandError::message),
        }));
        if let Some(trouble) = trouble {
            context.ui.warn(crate::ui::printable(trouble.message().as_bytes()));
            trouble.hints().iter().for_each(|hint| context.ui.advise(hint));
        }
    }
    context.ui.table(&table);
    context
        .ui
        .document(&json!({ "schema": "muster.status/1", "repository": repository.id(), "stores": documents }));
    Ok(exit)
}

/// The consistency instant of a recovery point, from its signed manifest.
fn consistent_at(context: &Context, repository: &Repository, point: &Point) -> Result<String, CommandError> {
    let (manifest, _) = context.wait(repository.manifest(point))?;
    Ok(history::consistent_at(&manifest))
}

/// Whether the RPO is kept; `None` where there is none. No recovery point at all never keeps one.
fn met(store: &StoreConfig, age: Option<f64>) -> Option<bool> {
    store
        .objectives
        .rpo
        .map(|rpo| age.is_some_and(|age| age <= rpo.as_secs_f64()))
}

fn shown(rehearsal: Option<&LoggedRehearsal>, age: Option<f64>) -> (String, Option<Tone>) {
    let Some(last) = rehearsal else {
        return ("never".to_owned(), Some(Tone::Doubtful));
    };
    let tone = if last.verdict == "PASS" { Tone::Good } else { Tone::Bad };
    let age = age.map(|age| format!(", {} ago", seconds(age))).unwrap_or_default();
    (format!("{}{age}", last.verdict), Some(tone))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn an_objective_without_a_recovery_point_is_missed_and_no_objective_is_neither() {
        let text = "[repository]\nurl = \"file:///r\"\n[store.a]\nkind = \"sqlite\"\npath = \"/a\"\nobjectives = { rpo = \"1h\" }\n\
                    [store.b]\nkind = \"sqlite\"\npath = \"/b\"\n";
        let config = crate::config::Config::parse(text, Path::new("muster.toml")).unwrap();
        let (a, b) = (config.store("a").unwrap(), config.store("b").unwrap());
        assert_eq!(met(a, Some(3600.0)), Some(true));
        assert_eq!(met(a, Some(3600.1)), Some(false));
        assert_eq!(met(a, None), Some(false));
        assert_eq!(met(b, None), None);
    }
}
