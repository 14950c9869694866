//! `conftest`: its flags, configuration, forms and exit codes, byte for byte, from a program that is only called by that name.
//!
//! Goldens are written from what Conftest's source says, not from what this binary printed.

mod forms;
mod judging;

use std::io::Write;
use std::process::Stdio;

use muster_testkit::env::{Outcome, TestEnv};

use crate::env;

const POLICY: &str = r#"package main

import rego.v1

deny contains msg if {
	input.kind == "Deployment"
	not input.spec.securityContext.runAsNonRoot
	msg := "Containers must not run as root"
}

deny_labels contains {"msg": msg, "team": "web", "_loc": {"file": "other.yaml", "line": 7}} if {
	not input.metadata.labels
	msg := sprintf("%s has no <labels>", [input.metadata.name])
}

warn contains msg if {
	input.kind == "Service"
	msg := "services are not loved"
}

exception contains ["labels"] if input.metadata.name == "excepted"
"#;

const TESTS: &str = r#"package main

import rego.v1

test_root if "Containers must not run as root" in deny with input as {"kind": "Deployment", "metadata": {"labels": {}}}

test_wrong if {
	print("about to fail")
	trace("look here")
	count(deny) == 5
}

todo_test_later if false
"#;

/// A folder with a policy, three inputs and the program under the name `conftest`.
fn place() -> TestEnv {
    let env = env();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_muster"), env.path("conftest")).unwrap();
    env.write("policy/main.rego", POLICY);
    env.write(
        "other/extra.rego",
        "package extra.checks\nimport rego.v1\ndeny contains \"extra\"\n",
    );
    env.write("bad.yaml", "kind: Deployment\nmetadata:\n  name: web\n");
    env.write("svc.yaml", "kind: Service\nmetadata:\n  name: web\n  labels: {a: b}\n");
    env.write(
        "good.json",
        r#"{"kind": "Pod", "metadata": {"name": "p", "labels": {}}}"#,
    );
    env.write("excepted.yaml", "kind: Pod\nmetadata:\n  name: excepted\n");
    env
}

