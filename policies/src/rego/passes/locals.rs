//! Every local variable gets a name of its own.
//!
//! Removes: to regorus a local that is named like a rule, an import or an outer local is that, or is used before it is
//! defined: `R := 5` makes `[R | some R in [1, 2]]` an error, and other forms silently undefined. A `some` inside a loop
//! defines its variable twice.
//!
//! The scopes are OPA's: arguments, and per body what `some`, `:=` and `every` declare; a name that nothing declares is
//! the rule's if it is nothing else. In version 0, arguments and `:=` may call a local `input` or `data`, too; what stands
//! to the left of `as` is the document nevertheless.

use std::collections::{BTreeMap, BTreeSet};

use super::super::ast::{Body, Dialect, Expr, Kind, Module, Name, Rule, Span, Statement, What};
use super::super::fault::{Class, Fault};
use super::super::symbols::is_built_in;
use super::super::version::says_v1;
use super::super::walk::{Look, Rewrite, look_expr, rewrite_expr};
use super::{Context, Fresh, pattern};

/// The name that a variable had in the policy.
pub(crate) fn original(name: &str) -> &str {
    if name.starts_with('$') {
        return "_";
    }
    match (name.strip_prefix('l').and_then(|rest| rest.get(..5)), name.get(7..)) {
        (Some(digits), Some(rest)) if digits.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => name,
    }
}

/// # Errors
/// Everything that is wrong with the module's variables.
pub(super) fn run(module: &mut Module, context: &mut Context<'_>) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    let globals = context.symbols.globals(module);
    let roots = module.dialect == Dialect::V0 && !context.strict && !says_v1(module);
    for rule in &mut module.rules {
        let mut locals = Locals {
            strict: context.strict,
            roots,
            globals: &globals,
            fresh: &mut context.fresh,
            scopes: vec![Scope::default()],
            args: BTreeSet::new(),
            seen: Vec::new(),
            faults: Vec::new(),
        };
        locals.rule(rule);
        faults.append(&mut locals.faults);
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// A name's place in a scope.
#[derive(Debug)]
struct Local {
    unique: String,
    span: Span,
    used: bool,
    way: Way,
    /// Its declaration has been met: a comprehension in front of it means another variable.
    visible: bool,
}

/// How a name comes into a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// `some x` and `every x in …`: must be used.
    Declared,
    /// `x := …`: must be used in strict mode.
    Assigned,
    /// An argument, `some x in …`, or nothing: need not.
    Other,
}

#[derive(Debug, Default)]
struct Scope(BTreeMap<String, Local>);

struct Locals<'a> {
    strict: bool,
    /// A local may be called like a root document.
    roots: bool,
    globals: &'a BTreeSet<String>,
    fresh: &'a mut Fresh,
    /// The first is the rule's own: arguments, and names that nothing declares.
    scopes: Vec<Scope>,
    args: BTreeSet<String>,
    /// Per body: names that were met in it, in any scope.
    seen: Vec<BTreeSet<String>>,
    faults: Vec<Fault>,
}

