//! Rules listed and explained: what they look at, and how far they hold.

use muster_policies::{ExplainOptions, Explained, Looked, Outcome, PolicyError, RegoVersion, explain, list, profiles};
use serde_json::{Value, json};

use crate::{Bench, NOW};

const RULES: &str = "package main\n\nimport rego.v1\n\n# METADATA\n# title: Enough is kept\n# custom:\n#   id: K-1\n#   severity: high\n#   controls: {soc2: [A1.2]}\ndeny contains msg if {\n\tsome store in input.stores\n\tstore.backup\n\tstore.keep < limit\n\tnot exempt[store.name]\n\tmsg := sprintf(\"%s keeps %d\", [store.name, store.keep])\n}\n\ndeny contains \"x\" if input.never\n\nexempt[\"spare\"] := true\n\nlimit := 7\n\nwarn_small contains \"small\" if { some n; count(input.stores) < n; n = 2 }\n";

fn explained(rule: &str, bench: &Bench, input: Option<&str>) -> Result<Explained, PolicyError> {
    explain(
        rule,
        &ExplainOptions {
            policies: vec![bench.path("policy")],
            data: Vec::new(),
            input: input.map(|input| bench.write("input.yaml", input)),
            rego_version: RegoVersion::Auto,
            now: NOW,
            sandbox: None,
        },
    )
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("policy/keep.rego", RULES);
    bench
}

fn looked(expression: &str, values: &[Value]) -> Looked {
    Looked {
        expression: expression.to_owned(),
        values: values.to_vec(),
    }
}

fn outcomes(explained: &Explained, body: usize) -> Vec<(u32, Outcome)> {
    let statements = &explained.documents[0].bodies[body].statements;
    statements.iter().map(|stage| (stage.line, stage.outcome)).collect()
}

#[test]
fn a_rule_that_fires_shows_each_statement_true_and_what_it_gives() {
    let input = "stores:\n- {name: a, backup: true, keep: 9}\n- {name: b, backup: true, keep: 3}\n";
    let explained = explained("K-1", &bench(), Some(input)).unwrap();
    assert_eq!(
        explained.reads.join(" "),
        "input.never input.stores input.stores[_].backup input.stores[_].keep input.stores[_].name"
    );
    let body = &explained.documents[0].bodies[0];
    assert!(body.holds);
    assert_eq!(body.gives, [json!("b keeps 3")]);
    assert_eq!(
        outcomes(&explained, 0),
        [12, 13, 14, 15, 16].map(|line| (line, Outcome::True)),
        "{body:#?}"
    );
    let compared = &body.statements[2];
    assert_eq!(compared.text, "store.keep < limit");
    assert_eq!(
        compared.values,
        [
            looked("store.keep", &[json!(3), json!(9)]),
            looked("limit", &[json!(7)])
        ]
    );
    assert!(!explained.documents[0].bodies[1].holds);
}

#[test]
fn a_rule_that_does_not_fire_shows_the_statement_at_which_it_ended() {
    let bench = bench();
    let enough = explained(
        "main.deny",
        &bench,
        Some("stores: [{name: a, backup: true, keep: 9}]\n"),
    )
    .unwrap();
    assert_eq!(
        outcomes(&enough, 0),
        [
            (12, Outcome::True),
            (13, Outcome::True),
            (14, Outcome::False),
            (15, Outcome::NotReached),
            (16, Outcome::NotReached)
        ]
    );
    let spare = explained("deny", &bench, Some("stores: [{name: spare, backup: true, keep: 3}]\n")).unwrap();
    let negated = &spare.documents[0].bodies[0].statements[3];
    assert_eq!(
        (negated.outcome, negated.text.as_str()),
        (Outcome::False, "not exempt[store.name]")
    );
    assert_eq!(negated.values[0], looked("exempt[store.name]", &[json!(true)]));
    let none = explained("deny", &bench, Some("{}\n")).unwrap();
    assert_eq!(outcomes(&none, 0)[0], (12, Outcome::False));
    assert_eq!(
        none.documents[0].bodies[0].statements[0].values,
        [looked("input.stores", &[])]
    );
}

