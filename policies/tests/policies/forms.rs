//! SARIF and JUnit, held to what their readers demand: GitHub of SARIF, Ant's and Jenkins's schemas of JUnit.
//!
//! The schemas themselves are not here (`tests/schemas/run` validates against copies of them); what they and GitHub ask for is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use muster_policies::{CheckOptions, Form, Report, Run, Verdict, check, render};
use serde_json::Value;

use crate::{Bench, NOW};

const POLICY: &str = r#"# METADATA
# custom:
#   controls: {soc2: [A1.2, A1.2], eu-dora: ["12(2)"]}
package main

import rego.v1

# METADATA
# title: Images are pinned
# description: A tag that moves is another image tomorrow.
# custom:
#   id: IMG-1
#   severity: high
#   remedy: name the image by its digest
deny_latest contains {"msg": msg, "path": ["spec", "containers", i, "image"]} if {
    some i, container in input.spec.containers
    endswith(container.image, ":latest")
    msg := sprintf("<%s> & \"co\" of %d", [container.image, count(input.spec.containers)])
}

# METADATA
# custom: {id: ACL-1}
deny_acl contains "open" if {
    some bucket in input.resource.aws_s3_bucket
    bucket[_].acl == "public-read"
}

warn contains "one replica" if input.spec.replicas == 1
"#;

const POD: &str = "kind: Pod\nmetadata:\n  name: NAME\nspec:\n  replicas: 1\n  containers:\n    - image: x:1\n    - image: y:latest\n";

const WAIVER: &str = "[[waiver]]\nid = \"W\"\nrule = \"IMG-1\"\nresource = \"Pod/b\"\nowner = \"a\"\napprover = \"b\"\nreason = \"known\"\nexpires = \"2026-12-31T00:00:00Z\"\n";

/// A report in a form, as if muster had run in `/`.
pub(crate) fn rendered(report: &Report, form: Form) -> String {
    in_folder(report, form, Path::new("/"))
}

fn in_folder(report: &Report, form: Form, root: &Path) -> String {
    let run = Run {
        version: "1.2.3",
        now: NOW,
        root,
    };
    render(report, form, run).text
}

/// Files of every fate: fail, warn, pass, waived, unknown, and one that cannot be read.
pub(crate) fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("policy/p.rego", POLICY);
    bench.write("waivers.toml", WAIVER);
    bench.write("in/a pod.yaml", POD.replace("NAME", "a"));
    bench.write("in/b.yaml", POD.replace("NAME", "b"));
    bench.write("in/ok.yaml", "kind: Pod\nmetadata:\n  name: c\n");
    bench.write("in/broken.yaml", "a: [\n");
    bench.write("in/main.tf", "resource \"aws_s3_bucket\" \"x\" {\n  acl = var.acl\n}\n");
    bench
}

pub(crate) fn judged(bench: &Bench) -> Report {
    let options = CheckOptions {
        waivers: Some(bench.path("waivers.toml")),
        ..bench.options()
    };
    check(&[bench.path("in")], &options).unwrap()
}

#[test]
fn the_files_of_these_tests_meet_every_verdict_of_a_check() {
    let summary = judged(&bench()).summary;
    for (what, count) in [
        ("fail", summary.fail),
        ("warn", summary.warn),
        ("pass", summary.pass),
        ("waived", summary.waived),
        ("unknown", summary.unknown),
        ("error", summary.error),
    ] {
        assert!(count > 0, "no {what}: {summary:?}");
    }
}

