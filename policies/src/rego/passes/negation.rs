//! What a negated expression works on is evaluated in front of it: `not f(input.zz)` becomes `h := input.zz; not f(h)`.
//!
//! Removes: an undefined operand makes the negated expression undefined to OPA, whose compiler does the same; to regorus
//! the negation is true. `not input.a > 1` then holds where nothing is known, and a missing field is a passed control.

use super::super::ast::{Body, Expr, Kind, Module, Operator, Statement, What};
use super::{Context, Fresh, Split, hoist, may_be_undefined, split_rules};

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    split_rules(&mut Negation(&mut context.fresh), &mut module.rules);
}

struct Negation<'a>(&'a mut Fresh);

impl Split for Negation<'_> {
    fn split(&mut self, mut statement: Statement, out: &mut Body) {
        if statement.negated {
            let mut operands = Vec::new();
            match &mut statement.what {
                What::Expr(expr) => operators(expr, &mut operands),
                What::Assign(lhs, rhs) | What::Unify(lhs, rhs) => {
                    side(lhs, &mut operands);
                    side(rhs, &mut operands);
                }
                _ => {}
            }
            for operand in operands {
                let mut front = hoist(operand, self.0, statement.span);
                front.with = statement.with.clone();
                for with in &mut front.with {
                    with.span.line = 0;
                    super::walk::unplace(&mut with.target);
                    super::walk::unplace(&mut with.value);
                }
                out.push(front);
            }
        }
        out.push(statement);
    }
}

/// The operands of the outermost operator or call.
fn operators<'a>(expr: &'a mut Expr, out: &mut Vec<&'a mut Expr>) {
    if !matches!(expr.kind, Kind::Infix(..) | Kind::Call(..) | Kind::Member(..)) {
        return side(expr, out);
    }
    match &mut expr.kind {
        Kind::Infix(Operator::Equal, lhs, rhs) => {
            side(lhs, out);
            side(rhs, out);
        }
        Kind::Infix(_, lhs, rhs) => {
            operand(lhs, out);
            operand(rhs, out);
        }
        Kind::Call(_, args) => args.iter_mut().for_each(|arg| operand(arg, out)),
        Kind::Member(key, value, domain) => {
            key.iter_mut().for_each(|key| operand(key, out));
            operand(value, out);
            operand(domain, out);
        }
        _ => {}
    }
}

/// A side of an equation: a reference may be undefined there, what it is made of may not.
fn side<'a>(expr: &'a mut Expr, out: &mut Vec<&'a mut Expr>) {
    if matches!(expr.kind, Kind::Infix(..) | Kind::Call(..) | Kind::Member(..)) {
        return operand(expr, out);
    }
    match &mut expr.kind {
        Kind::Ref(head, parts) => {
            if !matches!(head.kind, Kind::Var(_)) {
                operand(head, out);
            }
            parts.iter_mut().for_each(|part| operand(part, out));
        }
        Kind::Var(_) => {}
        Kind::Array(items) | Kind::Set(items) => items.iter_mut().for_each(|item| operand(item, out)),
        Kind::Object(fields) => fields.iter_mut().for_each(|(key, value)| {
            operand(key, out);
            operand(value, out);
        }),
        _ => {}
    }
}

/// What must be defined.
fn operand<'a>(expr: &'a mut Expr, out: &mut Vec<&'a mut Expr>) {
    if may_be_undefined(expr) {
        out.push(expr);
    }
}
