//! The passes, in the order of OPA's compiler: from what Rego says to what regorus evaluates to the same.
//!
//! Each file has one pass and begins with the fault that it removes. Names of variables are unique after `locals`;
//! `$1` and its like are wildcards until they are printed.

mod arithmetic;
mod bodies;
mod builtins;
mod dynamic;
mod every;
mod exact;
mod floats;
mod heads;
mod imports;
mod index;
mod iterate;
mod keywords;
mod locals;
mod lookup;
mod metadata;
mod modern;
mod names;
mod negation;
mod nesting;
mod operators;
mod outputs;
mod own;
mod relations;
mod shared;
mod values;

use std::fmt;

use super::ast::{Body, Expr, Kind, Module, Rule, Statement, What};
use super::fault::Fault;
use super::symbols::Symbols;
use super::walk::{self, Look, Rewrite, look_expr};

pub(crate) use builtins::{WRAPPERS, wrapper};
pub(crate) use dynamic::tangled;
pub(crate) use locals::original;

/// What a pass may ask for beside the module.
pub(crate) struct Context<'a> {
    pub(crate) symbols: &'a Symbols,
    /// The place of the module among all.
    pub(crate) place: usize,
    /// Makes names that are in no policy.
    pub(crate) fresh: Fresh,
    /// OPA's strict mode: what is assigned must be used.
    pub(crate) strict: bool,
    /// METADATA of this module, by the line of what it stands above.
    pub(crate) annotations: &'a super::annotations::Annotations,
    /// Built-ins that some module replaces by `with`, or replaces something with.
    pub(crate) replaced: &'a std::collections::BTreeSet<String>,
    /// Paths that are left open and stay by the names beneath them.
    pub(crate) tangled: std::collections::BTreeSet<Vec<String>>,
    /// Modules that a pass has made out of parts of this one.
    pub(crate) apart: Vec<Module>,
}

/// A source of unique names.
#[derive(Debug, Default)]
pub(crate) struct Fresh(u32);

impl Fresh {
    /// A unique name that ends in a given one.
    pub(crate) fn name(&mut self, of: &str) -> String {
        self.0 += 1;
        format!("l{:05}_{of}", self.0)
    }

    /// A unique wildcard.
    pub(crate) fn wildcard(&mut self) -> String {
        self.0 += 1;
        format!("${}", self.0)
    }
}

/// One pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    Bodies,
    Locals,
    Names,
    Imports,
    Operators,
    Metadata,
    Shared,
    Dynamic,
    Every,
    Exact,
    Heads,
    Arithmetic,
    Outputs,
    Relations,
    Values,
    Negation,
    Own,
    Lookup,
    Iterate,
    Floats,
    Nesting,
    Index,
    Builtins,
    Keywords,
    Modern,
}

/// All passes in their order. The first of them are resolution, after which the checks look at the tree.
pub(crate) const RESOLUTION: [Pass; 6] = [
    Pass::Bodies,
    Pass::Locals,
    Pass::Names,
    Pass::Imports,
    Pass::Operators,
    Pass::Metadata,
];
/// The passes behind the checks.
pub(crate) const REWRITING: [Pass; 19] = [
    Pass::Shared,
    Pass::Dynamic,
    Pass::Every,
    Pass::Heads,
    Pass::Relations,
    Pass::Values,
    Pass::Negation,
    Pass::Outputs,
    Pass::Exact,
    Pass::Own,
    Pass::Lookup,
    Pass::Arithmetic,
    Pass::Iterate,
    Pass::Floats,
    Pass::Nesting,
    Pass::Index,
    Pass::Builtins,
    Pass::Keywords,
    Pass::Modern,
];

