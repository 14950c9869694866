//! Policies and inputs that mean harm: each ends in a clear error within its limits, and the other files are judged.

use std::fs::{self, File};
use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use muster_testkit::env::{Outcome, TestEnv};
use serde_json::Value;

use crate::env;

/// Harmless unless the input asks for harm.
const POLICY: &str = r#"package main

import rego.v1

deny contains "never" if {
	input.harm
	some i in numbers.range(1, 2000)
	some j in numbers.range(1, 2000)
	some k in numbers.range(1, 2000)
	i + j + k < 0
}

warn contains "seen" if input.name
"#;

/// The same, and memory grows on the way.
const GREEDY: &str = r#"package main

import rego.v1

deny contains "never" if {
	input.harm
	all := [[i, j, k] | some i in numbers.range(1, 1000); some j in numbers.range(1, 1000); some k in numbers.range(1, 1000)]
	count(all) < 0
}

warn contains "seen" if input.name
"#;

fn place(policy: &str) -> TestEnv {
    let env = env();
    env.write("policy/p.rego", policy);
    env.write("a.yaml", "name: a\n");
    env.write("b.yaml", "name: b\nharm: true\n");
    env.write("c.yaml", "name: c\n");
    env
}

fn check(env: &TestEnv, line: &str) -> Outcome {
    let mut command = env.bare_command();
    command.arg("check").args(line.split_whitespace());
    Outcome::of(command)
}

/// The one error, after making sure that all else was judged.
fn only_error(outcome: &Outcome) -> Value {
    let report = outcome.json();
    let results = report["results"].as_array().unwrap();
    let errors: Vec<&Value> = results.iter().filter(|result| result["verdict"] == "error").collect();
    assert_eq!(errors.len(), 1, "{report}");
    assert_eq!(
        (&report["summary"]["warn"], &report["summary"]["pass"]),
        (&Value::from(3), &Value::from(2)),
        "{report}"
    );
    errors[0].clone()
}

#[test]
fn a_rule_that_eats_memory_is_an_error_and_the_other_files_are_judged() {
    let env = place(GREEDY);
    let outcome = check(&env, "a.yaml b.yaml c.yaml --memory 64MiB --json").expect_code(8);
    let error = only_error(&outcome);
    assert_eq!(
        (&error["rule"], &error["file"]),
        (&"main.deny".into(), &"b.yaml".into())
    );
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("64 MiB of memory"), "{message}");
}

#[test]
fn the_limits_of_a_configuration_hold_where_the_command_line_says_nothing() {
    let env = place(GREEDY);
    env.write("limits.toml", "[policy]\nmemory = \"64MiB\"\n");
    let outcome = check(&env, "a.yaml b.yaml c.yaml --json --config limits.toml").expect_code(8);
    let error = only_error(&outcome);
    assert!(
        error["message"].as_str().unwrap().contains("64 MiB of memory"),
        "{error}"
    );
    let outcome = check(&env, "a.yaml b.yaml c.yaml --json --config limits.toml --memory 80MiB").expect_code(8);
    assert!(outcome.stdout.contains("80 MiB of memory"), "{outcome:?}");
    env.write("limits.toml", "[policy]\nmemory = \"some\"\n");
    check(&env, "a.yaml --config limits.toml")
        .expect_code(2)
        .expect_error_to_name(&["limits.toml", "[policy] memory"]);
}

#[test]
fn over_a_large_document_a_rule_that_eats_memory_leaves_the_others_alone() {
    let env = place(GREEDY);
    env.write(
        "policy/q.rego",
        "package main\n\nimport rego.v1\n\nwarn_long contains \"long\" if count(input.text) > 9\n",
    );
    env.write(
        "b.yaml",
        format!("name: b\nharm: true\ntext: {}\n", "x".repeat(2 << 20)),
    );
    let outcome = check(&env, "b.yaml --memory 64MiB --json").expect_code(8);
    let report = outcome.json();
    let summary = &report["summary"];
    assert_eq!(
        (&summary["error"], &summary["warn"]),
        (&1.into(), &2.into()),
        "{report}"
    );
    assert!(outcome.stdout.contains("64 MiB of memory"), "{report}");
}