fn run_with(env: &TestEnv, line: &str, variables: &[(&str, &str)], stdin: &str) -> Outcome {
    let mut command = std::process::Command::new(env.path("conftest"));
    command
        .env_clear()
        .envs(variables.iter().copied())
        .current_dir(env.path(""))
        .args(line.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that reads no input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    Outcome::from_output(format!("conftest {line}"), child.wait_with_output().unwrap())
}

fn run(env: &TestEnv, line: &str) -> Outcome {
    run_with(env, line, &[], "")
}

#[track_caller]
fn says(env: &TestEnv, line: &str, code: i32, stdout: &str) {
    let outcome = run(env, line).expect_code(code);
    assert_eq!(outcome.stdout, stdout, "conftest {line}\n{}", outcome.stderr);
}

#[track_caller]
fn fails(env: &TestEnv, line: &str, error: &str) {
    let outcome = run(env, line).expect_code(1);
    assert_eq!(
        (outcome.stderr.as_str(), outcome.stdout.as_str()),
        (error, ""),
        "conftest {line}"
    );
}

#[test]
fn what_fails_is_exit_1_and_a_line_each_with_a_coloured_sum() {
    let env = place();
    says(
        &env,
        "test bad.yaml svc.yaml",
        1,
        "\u{1b}[31mFAIL\u{1b}[0m - bad.yaml - main - Containers must not run as root\n\
         \u{1b}[31mFAIL\u{1b}[0m - bad.yaml - main - web has no <labels>\n\
         \u{1b}[33mWARN\u{1b}[0m - svc.yaml - main - services are not loved\n\n\
         \u{1b}[31m6 tests, 3 passed, 1 warning, 2 failures, 0 exceptions\u{1b}[0m\n",
    );
    says(
        &env,
        "test good.json --no-color",
        0,
        "\n3 tests, 3 passed, 0 warnings, 0 failures, 0 exceptions\n",
    );
    // The same, behind the name of the other program.
    let mut command = env.bare_command();
    command.args(["conftest", "test", "--no-color", "svc.yaml"]);
    assert_eq!(
        Outcome::of(command).expect_code(0).stdout,
        "WARN - svc.yaml - main - services are not loved\n\n3 tests, 2 passed, 1 warning, 0 failures, 0 exceptions\n"
    );
}

#[test]
fn warnings_fail_nothing_or_all_as_the_flags_say() {
    let env = place();
    for (line, code) in [
        ("test svc.yaml", 0),
        ("test svc.yaml --fail-on-warn", 1),
        ("test svc.yaml bad.yaml --fail-on-warn", 2),
        ("test bad.yaml --no-fail", 0),
        ("test bad.yaml --no-fail=false", 1),
        ("test svc.yaml --quiet", 0),
    ] {
        run(&env, line).expect_code(code);
    }
    says(&env, "test svc.yaml --quiet", 0, "");
    assert!(
        run(&env, "test bad.yaml --quiet --no-fail")
            .expect_code(0)
            .stdout
            .contains("FAIL")
    );
}

#[test]
fn namespaces_are_literal_unless_they_hold_a_wildcard() {
    let env = place();
    let sum = |line: &str| run(&env, line).stdout.lines().last().unwrap_or_default().to_owned();
    let none = "0 tests, 0 passed, 0 warnings, 0 failures, 0 exceptions";
    assert_eq!(sum("test good.json --no-color -n nowhere"), none);
    assert_eq!(
        sum("test good.json --no-color -p policy -p other -n extra.*"),
        "1 test, 0 passed, 0 warnings, 1 failure, 0 exceptions"
    );
    assert_eq!(
        sum("test good.json --no-color -p policy,other --all-namespaces"),
        "4 tests, 3 passed, 0 warnings, 1 failure, 0 exceptions"
    );
    assert_eq!(
        sum("test good.json --no-color -p policy,other -n main,extra.checks"),
        "4 tests, 3 passed, 0 warnings, 1 failure, 0 exceptions"
    );
}

#[test]
fn a_setting_is_the_flag_s_else_the_environment_s_else_the_file_s() {
    let env = place();
    env.write(
        "conftest.toml",
        "policy = \"other\"\nnamespace = [\"extra.checks\"]\nno-color = true\n",
    );
    let one = "1 test, 0 passed, 0 warnings, 1 failure, 0 exceptions\n";
    says(
        &env,
        "test good.json",
        1,
        &format!("FAIL - good.json - extra.checks - extra\n\n{one}"),
    );
    let from = |line: &str, variables: &[(&str, &str)]| run_with(&env, line, variables, "").stdout;
    let three = "\n3 tests, 3 passed, 0 warnings, 0 failures, 0 exceptions\n";
    assert_eq!(
        from(
            "test good.json",
            &[("CONFTEST_POLICY", "policy"), ("CONFTEST_NAMESPACE", "main")]
        ),
        three
    );
    assert_eq!(
        from(
            "test good.json -p policy",
            &[("CONFTEST_POLICY", "x"), ("CONFTEST_NAMESPACE", "main")]
        ),
        three
    );
    env.write("elsewhere.yaml", "policy: [policy]\noutput: azuredevops\n");
    assert!(from("-c elsewhere.yaml test good.json", &[]).starts_with("##[section]Testing 'good.json' against 3"));
    assert!(from("test good.json", &[("CONFTEST_CONFIG_FILE", "elsewhere.yaml")]).starts_with("##[section]"));
    fails(
        &env,
        "test good.json --config-file nowhere.toml",
        "Error: read in config: error reading config: open nowhere.toml: no such file or directory\n",
    );
}

#[test]
fn nothing_to_judge_or_to_judge_by_is_exit_1_in_conftest_s_words() {
    let env = place();
    let empty = env.path("empty");
    std::fs::create_dir(&empty).unwrap();
    for (line, error) in [
        (
            "test nowhere.yaml",
            "running test: parse files: get file info: stat nowhere.yaml: no such file or directory",
        ),
        ("test empty", "running test: parse files: no files found"),
        (
            "test good.json -p empty",
            "running test: load: loading policies: no policies found in [empty]",
        ),
        (
            "test good.json -p nowhere",
            "running test: load: loading policies: load: 1 error occurred during loading: stat nowhere: no such file or directory",
        ),
        (
            "test good.json --rego-version v3",
            "running test: load: loading policies: invalid Rego version: v3",
        ),
        ("test good.json --polcy x", "unknown flag: --polcy"),
        ("test good.json -x", "unknown shorthand flag: 'x' in -x"),
        ("test good.json --policy", "flag needs an argument: --policy"),
        ("parse", "must supply path to at least one file"),
        // Formats that only muster has are not taken where Conftest has none.
        (
            "test good.json --parser postgresql",
            "running test: parse configurations: new parser: unknown parser: postgresql, path: good.json",
        ),
        (
            "test good.json --parser yamll",
            "running test: parse configurations: new parser: unknown parser: yamll, path: good.json",
        ),
    ] {
        fails(&env, line, &format!("Error: {error}\n"));
    }
    let missing = run(&env, "test").expect_code(1);
    assert!(missing.stderr.ends_with("Error: missing required arguments\n") && missing.stderr.starts_with("Usage:"));
    let unknown = run(&env, "tets good.json").expect_code(1);
    assert!(
        unknown
            .stderr
            .starts_with("Error: unknown command \"tets\" for \"conftest\"")
    );
    for command in ["push", "plugin", "fmt", "doc"] {
        let refused = run(&env, command).expect_code(1);
        assert!(
            refused
                .stderr
                .starts_with(&format!("Error: conftest {command}: muster ")),
            "{}",
            refused.stderr
        );
    }
    assert!(run(&env, "--help").expect_code(0).stdout.contains("verify"));
    assert!(
        run(&env, "test --help")
            .expect_code(0)
            .stdout
            .contains("--suppress-exceptions")
    );
    assert!(
        run(&env, "--version")
            .expect_code(0)
            .stdout
            .starts_with("Conftest: muster ")
    );
}

#[test]
fn a_file_that_does_not_parse_ends_the_run() {
    let env = place();
    env.write("broken.yaml", "a: [1\n");
    let outcome = run(&env, "test good.json broken.yaml").expect_code(1);
    assert!(
        outcome
            .stderr
            .starts_with("Error: running test: parse configurations: parser unmarshal: ")
            && outcome.stderr.ends_with(", path: broken.yaml\n"),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.stdout, "");
}

#[test]
fn standard_input_is_yaml_unless_a_parser_is_named_and_may_have_a_name() {
    let env = place();
    let yaml = "kind: Service\nmetadata: {labels: {}}\n";
    let line = "services are not loved\n\n3 tests, 2 passed, 1 warning, 0 failures, 0 exceptions\n";
    let piped = |line: &str, stdin: &str| run_with(&env, line, &[], stdin).expect_code(0).stdout;
    assert_eq!(piped("test --no-color -", yaml), format!("WARN - - main - {line}"));
    assert_eq!(
        piped("test --no-color --stdin-filename x.yaml -", yaml),
        format!("WARN - x.yaml - main - {line}")
    );
    let toml = piped(
        "test --no-color --parser toml -",
        "kind = \"Service\"
[metadata]
labels = \"x\"
",
    );
    assert_eq!(toml, format!("WARN - - main - {line}"));
    assert!(piped("test -o json -", yaml).contains("\t\t\"filename\": \"\",\n"));
}

#[test]
fn folders_give_the_files_whose_names_announce_a_format_and_the_pattern_leaves_out() {
    let env = place();
    env.write("in/a.yaml", "kind: Service\nmetadata: {labels: {}}\n");
    env.write("in/deep/b.yml", "kind: Service\nmetadata: {labels: {}}\n");
    env.write("in/notes.txt", "not a configuration");
    let warned = |line: &str| run(&env, line).expect_code(0).stdout.matches("WARN").count();
    assert_eq!(warned("test in"), 2);
    assert_eq!(warned("test in --ignore deep/"), 1);
    // What is named outright must have a parser.
    fails(
        &env,
        "test in/notes.txt",
        "Error: running test: parse configurations: new parser: new: unknown parser: txt, path: in/notes.txt\n",
    );
}

#[test]
fn several_documents_are_judged_one_by_one_and_told_together_and_combined_they_are_one_list() {
    let env = place();
    env.write(
        "two.yaml",
        "kind: Service\nmetadata: {labels: {}}\n---\nkind: Service\nmetadata: {labels: {}}\n",
    );
    says(
        &env,
        "test two.yaml --no-color",
        0,
        "WARN - two.yaml - main - services are not loved\nWARN - two.yaml - main - services are not loved\n\n\
         6 tests, 4 passed, 2 warnings, 0 failures, 0 exceptions\n",
    );
    env.write(
        "combined/p.rego",
        "package main\nimport rego.v1\ndeny contains msg if { some x in input; msg := sprintf(\"%s %s\", [x.path, x.contents.kind]) }\n",
    );
    says(
        &env,
        "test two.yaml good.json --combine -p combined --no-color",
        1,
        "FAIL - Combined - main - good.json Pod\nFAIL - Combined - main - two.yaml Service\n\n\
         2 tests, 0 passed, 0 warnings, 2 failures, 0 exceptions\n",
    );
}

#[test]
fn data_lies_beneath_its_folders_and_the_file_is_told_to_the_policy() {
    let env = place();
    env.write("data/allowed/teams.yaml", "names: [web]\n");
    env.write(
        "asks/p.rego",
        "package main\nimport rego.v1\nimport data.conftest.file\nwarn contains sprintf(\"%s %s\", [file.name, data.allowed.names[0]])\n",
    );
    says(
        &env,
        "test good.json svc.yaml -p asks -d data --no-color",
        0,
        "WARN - good.json - main - good.json web\nWARN - svc.yaml - main - svc.yaml web\n\n\
         2 tests, 0 passed, 2 warnings, 0 failures, 0 exceptions\n",
    );
}

#[test]
fn policies_see_the_environment_and_files_beside_them_and_what_they_print_is_told() {
    let env = place();
    env.write("beside/lists/x.ini", "[s]\nx = one\n");
    env.write(
        "beside/p.rego",
        "package main\nimport rego.v1\nwarn contains msg if {\n\tf := parse_config_file(\"lists/x.ini\")\n\tprint(\"saw\", f.s.x)\n\
         \tmsg := sprintf(\"%s %s\", [f.s.x, opa.runtime().env.STAGE])\n}\n\
         warn_all contains c.contents.s.x if some c in parse_combined_config_files([\"lists/x.ini\"])\n",
    );
    let outcome = run_with(&env, "test good.json -p beside --no-color", &[("STAGE", "prod")], "").expect_code(0);
    assert_eq!(
        outcome.stdout,
        "PRNT   beside/p.rego:5: saw one\n\nWARN - good.json - main - one prod\nWARN - good.json - main - one\n\n\
         2 tests, 0 passed, 2 warnings, 0 failures, 0 exceptions\n"
    );
}

#[test]
fn the_version_of_rego_is_what_the_flag_says() {
    let env = place();
    env.write("old/p.rego", "package main\ndeny[msg] { msg := \"old\" }\n");
    let refused = run(&env, "test good.json -p old").expect_code(1);
    assert!(
        refused.stderr.starts_with(
            "Error: running test: load: loading policies: load: 1 error occurred during loading: old/p.rego:2: rego_parse_error: "
        ),
        "{}",
        refused.stderr
    );
    says(
        &env,
        "test good.json -p old --rego-version v0 --no-color",
        1,
        "FAIL - good.json - main - old\n\n1 test, 0 passed, 0 warnings, 1 failure, 0 exceptions\n",
    );
    env.write(
        "if/p.rego",
        "package main\nimport rego.v1\ndeny[msg] if { msg := \"x\" }\n",
    );
    fails(
        &env,
        "test good.json -p if",
        "Error: running test: load: loading policies: rule is using 'if' keyword without 'contains' keyword: rule in if/p.rego at line 3\n",
    );
}

#[test]
fn strict_mode_and_capabilities_refuse_all_that_they_find() {
    let env = place();
    env.write(
        "loose/p.rego",
        "package main\nimport rego.v1\nok if { a := 1 }\nf(x) if { b := 2 }\n",
    );
    run(&env, "test good.json -p loose").expect_code(0);
    let refused = run(&env, "test good.json -p loose --strict").expect_code(1);
    for what in [
        "get compiler: 3 errors occurred:\n",
        "loose/p.rego:3: rego_compile_error: assigned var a unused",
        "loose/p.rego:4: rego_compile_error: assigned var b unused",
        "loose/p.rego:4: rego_compile_error: unused argument x",
    ] {
        assert!(refused.stderr.contains(what), "{}", refused.stderr);
    }
    env.write("few.json", r#"{"builtins": [{"name": "sprintf"}, {"name": "equal"}]}"#);
    run(&env, "test good.json --capabilities few.json").expect_code(0);
    env.write(
        "more/p.rego",
        "package main\nimport rego.v1\nok if http.send({\"url\": opa.runtime().env.URL})\n",
    );
    let refused = run(&env, "test good.json --capabilities few.json -p policy -p more").expect_code(1);
    for what in ["undefined function http.send", "undefined function opa.runtime"] {
        assert!(refused.stderr.contains(what), "{}", refused.stderr);
    }
}

#[test]
fn an_error_of_a_built_in_function_is_lenient_unless_it_is_asked_for() {
    let env = place();
    env.write(
        "odd/p.rego",
        "package main\nimport rego.v1\ndeny contains \"never\" if to_number(\"x\") > 0\n",
    );
    run(&env, "test good.json -p odd").expect_code(0);
    let shown = run(&env, "test good.json -p odd --show-builtin-errors").expect_code(1);
    assert!(
        shown
            .stderr
            .starts_with("Error: running test: query rule: check: query rule: built-in error: ["),
        "{}",
        shown.stderr
    );
    // What would need the network is never a silent pass.
    env.write(
        "net/p.rego",
        "package main\nimport rego.v1\ndeny contains \"never\" if net.lookup_ip_addr(\"x.invalid\")\n",
    );
    let refused = run(&env, "test good.json -p net").expect_code(1);
    assert!(refused.stderr.contains("evaluating policy: ") && refused.stderr.contains("net.lookup_ip_addr"));
}

#[test]
fn verify_runs_the_unit_tests_and_reports_them() {
    let env = place();
    env.write("policy/main_test.rego", TESTS);
    says(
        &env,
        "verify --no-color",
        1,
        "FAIL - policy/main_test.rego -  - data.main.test_wrong\n\n\
         3 tests, 1 passed, 0 warnings, 1 failure, 0 exceptions, 1 skipped\n",
    );
    says(
        &env,
        "verify --no-color --namespace nowhere",
        0,
        "\n0 tests, 0 passed, 0 warnings, 0 failures, 0 exceptions, 0 skipped\n",
    );
    fails(
        &env,
        "verify -o tap --report full",
        "Error: report flag is supported with stdout only\n",
    );
    let report = run(&env, "verify --report notes").expect_code(1).stdout;
    for what in [
        "policy/main_test.rego:5:\ndata.main.test_root: PASS (",
        "data.main.test_wrong: FAIL (",
        "\n\n  about to fail\n\n",
        "data.main.todo_test_later: SKIPPED\n",
        "FAILURES\n",
        "  Note \"look here\"\n",
        "PASS: 1/3\nFAIL: 1/3\nSKIPPED: 1/3\n",
    ] {
        assert!(report.contains(what), "{what:?} in\n{report}");
    }
    // Tests are no configuration's business, and their files judge like any other.
    run(&env, "test good.json").expect_code(0);
}

#[test]
fn policies_come_from_this_file_system_and_from_nowhere_else() {
    let env = place();
    run(&env, "pull -p got other/extra.rego").expect_code(0);
    assert!(env.path("got/extra.rego").is_file());
    fails(
        &env,
        "pull -p got other/extra.rego",
        "Error: download policies: policy file already exists at got/extra.rego, refusing to overwrite\n",
    );
    let updated = run(&env, "test good.json -p fresh --update other -n extra.checks").expect_code(1);
    assert!(updated.stdout.contains("extra"), "{}", updated.stderr);
    let remote = run(&env, "test good.json --update https://example.invalid/p.rego").expect_code(1);
    assert!(
        remote.stderr.contains("muster fetches no policies over the network"),
        "{}",
        remote.stderr
    );
}