#[test]
fn a_body_is_followed_in_the_order_in_which_its_variables_become_known() {
    let small = explained("warn_small", &bench(), Some("stores: [1, 2, 3]\n")).unwrap();
    let body = &small.documents[0].bodies[0];
    let seen: Vec<_> = body
        .statements
        .iter()
        .map(|stage| (stage.text.as_str(), stage.outcome))
        .collect();
    assert_eq!(
        seen,
        [("count(input.stores) < n", Outcome::False), ("n = 2", Outcome::True)],
        "{body:#?}"
    );
}

#[test]
fn rules_of_profiles_bring_examples_on_which_their_verdict_holds() {
    let mut told = 0;
    for listed in list(&profiles(), &[], RegoVersion::Auto).unwrap() {
        let bench = Bench::new();
        bench.write("policy/p.rego", "package p\n");
        let rule = &listed.rule;
        let examples = explained(rule, &bench, None).unwrap().examples.unwrap();
        for (verdict, facts) in examples.as_object().unwrap() {
            let on = explained(rule, &bench, Some(&facts.to_string())).unwrap();
            assert!(!on.reads.is_empty(), "{rule}");
            let bodies = on.documents[0].bodies.iter();
            let held: Vec<&str> = bodies
                .filter(|body| body.holds)
                .map(|body| body.name.as_str())
                .collect();
            assert!(held.contains(&verdict.as_str()), "{rule} on {verdict}: {held:?}");
            told += 1;
        }
    }
    assert!(told > 100, "{told}");
}

#[test]
fn rules_of_a_folder_are_listed_with_what_they_say_of_themselves() {
    let bench = bench();
    let rules = list(&[], &[bench.path("policy")], RegoVersion::Auto).unwrap();
    let seen: Vec<_> = rules.iter().map(|listed| (listed.rule.as_str(), listed.line)).collect();
    assert_eq!(seen, [("K-1", 11), ("main.warn_small", 25)]);
    let document = serde_json::to_value(&rules[0]).unwrap();
    assert_eq!(document["severity"], "high");
    assert_eq!(document["controls"], json!(["soc2:A1.2"]));
    assert_eq!(
        (&document["package"], &document["title"]),
        (&json!("main"), &json!("Enough is kept"))
    );
    assert!(
        explained("nothing", &bench, None)
            .unwrap_err()
            .to_string()
            .contains("no rule nothing")
    );
}

#[test]
fn a_name_that_several_rules_have_is_refused_with_all_of_them_and_metadata_makes_a_rule_of_any_name() {
    let bench = Bench::new();
    let rule = "import rego.v1\n\n# METADATA\n# title: Tagged\nis_tagged if input.tag\n\ndeny contains \"x\" if { some x in input.many; x > 0 }\n";
    bench.write("policy/a.rego", format!("package a\n\n{rule}"));
    bench.write("policy/b.rego", format!("package b\n\n{rule}"));
    let listed = list(&[], &[bench.path("policy")], RegoVersion::Auto).unwrap();
    let names: Vec<&str> = listed.iter().map(|listed| listed.rule.as_str()).collect();
    assert_eq!(names, ["a.is_tagged", "a.deny", "b.is_tagged", "b.deny"]);
    let several = explained("deny", &bench, None).unwrap_err().to_string();
    assert!(several.contains("a.deny") && several.contains("b.deny"), "{several}");
    // Of many values five are told.
    let told = explained("a.deny", &bench, Some("many: [1, 2, 3, 4, 5, 6, 7]\n")).unwrap();
    let looked = &told.documents[0].bodies[0].statements[1].values[0];
    assert_eq!((looked.expression.as_str(), looked.values.len()), ("x", 5), "{told:#?}");
}
