//! What can never be right is refused when it is loaded, and nothing that can be.

use crate::selftest::{Answer, Question, answer};
use crate::sources::RegoVersion;

fn answered(body: &str) -> Answer {
    answer(
        &Question {
            modules: vec![("p.rego".to_owned(), format!("package p\n\n{body}\n"))],
            version: RegoVersion::V1,
            data: None,
            input: Some(serde_json::json!({"a": 1, "s": "x", "o": {"k": 1}})),
            query: "data.p.t".to_owned(),
        },
        false,
    )
}

#[test]
fn a_type_is_followed_through_locals_rules_and_functions() {
    for (body, why) in [
        ("t if { x := 1; x.foo }", "undefined ref: x.foo"),
        (
            "t if { x := \"a\"; x + 1 > 0 }",
            "plus: invalid argument(s): have: (string, number)",
        ),
        (
            "t if { x := [1]; startswith(x[0], \"a\") }",
            "startswith: invalid argument(s)",
        ),
        ("t if { x := {\"a\": 1}; x.b }", "undefined ref: x.b"),
        ("t if { x := {\"a\": 1}; y := x.a; y.b }", "undefined ref: y.b"),
        (
            "t if { x := count([1]); x == \"1\" }",
            "match error: left: number, right: string",
        ),
        ("t if { [x, y] := [1, \"a\"]; x == y }", "match error"),
        ("t if { some x in [1, 2]; x == \"a\" }", "match error"),
        ("t if { some k, v in {\"a\": 1}; k == 1; v == 1 }", "match error"),
        ("t if { x := 5; some y in x; y == 1 }", "match error: x is number"),
        ("t if { x := {1, 2}; x[\"a\"] }", "undefined ref"),
        (
            "t if { x := [y | some y in [1]]; x == \"a\" }",
            "match error: left: array[number], right: string",
        ),
        ("t if { x := [1, 2]; x.length == 2 }", "undefined ref: x.length"),
        ("r := 1\n\nt if r == \"a\"", "match error: left: number, right: string"),
        ("r := 1\n\nt if r.x", "undefined ref: data.p.r.x"),
        (
            "r contains 1\n\nt if r == 5",
            "match error: left: set[number], right: number",
        ),
        (
            "r[k] := v if some k, v in {\"a\": 1}\n\nt if r.a == \"x\"",
            "match error",
        ),
        ("r := 1 if input.a\n\nelse := 2\n\nt if r == \"a\"", "match error"),
        (
            "f(x) := y if y := x + 1\n\nt if f(\"a\")",
            "data.p.f: invalid argument(s): have: (string), want: (number)",
        ),
        ("f(x) := 1\n\nt if f(1) == \"a\"", "match error"),
        ("f(x) if x == 1\n\nt if f(\"a\")", "invalid argument(s)"),
        (
            "t if { x := 1; y := [z | z := x.a]; count(y) == 0 }",
            "undefined ref: x.a",
        ),
        ("t := x + \"a\" if x := 1", "plus: invalid argument(s)"),
        ("t if { not 1 == \"a\" }", "match error"),
        ("t if { walk(input, [p, v]); p == \"a\" }", "match error"),
    ] {
        match answered(body) {
            Answer::Error(fault) => {
                assert!(
                    fault.contains("rego_type_error") && fault.contains(why),
                    "{body}: {fault}"
                );
            }
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn what_can_be_right_is_never_refused() {
    for body in [
        "t if { x := input.a; x == 1; not x == \"a\" }",
        "r := 1 if input.a\n\nr := \"a\" if not input.a\n\nt if { r == 1; not r == \"b\" }",
        "f(\"a\") := 1\n\nf(1) := \"a\"\n\nt if { f(\"a\") == 1; f(1) == \"a\" }",
        "f(x) := y if { z := x; y := z + 1; x == 1 }\n\nt if not f(\"a\")",
        "t if { x == 1; x = input.a }",
        "t if { y := [x]; x = input.a; not y[0] == \"a\" }",
        "t if { x := [1, \"a\"]; some y in x; y == \"a\" }",
        "t if { x := {}; not x.a }",
        "t if { x := []; not x[0] }",
        "t if { x := {\"a\": 1, input.s: 2}; x.x == 2 }",
        "t if { x := {\"a\": 1}; k := input.s; not x[k] }",
        "t if { x := set(); not x.a }",
        "t if { x := json.unmarshal(\"{\\\"a\\\": 1}\"); x.a == 1 }",
        "r.a := 1\n\nr.b := \"x\"\n\nt if { r.b == \"x\"; not r.c }",
        "t if { every x in [1] { x == 1 } }",
        "t if { v := [1]; w := {\"a\": 1}; not [] = v; not {} = w; not [v] = [[]]; w != {} }",
        "t if { x := object.get(input, \"a\", \"none\"); x == 1 }",
        "f(x) if not x == 1\n\nt if f(\"a\")",
        "f(x) if { y := [z | z := x]; count(y) == 1; x == \"a\" }\n\nt if { f(\"a\"); not f(1) }",
    ] {
        match answered(body) {
            Answer::Error(fault) if fault.contains("rego_type_error") => panic!("{body}: {fault}"),
            Answer::Result(value) => assert_eq!(value, true, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}
