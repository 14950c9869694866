//! `x = s[x]` becomes `h := s[x]; x = h`, in patterns too.
//!
//! Removes: regorus binds the variables of an equation's side before it looks at the indexes on the other, and then calls
//! the variable unsafe.

use super::super::ast::{Body, Expr, Kind, Module, Statement, What};
use super::super::walk::{Look, look_expr};
use super::{Context, Fresh, Split, hoist, split_rules, variables};

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    split_rules(&mut Own(&mut context.fresh), &mut module.rules);
}

struct Own<'a>(&'a mut Fresh);

impl Split for Own<'_> {
    fn split(&mut self, mut statement: Statement, out: &mut Body) {
        let pair = match &mut statement.what {
            What::Unify(lhs, rhs) if !statement.negated => Some((lhs, rhs)),
            _ => None,
        };
        if let Some((lhs, rhs)) = pair {
            let swap = indexed(lhs).iter().any(|name| variables(rhs).contains(name));
            let (pattern, reference) = if swap { (rhs, lhs) } else { (lhs, rhs) };
            let names = variables(pattern);
            if swap || indexed(reference).iter().any(|name| names.contains(name)) {
                let mut front = hoist(reference, self.0, statement.span);
                front.with = std::mem::take(&mut statement.with);
                out.push(front);
            }
        }
        out.push(statement);
    }
}

/// Variables that are an index of a reference, or stand in one, outside comprehensions.
fn indexed(expr: &Expr) -> Vec<&str> {
    struct Indexed<'a>(Vec<&'a str>);
    impl<'a> Look<'a> for Indexed<'a> {
        fn expr(&mut self, expr: &'a Expr) {
            match &expr.kind {
                Kind::Ref(_, parts) => {
                    let named = parts.iter().filter(|part| matches!(part.kind, Kind::Var(_)));
                    self.0.extend(named.flat_map(|part| variables(part)));
                    look_expr(self, expr);
                }
                Kind::ArrayOf(..) | Kind::SetOf(..) | Kind::ObjectOf(..) => {}
                _ => look_expr(self, expr),
            }
        }
    }
    let mut indexed = Indexed(Vec::new());
    indexed.expr(expr);
    indexed.0
}
