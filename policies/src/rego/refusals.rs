//! Each static check has a policy that it alone refuses, on the line where OPA refuses it, and a neighbour that stands.

use super::ast::Dialect;
use super::{Options, Source, compile};

/// The first refusal of these modules together: its line, its class and its words.
fn refusal(modules: &[&str], dialect: Dialect) -> Option<(u32, String)> {
    refusal_with(modules, dialect, Options::default())
}

fn refusal_with(modules: &[&str], dialect: Dialect, options: Options) -> Option<(u32, String)> {
    let sources: Result<Vec<Source>, _> = modules.iter().map(|text| Source::parse(text, dialect)).collect();
    let sources = match sources {
        Ok(sources) => sources,
        Err(fault) => return Some((fault.span.line, fault.to_string())),
    };
    let sources: Vec<&Source> = sources.iter().collect();
    let faults = compile(&sources, options, &|_| true).err()?;
    Some((faults[0].1.span.line, faults[0].1.to_string()))
}

/// What version 1 refuses: rules from line 3 on, the line, and how the refusal begins.
const REFUSED: [(&str, u32, &str); 48] = [
    (
        "# METADATA\n# - a\nt := 1",
        3,
        "rego_parse_error: METADATA: is not a mapping",
    ),
    (
        "# METADATA\n# scope: rul\nt := 1",
        3,
        "rego_parse_error: METADATA: scope \"rul\" is none of rule, document, package, subpackages",
    ),
    (
        "t := 1\n\n# METADATA\n# title: x",
        5,
        "rego_parse_error: METADATA: no package or rule follows it",
    ),
    ("t := nope(1)", 3, "rego_type_error: undefined function nope"),
    (
        "t := data.q.nope(1)",
        3,
        "rego_type_error: undefined function data.q.nope",
    ),
    ("t := count([1], 2, 3)", 3, "rego_type_error: count: arity mismatch"),
    (
        "f(x) := x\n\nt := f(1, 2, 3)",
        5,
        "rego_type_error: data.p.f: arity mismatch",
    ),
    (
        "t := any([true])",
        3,
        "rego_type_error: deprecated built-in function calls in expression: any",
    ),
    (
        "r := {\"a\": 1}\n\nt if r with data.p.r.a as 2",
        5,
        "rego_compile_error: with keyword cannot partially replace virtual document(s)",
    ),
    (
        "f(x) := x\n\nt if f(1) with data.p.f[\"a\"] as 2",
        5,
        "rego_compile_error: with keyword cannot partially replace virtual document(s)",
    ),
    (
        "t if true with nope.x as 1",
        3,
        "rego_compile_error: with keyword target must reference existing input, data, or a function",
    ),
    ("t if not x", 3, "rego_unsafe_var_error: var x is unsafe"),
    ("t if x == 1", 3, "rego_unsafe_var_error: var x is unsafe"),
    ("t := x if true", 3, "rego_unsafe_var_error: var x is unsafe"),
    ("s contains x if true", 3, "rego_unsafe_var_error: var x is unsafe"),
    ("o[k] := 1 if true", 3, "rego_unsafe_var_error: var k is unsafe"),
    (
        "t := 1 if input.a\n\nelse := x if true",
        5,
        "rego_unsafe_var_error: var x is unsafe",
    ),
    (
        "t := 1 if input.a\n\nelse := 2 if x == 1",
        5,
        "rego_unsafe_var_error: var x is unsafe",
    ),
    ("t := [x | true]", 3, "rego_unsafe_var_error: var x is unsafe"),
    ("t := {k: 1 | true}", 3, "rego_unsafe_var_error: var k is unsafe"),
    (
        "t if every v in [1] { w == v }",
        3,
        "rego_unsafe_var_error: var w is unsafe",
    ),
    // Each of the two needs the other first.
    (
        "t if { n = count([y | y = x]); x = n + 1 }",
        3,
        "rego_unsafe_var_error: var ",
    ),
    ("t if true with input as x", 3, "rego_unsafe_var_error: var x is unsafe"),
    (
        "a if b\n\nb if a",
        3,
        "rego_recursion_error: rule data.p.a is recursive",
    ),
    ("f(x) := f(x)", 3, "rego_recursion_error: rule data.p.f is recursive"),
    (
        "a := x if { some k in [\"b\"]; x := data.p[k] }",
        3,
        "rego_recursion_error: rule data.p.a is recursive",
    ),
    (
        "a := count(data.p)",
        3,
        "rego_recursion_error: rule data.p.a is recursive",
    ),
    (
        "r := 1\n\nr(x) := x",
        5,
        "rego_type_error: conflicting rules data.p.r found",
    ),
    (
        "r contains 1\n\nr := 2",
        5,
        "rego_type_error: conflicting rules data.p.r found",
    ),
    (
        "f(x) := x\n\nf(x, y) := [x, y]",
        5,
        "rego_type_error: conflicting rules data.p.f found",
    ),
    (
        "default a := 1\n\ndefault a := 2",
        5,
        "rego_type_error: multiple default rules data.p.a found",
    ),
    (
        "default a := 1\n\na contains 2",
        3,
        "rego_type_error: conflicting rules data.p.a found",
    ),
    ("input := 1", 3, "rego_compile_error: rules must not shadow input"),
    ("data := 1", 3, "rego_compile_error: rules must not shadow data"),
    ("f(input) := 1", 3, "rego_compile_error: args must not shadow input"),
    ("f([1, data]) := 1", 3, "rego_compile_error: args must not shadow data"),
    (
        "import data.a\nimport data.b as a",
        4,
        "rego_compile_error: import must not shadow import data.a",
    ),
    ("t := 1 + \"a\"", 3, "rego_type_error: plus: invalid argument"),
    ("t := lower(1)", 3, "rego_type_error: lower: invalid argument"),
    (
        "f(1) := 2\n\nt := f(\"a\")",
        5,
        "rego_type_error: data.p.f: invalid argument",
    ),
    ("t := {\"a\": 1}[\"b\"]", 3, "rego_type_error: undefined ref"),
    ("t if some x in 1", 3, "rego_type_error: match error"),
    (
        "t if { x := 1; x := 2; x > 0 }",
        3,
        "rego_compile_error: var x assigned above",
    ),
    (
        "t if { some x; some x; input[x] }",
        3,
        "rego_compile_error: var x declared above",
    ),
    (
        "f(x) := y if { x := 1; y := x }",
        3,
        "rego_compile_error: arg x redeclared",
    ),
    (
        "t if { x > 0; x := 1 }",
        3,
        "rego_compile_error: var x referenced above",
    ),
    (
        "t if { input[x]; some x; x > 1 }",
        3,
        "rego_compile_error: var x referenced above",
    ),
    (
        "t if every x in [1] { input.a }",
        3,
        "rego_compile_error: declared var x unused",
    ),
];

