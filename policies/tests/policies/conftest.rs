//! Files judged by Conftest's conventions.

use muster_policies::{CheckOptions, Namespaces, PolicyError, RegoVersion, Verdict, check};
use serde_json::json;

use crate::{Bench, NOW, verdicts};

const KUBERNETES: &str = r#"---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
  namespace: prod
spec:
  replicas: 1
  template:
    spec:
      containers:
        - name: web
          image: shop:latest
        - name: cache
          image: redis:7.4
          securityContext: {runAsNonRoot: yes}
---
apiVersion: v1
kind: Service
metadata:
  name: shop
spec:
  type: LoadBalancer
"#;

const V1: &str = r#"package main

import rego.v1

deny contains msg if {
    input.kind == "Deployment"
    some container in input.spec.template.spec.containers
    not container.securityContext.runAsNonRoot
    msg := sprintf("container %s may run as root", [container.name])
}

deny_latest contains {"msg": msg, "severity": "high", "details": container} if {
    some container in input.spec.template.spec.containers
    endswith(container.image, ":latest")
    msg := sprintf("container %s has no fixed version", [container.name])
}

warn contains "a load balancer is open to the world" if input.spec.type == "LoadBalancer"
"#;

const V0: &str = r#"package main

deny[msg] {
    input.kind == "Deployment"
    container := input.spec.template.spec.containers[_]
    not container.securityContext.runAsNonRoot
    msg := sprintf("container %s may run as root", [container.name])
}

deny_latest[{"msg": msg}] {
    container := input.spec.template.spec.containers[_]
    endswith(container.image, ":latest")
    msg := sprintf("container %s has no fixed version", [container.name])
}

warn[msg] {
    input.spec.type == "LoadBalancer"
    msg := "a load balancer is open to the world"
}
"#;

#[test]
fn a_manifest_of_two_documents_is_judged_document_by_document_in_either_version_of_rego() {
    for policy in [V1, V0] {
        let bench = Bench::new();
        bench.write("policy/kubernetes.rego", policy);
        let input = bench.write("shop.yaml", KUBERNETES);
        let report = bench.check(&input);
        assert_eq!(
            verdicts(&report),
            [
                ("main.deny", Verdict::Fail, "container web may run as root"),
                ("main.deny_latest", Verdict::Fail, "container web has no fixed version"),
                ("main.warn", Verdict::Pass, ""),
                ("main.deny", Verdict::Pass, ""),
                ("main.deny_latest", Verdict::Pass, ""),
                ("main.warn", Verdict::Warn, "a load balancer is open to the world"),
            ],
            "{policy}"
        );
        assert_eq!(report.status().exit_code(), 6);
        let resources: Vec<_> = report.results.iter().map(|f| (f.resource.as_str(), f.line)).collect();
        assert_eq!(resources[0], ("Deployment/prod/shop", Some(2)));
        assert_eq!(resources[5], ("Service/shop", Some(18)));
    }
}

#[test]
fn the_document_has_exactly_the_keys_of_the_contract() {
    let report = Bench::judge(
        "package main\n\nimport rego.v1\n\ndeny contains \"no\" if input.a == 1\n",
        "a: 1\n",
    );
    let document = serde_json::to_value(&report).unwrap();
    let result = document["results"][0].as_object().unwrap();
    assert!(
        serde_json::to_string(&report)
            .unwrap()
            .starts_with("{\"schema\":\"muster.check/1\",\"summary\"")
    );
    assert_eq!(
        result
            .keys()
            .map(String::as_str)
            .collect::<std::collections::BTreeSet<_>>(),
        [
            "rule", "verdict", "severity", "controls", "resource", "message", "file", "line", "waiver"
        ]
        .into()
    );
    assert_eq!(
        (&result["verdict"], &result["line"], &result["waiver"]),
        (&json!("fail"), &json!(null), &json!(null))
    );
    assert_eq!(
        document["summary"],
        json!({"pass": 0, "fail": 1, "warn": 0, "not_applicable": 0, "unknown": 0, "error": 0, "waived": 0})
    );
}

