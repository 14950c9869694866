//! `muster check` says what is so: what was not evaluated is not green, what is not known is not a pass, and a finding is where it says.

use muster_testkit::env::{Outcome, TestEnv};
use serde_json::{Value, json};

use crate::env;

const RULES: &str = r#"package main

import rego.v1

# METADATA
# title: Enough copies are kept
# custom: {id: KEEP-1, severity: high}
deny contains {"msg": msg, "path": ["backup", "keep"]} if {
	input.backup.keep < 7
	msg := sprintf("keeps %d", [input.backup.keep])
}

# METADATA
# custom: {id: NAME-1}
warn contains "has no name" if not input.name
"#;

fn place(policy: &str) -> TestEnv {
    let env = env();
    env.write("policy/p.rego", policy);
    env
}

fn check(env: &TestEnv, line: &str) -> Outcome {
    let mut command = env.bare_command();
    command.arg("check").args(line.split_whitespace());
    Outcome::of(command)
}

/// Rule, verdict, file, line and column of each result.
fn told(outcome: &Outcome) -> Vec<(String, String, String, Value, Value)> {
    let text = |result: &Value, key: &str| result[key].as_str().unwrap_or_default().to_owned();
    let results = outcome.json()["results"].as_array().unwrap().clone();
    let each = results.iter().map(|result| {
        let place = (
            result["line"].clone(),
            result.get("column").cloned().unwrap_or_default(),
        );
        (
            text(result, "rule"),
            text(result, "verdict"),
            text(result, "file"),
            place.0,
            place.1,
        )
    });
    each.collect()
}

fn verdicts<'a>(told: &'a [(String, String, String, Value, Value)], file: &str) -> Vec<(&'a str, &'a str)> {
    let of_file = told.iter().filter(|result| result.2 == file);
    of_file.map(|result| (result.0.as_str(), result.1.as_str())).collect()
}

#[test]
fn a_required_rule_that_does_not_report_is_an_error() {
    let env = place(RULES);
    env.write("good.yaml", "name: a\nbackup: {keep: 9}\n");
    check(&env, "good.yaml --require KEEP-1 --require NAME-1").expect_code(0);
    let lost = check(&env, "good.yaml --require KEEP-1 --require KEEP-2 --json").expect_code(8);
    let errors: Vec<_> = told(&lost).into_iter().filter(|result| result.1 == "error").collect();
    assert_eq!(errors.len(), 1, "{lost:?}");
    assert_eq!(errors[0].0, "KEEP-2");
    // Nothing that could be judged: neither rule reported.
    env.write("broken.yaml", "a: [1\n");
    let none = check(&env, "broken.yaml --require KEEP-1 --json").expect_code(8);
    assert_eq!(none.json()["summary"]["error"], 2, "{none:?}");
}

#[test]
fn nothing_evaluated_is_exit_8_however_it_came_about() {
    let env = place(RULES);
    env.write("good.yaml", "name: a\nbackup: {keep: 9}\n");
    env.write("notes.txt", "text\n");
    std::fs::create_dir(env.path("empty")).unwrap();
    for line in [
        "good.yaml --namespace other",
        "good.yaml --namespace main --namespace other",
        "good.yaml --profile dr-baseline",
        "empty",
        "notes.txt",
        "no-such-file.yaml",
        "*.toml",
    ] {
        check(&env, line).expect_code(8);
    }
    for line in [
        "good.yaml --profile no-such-profile",
        "good.yaml --parser no-such-parser",
    ] {
        check(&env, line).expect_code(2);
    }
}

#[test]
fn a_file_that_cannot_be_parsed_is_an_error_and_the_others_are_judged() {
    let env = place(RULES);
    for (file, text) in [
        ("in/a.yaml", "name: a\nbackup: {keep: 9}\n"),
        ("in/b.yaml", "name: [\n"),
        ("in/c.json", "{"),
        ("in/d.toml", "a =\n"),
        ("in/e.tf", "resource \"a\" {\n"),
        ("in/f.ini", "no section and no key\n"),
        ("in/g.xml", "<a><b></a>"),
        ("in/Dockerfile", "FROM a\nFRUM b\n"),
        ("in/h.jsonnet", "{ a: import 'b.libsonnet' }"),
        ("in/i.textproto", "a: 1\n"),
        ("in/j.cyclonedx", "<sbom/>"),
        ("in/k.env", "what is this\n"),
        ("in/z.yaml", "name: z\nbackup: {keep: 3}\n"),
    ] {
        env.write(file, text);
    }
    let outcome = check(&env, "in --json").expect_code(6);
    let told = told(&outcome);
    assert_eq!(verdicts(&told, "in/a.yaml"), [("KEEP-1", "pass"), ("NAME-1", "pass")]);
    assert_eq!(verdicts(&told, "in/z.yaml"), [("NAME-1", "pass"), ("KEEP-1", "fail")]);
    let unread: Vec<&str> = told
        .iter()
        .filter(|result| result.1 == "error")
        .map(|result| result.2.as_str())
        .collect();
    assert_eq!(unread.len(), 11, "{unread:?}");
    std::fs::remove_file(env.path("in/z.yaml")).unwrap();
    check(&env, "in").expect_code(8);
    // Named outright, a format without a parser is told by its name.
    env.write("x.cue", "a: 1\n");
    let cue = check(&env, "x.cue").expect_code(8);
    assert!(cue.stdout.contains("no parser for cue"), "{cue:?}");
}