impl Pass {
    pub(crate) fn run(self, module: &mut Module, context: &mut Context<'_>) -> Result<(), Vec<Fault>> {
        match self {
            Self::Bodies => bodies::run(module),
            Self::Locals => return locals::run(module, context),
            Self::Names => names::run(module, context),
            Self::Imports => imports::run(module),
            Self::Operators => operators::run(module),
            Self::Metadata => metadata::run(module, context),
            Self::Shared => shared::run(module, context),
            Self::Dynamic => dynamic::run(module, context),
            Self::Every => every::run(module, context),
            Self::Exact => exact::run(module, context),
            Self::Heads => heads::run(module, context),
            Self::Arithmetic => arithmetic::run(module),
            Self::Outputs => outputs::run(module, context),
            Self::Relations => relations::run(module, context),
            Self::Values => values::run(module, context),
            Self::Negation => negation::run(module, context),
            Self::Own => own::run(module, context),
            Self::Lookup => lookup::run(module, context),
            Self::Iterate => iterate::run(module),
            Self::Floats => floats::run(module),
            Self::Nesting => nesting::run(module, context),
            Self::Index => index::run(module),
            Self::Builtins => builtins::run(module, context),
            Self::Keywords => keywords::run(module, context),
            Self::Modern => modern::run(module),
        }
        Ok(())
    }
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", format!("{self:?}").to_lowercase())
    }
}

/// A rewriting of statements into several.
trait Split {
    /// Puts what stands for a statement into `out`. Bodies beneath it have been seen to.
    fn split(&mut self, statement: Statement, out: &mut Body);
}

/// Runs a [`Split`] over every body of a rule, inner bodies first.
struct Splitter<'a, S>(&'a mut S);

impl<S: Split> Rewrite for Splitter<'_, S> {
    fn body(&mut self, body: &mut Body) {
        walk::rewrite_body(self, body);
        let statements = std::mem::take(body);
        for statement in statements {
            self.0.split(statement, body);
        }
    }
}

fn split_rules(split: &mut impl Split, rules: &mut [Rule]) {
    rules
        .iter_mut()
        .for_each(|rule| walk::rewrite_rule(&mut Splitter(split), rule));
}

/// Takes an expression out, leaves a new name in its place, and gives the statement `name := expression` at `line`.
fn hoist(expr: &mut Expr, fresh: &mut Fresh, at: super::ast::Span) -> Statement {
    let name = fresh.name("h");
    let left = Expr {
        kind: Kind::Var(name.clone()),
        span: expr.span,
    };
    let mut taken = std::mem::replace(expr, left);
    walk::unplace(&mut taken);
    Statement {
        span: at,
        negated: false,
        what: What::Assign(Expr::var(&name), taken),
        with: Vec::new(),
    }
}

/// Whether an expression holds a reference, call or operator, outside comprehensions: it may be undefined.
fn may_be_undefined(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Var(name) => matches!(name.as_str(), "input" | "data"),
        Kind::Ref(..) | Kind::Call(..) | Kind::Infix(..) | Kind::Member(..) => true,
        Kind::Array(items) | Kind::Set(items) => items.iter().any(may_be_undefined),
        Kind::Object(fields) => fields.iter().any(|(k, v)| may_be_undefined(k) || may_be_undefined(v)),
        _ => false,
    }
}

/// The names of variables in an expression outside comprehensions, as they stand.
fn variables(expr: &Expr) -> Vec<&str> {
    struct Names<'a>(Vec<&'a str>);
    impl<'a> Look<'a> for Names<'a> {
        fn expr(&mut self, expr: &'a Expr) {
            match &expr.kind {
                Kind::Var(name) => self.0.push(name),
                Kind::ArrayOf(..) | Kind::SetOf(..) | Kind::ObjectOf(..) => {}
                Kind::Call(_, args) => args.iter().for_each(|arg| self.expr(arg)),
                _ => look_expr(self, expr),
            }
        }
    }
    let mut names = Names(Vec::new());
    names.expr(expr);
    names.0
}

/// The names that a pattern binds: those of variables in arrays and in the values of objects.
pub(crate) fn pattern<'a>(expr: &'a Expr, out: &mut Vec<(&'a str, &'a Expr)>) {
    match &expr.kind {
        Kind::Var(name) => out.push((name, expr)),
        Kind::Array(items) => items.iter().for_each(|item| pattern(item, out)),
        Kind::Object(fields) => fields.iter().for_each(|(_, value)| pattern(value, out)),
        _ => {}
    }
}
