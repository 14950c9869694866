//! The Rego parser and printer: no text ends the parser or keeps it busy, and printing changes neither meaning nor lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_fuzz::seeds::plant;

mod rego {
    #![expect(dead_code, unreachable_pub, reason = "a part of the policies crate, compiled in by path")]

    #[path = "../../../policies/src/rego/ast.rs"]
    pub(crate) mod ast;
    #[path = "../../../policies/src/rego/fault.rs"]
    pub(crate) mod fault;
    #[path = "../../../policies/src/rego/lexer.rs"]
    pub(crate) mod lexer;
    #[path = "../../../policies/src/rego/parser/mod.rs"]
    pub(crate) mod parser;
    #[path = "../../../policies/src/rego/print.rs"]
    pub(crate) mod print;
}

use rego::ast::{Dialect, Module};

fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "package a.b\n\nimport rego.v1\n\n# METADATA\n# title: t\ndeny contains msg if {\n\tsome i, x in input.list\n\tnot f(x) with input as {\"a\": [1, -2.5e3]}\n\tmsg := sprintf(\"%d\", [i])\n} else := 1\n",
        "package p\n\nimport data.c as d\n\ndefault z = {1, set(), `raw\n`}\n\nt[x] { x := 1 } {\n\tx = s[x].b[\"c\"]\n}\n\nf(x, [_, y]) = {k: v | v := x[k]; y | 1} { every k in x { k } }\n",
        "package p\nt := [x | a, x in b] if { 1 + 2 * (3 - 4) % 5 == c[d](e)[\"f\"] ; (x in y) == true }\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

fuzz_target!(init: plant("policy_rego_print", &seeds()), |data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for dialect in [Dialect::V0, Dialect::V1] {
        let parsed = match rego::parser::parse(text, dialect) {
            Ok(parsed) => parsed.module,
            Err(fault) => {
                assert!(!fault.tell(text).is_empty());
                continue;
            }
        };
        let printed = rego::print::print(&parsed).unwrap();
        let again = rego::parser::parse(&printed, dialect)
            .unwrap_or_else(|fault| panic!("{}\nin\n{printed}", fault.tell(&printed)))
            .module;
        assert_eq!(again, parsed, "{printed}");
        let lines = |module: &Module| module.rules.iter().map(|rule| rule.span.line).collect::<Vec<_>>();
        assert_eq!(lines(&again), lines(&parsed), "{printed}");
    }
});
