//! Trees in OPA's shape, form by form. The fields are those that OPA 1.10's types have; none of them tells a place but
//! comments.

use serde_json::{Value, json};

use super::tree;

fn read(text: &str) -> Value {
    let tree = tree("x.rego", text).unwrap_or_else(|why| panic!("{text}: {why}"));
    serde_json::from_str(&tree.to_json_str().unwrap()).unwrap()
}

fn rules(text: &str) -> Value {
    read(&format!("package p\n\n{text}\n"))["rules"].take()
}

fn statement(text: &str) -> Value {
    rules(&format!("p if {{ {text} }}"))[0]["body"][0].take()
}

fn term(text: &str) -> Value {
    rules(&format!("p := {text}"))[0]["head"]["value"].take()
}

fn typed(kind: &str, value: &Value) -> Value {
    json!({"type": kind, "value": value})
}

fn var(name: &str) -> Value {
    typed("var", &json!(name))
}

fn text(text: &str) -> Value {
    typed("string", &json!(text))
}

fn number(number: i32) -> Value {
    typed("number", &json!(number))
}

fn path(name: &str) -> Value {
    typed("ref", &json!([var(name)]))
}

fn member(name: &str) -> Value {
    typed("ref", &json!([var("internal"), text(name)]))
}

fn truth() -> Value {
    typed("boolean", &json!(true))
}

/// The body of a rule that has none.
fn held() -> Value {
    json!([{"index": 0, "terms": truth()}])
}

#[test]
fn a_module_has_its_package_imports_rules_and_comments() {
    let module =
        "# a\npackage foo.bar\n\nimport rego.v1\nimport data.a[\"b\"] as c\nimport input\n\n\tp := 1 #é b\n#\n";
    let place = |row: u32, col: u32| json!({"file": "x.rego", "row": row, "col": col});
    assert_eq!(
        read(module),
        json!({
            "package": {"path": [var("data"), text("foo"), text("bar")]},
            "imports": [
                {"path": typed("ref", &json!([var("rego"), text("v1")]))},
                {"path": typed("ref", &json!([var("data"), text("a"), text("b")])), "alias": "c"},
                {"path": path("input")},
            ],
            "rules": [{
                "head": {"name": "p", "ref": [var("p")], "assign": true, "value": number(1)},
                "body": held(),
            }],
            "comments": [
                {"Location": place(1, 1), "Text": "IGE="},
                {"Location": place(8, 9), "Text": "w6kgYg=="},
                {"Location": place(9, 1), "Text": null},
            ],
        })
    );
    assert_eq!(
        read("package p"),
        json!({"package": {"path": [var("data"), text("p")]}})
    );
}

#[test]
fn heads_have_the_name_and_key_that_opa_keeps() {
    let x = || var("x");
    for (rule, head) in [
        ("p = 1", json!({"name": "p", "ref": [var("p")], "value": number(1)})),
        ("p if q", json!({"name": "p", "ref": [var("p")], "value": truth()})),
        ("p contains x if q", json!({"name": "p", "ref": [var("p")], "key": x()})),
        (
            "p contains 1",
            json!({"name": "p", "ref": [var("p")], "key": number(1)}),
        ),
        ("a.b contains x if q", json!({"ref": [var("a"), text("b")], "key": x()})),
        ("a.b if q", json!({"ref": [var("a"), text("b")], "value": truth()})),
        (
            "a[x] if q",
            json!({"ref": [var("a"), x()], "key": x(), "value": truth()}),
        ),
        (
            "a[x] := 1 if q",
            json!({"name": "a", "ref": [var("a"), x()], "key": x(), "value": number(1), "assign": true}),
        ),
        (
            "a[data.b] := 1 if q",
            json!({
                "name": "a", "ref": [var("a"), typed("ref", &json!([var("data"), text("b")]))],
                "key": typed("ref", &json!([var("data"), text("b")])), "value": number(1), "assign": true,
            }),
        ),
        (
            "a.b := 1 if q",
            json!({"name": "a", "ref": [var("a"), text("b")], "value": number(1), "assign": true}),
        ),
        (
            "a.b := 1",
            json!({"name": "a", "ref": [var("a"), text("b")], "key": text("b"), "value": number(1), "assign": true}),
        ),
        (
            "a.b.c := 1",
            json!({"ref": [var("a"), text("b"), text("c")], "value": number(1), "assign": true}),
        ),
        (
            "default a.b := 1",
            json!({"ref": [var("a"), text("b")], "value": number(1), "assign": true}),
        ),
        (
            "f(x) := 1",
            json!({"name": "f", "ref": [var("f")], "args": [x()], "value": number(1), "assign": true}),
        ),
        (
            "f(x) if q",
            json!({"name": "f", "ref": [var("f")], "args": [x()], "value": truth()}),
        ),
        (
            "f(input)",
            json!({"name": "f", "ref": [var("f")], "args": [path("input")], "value": truth()}),
        ),
        (
            "a.f(x) = 1",
            json!({"ref": [var("a"), text("f")], "args": [x()], "value": number(1)}),
        ),
        (
            "a.f(x) if q",
            json!({"name": "a", "ref": [var("a"), text("f")], "args": [x()], "value": truth()}),
        ),
    ] {
        assert_eq!(rules(rule)[0]["head"], head, "{rule}");
    }
}

