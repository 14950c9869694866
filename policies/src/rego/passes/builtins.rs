//! A built-in function that some `with` replaces, or replaces something with, is called through a function of our own.
//!
//! Removes: a `with` value that names a built-in is an undefined variable to regorus, and a `with` target that is only an
//! extension is an undefined rule.

use super::super::ast::{Expr, Kind, Module};
use super::super::walk::{Rewrite, rewrite_expr, rewrite_rule};
use super::Context;

/// The package of the functions that stand for built-in ones. `b_` in front: a function whose last part is the built-in's
/// name would call itself.
pub(crate) const WRAPPERS: &str = "muster_builtin";

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    if context.replaced.is_empty() {
        return;
    }
    let mut builtins = Builtins(context.replaced);
    module
        .rules
        .iter_mut()
        .for_each(|rule| rewrite_rule(&mut builtins, rule));
}

struct Builtins<'a>(&'a std::collections::BTreeSet<String>);

impl Builtins<'_> {
    fn wrapper(&self, expr: &Expr) -> Option<Expr> {
        let name = expr.dotted().filter(|name| self.0.contains(name))?;
        let parts = ["data".to_owned(), WRAPPERS.to_owned(), wrapper(&name)];
        let mut path = Expr::path(&parts);
        path.span = expr.span;
        Some(path)
    }
}

/// The name of the function that stands for a built-in one.
pub(crate) fn wrapper(name: &str) -> String {
    format!("b_{}", name.replace('.', "_"))
}

impl Rewrite for Builtins<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        match &mut expr.kind {
            Kind::Call(function, args) => {
                if let Some(wrapper) = self.wrapper(function) {
                    **function = wrapper;
                }
                args.iter_mut().for_each(|arg| self.expr(arg));
                // One without arguments is a rule of ours.
                if let Kind::Call(function, args) = &mut expr.kind
                    && args.is_empty()
                    && function
                        .prefix()
                        .is_some_and(|(path, _)| path.get(1) == Some(&WRAPPERS))
                {
                    let function = std::mem::replace(&mut **function, Expr::made(Kind::Null));
                    *expr = function;
                }
            }
            Kind::Var(_) | Kind::Ref(..) => match self.wrapper(expr) {
                Some(wrapper) => *expr = wrapper,
                None => rewrite_expr(self, expr),
            },
            _ => rewrite_expr(self, expr),
        }
    }
}