impl Locals<'_> {
    fn refuse(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    fn rule(&mut self, rule: &mut Rule) {
        let args = rule.head.args.as_deref_mut().unwrap_or_default();
        for arg in args.iter() {
            let mut names = Vec::new();
            arguments(arg, &mut names);
            for (name, span) in names {
                if is_root(name) && !self.roots {
                    let what = format!("args must not shadow {name}");
                    return self.refuse(Fault::new(Class::Compile, span, what).hint("use a different variable name"));
                }
                if name != "_" {
                    self.declare(0, name, span, Way::Other);
                    self.args.insert(name.to_owned());
                }
            }
        }
        args.iter_mut().for_each(|arg| self.expr(arg));
        // Standing in the head is no use of an argument.
        self.scopes[0].0.values_mut().for_each(|local| local.used = false);
        let body = rule.body.take();
        self.scoped(body, |locals, body| {
            rule.body = body;
            rule.body.iter_mut().for_each(|body| locals.statements(body));
            rule.head.path.iter_mut().for_each(|part| locals.expr(part));
            rule.head.key.iter_mut().for_each(|key| locals.expr(key));
            rule.head.value.iter_mut().for_each(|(_, value)| locals.expr(value));
        });
        for otherwise in &mut rule.otherwise {
            let body = otherwise.body.take();
            self.scoped(body, |locals, body| {
                otherwise.body = body;
                otherwise.body.iter_mut().for_each(|body| locals.statements(body));
                otherwise.value.iter_mut().for_each(|(_, value)| locals.expr(value));
            });
        }
        if self.strict {
            let unused = |name: &&String| self.scopes[0].0.get(*name).is_some_and(|local| !local.used);
            let what = |name: &String| format!("unused argument {name}. (hint: use _ (wildcard variable) instead)");
            let faults = self.args.iter().filter(unused);
            let faults = faults.map(|name| Fault::new(Class::Compile, rule.head.span, what(name)));
            let mut faults: Vec<Fault> = faults.collect();
            self.faults.append(&mut faults);
        }
    }

    /// Opens the scope of a body, whose declarations hold in all of it.
    fn scoped(&mut self, body: Option<Body>, within: impl FnOnce(&mut Self, Option<Body>)) {
        self.scopes.push(Scope::default());
        self.seen.push(BTreeSet::new());
        let place = self.scopes.len() - 1;
        for statement in body.iter().flatten() {
            self.declarations(place, statement);
        }
        within(self, body);
        let scope = self.scopes.pop().unwrap_or_default();
        self.seen.pop();
        for (name, local) in scope.0 {
            let how = match local.way {
                Way::Declared => "declared",
                Way::Assigned if self.strict => "assigned",
                _ => continue,
            };
            if !local.used {
                let what = format!("{how} var {name} unused");
                self.refuse(Fault::new(Class::Compile, local.span, what).hint("remove it, or write _"));
            }
        }
    }

    fn declarations(&mut self, place: usize, statement: &Statement) {
        let mut names = Vec::new();
        match &statement.what {
            What::Some(declared) => {
                for name in declared {
                    self.declare_once(place, &name.text, name.span, Way::Declared);
                }
            }
            What::SomeIn { key, value, domain } => {
                key.iter().for_each(|key| pattern(key, &mut names));
                pattern(value, &mut names);
                // What the collection speaks of is what it is there, and a name may stand in both key and value.
                let mut there = mentioned(domain);
                names.retain(|(name, _)| there.insert(name));
                for (name, expr) in names {
                    self.declare_once(place, name, expr.span, Way::Other);
                }
            }
            What::Assign(lhs, _) => {
                pattern(lhs, &mut names);
                for (name, expr) in names {
                    if is_root(name) && !self.roots {
                        let what = format!("variables must not shadow {name}");
                        let fault = Fault::new(Class::Compile, expr.span, what);
                        return self.refuse(fault.hint("use a different variable name"));
                    }
                    self.declare_once(place, name, expr.span, Way::Assigned);
                }
            }
            _ => {}
        }
    }

    fn declare_once(&mut self, place: usize, name: &str, span: Span, way: Way) {
        if let Some(before) = self.scopes[place].0.get(name) {
            let how = if before.way == Way::Assigned {
                "assigned"
            } else {
                "declared"
            };
            return self.refuse(Fault::new(Class::Compile, span, format!("var {name} {how} above")));
        }
        // The body of a function is not a scope of its own: what it assigns may not be an argument.
        if place == 1 && self.args.contains(name) {
            return self.refuse(Fault::new(Class::Compile, span, format!("arg {name} redeclared")));
        }
        self.declare(place, name, span, way);
    }

    fn declare(&mut self, place: usize, name: &str, span: Span, way: Way) {
        // `some input` and `every input` speak of the document.
        let root = is_root(name) && !(self.roots && (place == 0 || way == Way::Assigned));
        if name == "_" || root {
            return;
        }
        let unique = self.fresh.name(name);
        let local = Local {
            unique,
            span,
            used: false,
            way,
            visible: place == 0,
        };
        self.scopes[place].0.entry(name.to_owned()).or_insert(local);
    }

    /// From here on, the names of a pattern are those that are declared here.
    fn show(&mut self, pattern_of: &Expr) {
        let mut names = Vec::new();
        pattern(pattern_of, &mut names);
        for (name, _) in names {
            self.show_name(name);
        }
    }

    fn show_name(&mut self, name: &str) {
        if let Some(local) = self.scopes.last_mut().and_then(|scope| scope.0.get_mut(name)) {
            local.visible = true;
        }
    }

    fn statements(&mut self, body: &mut Body) {
        body.iter_mut().for_each(|statement| self.statement(statement));
    }

    /// The pattern of an assignment: what stands in it is no use of it.
    fn assigned(&mut self, lhs: &mut Expr) {
        let mut names = Vec::new();
        pattern(lhs, &mut names);
        let names: Vec<String> = names.into_iter().map(|(name, _)| name.to_owned()).collect();
        self.expr(lhs);
        if let Some(scope) = self.scopes.last_mut() {
            for name in names {
                scope.0.entry(name).and_modify(|local| local.used = false);
            }
        }
    }

    /// `x := …` below a use of `x`.
    fn check_order(&mut self, lhs: &Expr) {
        let mut names = Vec::new();
        pattern(lhs, &mut names);
        let above = names
            .iter()
            .find(|(name, _)| self.seen.last().is_some_and(|seen| seen.contains(*name)));
        if let Some((name, expr)) = above {
            let what = format!("var {name} referenced above");
            self.refuse(Fault::new(Class::Compile, expr.span, what).hint("assign it before it is used"));
        }
    }

    fn declared_above(&mut self, name: &Name) {
        if self.seen.last().is_some_and(|seen| seen.contains(&name.text)) {
            let what = format!("var {} referenced above", name.text);
            self.refuse(Fault::new(Class::Compile, name.span, what).hint("declare it before it is used"));
        }
    }

    /// Whether `with` speaks of a built-in here.
    fn is_function(&self, part: &Expr) -> bool {
        let declared = |name: &str| self.scopes.iter().any(|scope| scope.0.contains_key(name));
        let first = part.prefix().map(|(path, _)| path[0]);
        first.is_some_and(|name| !declared(name) && !self.globals.contains(name))
            && part.dotted().is_some_and(|path| is_built_in(&path))
    }

    /// Takes note of a name that is used in this body before anything declares it, here or further out.
    fn meet(&mut self, name: &str) {
        let shown = |scope: &Scope| scope.0.get(name).is_some_and(|local| local.visible);
        let declared = self.args.contains(name) || self.scopes.iter().skip(1).any(shown);
        if let Some((seen, outer)) = self.seen.split_last_mut()
            && !declared
            && !outer.iter().any(|seen| seen.contains(name))
        {
            seen.insert(name.to_owned());
        }
    }

    fn variable(&mut self, name: &mut String, span: Span) {
        let local = |scope: &Scope| scope.0.get(name).is_some_and(|local| local.visible);
        if name.starts_with('$') || is_root(name) && !self.scopes.iter().any(local) {
            return;
        }
        if name == "_" {
            *name = self.fresh.wildcard();
            return;
        }
        self.meet(name);
        let mut hidden = false;
        for scope in self.scopes.iter_mut().rev() {
            match scope.0.get_mut(name) {
                Some(local) if local.visible => {
                    local.used = true;
                    name.clone_from(&local.unique);
                    return;
                }
                Some(_) => hidden = true,
                None => {}
            }
        }
        if hidden || !self.globals.contains(name) {
            self.declare(0, name, span, Way::Other);
            if let Some(local) = self.scopes[0].0.get(name) {
                name.clone_from(&local.unique);
            }
        }
    }
}