#[test]
fn a_rule_without_end_is_an_error_and_the_other_files_are_judged() {
    let env = place(POLICY);
    let outcome = check(&env, "a.yaml b.yaml c.yaml --time 1s --json").expect_code(8);
    let error = only_error(&outcome);
    assert_eq!(error["file"], "b.yaml");
    assert!(error["message"].as_str().unwrap().contains("time"), "{error}");
}

#[test]
fn the_process_that_evaluates_has_no_environment_and_its_end_is_an_error() {
    let env = place(POLICY);
    let mut command = env.bare_command();
    command
        .args(["check", "a.yaml", "b.yaml", "c.yaml", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut run = command.spawn().unwrap();
    // The first end comes while several rules have been asked for: which of them it was is found out by asking again.
    let mut ended = None;
    for _ in 0..2 {
        let child = loop {
            if let Some(child) = child_of(run.id()).filter(|child| ended != Some(*child)) {
                break child;
            }
            assert!(run.try_wait().unwrap().is_none(), "it ended without a child");
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(fs::read(format!("/proc/{child}/environ")).unwrap(), b"");
        // Not before it computes without end.
        while cpu_ticks(child) < 50 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let limits = fs::read_to_string(format!("/proc/{child}/limits")).unwrap();
        let limit = |what: &str| {
            limits
                .lines()
                .find_map(|line| line.strip_prefix(what))
                .unwrap()
                .trim_start()
        };
        for (what, soft) in [
            ("Max data size", ""),
            ("Max cpu time", ""),
            ("Max file size", "0 "),
            ("Max core file size", "0 "),
        ] {
            let limit = limit(what);
            assert!(
                !limit.starts_with("unlimited") && limit.starts_with(soft),
                "{what}: {limit}"
            );
        }
        assert!(
            std::process::Command::new("kill")
                .args(["-9", &child.to_string()])
                .status()
                .unwrap()
                .success()
        );
        ended = Some(child);
    }
    let mut text = String::new();
    run.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(8));
    let report: Value = serde_json::from_str(&text).unwrap();
    let errors: Vec<&Value> = report["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["verdict"] == "error")
        .collect();
    assert_eq!(errors.len(), 1, "{report}");
    assert!(errors[0]["message"].as_str().unwrap().contains("signal 9"), "{report}");
    assert_eq!(report["summary"]["warn"], 3, "{report}");
}

/// The child of a process that evaluates.
fn child_of(parent: u32) -> Option<u32> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).ok()?;
    let children = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    let child = children.flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    child.filter_map(|text| text.parse().ok()).find(|child: &u32| {
        let line = fs::read(format!("/proc/{child}/cmdline"));
        line.is_ok_and(|line| line.windows(17).any(|word| word == b"evaluate-policies"))
    })
}

/// User time in hundredths of a second.
fn cpu_ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let behind = stat.rsplit_once(") ").unwrap().1;
    behind.split(' ').nth(11).unwrap().parse().unwrap()
}

#[test]
fn policies_that_cannot_be_evaluated_are_refused_before() {
    let head = "package main\n\nimport rego.v1\n\n";
    for (name, policy, words) in [
        (
            "recursion",
            "deny contains f(1)\n\nf(x) := f(x + 1)\n".to_owned(),
            "recursive",
        ),
        (
            "brackets",
            format!("deny contains \"x\" if {}1{}\n", "[".repeat(20_000), "]".repeat(20_000)),
            "deep",
        ),
        (
            "a long string",
            format!("deny contains \"{}\"\n", "x".repeat(100 << 20)),
            "policy/p.rego",
        ),
    ] {
        let env = place(&format!("{head}{policy}"));
        let outcome = check(&env, "a.yaml --json").expect_code(2);
        assert!(
            outcome.stdout.contains(words) || outcome.stderr.contains(words),
            "{name}: {outcome:?}"
        );
    }
    let env = place(POLICY);
    env.write("policy/q.rego", b"package main\n\nx := \"\xff\"\n");
    check(&env, "a.yaml")
        .expect_code(2)
        .expect_error_to_name(&["q.rego", "UTF-8"]);
}

