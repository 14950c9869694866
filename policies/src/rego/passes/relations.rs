//! `[path, value] = walk(x)` becomes `walk(x, [path, value])`, and so does every other use of what `walk` gives.
//!
//! Removes: a pattern on the value of a relation binds nothing in regorus, and the comprehension around it is empty; inside
//! another expression, a relation has one result or none.

use super::super::ast::{Body, Expr, Kind, Module, Span, Statement, What};
use super::super::walk::{Rewrite, rewrite_expr, rewrite_statement};
use super::{Context, Fresh, Split, split_rules};

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    split_rules(&mut Relations(&mut context.fresh), &mut module.rules);
}

struct Relations<'a>(&'a mut Fresh);

impl Split for Relations<'_> {
    fn split(&mut self, mut statement: Statement, out: &mut Body) {
        if let What::Assign(lhs, rhs) | What::Unify(lhs, rhs) = &mut statement.what {
            let (pattern, call) = if is_walk(rhs) { (lhs, rhs) } else { (rhs, lhs) };
            if is_walk(call) {
                let mut pattern = std::mem::replace(pattern, Expr::made(Kind::Null));
                let mut call = std::mem::replace(call, Expr::made(Kind::Null));
                super::walk::unplace(&mut pattern);
                call.span.line = 0;
                if let Kind::Call(_, args) = &mut call.kind {
                    args.push(pattern);
                }
                statement.what = What::Expr(call);
            }
        }
        let alone = matches!(&statement.what, What::Expr(expr) if is_walk(expr));
        if !alone {
            let mut nested = Nested {
                fresh: self.0,
                at: statement.span,
                front: Vec::new(),
            };
            rewrite_statement(&mut nested, &mut statement);
            out.append(&mut nested.front);
        }
        out.push(statement);
    }
}

/// Relations inside other expressions: each result of one is the value of the expression in turn.
struct Nested<'a> {
    fresh: &'a mut Fresh,
    at: Span,
    front: Body,
}

impl Rewrite for Nested<'_> {
    fn body(&mut self, _: &mut Body) {
        // Seen to before.
    }

    fn expr(&mut self, expr: &mut Expr) {
        if matches!(expr.kind, Kind::ArrayOf(..) | Kind::SetOf(..) | Kind::ObjectOf(..)) {
            return;
        }
        rewrite_expr(self, expr);
        if is_walk(expr) {
            let name = self.fresh.name("walked");
            let left = Expr {
                kind: Kind::Var(name.clone()),
                span: expr.span,
            };
            let mut call = std::mem::replace(expr, left);
            super::walk::unplace(&mut call);
            if let Kind::Call(_, args) = &mut call.kind {
                args.push(Expr::var(&name));
            }
            self.front.push(Statement {
                span: self.at,
                ..Statement::made(What::Expr(call))
            });
        }
    }
}

fn is_walk(expr: &Expr) -> bool {
    matches!(&expr.kind, Kind::Call(function, args) if args.len() == 1 && function.as_var() == Some("walk"))
}