#[test]
fn each_check_refuses_on_the_line_where_opa_does() {
    for (rules, line, words) in REFUSED {
        let refused = refusal(&[&format!("package p\n\n{rules}\n")], Dialect::V1);
        assert!(
            refused
                .as_ref()
                .is_some_and(|(at, told)| *at == line && told.starts_with(words)),
            "{rules}\n{refused:?}"
        );
    }
}

#[test]
fn what_stands_close_to_a_refusal_is_taken() {
    for rules in [
        "t := count([1], x) if { x = 1 }",
        "f(x) := x\n\nt if f(1) with data.p.f as 2",
        "r := {\"a\": 1}\n\nt if r with data.p.r as 2",
        "t if data.files.a with data.files.a as 2",
        "t if { count([y | y = x]) == 1; input.a[x] }",
        "t if { not x; x = input.a }",
        "a.b := 1\n\na.c := data.p.a.b",
        "f(1) := 1\n\nf(\"a\") := 2\n\nt := f(\"a\")",
        "default a := 1\n\na := 2 if input.b",
        "t := {\"a\": 1}[\"a\"]",
        "t if every _ in [1] { input.a }",
        "t if { some x; x = 1; y = [x | x = 2; x > 1]; y == [2] }",
    ] {
        assert_eq!(
            refusal(&[&format!("package p\n\n{rules}\n")], Dialect::V1),
            None,
            "{rules}"
        );
    }
}

#[test]
fn version_0_takes_what_only_version_1_refuses() {
    for rules in ["t = any([true])", "import data.a\n\nimport data.b as a\n\nt = 1"] {
        let text = format!("package p\n\n{rules}\n");
        assert_eq!(refusal(&[&text], Dialect::V0), None, "{rules}");
        assert!(
            refusal(&[&text.replace("t =", "t :=")], Dialect::V1).is_some(),
            "{rules}"
        );
    }
}

#[test]
fn a_rule_does_not_stand_where_another_file_s_package_does() {
    let refused = refusal(&["package p\n\nq := 1\n", "package p.q\n\nt := 1\n"], Dialect::V1);
    let (line, told) = refused.unwrap();
    assert_eq!(line, 3);
    assert!(
        told.starts_with("rego_type_error: package p.q conflicts with rule"),
        "{told}"
    );
    assert_eq!(
        refusal(&["package p\n\nr := 1\n", "package p.q\n\nt := 1\n"], Dialect::V1),
        None
    );
}

#[test]
fn strict_mode_refuses_in_version_0_what_is_imported_twice() {
    let text = "package p\n\nimport data.a\n\nimport data.b as a\n\nt = a\n";
    let strict = Options {
        strict: true,
        ..Options::default()
    };
    assert_eq!(refusal(&[text], Dialect::V0), None);
    let (line, told) = refusal_with(&[text], Dialect::V0, strict).unwrap();
    assert_eq!(line, 5);
    assert!(
        told.starts_with("rego_compile_error: import must not shadow import data.a"),
        "{told}"
    );
}
