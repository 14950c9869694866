//! Types, as far as they can be told from what is written: literals where they can never be right.

use super::super::ast::{Expr, Kind, Module, Operator, Statement, What};
use super::super::fault::{Class, Fault};
use super::super::symbols::Symbols;
use super::super::walk::{Look, look_expr, look_rule, look_statement};

pub(super) fn check(module: &Module, _symbols: &Symbols) -> Result<(), Fault> {
    let mut types = Types(None);
    module.rules.iter().for_each(|rule| look_rule(&mut types, rule));
    types.0.map_or(Ok(()), Err)
}

struct Types(Option<Fault>);

impl Types {
    fn refuse(&mut self, expr: &Expr, what: String) {
        self.0.get_or_insert(Fault::new(Class::Type, expr.span, what));
    }

    fn reference(&mut self, expr: &Expr, head: &Expr, parts: &[Expr]) {
        let Some(first) = parts.first().filter(|part| part.is_scalar()) else {
            return;
        };
        let found = match &head.kind {
            Kind::Array(items) => match &first.kind {
                Kind::Number(text) => text.parse::<usize>().is_ok_and(|index| index < items.len()),
                _ => false,
            },
            Kind::Object(fields) => {
                let constant = fields.iter().all(|(key, _)| key.is_scalar());
                !constant || fields.iter().any(|(key, _)| key.kind == first.kind)
            }
            _ => true,
        };
        if !found {
            self.refuse(
                expr,
                "undefined ref: the literal in front has no such element".to_owned(),
            );
        }
    }
}

impl<'a> Look<'a> for Types {
    fn statement(&mut self, statement: &'a Statement) {
        if let What::SomeIn { domain, .. } = &statement.what
            && domain.is_scalar()
        {
            self.refuse(domain, format!("match error: {} has no elements", name(domain)));
        }
        look_statement(self, statement);
    }

    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            Kind::Infix(operator, lhs, rhs) => {
                for side in [lhs, rhs] {
                    if !fits(*operator, side) {
                        let what = format!("{}: invalid argument: {}", operator.function(), name(side));
                        self.refuse(side, what);
                    }
                }
            }
            Kind::Ref(head, parts) => self.reference(expr, head, parts),
            _ => {}
        }
        look_expr(self, expr);
    }
}

/// Whether an operator takes a literal of this kind.
fn fits(operator: Operator, side: &Expr) -> bool {
    let number = matches!(side.kind, Kind::Number(_));
    let set = matches!(side.kind, Kind::Set(_) | Kind::SetOf(..));
    let literal = side.is_scalar()
        || matches!(
            side.kind,
            Kind::Array(_) | Kind::Object(_) | Kind::Set(_) | Kind::ArrayOf(..) | Kind::SetOf(..) | Kind::ObjectOf(..)
        );
    match operator {
        Operator::Plus | Operator::Times | Operator::Divide | Operator::Remainder => !literal || number,
        Operator::Minus => !literal || number || set,
        Operator::Or | Operator::And => !literal || set,
        _ => true,
    }
}

fn name(expr: &Expr) -> &'static str {
    match expr.kind {
        Kind::Null => "null",
        Kind::Bool(_) => "boolean",
        Kind::Number(_) => "number",
        Kind::String(_) => "string",
        Kind::Array(_) | Kind::ArrayOf(..) => "array",
        Kind::Object(_) | Kind::ObjectOf(..) => "object",
        Kind::Set(_) | Kind::SetOf(..) => "set",
        _ => "any",
    }
}