#[test]
fn rules_have_bodies_else_and_further_bodies() {
    let head = |value: Value| json!({"name": "p", "ref": [var("p")], "assign": true, "value": value});
    assert_eq!(
        rules("default p := false"),
        json!([{"default": true, "head": head(typed("boolean", &json!(false))), "body": held()}])
    );
    assert_eq!(
        rules("p := 1 if { q; r } else := 2 if s else if t else = 3"),
        json!([{
            "head": head(number(1)),
            "body": [{"index": 0, "terms": var("q")}, {"index": 1, "terms": var("r")}],
            "else": {
                "head": head(number(2)),
                "body": [{"index": 0, "terms": var("s")}],
                "else": {
                    "head": head(truth()),
                    "body": [{"index": 0, "terms": var("t")}],
                    "else": {"head": {"name": "p", "ref": [var("p")], "value": number(3)}, "body": held()},
                },
            },
        }])
    );
    let head = |name: &str| json!({"name": "f", "ref": [var("f")], "args": [var(name)], "value": truth()});
    assert_eq!(
        rules("f(_) if { q[_] } { r[_] }"),
        json!([
            {"head": head("$0"), "body": [{"index": 0, "terms": typed("ref", &json!([var("q"), var("$1")]))}]},
            {"head": head("$3"), "body": [{"index": 0, "terms": typed("ref", &json!([var("r"), var("$2")]))}]},
        ])
    );
    let rule = &rules("f(_) if q else := _ if r")[0]["else"]["head"];
    assert_eq!((&rule["args"], &rule["value"]), (&json!([var("$1")]), &var("$2")));
}

#[test]
fn every_form_of_statement_has_its_terms() {
    for (body, terms) in [
        ("q", var("q")),
        ("input", path("input")),
        ("x := 1", json!([path("assign"), var("x"), number(1)])),
        ("x = 1", json!([path("eq"), var("x"), number(1)])),
        ("x == 1", json!([path("equal"), var("x"), number(1)])),
        ("(x - 1)", json!([path("minus"), var("x"), number(1)])),
        ("x in q", json!([member("member_2"), var("x"), var("q")])),
        ("x, y in q", json!([member("member_3"), var("x"), var("y"), var("q")])),
        ("f(x)", json!([path("f"), var("x")])),
        ("f()", json!([path("f")])),
        (
            "data.f(x)",
            json!([typed("ref", &json!([var("data"), text("f")])), var("x")]),
        ),
        (
            "f(x).y",
            typed("ref", &json!([typed("call", &json!([path("f"), var("x")])), text("y")])),
        ),
        ("some x, y", json!({"symbols": [var("x"), var("y")]})),
        (
            "some x in q",
            json!({"symbols": [typed("call", &json!([member("member_2"), var("x"), var("q")]))]}),
        ),
        (
            "some x, y in q",
            json!({"symbols": [typed("call", &json!([member("member_3"), var("x"), var("y"), var("q")]))]}),
        ),
        (
            "every x in q { r; x }",
            json!({
                "key": null, "value": var("x"), "domain": var("q"),
                "body": [{"index": 0, "terms": var("r")}, {"index": 1, "terms": var("x")}],
            }),
        ),
        (
            "every x, y in q { x }",
            json!({"key": var("x"), "value": var("y"), "domain": var("q"), "body": [{"index": 0, "terms": var("x")}]}),
        ),
    ] {
        assert_eq!(statement(body), json!({"index": 0, "terms": terms}), "{body}");
    }
    assert_eq!(
        statement("not q with input.a as 1 with data as x"),
        json!({
            "index": 0, "negated": true, "terms": var("q"),
            "with": [
                {"target": typed("ref", &json!([var("input"), text("a")])), "value": number(1)},
                {"target": path("data"), "value": var("x")},
            ],
        })
    );
}

