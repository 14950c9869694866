//! `+`, `-`, `*`, `/` and `%` become functions over decimals.
//!
//! Removes: regorus counts in binary fractions, so that `0.1 + 0.2 == 0.3` is false, and a type error in arithmetic ends
//! its evaluation instead of making the expression undefined.

use super::super::ast::{Expr, Kind, Module, Operator};
use super::super::operators;
use super::super::walk::{Rewrite, rewrite_expr, rewrite_rule};

pub(super) fn run(module: &mut Module) {
    module
        .rules
        .iter_mut()
        .for_each(|rule| rewrite_rule(&mut Arithmetic, rule));
}

struct Arithmetic;

impl Rewrite for Arithmetic {
    fn expr(&mut self, expr: &mut Expr) {
        rewrite_expr(self, expr);
        let Kind::Infix(operator, lhs, rhs) = &mut expr.kind else {
            return;
        };
        let function = match operator {
            Operator::Plus => operators::PLUS,
            Operator::Minus => operators::MINUS,
            Operator::Times => operators::TIMES,
            Operator::Divide => operators::DIVIDE,
            Operator::Remainder => operators::REMAINDER,
            _ => return,
        };
        let nothing = || Expr::made(Kind::Null);
        let args = vec![
            std::mem::replace(&mut **lhs, nothing()),
            std::mem::replace(&mut **rhs, nothing()),
        ];
        expr.kind = Kind::Call(Box::new(Expr::var(function)), args);
    }
}
