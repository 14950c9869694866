//! Operators by their names: `minus(a, 1)` becomes `a - 1`, and `plus(a, 1, b)` becomes `b = a + 1`.
//!
//! Removes: to OPA every operator is a function with a name; regorus knows their signs alone.

use super::super::ast::{Expr, Kind, Module, Operator, Statement, What};
use super::super::walk::{Rewrite, rewrite_expr, rewrite_rule, rewrite_statement};

pub(super) fn run(module: &mut Module) {
    module
        .rules
        .iter_mut()
        .for_each(|rule| rewrite_rule(&mut Operators, rule));
}

struct Operators;

fn operator(name: &str) -> Option<Operator> {
    Some(match name {
        "equal" | "eq" => Operator::Equal,
        "neq" => Operator::NotEqual,
        "lt" => Operator::Less,
        "lte" => Operator::LessOrEqual,
        "gt" => Operator::Greater,
        "gte" => Operator::GreaterOrEqual,
        "or" => Operator::Or,
        "and" => Operator::And,
        "plus" => Operator::Plus,
        "minus" => Operator::Minus,
        "mul" => Operator::Times,
        "div" => Operator::Divide,
        "rem" => Operator::Remainder,
        _ => return None,
    })
}

/// The name of the function that is called, and its arguments, if it is that many.
fn called(expr: &mut Expr, count: usize) -> Option<(String, Vec<Expr>)> {
    let Kind::Call(function, args) = &mut expr.kind else {
        return None;
    };
    let name = function.as_var().filter(|_| args.len() == count)?.to_owned();
    operator(&name)?;
    Some((name, std::mem::take(args)))
}

impl Rewrite for Operators {
    fn statement(&mut self, statement: &mut Statement) {
        if let What::Expr(expr) = &mut statement.what {
            let span = expr.span;
            // What is unified may be bound.
            let unified = matches!(&expr.kind, Kind::Call(function, _) if function.as_var() == Some("eq"));
            if let Some((_, args)) = unified.then(|| called(expr, 2)).flatten() {
                if let Ok([lhs, rhs]) = <[Expr; 2]>::try_from(args) {
                    statement.what = What::Unify(lhs, rhs);
                }
            } else if let Some((name, args)) = called(expr, 3)
                && let (Ok([lhs, rhs, mut out]), Some(operator)) = (<[Expr; 3]>::try_from(args), operator(&name))
            {
                super::walk::unplace(&mut out);
                let kind = Kind::Infix(operator, Box::new(lhs), Box::new(rhs));
                statement.what = What::Unify(out, Expr { kind, span });
            }
        }
        rewrite_statement(self, statement);
    }

    fn expr(&mut self, expr: &mut Expr) {
        rewrite_expr(self, expr);
        if let Some((name, args)) = called(expr, 2)
            && let (Ok([lhs, rhs]), Some(operator)) = (<[Expr; 2]>::try_from(args), operator(&name))
        {
            expr.kind = Kind::Infix(operator, Box::new(lhs), Box::new(rhs));
        }
    }
}