/// A SARIF log's only run, after it was held to what GitHub asks of every one.
fn run_of(report: &Report, root: &Path) -> Value {
    let log: Value = serde_json::from_str(&in_folder(report, Form::Sarif, root)).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = log["runs"].as_array().unwrap();
    assert_eq!(run.len(), 1);
    let driver = &run[0]["tool"]["driver"];
    assert!(driver["name"] == "muster" && driver["version"] == "1.2.3");
    let rules = driver["rules"].as_array().unwrap();
    let ids: BTreeSet<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), rules.len(), "a rule is described twice");
    for rule in rules {
        for text in ["shortDescription", "fullDescription", "help"] {
            let text = rule[text]["text"].as_str().unwrap();
            assert!(!text.is_empty() && text.chars().count() <= 1024, "{rule}");
        }
        let tags = rule["properties"]["tags"].as_array().unwrap();
        assert!(tags.len() <= 20 && tags.iter().collect::<Vec<_>>().windows(2).all(|two| two[0] != two[1]));
        if let Some(score) = rule["properties"].get("security-severity") {
            assert!((0.0..=10.0).contains(&score.as_str().unwrap().parse::<f64>().unwrap()));
        }
    }
    for result in run[0]["results"].as_array().unwrap() {
        held_to_github(result, &run[0], rules);
    }
    run[0].clone()
}

fn held_to_github(result: &Value, run: &Value, rules: &[Value]) {
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(rules[index]["id"], result["ruleId"]);
    assert!(!result["message"]["text"].as_str().unwrap().is_empty(), "{result}");
    assert!(["error", "warning", "note", "none"].contains(&result["level"].as_str().unwrap()));
    let at = &result["locations"][0]["physicalLocation"];
    let uri = at["artifactLocation"]["uri"].as_str().unwrap();
    let is_uri = |c: char| c.is_ascii_alphanumeric() || "-._~/%".contains(c);
    assert!(
        !uri.is_empty() && !uri.starts_with('/') && uri.chars().all(is_uri),
        "{uri} is no relative URI"
    );
    let base = at["artifactLocation"]["uriBaseId"].as_str().unwrap();
    assert!(run["originalUriBaseIds"].get(base).is_some(), "{base}");
    for number in ["startLine", "startColumn"] {
        let number = at["region"].get(number).map(|number| number.as_u64().unwrap());
        assert!(number != Some(0), "{result}");
    }
    assert!(at["region"]["startLine"].is_u64(), "{result}");
    let prints = result["partialFingerprints"].as_object().unwrap();
    assert!(
        prints.contains_key("primaryLocationLineHash")
            && prints.values().all(|print| print.as_str().unwrap().len() == 64)
    );
}

#[test]
fn sarif_has_what_github_demands_of_rules_results_and_places() {
    let bench = bench();
    let run = run_of(&judged(&bench), &bench.path(""));
    let results = run["results"].as_array().unwrap();
    let uris: BTreeSet<&str> = results
        .iter()
        .map(|result| {
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
                .as_str()
                .unwrap()
        })
        .collect();
    let expected = ["in/a%20pod.yaml", "in/b.yaml", "in/broken.yaml", "in/main.tf"];
    assert_eq!(uris, expected.into(), "files are named from the folder of the run");
    assert_eq!(
        run["invocations"][0]["executionSuccessful"], false,
        "a file could not be read"
    );

    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let pinned = rules.iter().find(|rule| rule["id"] == "IMG-1").unwrap();
    assert_eq!(pinned["shortDescription"]["text"], "Images are pinned");
    assert_eq!(
        pinned["fullDescription"]["text"],
        "A tag that moves is another image tomorrow."
    );
    assert_eq!(pinned["help"]["text"], "name the image by its digest");
    assert_eq!(pinned["properties"]["security-severity"], "8.0", "high");
    assert_eq!(
        pinned["properties"]["tags"],
        serde_json::json!(["eu-dora:12(2)", "soc2:A1.2"])
    );
    let of = |id: &str| {
        results
            .iter()
            .filter(|result| result["ruleId"] == id)
            .collect::<Vec<_>>()
    };
    let levels: BTreeMap<&str, &str> = results
        .iter()
        .map(|result| (result["ruleId"].as_str().unwrap(), result["level"].as_str().unwrap()))
        .collect();
    assert_eq!(
        (levels["IMG-1"], levels["ACL-1"], levels["main.warn"]),
        ("error", "warning", "warning")
    );

    // The line and column of the path that the rule names, and suppressions for what is waived alone.
    let region = &of("IMG-1")[0]["locations"][0]["physicalLocation"]["region"];
    assert_eq!((&region["startLine"], &region["startColumn"]), (&8.into(), &7.into()));
    let suppressed: Vec<_> = results
        .iter()
        .filter(|result| result.get("suppressions").is_some())
        .collect();
    assert_eq!(suppressed.len(), 1);
    let why = &suppressed[0]["suppressions"][0];
    assert!(
        why["kind"] == "external" && why["status"] == "accepted" && why["justification"] == "known",
        "{why}"
    );
    assert!(
        results.iter().all(|result| result.get("baselineState").is_none()),
        "there was no base"
    );
}

