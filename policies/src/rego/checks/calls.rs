//! Calls: of functions that exist, with as many arguments as they take, and of none that version 1 has done away with. A
//! function that is named is called, but where `with` puts it in the place of another.

use super::super::ast::{Dialect, Expr, Kind, Module, Statement};
use super::super::fault::{Class, Fault};
use super::super::known;
use super::super::symbols::Symbols;
use super::super::walk::{Look, look_expr, look_rule, look_what};

/// # Errors
/// Every call that cannot be made.
pub(super) fn check(module: &Module, symbols: &Symbols) -> Result<(), Vec<Fault>> {
    let mut calls = Calls {
        symbols,
        dialect: module.dialect,
        faults: Vec::new(),
    };
    module.rules.iter().for_each(|rule| look_rule(&mut calls, rule));
    if calls.faults.is_empty() {
        Ok(())
    } else {
        Err(calls.faults)
    }
}

struct Calls<'a> {
    symbols: &'a Symbols,
    dialect: Dialect,
    faults: Vec<Fault>,
}

impl Calls<'_> {
    /// The function of the policies that an expression names, or something in it.
    fn function(&self, expr: &Expr) -> Option<String> {
        let (path, _) = expr.prefix().filter(|(path, _)| path[0] == "data")?;
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        // `f() := x` is a rule.
        let inside = (2..=path.len()).any(|end| self.symbols.arity(&path[..end]).is_some_and(|arity| arity > 0));
        inside.then(|| path.join("."))
    }

    fn call(&mut self, function: &Expr, args: usize, call: &Expr) {
        let Some((path, true)) = function.prefix() else { return };
        let name = path.join(".");
        let full: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        let arity = if path[0] == "data" {
            // A rule without arguments may be called without.
            let rule = args == 0 && !self.symbols.at(&full).is_empty();
            self.symbols.arity(&full).or(rule.then_some(0))
        } else {
            known::arity(&name)
        };
        let fault = match arity {
            None => Fault::new(Class::Type, call.span, format!("undefined function {name}"))
                .hint("it is neither declared here nor one of OPA's built-in functions"),
            Some(_) if name == "print" => return,
            Some(arity) if args == arity || args == arity + 1 => {
                if self.dialect == Dialect::V1 && known::deprecated(&name) {
                    let what = format!("deprecated built-in function calls in expression: {name}");
                    Fault::new(Class::Type, call.span, what).hint("version 1 of Rego no longer has it")
                } else {
                    return;
                }
            }
            Some(arity) => {
                let what = format!("{name}: arity mismatch: it takes {arity} arguments, not {args}");
                Fault::new(Class::Type, call.span, what)
            }
        };
        self.faults.push(fault);
    }
}

impl<'a> Look<'a> for Calls<'_> {
    fn expr(&mut self, expr: &'a Expr) {
        if let Kind::Call(function, args) = &expr.kind {
            self.call(function, args.len(), expr);
            args.iter().for_each(|arg| self.expr(arg));
            return;
        }
        if let Some(name) = self.function(expr) {
            let what = format!("function {name} used as reference, not called");
            self.faults
                .push(Fault::new(Class::Type, expr.span, what).hint("give it its arguments in round brackets"));
            return;
        }
        look_expr(self, expr);
    }

    fn statement(&mut self, statement: &'a Statement) {
        for with in &statement.with {
            let Some((path, whole)) = with.target.prefix() else {
                continue;
            };
            let full: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
            let fault = |what: &str| Fault::new(Class::Compile, with.target.span, what);
            let found = match path[0] {
                // A document may be replaced whole, or the data beneath it, but no part of a rule's value.
                "data" => {
                    let inside = (2..full.len()).any(|end| !self.symbols.at(&full[..end]).is_empty());
                    (inside || (!whole && !self.symbols.at(&full).is_empty()))
                        .then(|| fault("with keyword cannot partially replace virtual document(s)"))
                }
                "input" => None,
                _ if whole && known::arity(&path.join(".")).is_some() => None,
                _ => Some(fault(
                    "with keyword target must reference existing input, data, or a function",
                )),
            };
            if let Some(found) = found {
                self.faults.push(found);
            }
        }
        look_what(self, &statement.what);
        for with in &statement.with {
            if self.function(&with.value).is_none() {
                self.expr(&with.value);
            }
        }
    }
}
