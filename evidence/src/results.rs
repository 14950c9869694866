//! What `results.json` says: verdicts that add up, and frameworks whose controls stand as their rules' results demand.
//!
//! Nothing here is taken from what the bundle says of itself: counts are counted, and the standing of each control is worked out again.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    bundle::RESULTS,
    statement::{Audit, Framework},
};

/// From the worst to the least.
const VERDICTS: [&str; 7] = ["fail", "error", "unknown", "warn", "waived", "pass", "not_applicable"];
const NOT_EVALUATED: &str = "not_evaluated";
const NO_RULE: &str = "no_rule";

type Counts = BTreeMap<String, u64>;

#[derive(Deserialize)]
struct Results {
    summary: Counts,
    results: Vec<Judged>,
    #[serde(default)]
    frameworks: Vec<Sorted>,
}

#[derive(Deserialize)]
struct Judged {
    #[serde(default)]
    rule: String,
    verdict: String,
}

/// A framework, as far as it follows from the results.
#[derive(Deserialize)]
struct Sorted {
    framework: String,
    summary: Counts,
    controls: Vec<Control>,
}

#[derive(Deserialize)]
struct Control {
    control: String,
    verdict: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    rule: String,
    verdict: String,
}

/// The two checks of `results.json`; the second only where frameworks are named.
pub(crate) struct Found {
    pub(crate) results: Result<((), String), String>,
    pub(crate) frameworks: Option<Result<((), String), String>>,
    /// The document, where it is one.
    pub(crate) document: Value,
}

pub(crate) fn check(bytes: &[u8], audit: &Audit) -> Found {
    let parsed = serde_json::from_slice(bytes)
        .and_then(|document: Value| Ok((Results::deserialize(&document)?, document)))
        .map_err(|e| format!("{RESULTS}: {e}"));
    match parsed {
        Ok((parsed, document)) => Found {
            results: adds_up(&parsed, audit),
            frameworks: (!parsed.frameworks.is_empty() || !audit.frameworks.is_empty())
                .then(|| frameworks(&parsed, &audit.frameworks)),
            document,
        },
        Err(why) => Found {
            results: Err(why),
            frameworks: None,
            document: Value::Null,
        },
    }
}

/// The statement's summary is that of the results, and the results add up to it.
fn adds_up(results: &Results, audit: &Audit) -> Result<((), String), String> {
    let counted = count(results.results.iter().map(|judged| name(&judged.verdict)));
    let counts = some(&results.summary);
    if counts != counted {
        return Err(format!(
            "{RESULTS} says {} and holds {}",
            listing(&counts),
            listing(&counted)
        ));
    }
    if counts != some(&audit.summary) {
        return Err(format!(
            "the statement says {} and {RESULTS} {}",
            listing(&audit.summary),
            listing(&counts)
        ));
    }
    Ok(((), format!("{} results: {}", results.results.len(), listing(&counts))))
}

/// The statement names the frameworks of the results, and every standing in them follows from the results.
fn frameworks(results: &Results, stated: &[Framework]) -> Result<((), String), String> {
    let mut worst: BTreeMap<&str, usize> = BTreeMap::new();
    for judged in &results.results {
        let rank = rank(&name(&judged.verdict)).ok_or_else(|| format!("{} is no verdict", judged.verdict))?;
        let known = worst.entry(&judged.rule).or_insert(rank);
        *known = rank.min(*known);
    }
    let summaries: Vec<_> = results
        .frameworks
        .iter()
        .map(|sorted| (sorted.framework.as_str(), some(&sorted.summary)))
        .collect();
    let stated: Vec<_> = stated
        .iter()
        .map(|one| (one.framework.as_str(), some(&one.summary)))
        .collect();
    if summaries != stated {
        return Err(format!(
            "the statement and {RESULTS} say different things of frameworks"
        ));
    }
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for sorted in &results.frameworks {
        let framework = &sorted.framework;
        if !names.insert(framework) {
            return Err(format!("{framework} stands in {RESULTS} twice"));
        }
        for control in &sorted.controls {
            let expected =
                standing(control, &worst).map_err(|why| format!("{framework} {}: {why}", control.control))?;
            if control.verdict != expected {
                return Err(format!(
                    "{framework} {} is said to be {}, and by the results it is {expected}",
                    control.control, control.verdict
                ));
            }
        }
        let counted = count(sorted.controls.iter().map(|control| control.verdict.clone()));
        if counted != some(&sorted.summary) {
            return Err(format!(
                "{framework} is said to be {} and is {}",
                listing(&sorted.summary),
                listing(&counted)
            ));
        }
        found.push(format!("{framework}: {}", listing(&counted)));
    }
    Ok(((), found.join("; ")))
}

/// How a control stands by the results of its rules.
fn standing(control: &Control, worst: &BTreeMap<&str, usize>) -> Result<&'static str, String> {
    let mut of_all = None;
    for rule in &control.rules {
        let said = rule.verdict.as_str();
        let right = match worst.get(rule.rule.as_str()) {
            Some(rank) => said == VERDICTS[*rank],
            // A rule that was to be judged and has no result is an error.
            None => matches!(said, NOT_EVALUATED | "error"),
        };
        if !right {
            return Err(format!(
                "{} is said to be {said}, and its results say otherwise",
                rule.rule
            ));
        }
        if let Some(rank) = rank(said) {
            of_all = Some(of_all.map_or(rank, |known: usize| known.min(rank)));
        }
    }
    Ok(match (of_all, control.rules.is_empty()) {
        (Some(rank), _) => VERDICTS[rank],
        (None, false) => NOT_EVALUATED,
        (None, true) => NO_RULE,
    })
}

fn rank(verdict: &str) -> Option<usize> {
    VERDICTS.iter().position(|known| *known == verdict)
}

/// The name under which a verdict counts.
fn name(verdict: &str) -> String {
    verdict.replace('-', "_")
}

fn count(names: impl Iterator<Item = String>) -> Counts {
    let mut counts = Counts::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn some(counts: &Counts) -> Counts {
    let some = counts.iter().filter(|(_, count)| **count > 0);
    some.map(|(name, count)| (name.clone(), *count)).collect()
}

fn listing(counts: &Counts) -> String {
    let counts: Vec<_> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    if counts.is_empty() {
        "nothing".to_owned()
    } else {
        counts.join(", ")
    }
}
