//! OPA's own conformance cases, from a folder of them that `MUSTER_OPA_CASES` names.
//!
//! They are OPA's (`v1/test/cases/testdata` of its repository), and are not part of this one. The list of those that are
//! not met stands in `policies/cases/conformance.txt`, each with its reason, and is exact in both directions.
//! `MUSTER_BLESS=1` writes it again, keeping the reasons.
//!
//! The ignored test compares any other folder of cases in that form, and prints a line of JSON for each that differs at all.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at the first surprise, in its helpers too"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use muster_policies::RegoVersion;
use muster_policies::selftest::{self, Answer, Question};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    note: String,
    query: String,
    #[serde(default)]
    modules: Vec<String>,
    data: Option<Value>,
    input: Option<Value>,
    input_term: Option<String>,
    want_result: Option<Value>,
    want_error: Option<String>,
    want_error_code: Option<String>,
    #[serde(default)]
    strict_error: bool,
}

/// Every case beneath a folder, by file name and note.
fn cases(folder: &Path) -> BTreeMap<String, Case> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("json") => files.push(path),
                _ => {}
            }
        }
    }
    let mut all = BTreeMap::new();
    for path in files {
        let Ok(file) = serde_json::from_slice::<File>(&std::fs::read(&path).unwrap()) else {
            continue;
        };
        for case in file.cases {
            let name = path.file_stem().unwrap().to_string_lossy();
            all.insert(format!("{name} {}", case.note), case);
        }
    }
    all
}

fn question(case: &Case) -> Question {
    let version = if case.modules.iter().any(|module| needs_v0(module)) {
        RegoVersion::Auto
    } else {
        RegoVersion::V1
    };
    let mut modules: Vec<(String, String)> = case
        .modules
        .iter()
        .enumerate()
        .map(|(place, text)| (format!("{place}.rego"), text.clone()))
        .collect();
    let with = case
        .input_term
        .as_ref()
        .map(|term| format!(" with input as {term}"))
        .unwrap_or_default();
    let body = format!("{}{with}", case.query);
    let names = bindings(&case.query);
    let fields: Vec<String> = names.iter().map(|name| format!("\"{name}\": {name}")).collect();
    let text = format!(
        "package muster_query\n\nanswer := [{{{}}} | {body}]\n",
        fields.join(", ")
    );
    modules.push(("query.rego".to_owned(), text));
    Question {
        modules,
        version,
        data: case.data.clone(),
        input: case.input.clone(),
        query: "data.muster_query.answer".to_owned(),
    }
}

fn needs_v0(module: &str) -> bool {
    module.contains("import future.keywords") && !module.contains(" if ")
}

/// The variables of a query whose values are the answer.
fn bindings(query: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut quoted = false;
    let bytes = query.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte == b'"' {
            quoted = !quoted;
        }
        if !quoted && (byte.is_ascii_alphabetic() || byte == b'_') {
            let length = query[at..]
                .bytes()
                .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
                .count();
            let name = &query[at..at + length];
            let part = at > 0 && (bytes[at - 1] == b'.');
            let head = matches!(bytes.get(at + length), Some(b'.' | b'('));
            if !part
                && !head
                && ![
                    "data", "input", "true", "false", "null", "not", "with", "as", "some", "in", "_",
                ]
                .contains(&name)
                && !names.contains(&name.to_owned())
            {
                names.push(name.to_owned());
            }
            at += length;
            continue;
        }
        at += 1;
    }
    names
}

fn expected(case: &Case) -> Answer {
    match (&case.want_error, &case.want_error_code, &case.want_result) {
        (None, None, Some(result)) => Answer::Result(result.clone()),
        (None, None, None) => Answer::Result(Value::Array(Vec::new())),
        (error, code, _) => Answer::Error(error.clone().or_else(|| code.clone()).unwrap_or_default()),
    }
}

/// Bindings come in no order, and sets as arrays in an order of their own.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(fields) => Value::Object(fields.iter().map(|(k, v)| (k.clone(), sorted(v))).collect()),
        other => other.clone(),
    }
}

fn agree(case: &Case, answer: &Answer) -> bool {
    match (expected(case), answer) {
        (Answer::Result(one), Answer::Result(other)) => {
            selftest::equal(&one, other) || selftest::equal(&sorted(&one), &sorted(other))
        }
        (one, other) => selftest::agree(&one, other),
    }
}

#[test]
fn opa_s_own_cases_are_answered_as_by_opa_or_are_listed_with_the_reason() {
    let folder = std::env::var_os("MUSTER_OPA_CASES").expect("name the folder of OPA's cases in MUSTER_OPA_CASES");
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/conformance.txt");
    let text = std::fs::read_to_string(&list).unwrap_or_default();
    let known: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    let all = cases(Path::new(&folder));
    assert!(all.len() > 1_000, "{} cases", all.len());
    let (mut surprises, mut unmet) = (Vec::new(), BTreeMap::new());
    for (name, case) in &all {
        let answer = selftest::answer(&question(case), case.strict_error);
        match (agree(case, &answer), known.get(name.as_str())) {
            (true, None) => {}
            (true, Some(_)) => surprises.push(format!("{name}: is listed, and is met")),
            (false, reason) => {
                if reason.is_none_or(|reason| reason.is_empty()) {
                    surprises.push(format!("{name}: OPA {:?}, muster {answer:?}", expected(case)));
                }
                unmet.insert(name.as_str(), reason.copied().unwrap_or_default());
            }
        }
    }
    if std::env::var_os("MUSTER_BLESS").is_some() {
        let text: String = unmet
            .iter()
            .map(|(name, reason)| format!("{name}\t{reason}\n"))
            .collect();
        std::fs::write(&list, text).unwrap();
    }
    assert!(
        surprises.is_empty(),
        "{} of {} cases:\n{}",
        surprises.len(),
        all.len(),
        surprises.join("\n")
    );
}
