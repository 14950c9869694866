//! What is nested deeply is taken apart: `x := [[[1]]]` becomes `h := [[1]]; x := [h]`, a few brackets at a time.
//!
//! Removes: regorus's parser reads the first element of every bracket twice, and that of a bracket in it four times, so that thirty
//! brackets keep it busy for hours; beyond 32 expressions in round brackets it refuses.

use super::super::ast::{Body, Expr, Kind, Module, Rule, Span, Statement, What, With};
use super::super::walk::{Look, look_expr, unplace};
use super::{Context, Fresh};

/// How often a token may be read because of the brackets around it, as a power of two.
const MOST_TWICE: u32 = 6;
/// How deep brackets may lie within each other.
const MOST_DEEP: u32 = 16;

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    let mut nesting = Nesting {
        fresh: &mut context.fresh,
        front: Vec::new(),
        at: Span::default(),
        with: Vec::new(),
        closed: false,
    };
    module.rules.iter_mut().for_each(|rule| nesting.rule(rule));
}

/// What reading an expression costs.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// Brackets in whose first element something of it stands, within each other.
    twice: u32,
    deep: u32,
}

impl Cost {
    fn and(self, other: Self) -> Self {
        Self {
            twice: self.twice.max(other.twice),
            deep: self.deep.max(other.deep),
        }
    }

    /// As the first element of a bracket, or a statement.
    fn first(self) -> Self {
        Self {
            twice: self.twice + 1,
            ..self
        }
    }

    fn within(self) -> Self {
        Self {
            deep: self.deep + 1,
            ..self
        }
    }

    fn is_too_much(self) -> bool {
        self.twice >= MOST_TWICE || self.deep >= MOST_DEEP
    }
}

struct Nesting<'a> {
    fresh: &'a mut Fresh,
    /// What has been taken out of the statement at hand.
    front: Body,
    at: Span,
    with: Vec<With>,
    /// Only what has no variables may be taken out: a pattern binds its own.
    closed: bool,
}

