//! `--strict`: what OPA lets pass and a reviewer would not.

use muster_policies::{CheckOptions, PolicyError, Verdict, check};

use super::Bench;

fn judged(policy: &str, strict: bool) -> Result<Verdict, PolicyError> {
    let bench = Bench::new();
    bench.write("policy/p.rego", format!("package main\n\nimport rego.v1\n\n{policy}\n"));
    let input = bench.write("input.yaml", "a: text\n");
    let options = CheckOptions {
        strict,
        ..bench.options()
    };
    check(&[input], &options).map(|report| {
        assert_eq!(report.results.len(), 1, "{report:?}");
        report.results[0].verdict
    })
}

#[test]
fn what_is_assigned_or_imported_must_be_used() {
    for policy in [
        "deny contains \"x\" if {\n\tunused := input.a\n\tinput.b\n}",
        "import data.never.used\n\ndeny contains \"x\" if input.b",
    ] {
        assert_eq!(judged(policy, false).unwrap(), Verdict::Pass);
        let refused = judged(policy, true).unwrap_err().to_string();
        assert!(refused.contains("p.rego:"), "{refused}");
    }
}

#[test]
fn a_verdict_that_leaned_on_a_suppressed_error_is_an_error() {
    let policy = "deny contains \"x\" if to_number(input.a) > 1";
    assert_eq!(judged(policy, false).unwrap(), Verdict::Pass);
    assert_eq!(judged(policy, true).unwrap(), Verdict::Error);
}

#[test]
fn a_failure_beside_a_suppressed_error_says_so_too() {
    let report = Bench::judge(
        "package main\n\nimport rego.v1\n\ndeny contains \"a\" if input.a\n\ndeny contains \"b\" if to_number(input.a) > 1\n",
        "a: text\n",
    );
    let found = &report.results[0];
    assert_eq!((report.results.len(), found.verdict), (1, Verdict::Fail));
    assert!(
        found.suppressed.as_ref().is_some_and(|why| why.contains("p.rego:7")),
        "{found:?}"
    );
}
