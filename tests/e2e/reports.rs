//! Reports for other tools, as a pipeline calls for them: paths of the repository, whatever was typed.

use std::collections::BTreeSet;

use muster_testkit::env::{Outcome, TestEnv};
use serde_json::Value;

use crate::env;

const POLICY: &str =
    "package main\n\nimport rego.v1\n\ndeny contains \"latest\" if endswith(input.image, \":latest\")\n";

/// `muster check PATH --output FORM` of something that does not hold, in the test's folder and without a configuration.
fn check(env: &TestEnv, path: &str, form: &str) -> String {
    let mut command = env.bare_command();
    command
        .current_dir(env.path(""))
        .args(["check", path, "--output", form]);
    Outcome::of(command).expect_code(6).stdout
}

#[test]
fn files_are_named_from_the_folder_of_the_run_however_they_were_typed() {
    let env = env();
    env.write("policy/p.rego", POLICY);
    env.write("apps/a b.yaml", "image: x:latest\n");
    let whole = env.path("apps");
    let uris = |path: &str| -> BTreeSet<String> {
        let sarif = check(&env, path, "sarif");
        let sarif: Value = serde_json::from_str(&sarif).unwrap();
        let results = sarif["runs"][0]["results"].as_array().unwrap();
        let uri = |result: &Value| result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone();
        results
            .iter()
            .map(|result| uri(result).as_str().unwrap().to_owned())
            .collect()
    };
    for path in ["apps", "./apps", whole.to_str().unwrap()] {
        assert_eq!(uris(path), ["apps/a%20b.yaml".to_owned()].into(), "{path}");
    }
    for form in ["github", "junit", "tap", "markdown"] {
        let text = check(&env, whole.to_str().unwrap(), form);
        assert!(
            text.contains("apps/a b.yaml") && !text.contains(whole.to_str().unwrap()),
            "{form}:\n{text}"
        );
    }
}

#[test]
fn a_finding_whose_line_and_path_were_typed_otherwise_is_the_same_alert_to_github() {
    let env = env();
    env.write("policy/p.rego", POLICY);
    env.write("a.yaml", "image: x:latest\n");
    let print = |path: &str| {
        let sarif = check(&env, path, "sarif");
        let sarif: Value = serde_json::from_str(&sarif).unwrap();
        sarif["runs"][0]["results"][0]["partialFingerprints"]["primaryLocationLineHash"].clone()
    };
    let first = print("a.yaml");
    assert!(first.is_string());
    assert_eq!(print(env.path("a.yaml").to_str().unwrap()), first);
    env.write("a.yaml", "# a comment\n\nimage: x:latest\n");
    assert_eq!(print("./a.yaml"), first);
}
