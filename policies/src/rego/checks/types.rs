//! Types, as far as they can be told from what is written: literals, operators and the results of built-in functions,
//! where they can never be right.
//!
//! OPA's checker also follows variables through a body; what it alone sees is left to the evaluation, where it is undefined.

use std::collections::BTreeMap;

use super::super::Source;
use super::super::ast::{Expr, Kind, Module, Operator, Rule, Statement, What};
use super::super::fault::{Class, Fault};
use super::super::symbols::{Symbols, path};
use super::super::walk::{Look, look_expr, look_rule, look_statement};
use crate::builtins::{Type, signature};

/// Of each function that is defined once, the type of each argument that its head or body fixes.
type Functions = BTreeMap<Vec<String>, Vec<Option<Type>>>;

pub(super) fn check(sources: &[Source], symbols: &Symbols) -> Result<(), (usize, Fault)> {
    let mut functions = Functions::new();
    for source in sources {
        for rule in &source.module.rules {
            let path = path(&source.module.package, rule);
            if let Some(args) = &rule.head.args
                && symbols.at(&path).len() == 1
            {
                functions.insert(path, args.iter().map(|arg| fixed(arg, rule)).collect());
            }
        }
    }
    for (place, source) in sources.iter().enumerate() {
        module(&source.module, &functions).map_err(|fault| (place, fault))?;
    }
    Ok(())
}

fn module(module: &Module, functions: &Functions) -> Result<(), Fault> {
    let mut types = Types { functions, fault: None };
    module.rules.iter().for_each(|rule| look_rule(&mut types, rule));
    types.fault.map_or(Ok(()), Err)
}

/// The type that an argument must have: that of a literal, or of one that the body equals it with.
fn fixed(arg: &Expr, rule: &Rule) -> Option<Type> {
    let name = match arg.as_var() {
        Some(name) => name,
        None => return scalar(arg),
    };
    if !rule.otherwise.is_empty() {
        return None;
    }
    rule.body.iter().flatten().find_map(|statement| {
        let (lhs, rhs) = match &statement.what {
            What::Expr(Expr {
                kind: Kind::Infix(Operator::Equal, lhs, rhs),
                ..
            }) => (&**lhs, &**rhs),
            What::Unify(lhs, rhs) => (lhs, rhs),
            _ => return None,
        };
        match (
            statement.negated,
            lhs.as_var() == Some(name),
            rhs.as_var() == Some(name),
        ) {
            (false, true, _) => scalar(rhs),
            (false, _, true) => scalar(lhs),
            _ => None,
        }
    })
}

fn scalar(expr: &Expr) -> Option<Type> {
    match &expr.kind {
        Kind::Null => Some(Type::Null),
        Kind::Bool(_) => Some(Type::Boolean),
        Kind::Number(_) => Some(Type::Number),
        Kind::String(_) => Some(Type::Str),
        _ => None,
    }
}

struct Types<'a> {
    functions: &'a Functions,
    fault: Option<Fault>,
}

impl Types<'_> {
    fn refuse(&mut self, expr: &Expr, what: String) {
        self.fault
            .get_or_insert_with(|| Fault::new(Class::Type, expr.span, what));
    }

    fn call(&mut self, function: &Expr, args: &[Expr]) {
        let Some((path, true)) = function.prefix() else { return };
        let name = path.join(".");
        if path[0] == "data" {
            let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
            let wanted = self.functions.get(&path).into_iter().flatten();
            for (arg, wanted) in args.iter().zip(wanted) {
                if wanted.is_some_and(|wanted| !fits(arg, &wanted)) {
                    self.refuse(arg, format!("{name}: invalid argument: {}", kind(arg)));
                }
            }
        } else if let Some(signature) = signature(&name) {
            for (arg, wanted) in args.iter().zip(signature.args) {
                if !fits(arg, wanted) {
                    self.refuse(arg, format!("{name}: invalid argument: {}", kind(arg)));
                }
            }
        }
    }

    fn reference(&mut self, expr: &Expr, head: &Expr, parts: &[Expr]) {
        let Some(first) = parts.first().filter(|part| part.is_scalar()) else {
            return;
        };
        let found = match &head.kind {
            // What is empty may hold anything.
            Kind::Array(items) if items.is_empty() => true,
            Kind::Object(fields) if fields.is_empty() => true,
            Kind::Array(items) => match &first.kind {
                Kind::Number(text) => text.parse::<usize>().is_ok_and(|index| index < items.len()),
                _ => false,
            },
            Kind::Object(fields) => {
                let constant = fields.iter().all(|(key, _)| key.is_scalar());
                !constant || fields.iter().any(|(key, _)| key.kind == first.kind)
            }
            _ => true,
        };
        if !found {
            self.refuse(
                expr,
                "undefined ref: the literal in front has no such element".to_owned(),
            );
        }
    }
}

