//! `some x in e` looks at `e` first: what has no elements has none, and `some i` without `in` is not needed any more.
//!
//! Removes: regorus ends its evaluation when `e` is null, a number or a string, where OPA finds nothing; and a `some i`
//! that stands behind a loop defines `i` twice.

use super::super::ast::{Body, Expr, Kind, Module, Statement, What};
use super::super::operators;
use super::{Split, split_rules};

pub(super) fn run(module: &mut Module) {
    split_rules(&mut Iterate, &mut module.rules);
}

struct Iterate;

impl Split for Iterate {
    fn split(&mut self, mut statement: Statement, out: &mut Body) {
        match &mut statement.what {
            What::Some(_) => statement.what = What::Expr(Expr::made(Kind::Bool(true))),
            What::SomeIn { domain, .. } => {
                let literal = matches!(
                    domain.kind,
                    Kind::Array(_)
                        | Kind::Set(_)
                        | Kind::Object(_)
                        | Kind::ArrayOf(..)
                        | Kind::SetOf(..)
                        | Kind::ObjectOf(..)
                );
                if !literal {
                    let inner = std::mem::replace(domain, Expr::made(Kind::Null));
                    domain.kind = Kind::Call(Box::new(Expr::var(operators::ELEMENTS)), vec![inner]);
                }
            }
            _ => {}
        }
        out.push(statement);
    }
}
