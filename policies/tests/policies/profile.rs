//! The profile that is compiled in: each rule in each direction, and what is not known is never a pass.

use std::collections::BTreeSet;
use std::path::PathBuf;

use muster_policies::{
    CheckOptions, PolicyError, RegoVersion, TestOptions, TestOutcome, Verdict, check, evaluate_profile, profiles,
    rules, sources, test_policies,
};
use serde_json::{Value, json};

use crate::{Bench, NOW};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("profiles/dr-baseline")
}

fn names(ending: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder()).unwrap();
    entries
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(ending)?.to_owned()))
        .collect()
}

fn example(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder().join(format!("{name}.json"))).unwrap()).unwrap()
}

#[test]
fn every_file_of_the_folder_is_in_the_binary_with_a_test_and_examples() {
    let all = names(".rego");
    let (tests, files): (BTreeSet<_>, BTreeSet<_>) = all.into_iter().partition(|name| name.ends_with("_test"));
    let embedded = sources("dr-baseline").unwrap();
    let embedded: BTreeSet<_> = embedded
        .iter()
        .map(|(path, _)| {
            path.strip_prefix("dr-baseline/")
                .unwrap()
                .strip_suffix(".rego")
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(files, embedded);
    for rule in files.iter().filter(|name| *name != "lib") {
        assert!(tests.contains(&format!("{rule}_test")), "{rule} has no test");
        let examples = example(rule);
        let verdicts: BTreeSet<_> = examples.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(verdicts.contains("pass"), "{rule} has no passing example");
        assert!(
            verdicts.contains("fail") || verdicts.contains("warn"),
            "{rule} has no failing example"
        );
    }
}

#[test]
fn every_rule_says_what_it_is_for() {
    let rules = rules("dr-baseline").unwrap();
    assert!(rules.len() >= 12);
    let ids: BTreeSet<_> = rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids.len(), rules.len(), "two rules with one id");
    for rule in &rules {
        assert!(rule.severity.is_some(), "{}", rule.id);
        assert!(
            !rule.title.is_empty() && !rule.description.is_empty() && !rule.remedy.is_empty(),
            "{}",
            rule.id
        );
        for framework in ["nist-800-53:", "iso-27001:", "soc2:"] {
            assert!(
                rule.controls.iter().any(|id| id.starts_with(framework)),
                "{} has no {framework}",
                rule.id
            );
        }
    }
    let dora = rules
        .iter()
        .filter(|rule| rule.controls.iter().any(|id| id.starts_with("eu-dora:")))
        .count();
    assert!(dora >= 20, "{dora} rules speak for EU-DORA");
}

#[test]
fn the_rego_tests_beside_the_rules_pass_and_cover_each_rule_both_ways() {
    let options = TestOptions {
        data: Vec::new(),
        rego_version: RegoVersion::Auto,
        now: NOW,
    };
    let report = test_policies(&[folder()], &options).unwrap();
    let red: Vec<_> = report
        .results
        .iter()
        .filter(|r| r.verdict != TestOutcome::Pass || !r.message.is_empty())
        .collect();
    assert!(red.is_empty(), "{red:#?}");
    for rule in names(".rego")
        .iter()
        .filter(|name| !name.ends_with("_test") && *name != "lib")
    {
        let package = format!("muster.dr_baseline.{rule}_test");
        let tests = || report.results.iter().filter(|result| result.package == package);
        assert!(
            tests().any(|test| test.name.starts_with("test_pass")),
            "{rule} is never seen to pass"
        );
        let red = |name: &str| name.starts_with("test_fail") || name.starts_with("test_warn");
        assert!(tests().any(|test| red(&test.name)), "{rule} is never seen to go red");
    }
}

#[test]
fn each_example_gets_the_verdict_that_it_is_named_after() {
    let mut judged = 0;
    for rule in rules("dr-baseline").unwrap() {
        let name = rule.package.rsplit('.').next().unwrap();
        for (verdict, facts) in example(name).as_object().unwrap() {
            let report = evaluate_profile(&["dr-baseline"], facts, NOW).unwrap();
            let findings: Vec<_> = report
                .results
                .iter()
                .filter(|finding| finding.rule == rule.id)
                .collect();
            assert_eq!(
                findings.len(),
                1,
                "{name} {verdict}: one result per rule and resource: {findings:?}"
            );
            assert_eq!(
                serde_json::to_value(findings[0].verdict).unwrap(),
                json!(verdict),
                "{name}: {findings:?}"
            );
            assert!(!findings[0].message.is_empty());
            judged += 1;
        }
    }
    assert!(judged > 60, "{judged}");
}

/// The passing examples put together: a document in which all is well.
fn sound() -> Value {
    let stores = [
        "recovery_point_within_rpo",
        "size_plausible",
        "rehearsal_met_rto",
        "checks_configured",
        "postgres_fsync",
    ];
    let mut store = serde_json::Map::new();
    for name in stores {
        store.extend(example(name)["pass"]["stores"][0].as_object().unwrap().clone());
    }
    json!({
        "schema": "muster.facts/1",
        "stores": [store],
        "repository": example("repository_whole")["pass"]["repository"],
    })
}

#[test]
fn a_sound_installation_is_clean_and_every_rule_reports_once() {
    let report = evaluate_profile(&["dr-baseline"], &sound(), NOW).unwrap();
    assert_eq!(report.status().exit_code(), 0, "{:#?}", report.results);
    assert_eq!(report.results.len(), rules("dr-baseline").unwrap().len());
    assert_eq!(report.summary.pass, report.results.len());
    assert!(
        report
            .results
            .iter()
            .all(|finding| !finding.controls.is_empty() && finding.severity.is_some())
    );
}

#[test]
fn a_fact_that_is_missing_or_null_is_never_a_pass() {
    let whole = sound();
    let mut paths = Vec::new();
    collect(&whole, String::new(), &mut paths);
    let before = evaluate_profile(&["dr-baseline"], &whole, NOW).unwrap().summary.pass;
    let (mut nulls, mut gaps) = (0, 0);
    for path in paths {
        let mut facts = whole.clone();
        *facts.pointer_mut(&path).unwrap() = Value::Null;
        let report = evaluate_profile(&["dr-baseline"], &facts, NOW).unwrap();
        assert!(report.summary.pass <= before, "{path}: null made a rule pass");
        nulls += usize::from(report.summary.pass < before);
        let (parent, name) = path.rsplit_once('/').unwrap();
        let mut facts = whole.clone();
        if let Some(object) = facts.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.remove(name);
            let report = evaluate_profile(&["dr-baseline"], &facts, NOW).unwrap();
            assert!(report.summary.pass <= before, "{path}: a gap made a rule pass");
            gaps += usize::from(report.summary.pass < before);
        }
    }
    assert!(nulls > 20 && gaps > 20, "{nulls} {gaps}");
}

