//! Rego's own unit tests, run by the conventions of `opa test`.

use muster_policies::{Lines, RuleCoverage, TestOptions, TestOutcome, test_policies};

use crate::{Bench, NOW};

fn options() -> TestOptions {
    TestOptions::new(NOW)
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
    assert!(report.results[5].prints[0].contains("here"));
    assert_eq!(report.exit_code(), 6);
    let document = serde_json::to_value(&report).unwrap();
    assert_eq!(
        document["summary"],
        serde_json::json!({"pass": 1, "fail": 3, "error": 1, "skipped": 1})
    );
    assert_eq!(document["results"][0]["verdict"], "pass");
    assert_eq!(document["results"][0]["package"], "main");
}

#[test]
fn a_test_may_have_its_name_further_down_its_path() {
    let bench = Bench::new();
    bench.write(
        "p/a_test.rego",
        "package a\n\nimport rego.v1\n\nx.test_one if true\n\nx.test_two if 1 == 2\n\nx.todo_test_three if false\n\nx.test_many[k] if { some k in [\"a\", \"b\"]; k == \"a\" }\n\nx.other if false\n",
    );
    let report = test_policies(&[bench.path("p")], &options()).unwrap();
    let seen: Vec<_> = report.results.iter().map(|r| (r.name.as_str(), r.verdict)).collect();
    assert_eq!(
        seen,
        [
            ("x.test_one", TestOutcome::Pass),
            ("x.test_two", TestOutcome::Fail),
            ("x.todo_test_three", TestOutcome::Skipped),
            ("x.test_many", TestOutcome::Fail),
        ]
    );
    assert!(
        report.results[3].message.contains("1 of 2 cases did not hold: b"),
        "{report:?}"
    );
}