#[test]
fn one_bad_file_is_an_error_and_the_others_are_still_judged() {
    let bench = Bench::new();
    bench.write(
        "policy/p.rego",
        "package main\n\nimport rego.v1\n\ndeny contains \"closed\" if not input.open\n",
    );
    bench.write("conf/a.json", "{\"open\": tru");
    bench.write("conf/b.yaml", "open: [\n");
    bench.write("conf/c.yml", b"open: \xff\n");
    bench.write("conf/deep/d.json", "{\"open\": true}");
    bench.write("conf/notes.txt", "not configuration");
    let report = bench.check(&bench.path("conf"));
    assert_eq!(
        (report.summary.error, report.summary.pass, report.results.len()),
        (3, 1, 4),
        "{report:?}"
    );
    assert_eq!(report.status().exit_code(), 8);
    bench.write("conf/e.yaml", "open: false\n");
    assert_eq!(
        bench.check(&bench.path("conf")).status().exit_code(),
        6,
        "a failure outweighs an error"
    );
    let absent = bench.check(&bench.path("absent.yaml"));
    assert_eq!((absent.summary.error, absent.status().exit_code()), (1, 8));
}

#[test]
fn nothing_evaluated_is_never_green() {
    let bench = Bench::new();
    bench.write("policy/p.rego", "package main\n\nimport rego.v1\n\nallow if true\n");
    let input = bench.write("a.yaml", "a: 1\n");
    let report = bench.check(&input);
    assert_eq!(report.status().exit_code(), 8, "{report:?}");
    assert!(
        report.results[0]
            .message
            .contains("no deny, violation or warn rule in main")
    );
    let mut options = bench.options();
    options.namespaces = Namespaces::All;
    let report = check(std::slice::from_ref(&input), &options).unwrap();
    assert_eq!(
        (report.results.len(), report.status().exit_code()),
        (1, 8),
        "{report:?}"
    );
    assert!(report.results[0].message.contains("in any namespace"), "{report:?}");

    bench.write(
        "policy/q.rego",
        "package other\n\nimport rego.v1\n\ndeny contains \"x\" if false\n",
    );
    let mut options = bench.options();
    options.namespaces = Namespaces::Named(vec!["other".into(), "typo".into()]);
    let report = check(std::slice::from_ref(&input), &options).unwrap();
    assert_eq!((report.summary.pass, report.summary.error), (1, 1), "{report:?}");
    options.namespaces = Namespaces::All;
    assert_eq!(
        check(std::slice::from_ref(&input), &options)
            .unwrap()
            .status()
            .exit_code(),
        0
    );
    assert_eq!(
        check(&[], &options).unwrap().status().exit_code(),
        8,
        "rules, and nothing to judge"
    );

    std::fs::create_dir(bench.path("empty")).unwrap();
    assert_eq!(bench.check(&bench.path("empty")).status().exit_code(), 8);
    let beside = check(&[input, bench.path("empty")], &options).unwrap();
    assert_eq!(
        (beside.summary.error, beside.status().exit_code()),
        (1, 8),
        "{beside:?}"
    );
    assert_eq!(check(&[], &bench.options()).unwrap().status().exit_code(), 8);
}

#[test]
fn a_package_that_was_not_selected_judges_nothing_and_is_told() {
    let bench = Bench::new();
    bench.write(
        "policy/p.rego",
        "package main\n\nimport rego.v1\n\ndeny contains \"two\" if input.a == 2\n",
    );
    bench.write(
        "policy/q.rego",
        "package other\n\nimport rego.v1\n\ndeny contains \"one\" if input.a == 1\n",
    );
    let report = bench.check(&bench.write("a.yaml", "a: 1\n"));
    assert_eq!(verdicts(&report), [("main.deny", Verdict::Pass, "")]);
    assert!(
        report
            .prints
            .iter()
            .any(|line| line.contains("q.rego:5") && line.contains("--namespace other")),
        "{:?}",
        report.prints
    );
}

