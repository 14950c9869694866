//! The profiles that are compiled in: each rule in each direction, and what is not known is never a pass.

use std::collections::BTreeSet;
use std::path::PathBuf;

use muster_policies::{
    CheckOptions, PolicyError, TestOptions, TestOutcome, Verdict, check, evaluate_profile, profiles, rules, sources,
    test_policies,
};
use serde_json::{Value, json};

use crate::{Bench, NOW};

/// Each profile, its rules' package, and its rules as they were counted last: none gets lost.
const PROFILES: [(&str, &str, usize); 3] = [
    ("dr-baseline", "muster.dr_baseline", 26),
    ("object-storage", "muster.object_storage", 10),
    ("postgres", "muster.postgres", 21),
];

fn folder(profile: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("profiles").join(profile)
}

fn names(profile: &str, ending: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder(profile)).unwrap();
    entries
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(ending)?.to_owned()))
        .collect()
}

fn example(profile: &str, name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(folder(profile).join(format!("{name}.json"))).unwrap()).unwrap()
}

#[test]
fn every_file_of_the_folder_is_in_the_binary_with_a_test_and_examples() {
    for (profile, ..) in PROFILES {
        let all = names(profile, ".rego");
        let (tests, files): (BTreeSet<_>, BTreeSet<_>) = all.into_iter().partition(|name| name.ends_with("_test"));
        let embedded = sources(profile).unwrap();
        let name_of = |path: &str| {
            let (folder, file) = path.split_once('/').unwrap();
            assert_eq!(folder, profile);
            file.strip_suffix(".rego").unwrap().to_owned()
        };
        let embedded: BTreeSet<_> = embedded.iter().map(|(path, _)| name_of(path)).collect();
        assert_eq!(files, embedded);
        for rule in files.iter().filter(|name| *name != "lib") {
            assert!(tests.contains(&format!("{rule}_test")), "{rule} has no test");
            let examples = example(profile, rule);
            let verdicts: BTreeSet<_> = examples.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(verdicts.contains("pass"), "{rule} has no passing example");
            assert!(
                verdicts.contains("fail") || verdicts.contains("warn"),
                "{rule} has no failing example"
            );
        }
    }
    assert_eq!(profiles(), PROFILES.map(|(profile, ..)| profile));
}

#[test]
fn every_rule_says_what_it_is_for() {
    let mut ids = BTreeSet::new();
    for (profile, _, count) in PROFILES {
        let rules = rules(profile).unwrap();
        assert_eq!(rules.len(), count, "{profile}");
        for rule in &rules {
            assert!(ids.insert(rule.id.clone()), "two rules are {}", rule.id);
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
        let for_dora = |id: &String| id.starts_with("eu-dora:");
        let dora = rules.iter().filter(|rule| rule.controls.iter().any(for_dora)).count();
        assert!(dora * 5 >= count * 4, "{profile}: {dora} rules speak for EU-DORA");
    }
}

#[test]
fn the_rego_tests_beside_the_rules_pass_and_cover_each_rule_both_ways() {
    let options = TestOptions::new(NOW);
    for (profile, package, _) in PROFILES {
        let report = test_policies(&[folder(profile)], &options).unwrap();
        let red: Vec<_> = report
            .results
            .iter()
            .filter(|r| r.verdict != TestOutcome::Pass || !r.message.is_empty())
            .collect();
        assert!(red.is_empty(), "{red:#?}");
        for rule in names(profile, ".rego")
            .iter()
            .filter(|name| !name.ends_with("_test") && *name != "lib")
        {
            let package = format!("{package}.{rule}_test");
            let tests = || report.results.iter().filter(|result| result.package == package);
            assert!(
                tests().any(|test| test.name.starts_with("test_pass")),
                "{rule} is never seen to pass"
            );
            let red = |name: &str| name.starts_with("test_fail") || name.starts_with("test_warn");
            assert!(tests().any(|test| red(&test.name)), "{rule} is never seen to go red");
        }
    }
}

#[test]
fn each_example_gets_the_verdict_that_it_is_named_after() {
    for (profile, _, count) in PROFILES {
        let mut judged = 0;
        for rule in rules(profile).unwrap() {
            let name = rule.package.rsplit('.').next().unwrap();
            for (verdict, facts) in example(profile, name).as_object().unwrap() {
                let report = evaluate_profile(&[profile], facts, NOW).unwrap();
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
        assert!(judged > count * 2, "{profile}: {judged}");
    }
}

/// The passing examples put together: documents in which all is well.
fn sound() -> Value {
    sound_for("dr-baseline")
}

pub(crate) fn sound_for(profile: &str) -> Value {
    let mut facts = json!({"schema": "muster.facts/1", "time": "2026-11-25T01:00:00Z"});
    for rule in rules(profile).unwrap() {
        let name = rule.package.rsplit('.').next().unwrap();
        merge(&mut facts, &example(profile, name)["pass"]);
    }
    facts
}

/// What is not there is taken over; lists of one resource are merged, others are kept as they are.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert_with(|| value.clone()), value);
            }
        }
        (Value::Array(into), Value::Array(from)) if into.len() == 1 && from.len() == 1 => merge(&mut into[0], &from[0]),
        _ => {}
    }
}

#[test]
fn a_sound_installation_is_clean_and_every_rule_reports_once() {
    for (profile, ..) in PROFILES {
        let report = evaluate_profile(&[profile], &sound_for(profile), NOW).unwrap();
        assert_eq!(report.status().exit_code(), 0, "{:#?}", report.results);
        assert_eq!(report.results.len(), rules(profile).unwrap().len());
        assert_eq!(report.summary.pass, report.results.len());
        assert!(
            report
                .results
                .iter()
                .all(|finding| !finding.controls.is_empty() && finding.severity.is_some())
        );
    }
}

#[test]
fn a_fact_that_is_missing_or_null_is_never_a_pass() {
    for (profile, _, count) in PROFILES {
        let whole = sound_for(profile);
        let mut paths = Vec::new();
        collect(&whole, String::new(), &mut paths);
        let passes = |facts: &Value| evaluate_profile(&[profile], facts, NOW).unwrap().summary.pass;
        let before = passes(&whole);
        let (mut nulls, mut gaps) = (0, 0);
        for path in paths {
            let mut facts = whole.clone();
            *facts.pointer_mut(&path).unwrap() = Value::Null;
            let after = passes(&facts);
            assert!(after <= before, "{path}: null made a rule pass");
            nulls += usize::from(after < before);
            let (parent, name) = path.rsplit_once('/').unwrap();
            let mut facts = whole.clone();
            if let Some(object) = facts.pointer_mut(parent).and_then(Value::as_object_mut) {
                object.remove(name);
                let after = passes(&facts);
                assert!(after <= before, "{path}: a gap made a rule pass");
                gaps += usize::from(after < before);
            }
        }
        let least = count * 4 / 5;
        assert!(nulls >= least && gaps >= least, "{profile}: {nulls} {gaps}");
    }
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
    // Policies that did judge it do not stand for the profile that found no facts.
    let with_policies = CheckOptions {
        policies: vec![bench.write("policy/p.rego", "package main\n\ndeny[\"x\"] { input.never }\n")],
        ..options.clone()
    };
    let report = check(std::slice::from_ref(&other), &with_policies).unwrap();
    assert_eq!((report.summary.pass, report.status().exit_code()), (1, 8), "{report:?}");
    let report = check(&[other], &options).unwrap();
    assert_eq!(
        (report.results[0].verdict, report.status().exit_code()),
        (Verdict::Error, 8)
    );
}
