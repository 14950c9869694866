//! A `with` whose value must be evaluated gets it from a statement in front: `w := data.p.c; x := r with input.a as w`.
//!
//! Removes: regorus leaves a rule that such a value names, and all that it uses, undefined inside, without an error.

use super::super::ast::{Body, Expr, Kind, Module, Statement};
use super::super::symbols::{Symbols, is_built_in};
use super::{Context, Fresh, Split, hoist, split_rules};

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    let mut values = Values {
        symbols: context.symbols,
        fresh: &mut context.fresh,
    };
    split_rules(&mut values, &mut module.rules);
}

struct Values<'a> {
    symbols: &'a Symbols,
    fresh: &'a mut Fresh,
}

impl Values<'_> {
    /// A function is replaced by a function's name, which is no value.
    fn is_function(&self, expr: &Expr) -> bool {
        let Some((path, true)) = expr.prefix() else {
            return false;
        };
        if path[0] == "data" {
            let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
            return self.symbols.arity(&path).is_some();
        }
        is_built_in(&path.join("."))
    }
}

impl Split for Values<'_> {
    fn split(&mut self, mut statement: Statement, out: &mut Body) {
        let at = statement.span;
        for with in &mut statement.with {
            let evaluated = !matches!(with.value.kind, Kind::Var(ref name) if !matches!(name.as_str(), "input" | "data"))
                && !is_constant(&with.value);
            if evaluated && !self.is_function(&with.value) {
                out.push(hoist(&mut with.value, self.fresh, at));
            }
        }
        out.push(statement);
    }
}

fn is_constant(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Array(items) | Kind::Set(items) => items.iter().all(is_constant),
        Kind::Object(fields) => fields.iter().all(|(key, value)| is_constant(key) && is_constant(value)),
        Kind::Var(name) => !matches!(name.as_str(), "input" | "data"),
        _ => expr.is_scalar(),
    }
}