#[test]
fn strings_without_end_stay_within_the_limit() {
    let policy = r#"package main

import rego.v1

grown := replace(replace(replace(input.seed, "x", input.seed), "x", input.seed), "x", input.seed)

deny contains "never" if {
	input.harm
	count(grown) < 0
}

warn contains "seen" if input.name
"#;
    let env = place(policy);
    env.write("b.yaml", format!("name: b\nharm: true\nseed: {}\n", "x".repeat(400)));
    let outcome = check(&env, "a.yaml b.yaml c.yaml --memory 128MiB --json").expect_code(8);
    assert_eq!(only_error(&outcome)["file"], "b.yaml");
}

#[test]
fn inputs_that_mean_harm_are_errors_and_the_others_are_judged() {
    let env = place(POLICY);
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let above = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb += &format!("a{level}: &a{level} [{above}]\n");
    }
    env.write("bomb.yaml", bomb);
    env.write("deep.json", format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)));
    env.write("bytes.json", b"{\"name\": \"\xff\xfe\"}");
    File::create(env.path("sparse.json")).unwrap().set_len(1 << 30).unwrap();
    env.write("long.json", format!("{{\"name\": \"{}\"}}", "x".repeat(100 << 20)));
    let outcome = check(
        &env,
        "bomb.yaml deep.json bytes.json sparse.json long.json a.yaml --json",
    )
    .expect_code(8);
    let report = outcome.json();
    let results = report["results"].as_array().unwrap();
    for (file, words) in [
        ("bomb.yaml", "aliases"),
        ("deep.json", "recursion limit"),
        ("bytes.json", "UTF-8"),
        ("sparse.json", "the limit is"),
    ] {
        let of_file: Vec<&Value> = results.iter().filter(|result| result["file"] == file).collect();
        assert_eq!(of_file.len(), 1, "{file}: {of_file:?}");
        assert_eq!(of_file[0]["verdict"], "error");
        assert!(
            of_file[0]["message"].as_str().unwrap().contains(words),
            "{file}: {of_file:?}"
        );
    }
    for file in ["long.json", "a.yaml"] {
        let seen = results
            .iter()
            .filter(|result| result["file"] == file && result["verdict"] == "warn");
        assert_eq!(seen.count(), 1, "{file}");
    }
}

#[test]
fn standard_input_without_end_is_refused() {
    let env = place(POLICY);
    let sparse = File::create_new(env.path("endless")).unwrap();
    sparse.set_len((64 << 20) + 1).unwrap();
    let mut command = env.bare_command();
    command
        .args(["check", "-"])
        .stdin(Stdio::from(File::open(env.path("endless")).unwrap()));
    let refused = Outcome::of(command).expect_code(8);
    assert!(refused.stderr.contains("longer than 64 MiB"), "{refused:?}");
}

#[test]
fn conftest_and_unit_tests_survive_their_evaluation_too() {
    let env = place(GREEDY);
    env.write(
        "policy/p_test.rego",
        "package main\n\nimport rego.v1\n\ntest_plain if warn == {\"seen\"} with input as {\"name\": 1}\n\ntest_grown if {\n\tx := numbers.range(1, 3)\n\tcount(x) == 3\n}\n",
    );
    let mut command = env.bare_command();
    command.args(["policy", "test", "policy", "--json"]);
    let report = Outcome::of(command).expect_code(0).json();
    assert_eq!(report["summary"]["pass"], 2, "{report}");
    let mut command = env.bare_command();
    command.args(["conftest", "test", "a.yaml", "c.yaml", "--output", "json"]);
    let outcome = Outcome::of(command).expect_code(0);
    assert_eq!(outcome.stdout.matches("\"seen\"").count(), 2, "{outcome:?}");
}
