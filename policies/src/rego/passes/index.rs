//! An index that is bound elsewhere in the body is looked up, never iterated: `d[h]` becomes `d[[h][0]]`.
//!
//! Removes: to regorus's scheduler a local in an index is a definition of that local, whatever else defines it. Which of
//! the two comes first depends on names; with `not d[h]` in front, the body is silently empty.

use std::collections::BTreeSet;

use super::super::ast::{Body, Expr, Kind, Module, Rule, Statement, What};
use super::super::walk::{Rewrite, rewrite_body, rewrite_expr, rewrite_statement};
use super::pattern;

pub(super) fn run(module: &mut Module) {
    module.rules.iter_mut().for_each(rule);
}

fn rule(rule: &mut Rule) {
    let mut index = Index {
        bound: BTreeSet::new(),
        all: false,
    };
    let head = &mut rule.head;
    let parts = head.path.iter_mut().chain(&mut head.key);
    for part in parts.chain(head.value.iter_mut().map(|(_, value)| value)) {
        index.output(part);
    }
    rule.body.iter_mut().for_each(|body| index.body(body));
    for otherwise in &mut rule.otherwise {
        otherwise.value.iter_mut().for_each(|(_, value)| index.output(value));
        otherwise.body.iter_mut().for_each(|body| index.body(body));
    }
    rule.more.iter_mut().for_each(|(_, body)| index.body(body));
}

/// `data[h].a.b` becomes `[data[h]][0].a.b`: regorus would look for a rule of that whole path and evaluate no other.
fn whole(expr: &mut Expr) {
    let Kind::Ref(head, parts) = &mut expr.kind else { return };
    let mut rest = parts.split_off(1);
    let document = Kind::Ref(head.clone(), std::mem::take(parts));
    **head = Expr::made(Kind::Array(vec![Expr::made(document)]));
    parts.push(Expr::made(Kind::Number("0".to_owned())));
    parts.append(&mut rest);
}

struct Index {
    /// Names that some statement of this body assigns.
    bound: BTreeSet<String>,
    /// Every name is bound: by what stands in front of a negation, or by a body for the term that it leads to.
    all: bool,
}

impl Index {
    /// A term that is evaluated after its body; what of it iterates has been moved into that.
    fn output(&mut self, term: &mut Expr) {
        let outer = std::mem::replace(&mut self.all, true);
        self.expr(term);
        self.all = outer;
    }
}

impl Rewrite for Index {
    fn body(&mut self, body: &mut Body) {
        let mut bound = BTreeSet::new();
        for statement in body.iter() {
            let mut names = Vec::new();
            match &statement.what {
                What::Assign(lhs, _) => pattern(lhs, &mut names),
                What::SomeIn { key, value, .. } => {
                    key.iter().for_each(|key| pattern(key, &mut names));
                    pattern(value, &mut names);
                }
                _ => {}
            }
            bound.extend(names.into_iter().map(|(name, _)| name.to_owned()));
        }
        let outer = std::mem::replace(&mut self.bound, bound);
        let all = std::mem::replace(&mut self.all, false);
        rewrite_body(self, body);
        self.bound = outer;
        self.all = all;
    }

    fn statement(&mut self, statement: &mut Statement) {
        self.all = statement.negated;
        rewrite_statement(self, statement);
        self.all = false;
    }

    fn expr(&mut self, expr: &mut Expr) {
        match &mut expr.kind {
            Kind::ArrayOf(term, body) | Kind::SetOf(term, body) => {
                self.body(body);
                return self.output(term);
            }
            Kind::ObjectOf(key, value, body) => {
                self.body(body);
                self.output(key);
                return self.output(value);
            }
            _ => rewrite_expr(self, expr),
        }
        let Kind::Ref(head, parts) = &mut expr.kind else { return };
        let mut first = head.as_var() == Some("data") && parts.len() > 1;
        for part in &mut *parts {
            let known = match &part.kind {
                Kind::Var(name) if name.starts_with('$') || matches!(name.as_str(), "input" | "data") => false,
                Kind::Var(name) => self.all || self.bound.contains(name),
                _ => false,
            };
            if known {
                let span = part.span;
                let name = std::mem::replace(part, Expr::made(Kind::Null));
                let zero = Expr::made(Kind::Number("0".to_owned()));
                part.kind = Kind::Ref(Box::new(Expr::made(Kind::Array(vec![name]))), vec![zero]);
                part.span = span;
            }
            if first && known {
                return whole(expr);
            }
            first = false;
        }
    }
}
