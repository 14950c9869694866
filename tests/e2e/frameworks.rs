//! `audit --framework`: controls stand as real audits find them, in the table, in JSON, in the signed bundle and in what is read of it.

use std::collections::BTreeMap;
use std::process::Command;

use muster_testkit::env::{Outcome, TestEnv};
use muster_testkit::postgres::{Options, Server};
use serde_json::Value;

use crate::env;

const NO_RULE: &str = "no rule: show it by other means";
const FRAMEWORKS: [&str; 4] = ["nist-800-53", "iso-27001", "soc2", "eu-dora"];

/// A store of files with a recovery point that nobody has rehearsed.
fn backed_up() -> TestEnv {
    let env = env();
    env.write("src/a", "a");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"\nobjectives = { rpo = \"1h\", rto = \"5m\" }");
    env.ok("init");
    env.ok("backup");
    env
}

/// Control → how it stands, of the only framework in a document.
fn standings(document: &Value) -> BTreeMap<String, String> {
    let frameworks = document["frameworks"].as_array().unwrap();
    assert_eq!(frameworks.len(), 1, "{document}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let controls = frameworks[0]["controls"].as_array().unwrap();
    controls
        .iter()
        .map(|control| (text(&control["control"]), text(&control["verdict"])))
        .collect()
}

/// `muster …` as an auditor runs it: no configuration, no repository.
fn elsewhere(env: &TestEnv, arguments: &[&str]) -> Outcome {
    let mut command = env.bare_command();
    let folder = env.path("auditor");
    std::fs::create_dir_all(&folder).unwrap();
    command.current_dir(folder).args(arguments);
    Outcome::of(command)
}

#[test]
fn a_control_is_red_until_its_rules_hold_and_every_form_of_the_audit_says_the_same() {
    let env = backed_up();
    let before = env.run("audit --framework eu-dora --json").expect_code(6).json();
    let before = standings(&before);
    assert_eq!(before["11(6)(a)"], "fail", "a store that was never rehearsed");
    assert_eq!(before["12(1)(a)"], "pass", "a store that has a recovery point");
    assert_eq!(before["11(1)"], "no_rule");
    assert_eq!(
        before["9(3)(a)"], "not_applicable",
        "there is neither a database nor a bucket"
    );

    env.ok("rehearse");
    let audit = env.ok("audit --framework eu-dora --out dora.tar --json").json();
    let after = standings(&audit);
    assert_eq!(after["11(6)(a)"], "pass");
    let worse: Vec<_> = before
        .iter()
        .filter(|(control, was)| *was == "pass" && after[*control] != "pass")
        .collect();
    assert!(worse.is_empty(), "{worse:?}");

    // All profiles were judged: each rule stands in the results.
    let dora = &audit["frameworks"][0];
    assert!(
        dora["controls"]
            .as_array()
            .unwrap()
            .iter()
            .all(|control| control["verdict"] != "not_evaluated"),
        "{dora}"
    );
    assert_eq!(dora["unlisted"], serde_json::json!([]));

    // The bundle carries the same, the catalogue by which it was sorted, and a check over both.
    let verified = elsewhere(&env, &["verify", "../dora.tar", "--key", "../keys/root.pub", "--json"]).expect_code(0);
    let verified = verified.json();
    let checks = verified["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "frameworks").unwrap();
    assert!(
        check["passed"] == true && check["detail"].as_str().unwrap().contains("no_rule"),
        "{check}"
    );
    let member = |name: &str| {
        let mut tar = Command::new("tar");
        tar.current_dir(env.path("")).args(["xOf", "dora.tar", name]);
        tar.output().unwrap().stdout
    };
    let results: Value = serde_json::from_slice(&member("results.json")).unwrap();
    assert_eq!(results["frameworks"], audit["frameworks"]);
    assert!(member("policies/catalogues/eu-dora.toml").starts_with(b"# What EU-DORA asks"));

    let shown = elsewhere(
        &env,
        &["evidence", "show", "../dora.tar", "--key", "../keys/root.pub", "--json"],
    );
    let shown = shown.expect_code(0).json();
    assert_eq!(shown["frameworks"], audit["frameworks"]);
    assert_eq!(shown["audit"]["frameworks"][0]["summary"], dora["summary"]);
    assert_eq!(shown["results"], audit["results"]);
}

#[test]
fn a_careless_server_turns_the_controls_red_that_its_rules_speak_for_and_no_others() {
    let server = Server::start(Options {
        settings: vec!["fsync=off".to_owned()],
        ..Options::default()
    });
    let env = env();
    let url = server.url("postgres", "postgres");
    env.configure(&format!("[store.db]\nkind = \"postgres\"\nurl = \"{url}\"\n"));
    env.ok("init");
    let audit = env.run("audit --framework eu-dora --json").expect_code(6).json();
    let failing: BTreeMap<&str, Vec<&str>> = audit["frameworks"][0]["controls"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|control| control["verdict"] == "fail")
        .map(|control| {
            let rules = control["rules"].as_array().unwrap().iter();
            let bad = rules.filter(|rule| rule["verdict"] == "fail");
            let bad = bad.map(|rule| rule["rule"].as_str().unwrap()).collect();
            (control["control"].as_str().unwrap(), bad)
        })
        .collect();
    // One setting, asked for by two profiles; connections without TLS; and a store without a recovery point.
    assert!(
        ["DR-201", "PG-015"]
            .iter()
            .all(|rule| failing["9(3)(b)"].contains(rule)),
        "{failing:?}"
    );
    assert!(failing["9(3)(a)"].contains(&"PG-001"), "{failing:?}");
    assert!(failing["12(1)(a)"].contains(&"DR-001"), "{failing:?}");
    let results = audit["results"].as_array().unwrap();
    let fails = |rule: &str| {
        results
            .iter()
            .any(|result| result["rule"] == rule && result["verdict"] == "fail")
    };
    for (control, rules) in failing {
        assert!(
            !rules.is_empty() && rules.iter().all(|rule| fails(rule)),
            "{control}: {rules:?}"
        );
    }
}

#[test]
fn the_table_names_every_control_and_says_plainly_which_no_rule_covers() {
    let env = backed_up();
    env.ok("rehearse");
    let mut line = "audit --out all.tar".to_owned();
    for framework in FRAMEWORKS {
        line += &format!(" --framework {framework}");
    }
    let table = env.ok(&line).stdout;
    let read = elsewhere(&env, &["evidence", "show", "../all.tar", "--key", "../keys/root.pub"])
        .expect_code(0)
        .stdout;
    let listed = env.ok("policy list --framework soc2 --framework eu-dora --json").json();
    assert_eq!(listed["frameworks"].as_array().unwrap().len(), 2);
    let document = env.ok(&format!("{line} --json")).json();
    let mut uncovered = 0;
    for framework in document["frameworks"].as_array().unwrap() {
        for control in framework["controls"].as_array().unwrap() {
            let id = control["control"].as_str().unwrap();
            let without = control["verdict"] == "no_rule";
            uncovered += usize::from(without);
            for text in [&table, &read] {
                let row = text.lines().find(|line| line.split_whitespace().next() == Some(id));
                let row = row.unwrap_or_else(|| panic!("no {id} in\n{text}"));
                assert_eq!(row.contains(NO_RULE), without, "{row}");
            }
        }
    }
    assert!(uncovered > 40, "{uncovered}");
    for text in [&table, &read] {
        assert_eq!(text.matches(NO_RULE).count(), uncovered);
        let wide = text
            .lines()
            .find(|line| line.chars().count() > 100 && !line.contains(".tar") && !line.starts_with("not shown"));
        assert_eq!(wide, None);
    }
    // What a control asks for beyond its rules is told on request.
    let all = env.ok("audit --framework soc2 --verbose").stdout;
    for what in ["rules", "shown", "not shown"] {
        assert!(
            all.lines().any(|line| line.trim_start().starts_with(what)),
            "no {what} in\n{all}"
        );
    }
}

#[test]
fn rules_of_a_profile_that_was_not_asked_for_are_not_judged() {
    let env = backed_up();
    let audit = env
        .run("audit --profile object-storage --framework eu-dora --json")
        .json();
    let standings = standings(&audit);
    assert_eq!(standings["12(6)"], "not_evaluated");
    assert_eq!(standings["9(3)(d)"], "not_applicable", "the repository is a directory");
    assert!(standings.values().all(|standing| standing != "pass"), "{standings:?}");
}

#[test]
fn an_audit_without_a_framework_says_nothing_of_frameworks() {
    let env = backed_up();
    let audit = env.run("audit --out plain.tar --json").json();
    assert_eq!(audit["frameworks"], serde_json::json!([]));
    let verified = elsewhere(&env, &["verify", "../plain.tar", "--key", "../keys/root.pub", "--json"]).expect_code(0);
    let verified = verified.json();
    let checks = verified["checks"].as_array().unwrap();
    assert!(checks.iter().all(|check| check["name"] != "frameworks"), "{verified}");
}

#[test]
fn a_framework_that_nobody_knows_is_a_usage_error_that_lists_the_known_ones() {
    let env = backed_up();
    for line in [
        "audit --framework eu-dore --out never.tar",
        "policy list --framework eu-dore",
    ] {
        let refused = env.run(line).expect_code(2);
        for known in FRAMEWORKS {
            assert!(refused.stderr.contains(known), "{refused:?}");
        }
    }
    assert!(!env.path("never.tar").exists());
}

#[test]
fn rules_of_a_folder_are_listed_by_control_and_a_control_that_nobody_knows_is_told() {
    let env = env();
    env.write(
        "policy/p.rego",
        "# METADATA\n# title: Enough copies are kept\n# custom:\n#   id: KEEP-1\n#   controls: {soc2: [A1.2, A1.9]}\npackage main\n\nimport rego.v1\n\ndeny contains \"few\" if input.keep < 7\n",
    );
    let listed = env.ok("policy list policy --framework soc2");
    let row = listed.stdout.lines().find(|line| line.starts_with("A1.2 ")).unwrap();
    assert!(row.contains("KEEP-1") && !row.contains("DR-001"), "{row}");
    assert!(listed.stdout.contains("KEEP-1 names A1.9"), "{}", listed.stdout);
    let document = env.ok("policy list policy --framework soc2 --json").json();
    assert_eq!(document["frameworks"][0]["unlisted"][0]["control"], "A1.9");
    assert_eq!(document["rules"][0]["rule"], "KEEP-1");
    // Rules that speak for none of these controls are left out.
    let none = env.ok("policy list policy --framework eu-dora --json").json();
    assert_eq!(none["rules"], serde_json::json!([]));
}

#[test]
fn nothing_of_a_bundle_is_shown_before_all_of_it_verified() {
    let env = backed_up();
    env.run("audit --framework soc2 --out a.tar");
    let show = |bundle: &str, key: &[&str]| elsewhere(&env, &[&["evidence", "show", bundle], key].concat());
    let known = show("../a.tar", &["--key", "../keys/root.pub"]).expect_code(0);
    assert!(
        known.stdout.contains("A1.2") && known.stdout.ends_with("valid\n"),
        "{}",
        known.stdout
    );
    let unknown = show("../a.tar", &[]).expect_code(12);
    assert!(unknown.stdout.contains("signer unknown"), "{}", unknown.stdout);

    let mut bytes = std::fs::read(env.path("a.tar")).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    env.write("b.tar", bytes);
    let wrong = show("../b.tar", &["--key", "../keys/root.pub"]).expect_code(7);
    assert_eq!(wrong.stdout, "");
    show("../b.tar", &[]).expect_code(7);
}