impl<'a> Look<'a> for Types<'_> {
    fn statement(&mut self, statement: &'a Statement) {
        if let What::SomeIn { domain, .. } = &statement.what
            && domain.is_scalar()
        {
            self.refuse(domain, format!("match error: {} has no elements", kind(domain)));
        }
        look_statement(self, statement);
    }

    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            Kind::Infix(operator, lhs, rhs) => {
                for side in [lhs, rhs] {
                    if !operand(*operator, side) {
                        self.refuse(
                            side,
                            format!("{}: invalid argument: {}", operator.function(), kind(side)),
                        );
                    }
                }
            }
            Kind::Call(function, args) => self.call(function, args),
            Kind::Ref(head, parts) => self.reference(expr, head, parts),
            _ => {}
        }
        look_expr(self, expr);
    }
}

const SETS: Type = Type::Set(&Type::Any);

/// Whether an operator takes this.
fn operand(operator: Operator, side: &Expr) -> bool {
    match operator {
        Operator::Plus | Operator::Times | Operator::Divide | Operator::Remainder => fits(side, &Type::Number),
        Operator::Minus => fits(side, &Type::Number) || fits(side, &SETS),
        Operator::Or | Operator::And => fits(side, &SETS),
        _ => true,
    }
}

/// Whether an expression can have a type.
fn fits(expr: &Expr, wanted: &Type) -> bool {
    if let Type::OneOf(types) = wanted {
        return types.iter().any(|wanted| fits(expr, wanted));
    }
    match (&expr.kind, wanted) {
        (_, Type::Any) => true,
        (Kind::Null, wanted) => matches!(wanted, Type::Null),
        (Kind::Bool(_) | Kind::Member(..), wanted) => matches!(wanted, Type::Boolean),
        (Kind::Number(_), wanted) => matches!(wanted, Type::Number),
        (Kind::String(_), wanted) => matches!(wanted, Type::Str),
        (Kind::Array(items), Type::Array(of)) => items.iter().all(|item| fits(item, of)),
        (Kind::Array(items), Type::Tuple(of)) => {
            items.len() == of.len() && items.iter().zip(*of).all(|(item, of)| fits(item, of))
        }
        (Kind::ArrayOf(..), wanted) => matches!(wanted, Type::Array(_) | Type::Tuple(_)),
        (Kind::Set(items), Type::Set(of)) => items.iter().all(|item| fits(item, of)),
        (Kind::SetOf(..), wanted) => matches!(wanted, Type::Set(_)),
        (Kind::Object(fields), Type::Object(keys, values)) => {
            fields.iter().all(|(key, value)| fits(key, keys) && fits(value, values))
        }
        (Kind::Object(_) | Kind::ObjectOf(..), wanted) => matches!(wanted, Type::Object(..) | Type::Record(_)),
        (Kind::Array(_) | Kind::Set(_), _) => false,
        (Kind::Infix(operator, ..), wanted) => match operator {
            Operator::Plus | Operator::Times | Operator::Divide | Operator::Remainder => matches!(wanted, Type::Number),
            Operator::Minus => matches!(wanted, Type::Number | Type::Set(_)),
            Operator::Or | Operator::And => matches!(wanted, Type::Set(_)),
            _ => matches!(wanted, Type::Boolean),
        },
        (Kind::Call(function, args), wanted) => {
            let found = function.dotted().filter(|name| !name.starts_with("data."));
            let found = found.and_then(|name| signature(&name));
            found.is_none_or(|found| found.args.len() != args.len() || compatible(&found.result, wanted))
        }
        (Kind::Var(_) | Kind::Ref(..), _) => true,
    }
}

/// Whether a value of one type can be of another.
fn compatible(one: &Type, other: &Type) -> bool {
    match (one, other) {
        (Type::Any, _) | (_, Type::Any) => true,
        (Type::OneOf(types), other) => types.iter().any(|one| compatible(one, other)),
        (one, Type::OneOf(types)) => types.iter().any(|other| compatible(one, other)),
        (Type::Array(_) | Type::Tuple(_), Type::Array(_) | Type::Tuple(_)) => true,
        (Type::Object(..) | Type::Record(_), Type::Object(..) | Type::Record(_)) => true,
        (Type::Set(_), Type::Set(_)) => true,
        (one, other) => one == other,
    }
}

fn kind(expr: &Expr) -> &'static str {
    match &expr.kind {
        Kind::Null => "null",
        Kind::Bool(_) | Kind::Member(..) => "boolean",
        Kind::Number(_) => "number",
        Kind::String(_) => "string",
        Kind::Array(_) | Kind::ArrayOf(..) => "array",
        Kind::Object(_) | Kind::ObjectOf(..) => "object",
        Kind::Set(_) | Kind::SetOf(..) => "set",
        _ => "of another type",
    }
}
