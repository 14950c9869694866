//! Types through a body: what each variable, rule and function can be, followed from where it is bound to where it is used, as OPA's
//! checker does, and refused where it can never be right.
//!
//! Nothing is refused that OPA takes. OPA looks at statements in an order that it makes; what is used here before it is bound may
//! therefore be anything, for the rest of its body. `every` is not looked into, nor are parts of packages without a rule of their own.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Source;
use super::super::ast::{Body, Expr, Kind, Operator, Rule, Statement, What};
use super::super::fault::{Class, Fault};
use super::super::passes::original;
use super::super::symbols::path;
use super::kinds::{Constant, Is};
use crate::builtins::signature;

/// # Errors
/// Everything that has a wrong type, each with the place of its source, in the order of sources and lines.
pub(super) fn check(sources: &[Source]) -> Result<(), Vec<(usize, Fault)>> {
    let mut flow = Flow::default();
    for (place, source) in sources.iter().enumerate() {
        for rule in &source.module.rules {
            let path = path(&source.module.package, rule);
            flow.rules.entry(path).or_default().push((place, rule));
        }
    }
    for path in flow.rules.keys().cloned().collect::<Vec<_>>() {
        flow.rule(&path);
    }
    let mut faults = flow.faults;
    faults.sort_by_key(|(place, fault)| (*place, fault.span.start));
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// What stands at a path.
#[derive(Debug, Clone)]
enum Known {
    Value(Is),
    Function(Vec<Is>, Is),
}

impl Known {
    fn merged(self, other: Self) -> Self {
        match (self, other) {
            (Self::Value(one), Self::Value(other)) => Self::Value(one.merged(other)),
            (Self::Function(one, result), Self::Function(other, another)) if one.len() == other.len() => {
                let args = one.into_iter().zip(other).map(|(one, other)| one.or(other));
                Self::Function(args.collect(), result.or(another))
            }
            _ => Self::Value(Is::Any),
        }
    }
}

/// The variables of one body.
#[derive(Debug, Clone, Default)]
struct Scope {
    known: BTreeMap<String, Is>,
    /// Arguments: bound from the start, to what their first use wants.
    args: BTreeSet<String>,
    negated: bool,
}

impl Scope {
    fn is_open(&self, name: &str) -> bool {
        !matches!(name, "input" | "data") && !is_wildcard(name) && !self.known.contains_key(name)
    }

    fn anything(&mut self, name: &str) {
        if self.is_open(name) {
            self.known.insert(name.to_owned(), Is::Any);
        }
    }
}

fn is_wildcard(name: &str) -> bool {
    name == "_" || name.starts_with('$')
}

#[derive(Default)]
struct Flow<'a> {
    rules: BTreeMap<Vec<String>, Vec<(usize, &'a Rule)>>,
    known: BTreeMap<Vec<String>, Known>,
    faults: Vec<(usize, Fault)>,
    place: usize,
    /// Whether the rule that is looked at has a fault.
    failed: bool,
}

impl<'a> Flow<'a> {
    fn refuse(&mut self, at: &Expr, what: String) {
        self.failed = true;
        let fault = Fault::new(Class::Type, at.span, what);
        self.faults.push((self.place, fault));
    }

    /// What all definitions at a path make together; anything, while they are looked at.
    fn rule(&mut self, path: &[String]) -> Known {
        if let Some(known) = self.known.get(path) {
            return known.clone();
        }
        self.known.insert(path.to_vec(), Known::Value(Is::Any));
        let definitions = self.rules.get(path).cloned().unwrap_or_default();
        let outside = (self.place, self.failed);
        let mut all: Option<Known> = None;
        for (place, rule) in definitions {
            self.place = place;
            let value = rule.head.value.as_ref().map(|(_, value)| value);
            let first = (value, rule.body.as_ref());
            let more = rule.otherwise.iter();
            let more = more.map(|other| (other.value.as_ref().map(|(_, value)| value), other.body.as_ref()));
            for (value, body) in std::iter::once(first).chain(more) {
                let one = self.definition(rule, value, body);
                all = Some(match all {
                    Some(all) => all.merged(one),
                    None => one,
                });
            }
        }
        (self.place, self.failed) = outside;
        // Rules within each other's paths are merged by rules of their own.
        let mixed = (1..path.len()).any(|end| self.rules.contains_key(&path[..end]))
            || self
                .rules
                .range(path.to_vec()..)
                .nth(1)
                .is_some_and(|(next, _)| next.starts_with(path));
        let known = match all {
            Some(known) if !mixed => known,
            _ => Known::Value(Is::Any),
        };
        self.known.insert(path.to_vec(), known.clone());
        known
    }

    fn definition(&mut self, rule: &'a Rule, value: Option<&'a Expr>, body: Option<&'a Body>) -> Known {
        self.failed = false;
        let mut scope = Scope::default();
        for arg in rule.head.args.iter().flatten() {
            loose(arg, &mut |name| {
                scope.args.insert(name.to_owned());
            });
        }
        body.into_iter()
            .flatten()
            .for_each(|statement| self.statement(&mut scope, statement));
        let dynamic: Vec<&Expr> = rule
            .head
            .path
            .iter()
            .skip_while(|part| matches!(part.kind, Kind::String(_)))
            .collect();
        let keys: Vec<Is> = dynamic.iter().map(|part| self.is(&mut scope, part)).collect();
        let result = match (&rule.head.key, value) {
            (Some(key), _) => Is::set(self.is(&mut scope, key)),
            (None, Some(value)) => self.is(&mut scope, value),
            (None, None) => Is::Boolean,
        };
        let args = rule
            .head
            .args
            .as_ref()
            .map(|args| args.iter().map(|arg| self.is(&mut scope, arg)).collect());
        match (args, keys.as_slice()) {
            _ if self.failed => Known::Value(Is::Any),
            (Some(args), []) => Known::Function(args, result),
            (None, []) => Known::Value(result),
            (None, [key]) if !dynamic[0].is_scalar() => {
                Known::Value(Is::object(Vec::new(), Some((key.clone(), result))))
            }
            _ => Known::Value(Is::Any),
        }
    }

    fn statement(&mut self, scope: &mut Scope, statement: &'a Statement) {
        scope.negated = statement.negated;
        match &statement.what {
            What::Expr(expr) => match &expr.kind {
                // To OPA's checker this is a unification.
                Kind::Infix(Operator::Equal, lhs, rhs) => self.equal(scope, lhs, rhs, false),
                _ => drop(self.is(scope, expr)),
            },
            What::Assign(lhs, rhs) | What::Unify(lhs, rhs) => self.equal(scope, lhs, rhs, true),
            What::Some(_) => {}
            What::SomeIn { key, value, domain } => {
                let early = needs(scope, domain);
                let mut of = self.is(scope, domain);
                if early {
                    of = Is::Any;
                }
                match of.keys().zip(of.values()) {
                    None => self.refuse(
                        domain,
                        format!("match error: {} is {of}, which has no elements", told(domain)),
                    ),
                    Some((keys, values)) => {
                        let named = key.as_ref().is_none_or(|key| self.unify(scope, key, &keys, true));
                        if !(self.unify(scope, value, &values, true) && named) {
                            let left = self.shown(scope, value);
                            self.refuse(value, format!("match error: left: {left}, right: {values}"));
                        }
                    }
                }
            }
            What::Every { domain, .. } => drop(self.is(scope, domain)),
        }
        statement.with.iter().for_each(|with| drop(self.is(scope, &with.value)));
        scope.negated = false;
    }

    /// Two sides that must be one value. Without `binds`, only arguments are told by it what they are.
    fn equal(&mut self, scope: &mut Scope, lhs: &'a Expr, rhs: &'a Expr, binds: bool) {
        let early = needs(scope, lhs) || needs(scope, rhs);
        let (left, right) = (is_loose(scope, lhs), is_loose(scope, rhs));
        if early || (left && right) || scope.negated {
            for side in [lhs, rhs] {
                loose(side, &mut |name| scope.anything(name));
            }
        }
        let (pattern, other) = match is_loose(scope, rhs) || is_pattern(rhs) && !is_pattern(lhs) {
            true => (rhs, lhs),
            false => (lhs, rhs),
        };
        let of = self.is(scope, other);
        let held = match is_pattern(pattern) && is_loose(scope, pattern) {
            true => self.unify(scope, pattern, &of, binds),
            false => self.is(scope, pattern).unifies(&of),
        };
        if !held {
            let (pattern, of) = (self.shown(scope, pattern), of.to_string());
            let (left, right) = if std::ptr::eq(other, rhs) {
                (pattern, of)
            } else {
                (of, pattern)
            };
            self.refuse(lhs, format!("match error: left: {left}, right: {right}"));
        }
    }

    fn shown(&mut self, scope: &Scope, expr: &'a Expr) -> String {
        let (faults, failed) = (self.faults.len(), self.failed);
        let is = self.is(&mut scope.clone(), expr);
        self.faults.truncate(faults);
        self.failed = failed;
        is.to_string()
    }

    /// Whether an expression can be of a type; variables that are nothing yet become that.
    fn unify(&mut self, scope: &mut Scope, expr: &'a Expr, of: &Is, binds: bool) -> bool {
        match (&expr.kind, of) {
            (Kind::Var(name), _) if is_wildcard(name) => true,
            (Kind::Var(name), _) if scope.is_open(name) => {
                let told = binds || scope.args.contains(name) && !scope.negated;
                scope
                    .known
                    .insert(name.clone(), if told { of.clone() } else { Is::Any });
                true
            }
            (Kind::Array(_) | Kind::Object(_) | Kind::Set(_), Is::One(_)) => {
                loose(expr, &mut |name| scope.anything(name));
                self.is(scope, expr).unifies(of)
            }
            (Kind::Array(items), Is::Array(known, more)) => {
                // What is empty may hold anything.
                (items.is_empty() || items.len() == known.len() || more.is_some())
                    && items.iter().enumerate().all(|(at, item)| match of.element(at) {
                        Some(element) => self.unify(scope, item, &element.clone(), binds),
                        None => false,
                    })
            }
            (Kind::Object(fields), Is::Object(known, more)) => {
                (fields.is_empty() || fields.len() == known.len() || more.is_some())
                    && fields.iter().all(|(key, value)| match constant(key) {
                        Some(key) => match of.property(&key).cloned() {
                            Some(is) => self.unify(scope, value, &is, binds),
                            None => false,
                        },
                        None => {
                            self.is(scope, key);
                            self.unify(scope, value, &Is::Any, binds)
                        }
                    })
            }
            (Kind::Set(items), Is::Set(each)) => items.iter().all(|item| self.unify(scope, item, each, binds)),
            (Kind::Array(items), Is::Any) => items.iter().all(|item| self.unify(scope, item, of, binds)),
            (Kind::Object(fields), Is::Any) => fields.iter().all(|(key, value)| {
                self.is(scope, key);
                self.unify(scope, value, of, binds)
            }),
            _ => self.is(scope, expr).unifies(of),
        }
    }

    /// What an expression is; calls and references in it are looked at.
    fn is(&mut self, scope: &mut Scope, expr: &'a Expr) -> Is {
        match &expr.kind {
            Kind::Null => Is::Null,
            Kind::Bool(_) => Is::Boolean,
            Kind::Number(_) => Is::Number,
            Kind::String(_) => Is::Text,
            Kind::Var(name) => {
                scope.anything(name);
                scope.known.get(name).cloned().unwrap_or(Is::Any)
            }
            Kind::Array(items) => Is::array(items.iter().map(|item| self.is(scope, item)).collect()),
            Kind::Set(items) => {
                let each = items.iter().map(|item| self.is(scope, item));
                Is::set(each.reduce(Is::or).unwrap_or(Is::Any))
            }
            Kind::Object(fields) => {
                let mut fixed = Vec::new();
                let mut more: Option<(Is, Is)> = None;
                for (key, value) in fields {
                    let is = self.is(scope, value);
                    match constant(key) {
                        Some(key) => fixed.push((key, is)),
                        None => {
                            let key = self.is(scope, key);
                            more = Some(match more {
                                Some((keys, values)) => (keys.or(key), values.or(is)),
                                None => (key, is),
                            });
                        }
                    }
                }
                Is::object(fixed, more)
            }
            Kind::ArrayOf(term, body) => {
                let mut inner = self.inner(scope, body);
                Is::list(self.is(&mut inner, term))
            }
            Kind::SetOf(term, body) => {
                let mut inner = self.inner(scope, body);
                Is::set(self.is(&mut inner, term))
            }
            Kind::ObjectOf(key, value, body) => {
                let mut inner = self.inner(scope, body);
                let more = (self.is(&mut inner, key), self.is(&mut inner, value));
                Is::object(Vec::new(), Some(more))
            }
            Kind::Infix(operator, lhs, rhs) => self.call(scope, expr, operator.function(), &[lhs, rhs]),
            Kind::Member(key, value, domain) => {
                key.iter().for_each(|key| drop(self.is(scope, key)));
                self.is(scope, value);
                self.is(scope, domain);
                Is::Boolean
            }
            Kind::Call(function, args) => {
                let args: Vec<&Expr> = args.iter().collect();
                match function.dotted() {
                    Some(name) => self.call(scope, expr, &name, &args),
                    None => Is::Any,
                }
            }
            Kind::Ref(head, parts) => self.reference(scope, expr, head, parts),
        }
    }

    /// A body within a term. What it uses of outside before that is bound may be anything.
    fn inner(&mut self, scope: &mut Scope, body: &'a Body) -> Scope {
        let mut inner = scope.clone();
        body.iter().for_each(|statement| self.statement(&mut inner, statement));
        for name in scope.args.clone().iter().filter(|name| inner.known.contains_key(*name)) {
            scope.anything(name);
        }
        inner
    }

    fn call(&mut self, scope: &mut Scope, call: &'a Expr, name: &str, args: &[&'a Expr]) -> Is {
        let (wanted, result) = match signature(name) {
            _ if name.starts_with("data.") => {
                let path: Vec<String> = match &call.kind {
                    Kind::Call(function, _) => function
                        .prefix()
                        .map(|(path, _)| path.iter().map(|part| (*part).to_owned()).collect())
                        .unwrap_or_default(),
                    _ => Vec::new(),
                };
                match self.rule(&path) {
                    Known::Function(args, result) => (args, result),
                    Known::Value(_) => (Vec::new(), Is::Any),
                }
            }
            Some(found) => (found.args.iter().map(Is::from).collect(), Is::from(&found.result)),
            None => (Vec::new(), Is::Any),
        };
        let mut wrong = false;
        for (place, arg) in args.iter().enumerate() {
            let held = match wanted.get(place) {
                Some(wanted) => self.unify(scope, arg, wanted, false),
                // What takes the result.
                None if place == wanted.len() && !wanted.is_empty() => self.unify(scope, arg, &result, true),
                None => self.unify(scope, arg, &Is::Any, true),
            };
            wrong |= !held;
        }
        if wrong {
            let have: Vec<String> = args.iter().map(|arg| self.shown(scope, arg)).collect();
            let want: Vec<String> = wanted.iter().map(Is::to_string).collect();
            let (have, want) = (have.join(", "), want.join(", "));
            self.refuse(
                call,
                format!("{name}: invalid argument(s): have: ({have}), want: ({want})"),
            );
        }
        result
    }

    fn reference(&mut self, scope: &mut Scope, expr: &'a Expr, head: &'a Expr, parts: &'a [Expr]) -> Is {
        let (mut of, beneath) = match head.as_var() {
            Some("data") => self.document(expr, parts),
            Some("input") => (Is::Any, parts),
            _ => (self.is(scope, head), parts),
        };
        for part in beneath {
            let Some(keys) = of.keys() else {
                self.refuse(expr, format!("undefined ref: {} ({of} has no elements)", told(expr)));
                return Is::Any;
            };
            let next = match constant(part) {
                Some(key) => of.at(&key),
                None => match self.unify(scope, part, &keys, true) {
                    true => Some(of.values().unwrap_or(Is::Any)),
                    false => None,
                },
            };
            match next {
                Some(next) => of = next,
                None => {
                    let have = self.shown(scope, part);
                    let what = format!("undefined ref: {} (have: {have}, want: {keys} of {of})", told(expr));
                    self.refuse(expr, what);
                    return Is::Any;
                }
            }
        }
        of
    }

    /// What stands at the constant front of a path, and what follows it.
    fn document(&mut self, expr: &Expr, parts: &'a [Expr]) -> (Is, &'a [Expr]) {
        let Some((path, _)) = expr.prefix() else {
            return (Is::Any, parts);
        };
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        let found = (2..=path.len()).find(|end| self.rules.contains_key(&path[..*end]));
        match found {
            Some(end) => match self.rule(&path[..end]) {
                Known::Value(is) => (is, &parts[end - 1..]),
                Known::Function(..) => (Is::Any, &parts[end - 1..]),
            },
            None => (Is::Any, parts),
        }
    }
}