#[test]
fn a_fingerprint_is_that_of_rule_resource_and_json_path() {
    let print = |pod: &str, rule: &str| {
        let bench = Bench::new();
        bench.write("policy/p.rego", POLICY);
        bench.write("in/pod.yaml", pod);
        let report = check(&[bench.path("in")], &bench.options()).unwrap();
        let run = run_of(&report, &bench.path(""));
        let found = run["results"]
            .as_array()
            .unwrap()
            .iter()
            .find(|result| result["ruleId"] == rule);
        let prints = found.unwrap()["partialFingerprints"].clone();
        assert_eq!(prints["primaryLocationLineHash"], prints["musterRuleResourcePath/v1"]);
        prints
    };
    let pod = POD.replace("NAME", "a");
    let first = print(&pod, "IMG-1");
    let moved = format!("# further down\n\n{pod}    - image: z:2\n");
    assert_eq!(
        print(&moved, "IMG-1"),
        first,
        "neither the line nor what the message counts is part of it"
    );
    assert_ne!(print(&POD.replace("NAME", "b"), "IMG-1"), first, "another resource");
    assert_ne!(print(&pod, "main.warn"), first, "another rule");
    let other = pod.replace("x:1", "x:latest").replace("y:latest", "y:1");
    assert_ne!(print(&other, "IMG-1"), first, "another path");
}

#[test]
fn against_a_base_every_result_says_whether_it_is_new() {
    let bench = bench();
    let base = judged(&bench);
    bench.write("in/c.yaml", POD.replace("NAME", "c2"));
    let mut report = judged(&bench);
    report.compare(&base);
    let run = run_of(&report, &bench.path(""));
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for result in run["results"].as_array().unwrap() {
        let uri = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        let state = result["baselineState"].as_str().unwrap();
        assert_eq!(state == "new", uri == "in/c.yaml", "{uri} {state}");
        *states.entry(state).or_default() += 1;
    }
    assert!(states["new"] == 2 && states["unchanged"] >= 5, "{states:?}");
}

#[test]
fn nothing_that_was_evaluated_is_a_sarif_result_too() {
    let bench = Bench::new();
    bench.write("policy/p.rego", POLICY);
    bench.write("in/ok.yaml", "a: 1\n");
    let mut options = bench.options();
    options.namespaces = muster_policies::Namespaces::Named(vec!["other".to_owned()]);
    let report = check(&[bench.path("in")], &options).unwrap();
    let run = run_of(&report, &bench.path(""));
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    assert!(!run["results"].as_array().unwrap().is_empty());
}

/// An element: name, attributes, children, text.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    fn read(text: &str) -> Self {
        use quick_xml::events::Event;
        let mut reader = quick_xml::Reader::from_str(text);
        let mut open = vec![Self::default()];
        let begin = |start: &quick_xml::events::BytesStart<'_>| Self {
            name: start.local_name().as_ref().to_owned(),
            attributes: start
                .attributes()
                .map(|attribute| {
                    let attribute = attribute.unwrap();
                    let key = attribute.key.as_ref().to_owned();
                    (key, attribute.value.as_ref().to_owned())
                })
                .collect(),
            ..Self::default()
        };
        loop {
            match reader.read_event().unwrap() {
                Event::Start(start) => open.push(begin(&start)),
                Event::Empty(start) => open.last_mut().unwrap().children.push(begin(&start)),
                Event::End(_) => {
                    let done = open.pop().unwrap();
                    open.last_mut().unwrap().children.push(done);
                }
                Event::Text(text) => open.last_mut().unwrap().text.push_str(&text),
                Event::Eof => break,
                _ => {}
            }
        }
        open.pop().unwrap().children.remove(0)
    }

    fn number(&self, attribute: &str) -> usize {
        self.attributes[attribute].parse().unwrap()
    }
}

