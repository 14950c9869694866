//! `muster evidence replay`: do the verdicts of a bundle follow from the facts and policies in it?
//!
//! A signature says who vouches for the verdicts; this asks whether they are so. The clock is the audit's, the policies are those in the
//! bundle and are evaluated in the sandbox, and the answer is `results.json` again, byte for byte. How controls stand follows from the
//! verdicts and was worked out by the verifier.

use std::collections::{BTreeMap, BTreeSet};

use muster_evidence::{Failure, tar};
use muster_policies::Waivers;
use muster_policies::sandbox::Sandbox;
use serde_json::{Value, json};

use super::{Named, Read, damaged, read};
use crate::commands::audit::WAIVERS;
use crate::context::Context;
use crate::edge;
use crate::error::{CommandError, Kind};
use crate::exit::Exit;
use crate::ui::{Table, Tone, printable};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Needs neither configuration nor network. The facts, and the answers that they were read out of,
lie beneath inputs/ in the bundle: whether they are right is not asked.

Exit 0: the verdicts are the same, byte for byte. 7: they are not, or the bundle is wrong. 12:
the same, and nobody named the root.

Examples:
  muster evidence replay audit.tar --key root.pub"
)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(super) named: Named,
}

pub(super) fn run(context: &Context, named: &Named) -> Result<Exit, CommandError> {
    let Read { bytes, found, opened } = read(context, named, "replay")?;
    let wrong = |why: String| damaged(&named.bundle, "replay", why);
    let members = tar::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
    let members: BTreeMap<&str, &[u8]> = members
        .iter()
        .map(|member| (member.name.as_str(), member.bytes))
        .collect();
    let facts = members
        .get("inputs/facts.json")
        .ok_or_else(|| wrong("it holds no inputs/facts.json".to_owned()))?;
    let facts: Value =
        serde_json::from_slice(facts).map_err(|error| wrong(format!("inputs/facts.json is no JSON: {error}")))?;
    let audit = &opened.audit;
    let now = edge::parse_rfc3339(&audit.evaluated_at)
        .ok_or_else(|| wrong(format!("{} is no time", printable(audit.evaluated_at.as_bytes()))))?;
    let mut policies = BTreeMap::new();
    for (name, bytes) in &members {
        let Some(path) = name.strip_prefix("policies/").filter(|path| path.ends_with(".rego")) else {
            continue;
        };
        let text = str::from_utf8(bytes).map_err(|_| wrong(format!("{name} is no text")))?;
        policies.insert(path.to_owned(), text.to_owned());
    }
    let profiles: Vec<&str> = audit.profiles.iter().map(String::as_str).collect();
    let mut report =
        muster_policies::replay_profile(&policies, &profiles, &facts, now, &Sandbox::new()).map_err(|error| {
            match CommandError::from(error) {
                // Policies that do not load are this bundle's fault, and nothing that was typed.
                error if error.kind() == Kind::Usage => wrong(format!("its policies: {}", error.message())),
                error => error.context("judge by the policies of the bundle"),
            }
        })?;
    if let Some(waivers) = members.get(&*format!("waivers/{WAIVERS}")) {
        let waivers = Waivers::parse(WAIVERS, waivers);
        report = report.waived(waivers.map_err(|error| wrong(format!("its waivers: {error}")))?, now);
    }

    let encode = |error: serde_json::Error| CommandError::new(Kind::Failed, error).context("encode the verdicts");
    let mut again = serde_json::to_value(&report).map_err(encode)?;
    if let Some(frameworks) = opened.results.get("frameworks") {
        again["frameworks"] = frameworks.clone();
    }
    let same = members.get("results.json").copied() == Some(&*serde_json::to_vec_pretty(&again).map_err(encode)?);
    let differences = differences(&opened.results, &again);
    let results = again["results"].as_array().map_or(0, Vec::len);
    context.ui.document(&json!({
        "schema": "muster.evidence replay/1",
        "valid": found.valid,
        "same": same,
        "evaluated_at": audit.evaluated_at,
        "made_by": audit.tool,
        "profiles": audit.profiles,
        "results": results,
        "differences": differences,
    }));
    let ui = &context.ui;
    if !same {
        let mut table = Table::new(&["~rule", "~resource", "!the bundle", "!again"]);
        for difference in &differences {
            let text = |key: &str| printable(difference[key].as_str().unwrap_or("-").as_bytes());
            table.plain([text("rule"), text("resource"), text("was"), text("is")]);
        }
        if table.is_empty() {
            ui.say("every verdict is the same, and something else of results.json is not");
        } else {
            ui.table(&table);
        }
        ui.say("");
        let maker = format!("{} {}", audit.tool.name, audit.tool.version);
        ui.say(ui.paint(Tone::Bad, "NOT THE SAME"));
        ui.say(format!(
            "made by {}, replayed by muster {}",
            printable(maker.as_bytes()),
            env!("CARGO_PKG_VERSION")
        ));
        return Ok(Exit::Damaged);
    }
    ui.say(format!("{results} results: the same, byte for byte"));
    Ok(match found.failure {
        None => Exit::Done,
        Some(Failure::SignerUnknown) => {
            ui.note("nobody says whose it is: muster evidence replay BUNDLE --key root.pub");
            Exit::Key
        }
        Some(Failure::Wrong) => Exit::Damaged,
    })
}

/// Which rule said what of which resource in the one and not in the other.
fn differences(was: &Value, is: &Value) -> Vec<Value> {
    let verdicts = |results: &Value| -> BTreeMap<(String, String), String> {
        let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let results = results["results"].as_array().into_iter().flatten();
        results
            .map(|one| ((text(one, "rule"), text(one, "resource")), text(one, "verdict")))
            .collect()
    };
    let (was, is) = (verdicts(was), verdicts(is));
    let keys: BTreeSet<_> = was.keys().chain(is.keys()).collect();
    keys.into_iter()
        .filter(|key| was.get(*key) != is.get(*key))
        .map(|key| json!({ "rule": key.0, "resource": key.1, "was": was.get(key), "is": is.get(key) }))
        .collect()
}