#[test]
fn strict_refuses_what_is_not_used_and_makes_a_suppressed_error_the_verdict() {
    let lenient = "package main\n\nimport rego.v1\n\ndeny contains \"x\" if to_number(input.port) < 1024\n";
    let env = place(lenient);
    env.write("a.yaml", "port: http\n");
    let passed = check(&env, "a.yaml --json").expect_code(0);
    assert!(
        passed.stdout.contains("to_number"),
        "a verdict that leaned on it says so: {passed:?}"
    );
    assert!(
        check(&env, "a.yaml")
            .expect_code(0)
            .stdout
            .contains("1 of them leaned on")
    );
    for form in ["tap", "junit"] {
        env.write(
            "policy/w.rego",
            "package main\n\nimport rego.v1\n\nwarn contains \"w\" if not to_number(input.port)\n",
        );
        let told = check(&env, &format!("a.yaml --output {form}")).expect_code(0);
        assert!(told.stdout.contains("leaned on a suppressed error"), "{form}: {told:?}");
        std::fs::remove_file(env.path("policy/w.rego")).unwrap();
    }
    let strict = check(&env, "a.yaml --strict --json").expect_code(8);
    assert_eq!(strict.json()["summary"]["error"], 1);
    env.write(
        "policy/p.rego",
        "package main\n\nimport rego.v1\n\ndeny contains \"x\" if {\n\ty := 1\n\tinput.port == 1\n}\n",
    );
    check(&env, "a.yaml").expect_code(0);
    let unused = check(&env, "a.yaml --strict").expect_code(2);
    assert!(unused.stderr.contains("y unused"), "{unused:?}");
    assert!(
        unused.stderr.contains("\n    |"),
        "the policy's line stands on a line: {unused:?}"
    );
}

#[test]
fn findings_stand_where_they_say_in_every_format_that_has_lines() {
    let env = place(RULES);
    for (file, text, place) in [
        ("a.yaml", "name: a\nbackup:\n  keep: 3\n", (3, 3)),
        (
            "a.json",
            "{\n  \"name\": \"a\",\n  \"backup\": {\"keep\": 3}}\n",
            (3, 14),
        ),
        (
            "a.jsonc",
            "{ // c\n  \"name\": \"a\", /* {\n */ \"backup\": {\"keep\": 3,}}\n",
            (3, 16),
        ),
        ("a.toml", "name = \"a\"\n[backup]\n  keep = 3\n", (3, 3)),
        ("a.ini", "[backup]\n; c\nkeep = 3\n", (3, 1)),
        (
            "list.json",
            "[{\"name\": \"a\", \"backup\": {\"keep\": 9}},\n {\"name\": \"b\",\n  \"backup\": {\"keep\": 3}}]\n",
            (3, 14),
        ),
        (
            "many.yaml",
            "---\n---\nname: a\nbackup: {keep: 9}\n---\nname: b\nbackup:\n  keep: 3\n",
            (8, 3),
        ),
    ] {
        env.write(file, text);
        let outcome = check(&env, &format!("{file} --json")).expect_code(6);
        let told = told(&outcome);
        let failed: Vec<_> = told.iter().filter(|result| result.1 == "fail").collect();
        assert_eq!(failed.len(), 1, "{file}: {told:?}");
        assert_eq!(
            (&failed[0].3, &failed[0].4),
            (&json!(place.0), &json!(place.1)),
            "{file}: {failed:?}"
        );
    }
    // The format that was named counts, not the file's name; and what was combined points at its own file.
    env.write("conf", "name = \"a\"\n[backup]\nkeep = 3\n");
    let named = told(&check(&env, "conf --parser toml --json").expect_code(6));
    let failed = named.iter().find(|result| result.1 == "fail").unwrap();
    assert_eq!((&failed.3, &failed.4), (&json!(3), &json!(1)));
    env.write(
        "policy/p.rego",
        "package main\n\nimport rego.v1\n\ndeny contains {\"msg\": \"few\", \"path\": [i, \"contents\", \"backup\", \"keep\"]} if input[i].contents.backup.keep < 7\n",
    );
    let all = told(&check(&env, "a.toml a.yaml --combine --json").expect_code(6));
    let places: Vec<_> = all.iter().map(|result| (result.2.as_str(), result.3.clone())).collect();
    assert_eq!(places, [("a.toml", json!(3)), ("a.yaml", json!(3))]);
}