#[test]
fn every_type_of_term_has_its_value() {
    let body = json!([{"index": 0, "terms": var("q")}]);
    for (written, term_) in [
        ("null", typed("null", &json!({}))),
        ("false", typed("boolean", &json!(false))),
        ("-1", number(-1)),
        ("1.5", typed("number", &json!(1.5))),
        ("\"a\\n\"", text("a\n")),
        ("`a\\n`", text("a\\n")),
        ("x", var("x")),
        (
            "x[1].y[_]",
            typed("ref", &json!([var("x"), number(1), text("y"), var("$0")])),
        ),
        ("[]", typed("array", &json!([]))),
        ("[2, 1]", typed("array", &json!([number(2), number(1)]))),
        ("set()", typed("set", &json!([]))),
        ("{}", typed("object", &json!([]))),
        (
            "{[\"a\"], x, 10, \"b\", 9, 9.0, f(1), null, input}",
            typed(
                "set",
                &json!([
                    typed("null", &json!({})),
                    number(9),
                    number(10),
                    text("b"),
                    var("x"),
                    path("input"),
                    typed("array", &json!([text("a")])),
                    typed("call", &json!([path("f"), number(1)])),
                ]),
            ),
        ),
        (
            "{\"b\": 1, \"a\": 2, \"b\": 3}",
            typed("object", &json!([[text("a"), number(2)], [text("b"), number(3)]])),
        ),
        (
            "[x | q]",
            typed("arraycomprehension", &json!({"term": var("x"), "body": body})),
        ),
        (
            "{x | q}",
            typed("setcomprehension", &json!({"term": var("x"), "body": body})),
        ),
        (
            "{x: y | q}",
            typed(
                "objectcomprehension",
                &json!({"key": var("x"), "value": var("y"), "body": body}),
            ),
        ),
        (
            "1 + 2 * 3",
            typed(
                "call",
                &json!([
                    path("plus"),
                    number(1),
                    typed("call", &json!([path("mul"), number(2), number(3)]))
                ]),
            ),
        ),
    ] {
        assert_eq!(term(written), term_, "{written}");
    }
}

#[test]
fn wildcards_are_counted_through_the_module() {
    let rules = rules("p[_] := _ if { q[_]; some _ in [_ | _] }\n\nf([_, _], _) := 1");
    let mut found = Vec::new();
    let mut rest = vec![&rules];
    while let Some(value) = rest.pop() {
        match value {
            Value::Array(items) => rest.extend(items),
            Value::Object(fields) => rest.extend(fields.values()),
            Value::String(name) if name.starts_with('$') => found.push(name.clone()),
            _ => {}
        }
    }
    found.sort();
    // The key of the first head is told twice.
    assert_eq!(found, ["$0", "$0", "$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8"]);
}

#[test]
fn what_cannot_be_read_says_where_and_what() {
    for (file, text, why) in [
        (
            "x.rego",
            "package p\n\np := {",
            "1 error occurred: x.rego:3: rego_parse_error: ",
        ),
        ("", "package p\n\np := 1 2", "1 error occurred: 3:8: rego_parse_error: "),
        (
            "x.rego",
            "package p\n\np { q }",
            "`if` keyword is required before rule body",
        ),
    ] {
        let told = tree(file, text).unwrap_err();
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn what_nests_too_deep_for_a_value_is_refused() {
    let chains = |depth: usize| {
        let chain = format!("{})", " + 1".repeat(300)).repeat(depth);
        format!("package p\n\np := {}1{chain}", "(".repeat(depth))
    };
    let judge = move || {
        assert!(tree("", &chains(1)).is_ok());
        let told = tree("", &chains(2)).unwrap_err();
        assert!(told.contains("nests more than"), "{told}");
        let many = " else := 1 if q".repeat(2_000);
        assert!(tree("", &format!("package p\n\np := 1 if q{many}")).is_err());
    };
    // As evaluations have it, a test's own stack is small.
    let thread = std::thread::Builder::new().stack_size(crate::engine::STACK);
    thread.spawn(judge).unwrap().join().unwrap();
}
