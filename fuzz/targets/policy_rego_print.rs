//! The Rego parser and printer: no text ends the parser or keeps it busy, and printing changes neither meaning nor lines.

use muster_policies::fuzzing::printed;

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "package a.b\n\nimport rego.v1\n\n# METADATA\n# title: t\ndeny contains msg if {\n\tsome i, x in input.list\n\tnot f(x) with input as {\"a\": [1, -2.5e3]}\n\tmsg := sprintf(\"%d\", [i])\n} else := 1\n",
        "package p\n\nimport data.c as d\n\ndefault z = {1, set(), `raw\n`}\n\nt[x] { x := 1 } {\n\tx = s[x].b[\"c\"]\n}\n\nf(x, [_, y]) = {k: v | v := x[k]; y | 1} { every k in x { k } }\n",
        "package p\nt := [x | a, x in b] if { 1 + 2 * (3 - 4) % 5 == c[d](e)[\"f\"] ; (x in y) == true }\n",
        "package p\nimport rego.v1\ntest_a if { count([x | x := data.q[_]]) == 1 with data.q as [1] with count as 1 }\nf(x) := walk(x)\n",
        "package p\na := b if { c := {d | d := e | f}; not [g | g := {h: i | h := i}] } else := j if { true }\n",
    ];
    let deep =
        |open: &str, close: &str| format!("package p\nx := {}1{}\n", open.repeat(100_000), close.repeat(100_000));
    let bombs = [
        deep("[", "]"),
        deep("{\"a\": ", "}"),
        deep("[x | x := ", "]"),
        deep("f(", ")"),
        deep("-", ""),
        deep("1 + ", ""),
        format!("package p\n{}", "x if { y }\n".repeat(50_000)),
    ];
    let texts = texts.map(|text| text.as_bytes().to_vec());
    texts.into_iter().chain(bombs.map(String::into_bytes)).collect()
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for first in [false, true] {
        match printed(text, first) {
            Ok(printed) => match printed.again {
                Ok(same) => assert!(same, "{}", printed.text),
                Err(why) => panic!("{why}\nin\n{}", printed.text),
            },
            Err(why) => refused(&why),
        }
    }
}

fn refused(why: &str) {
    assert!(!why.is_empty());
    for fault in ["internal fault", "a fault of muster", "would move"] {
        assert!(!why.contains(fault), "{why}");
    }
}
