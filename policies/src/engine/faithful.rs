//! What regorus would take in and answer otherwise than OPA, and what OPA refuses: refused by name, never guessed.
//!
//! Only what a look at the syntax tree shows is here.

use std::collections::BTreeSet;

use regorus::unstable::{Expr, Rule, RuleHead};

use super::expression::{self, Met};
use super::modules::Module;
use crate::sources::PolicyError;

/// Refuses what cannot be evaluated faithfully in one module. `names` are the rules of its package.
pub(super) fn check(module: &Module, names: &BTreeSet<&str>) -> Result<(), PolicyError> {
    let refuse = |line: u32, why: String| Err(PolicyError::refused(&module.path, Some(line), why));
    for rule in &module.ast.policy {
        if let Rule::Spec { bodies, .. } = &**rule
            && let Some(second) = bodies.iter().skip(1).find(|body| !body.is_else)
        {
            return refuse(
                second.span.line,
                "a second body without a head: repeat the head before it".to_owned(),
            );
        }
        if let Rule::Spec {
            head: RuleHead::Func { args, .. },
            ..
        } = &**rule
        {
            for arg in args {
                if let Expr::Var { span, .. } = &**arg
                    && matches!(span.text(), "input" | "data")
                {
                    return refuse(
                        span.line,
                        format!("args must not shadow {}: use another name", span.text()),
                    );
                }
            }
        }
        let mut found = None;
        expression::walk_rule(rule, &mut |met| match met {
            Met::Local { name, declared: true } if names.contains(name) => {
                found.get_or_insert((
                    rule.span().line,
                    format!("`some {name}` shadows the rule {name}: rename one"),
                ));
            }
            Met::Unify { lhs, rhs, line } => {
                let walks =
                    |side: &Expr| matches!(side, Expr::Call { fcn, params, .. } if params.len() == 1 && is_walk(fcn));
                let pattern = |side: &Expr| matches!(side, Expr::Array { .. });
                if (walks(lhs) && pattern(rhs)) || (walks(rhs) && pattern(lhs)) {
                    let why = "walk with a pattern: write `walk(x, [path, value])`".to_owned();
                    found.get_or_insert((line, why));
                }
            }
            _ => {}
        });
        if let Some((line, why)) = found {
            return refuse(line, why);
        }
    }
    Ok(())
}

fn is_walk(function: &Expr) -> bool {
    expression::path_of(function).is_some_and(|path| path == ["walk"])
}
