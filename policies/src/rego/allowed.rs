//! Calls of built-in functions that a list of capabilities does not name.

use std::collections::BTreeSet;

use super::Source;
use super::ast::{Expr, Kind, Span};
use super::fault::{Class, Fault};
use super::symbols::{Symbols, is_built_in};
use super::walk::{Look, look_expr, look_rule};

/// Every call of a built-in function that is not in the list, in the order of the sources.
pub(crate) fn beyond(sources: &[&Source], allowed: &BTreeSet<String>) -> Vec<(usize, Fault)> {
    let symbols = Symbols::of(sources.iter().map(|source| &source.module));
    let mut found = Vec::new();
    for (place, source) in sources.iter().enumerate() {
        let mut calls = Calls {
            allowed,
            own: &|name| symbols.defines(&source.module.package, name),
            faults: Vec::new(),
        };
        source.module.rules.iter().for_each(|rule| look_rule(&mut calls, rule));
        found.extend(calls.faults.into_iter().map(|fault| (place, fault)));
    }
    found
}

struct Calls<'a> {
    allowed: &'a BTreeSet<String>,
    /// Whether the package defines a name itself.
    own: &'a dyn Fn(&str) -> bool,
    faults: Vec<Fault>,
}

impl Calls<'_> {
    fn call(&mut self, name: &str, span: Span) {
        if !self.allowed.contains(name) {
            let fault = Fault::new(Class::Type, span, format!("undefined function {name}"));
            self.faults.push(fault);
        }
    }
}

impl<'a> Look<'a> for Calls<'_> {
    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            Kind::Call(function, _) => {
                if let Some(name) = function.dotted().filter(|name| is_built_in(name) && !(self.own)(name)) {
                    self.call(&name, expr.span);
                }
            }
            Kind::Infix(operator, ..) => self.call(operator.function(), expr.span),
            _ => {}
        }
        look_expr(self, expr);
    }
}