#[test]
fn stdin_and_json_arrays_and_data_are_read() {
    let bench = Bench::new();
    bench.write(
        "policy/p.rego",
        "package main\n\nimport rego.v1\n\ndeny contains msg if {\n  not input.port in data.allowed.ports\n  msg := sprintf(\"port %d\", [input.port])\n}\n",
    );
    let data = bench.write("data/ports.yaml", "allowed:\n  ports: [80, 443]\n");
    let mut options = bench.options();
    options.data = vec![data];
    options.stdin = b"[{\"port\": 80}, {\"port\": 22}]".to_vec();
    let report = check(&["-".into()], &options).unwrap();
    assert_eq!(
        verdicts(&report),
        [
            ("main.deny", Verdict::Pass, ""),
            ("main.deny", Verdict::Fail, "port 22")
        ]
    );
    options.stdin = b"port: 443\n---\nport: 25\n".to_vec();
    assert_eq!(check(&["-".into()], &options).unwrap().summary.fail, 1);
    // Beneath a folder that is named, the names between count.
    bench.write("all/allowed/ports.json", "{\"ports\": [25, 443]}");
    options.data = vec![bench.write("all/top.yaml", "other: 1\n").parent().unwrap().to_owned()];
    assert_eq!(check(&["-".into()], &options).unwrap().summary.fail, 0);
    options.stdin = b"port: 443\n---\nport: 26\n".to_vec();
    assert_eq!(check(&["-".into()], &options).unwrap().summary.fail, 1);
}

#[test]
fn metadata_names_rule_severity_and_controls_and_messages_may_point_elsewhere() {
    let policy = r#"# METADATA
# title: Backups are on
# custom:
#   id: ACME-7
#   severity: critical
#   controls:
#     nist-800-53: [CP-9]
#     iso-27001: [A.8.13]
package main

import rego.v1

deny contains {"msg": "off", "_loc": {"file": "rds.tf", "line": 12}, "resource": "db-1"} if not input.backup
"#;
    let report = Bench::judge(policy, "name: x\n");
    let finding = &report.results[0];
    assert_eq!(
        (finding.rule.as_str(), finding.severity.unwrap().to_string()),
        ("ACME-7", "critical".to_owned())
    );
    assert_eq!(finding.controls, ["nist-800-53:CP-9", "iso-27001:A.8.13"]);
    assert_eq!(
        (finding.file.as_deref(), finding.line, finding.resource.as_str()),
        (Some("rds.tf"), Some(12), "db-1")
    );
}

#[test]
fn a_message_has_its_own_severity_and_a_function_is_no_check() {
    let policy = "package main\n\nimport rego.v1\n\ndeny_one contains {\"msg\": \"one\", \"severity\": \"low\"} if input.a\n\ndeny_two(x) := [x]\n";
    let report = Bench::judge(policy, "a: 1\n");
    assert_eq!(verdicts(&report), [("main.deny_one", Verdict::Fail, "one")]);
    assert_eq!(report.results[0].severity.unwrap().to_string(), "low");
}

#[test]
fn an_exception_waives_what_fails_and_stays_visible() {
    let policy = "package main\n\ndeny_root[msg] { input.root; msg := \"root\" }\n\ndeny_port[msg] { input.port == 22; msg := \"ssh\" }\n\nexception[rules] { input.kind == \"Bastion\"; rules := [\"port\"] }\n";
    let report = Bench::judge(policy, "kind: Bastion\nport: 22\nroot: true\n");
    assert_eq!(
        verdicts(&report),
        [
            ("main.deny_port", Verdict::Waived, "ssh"),
            ("main.deny_root", Verdict::Fail, "root")
        ]
    );
    assert_eq!(report.results[0].waiver.as_ref().unwrap()["kind"], "exception");
    let report = Bench::judge(policy, "kind: Web\nport: 22\n");
    assert_eq!(report.summary.fail, 1);
}

