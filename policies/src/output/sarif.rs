//! SARIF 2.1.0 as GitHub code scanning takes it: relative URIs, one rule each, fingerprints that outlive a moved line, suppressions for
//! what is waived, and a baseline state where the run had one.
//!
//! Source of the facts: OASIS SARIF 2.1.0; GitHub, "SARIF support for code scanning" (every result needs a location).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{fingerprint, message};
use crate::metadata::Severity;
use crate::report::{Finding, Report, Verdict};

pub(super) fn render(report: &Report, version: &str) -> String {
    let shown: Vec<&Finding> = report
        .results
        .iter()
        .filter(|finding| !matches!(finding.verdict, Verdict::Pass | Verdict::NotApplicable))
        .collect();
    let mut rules: BTreeMap<&str, &Finding> = BTreeMap::new();
    for finding in &shown {
        rules.entry(&finding.rule).or_insert(finding);
    }
    let places: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(at, rule)| (*rule, at)).collect();
    let results: Vec<Value> = shown
        .iter()
        .map(|finding| result(finding, places.get(finding.rule.as_str()).copied()))
        .collect();
    let complete = report.summary.error == 0;
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "muster",
                "version": version,
                "rules": rules.values().map(|finding| rule(finding)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {"SRCROOT": {"description": {"text": "the folder in which muster ran"}}},
            "invocations": [{"executionSuccessful": complete}],
            "results": results,
        }],
    });
    format!("{document:#}\n")
}

fn rule(finding: &Finding) -> Value {
    let mut tags: Vec<&str> = finding.controls.iter().map(String::as_str).collect();
    tags.truncate(20);
    json!({
        "id": finding.rule,
        "name": finding.rule,
        "shortDescription": {"text": finding.rule},
        "defaultConfiguration": {"level": level(finding.verdict)},
        "properties": {"tags": tags, "security-severity": score(finding.severity)},
    })
}

fn result(finding: &Finding, rule: Option<usize>) -> Value {
    let mut region = json!({"startLine": finding.line.unwrap_or(1)});
    if let Some(column) = finding.column {
        region["startColumn"] = json!(column);
    }
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
        "partialFingerprints": {"musterRuleResourcePath/v1": fingerprint(finding)},
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
fn score(severity: Option<Severity>) -> &'static str {
    match severity {
        Some(Severity::Critical) => "9.5",
        Some(Severity::High) => "8.0",
        Some(Severity::Medium) | None => "5.5",
        Some(Severity::Low) => "2.0",
        Some(Severity::Info) => "0.0",
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