#[test]
fn a_docker_file_s_finding_stands_at_its_instruction() {
    let env = place(
        "package main\n\nimport rego.v1\n\ndeny contains {\"msg\": \"no sudo\", \"path\": [i]} if {\n\tinput[i].Cmd == \"run\"\n\tcontains(input[i].Value[0], \"sudo\")\n}\n",
    );
    env.write(
        "Dockerfile",
        "# a comment\nFROM alpine:3.20\nCOPY <<EOF /x\nRUN sudo\nEOF\n\nRUN true && \\\n  sudo true\n",
    );
    let outcome = check(&env, "Dockerfile --json").expect_code(6);
    assert_eq!(told(&outcome)[0].3, json!(7), "{outcome:?}");
}

/// As `terraform show -json` writes it, with two resources whose encryption is known for one of them only.
const PLAN: &str = r#"{
  "format_version": "1.2", "terraform_version": "1.9.8",
  "planned_values": {"root_module": {"resources": [
    {"address": "aws_ebs_volume.a", "mode": "managed", "type": "aws_ebs_volume", "name": "a",
     "values": {"encrypted": true, "size": 8}},
    {"address": "aws_ebs_volume.b", "mode": "managed", "type": "aws_ebs_volume", "name": "b",
     "values": {"size": 8}}]}},
  "resource_changes": [
    {"address": "aws_ebs_volume.a", "type": "aws_ebs_volume", "name": "a",
     "change": {"actions": ["create"], "before": null, "after": {"encrypted": true, "size": 8},
       "after_unknown": {"arn": true, "id": true, "kms_key_id": true}, "after_sensitive": {}}},
    {"address": "aws_ebs_volume.b", "type": "aws_ebs_volume", "name": "b",
     "change": {"actions": ["create"], "before": null, "after": {"size": 8},
       "after_unknown": {"arn": true, "id": true, "encrypted": true}, "after_sensitive": {}}}]
}
"#;

#[test]
fn a_plan_s_value_that_is_not_known_yet_is_not_a_pass_but_under_conftest() {
    let off = "package main\n\nimport rego.v1\n\ndeny contains rc.address if {\n\tsome rc in input.resource_changes\n\trc.change.after.encrypted == false\n}\n";
    let env = place(off);
    env.write("plan.json", PLAN);
    let outcome = check(&env, "plan.json --json").expect_code(3);
    let result = &outcome.json()["results"][0];
    assert_eq!(result["verdict"], "unknown");
    assert_eq!(result["path"], "/resource_changes/1/change/after/encrypted");
    assert_eq!(result["line"], 13, "as far as the path leads: {result}");
    for (form, word) in [
        ("tap", "not ok 1"),
        ("junit", "type=\"unknown\""),
        ("github", "::warning"),
        ("markdown", "unknown"),
    ] {
        let told = check(&env, &format!("plan.json --output {form}")).expect_code(3);
        assert!(told.stdout.contains(word), "{form}: {told:?}");
    }
    // A failure in what is known stays one, and what a rule does not look at does not matter.
    env.write("policy/p.rego", off.replace("encrypted == false", "size < 100"));
    check(&env, "plan.json").expect_code(6);
    env.write("policy/p.rego", off.replace("encrypted == false", "size > 100"));
    check(&env, "plan.json").expect_code(0);
    env.write("policy/p.rego", off);
    let mut conftest = env.bare_command();
    conftest.args(["conftest", "test", "plan.json"]);
    let conftest = Outcome::of(conftest).expect_code(0);
    assert!(conftest.stdout.contains("1 test, 1 passed"), "{conftest:?}");
}

