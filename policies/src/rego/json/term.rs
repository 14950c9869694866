//! Terms as OPA's JSON has them: a type and a value, and the order in which sets and objects are told.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use regorus::Value;

use super::super::ast::{Body, Expr, Kind};
use super::{DEEPEST, Writer};

impl Writer {
    /// An operator and its operands, if it is a call.
    pub(super) fn call(&mut self, expr: &Expr) -> Option<Vec<Value>> {
        Some(match &expr.kind {
            Kind::Call(function, args) => {
                let function = match function.as_var() {
                    Some(name) => named(&[name]),
                    None => self.term(function),
                };
                std::iter::once(function).chain(self.terms(args)).collect()
            }
            Kind::Infix(operator, left, right) => {
                vec![named(&[operator.function()]), self.term(left), self.term(right)]
            }
            Kind::Member(key, value, domain) => self.member(key.as_deref(), value, domain),
            _ => return None,
        })
    }

    pub(super) fn member(&mut self, key: Option<&Expr>, value: &Expr, domain: &Expr) -> Vec<Value> {
        let mut all = vec![named(&[
            "internal",
            if key.is_some() { "member_3" } else { "member_2" },
        ])];
        all.extend(key.map(|key| self.term(key)));
        all.extend([self.term(value), self.term(domain)]);
        all
    }

    pub(super) fn terms(&mut self, exprs: &[Expr]) -> Vec<Value> {
        exprs.iter().map(|expr| self.term(expr)).collect()
    }

    pub(super) fn term(&mut self, expr: &Expr) -> Value {
        if self.depth == DEEPEST {
            self.deep = true;
            return Value::Null;
        }
        self.depth += 1;
        let (kind, value) = self.shape(expr);
        self.depth -= 1;
        typed(kind, value)
    }

    fn shape(&mut self, expr: &Expr) -> (&'static str, Value) {
        match &expr.kind {
            // An empty structure in Go.
            Kind::Null => ("null", fields([])),
            Kind::Bool(truth) => ("boolean", (*truth).into()),
            Kind::Number(text) => ("number", Value::from_json_str(text).unwrap_or(Value::Null)),
            Kind::String(text) => ("string", text.as_str().into()),
            Kind::Var(name) if is_root(name) => ("ref", array([typed("var", name.as_str().into())])),
            Kind::Var(name) => ("var", self.name(name)),
            Kind::Ref(head, parts) => {
                let head = match head.as_var() {
                    Some(name) => typed("var", self.name(name)),
                    None => self.term(head),
                };
                ("ref", array(std::iter::once(head).chain(self.terms(parts))))
            }
            Kind::Array(items) => ("array", array(self.terms(items))),
            Kind::Set(items) => {
                let mut items = self.terms(items);
                items.sort_by(order);
                items.dedup_by(|one, other| order(one, other).is_eq());
                ("set", array(items))
            }
            Kind::Object(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| (self.term(key), self.term(value)));
                let mut pairs: Vec<(Value, Value)> = pairs.collect();
                pairs.sort_by(|(one, _), (other, _)| order(one, other));
                // The first of equal keys stays, with the last value.
                pairs.dedup_by(|later, first| {
                    let same = order(&later.0, &first.0).is_eq();
                    if same {
                        first.1 = std::mem::replace(&mut later.1, Value::Null);
                    }
                    same
                });
                (
                    "object",
                    array(pairs.into_iter().map(|(key, value)| array([key, value]))),
                )
            }
            Kind::ArrayOf(term, body) => ("arraycomprehension", self.comprehension(term, body)),
            Kind::SetOf(term, body) => ("setcomprehension", self.comprehension(term, body)),
            Kind::ObjectOf(key, value, body) => {
                let all = [
                    ("key", self.term(key)),
                    ("value", self.term(value)),
                    ("body", self.body(body)),
                ];
                ("objectcomprehension", fields(all))
            }
            Kind::Call(..) | Kind::Infix(..) | Kind::Member(..) => ("call", array(self.call(expr).unwrap_or_default())),
        }
    }

    fn comprehension(&mut self, term: &Expr, body: &Body) -> Value {
        fields([("term", self.term(term)), ("body", self.body(body))])
    }

    /// The name of a variable.
    pub(super) fn name(&mut self, name: &str) -> Value {
        if name != "_" {
            return name.into();
        }
        self.wildcards += 1;
        format!("${}", self.wildcards - 1).into()
    }
}

fn is_root(name: &str) -> bool {
    matches!(name, "data" | "input")
}

pub(super) fn is_ground(expr: &Expr) -> bool {
    let all = |exprs: &[Expr]| exprs.iter().all(is_ground);
    match &expr.kind {
        Kind::Var(name) => is_root(name),
        Kind::Ref(_, parts) | Kind::Call(_, parts) | Kind::Array(parts) | Kind::Set(parts) => all(parts),
        Kind::Object(pairs) => pairs.iter().all(|(key, value)| is_ground(key) && is_ground(value)),
        Kind::Infix(_, left, right) => is_ground(left) && is_ground(right),
        Kind::Member(key, value, domain) => {
            key.as_deref().is_none_or(is_ground) && is_ground(value) && is_ground(domain)
        }
        Kind::ArrayOf(..) | Kind::SetOf(..) | Kind::ObjectOf(..) => false,
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) => true,
    }
}

/// Types in OPA's order.
const ORDER: [&str; 13] = [
    "null",
    "boolean",
    "number",
    "string",
    "var",
    "ref",
    "array",
    "object",
    "set",
    "arraycomprehension",
    "objectcomprehension",
    "setcomprehension",
    "call",
];

/// The order of terms, in which sets and objects are told.
fn order(one: &Value, other: &Value) -> Ordering {
    let rank = |term: &Value| ORDER.iter().position(|kind| term["type"] == (*kind).into());
    rank(one)
        .cmp(&rank(other))
        .then_with(|| ordered(&one["value"], &other["value"]))
}

fn ordered(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => {
            let pairs = one.iter().zip(other.iter()).map(|(one, other)| match one {
                Value::Array(_) => ordered(one, other),
                _ => order(one, other),
            });
            let first = pairs.into_iter().find(|order| order.is_ne());
            first.unwrap_or_else(|| one.len().cmp(&other.len()))
        }
        _ => one.cmp(other),
    }
}

/// A reference of names, as operators are called.
pub(super) fn named(path: &[&str]) -> Value {
    let parts = path.iter().enumerate().map(|(place, name)| match place {
        0 => typed("var", (*name).into()),
        _ => typed("string", (*name).into()),
    });
    typed("ref", array(parts))
}

pub(super) fn truth() -> Value {
    typed("boolean", true.into())
}

pub(super) fn typed(kind: &str, value: Value) -> Value {
    fields([("type", kind.into()), ("value", value)])
}

pub(super) fn array(items: impl IntoIterator<Item = Value>) -> Value {
    Value::from(items.into_iter().collect::<Vec<_>>())
}

pub(super) fn fields(all: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let all = all.into_iter().map(|(name, value)| (Value::from(name), value));
    Value::from(all.collect::<BTreeMap<_, _>>())
}
