//! Rego's own unit tests, run by the conventions of `opa test`.

use muster_policies::{RegoVersion, TestOptions, TestOutcome, test_policies};

use crate::{Bench, NOW};

fn options() -> TestOptions {
    TestOptions {
        data: Vec::new(),
        rego_version: RegoVersion::Auto,
        now: NOW,
        sandbox: None,
    }
}

#[test]
fn tests_pass_fail_err_and_are_skipped_as_under_opa() {
    let bench = Bench::new();
    bench.write(
        "p/main.rego",
        "package main\n\ndeny[msg] { input.a == 1; msg := \"one\" }\n",
    );
    bench.write(
        "p/main_test.rego",
        "package main\n\ntest_one { deny[\"one\"] with input as {\"a\": 1} }\n\ntest_two { count(deny) == 1 with input as {\"a\": 2} }\n\ntest_false = false { true }\n\ntodo_test_later { false }\n\ntest_both = x { x := [true, false][_] }\n\ntest_print { print(\"here\"); false }\n",
    );
    let report = test_policies(&[bench.path("p")], &options()).unwrap();
    let seen: Vec<_> = report
        .results
        .iter()
        .map(|r| (r.name.as_str(), r.verdict, r.line))
        .collect();
    assert_eq!(
        seen,
        [
            ("test_one", TestOutcome::Pass, 3),
            ("test_two", TestOutcome::Fail, 5),
            ("test_false", TestOutcome::Fail, 7),
            ("todo_test_later", TestOutcome::Skipped, 9),
            ("test_both", TestOutcome::Error, 11),
            ("test_print", TestOutcome::Fail, 13),
        ],
        "{report:?}"
    );
    assert!(report.results[5].message.contains("here"));
    assert_eq!(report.exit_code(), 6);
    let document = serde_json::to_value(&report).unwrap();
    assert_eq!(
        document["summary"],
        serde_json::json!({"pass": 1, "fail": 3, "error": 1, "skipped": 1})
    );
    assert_eq!(document["results"][0]["verdict"], "PASS");
    assert_eq!(document["results"][0]["package"], "main");
}

#[test]
fn no_test_at_all_is_no_success() {
    let bench = Bench::new();
    bench.write(
        "p/main.rego",
        "package main\n\ndeny[msg] { input.a == 1; msg := \"one\" }\n",
    );
    assert_eq!(test_policies(&[bench.path("p")], &options()).unwrap().exit_code(), 8);
}

#[test]
fn a_test_defined_twice_is_two_tests_judged_apart() {
    let bench = Bench::new();
    bench.write(
        "p/a_test.rego",
        "package a\n\ntest_x { false }\n\ntest_x { true }\n\ntest_y { true } { 1 == 2 }\n",
    );
    let report = test_policies(&[bench.path("p")], &options()).unwrap();
    let names: Vec<_> = report.results.iter().map(|r| (r.name.as_str(), r.verdict)).collect();
    assert_eq!(
        names,
        [
            ("test_x", TestOutcome::Fail),
            ("test_x#01", TestOutcome::Pass),
            ("test_y", TestOutcome::Pass),
            ("test_y#01", TestOutcome::Fail)
        ]
    );
    assert_eq!(report.exit_code(), 6);
}

#[test]
fn a_test_of_several_cases_names_those_that_do_not_hold() {
    let bench = Bench::new();
    bench.write(
        "p/a_test.rego",
        "package a\n\nimport rego.v1\n\nvalues := {\"one\": 1, \"two\": 2}\n\ntest_small[note] if {\n\tsome note, value in values\n\tvalue < 2\n}\n\ntest_number[note] if {\n\tsome note, value in values\n\tis_number(value)\n}\n\ntest_none[note] if {\n\tsome note, value in {}\n\tis_number(value)\n}\n",
    );
    let report = test_policies(&[bench.path("p")], &options()).unwrap();
    let seen: Vec<_> = report
        .results
        .iter()
        .map(|r| (r.name.as_str(), r.verdict, r.message.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            ("test_small", TestOutcome::Fail, "1 of 2 cases did not hold: two"),
            ("test_number", TestOutcome::Pass, ""),
            ("test_none", TestOutcome::Fail, "undefined: it has no case"),
        ]
    );
}

#[test]
fn a_mock_may_be_a_rule_that_shares_helpers_with_what_is_tested() {
    let bench = Bench::new();
    bench.write(
        "p/main.rego",
        "package main\n\nlimit := 5\n\ndeny[msg] { input.a > limit; msg := \"big\" }\n",
    );
    bench.write(
        "p/main_test.rego",
        "package main\n\nmock := {\"a\": limit + 1}\n\ntest_big { deny[\"big\"] with input as mock }\n\ntest_clock { time.now_ns() == 7 with time.now_ns as 7 }\n\nfixed(x) = 2\n\ntest_count { count([]) == 2 with count as fixed }\n",
    );
    let report = test_policies(&[bench.path("p")], &options()).unwrap();
    let names: Vec<_> = report
        .results
        .iter()
        .map(|r| (r.name.as_str(), r.verdict, r.message.as_str()))
        .collect();
    assert!(
        names.iter().all(|(_, verdict, _)| *verdict == TestOutcome::Pass),
        "{names:?}"
    );
}
