//! `muster check`: files judged by rules, with neither configuration nor key nor repository.

use muster_testkit::env::{Outcome, TestEnv};
use serde_json::Value;

use crate::env;

const RULES: &str = r#"package main

import rego.v1

deny contains msg if {
	not input.backup.enabled
	msg := sprintf("%s: backups are off", [input.name])
}

warn contains msg if {
	input.backup.keep < 7
	msg := "fewer than seven are kept"
}
"#;

fn place() -> TestEnv {
    let env = env();
    env.write("policy/backup.rego", RULES);
    env.write("good.yaml", "name: accounts\nbackup:\n  enabled: true\n  keep: 14\n");
    env.write(
        "few.json",
        r#"{"name": "accounts", "backup": {"enabled": true, "keep": 3}}"#,
    );
    env.write("bad.yaml", "name: accounts\nbackup:\n  enabled: false\n  keep: 14\n");
    env
}

fn check(env: &TestEnv, line: &str) -> Outcome {
    let mut command = env.bare_command();
    command.arg("check").args(line.split_whitespace());
    Outcome::of(command)
}

fn summary(outcome: &Outcome) -> Value {
    outcome.json()["summary"].clone()
}

#[test]
fn a_good_file_passes_a_bad_one_is_exit_6_and_a_warning_is_told() {
    let env = place();
    let good = check(&env, "good.yaml --policy policy --json").expect_code(0);
    assert_eq!(
        (&summary(&good)["fail"], &summary(&good)["pass"]),
        (&Value::from(0), &Value::from(2)),
        "{good:?}"
    );
    let few = check(&env, "few.json --policy policy --json").expect_code(0);
    assert_eq!(
        (&summary(&few)["warn"], &summary(&few)["fail"]),
        (&Value::from(1), &Value::from(0))
    );
    let bad = check(&env, "bad.yaml --policy policy --json").expect_code(6);
    assert_eq!(summary(&bad)["fail"], 1);
    assert!(bad.stdout.contains("accounts: backups are off"), "{bad:?}");
    check(&env, "bad.yaml --policy policy").expect_code(6);
}

#[test]
fn several_files_are_judged_each_for_itself() {
    let env = place();
    let all = check(&env, "good.yaml few.json bad.yaml --policy policy --json").expect_code(6);
    let results = all.json()["results"].as_array().unwrap().clone();
    let failed: Vec<&Value> = results.iter().filter(|result| result["verdict"] == "fail").collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0]["file"].as_str().unwrap().ends_with("bad.yaml"), "{failed:?}");
}

#[test]
fn nothing_evaluated_is_exit_8_not_green() {
    let env = place();
    env.write(
        "other/other.rego",
        "package other\n\nimport rego.v1\n\ndeny contains msg if {\n\tinput.x\n\tmsg := \"x\"\n}\n",
    );
    check(&env, "good.yaml --policy other").expect_code(8);
}

