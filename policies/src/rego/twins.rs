//! Tests that share a name, and tests of several cases: what `opa test` makes of both.
//!
//! A test that is defined twice is two tests, judged apart: the second gets a name of its own, and whoever names the test
//! means the first. A test whose head has a variable (`test_x[note] if …`) is one test of as many cases as the variable
//! takes values; which these are is asked of a rule that holds the body up to where they are known.

use std::collections::BTreeMap;

use super::Source;
use super::ast::{Expr, Kind, Rule, Span};
use super::checks::reaching;
use super::walk::{Rewrite, rewrite_rule, unplace};

/// How a rule is to be evaluated when it is a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Test {
    /// The name of the rule.
    pub(crate) name: String,
    /// The name of the rule that gives its cases, each an array of keys.
    pub(crate) cases: Option<String>,
}

/// Renames, and adds the rules for cases behind all others; gives, for each source, how its rules are to be evaluated.
pub(super) fn part(sources: &mut [Source]) -> Vec<Vec<Test>> {
    let mut seen: BTreeMap<(Vec<String>, String), usize> = BTreeMap::new();
    let mut tests = Vec::new();
    for source in sources {
        let package = source.module.package.clone();
        let (mut own, mut added) = (Vec::new(), Vec::new());
        for rule in &mut source.module.rules {
            let name = rule.head.name.text.clone();
            let mut cases = None;
            let test = rule.head.constant().iter().any(|part| part.starts_with("test_"));
            if test && rule.head.args.is_none() && rule.head.key.is_none() {
                let count = seen
                    .entry((package.clone(), rule.head.constant().join(".")))
                    .or_default();
                *count += 1;
                if *count > 1 {
                    rule.head.name.text = format!("{name}_twin_{count:02}");
                }
                if !rule.head.is_constant() {
                    let name = format!("{}_cases", rule.head.name.text);
                    if let Some(rule) = of_cases(rule, &name) {
                        added.push(rule);
                        cases = Some(name);
                    }
                }
            }
            let name = rule.head.constant().join(".");
            own.push(Test { name, cases });
        }
        source.module.rules.append(&mut added);
        tests.push(own);
    }
    tests
}

/// `name contains [keys] if …`, with the body as far as it must go.
fn of_cases(rule: &Rule, name: &str) -> Option<Rule> {
    let body = rule.body.as_ref()?;
    // What of the path is constant is part of the test's name.
    let known = rule.head.constant().len() - 1;
    let keys: Vec<&Expr> = rule.head.path[known..].iter().collect();
    let length = reaching(body, &keys)?;
    let mut cases = rule.clone();
    cases.body = Some(body[..length].to_vec()).filter(|body| !body.is_empty());
    cases.head.name.text = name.to_owned();
    cases.head.key = Some(Expr::made(Kind::Array(cases.head.path.split_off(known))));
    cases.head.path.clear();
    cases.head.contains = true;
    cases.head.value = None;
    cases.otherwise.clear();
    cases.more.clear();
    cases.span = Span::default();
    cases.head.name.span = Span::default();
    rewrite_rule(&mut Unplace, &mut cases);
    Some(cases)
}

/// Takes its lines from a rule, so that it prints wherever it is put.
pub(super) struct Unplace;

impl Rewrite for Unplace {
    fn expr(&mut self, expr: &mut Expr) {
        unplace(expr);
    }

    fn statement(&mut self, statement: &mut super::ast::Statement) {
        statement.span.line = 0;
        statement.with.iter_mut().for_each(|with| with.span.line = 0);
        super::walk::rewrite_statement(self, statement);
    }
}
