//! SARIF 2.1.0 as Conftest writes it: a rule per namespace and kind, with the metadata of its first result.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::results::{CheckResult, Outcome, exit_code};
use super::json::compact;

const PASSED: &str = "Policy was satisfied successfully";
const SKIPPED: &str = "Policy check was skipped";

#[derive(Serialize)]
struct Log {
    version: &'static str,
    #[serde(rename = "$schema")]
    schema: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
struct Run {
    tool: Tool,
    invocations: [Invocation; 1],
    results: Vec<Found>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    information_uri: &'static str,
    name: &'static str,
    rules: Vec<Rule>,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    short_description: Text,
    #[serde(skip_serializing_if = "Map::is_empty")]
    properties: Map<String, Value>,
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    exit_code: u8,
    exit_code_description: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    rule_id: String,
    rule_index: usize,
    level: &'static str,
    message: Text,
    locations: [Place; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    physical_location: Physical,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: i64,
    end_line: i64,
}

/// The kinds of a result: the end of the rule's name, its level and its description.
#[derive(Clone, Copy)]
struct Kind(&'static str, &'static str, &'static str);

const DENY: Kind = Kind("deny", "error", "Policy violation");
const WARN: Kind = Kind("warn", "warning", "Policy warning");
const ALLOW: Kind = Kind("allow", "note", "Policy exception");
const SUCCESS: Kind = Kind("success", "none", PASSED);
const SKIP: Kind = Kind("skip", "none", SKIPPED);

pub(super) fn render(results: &[CheckResult]) -> String {
    let (mut rules, mut found) = (Vec::new(), Vec::new());
    for result in results {
        let mut add = |kind: Kind, outcome: &Outcome| {
            let place = rule(&mut rules, &result.namespace, kind, outcome);
            found.push(finding(result, kind, place, outcome));
        };
        result.failures.iter().for_each(|outcome| add(DENY, outcome));
        result.warnings.iter().for_each(|outcome| add(WARN, outcome));
        result.exceptions.iter().for_each(|outcome| add(ALLOW, outcome));
        if result.failures.is_empty() && result.warnings.is_empty() {
            let passed = result.successes > 0 || !result.exceptions.is_empty();
            let kind = if passed { SUCCESS } else { SKIP };
            let outcome = Outcome {
                message: kind.2.to_owned(),
                metadata: Map::from_iter([("description".to_owned(), json!(kind.2))]),
                ..Outcome::default()
            };
            add(kind, &outcome);
        }
    }
    let any = |of: fn(&CheckResult) -> &Vec<Outcome>| results.iter().any(|result| !of(result).is_empty());
    let described = match (any(|result| &result.failures), any(|result| &result.warnings)) {
        (true, _) => "Policy violations found",
        (false, true) => "Policy warnings found",
        (false, false) => "No policy violations found",
    };
    compact(&Log {
        version: "2.1.0",
        schema: "https://raw.githubusercontent.com/oasis-tcs/sarif-spec/main/sarif-2.1/schema/sarif-schema-2.1.0.json",
        runs: [Run {
            tool: Tool {
                driver: Driver {
                    information_uri: "https://github.com/open-policy-agent/conftest",
                    name: "conftest",
                    rules,
                    version: env!("CARGO_PKG_VERSION"),
                },
            },
            invocations: [Invocation {
                execution_successful: true,
                exit_code: exit_code(results, false),
                exit_code_description: described,
            }],
            results: found,
        }],
    })
}

fn id(namespace: &str, kind: Kind) -> String {
    format!("{namespace}/{}", kind.0)
}

fn rule(rules: &mut Vec<Rule>, namespace: &str, kind: Kind, outcome: &Outcome) -> usize {
    let id = id(namespace, kind);
    if let Some(place) = rules.iter().position(|rule| rule.id == id) {
        return place;
    }
    rules.push(Rule {
        id,
        short_description: Text {
            text: kind.2.to_owned(),
        },
        properties: outcome.metadata.clone(),
    });
    rules.len() - 1
}

fn finding(result: &CheckResult, kind: Kind, place: usize, outcome: &Outcome) -> Found {
    let (uri, region) = match &outcome.location {
        None => (result.filename.clone(), None),
        Some(named) => {
            let line = named.line.as_ref().and_then(serde_json::Number::as_i64).unwrap_or(0);
            let region = Region {
                start_line: line,
                end_line: line,
            };
            (named.file.clone(), Some(region))
        }
    };
    Found {
        rule_id: id(&result.namespace, kind),
        rule_index: place,
        level: kind.1,
        message: Text {
            text: outcome.message.clone(),
        },
        locations: [Place {
            physical_location: Physical {
                artifact_location: Artifact { uri },
                region,
            },
        }],
    }
}
