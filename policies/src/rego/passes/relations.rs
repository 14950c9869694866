//! `[path, value] = walk(x)` becomes `walk(x, [path, value])`.
//!
//! Removes: a pattern on the value of a relation binds nothing in regorus, and the comprehension around it is empty.

use super::super::ast::{Body, Expr, Kind, Module, Statement, What};
use super::{Split, split_rules};

pub(super) fn run(module: &mut Module) {
    split_rules(&mut Relations, &mut module.rules);
}

struct Relations;

impl Split for Relations {
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
        out.push(statement);
    }
}

fn is_walk(expr: &Expr) -> bool {
    matches!(&expr.kind, Kind::Call(function, args) if args.len() == 1 && function.as_var() == Some("walk"))
}