#[test]
fn an_exception_that_cannot_be_evaluated_excepts_nothing_and_is_told() {
    let policy = "package main\n\nimport rego.v1\n\ndeny_a contains \"a\" if input.a\n\nexception contains [\"a\"] if http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1/\"})\n";
    let report = Bench::judge(policy, "a: 1\n");
    let found = &report.results[0];
    assert_eq!((report.results.len(), found.verdict), (1, Verdict::Fail));
    assert!(
        found.message.starts_with("a (exception: ") && found.message.contains("http.send"),
        "{found:?}"
    );
}

#[test]
fn what_conftest_passes_over_in_silence_is_an_error() {
    let map = "package main\n\nimport rego.v1\n\ndeny[msg] if {\n  input.a\n  msg := \"a\"\n}\n";
    let bool = "package main\n\nimport rego.v1\n\ndeny if input.a\n";
    let number = "package main\n\nimport rego.v1\n\ndeny contains 7 if input.a\n";
    let object = "package main\n\nimport rego.v1\n\ndeny contains {\"message\": \"x\"} if input.a\n";
    for policy in [map, bool, number, object] {
        let report = Bench::judge(policy, "a: true\n");
        assert_eq!(
            (report.summary.error, report.status().exit_code()),
            (1, 8),
            "{policy} {report:?}"
        );
        assert_eq!(
            report.results[0].rule, "main.deny",
            "the rule is what is wrong: {report:?}"
        );
    }
}

#[test]
fn a_suppressed_error_is_named_and_under_strict_it_is_the_verdict() {
    let bench = Bench::new();
    bench.write(
        "policy/p.rego",
        "package main\n\nimport rego.v1\n\ndeny contains \"old\" if to_number(input.version) < 3\n",
    );
    let input = bench.write("a.yaml", "version: seven\n");
    let report = bench.check(&input);
    assert_eq!(
        (report.summary.pass, report.status().exit_code()),
        (1, 0),
        "OPA's answer: {report:?}"
    );
    assert!(
        report.results[0].suppressed.as_ref().unwrap().contains("p.rego:5"),
        "{report:?}"
    );
    let mut options = bench.options();
    options.strict = true;
    assert_eq!(check(&[input], &options).unwrap().status().exit_code(), 8);
}

#[test]
fn the_clock_stands_where_the_caller_put_it() {
    let policy = "package main\n\nimport rego.v1\n\ndeny contains msg if msg := sprintf(\"%d\", [time.now_ns()])\n";
    let report = Bench::judge(policy, "a: 1\n");
    assert_eq!(report.results[0].message, NOW.unix_timestamp_nanos().to_string());
}

#[test]
fn what_policies_print_is_kept() {
    let policy = "package main\n\nimport rego.v1\n\ndeny contains \"x\" if {\n  print(\"seen\", input.a)\n  false\n}\n";
    let report = Bench::judge(policy, "a: 1\n");
    assert!(report.prints[0].contains("seen 1"), "{:?}", report.prints);
}

#[test]
fn a_policy_that_does_not_load_is_a_usage_error_with_its_place() {
    let cases = [
        ("package main\n\ndeny[msg] {\n  msg := \n}\n", "p.rego:"),
        (
            "package main\n\nimport rego.v1\n\ndeny contains msg if {\n  msg := no_such(input)\n}\n",
            "undefined function no_such",
        ),
        (
            "package main\n\nimport rego.v1\n\nf(x) := f(x)\n\ndeny contains \"x\" if f(1)\n",
            "recursive",
        ),
        (
            "package main\n\nimport rego.v1\n\na if b\n\nb if data.main.a\n\ndeny contains \"x\" if a\n",
            "recursive",
        ),
        ("deny contains 1\n", "p.rego"),
    ];
    for (policy, expected) in cases {
        let bench = Bench::new();
        bench.write("policy/p.rego", policy);
        let input = bench.write("a.yaml", "a: 1\n");
        let error = check(&[input], &bench.options()).unwrap_err();
        assert!(error.to_string().contains(expected), "{policy}: {error}");
    }
    let bench = Bench::new();
    let error = check(&[], &bench.options()).unwrap_err();
    assert!(matches!(error, PolicyError::Read { .. }), "{error}");
    std::fs::create_dir(bench.path("policy")).unwrap();
    assert!(matches!(
        check(&[], &bench.options()).unwrap_err(),
        PolicyError::NoPolicy(_)
    ));
}

