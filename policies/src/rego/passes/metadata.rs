//! `rego.metadata.rule()` and `rego.metadata.chain()` become what the comments say.
//!
//! Removes: regorus has neither, for it reads no comments.

use super::super::ast::{Expr, Kind, Module, Span};
use super::super::walk::{Rewrite, rewrite_expr, rewrite_rule};
use super::Context;

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    for rule in &mut module.rules {
        let mut path = vec!["data".to_owned()];
        path.extend(module.package.iter().cloned());
        path.extend(rule.head.constant().into_iter().map(str::to_owned));
        let line = rule.span;
        let mut calls = Calls {
            context,
            path,
            package: module.package.len() + 1,
            rule: line,
        };
        rewrite_rule(&mut calls, rule);
    }
}

struct Calls<'a, 'b> {
    context: &'a Context<'b>,
    /// Of the rule, with `data` and the package in front.
    path: Vec<String>,
    package: usize,
    rule: Span,
}

impl Rewrite for Calls<'_, '_> {
    fn expr(&mut self, expr: &mut Expr) {
        rewrite_expr(self, expr);
        let Kind::Call(function, args) = &expr.kind else {
            return;
        };
        if !args.is_empty() {
            return;
        }
        let annotations = self.context.annotations;
        let value = match function.dotted().as_deref() {
            Some("rego.metadata.rule") => annotations.of_rule(self.rule),
            Some("rego.metadata.chain") => annotations.chain(self.rule, &self.path, self.package),
            _ => return,
        };
        expr.kind = literal(&value).kind;
    }
}

/// A JSON value as a term.
fn literal(value: &serde_json::Value) -> Expr {
    use serde_json::Value;
    Expr::made(match value {
        Value::Null => Kind::Null,
        Value::Bool(value) => Kind::Bool(*value),
        Value::Number(number) => Kind::Number(number.to_string()),
        Value::String(text) => Kind::String(text.clone()),
        Value::Array(items) => Kind::Array(items.iter().map(literal).collect()),
        Value::Object(fields) => Kind::Object(
            fields
                .iter()
                .map(|(key, value)| (Expr::string(key), literal(value)))
                .collect(),
        ),
    })
}
