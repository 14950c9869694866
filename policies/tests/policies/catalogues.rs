//! Catalogues of controls: views onto the rules, in which nothing that a rule names is missing and no silence is green.

use std::collections::{BTreeMap, BTreeSet};

use muster_policies::{
    FrameworkView, RegoVersion, Standing, evaluate_profile, framework_report, framework_rules, frameworks, list,
    profiles,
};
use serde_json::{Value, json};

use crate::profile::sound_for;
use crate::{Bench, NOW};

fn views() -> Vec<FrameworkView> {
    let rules = list(&profiles(), &[], RegoVersion::V1).unwrap();
    framework_rules(&frameworks(), &rules).unwrap()
}

#[test]
fn every_control_that_a_shipped_rule_names_stands_in_a_catalogue() {
    let known: BTreeSet<String> = views()
        .iter()
        .flat_map(|view| {
            let of = |id: &String| format!("{}:{id}", view.framework);
            view.controls
                .iter()
                .map(|control| of(&control.control))
                .collect::<Vec<_>>()
        })
        .collect();
    for listed in list(&profiles(), &[], RegoVersion::V1).unwrap() {
        assert!(!listed.about.controls.is_empty(), "{}", listed.rule);
        for control in &listed.about.controls {
            assert!(known.contains(control), "{} names {control}", listed.rule);
        }
    }
    assert!(views().iter().all(|view| view.unlisted.is_empty()));
}

#[test]
fn every_control_is_listed_with_its_rules_or_as_one_that_no_rule_covers() {
    let rules = list(&profiles(), &[], RegoVersion::V1).unwrap();
    for view in views() {
        let (mut with, mut without) = (0, 0);
        for control in &view.controls {
            let name = format!("{}:{}", view.framework, control.control);
            let naming: BTreeSet<&str> = rules
                .iter()
                .filter(|listed| listed.about.controls.contains(&name))
                .map(|listed| listed.rule.as_str())
                .collect();
            let listed: BTreeSet<&str> = control.rules.iter().map(|rule| rule.rule.as_str()).collect();
            assert_eq!(naming, listed, "{name}");
            if naming.is_empty() {
                assert_eq!(control.verdict, Standing::NoRule, "{name}");
                without += 1;
            } else {
                assert_eq!(control.verdict, Standing::NotEvaluated, "{name}");
                assert!(!control.shows.is_empty(), "{name} has rules and shows nothing");
                with += 1;
            }
            assert!(!control.not_shown.is_empty(), "{name} claims to be shown in full");
        }
        assert!(with >= 10 && without >= 10, "{}: {with} {without}", view.framework);
        assert_eq!(view.summary[&Standing::NoRule], without);
    }
}

/// The verdicts of a report by the controls that its findings themselves carry.
fn by_findings(report: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for finding in report["results"].as_array().unwrap() {
        for control in finding["controls"].as_array().unwrap() {
            let verdicts = found.entry(control.as_str().unwrap().to_owned()).or_default();
            verdicts.insert(finding["verdict"].as_str().unwrap().to_owned());
        }
    }
    found
}

#[test]
fn a_control_stands_as_the_worst_of_what_its_rules_found() {
    const WORST_FIRST: [&str; 7] = ["fail", "error", "unknown", "warn", "waived", "pass", "not_applicable"];
    let sound = sound_for("dr-baseline");
    let mut seen = BTreeSet::new();
    let mut never = sound.clone();
    never["stores"][0]["last_rehearsal"] = Value::Null;
    let mut untold = sound.clone();
    untold["stores"][0]["newest"]["unreadable_count"] = Value::Null;
    untold["repository"]["same_host"] = Value::Null;
    let mut gap = sound.clone();
    gap["repository"].as_object_mut().unwrap().remove("encrypted");
    for facts in [&sound, &never, &untold, &gap] {
        let report = evaluate_profile(&["dr-baseline"], facts, NOW).unwrap();
        let found = by_findings(&json!(report));
        for view in framework_report(&frameworks(), &["dr-baseline"], &report).unwrap() {
            for control in &view.controls {
                let verdicts = found.get(&format!("{}:{}", view.framework, control.control));
                let worst = verdicts.and_then(|found| WORST_FIRST.into_iter().find(|verdict| found.contains(*verdict)));
                let expected = worst.unwrap_or(match control.rules.is_empty() {
                    true => "no_rule",
                    false => "not_evaluated",
                });
                assert_eq!(
                    json!(control.verdict),
                    json!(expected),
                    "{} {}",
                    view.framework,
                    control.control
                );
                seen.insert(expected);
            }
            let counted: u64 = view.summary.values().sum();
            assert_eq!(counted, view.controls.len() as u64);
        }
    }
    for verdict in ["fail", "error", "unknown", "pass", "no_rule", "not_evaluated"] {
        assert!(seen.contains(verdict), "{verdict} was never seen: {seen:?}");
    }
}

