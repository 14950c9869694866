//! What the front end promises of text: it is read as OPA reads it, and printing changes neither meaning nor lines.

use proptest::prelude::*;

use super::ast::{Dialect, Module};
use super::parser::{Parsed, parse};
use super::print::print;
use super::{Options, Pass, Source};
use crate::engine::{Engine, on_deep_stack};
use crate::selftest;
use crate::sources::{PolicyError, RegoVersion};

fn parsed(text: &str, dialect: Dialect) -> Result<Module, String> {
    parse(text, dialect)
        .map(|Parsed { module, .. }| module)
        .map_err(|fault| fault.tell(text))
}

/// Printing changes nothing that is parsed, and every rule stands on its own line.
fn holds(text: &str, dialect: Dialect) -> Result<(), String> {
    let module = parsed(text, dialect)?;
    let printed = print(&module).map_err(|moved| format!("{moved:?} in\n{text}"))?;
    let again = parsed(&printed, dialect).map_err(|fault| format!("{fault}\nin\n{printed}\nfrom\n{text}"))?;
    if again != module {
        return Err(format!("{printed}\nfrom\n{text}"));
    }
    let lines = |module: &Module| -> Vec<u32> { module.rules.iter().map(|rule| rule.span.line).collect() };
    match lines(&again) == lines(&module) {
        true => Ok(()),
        false => Err(format!("lines moved: {printed}\nfrom\n{text}")),
    }
}