#[test]
fn tests_beside_a_policy_are_not_part_of_the_check() {
    let bench = Bench::new();
    bench.write(
        "policy/p.rego",
        "package main\n\ndeny[msg] { input.a == 1; msg := \"one\" }\n",
    );
    bench.write(
        "policy/p_test.rego",
        "package main\n\ndeny[msg] { msg := \"from a test\" }\n",
    );
    let input = bench.write("a.yaml", "a: 1\n");
    assert_eq!(verdicts(&bench.check(&input)), [("main.deny", Verdict::Fail, "one")]);
}

#[test]
fn the_version_can_be_forced() {
    let bench = Bench::new();
    bench.write("policy/p.rego", "package main\n\ndeny[msg] { msg := \"one\" }\n");
    let mut options = bench.options();
    options.rego_version = RegoVersion::V1;
    assert!(check(&[], &options).is_err());
    options.rego_version = RegoVersion::V0;
    assert!(check(&[], &options).is_ok());
}

#[test]
fn a_bundle_s_manifest_says_the_version_and_the_caller_overrules_it() {
    let bench = Bench::new();
    bench.write("policy/p.rego", "package main\n\ndeny[msg] { msg := \"one\" }\n");
    let input = bench.write("a.yaml", "a: 1\n");
    let judged =
        |options: &CheckOptions| check(std::slice::from_ref(&input), options).map(|report| report.summary.fail);
    let mut options = bench.options();
    assert_eq!(judged(&options).unwrap(), 1, "version 0, for it is not version 1");
    bench.write("policy/.manifest", r#"{"rego_version": 1}"#);
    assert!(judged(&options).is_err());
    bench.write(
        "policy/.manifest",
        r#"{"rego_version": 1, "file_rego_versions": {"/p.rego": 0}}"#,
    );
    assert_eq!(judged(&options).unwrap(), 1);
    options.rego_version = RegoVersion::V1;
    assert!(judged(&options).is_err());
    bench.write("policy/.manifest", r#"{"rego_version": 1}"#);
    options.rego_version = RegoVersion::V0;
    assert_eq!(judged(&options).unwrap(), 1);
}

#[test]
fn a_missing_field_makes_a_negated_expression_undefined_as_under_opa() {
    // Each body is undefined to OPA, because an operand is: none of them may deny.
    for body in [
        "not startswith(input.missing, \"a\")",
        "not input.missing > 1",
        "not count(input.missing) == 0",
        "not \"a\" in input.missing",
        "not listed(input.missing)",
        "not among([input.missing])",
        "not data.allowed[input.missing]",
        "not (input.missing + 1) * 2 == 4",
        "[y | some y in [1]; not startswith(input.missing, \"a\")] != []",
        "every y in [1] { y == 1; not startswith(input.missing, \"a\") }",
    ] {
        for policy in [
            format!(
                "package main\n\nimport rego.v1\n\nlisted(x) if x == 1\n\namong(x) if x == [1]\n\ndeny contains \"x\" if {body}\n"
            ),
            format!(
                "package main\n\nimport rego.v1\n\nlisted(x) if x == 1\n\namong(x) if x == [1]\n\ndeny contains \"x\" if {{\n  {body}\n  true\n}}\n"
            ),
        ] {
            let report = Bench::judge(&policy, "a: 1\n");
            assert_eq!(
                (report.summary.pass, report.results.len()),
                (1, 1),
                "{policy}: {report:?}"
            );
        }
    }
    // And these hold: a reference alone, and one side of an equality, may be missing.
    for body in [
        "not input.missing",
        "not input.missing == 1",
        "not input.missing.deeper",
        "not listed(input.a)",
    ] {
        let policy =
            format!("package main\n\nimport rego.v1\n\nlisted(x) if x == 7\n\ndeny contains \"x\" if {body}\n");
        assert_eq!(Bench::judge(&policy, "a: 1\n").summary.fail, 1, "{policy}");
    }
}

#[test]
fn lines_keep_their_numbers_through_the_rewriting() {
    let policy = "package main\n\nimport rego.v1\n\ndeny contains \"x\" if {\n  not startswith(\n    input.a,\n    \"b\",\n  )\n  to_number(input.a) > 1\n}\n";
    let report = Bench::judge(policy, "a: c\n");
    assert!(
        report.results[0].suppressed.as_ref().unwrap().contains("p.rego:10:"),
        "{report:?}"
    );
}

#[test]
fn what_opa_refuses_is_refused_with_its_place_and_a_caret() {
    let cases = [
        (
            "deny[m] { not input.xs[_] == 9; m := \"a\" }\n",
            "p.rego:3: rego_unsafe_var_error: var _ is unsafe (iterate in a helper rule and negate that)\n  | deny[m] { not input.xs[_] == 9; m := \"a\" }\n  |                        ^",
        ),
        (
            "import rego.v1\n\nf(input) := input.b\n\ndeny contains \"a\" if f({})\n",
            "p.rego:5: rego_compile_error: args must not shadow input",
        ),
        (
            "deny[m] { m := y }\n",
            "p.rego:3: rego_unsafe_var_error: var y is unsafe",
        ),
        (
            "deny[m] { m := count([], 1, 2) }\n",
            "arity mismatch: it takes 1 arguments, not 3",
        ),
        ("deny[m] { m := x; x := 1 }\n", "var x referenced above"),
        ("deny[m] { some x; m := 1 }\n", "declared var x unused"),
        ("a = 1\n\na(x) = 2\n", "conflicting rules data.main.a found"),
    ];
    for (policy, expected) in cases {
        let bench = Bench::new();
        bench.write("policy/p.rego", format!("package main\n\n{policy}"));
        let error = check(&[], &bench.options()).unwrap_err().to_string();
        assert!(error.contains(expected), "{policy}: {error}");
    }
}

#[test]
fn what_regorus_alone_answers_otherwise_is_answered_as_by_opa() {
    for policy in [
        "deny[m] { f(2); m := \"a\" }\n\nf(x) = 1 { x == 1 } { x == 2 }\n",
        "deny[m] { [p, v] := walk(input); v == 1; m := concat(\"\", p) }\n",
        "x = {1}\n\ndeny[m] { some x; [1, 2][x] == 2; m := \"a\" }\n",
        "deny[m] { 0.1 + 0.2 == 0.3; m := \"a\" }\n",
        "deny[m] { t[x]; m := x }\n\nt[x] { x = s[x] }\n\ns[\"a\"] { true }\n",
    ] {
        let report = Bench::judge(&format!("package main\n\n{policy}"), "a: 1\n");
        assert_eq!(verdicts(&report), [("main.deny", Verdict::Fail, "a")], "{policy}");
    }
}

#[test]
fn yaml_inside_policies_means_the_same_as_in_files() {
    let policy =
        "package main\n\nimport rego.v1\n\ndeny contains \"x\" if yaml.unmarshal(input.text).enabled == true\n";
    assert_eq!(Bench::judge(policy, "text: 'enabled: yes'\n").summary.fail, 1);
    let report = Bench::judge(policy, "text: '['\n");
    assert!(
        report.summary.pass == 1
            && report.results[0]
                .suppressed
                .as_ref()
                .unwrap()
                .contains("yaml.unmarshal")
    );
}