#[test]
fn what_is_not_literal_in_hcl_is_not_a_pass_and_its_text_is_what_conftest_gives() {
    let env = place(
        "package main\n\nimport rego.v1\n\ndeny contains name if {\n\tsome name, b in input.resource.aws_s3_bucket\n\tb[_].acl == \"public-read\"\n}\n",
    );
    env.write(
        "main.tf",
        "resource \"aws_s3_bucket\" \"a\" {\n  acl = \"private\"\n}\n",
    );
    check(&env, "main.tf").expect_code(0);
    env.write(
        "main.tf",
        "variable \"acl\" {}\n\nresource \"aws_s3_bucket\" \"a\" {\n  acl = var.acl\n}\n",
    );
    let unknown = told(&check(&env, "main.tf --json").expect_code(3));
    assert_eq!(
        (unknown[0].1.as_str(), &unknown[0].3, &unknown[0].4),
        ("unknown", &json!(4), &json!(3))
    );
    let mut parse = env.bare_command();
    parse.args(["conftest", "parse", "main.tf"]);
    assert!(
        Outcome::of(parse)
            .expect_code(0)
            .stdout
            .contains("\"acl\": \"${var.acl}\"")
    );
}

#[test]
fn against_a_base_only_what_is_new_counts_and_every_form_says_so() {
    let env = place(RULES);
    env.write("conf/a.yaml", "name: a\nbackup: {keep: 3}\n");
    let git = |line: &str| {
        let mut git = std::process::Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@example.com"]);
        let output = git.args(line.split(' ')).current_dir(env.path("")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    git("init -q");
    git("add .");
    git("commit -q -m base");
    let old = check(&env, "conf --base HEAD").expect_code(0);
    assert!(
        old.stdout.contains("unchanged") && old.stdout.contains("1 of them stood in the base too"),
        "{old:?}"
    );
    for (form, word) in [
        ("tap", "# TODO"),
        ("junit", "failures=\"0\" errors=\"0\" skipped=\"1\""),
        ("github", "::notice"),
        ("markdown", "✅ nothing new"),
        ("sarif", "\"baselineState\": \"unchanged\""),
    ] {
        let told = check(&env, &format!("conf --base HEAD --output {form}")).expect_code(0);
        assert!(told.stdout.contains(word), "{form}: {told:?}");
    }
    env.write("conf/b.yaml", "name: b\nbackup: {keep: 2}\n");
    let new = check(&env, "conf --base HEAD --output github").expect_code(6);
    let errors = new.stdout.lines().filter(|line| line.starts_with("::error"));
    assert_eq!(errors.collect::<Vec<_>>().len(), 1, "{new:?}");
    // Nothing evaluated is not green for having been so before.
    check(&env, "conf --base HEAD --namespace other").expect_code(8);
}

#[test]
fn formats_that_compute_are_judged_within_limits() {
    let env = place(
        "package main\n\nimport rego.v1\n\ndeny contains msg if {\n\tinput.number > 9000\n\tmsg := sprintf(\"over %v\", [input.number])\n}\n",
    );
    env.write("a.jsonnet", "local n = 9000;\n{ number: n + 1 }\n");
    assert!(check(&env, "a.jsonnet").expect_code(6).stdout.contains("over 9001"));
    env.write(
        "protos/a.proto",
        "syntax = \"proto3\";\npackage t;\nimport \"b.proto\";\nmessage A { int32 number = 1; B b = 2; }\n",
    );
    env.write("protos/b.proto", "syntax = \"proto3\";\npackage t;\nmessage B {}\n");
    env.write("a.textproto", "# proto-message: t.A\nnumber: 9002\nb {}\n");
    let message = check(&env, "a.textproto --proto-file-dirs protos").expect_code(6);
    assert!(message.stdout.contains("over 9002"), "{message:?}");
    let without = check(&env, "a.textproto").expect_code(8);
    assert!(without.stdout.contains("--proto-file-dirs"), "{without:?}");
    for (file, text, why) in [
        (
            "memory.jsonnet",
            "{ number: std.length(std.range(1, 1000000000)) }",
            "of memory",
        ),
        (
            "time.jsonnet",
            "local f(n) = if n == 0 then 1 else f(n - 1) + f(n - 1);\nf(100)",
            "ended",
        ),
        ("stack.jsonnet", "local f(n) = f(n + 1);\nf(0)", "without an end"),
    ] {
        env.write(file, text);
        let outcome = check(&env, &format!("{file} a.jsonnet --memory 128MiB --time 1s --json")).expect_code(6);
        let results = outcome.json()["results"].as_array().unwrap().clone();
        let error = results.iter().find(|result| result["file"] == file).unwrap();
        assert_eq!(error["verdict"], "error");
        assert!(error["message"].as_str().unwrap().contains(why), "{error}");
    }
}
