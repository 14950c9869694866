//! What a run found, in the shape of Conftest's JSON.
//!
//! Invariant: fields stand in the order of Conftest's document, since bytes are compared; what is empty there is left out here.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

/// One message of a rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// The message; empty is a pass.
    #[serde(rename = "msg")]
    pub message: String,
    /// Where the rule says that it is.
    #[serde(rename = "loc", skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// What else the rule gave, and the query.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Never filled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
}

/// A place that a rule names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Location {
    /// The file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// The line, as the rule wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<Number>,
}

impl Location {
    /// The line in text; empty if there is none.
    pub(crate) fn line(&self) -> String {
        self.line.as_ref().map(Number::to_string).unwrap_or_default()
    }
}

/// One query and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueryResult {
    /// As it would be asked of OPA.
    pub query: String,
    /// Its outcomes.
    pub results: Vec<Outcome>,
    /// What it reached, line by line.
    pub traces: Vec<String>,
    /// What it printed, each ended by a line's end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
}

/// One file judged by one namespace, or one unit test.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckResult {
    /// The path as it was given.
    pub filename: String,
    /// The package without `data.`.
    pub namespace: String,
    /// How many rules had no message.
    pub successes: usize,
    /// Unit tests that were not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Outcome>,
    /// Messages of `warn`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Outcome>,
    /// Messages of `deny` and `violation`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Outcome>,
    /// Rules that an exception covers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Outcome>,
    /// What was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queries: Vec<QueryResult>,
}

/// Everything that a run found.
pub type Results = Vec<CheckResult>;

/// The exit code: 1 for a failure; when warnings count, 2 for a failure and 1 for a warning.
pub fn exit_code(results: &[CheckResult], fail_on_warn: bool) -> u8 {
    let failed = results.iter().any(|result| !result.failures.is_empty());
    let warned = results.iter().any(|result| !result.warnings.is_empty());
    match (failed, warned, fail_on_warn) {
        (true, _, true) => 2,
        (true, _, false) | (false, true, true) => 1,
        _ => 0,
    }
}

impl CheckResult {
    /// How many tests this is.
    pub(crate) fn tests(&self) -> usize {
        self.successes + self.failures.len() + self.warnings.len() + self.exceptions.len() + self.skipped.len()
    }
}

/// The numbers that every summary gives.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) tests: usize,
    pub(crate) passed: usize,
    pub(crate) warnings: usize,
    pub(crate) failures: usize,
    pub(crate) exceptions: usize,
    pub(crate) skipped: usize,
}

impl Totals {
    pub(crate) fn of(results: &[CheckResult]) -> Self {
        results.iter().fold(Self::default(), |sum, result| Self {
            tests: sum.tests + result.tests(),
            passed: sum.passed + result.successes,
            warnings: sum.warnings + result.warnings.len(),
            failures: sum.failures + result.failures.len(),
            exceptions: sum.exceptions + result.exceptions.len(),
            skipped: sum.skipped + result.skipped.len(),
        })
    }

    /// `5 tests, 4 passed, 1 warning, 0 failures, 0 exceptions`.
    pub(crate) fn told(self) -> String {
        let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        [
            many(self.tests, "test"),
            format!("{} passed", self.passed),
            many(self.warnings, "warning"),
            many(self.failures, "failure"),
            many(self.exceptions, "exception"),
        ]
        .join(", ")
    }
}

/// A message that is an object: `msg`, perhaps `_loc`, and what else it says.
pub(crate) fn outcome(mut fields: Map<String, Value>) -> Result<Outcome, String> {
    let Some(Value::String(message)) = fields.remove("msg") else {
        return Err("\"msg\" field must be present and a string".to_owned());
    };
    let location = fields.remove("_loc").as_ref().and_then(location);
    Ok(Outcome {
        message,
        location,
        metadata: fields,
        outputs: Vec::new(),
    })
}

fn location(value: &Value) -> Option<Location> {
    let found = Location {
        file: value.get("file").and_then(Value::as_str).unwrap_or_default().to_owned(),
        line: match value.get("line") {
            Some(Value::Number(line)) => Some(line.clone()),
            _ => None,
        },
    };
    (!found.file.is_empty() || found.line.is_some()).then_some(found)
}