#[test]
fn input_that_cannot_be_read_is_never_a_pass() {
    let env = place();
    env.write("broken.yaml", "a: [1, 2\nb: }\n");
    env.write("broken.json", "{\"a\": ");
    for line in ["broken.yaml", "broken.json", "no-such-file.yaml"] {
        let outcome = check(&env, &format!("{line} --policy policy"));
        assert!(matches!(outcome.code, 1 | 2 | 8), "{outcome:?}");
        assert!(
            format!("{}{}", outcome.stdout, outcome.stderr).contains(line),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_policy_that_does_not_parse_is_named_with_its_line() {
    let env = place();
    env.write(
        "wrong/wrong.rego",
        "package main\n\nimport rego.v1\n\ndeny contains msg if {\n\tmsg := \n}\n",
    );
    let outcome = check(&env, "good.yaml --policy wrong");
    assert!(matches!(outcome.code, 1 | 2 | 8), "{outcome:?}");
    assert!(outcome.stderr.contains("wrong.rego"), "{outcome:?}");
}

#[test]
fn the_binary_answers_what_opa_answered_on_this_machine() {
    let env = env();
    let report = env.ok("policy selftest --json").json();
    assert_eq!(report["summary"]["not_known"], 0, "{report}");
    assert!(report["summary"]["agree"].as_u64().unwrap() > 1_400, "{report}");
}

#[test]
fn a_check_writes_for_other_tools_and_gates_on_what_is_new() {
    let env = env();
    env.write("policy/p.rego", "package main\nimport rego.v1\ndeny contains msg if { some name, value in input; value == \"bad\"; msg := name }\n");
    env.write("conf/a.yaml", "one: bad\n");
    let git = |line: &[&str]| {
        let output = std::process::Command::new("git")
            .args(line)
            .current_dir(env.path(""))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&[
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.com",
        "commit",
        "-q",
        "-m",
        "base",
    ]);
    env.run("check conf --output sarif --out out.sarif").expect_code(6);
    let sarif: Value = serde_json::from_slice(&std::fs::read(env.path("out.sarif")).unwrap()).unwrap();
    assert_eq!(
        sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "conf/a.yaml"
    );
    env.run("check conf --base HEAD").expect_code(0);
    env.write("conf/a.yaml", "one: bad\ntwo: bad\n");
    let outcome = env.run("check conf --base HEAD --output github").expect_code(6);
    assert_eq!(outcome.stdout.matches("::error ").count(), 1, "{outcome:?}");
    assert_eq!(outcome.stdout.matches("::notice ").count(), 1, "{outcome:?}");
    env.run("check conf --base no-such-revision").expect_code(2);
}

/// `git` in the test's folder.
fn git(env: &TestEnv, line: &str) {
    let output = std::process::Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(line.split_whitespace())
        .current_dir(env.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_base_is_judged_by_todays_policies_and_waivers_and_what_is_no_base_is_refused() {
    let env = env();
    let policy =
        |more: &str| format!("package main\n\nimport rego.v1\n\ndeny contains \"one\" if input.one == \"bad\"\n{more}");
    env.write("policy/p.rego", policy(""));
    env.write("conf/a.yaml", "one: bad\ntwo: bad\n");
    git(&env, "init -q");
    git(&env, "add .");
    git(&env, "commit -q -m base");
    // A rule of today finds in the base what it finds now.
    env.write(
        "policy/p.rego",
        policy("\ndeny_two contains \"two\" if input.two == \"bad\"\n"),
    );
    let known = env.run("check conf --base HEAD --json").expect_code(0).json();
    assert_eq!(known["summary"]["fail"], 2, "{known}");
    env.write("conf/b.yaml", "two: bad\n");
    env.run("check conf --base HEAD").expect_code(6);

    env.write(
        "waivers.toml",
        "[[waiver]]\nid = \"W\"\nrule = \"main.deny\"\nresource = \"conf/a.yaml\"\nowner = \"a\"\napprover = \"b\"\nreason = \"r\"\nexpires = \"2020-01-01T00:00:00Z\"\n",
    );
    let waived = env
        .run("check conf --base HEAD --waivers waivers.toml --json")
        .expect_code(6);
    let waived = waived.json();
    let expired = waived["results"].as_array().unwrap().iter();
    let expired: Vec<_> = expired.filter(|one| one["rule"] == "muster.waiver-expired").collect();
    assert_eq!(expired[0]["baseline"], "unchanged", "{waived}");

    for (line, words) in [
        ("check conf --base=--output=stolen", "no git revision"),
        ("check ../conf --base HEAD", "beneath the current folder"),
        ("check - --base HEAD", "standard input"),
    ] {
        env.run(line).expect_code(2).expect_error_to_name(&[words]);
    }
}

#[test]
fn the_table_says_the_worst_first_what_leaned_on_an_error_and_passes_on_request() {
    let env = env();
    env.write(
        "policy/p.rego",
        "package main\n\nimport rego.v1\n\nwarn contains \"small\" if input.size == 1\n\ndeny contains \"large\" if input.size == 2\n\ndeny_odd contains \"odd\" if not even\n\neven if to_number(input.half) * 2 == input.size\n",
    );
    env.write("a.json", "{\"size\": 1, \"half\": 0.5}");
    env.write("b.json", "{\"size\": 2, \"half\": \"x\"}");
    let table = env.run("check a.json b.json").expect_code(6).stdout;
    let at = |text: &str, word: &str| text.find(word).unwrap_or_else(|| panic!("no {word} in\n{text}"));
    assert!(at(&table, "large") < at(&table, "small"), "{table}");
    assert!(table.contains("odd (leaned on a suppressed error"), "{table}");
    assert!(
        !table.contains("pass  ") && table.contains("3 pass, 2 fail, 1 warn"),
        "{table}"
    );
    let all = env.run("check a.json b.json --verbose").expect_code(6).stdout;
    assert_eq!(all.lines().filter(|line| line.starts_with("pass ")).count(), 3, "{all}");
}

#[test]
fn results_that_github_would_not_take_are_left_out_with_a_warning() {
    let env = env();
    env.write(
        "policy/p.rego",
        "package main\n\nimport rego.v1\n\ndeny contains sprintf(\"%d\", [n]) if some n in numbers.range(1, input.many)\n",
    );
    env.write("a.json", "{\"many\": 25003}");
    let cut = env.run("check a.json --output sarif --out a.sarif").expect_code(6);
    assert!(cut.stderr.contains("3 results are left out"), "{}", cut.stderr);
    let sarif: Value = serde_json::from_slice(&std::fs::read(env.path("a.sarif")).unwrap()).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 25_000);
}

#[test]
fn what_policies_print_and_which_package_judges_nothing_is_told_beside_the_report() {
    let env = place();
    env.write(
        "policy/other.rego",
        "package other\n\nimport rego.v1\n\ndeny contains \"x\" if input.x\n",
    );
    env.write(
        "policy/says.rego",
        "package main\n\nimport rego.v1\n\nwarn_said contains \"never\" if {\n\tprint(\"keeps\", input.backup.keep)\n\tfalse\n}\n",
    );
    let told = check(&env, "good.yaml --policy policy --json").expect_code(0);
    assert!(
        told.stderr.contains("keeps 14") && told.stderr.contains("other.deny is not evaluated"),
        "{told:?}"
    );
    assert!(!told.stdout.contains("keeps 14"), "{told:?}");
}