/// Every variable in an expression, in its comprehensions too.
pub(super) fn mentioned(expr: &Expr) -> BTreeSet<&str> {
    let mut all = Mentioned::default();
    all.expr(expr);
    all.0
}

#[derive(Default)]
struct Mentioned<'a>(BTreeSet<&'a str>);

impl<'a> Look<'a> for Mentioned<'a> {
    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            Kind::Var(name) => _ = self.0.insert(name),
            Kind::Call(_, args) => args.iter().for_each(|arg| self.expr(arg)),
            _ => look_expr(self, expr),
        }
    }
}

impl Rewrite for Locals<'_> {
    fn statement(&mut self, statement: &mut Statement) {
        match &mut statement.what {
            What::Assign(lhs, rhs) => {
                self.expr(rhs);
                self.check_order(lhs);
                self.show(lhs);
                self.assigned(lhs);
            }
            What::Some(names) => {
                let names = names.clone();
                names.iter().for_each(|name| self.declared_above(name));
                names.iter().for_each(|name| self.show_name(&name.text));
                self.rename_declared(statement);
            }
            What::SomeIn { key, value, domain } => {
                self.expr(domain);
                for part in key.iter_mut().chain([value]) {
                    self.check_order(part);
                    self.show(part);
                    self.expr(part);
                }
            }
            What::Every {
                key,
                value,
                domain,
                body,
            } => {
                self.expr(domain);
                self.scopes.push(Scope::default());
                let place = self.scopes.len() - 1;
                let taken = std::mem::take(body);
                for name in key.iter().chain([&*value]) {
                    self.declare(place, &name.text, name.span, Way::Other);
                    self.show_name(&name.text);
                }
                self.scoped(Some(taken), |locals, inner| {
                    *body = inner.unwrap_or_default();
                    locals.statements(body);
                });
                let scope = self.scopes.pop().unwrap_or_default();
                for name in key.iter_mut().chain([&mut *value]) {
                    match scope.0.get(&name.text) {
                        Some(local) => {
                            if !local.used {
                                let what = format!("declared var {} unused", name.text);
                                self.refuse(Fault::new(Class::Compile, name.span, what).hint("write _"));
                            }
                            name.text.clone_from(&local.unique);
                        }
                        None if name.text == "_" => name.text = self.fresh.name("any"),
                        None => {}
                    }
                }
            }
            What::Expr(expr) => self.expr(expr),
            What::Unify(lhs, rhs) => {
                self.expr(lhs);
                self.expr(rhs);
            }
        }
        for with in &mut statement.with {
            if !self.is_function(&with.target) {
                self.target(&mut with.target);
            }
            if !self.is_function(&with.value) {
                self.expr(&mut with.value);
            }
        }
    }

    fn expr(&mut self, expr: &mut Expr) {
        let span = expr.span;
        match &mut expr.kind {
            Kind::Var(name) => self.variable(name, span),
            Kind::Call(function, args) => {
                // A built-in or a rule; never a local.
                if let Some(name) = function.as_var().map(str::to_owned)
                    && let Some(seen) = self.seen.last_mut()
                {
                    seen.insert(name);
                }
                args.iter_mut().for_each(|arg| self.expr(arg));
            }
            Kind::ArrayOf(..) | Kind::SetOf(..) | Kind::ObjectOf(..) => self.comprehension(expr),
            Kind::Ref(base, _) => {
                if let Some(name) = base.as_var().filter(|name| is_root(name)) {
                    self.meet(name);
                }
                rewrite_expr(self, expr);
            }
            _ => rewrite_expr(self, expr),
        }
    }
}