fn constant(expr: &Expr) -> Option<Constant> {
    Some(match &expr.kind {
        Kind::Null => Constant::Null,
        Kind::Bool(value) => Constant::Boolean(*value),
        Kind::Number(text) => Constant::Number(text.clone()),
        Kind::String(text) => Constant::Text(text.clone()),
        _ => return None,
    })
}

fn is_pattern(expr: &Expr) -> bool {
    matches!(expr.kind, Kind::Var(_) | Kind::Array(_) | Kind::Object(_))
}

/// The variables of an expression that a unification could bind.
fn loose(expr: &Expr, tell: &mut dyn FnMut(&str)) {
    match &expr.kind {
        Kind::Var(name) => tell(name),
        Kind::Array(items) | Kind::Set(items) => items.iter().for_each(|item| loose(item, tell)),
        Kind::Object(fields) => fields.iter().for_each(|(_, value)| loose(value, tell)),
        _ => {}
    }
}

fn is_loose(scope: &Scope, expr: &Expr) -> bool {
    let mut found = false;
    loose(expr, &mut |name| found |= scope.is_open(name) || is_wildcard(name));
    found
}

/// Whether OPA would look at this later, since it uses what nothing has bound yet.
fn needs(scope: &Scope, expr: &Expr) -> bool {
    let open = |expr: &Expr| match expr.as_var() {
        Some(name) => scope.is_open(name) && !scope.args.contains(name),
        None => needs(scope, expr),
    };
    match &expr.kind {
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) | Kind::Var(_) => false,
        Kind::Array(items) => items.iter().any(|item| needs(scope, item)),
        Kind::Set(items) => items.iter().any(open),
        Kind::Object(fields) => fields.iter().any(|(key, value)| open(key) || needs(scope, value)),
        Kind::Ref(head, parts) => open(head) || parts.iter().any(|part| needs(scope, part)),
        Kind::Call(_, args) => args.iter().any(open),
        Kind::Infix(_, lhs, rhs) => open(lhs) || open(rhs),
        Kind::Member(key, value, domain) => key.as_deref().is_some_and(open) || open(value) || open(domain),
        // It waits for what it has in common with its outside.
        Kind::ArrayOf(..) | Kind::SetOf(..) | Kind::ObjectOf(..) => false,
    }
}

/// A reference as it is written, without its literals.
fn told(expr: &Expr) -> String {
    match &expr.kind {
        Kind::Var(name) if is_wildcard(name) => "_".to_owned(),
        Kind::Var(name) => original(name).to_owned(),
        Kind::Ref(head, parts) => {
            let mut out = told(head);
            for part in parts {
                match &part.kind {
                    Kind::String(name) => out.push_str(&format!(".{name}")),
                    _ => out.push_str(&format!("[{}]", told(part))),
                }
            }
            out
        }
        Kind::Number(text) => text.clone(),
        Kind::String(text) => format!("{text:?}"),
        Kind::Call(function, _) => format!("{}(…)", told(function)),
        _ => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests;
