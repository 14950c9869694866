//! A pattern of an object holds for objects with its keys and no others: behind `{"a": x} = w` stands that `w` has one key.
//! And `some x in [x]` asks whether `x` is in there, as the second `x` of `f(x, x)` does.
//!
//! Removes: regorus takes apart an object that has more keys than the pattern, so that what OPA passes over is found; to it
//! `some` binds all variables behind it anew; and of arguments of one name the last counts.

use std::collections::BTreeSet;

use super::super::ast::{Body, Expr, Kind, Module, Operator, Rule, Span, Statement, What, With};
use super::super::operators::FIELDS;
use super::locals::mentioned;
use super::{Context, Fresh, Split, hoist, pattern, split_rules, variables, walk};

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    for rule in module.rules.iter_mut().filter(|rule| !rule.default) {
        arguments(rule, &mut context.fresh);
    }
    split_rules(&mut Exact(&mut context.fresh), &mut module.rules);
}

/// `f({"a": x}) := x` becomes `f(h) := x if { {"a": x} = h }`, and `f(x, x)` becomes `f(x, h) if x = h`.
fn arguments(rule: &mut Rule, fresh: &mut Fresh) {
    let mut front: Body = Vec::new();
    let mut seen = BTreeSet::new();
    for arg in rule.head.args.iter_mut().flatten() {
        let names: Vec<String> = variables(arg).into_iter().map(str::to_owned).collect();
        if takes_apart(arg) || names.iter().any(|name| seen.contains(name)) {
            front.push(named(arg, fresh));
        }
        seen.extend(names);
    }
    if front.is_empty() {
        return;
    }
    let others = rule.otherwise.iter_mut().map(|otherwise| &mut otherwise.body);
    for body in others.chain([&mut rule.body]) {
        body.get_or_insert_default().splice(..0, front.iter().cloned());
    }
}

/// Puts a new name in the place of a pattern, and gives the equation of the two.
fn named(part: &mut Expr, fresh: &mut Fresh) -> Statement {
    let name = fresh.name("h");
    let mut taken = std::mem::replace(part, Expr::var(&name));
    part.span = taken.span;
    walk::unplace(&mut taken);
    Statement::made(What::Unify(taken, Expr::var(&name)))
}

/// Whether an object stands in a pattern that binds something of it.
fn takes_apart(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Array(items) => items.iter().any(takes_apart),
        Kind::Object(_) => {
            let mut names = Vec::new();
            pattern(expr, &mut names);
            !names.is_empty()
        }
        _ => false,
    }
}

struct Exact<'a>(&'a mut Fresh);

impl Split for Exact<'_> {
    fn split(&mut self, mut statement: Statement, out: &mut Body) {
        let at = statement.span;
        let mut behind = Vec::new();
        let negated = statement.negated;
        match &mut statement.what {
            What::Unify(lhs, rhs) if negated => {
                // What is negated binds nothing: both sides are values.
                let [lhs, rhs] = [lhs, rhs].map(|side| Box::new(std::mem::replace(side, Expr::made(Kind::Null))));
                statement.what = What::Expr(Expr::made(Kind::Infix(Operator::Equal, lhs, rhs)));
            }
            What::Unify(lhs, rhs) | What::Assign(lhs, rhs) => {
                let mut sides = Sides {
                    fresh: self.0,
                    at,
                    with: &statement.with,
                    front: Vec::new(),
                    checks: Vec::new(),
                };
                sides.pair(lhs, rhs);
                out.append(&mut sides.front);
                behind = sides.checks;
            }
            What::SomeIn { key, value, domain } => {
                let there = mentioned(domain);
                let known = |part: &Expr| variables(part).iter().any(|name| there.contains(name));
                let parts = key.iter_mut().chain([value]);
                let parts = parts.filter(|part| takes_apart(part) || known(part));
                behind = parts.map(|part| named(part, self.0)).collect();
            }
            What::Expr(Expr {
                kind: Kind::Call(function, args),
                ..
            }) if function.as_var() == Some("walk") && args.len() == 2 => {
                let parts = args[1..].iter_mut().filter(|part| takes_apart(part));
                behind = parts.map(|part| named(part, self.0)).collect();
            }
            _ => {}
        }
        out.push(statement);
        for next in behind {
            match &next.what {
                What::Unify(..) => self.split(next, out),
                _ => out.push(next),
            }
        }
    }
}

/// The sides of one equation.
struct Sides<'a> {
    fresh: &'a mut Fresh,
    at: Span,
    with: &'a [With],
    /// What is evaluated first.
    front: Body,
    /// What must hold besides.
    checks: Body,
}

impl Sides<'_> {
    fn pair(&mut self, one: &mut Expr, other: &mut Expr) {
        let (first, second) = (takes_apart(one), takes_apart(other));
        match (&mut one.kind, &mut other.kind) {
            (Kind::Array(ones), Kind::Array(others)) => {
                for (one, other) in ones.iter_mut().zip(others) {
                    self.pair(one, other);
                }
            }
            (Kind::Object(ones), Kind::Object(others)) => {
                for (key, one) in ones {
                    if let Some((_, other)) = others.iter_mut().find(|(there, _)| there == key) {
                        self.pair(one, other);
                    }
                }
            }
            _ if first => self.against(one, other),
            _ if second => self.against(other, one),
            _ => {}
        }
    }

    fn against(&mut self, pattern: &Expr, value: &mut Expr) {
        if value.is_scalar() || matches!(value.kind, Kind::Array(_) | Kind::Object(_)) {
            return;
        }
        if value.as_var().is_none_or(|name| matches!(name, "input" | "data")) {
            let mut front = hoist(value, self.fresh, self.at);
            front.with = self.with.to_vec();
            for with in &mut front.with {
                with.span.line = 0;
                walk::unplace(&mut with.target);
                walk::unplace(&mut with.value);
            }
            self.front.push(front);
        }
        let mut value = value.clone();
        walk::unplace(&mut value);
        self.descend(pattern, &value);
    }

    fn descend(&mut self, pattern: &Expr, value: &Expr) {
        match &pattern.kind {
            Kind::Array(items) => {
                for (place, item) in items.iter().enumerate().filter(|(_, item)| takes_apart(item)) {
                    self.descend(item, &element(value, Expr::made(Kind::Number(place.to_string()))));
                }
            }
            Kind::Object(fields) => {
                let count = Expr::made(Kind::Number(fields.len().to_string()));
                let call = Kind::Call(Box::new(Expr::var(FIELDS)), vec![value.clone(), count]);
                self.checks.push(Statement::made(What::Expr(Expr::made(call))));
                for (key, field) in fields
                    .iter()
                    .filter(|(key, field)| key.is_scalar() && takes_apart(field))
                {
                    let mut key = key.clone();
                    walk::unplace(&mut key);
                    self.descend(field, &element(value, key));
                }
            }
            _ => {}
        }
    }
}

fn element(value: &Expr, key: Expr) -> Expr {
    Expr::made(match &value.kind {
        Kind::Ref(head, parts) => Kind::Ref(head.clone(), parts.iter().cloned().chain([key]).collect()),
        _ => Kind::Ref(Box::new(value.clone()), vec![key]),
    })
}
