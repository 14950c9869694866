//! What the cases of OPA do not ask: what must not be called, what may replace it, and spellings of patterns.

use serde_json::{Value, json};

use super::regexes::as_go_reads;
use super::signature::{Trait, Type};
use super::table::TABLE;
use super::{FAMILIES, signature};
use crate::selftest::{Answer, Question, answer};
use crate::sources::RegoVersion;

fn asked(module: &str, strict: bool) -> Answer {
    let question = Question {
        modules: vec![("p.rego".to_owned(), format!("package p\n\n{module}\n"))],
        version: RegoVersion::V1,
        data: None,
        input: Some(json!({})),
        query: "data.p.t".to_owned(),
    };
    answer(&question, strict)
}

fn value(module: &str) -> Value {
    match asked(module, false) {
        Answer::Result(value) => value,
        other => panic!("{module}: {other:?}"),
    }
}

#[test]
fn what_would_read_the_world_ends_the_evaluation_and_says_its_name() {
    for (name, call) in [
        (
            "http.send",
            "http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1/\"})",
        ),
        ("net.lookup_ip_addr", "net.lookup_ip_addr(\"localhost\")"),
        ("graphql.is_valid", "graphql.is_valid(\"\", \"\")"),
        ("providers.aws.sign_req", "providers.aws.sign_req({}, {}, 1)"),
    ] {
        // In a function and under `not` too: to pass over it there would turn the answer round.
        for module in [
            format!("t := {call}"),
            format!("f(x) := {call} if x\n\nt := f(true)"),
            format!("t if not {call}"),
        ] {
            match asked(&module, false) {
                Answer::Error(why) => assert!(why.contains(name), "{module}: {why}"),
                other => panic!("{module}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_test_may_put_something_in_the_place_of_what_would_read_the_world() {
    let module = "fetched := http.send({\"method\": \"get\", \"url\": \"x\"}).body\n\nfake(_) := {\"body\": 7}\n\nt := x if x := fetched with http.send as fake";
    assert_eq!(value(module), json!(7));
    let module = "picked := rand.intn(\"k\", 6)\n\nt := x if x := picked with rand.intn as 4";
    assert_eq!(value(module), json!(4));
}

#[test]
fn what_is_drawn_by_chance_is_the_same_for_the_same_key_and_run() {
    let module = "t := [count({uuid.rfc4122(k) | some k in [\"a\", \"a\", \"b\"]}), count({n | some i in numbers.range(1, 50); n := rand.intn(\"k\", 1000)}), count({n | some i in numbers.range(1, 50); n := rand.intn(sprintf(\"%d\", [i]), 1000)}) > 20, max([n | some i in numbers.range(1, 500); n := rand.intn(sprintf(\"%d\", [i]), -3)]), uuid.parse(uuid.rfc4122(\"a\")).version]";
    assert_eq!(value(module), json!([2, 1, true, 2, 4]));
}

#[test]
fn a_built_in_error_is_undefined_and_under_strict_an_error_with_its_line() {
    let module = "t := regex.match(\"(\", \"a\")";
    assert_eq!(asked(module, false), Answer::Undefined);
    match asked(module, true) {
        Answer::Error(why) => assert!(why.contains("p.rego:3") && why.contains("regex.match"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_registered_function_has_a_signature() {
    for (name, _) in FAMILIES.into_iter().flatten() {
        assert!(signature(name).is_some(), "{name}");
    }
    assert_eq!(signature("any").unwrap().kind, Trait::Deprecated);
    assert_eq!(signature("lower").unwrap().args, [Type::Str]);
    assert!(TABLE.len() > 190, "{}", TABLE.len());
}

#[test]
fn go_s_spellings_of_patterns_are_read_as_go_reads_them() {
    for (go, here) in [
        (r"\d", "[0-9]"),
        (r"[\w-]", "[[0-9A-Za-z_]-]"),
        ("a{2,3}", "a{2,3}"),
        ("{x}", r"\{x}"),
        ("[[]", r"[\[]"),
        ("[]a]", r"[\]a]"),
        ("[[:alpha:]]", "[[:alpha:]]"),
        (r"\Qa.b\E.", r"a\.b."),
        (r"\<", "<"),
    ] {
        assert_eq!(as_go_reads(go), here, "{go}");
        assert!(super::call::compile(go).is_ok(), "{go}");
    }
    assert_eq!(value(r"t := regex.match(`^\w+$`, `é`)"), json!(false));
    assert_eq!(value(r"t := regex.match(`^\w{1,255}$`, `abc`)"), json!(true));
}

#[test]
fn text_of_a_configuration_is_read_by_its_parser() {
    let module = "t := parse_config(\"yaml\", \"a: [1, 2]\").a";
    assert_eq!(value(module), json!([1, 2]));
}

#[test]
fn a_schema_that_refers_to_the_network_is_refused_by_name() {
    match asked("t := json.match_schema({}, {\"$ref\": \"http://127.0.0.1/a\"})", false) {
        Answer::Error(why) => assert!(why.contains("http://127.0.0.1/a"), "{why}"),
        other => panic!("{other:?}"),
    }
    let module = "t := json.match_schema({\"a\": [1, 1], \"b\": 0}, {\"properties\": {\"a\": {\"uniqueItems\": true}, \"b\": {\"minimum\": 1}}, \"additionalProperties\": false})[1]";
    let kinds: Vec<_> = value(module)
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["type"].clone())
        .collect();
    assert_eq!(kinds, [json!("unique"), json!("number_gte")]);
}

#[test]
fn templates_are_filled_in_and_functions_in_them_refused() {
    let module = "t := strings.render_template(`{{range $i, $x := .l}}{{if $i}}, {{end}}{{$x}}{{else}}none{{end}}`, {\"l\": [\"a\", \"b\"]})";
    assert_eq!(value(module), json!("a, b"));
    let module =
        "t := strings.render_template(`{{- if .no -}} x {{- else if .yes}}y{{end}}`, {\"no\": false, \"yes\": 1})";
    assert_eq!(value(module), json!("y"));
    match asked(
        "t := strings.render_template(`{{printf \"%d\" .x}}`, {\"x\": 1})",
        false,
    ) {
        Answer::Error(why) => assert!(why.contains("printf"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn yaml_is_written_as_opa_writes_it() {
    let module =
        "t := yaml.marshal({\"a\": [{\"b\": 1, \"c\": []}], \"d\": \"x: y\", \"e\": \"1\", \"f\": \"two\\nlines\\n\"})";
    assert_eq!(
        value(module),
        json!("a:\n- b: 1\n  c: []\nd: 'x: y'\ne: \"1\"\nf: |\n  two\n  lines\n")
    );
}

#[test]
fn sums_and_products_are_decimal() {
    assert_eq!(
        value("t := [sum([0.1, 0.2]) == 0.3, product([0.1, 3]), sum([]), product(set())]"),
        json!([true, 0.3, 0, 1])
    );
    assert_eq!(value("t := json.unmarshal(`{\"a\": 1, \"a\": 2}`)"), json!({"a": 2}));
    assert_eq!(
        value("t := [lower(`İ`), sprintf(`%v %v %d`, [1000000.5, 0.00001, 1])]"),
        json!(["i", "1.0000005e+06 1e-05 1"])
    );
}

#[test]
fn what_would_never_end_or_fill_the_memory_ends_the_evaluation() {
    let round = "{\"anyOf\": [{\"$ref\": \"#\"}, {\"$ref\": \"#\"}], \"type\": \"object\"}";
    for call in [
        format!("json.match_schema({{}}, {round})"),
        format!(
            "strings.render_template(`{}x{}`, {{\"l\": numbers.range(1, 40)}})",
            "{{range $.l}}".repeat(30),
            "{{end}}".repeat(30)
        ),
        "numbers.range_step(0, 10000000, 1)".to_owned(),
        format!("numbers.range_step({}, -{}, 1)", i128::MAX, i128::MAX),
        "net.cidr_expand(\"10.0.0.0/8\")".to_owned(),
    ] {
        let got = asked(&format!("t := {call}"), false);
        assert!(matches!(got, Answer::Error(_)), "{call}: {got:?}");
    }
    assert_eq!(value("t := regex.globs_match(`[a-c]+x`, `b.`)"), json!(true));
    let zeros =
        "t := [0e999999999, -0.0E999999999, 1e-999999999, to_number(\"0e999999999\"), to_number(\"-1e-999999999\")]";
    assert_eq!(value(zeros), json!([0, 0, 0, 0, 0]));
}

#[test]
fn a_module_is_parsed_into_its_tree_and_one_that_is_none_is_a_built_in_error() {
    let module = "t := [m[\"package\"].path[1].value, m.rules[0].body[0].terms[0].value[0].value] if m := rego.parse_module(\"x.rego\", \"package foo.bar\\np if { a = true }\")";
    assert_eq!(value(module), json!(["foo", "eq"]));
    let module = "t := rego.parse_module(\"x.rego\", \"package foo.\")";
    assert_eq!(asked(module, false), Answer::Undefined);
    match asked(module, true) {
        Answer::Error(why) => assert!(
            why.contains("rego.parse_module: 1 error occurred: x.rego:1: rego_parse_error"),
            "{why}"
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_module_to_parse_has_a_length() {
    let module = |times: usize| {
        format!(
            "t := rego.parse_module(\"x\", concat(\"\", [\"package p\\n#\", `{}`]))[\"package\"]",
            "x".repeat(times)
        )
    };
    assert!(matches!(asked(&module(1 << 19), true), Answer::Result(_)));
    match asked(&module(1 << 20), true) {
        Answer::Error(why) => assert!(
            why.contains("rego.parse_module: the module has") && why.contains("1048576"),
            "{why}"
        ),
        other => panic!("{other:?}"),
    }
}