#[test]
fn junit_is_what_ants_and_jenkinss_schemas_both_allow() {
    let bench = bench();
    let report = judged(&bench);
    let suites = Element::read(&in_folder(&report, Form::Junit, &bench.path("")));
    assert!(
        suites.name == "testsuites" && suites.attributes.is_empty(),
        "Ant's allows no attribute here"
    );
    let mut cases = 0;
    for (id, suite) in suites.children.iter().enumerate() {
        let attributes: Vec<&str> = suite.attributes.keys().map(String::as_str).collect();
        let asked = [
            "errors",
            "failures",
            "hostname",
            "id",
            "name",
            "package",
            "skipped",
            "tests",
            "time",
            "timestamp",
        ];
        assert_eq!(attributes, asked);
        assert_eq!(suite.number("id"), id);
        assert!(!suite.attributes["name"].trim().is_empty());
        assert_eq!(suite.attributes["timestamp"], "2026-11-25T01:00:00");
        let names: Vec<&str> = suite.children.iter().map(|child| child.name.as_str()).collect();
        let (first, rest) = names.split_first().unwrap();
        let (body, last) = rest.split_at(rest.len() - 2);
        assert!(
            *first == "properties" && last == ["system-out", "system-err"],
            "{names:?}"
        );
        assert!(body.iter().all(|name| *name == "testcase"), "{names:?}");
        let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
        for case in suite.children.iter().filter(|child| child.name == "testcase") {
            let attributes: Vec<&str> = case.attributes.keys().map(String::as_str).collect();
            assert_eq!(attributes, ["classname", "name", "time"]);
            assert!(case.children.len() <= 1, "Ant's allows one child: {case:?}");
            for child in &case.children {
                let typed = matches!(child.name.as_str(), "failure" | "error");
                assert!(typed || child.name == "skipped", "{child:?}");
                assert_eq!(typed, child.attributes.contains_key("type"), "{child:?}");
                *counted.entry(&child.name).or_default() += 1;
            }
            cases += 1;
        }
        let count = |name: &str| counted.get(name).copied().unwrap_or_default();
        assert_eq!(
            ["failures", "errors", "skipped"].map(|name| suite.number(name)),
            ["failure", "error", "skipped"].map(count)
        );
    }
    assert_eq!(cases, report.results.len());
    let of = |name: &str| {
        suites
            .children
            .iter()
            .find(|suite| suite.attributes["name"] == name)
            .unwrap()
    };
    assert_eq!(of("in/a pod.yaml").number("failures"), 1);
    assert_eq!(of("in/b.yaml").number("failures"), 0, "it is waived");
    assert_eq!(of("in/broken.yaml").number("errors"), 1);
    // A warning fails nothing, and is told.
    let told = of("in/a pod.yaml")
        .children
        .iter()
        .find(|child| child.name == "system-out")
        .unwrap();
    assert!(
        told.text.contains("main.warn") && told.text.contains("one replica"),
        "{told:?}"
    );
}

#[test]
fn what_stood_in_the_base_too_fails_no_build_that_reads_junit() {
    let bench = bench();
    let base = judged(&bench);
    let mut report = judged(&bench);
    report.compare(&base);
    assert!(report.results.iter().any(|finding| finding.verdict == Verdict::Fail));
    let suites = Element::read(&rendered(&report, Form::Junit));
    assert!(
        suites
            .children
            .iter()
            .all(|suite| suite.number("failures") == 0 && suite.number("errors") == 0)
    );
}
