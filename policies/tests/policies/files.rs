//! `parse_config_file`: files that a policy names itself. A test of policies reads what it names; a check only what lies beneath its folder.

use muster_policies::{TestOptions, TestOutcome, Verdict, test_policies};

use super::{Bench, NOW, verdicts};

const POLICY: &str = "package main\n\nimport rego.v1\n\n";

#[test]
fn a_test_reads_the_files_that_it_names_from_its_folder() {
    let bench = Bench::new();
    bench.write("fixtures/a.ini", "[s]\nx = 1\n");
    bench.write("p/deep/b.yaml", "x: 2\n");
    bench.write(
        "p/deep/main_test.rego",
        format!(
            "{POLICY}test_beside if parse_config_file(\"b.yaml\").x == 2\n\ntest_above if parse_config_file(\"../../fixtures/a.ini\").s.x == 1\n\ntest_both if count(parse_combined_config_files([\"b.yaml\", \"../../fixtures/a.ini\"])) == 2\n\ntest_missing if not parse_config_file(\"none.yaml\")\n"
        ),
    );
    let report = test_policies(&[bench.path("p")], &TestOptions::new(NOW)).unwrap();
    let seen: Vec<_> = report
        .results
        .iter()
        .map(|r| (r.name.as_str(), r.verdict, r.message.as_str()))
        .collect();
    for (name, verdict, message) in &seen[..3] {
        assert_eq!((*verdict, *message), (TestOutcome::Pass, ""), "{name}");
    }
    assert_eq!(seen[3].1, TestOutcome::Pass);
    assert!(
        seen[3].2.contains("parse_config_file: get configuration content"),
        "{seen:?}"
    );
}

#[test]
fn a_check_reads_what_lies_beneath_the_folder_of_its_policy_and_nothing_else() {
    let bench = Bench::new();
    bench.write("policy/lists/allowed.yaml", "names: [a]\n");
    let outside = bench.write("secret.yaml", "names: [a]\n");
    std::os::unix::fs::symlink(&outside, bench.path("policy/lists/linked.yaml")).unwrap();
    let input = bench.write("input.yaml", "name: b\n");
    let judged = |path: &str| {
        bench.write(
            "policy/p.rego",
            format!("{POLICY}deny contains \"not allowed\" if not input.name in parse_config_file(\"{path}\").names\n"),
        );
        bench.check(&input)
    };
    let report = judged("lists/allowed.yaml");
    assert_eq!(verdicts(&report), [("main.deny", Verdict::Fail, "not allowed")]);
    for path in [
        "../secret.yaml",
        "lists/../../secret.yaml",
        "lists/linked.yaml",
        "lists",
    ] {
        let report = judged(path);
        let [(_, Verdict::Error, why)] = verdicts(&report)[..] else {
            panic!("{path}: {report:?}")
        };
        assert!(
            why.contains("parse_config_file") && why.contains("beneath the policy's folder"),
            "{path}: {why}"
        );
    }
}
