//! What OPA's parser refuses is refused, and what it takes, however it looks, is taken.

use super::super::ast::Dialect;
use super::parse;

fn taken(dialect: Dialect, body: &str) -> Result<(), String> {
    let text = format!("package p\n\n{body}\n");
    parse(&text, dialect).map(drop).map_err(|fault| fault.tell(&text))
}

#[test]
fn what_opa_does_not_parse_is_refused() {
    for (dialect, body, why) in [
        (Dialect::V1, "t := (input.a).b", "illegal ref"),
        (Dialect::V1, "t := (input).b", "illegal ref"),
        (Dialect::V1, "t := (data.x)(1)", "illegal ref"),
        (Dialect::V1, "t := 1 if false else := 2 else := 3", "nothing follows"),
        (Dialect::V1, "t if { true };", "expected a rule"),
        (Dialect::V1, "t := 1; u := 2", "expected a rule"),
        (Dialect::V1, "t if { some x with input as 1; x = 1 }", "expected"),
        (
            Dialect::V1,
            "t if { some contains; contains = 1 }",
            "expected a variable",
        ),
        (Dialect::V1, "t := 1 if false else := 2 if {\"a\": 1}", "expected"),
        (Dialect::V1, "f (x) := x", "var cannot be used"),
        (Dialect::V1, "import data.x.if", "must not end with a keyword"),
        (Dialect::V1, "count([1])", "conflicts with built-in"),
        (Dialect::V1, "t := ..5", "expected number"),
        (Dialect::V1, "t := .5.5", "expected number"),
        (Dialect::V1, "t := 05", "leading zero"),
        (Dialect::V1, "t := 1 # \0", "null character"),
        (Dialect::V1, "t := 1 # \u{feff}", "byte-order mark"),
        (Dialect::V0, "t.a = 1 { false } else = 2 { true }", "multi-value rules"),
        (Dialect::V0, "f (x) = x", "var cannot be used"),
    ] {
        match taken(dialect, body) {
            Err(fault) => assert!(fault.contains(why), "{body}: {fault}"),
            Ok(()) => panic!("taken: {body}"),
        }
    }
}

#[test]
fn what_opa_parses_is_taken() {
    for (dialect, body) in [
        (Dialect::V1, "t := [(x)[0] | some x in [[1]]]"),
        (Dialect::V1, "t := (count([1]))"),
        (Dialect::V1, "t := ([1])[0]"),
        (Dialect::V1, "t := 1 if false else := 2 if { false } else := 3"),
        (Dialect::V1, "f (x) := x if x > 1"),
        (Dialect::V1, "t [x] contains 1 if some x in [1]"),
        (Dialect::V1, "t := [.5, -.5, - 5, .05, 1 - 5]"),
        (Dialect::V1, "import data.x.if as y"),
        (Dialect::V1, "some_count([1])"),
        (Dialect::V1, "t.a := 1 if false else := 2"),
        (Dialect::V0, "a.b.c"),
        (Dialect::V0, "import data.x.if"),
        (Dialect::V0, "deny [msg] { msg := 1 }"),
        (Dialect::V0, "f (x) = x { true }"),
    ] {
        assert_eq!(taken(dialect, body), Ok(()), "{body}");
    }
}
