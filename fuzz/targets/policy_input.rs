//! Documents under judgement, YAML and JSON: whatever they are, the report is never empty and never clean of an error it had.

use std::path::PathBuf;
use std::sync::LazyLock;

use muster_policies::{CheckOptions, Status};
use serde_json::Value;
use time::OffsetDateTime;

const POLICY: &str =
    "package main\n\nimport rego.v1\n\ndeny contains msg if {\n\tinput.kind == \"x\"\n\tmsg := \"x\"\n}\n";

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.rego"), POLICY).unwrap();
    folder
});

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "kind: x\nmetadata: {name: a, namespace: b}\n---\nkind: y\n...\n",
        "a: &a [1, 0x1f, 1e3, .inf, ~, yes, 2001-01-01]\nb: *a\n<<: {c: !!str 1}\n",
        "- |\n  text\n- >-\n  folded\n- \"\\u263a\"\n- 'it''s'\n",
        "{\"kind\": \"x\", \"list\": [1, 2.5, -0, null, true]}",
        "[{\"kind\": \"x\"}, {\"kind\": \"y\"}]",
        "%YAML 1.2\n---\n? complex\n: !!map {}\n",
        "schema: muster.facts/1\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let mut options = CheckOptions::new(OffsetDateTime::UNIX_EPOCH);
    options.policies = vec![FOLDER.path().join("p.rego")];
    options.profiles = vec!["dr-baseline".to_owned()];
    options.stdin = data.to_vec();
    let report = muster_policies::check(&[PathBuf::from("-")], &options).unwrap();
    assert!(!report.results.is_empty());
    let counted = report.results.len();
    let summary = serde_json::to_value(report.summary).unwrap();
    let sum: u64 = summary.as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert_eq!(sum, counted as u64);
    if report.summary.error + report.summary.fail > 0 {
        assert_ne!(report.status(), Status::Clean);
    }
    // A JSON document is judged by its own values; one of facts also by the profile.
    if let Ok(Value::Object(document)) = serde_json::from_slice::<Value>(data)
        && !document.contains_key("schema")
    {
        let denied = document.get("kind").and_then(Value::as_str) == Some("x");
        assert_eq!(report.summary.fail > 0, denied);
    }
}
