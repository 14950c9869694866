//! The answers of OPA that this engine is measured against.
//!
//! `policies/cases/known.txt` names the cases that are not met, each with its reason. The list is exact: a case outside
//! it that is not met is red, and so is a case inside it that is. `MUSTER_BLESS=1` takes the second kind out of the list
//! and puts the first kind in without a reason, which stays red until somebody writes it.

use std::collections::BTreeMap;
use std::path::Path;

use muster_policies::selftest::{self, Case};

/// What is wrong with the answer to a case, if anything is.
fn problem(case: &Case) -> Option<String> {
    let lenient = selftest::answer(&case.question, false);
    if !selftest::agree(&case.opa, &lenient) {
        return Some(format!("OPA: {:?}, muster: {lenient:?}", case.opa));
    }
    let expected = case.strict.as_ref().unwrap_or(&case.opa);
    let strict = selftest::answer(&case.question, true);
    (!selftest::agree(expected, &strict)).then(|| format!("strict: OPA: {expected:?}, muster: {strict:?}"))
}

#[test]
fn every_case_is_answered_as_opa_does_or_is_listed_with_the_reason() {
    let known: BTreeMap<&str, &str> = selftest::known().collect();
    let cases = selftest::cases().unwrap();
    assert!(cases.len() > 700, "{} cases", cases.len());
    let mut list = BTreeMap::new();
    let mut surprises = Vec::new();
    for case in &cases {
        let reason = known.get(case.id.as_str()).copied();
        match (problem(case), reason) {
            (Some(problem), reason) => {
                if reason.is_none_or(str::is_empty) {
                    surprises.push(format!("{}: {problem}", case.id));
                }
                list.insert(case.id.as_str(), reason.unwrap_or_default());
            }
            (None, Some(_)) => surprises.push(format!("{}: is listed, and is met", case.id)),
            (None, None) => {}
        }
    }
    for id in known.keys().filter(|id| !cases.iter().any(|case| case.id == **id)) {
        surprises.push(format!("{id}: is listed, and is no case"));
    }
    if std::env::var_os("MUSTER_BLESS").is_some() {
        let text: String = list.iter().map(|(id, reason)| format!("{id}\t{reason}\n")).collect();
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/known.txt"), text).unwrap();
    }
    assert!(
        surprises.is_empty(),
        "{} of {} cases:\n{}",
        surprises.len(),
        cases.len(),
        surprises.join("\n")
    );
}

#[test]
fn what_is_said_of_packages_and_documents_in_any_file_reaches_the_rules_beneath() {
    let rule = "package a.b\n\n# METADATA\n# title: document\n# scope: document\n# authors: [Jane Doe <jane@example.com>]\n\n\
                # METADATA\n# title: rule\nt := [links, authors] if {\n\tlinks := [[link.annotations.title, link.path] | some link in rego.metadata.chain()]\n\
                \tauthors := [author | some link in rego.metadata.chain(); some author in link.annotations.authors]\n}\n";
    let modules = [
        (
            "above.rego",
            "# METADATA\n# title: above\n# scope: subpackages\npackage a\n",
        ),
        ("other.rego", "# METADATA\n# title: package\npackage a.b\n\nx := 1\n"),
        ("rule.rego", rule),
    ];
    let question = selftest::Question {
        modules: modules.map(|(path, text)| (path.to_owned(), text.to_owned())).to_vec(),
        version: muster_policies::RegoVersion::V1,
        query: "data.a.b.t".to_owned(),
        ..selftest::Question::default()
    };
    let told = serde_json::json!([
        [
            ["rule", ["a", "b", "t"]],
            ["document", ["a", "b", "t"]],
            ["package", ["a", "b"]],
            ["above", ["a"]],
        ],
        [{"name": "Jane Doe", "email": "jane@example.com"}],
    ]);
    assert_eq!(selftest::answer(&question, false), selftest::Answer::Result(told));
}

#[test]
fn the_published_page_tells_every_reason_and_how_often_it_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(folder.join("../docs/rego-conformance.md")).unwrap();
    for (id, reason) in selftest::known() {
        let id = id.replace('|', "\\|");
        let row = page.lines().find(|line| line.starts_with(&format!("| {reason} |")));
        assert!(
            row.is_some_and(|row| row.contains(&format!("`{id}`"))),
            "{id}: {reason}"
        );
    }
    let unmet = std::fs::read_to_string(folder.join("cases/conformance.txt")).unwrap();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in unmet.lines().filter_map(|line| Some(line.split_once('\t')?.1)) {
        *counts.entry(reason).or_default() += 1;
    }
    assert!(!counts.is_empty());
    for (reason, count) in counts {
        assert!(page.contains(&format!("| {count} | {reason} |")), "{count} × {reason}");
    }
}