impl Locals<'_> {
    /// What `with` replaces: `input` is the document here, even where a local has its name.
    fn target(&mut self, target: &mut Expr) {
        match &mut target.kind {
            Kind::Var(name) if name == "input" => {}
            Kind::Ref(base, path) if base.as_var() == Some("input") => path.iter_mut().for_each(|part| self.expr(part)),
            _ => self.expr(target),
        }
    }

    fn comprehension(&mut self, expr: &mut Expr) {
        match &mut expr.kind {
            Kind::ArrayOf(term, body) | Kind::SetOf(term, body) => {
                let taken = std::mem::take(body);
                self.scoped(Some(taken), |locals, inner| {
                    *body = inner.unwrap_or_default();
                    locals.statements(body);
                    locals.expr(term);
                });
            }
            Kind::ObjectOf(key, value, body) => {
                let taken = std::mem::take(body);
                self.scoped(Some(taken), |locals, inner| {
                    *body = inner.unwrap_or_default();
                    locals.statements(body);
                    locals.expr(key);
                    locals.expr(value);
                });
            }
            _ => {}
        }
    }

    fn rename_declared(&mut self, statement: &mut Statement) {
        if let What::Some(names) = &mut statement.what {
            for name in names {
                if let Some(local) = self.scopes.last().and_then(|scope| scope.0.get(&name.text)) {
                    name.text.clone_from(&local.unique);
                }
            }
        }
    }
}

fn is_root(name: &str) -> bool {
    matches!(name, "input" | "data")
}

/// Variables of an argument, wherever they stand in it.
fn arguments<'a>(arg: &'a Expr, out: &mut Vec<(&'a str, Span)>) {
    match &arg.kind {
        Kind::Var(name) => out.push((name, arg.span)),
        Kind::Array(items) => items.iter().for_each(|item| arguments(item, out)),
        Kind::Object(fields) => fields.iter().for_each(|(_, value)| arguments(value, out)),
        _ => {}
    }
}
