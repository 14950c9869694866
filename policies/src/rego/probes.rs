//! Marks in rules that tell the engine which bodies were begun and which of them held.
//!
//! Put in behind every pass: a call at the front of each body, and one around what its head gives. Neither changes a value, an order or
//! a line. A body that was begun and did not reach its head was false once.

use std::collections::BTreeSet;

use super::Source;
use super::ast::{Body, Dialect, Expr, Kind, Module, Sign, Statement, What};
use super::operators::{ENTERED, HELD};
use super::passes::original;
use super::walk::{Look, look_rule, look_statement};

/// One body, or a rule without one; its number is its place in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Probe {
    /// The place of its source.
    pub(crate) place: usize,
    /// The name of the rule within its package.
    pub(crate) name: String,
    pub(crate) line: u32,
    /// It has conditions, and may be false.
    pub(crate) conditional: bool,
}

/// Whether a rule is a test, run or not.
fn is_test(name: &str) -> bool {
    name.split('.')
        .any(|part| part.starts_with("test_") || part.starts_with("todo_test_"))
}

/// Marks the rules of a module that are in its file and are no tests.
pub(super) fn mark(place: usize, module: &mut Module, probes: &mut Vec<Probe>) {
    let old = module.dialect == Dialect::V0;
    for rule in &mut module.rules {
        let name = original(&rule.head.constant().join(".")).to_owned();
        // What stands in square brackets in version 0 must stay what it is.
        if rule.default || rule.span.line == 0 || is_test(&name) || (old && rule.head.key.is_some()) {
            continue;
        }
        let mut probe = |line: u32, body: &mut Option<Body>| {
            let number = Expr::made(Kind::Number(probes.len().to_string()));
            let conditional = body.as_ref().is_some_and(|body| !body.is_empty());
            if let Some(body) = body.as_mut().filter(|body| !body.is_empty()) {
                body.insert(0, Statement::made(What::Expr(call(ENTERED, vec![number.clone()]))));
            }
            probes.push(Probe {
                place,
                name: name.clone(),
                line,
                conditional,
            });
            number
        };
        let number = probe(rule.span.line, &mut rule.body);
        match &mut rule.head.key {
            Some(key) => wrap(key, number),
            None => hold(&mut rule.head.value, number),
        }
        for otherwise in &mut rule.otherwise {
            let number = probe(otherwise.span.line, &mut otherwise.body);
            hold(&mut otherwise.value, number);
        }
    }
}

fn call(function: &str, args: Vec<Expr>) -> Expr {
    Expr::made(Kind::Call(Box::new(Expr::var(function)), args))
}

fn wrap(expr: &mut Expr, number: Expr) {
    let inner = std::mem::replace(expr, Expr::made(Kind::Null));
    *expr = call(HELD, vec![number, inner]);
}

fn hold(value: &mut Option<(Sign, Expr)>, number: Expr) {
    let (_, value) = value.get_or_insert_with(|| (Sign::Assign, Expr::made(Kind::Bool(true))));
    wrap(value, number);
}

/// The lines on which statements of a file begin, those of tests aside.
pub(crate) fn lines(source: &Source) -> BTreeSet<u32> {
    struct Lines(BTreeSet<u32>);
    impl<'a> Look<'a> for Lines {
        fn statement(&mut self, statement: &'a Statement) {
            if !matches!(statement.what, What::Some(_)) && statement.span.line > 0 {
                self.0.insert(statement.span.line);
            }
            look_statement(self, statement);
        }
    }
    let mut lines = Lines(BTreeSet::new());
    let rules = source.module.rules.iter().filter(|rule| !rule.default);
    rules
        .filter(|rule| !is_test(&rule.head.constant().join(".")))
        .for_each(|rule| look_rule(&mut lines, rule));
    lines.0
}
