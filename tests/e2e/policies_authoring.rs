//! `muster policy`: rules written, tested, listed and explained from the command line.

use muster_testkit::env::TestEnv;

use crate::env;

const RULES: &str = "package main\n\nimport rego.v1\n\n# METADATA\n# title: Backups are on\n# custom: {id: B-1, severity: high, controls: {soc2: [A1.2]}, remedy: turn them on}\ndeny contains msg if {\n\tinput.backup == false\n\tmsg := sprintf(\"%s has no backup\", [input.name])\n}\n\nwarn contains \"old\" if input.age > 9\n";

const TESTS: &str = "package main\n\nimport rego.v1\n\ntest_deny if {\n\tprint(\"said\")\n\tcount(deny) == 1 with input as {\"name\": \"a\", \"backup\": false}\n}\n\ntest_fine if count(deny) == 0 with input as {\"backup\": true}\n\ntodo_test_warn if false\n";

fn place() -> TestEnv {
    let env = env();
    env.write("policy/backup.rego", RULES);
    env.write("policy/backup_test.rego", TESTS);
    env
}

#[test]
fn tests_run_with_coverage_a_threshold_and_a_pattern() {
    let env = place();
    let plain = env.ok("policy test policy");
    assert!(plain.stdout.contains("2 pass, 0 fail, 0 error, 1 skipped"), "{plain:?}");
    assert!(
        !plain.stdout.contains("said"),
        "what a passing test prints is not told: {plain:?}"
    );
    assert!(env.ok("policy test policy --verbose").stdout.contains("said"));
    let covered = env.ok("policy test policy --coverage --json").json();
    assert_eq!(covered["coverage"]["never_true"][0]["name"], "warn", "{covered}");
    assert_eq!(covered["coverage"]["percent"], 75.0, "{covered}");
    let table = env.ok("policy test policy --coverage").stdout;
    let row = |what: &str, rule: &str| {
        let (_, rest) = table
            .split_once(what)
            .unwrap_or_else(|| panic!("no {what} in\n{table}"));
        assert!(rest.lines().nth(1).unwrap().starts_with(rule), "{table}");
    };
    row("never true", "warn ");
    env.write(
        "policy/sure.rego",
        "package sure\n\nimport rego.v1\n\nsure if input.backup == true\n",
    );
    env.write(
        "policy/sure_test.rego",
        "package sure\n\nimport rego.v1\n\ntest_sure if sure with input as {\"backup\": true}\n",
    );
    let table = env.ok("policy test policy --coverage").stdout;
    let (_, rest) = table.split_once("never false").unwrap_or_else(|| panic!("{table}"));
    assert!(rest.lines().nth(1).unwrap().starts_with("sure "), "{table}");
    for name in ["policy/sure.rego", "policy/sure_test.rego"] {
        std::fs::remove_file(env.path(name)).unwrap();
    }
    env.ok("policy test policy --threshold 60");
    let low = env.run("policy test policy --threshold 101");
    assert_eq!(low.code, 2, "{low:?}");
    env.write(
        "policy/more.rego",
        "package more\n\nimport rego.v1\n\na if input.x\n\nb if input.y\n\nc if input.z\n",
    );
    let low = env.run("policy test policy --threshold 90").expect_code(6);
    assert!(low.stdout.contains("less than 90 %"), "{low:?}");
    assert!(low.stdout.lines().all(|line| line.chars().count() <= 100), "{low:?}");
    let one = env.ok("policy test policy --run test_fine --json").json();
    assert_eq!(one["results"].as_array().unwrap().len(), 1);
    env.run("policy test policy --run nothing").expect_code(8);
    env.run("policy test policy --run (").expect_code(2);
}

#[test]
fn a_failing_test_is_exit_6_and_its_output_is_told() {
    let env = place();
    env.write(
        "policy/red_test.rego",
        "package red\n\nimport rego.v1\n\ntest_red if {\n\tprint(\"here\", 1)\n\tfalse\n}\n\ntest_red if true\n",
    );
    let red = env.run("policy test policy").expect_code(6);
    assert!(
        red.stdout.contains("here 1") && red.stdout.contains("red.test_red "),
        "{red:?}"
    );
    assert!(
        !red.stdout.contains("test_red#01") && !red.stdout.contains("test_fine"),
        "what passes is not listed: {red:?}"
    );
    let all = env.run("policy test policy --verbose").expect_code(6);
    assert!(
        all.stdout.contains("test_red#01") && all.stdout.contains("test_fine"),
        "{all:?}"
    );
    let json = env.run("policy test policy --json").expect_code(6).json();
    assert_eq!(
        json["summary"],
        serde_json::json!({"pass": 3, "fail": 1, "error": 0, "skipped": 1})
    );
}

#[test]
fn a_file_beside_tests_that_is_not_data_is_named() {
    let env = place();
    env.write("policy/fixture.json", "{\"a\": 1}");
    let told = env.ok("policy test policy");
    assert!(
        told.stderr.contains("fixture.json") && told.stderr.contains("--data"),
        "{told:?}"
    );
    let told = env.ok("policy test policy --data policy/fixture.json");
    assert!(!told.stderr.contains("fixture.json"), "{told:?}");
}

#[test]
fn rules_are_listed_and_explained_on_an_input() {
    let env = place();
    let listed = env.ok("policy list policy --json").json();
    assert_eq!(listed["rules"][0]["rule"], "B-1", "{listed}");
    assert_eq!(
        (&listed["rules"][0]["line"], &listed["rules"][0]["severity"]),
        (&8.into(), &"high".into())
    );
    let all = env.ok("policy list");
    assert!(all.stdout.contains("DR-207"), "{all:?}");
    assert!(all.stdout.lines().all(|line| line.chars().count() <= 100), "{all:?}");
    env.write("bad.json", "{\"name\": \"a\", \"backup\": false}");
    env.write("good.json", "{\"name\": \"a\", \"backup\": true}");
    let bad = env.ok("policy explain B-1 --input bad.json");
    for words in [
        "input.backup, input.name",
        "soc2:A1.2",
        "turn them on",
        "gives \"a has no backup\"",
    ] {
        assert!(bad.stdout.contains(words), "no {words} in {bad:?}");
    }
    let good = env.ok("policy explain B-1 --input good.json").stdout;
    let ended = good
        .lines()
        .find(|line| line.contains("input.backup == false"))
        .unwrap();
    assert!(ended.trim_start().starts_with("FALSE"), "{good}");
    assert!(env.ok("policy list policy --verbose").stdout.contains("soc2:A1.2"));
    let good = env.ok("policy explain B-1 --input good.json --json").json();
    let statement = &good["documents"][0]["bodies"][0]["statements"][0];
    assert_eq!(statement["outcome"], "false", "{good}");
    assert_eq!(
        statement["values"][0],
        serde_json::json!({"expression": "input.backup", "values": [true]})
    );
    let shipped = env.ok("policy explain DR-207 --verbose");
    assert!(shipped.stdout.contains("an input that gets fail"), "{shipped:?}");
    env.run("policy explain nothing")
        .expect_code(2)
        .expect_error_to_name(&["nothing", "policy list"]);
}
