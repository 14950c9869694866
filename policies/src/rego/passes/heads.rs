//! What a head or a comprehension iterates over moves to the end of the body, as does what may be undefined in a head; and a
//! function without body gets one.
//!
//! Removes: regorus wants a body or a value after every function's head; and a head like `t contains input.zz[_]`, or the
//! term of `{input.zz[_] | true}`, is an error when the collection is undefined, as is a head that binds a variable. A
//! head that is undefined for one element of a loop ends the rule: `t contains v.a if some v in [{"a": 1}, {}]` is an error,
//! or silently empty.

use std::collections::BTreeSet;

use super::super::ast::{Body, Expr, Kind, Module, Rule, Statement, What};
use super::super::walk::{Look, Rewrite, look_expr, look_statement, rewrite_expr, rewrite_rule};
use super::{Context, Fresh, hoist, may_be_undefined, pattern, variables};

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    for rule in &mut module.rules {
        head(rule, &mut context.fresh);
        rewrite_rule(&mut Terms(&mut context.fresh), rule);
    }
}

fn head(rule: &mut Rule, fresh: &mut Fresh) {
    if rule.default {
        return;
    }
    if rule.body.is_none() && rule.head.args.is_some() && rule.head.value.is_none() {
        rule.body = Some(vec![Statement::made(What::Expr(Expr::made(Kind::Bool(true))))]);
    }
    let mut bound = Bound::default();
    bound.take(rule.head.args.iter().flatten());
    rule.body.iter().for_each(|body| bound.body(body));
    let at = super::super::ast::Span::default();
    let mut moved = Vec::new();
    let several = rule.body.is_some();
    let head = &mut rule.head;
    let parts = head.path.iter_mut().chain(&mut head.key);
    for part in parts.chain(head.value.iter_mut().map(|(_, value)| value)) {
        // A variable that only another part binds is bound by the statement which that part becomes.
        if iterates(part, &bound.names) || several && may_be_undefined(part) {
            moved.push(hoist(part, fresh, at));
        }
    }
    if !moved.is_empty() {
        rule.body.get_or_insert_default().extend(moved);
    }
    for otherwise in &mut rule.otherwise {
        let mut bound = Bound::default();
        bound.take(rule.head.args.iter().flatten());
        otherwise.body.iter().for_each(|body| bound.body(body));
        let several = otherwise.body.is_some();
        if let Some((_, value)) = &mut otherwise.value
            && (iterates(value, &bound.names) || several && may_be_undefined(value))
        {
            let moved = hoist(value, fresh, at);
            otherwise.body.get_or_insert_default().push(moved);
        }
    }
}

/// The terms of comprehensions.
struct Terms<'a>(&'a mut Fresh);

impl Rewrite for Terms<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        rewrite_expr(self, expr);
        let at = super::super::ast::Span::default();
        let (terms, body): (Vec<&mut Expr>, &mut Body) = match &mut expr.kind {
            Kind::ArrayOf(term, body) | Kind::SetOf(term, body) => (vec![&mut **term], body),
            Kind::ObjectOf(key, value, body) => (vec![&mut **key, &mut **value], body),
            _ => return,
        };
        let mut bound = Bound::default();
        bound.body(body);
        for term in terms {
            // Names from outside are bound too; only an index that nothing here binds and that stands in a reference of
            // its own can iterate.
            if wildcards(term) || iterates_here(term, &bound.names) {
                body.push(hoist(term, self.0, at));
            }
        }
    }
}

/// Variables that a body binds for sure, outside its comprehensions: not those that only calls, operators and `x = y` tell of.
#[derive(Default)]
struct Bound {
    names: BTreeSet<String>,
}

impl Bound {
    fn take<'a>(&mut self, exprs: impl Iterator<Item = &'a Expr>) {
        for expr in exprs {
            self.names.extend(variables(expr).into_iter().map(str::to_owned));
        }
    }
}

impl<'a> Look<'a> for Bound {
    fn statement(&mut self, statement: &'a Statement) {
        match &statement.what {
            _ if statement.negated => return,
            What::Assign(lhs, _) => self.take([lhs].into_iter()),
            What::SomeIn { key, value, .. } => self.take(key.iter().chain([value])),
            What::Unify(lhs, rhs) => {
                // Where both sides have variables, either may wait for the other.
                let [mut left, mut right] = [Vec::new(), Vec::new()];
                pattern(lhs, &mut left);
                pattern(rhs, &mut right);
                if left.is_empty() || right.is_empty() {
                    let names = left.into_iter().chain(right);
                    self.names.extend(names.map(|(name, _)| name.to_owned()));
                }
            }
            What::Every { domain, .. } => return self.expr(domain),
            _ => {}
        }
        look_statement(self, statement);
    }

    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            Kind::Ref(_, parts) => {
                self.take(parts.iter());
                look_expr(self, expr);
            }
            Kind::ArrayOf(..) | Kind::SetOf(..) | Kind::ObjectOf(..) => {}
            _ => look_expr(self, expr),
        }
    }
}

/// Whether a reference in an expression has an index that nothing binds.
fn iterates(expr: &Expr, bound: &BTreeSet<String>) -> bool {
    indexes(expr)
        .iter()
        .any(|name| name.starts_with('$') || (!bound.contains(*name) && !matches!(*name, "input" | "data")))
}

fn wildcards(expr: &Expr) -> bool {
    indexes(expr).iter().any(|name| name.starts_with('$'))
}

/// An index of a comprehension's term that the body does not bind: with unique names, one that is free in all of it is
/// bound outside, and then moving it changes nothing.
fn iterates_here(term: &Expr, bound: &BTreeSet<String>) -> bool {
    indexes(term)
        .iter()
        .any(|name| !bound.contains(*name) && !matches!(*name, "input" | "data"))
}

/// Variables in the indexes of references, outside comprehensions.
fn indexes(expr: &Expr) -> Vec<&str> {
    struct Indexes<'a>(Vec<&'a str>);
    impl<'a> Look<'a> for Indexes<'a> {
        fn expr(&mut self, expr: &'a Expr) {
            match &expr.kind {
                Kind::Ref(_, parts) => {
                    for part in parts {
                        if let Kind::Var(_) | Kind::Array(_) | Kind::Object(_) = part.kind {
                            self.0.extend(variables(part));
                        }
                    }
                    look_expr(self, expr);
                }
                Kind::ArrayOf(..) | Kind::SetOf(..) | Kind::ObjectOf(..) => {}
                _ => look_expr(self, expr),
            }
        }
    }
    let mut indexes = Indexes(Vec::new());
    indexes.expr(expr);
    indexes.0
}
