//! Rego policies and their METADATA: refused or judged, never the end of the process, and nothing evaluated is never a pass.
//!
//! A panic inside the evaluator is contained by the policies crate, which is what this target sees to.

use std::path::PathBuf;
use std::sync::LazyLock;

use muster_policies::{CheckOptions, Namespaces, PolicyError, Status};
use time::OffsetDateTime;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "package main\n\nimport rego.v1\n\n# METADATA\n# title: t\n# custom:\n#   id: a.b\n#   severity: high\n#   controls: {soc2: [A1.2]}\ndeny contains msg if {\n\tinput.a == 1\n\tmsg := sprintf(\"%d\", [input.a])\n}\n",
        "package main\n\ndeny[msg] { input.a; msg := \"x\" }\n\nexception[rules] { rules := [\"\"] }\n\nwarn_x[{\"msg\": m, \"_loc\": {\"file\": \"f\", \"line\": 1}}] { m := \"w\" }\n",
        "package a.b\n\nimport data.c as d\n\nf(x) = y { y := x + 1 }\n\nviolation[msg] { some i; f(input.list[i]) > 2; not d; msg := concat(\",\", {k | input.o[k]}) }\n\ndefault z := false\n",
    ];
    // A panic on the evaluator's thread must not end this process; one on the fuzzer's own still does.
    let _ = std::panic::take_hook();
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let policy = FOLDER.path().join("p.rego");
    std::fs::write(&policy, data).unwrap();
    let mut options = CheckOptions::new(OffsetDateTime::UNIX_EPOCH);
    options.policies = vec![policy];
    options.namespaces = Namespaces::All;
    options.stdin = br#"{"a": 1, "list": [1, 2, 3], "o": {"k": "v"}}"#.to_vec();
    match muster_policies::check(&[PathBuf::from("-")], &options) {
        Ok(report) => {
            assert!(!report.results.is_empty());
            let judged = report.summary.pass + report.summary.warn + report.summary.waived;
            assert!(report.status() != Status::Clean || judged > 0);
        }
        Err(error) => assert!(
            !matches!(error, PolicyError::NothingSelected | PolicyError::Clock),
            "{error}"
        ),
    }
}
