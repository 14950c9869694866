//! An index that is bound elsewhere in the body is looked up, never iterated: `d[h]` becomes `d[[h][0]]`.
//!
//! Removes: to regorus's scheduler a local in an index is a definition of that local, whatever else defines it. Which of
//! the two comes first depends on names; with `not d[h]` in front, the body is silently empty.

use std::collections::BTreeSet;

use super::super::ast::{Body, Expr, Kind, Module, Statement, What};
use super::super::walk::{Rewrite, rewrite_body, rewrite_expr, rewrite_rule, rewrite_statement};
use super::pattern;

pub(super) fn run(module: &mut Module) {
    for rule in &mut module.rules {
        rewrite_rule(
            &mut Index {
                bound: BTreeSet::new(),
                negated: false,
            },
            rule,
        );
    }
}

struct Index {
    /// Names that some statement of this body assigns.
    bound: BTreeSet<String>,
    negated: bool,
}

impl Rewrite for Index {
    fn body(&mut self, body: &mut Body) {
        let mut bound = BTreeSet::new();
        for statement in body.iter() {
            let mut names = Vec::new();
            match &statement.what {
                What::Assign(lhs, _) => pattern(lhs, &mut names),
                What::SomeIn { key, value, .. } => {
                    key.iter().for_each(|key| pattern(key, &mut names));
                    pattern(value, &mut names);
                }
                _ => {}
            }
            bound.extend(names.into_iter().map(|(name, _)| name.to_owned()));
        }
        let outer = std::mem::replace(&mut self.bound, bound);
        let negated = std::mem::replace(&mut self.negated, false);
        rewrite_body(self, body);
        self.bound = outer;
        self.negated = negated;
    }

    fn statement(&mut self, statement: &mut Statement) {
        self.negated = statement.negated;
        rewrite_statement(self, statement);
        self.negated = false;
    }

    fn expr(&mut self, expr: &mut Expr) {
        rewrite_expr(self, expr);
        let Kind::Ref(_, parts) = &mut expr.kind else { return };
        for part in parts {
            let known = match &part.kind {
                Kind::Var(name) => {
                    self.bound.contains(name)
                        || (self.negated && !name.starts_with('$') && !matches!(name.as_str(), "input" | "data"))
                }
                _ => false,
            };
            if known {
                let span = part.span;
                let name = std::mem::replace(part, Expr::made(Kind::Null));
                let zero = Expr::made(Kind::Number("0".to_owned()));
                part.kind = Kind::Ref(Box::new(Expr::made(Kind::Array(vec![name]))), vec![zero]);
                part.span = span;
            }
        }
    }
}