fn collect(value: &Value, path: String, paths: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, value)| (i.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        let path = format!("{path}/{name}");
        paths.push(path.clone());
        collect(child, path, paths);
    }
}

#[test]
fn no_store_no_schema_and_no_profile_are_not_green() {
    let mut empty = sound();
    empty["stores"] = json!([]);
    let report = evaluate_profile(&["dr-baseline"], &empty, NOW).unwrap();
    assert_eq!(report.status().exit_code(), 8, "{report:?}");
    assert!(report.results.iter().any(|f| f.message.contains("names no resource")));
    let report = evaluate_profile(&["dr-baseline"], &json!({"stores": []}), NOW).unwrap();
    assert_eq!(report.status().exit_code(), 8);
    let error = evaluate_profile(&["dr-basline"], &sound(), NOW).unwrap_err();
    assert!(error.to_string().contains("dr-baseline"), "{error}");
    assert!(matches!(
        evaluate_profile(&[], &sound(), NOW).unwrap_err(),
        PolicyError::NothingSelected
    ));
    assert_eq!(profiles(), ["dr-baseline"]);
}

#[test]
fn the_same_facts_at_the_same_time_give_the_same_bytes() {
    let bytes = || serde_json::to_vec(&evaluate_profile(&["dr-baseline"], &sound(), NOW).unwrap()).unwrap();
    assert_eq!(bytes(), bytes());
}

#[test]
fn check_judges_a_facts_file_by_a_profile() {
    let bench = Bench::new();
    let facts = bench.write("facts.json", sound().to_string());
    let other = bench.write("other.json", "{}");
    let options = CheckOptions {
        profiles: vec!["dr-baseline".to_owned()],
        ..CheckOptions::new(NOW)
    };
    let report = check(&[facts.clone(), other.clone()], &options).unwrap();
    assert_eq!(
        (report.status().exit_code(), report.summary.error),
        (0, 0),
        "{report:?}"
    );
    assert_eq!(report.results[0].file.as_deref(), facts.to_str());
    let report = check(&[other], &options).unwrap();
    assert_eq!(
        (report.results[0].verdict, report.status().exit_code()),
        (Verdict::Error, 8)
    );
}