#[test]
fn rules_of_profiles_that_were_not_judged_are_told_and_do_not_count() {
    let report = evaluate_profile(&["object-storage"], &sound_for("object-storage"), NOW).unwrap();
    let views = framework_report(&["eu-dora"], &["object-storage"], &report).unwrap();
    let control = |id: &str| views[0].controls.iter().find(|control| control.control == id).unwrap();
    assert_eq!(control("12(6)").verdict, Standing::NotEvaluated);
    assert_eq!(control("12(3)").verdict, Standing::Pass);
    let of_others = |profile: Option<&str>| profile != Some("object-storage");
    for rule in views[0].controls.iter().flat_map(|control| &control.rules) {
        assert_eq!(
            rule.verdict == Standing::NotEvaluated,
            of_others(rule.profile.as_deref()),
            "{rule:?}"
        );
    }
}

#[test]
fn a_rule_that_was_to_be_judged_and_said_nothing_is_an_error() {
    let report = evaluate_profile(&["dr-baseline"], &json!({"stores": []}), NOW).unwrap();
    let views = framework_report(&["soc2"], &["dr-baseline"], &report).unwrap();
    let control = views[0]
        .controls
        .iter()
        .find(|control| control.control == "A1.3")
        .unwrap();
    assert_eq!(control.verdict, Standing::Error, "{control:?}");
    assert!(
        views[0]
            .controls
            .iter()
            .all(|control| control.verdict != Standing::Pass)
    );
}

#[test]
fn a_framework_that_nobody_knows_is_refused_with_those_that_are_known() {
    let error = framework_rules(&["eu-dore"], &[]).unwrap_err().to_string();
    for name in frameworks() {
        assert!(error.contains(name), "{error}");
    }
    assert_eq!(framework_rules(&["soc2", "eu-dora", "soc2"], &[]).unwrap().len(), 2);
}

#[test]
fn a_control_that_no_catalogue_knows_is_told_with_the_rule_that_names_it() {
    let bench = Bench::new();
    let policy = "# METADATA\n# custom:\n#   id: MINE\n#   controls: {soc2: [A1.2, A9.9], other: [X]}\npackage main\nimport rego.v1\ndeny contains \"x\" if input.x\n";
    let path = bench.write("policy/p.rego", policy);
    let rules = list(&[], &[path], RegoVersion::Auto).unwrap();
    let views = framework_rules(&["soc2"], &rules).unwrap();
    let told: Vec<_> = views[0]
        .unlisted
        .iter()
        .map(|one| (one.rule.as_str(), one.control.as_str()))
        .collect();
    assert_eq!(told, [("MINE", "A9.9")]);
    let control = views[0]
        .controls
        .iter()
        .find(|control| control.control == "A1.2")
        .unwrap();
    assert_eq!(control.rules.len(), 1);
}

#[test]
fn a_rule_stands_as_the_worst_of_what_it_found_on_all_resources() {
    let mut facts = sound_for("dr-baseline");
    let mut other = facts["stores"][0].clone();
    other["name"] = json!("zz-never-rehearsed");
    other["last_rehearsal"] = Value::Null;
    facts["stores"].as_array_mut().unwrap().push(other);
    let report = evaluate_profile(&["dr-baseline"], &facts, NOW).unwrap();
    let found: BTreeSet<String> = report
        .results
        .iter()
        .filter(|finding| finding.rule == "DR-101")
        .map(|finding| json!(finding.verdict).to_string())
        .collect();
    assert_eq!(
        found.len(),
        2,
        "one store was rehearsed and the other was not: {found:?}"
    );
    let views = framework_report(&frameworks(), &["dr-baseline"], &report).unwrap();
    let rules = views.iter().flat_map(|view| &view.controls).flat_map(|one| &one.rules);
    let standings: Vec<_> = rules.filter(|rule| rule.rule == "DR-101").collect();
    assert!(
        !standings.is_empty() && standings.iter().all(|rule| rule.verdict == Standing::Fail),
        "{standings:?}"
    );
}