#[test]
fn every_case_that_opa_parses_is_parsed_and_printed_again() {
    let mut wrong = Vec::new();
    for case in selftest::cases().unwrap() {
        let listed = selftest::known().any(|(id, _)| id == case.id);
        let refused = listed || matches!(&case.opa, selftest::Answer::Error(_));
        let dialect = match case.question.version {
            RegoVersion::V1 => Dialect::V1,
            _ => Dialect::V0,
        };
        for (_, text) in &case.question.modules {
            match holds(text, dialect) {
                Err(why) if !refused => wrong.push(format!("{}: {why}", case.id)),
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_a_fuzzer_found_prints_as_what_it_is() {
    for text in [
        "package p\nt if { (3 | f(3)) }\n",
        "package p\nas.v1 := 1\n",
        "package p\nt := [x | (a | b); x := 1]\n",
    ] {
        assert_eq!(holds(text, Dialect::V1), Ok(()));
    }
    assert_eq!(holds("package p\nimport.v1\n", Dialect::V0), Ok(()));
    assert!(parsed("package \"p\"\n", Dialect::V0).is_err());
    assert!(parsed("package p\nt := 2e308\n", Dialect::V1).is_err());
}

#[test]
fn a_refusal_names_its_place_with_a_caret() {
    let text = "package p\n\nt := 1 if {\n\tinput.a b\n}\n";
    assert_eq!(
        parsed(text, Dialect::V1).unwrap_err(),
        "rego_parse_error: unexpected b: expected \\n or ; or }\n  | \tinput.a b\n  | \t        ^"
    );
}

#[test]
fn nesting_and_repetition_are_bounded() {
    for text in [
        format!("package p\nt := {}1{}\n", "[".repeat(20_000), "]".repeat(20_000)),
        format!("package p\nt := {}1{}\n", "{".repeat(20_000), "}".repeat(20_000)),
        format!("package p\nt := {}1{}\n", "(".repeat(20_000), ")".repeat(20_000)),
        format!("package p\nt := {}1\n", "f(".repeat(20_000)),
        format!("package p\nt := {}1\n", "1 + ".repeat(100_000)),
        format!("package p\nt := {}1\n", "[x | [y | 1 := ".repeat(60)),
        format!("package p\nt := {}1\n", "{x: {y | ".repeat(60)),
        format!("package p\nt := input{}\n", "[a".repeat(20_000)),
        format!("package p\nt := input{}\n", ".a".repeat(100_000)),
        format!("package p\nt if {{ {}true\n", "every x in y { ".repeat(10_000)),
    ] {
        assert!(on_deep_stack(|| parsed(&text, Dialect::V1)).unwrap().is_err());
    }
}

#[test]
fn two_hundred_brackets_are_read_in_every_place() {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(200), close.repeat(200));
    for term in [
        deep("[", "]"),
        deep("{", "}"),
        deep("{\"a\": ", "}"),
        deep("[0, ", "]"),
        format!("{}1{}", "[x | x := ".repeat(12), "]".repeat(12)),
        deep("abs(", ")"),
        deep("(2 - ", ")"),
    ] {
        let text = format!(
            "package p\n\nr := {term} if {term} == {term}\n\ns contains {term}\n\nt if {{ {term} == r; every y in [1] {{ not y != [1 | {term}][0] }} }}\n"
        );
        let answer = selftest::answer(
            &selftest::Question {
                modules: vec![("p.rego".to_owned(), text)],
                version: RegoVersion::V1,
                query: "data.p.t".to_owned(),
                ..selftest::Question::default()
            },
            false,
        );
        assert_eq!(answer, selftest::Answer::Result(true.into()), "{term:.40}");
    }
}

#[test]
fn what_would_have_to_go_up_is_an_error_and_no_other_line() {
    let mut module = parsed("package p\n\na := 1\n\nb := 2\n", Dialect::V1).unwrap();
    module.rules.swap(0, 1);
    assert_eq!(print(&module).err().map(|moved| moved.0), Some(3));
}

#[test]
fn each_sign_of_a_version_decides_and_else_it_is_0() {
    for (rules, dialect) in [
        ("t := 1", Dialect::V1),
        ("t contains 1 if input.a", Dialect::V1),
        ("deny[x] { x := 1 }", Dialect::V0),
        ("t := any([true])", Dialect::V0),
        ("t := any([true]) if { true }\n\nany(_) := 1", Dialect::V0),
        ("f(input) := 1", Dialect::V0),
        ("data := 1", Dialect::V0),
        ("import data.a\n\nimport data.b as a\n\nt := 1", Dialect::V0),
        // Said outright, it is version 1 with whatever faults that has.
        ("import rego.v1\n\nt := any([true])", Dialect::V1),
        ("import rego.v1\n\nf(input) := 1", Dialect::V1),
    ] {
        let source = Source::detect(&format!("package p\n\n{rules}\n"));
        assert_eq!(source.map(|source| source.module.dialect), Ok(dialect), "{rules}");
    }
    let refused = |rules: &str| Source::detect(&format!("package p\n\n{rules}\n")).unwrap_err();
    // Version 0's rule is a fault of a file that says version 1.
    assert_eq!(refused("import rego.v1\n\nt := 1\n\ndeny[x] { x := 1 }").span.line, 7);
    // Where it is neither, whoever got further says what is wrong.
    assert_eq!(refused("deny[x] { x := 1 }\n\nt { ] }").span.line, 5);
    assert_eq!(refused("t contains 1 if { input.a }\n\nu if { ] }").span.line, 5);
}

/// Source text of a term, with white space and line ends where Rego takes them.
fn term() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-c]",
        Just("_".to_owned()),
        Just("input".to_owned()),
        "-?(0|[1-9][0-9]{0,2})(\\.[0-9])?",
        "\"[a-z\\\\\\\\ é]{0,3}\"".prop_map(|text| text.replace('\\', "\\\\")),
        "`[a-z\\\\\"\n]{0,3}`",
        Just("null".to_owned()),
        Just("set()".to_owned()),
        Just("{}".to_owned()),
        Just("[]".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let gap = prop_oneof![Just(" "), Just("\n"), Just(" # {[(\"\n"), Just("")];
        let operator = prop::sample::select(vec![
            "==", "!=", "<", "<=", ">", ">=", "|", "&", "+", "-", "*", "/", "%", "in",
        ]);
        prop_oneof![
            (prop::collection::vec(inner.clone(), 1..4), gap.clone())
                .prop_map(|(v, g)| format!("[{g}{}]", v.join(&format!(",{g}")))),
            (prop::collection::vec(inner.clone(), 1..4), gap.clone())
                .prop_map(|(v, g)| format!("{{{g}{}{g}}}", v.join(&format!("{g},")))),
            (inner.clone(), inner.clone(), gap.clone()).prop_map(|(k, v, g)| format!("{{{g}({k}){g}:{v},}}")),
            (inner.clone(), operator, inner.clone(), gap.clone()).prop_map(|(a, o, b, g)| format!("({a} {o} {g}{b})")),
            (inner.clone(), gap.clone()).prop_map(|(t, g)| format!("a.b[{g}{t}{g}].in")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("f.g({a}, {b})[0]")),
            (inner.clone(), inner.clone(), gap.clone()).prop_map(|(a, b, g)| format!("[({a}) |{g}b := {b}; not c]")),
            (inner.clone(), inner.clone(), gap.clone()).prop_map(|(a, b, g)| format!("{{({a}) |{g}some b in {b}{g}}}")),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("{{({a}): c | [a, c] = {b}\nc > 1 with input.x as {a}}}")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("[a | every k, v in {a} {{ {b}; k }}]")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printing_never_changes_what_is_parsed(a in term(), b in term(), c in term()) {
        let text = format!("package p\n\nr := {b} if {{\n\tx := {c}\n\t# here\n\n\tnot {a}\n}} else := {b}\n\ns contains {a}\n\nf(x, {b}) if x == {c}\n");
        prop_assert_eq!(holds(&text, Dialect::V1), Ok(()));
        let text = format!("package p\n\nimport future.keywords\n\nr[({a})] {{ {b} }} {{\n{c}\n}}\n\nf(x) = {b} {{ x }} else = {a} {{ c }}\n");
        prop_assert_eq!(holds(&text, Dialect::V0), Ok(()));
    }

    #[test]
    fn nothing_that_looks_like_rego_ends_the_parser(text in "(package p\\n|t|\\[|\\]|\\{|\\}|\\(|\\)| |\\n|x|:=|=|==|not |some |in |every |if |contains |data\\.|input\\.|\"a\"|1|with |as |else |default |import |,|;|\\||_|-|`|#){0,80}") {
        for dialect in [Dialect::V0, Dialect::V1] {
            if parsed(&text, dialect).is_ok() {
                prop_assert_eq!(holds(&text, dialect), Ok(()));
            }
        }
    }
}

/// The answer to a case with one pass left out, or with all of them.
fn answer(case: &selftest::Case, left_out: Option<Pass>) -> selftest::Answer {
    let question = &case.question;
    let asked = on_deep_stack(|| -> Result<selftest::Answer, PolicyError> {
        let mut engine = Engine::new(time::macros::datetime!(2026-11-25 01:00 UTC))?;
        for (path, text) in &question.modules {
            engine.add_module(path, text, question.version)?;
        }
        if let Some(data) = &question.data {
            engine.add_data("data", data.clone())?;
        }
        engine.compile_with(Options::default(), &|pass| Some(pass) != left_out)?;
        let outcome = engine.session(question.input.as_ref()).evaluate(&question.query);
        Ok(match outcome {
            Err(why) => selftest::Answer::Error(why),
            Ok(evaluation) => match evaluation.value {
                Some(value) => selftest::Answer::Result(value),
                None => selftest::Answer::Undefined,
            },
        })
    });
    match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(why)) | Err(why) => selftest::Answer::Error(why.to_string()),
    }
}

#[test]
fn strict_mode_refuses_what_is_assigned_or_imported_and_not_used() {
    let refusal = |text: &str, strict: bool| {
        let source = Source::parse(text, Dialect::V1).unwrap();
        let options = Options {
            strict,
            ..Options::default()
        };
        super::compile(&[&source], options, &|_| true).err().map(|faults| {
            faults
                .into_iter()
                .map(|(_, fault)| fault.what)
                .collect::<Vec<_>>()
                .join("; ")
        })
    };
    for (text, what) in [
        ("package p\nt if { x := 1 }\n", "assigned var x unused"),
        (
            "package p\nt if { [x, y] := [1, 2]; x == 1 }\n",
            "assigned var y unused",
        ),
        ("package p\nt := [1 | x := 2]\n", "assigned var x unused"),
        ("package p\nimport data.a.b\nt := 1\n", "import data.a.b unused"),
        (
            "package p\nt if { x := 1 }\nf(x, y, z) if x == 1\nelse if z == 2\n",
            "assigned var x unused; unused argument y. (hint: use _ (wildcard variable) instead)",
        ),
    ] {
        assert_eq!(refusal(text, true).as_deref(), Some(what), "{text}");
        assert_eq!(refusal(text, false), None, "{text}");
    }
    assert_eq!(
        refusal("package p\nimport data.a.b\nt := x if { x := b.c }\n", true),
        None
    );
}

#[test]
fn a_comprehension_may_use_an_outer_variable_above_its_own_of_that_name() {
    let refusal = |text: &str| {
        let source = Source::parse(text, Dialect::V1).unwrap();
        super::compile(&[&source], Options::default(), &|_| true)
            .err()
            .map(|faults| faults[0].1.what.clone())
    };
    let outer = "package p\nt if { n := input.a; [n | input.b == n; n := 1] == [] }\n";
    assert_eq!(refusal(outer), None);
    let alone = "package p\nt := [n | input.b == n; n := 1]\n";
    assert_eq!(refusal(alone).as_deref(), Some("var n referenced above"));
}

/// What no case speaks of, with OPA's answer.
const MORE: [(&str, &str); 8] = [
    (
        "t := [v.a | some i, v in walk({\"a\": {\"a\": 1}}); i == 1]",
        "[{\"a\": 1}, 1]",
    ),
    ("t := y if yaml.unmarshal(\"a: 1\", y)", "{\"a\": 1}"),
    (
        "t := [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
    ),
    (
        "f(x, _) := y if { is_number(x); some y in [x]; y < 5 }\n\nt := [f(1, 2), f(7, 2), f(null, 3)]\n---\npackage p\n\nf(null, z) := y if { some i; y := [z][i] }\n\nf(x, y) := y if { x > 5 }",
        "[1, 2, 3]",
    ),
    (
        "t := [minus(count([1, 2]), 1), x, mul(2, div(6, 3))] if { plus(1, 2, x); lt(x, 5); eq(y, x); not gte(y, 4) }",
        "[1, 3, 4]",
    ),
    (
        "e.a := 1 if input.zz\n\nf.g.h := 2 if input.zz\n\nt := [e, f, count(e), [x | x := [][0]]]",
        "[{}, {\"g\": {}}, 0, []]",
    ),
    (
        "all(x) := data.p.q[x].deny\n\nt := [all(\"a\"), [y | some y in [\"a\", \"b\"]; not data.p.q[y].deny.two], data.p.q[lower(\"B\")].deny, u, [data.p.q[z].deny | some z in [\"a\"]]]\n\nu := data.p.q[w].deny if w := \"b\"\n---\npackage p.q.a\n\ndeny contains \"one\"\n---\npackage p.q.b\n\ndeny contains \"two\"\n---\npackage p.q.a\n\nloop := data.p.all(\"a\")\n\nagain := data.p.t",
        "[[\"one\"], [\"a\"], [\"two\"], [\"two\"], [[\"one\"]]]",
    ),
    ("as.foo := 1\n\nt := [as.foo, data.p.as]", "[1, {\"foo\": 1}]"),
];

#[test]
fn each_pass_left_out_turns_a_case_red() {
    let mut cases = selftest::cases().unwrap();
    cases.extend(MORE.iter().map(|(module, value)| {
        selftest::Case {
            id: (*module).to_owned(),
            question: selftest::Question {
                modules: module
                    .split("\n---\npackage ")
                    .enumerate()
                    .map(|(place, part)| {
                        let package = if place == 0 { "package p\n" } else { "package " };
                        (format!("more{place}.rego"), format!("{package}{part}\n"))
                    })
                    .collect(),
                version: RegoVersion::V1,
                query: "data.p.t".to_owned(),
                ..selftest::Question::default()
            },
            opa: selftest::Answer::Result(serde_json::from_str(value).unwrap()),
            strict: None,
        }
    }));
    let met: Vec<_> = cases
        .iter()
        .filter(|case| selftest::agree(&case.opa, &answer(case, None)))
        .collect();
    for (id, _) in MORE {
        let case = cases.iter().find(|case| case.id == id).unwrap();
        let given = answer(case, None);
        assert!(selftest::agree(&case.opa, &given), "{id}: {given:?}");
    }
    let needless: Vec<String> = super::all_passes()
        .filter(|pass| {
            met.iter()
                .all(|case| selftest::agree(&case.opa, &answer(case, Some(*pass))))
        })
        .map(|pass| pass.to_string())
        .collect();
    assert!(needless.is_empty(), "no case needs {}", needless.join(", "));
}