#[test]
fn a_bundle_says_the_version_of_single_files() {
    let bench = Bench::new();
    bench.write(
        "p/.manifest",
        "{\"rego_version\": 1, \"file_rego_versions\": {\"/old/*.rego\": 0}}",
    );
    // Each is what the other version refuses, or takes for something else.
    bench.write(
        "p/old/a_test.rego",
        "package old\n\np[x] { x := \"if\" }\n\ntest_old { p[\"if\"] }\n",
    );
    bench.write(
        "p/new_test.rego",
        "package new\n\np contains 1\n\ntest_new if p == {1}\n",
    );
    let report = test_policies(&[bench.path("p")], &options()).unwrap();
    assert_eq!((report.summary.pass, report.exit_code()), (2, 0), "{report:?}");
    bench.write("p/.manifest", "{\"rego_version\": 1}");
    assert!(test_policies(&[bench.path("p")], &options()).is_err());
    // The caller knows better.
    let mut forced = options();
    forced.rego_version = muster_policies::RegoVersion::V0;
    bench.write("p/new_test.rego", "package new\n\ntest_new { true }\n");
    assert_eq!(test_policies(&[bench.path("p")], &forced).unwrap().summary.pass, 2);
    bench.write("p/.manifest", "{\"file_rego_versions\": {\"/old/*.rego\": 2}}");
    assert!(test_policies(&[bench.path("p")], &options()).is_err());
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

const RULES: &str = "package main\n\nimport rego.v1\n\nlimit := 5\n\ndeny contains msg if {\n\tinput.size > limit\n\tmsg := \"big\"\n}\n\ndeny contains \"dead\" if {\n\tinput.never\n\tinput.later\n}\n\nallow if count(deny) == 0\n\nkind := \"small\" if {\n\tinput.size < 3\n} else := \"large\" if {\n\tinput.size > 3\n}\n";

#[test]
fn coverage_tells_lines_and_rules_that_were_never_true_or_never_false() {
    let bench = Bench::new();
    bench.write("p/main.rego", RULES);
    bench.write(
        "p/main_test.rego",
        "package main\n\nimport rego.v1\n\ntest_deny if {\n\t\"big\" in deny with input as {\"size\": 9}\n\tcount(deny) == 0 with input as {\"size\": 1}\n}\n\ntest_allow if allow with input as {\"size\": 1}\n\ntest_kind if {\n\tkind == \"small\" with input as {\"size\": 1}\n}\n\ntest_lenient if not main_helper with input as {\"size\": 1}\n\nmain_helper if to_number(\"x\") == 1\n",
    );
    let report = test_policies(
        &[bench.path("p")],
        &TestOptions {
            coverage: true,
            threshold: Some(70.0),
            ..options()
        },
    )
    .unwrap();
    assert!(
        report.results.iter().all(|result| result.verdict == TestOutcome::Pass),
        "{report:#?}"
    );
    let coverage = report.coverage.as_ref().unwrap();
    let file = &coverage.files[0];
    assert_eq!(coverage.files.len(), 1, "tests do not count");
    let lines = |lines: &[Lines]| lines.iter().map(|lines| (lines.start, lines.end)).collect::<Vec<_>>();
    assert_eq!(lines(&file.covered), [(5, 9), (13, 13), (17, 20)], "{coverage:#?}");
    assert_eq!(
        lines(&file.not_covered),
        [(12, 12), (14, 14), (21, 22)],
        "{coverage:#?}"
    );
    assert_eq!((coverage.covered_lines, coverage.lines), (8, 12), "{coverage:#?}");
    let rules = |rules: &[RuleCoverage]| rules.iter().map(|rule| (rule.line, rule.reached)).collect::<Vec<_>>();
    assert_eq!(rules(&coverage.never_true), [(12, true), (21, false)], "{coverage:#?}");
    assert_eq!(rules(&coverage.never_false), [(17, true), (19, true)], "{coverage:#?}");
    assert_eq!(report.exit_code(), 6, "66 % of 70 %");
    assert_eq!(coverage.met, Some(false));
}

#[test]
fn a_test_of_both_directions_sees_a_rule_true_and_false() {
    let bench = Bench::new();
    bench.write(
        "p/main.rego",
        "package main\n\nimport rego.v1\n\nis_small(x) if x < 3\n\nbad contains name if {\n\tsome name, size in input\n\tnot is_small(size)\n}\n",
    );
    bench.write(
        "p/main_test.rego",
        "package main\n\nimport rego.v1\n\ntest_both if bad == {\"b\"} with input as {\"a\": 1, \"b\": 9}\n\ntest_none if bad == set() with input as {\"a\": 1}\n",
    );
    let options = TestOptions {
        coverage: true,
        threshold: Some(100.0),
        ..options()
    };
    let report = test_policies(&[bench.path("p")], &options).unwrap();
    let coverage = report.coverage.as_ref().unwrap();
    assert!(
        coverage.never_true.is_empty() && coverage.never_false.is_empty(),
        "{coverage:#?}"
    );
    assert_eq!((coverage.percent, report.exit_code()), (100.0, 0), "{coverage:#?}");
    let one = TestOptions {
        run: Some("^data\\.main\\.test_none$".to_owned()),
        ..options
    };
    let report = test_policies(&[bench.path("p")], &one).unwrap();
    assert_eq!(report.results.len(), 1);
    assert_eq!(report.coverage.unwrap().never_true.len(), 1);
    let none = TestOptions {
        run: Some("nothing".to_owned()),
        ..one.clone()
    };
    assert_eq!(test_policies(&[bench.path("p")], &none).unwrap().exit_code(), 8);
    let broken = TestOptions {
        run: Some("(".to_owned()),
        ..one
    };
    assert!(
        test_policies(&[bench.path("p")], &broken)
            .unwrap_err()
            .to_string()
            .contains("pattern (")
    );
}

#[test]
fn files_beside_tests_become_data_by_name_or_in_a_bundle_and_are_named_else() {
    let bench = Bench::new();
    let rule = "package a\n\nimport rego.v1\n\ntest_data if data.limits.size == 5\n\ntest_other if not data.x\n";
    bench.write("p/a_test.rego", rule);
    bench.write("p/limits/data.json", "{\"size\": 5}");
    bench.write("p/x.json", "{\"x\": 1}");
    let verdicts = |options: &TestOptions| {
        let report = test_policies(&[bench.path("p")], options).unwrap();
        let left: Vec<_> = report
            .left_out
            .iter()
            .map(|name| name.rsplit('/').next().unwrap().to_owned())
            .collect();
        (report.results.iter().map(|r| r.verdict).collect::<Vec<_>>(), left)
    };
    let (fail, pass) = (TestOutcome::Fail, TestOutcome::Pass);
    assert_eq!(
        verdicts(&options()),
        (vec![fail, pass], vec!["data.json".into(), "x.json".into()])
    );
    let named = TestOptions {
        data: vec![bench.path("p")],
        ..options()
    };
    assert_eq!(verdicts(&named), (vec![pass, fail], vec![]));
    bench.write("p/.manifest", "{\"roots\": [\"a\", \"limits\"]}");
    assert_eq!(verdicts(&options()), (vec![pass, pass], vec!["x.json".into()]));
    bench.write("p/.manifest", "{\"roots\": [\"a\"]}");
    let refused = test_policies(&[bench.path("p")], &options()).unwrap_err();
    assert!(refused.to_string().contains("data.limits"), "{refused}");
    bench.write("p/b_test.rego", "package b\n\ntest_b if true\n");
    bench.write("p/.manifest", "{\"rego_version\": 0}");
    let refused = test_policies(&[bench.path("p")], &options()).unwrap_err();
    assert!(
        refused.to_string().contains("b_test.rego"),
        "version 0 knows no bare `if`: {refused}"
    );
}

#[test]
fn an_error_alone_is_exit_8_tests_that_are_all_skipped_are_none_and_another_value_is_not_true() {
    let of = |text: &str| {
        let bench = Bench::new();
        bench.write("p/a_test.rego", text);
        test_policies(&[bench.path("p")], &options()).unwrap()
    };
    let report = of("package a\n\ntest_both = x { x := [true, false][_] }\n");
    assert_eq!((report.summary.error, report.exit_code()), (1, 8));
    let report = of("package a\n\ntodo_test_x { false }\n");
    assert_eq!((report.summary.skipped, report.exit_code()), (1, 0));
    let report = of("package a\n\ntest_five := 5\n");
    assert_eq!(
        (report.results[0].verdict, report.results[0].message.as_str()),
        (TestOutcome::Fail, "gave 5, not true")
    );
    // A verdict that leaned on what a built-in function did not do says so.
    let report = of("package a\n\none { to_number(\"x\") == 1 }\n\ntest_lenient { not one }\n");
    assert_eq!(report.results[0].verdict, TestOutcome::Pass);
    assert!(report.results[0].message.contains("suppressed: "), "{report:?}");
}

#[test]
fn the_innermost_bundle_is_a_files_own_and_its_data_may_be_yaml() {
    let bench = Bench::new();
    bench.write("p/.manifest", "{\"roots\": [\"a\"], \"rego_version\": 1}");
    bench.write("p/inner/.manifest", "{\"roots\": [\"b\"], \"rego_version\": 0}");
    bench.write("p/inner/b/data.yaml", "size: 5\n");
    bench.write(
        "p/inner/old_test.rego",
        "package old\n\ntest_size { data.b.size == 5 }\n",
    );
    let report = test_policies(&[bench.path("p")], &options()).unwrap();
    assert_eq!((report.summary.pass, report.left_out.len()), (1, 0), "{report:?}");
}

#[test]
fn data_that_is_no_object_or_is_followed_by_something_is_refused_as_by_opa() {
    let bench = Bench::new();
    bench.write("p/a_test.rego", "package a\n\ntest_a { data.x == 1 }\n");
    let with = |name: &str, text: &str| {
        let data = TestOptions {
            data: vec![bench.write(name, text)],
            ..options()
        };
        test_policies(&[bench.path("p")], &data).map(|report| report.summary.pass)
    };
    assert_eq!(with("d.json", "{\"x\": 1}\n\n").unwrap(), 1);
    for (name, text) in [
        ("d.json", "{\"x\": 1} {\"y\": 2}"),
        ("d.json", "{\"x\": 1}, "),
        ("d.json", "{\"x\": 1}\nx"),
        ("d.json", "[1]"),
        ("d.yaml", "- 1\n"),
    ] {
        let refused = with(name, text).unwrap_err().to_string();
        assert!(refused.contains(name), "{text}: {refused}");
    }
}

#[test]
fn a_threshold_is_about_lines_and_not_about_rules() {
    let bench = Bench::new();
    // Of two rules one was never true, and of their lines nearly all were reached.
    bench.write(
        "p/a.rego",
        "package a\n\nimport rego.v1\n\np if {\n\tinput.x\n\tinput.y\n\tinput.z\n\tinput.never\n}\n\nq if {\n\tinput.x\n\tinput.y\n}\n",
    );
    bench.write(
        "p/a_test.rego",
        "package a\n\nimport rego.v1\n\ntest_q if {\n\tq with input as {\"x\": 1, \"y\": 1, \"z\": 1}\n\tnot p with input as {\"x\": 1, \"y\": 1, \"z\": 1}\n}\n",
    );
    let options = TestOptions {
        coverage: true,
        threshold: Some(70.0),
        ..options()
    };
    let report = test_policies(&[bench.path("p")], &options).unwrap();
    let coverage = report.coverage.as_ref().unwrap();
    assert!(
        coverage.percent > 70.0 && coverage.rules_percent == 50.0,
        "{coverage:?}"
    );
    assert_eq!((coverage.met, report.exit_code()), (Some(true), 0));
}
