//! SARIF 2.1.0 as GitHub code scanning takes it: relative URIs, one rule each, fingerprints that outlive a moved line, suppressions for
//! what is waived, and a baseline state where the run had one.
//!
//! Source of the facts: OASIS SARIF 2.1.0; GitHub, "SARIF support for code scanning": every result needs a location, every rule a short and
//! a full description and a help text, and of the fingerprints only `primaryLocationLineHash` tells whether two results are the same. So
//! that name carries muster's fingerprint too, though no line is hashed in it. A run of more than 25,000 results is refused as a whole.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Rendered, fingerprint, message};
use crate::metadata::{Rule, Severity};
use crate::report::{Finding, Report, Verdict};

/// The longest description that GitHub takes.
const MAX_TEXT: usize = 1024;

/// The most results of a run that GitHub takes.
const MAX_RESULTS: usize = 25_000;

pub(super) fn render(report: &Report, version: &str) -> Rendered {
    let (shown, left_out) = shown(report);
    // What a rule says at worst is what it says by default.
    let mut rules: BTreeMap<&str, &Finding> = BTreeMap::new();
    for finding in &shown {
        let known = rules.entry(&finding.rule).or_insert(finding);
        if level(finding.verdict) == "error" && level(known.verdict) != "error" {
            *known = finding;
        }
    }
    let places: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(at, rule)| (*rule, at)).collect();
    let results: Vec<Value> = shown
        .iter()
        .map(|finding| result(finding, places.get(finding.rule.as_str()).copied()))
        .collect();
    let complete = report.summary.error == 0;
    let mut invocation = json!({"executionSuccessful": complete});
    if left_out > 0 {
        let text =
            format!("{left_out} results are left out: these are the worst {MAX_RESULTS}, and GitHub refuses more");
        invocation["toolExecutionNotifications"] = json!([{"level": "warning", "message": {"text": text}}]);
    }
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "muster",
                "version": version,
                "rules": rules.values().map(|finding| rule(finding, report.rules.get(&finding.rule))).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {"SRCROOT": {"description": {"text": "the folder in which muster ran"}}},
            "invocations": [invocation],
            "results": results,
        }],
    });
    Rendered {
        text: format!("{document:#}\n"),
        left_out,
    }
}

/// What asks for attention, in the report's order; of too much the worst, and how many are left out.
fn shown(report: &Report) -> (Vec<&Finding>, usize) {
    let mut shown: Vec<(usize, &Finding)> = report
        .results
        .iter()
        .filter(|finding| !matches!(finding.verdict, Verdict::Pass | Verdict::NotApplicable))
        .enumerate()
        .collect();
    let left_out = shown.len().saturating_sub(MAX_RESULTS);
    if left_out > 0 {
        shown.sort_by_key(|(_, finding)| {
            let rank = match finding.verdict {
                Verdict::Fail => 0,
                Verdict::Error => 1,
                Verdict::Unknown => 2,
                Verdict::Warn => 3,
                Verdict::Waived | Verdict::Pass | Verdict::NotApplicable => 4,
            };
            (!finding.counts(), rank, finding.severity.is_none(), finding.severity)
        });
        shown.truncate(MAX_RESULTS);
        shown.sort_by_key(|(place, _)| *place);
    }
    (shown.into_iter().map(|(_, finding)| finding).collect(), left_out)
}

fn rule(finding: &Finding, about: Option<&Rule>) -> Value {
    let mut tags: Vec<&str> = finding.controls.iter().map(String::as_str).collect();
    tags.sort_unstable();
    tags.dedup();
    tags.truncate(20);
    let said = |texts: &[Option<&String>], otherwise: &str| {
        let text = texts.iter().flatten().find(|text| !text.is_empty());
        let text = text.map_or(otherwise, |text| text.as_str());
        json!({"text": text.chars().take(MAX_TEXT).collect::<String>()})
    };
    let (title, why) = (about.map(|rule| &rule.title), about.map(|rule| &rule.description));
    let remedy = about.map(|rule| &rule.remedy);
    let explain = format!("muster policy explain {} --verbose", finding.rule);
    let mut properties = json!({"tags": tags});
    if let Some(severity) = finding.severity {
        properties["security-severity"] = json!(score(severity));
    }
    json!({
        "id": finding.rule,
        "name": finding.rule,
        "shortDescription": said(&[title], &finding.rule),
        "fullDescription": said(&[why, title], &finding.rule),
        "help": said(&[remedy, why], &explain),
        "defaultConfiguration": {"level": level(finding.verdict)},
        "properties": properties,
    })
}

fn result(finding: &Finding, rule: Option<usize>) -> Value {
    let mut region = json!({"startLine": finding.line.unwrap_or(1)});
    if let Some(column) = finding.column {
        region["startColumn"] = json!(column);
    }
    let same = fingerprint(finding);
    let mut result = json!({
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": level(finding.verdict),
        "message": {"text": message(finding)},
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": uri(finding.file.as_deref().unwrap_or("muster.toml")), "uriBaseId": "SRCROOT"},
                "region": region,
            },
            "logicalLocations": [{"fullyQualifiedName": finding.resource}],
        }],
        "partialFingerprints": {"musterRuleResourcePath/v1": same, "primaryLocationLineHash": same},
    });
    if finding.verdict == Verdict::Waived {
        let text = |name: &str| {
            finding
                .waiver
                .as_ref()
                .and_then(|waiver| waiver.get(name))
                .and_then(Value::as_str)
        };
        let why = text("reason").or_else(|| text("kind")).unwrap_or("waived");
        result["suppressions"] = json!([{"kind": "external", "status": "accepted", "justification": why}]);
    }
    if let Some(state) = finding.baseline {
        result["baselineState"] = json!(state);
    }
    result
}

fn level(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fail | Verdict::Error | Verdict::Waived => "error",
        Verdict::Warn | Verdict::Unknown => "warning",
        Verdict::Pass | Verdict::NotApplicable => "none",
    }
}

/// GitHub's number for a severity, as text.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
        Severity::Info => "0.0",
    }
}

/// A path as a URI reference relative to where muster ran.
fn uri(path: &str) -> String {
    let path = path.trim_start_matches("./");
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out.trim_start_matches('/').to_owned()
}