impl Nesting<'_> {
    fn rule(&mut self, rule: &mut Rule) {
        rule.body.iter_mut().for_each(|body| _ = self.body(body));
        if !rule.default {
            let head = &mut rule.head;
            let parts = head.path.iter_mut().chain(&mut head.key);
            let (mut moved, _) = self.ends(parts.chain(head.value.iter_mut().map(|(_, value)| value)));
            if !moved.is_empty() {
                rule.body.get_or_insert_default().append(&mut moved);
            }
        }
        for otherwise in &mut rule.otherwise {
            otherwise.body.iter_mut().for_each(|body| _ = self.body(body));
            let (mut moved, _) = self.ends(otherwise.value.iter_mut().map(|(_, value)| value));
            if !moved.is_empty() {
                otherwise.body.get_or_insert_default().append(&mut moved);
            }
        }
        rule.more.iter_mut().for_each(|(_, body)| _ = self.body(body));
    }

    /// Terms that a body leads to: gives what is to stand at its end, and what they cost.
    fn ends<'e>(&mut self, terms: impl Iterator<Item = &'e mut Expr>) -> (Body, Cost) {
        let outer = std::mem::take(&mut self.front);
        let (at, with) = (std::mem::take(&mut self.at), std::mem::take(&mut self.with));
        let closed = std::mem::replace(&mut self.closed, false);
        let cost = terms.map(|term| self.part(term)).fold(Cost::default(), Cost::and);
        (self.at, self.with, self.closed) = (at, with, closed);
        (std::mem::replace(&mut self.front, outer), cost)
    }

    fn body(&mut self, body: &mut Body) -> Cost {
        let outer = std::mem::take(&mut self.front);
        let (at, with, closed) = (self.at, std::mem::take(&mut self.with), self.closed);
        let mut cost = Cost::default();
        for mut statement in std::mem::take(body) {
            cost = cost.and(self.statement(&mut statement));
            body.append(&mut self.front);
            body.push(statement);
        }
        (self.front, self.at, self.with, self.closed) = (outer, at, with, closed);
        cost.within()
    }

    fn statement(&mut self, statement: &mut Statement) -> Cost {
        self.at = statement.span;
        self.with.clone_from(&statement.with);
        self.closed = false;
        let cost = match &mut statement.what {
            What::Expr(expr) => {
                // The last argument of a relation is a pattern.
                self.closed = matches!(&expr.kind, Kind::Call(function, _) if function.as_var() == Some("walk"));
                self.part(expr).first()
            }
            What::Assign(lhs, rhs) => {
                let cost = self.part(rhs);
                self.closed = true;
                cost.and(self.part(lhs).first())
            }
            What::Unify(lhs, rhs) => {
                self.closed = true;
                self.part(lhs).first().and(self.part(rhs))
            }
            What::Some(_) => Cost::default(),
            What::SomeIn { key, value, domain } => {
                let cost = self.part(domain);
                self.closed = true;
                let key = key.as_mut().map(|key| self.part(key)).unwrap_or_default();
                cost.and(key).and(self.part(value))
            }
            What::Every { domain, body, .. } => {
                let cost = self.part(domain);
                cost.and(self.body(body))
            }
        };
        self.with.clear();
        let values = statement.with.iter_mut().map(|with| {
            self.closed = true;
            self.part(&mut with.value)
        });
        values.fold(cost, Cost::and)
    }

    /// Reads a part of a larger expression; takes it out if the whole would be too much.
    fn part(&mut self, expr: &mut Expr) -> Cost {
        let cost = self.expr(expr);
        if !cost.is_too_much() || !self.may_be_taken(expr) {
            return cost;
        }
        let name = self.fresh.name("h");
        let left = Expr {
            kind: Kind::Var(name.clone()),
            span: expr.span,
        };
        let mut taken = std::mem::replace(expr, left);
        unplace(&mut taken);
        let mut with = self.with.clone();
        for with in &mut with {
            with.span.line = 0;
            unplace(&mut with.target);
            unplace(&mut with.value);
        }
        self.front.push(Statement {
            span: self.at,
            negated: false,
            what: What::Assign(Expr::var(&name), taken),
            with,
        });
        Cost::default()
    }

    fn may_be_taken(&self, expr: &Expr) -> bool {
        let made = matches!(
            expr.kind,
            Kind::Array(_)
                | Kind::Set(_)
                | Kind::Object(_)
                | Kind::ArrayOf(..)
                | Kind::SetOf(..)
                | Kind::ObjectOf(..)
                | Kind::Infix(..)
                | Kind::Member(..)
                | Kind::Call(..)
        );
        made && !(self.closed && has_variables(expr))
    }

    fn expr(&mut self, expr: &mut Expr) -> Cost {
        let cost = match &mut expr.kind {
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) | Kind::Var(_) => return Cost::default(),
            Kind::Ref(head, parts) => {
                let head = self.part(head);
                return parts.iter_mut().map(|part| self.part(part)).fold(head, Cost::and);
            }
            Kind::Array(items) | Kind::Set(items) => self.items(items),
            Kind::Call(_, items) => items
                .iter_mut()
                .map(|item| self.part(item))
                .fold(Cost::default(), Cost::and),
            Kind::Object(fields) => {
                let mut cost = Cost::default();
                for (place, (key, value)) in fields.iter_mut().enumerate() {
                    let field = self.part(key).and(self.part(value));
                    cost = cost.and(if place == 0 { field.first() } else { field });
                }
                cost
            }
            Kind::ArrayOf(term, body) | Kind::SetOf(term, body) => self.comprehension([&mut **term], body),
            Kind::ObjectOf(key, value, body) => self.comprehension([&mut **key, &mut **value], body),
            Kind::Infix(_, lhs, rhs) => self.part(lhs).and(self.part(rhs)),
            Kind::Member(key, value, domain) => {
                let key = key.as_mut().map(|key| self.part(key)).unwrap_or_default();
                key.and(self.part(value)).and(self.part(domain))
            }
        };
        cost.within()
    }

    fn items(&mut self, items: &mut [Expr]) -> Cost {
        let mut cost = Cost::default();
        for (place, item) in items.iter_mut().enumerate() {
            let item = self.part(item);
            cost = cost.and(if place == 0 { item.first() } else { item });
        }
        cost
    }

    fn comprehension<const N: usize>(&mut self, terms: [&mut Expr; N], body: &mut Body) -> Cost {
        let cost = self.body(body).first();
        let (mut moved, term) = self.ends(terms.into_iter());
        body.append(&mut moved);
        cost.and(term.first())
    }
}

/// Whether a variable stands in an expression, in its comprehensions too.
fn has_variables(expr: &Expr) -> bool {
    struct Variables(bool);
    impl<'a> Look<'a> for Variables {
        fn expr(&mut self, expr: &'a Expr) {
            match &expr.kind {
                Kind::Var(name) => self.0 |= !matches!(name.as_str(), "input" | "data"),
                Kind::Call(_, args) => args.iter().for_each(|arg| self.expr(arg)),
                _ => look_expr(self, expr),
            }
        }
    }
    let mut variables = Variables(false);
    variables.expr(expr);
    variables.0
}
