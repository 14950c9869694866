//! Every variable must be bound by something: OPA's test of safety, which finds an order of evaluation.
//!
//! A variable is bound by an equation with what is known, by being an index of a known collection, by a pattern of
//! `some … in`, or by being the output of a call. A negated expression binds nothing, but for the calls that stand within its operands.

use std::collections::BTreeSet;

use super::super::ast::{Body, Expr, Kind, Module, Rule, Statement, What};
use super::super::fault::{Class, Fault};
use super::super::known;
use super::super::passes::{original, pattern};
use super::super::symbols::Symbols;
use super::super::walk::{Look, look_expr};

type Names<'a> = BTreeSet<&'a str>;

pub(super) fn check(module: &Module, symbols: &Symbols) -> Result<(), Fault> {
    module.rules.iter().try_for_each(|one| rule(one, Some(symbols)))
}

/// What is known of the functions of the policies; without, the last argument of any is taken for its output.
type Functions<'s> = Option<&'s Symbols>;

fn rule(rule: &Rule, functions: Functions<'_>) -> Result<(), Fault> {
    let mut args = Names::new();
    for arg in rule.head.args.iter().flatten() {
        args.extend(variables(arg));
    }
    let head = &rule.head;
    let mut terms: Vec<&Expr> = head.path.iter().chain(&head.key).collect();
    terms.extend(head.value.iter().map(|(_, value)| value));
    body(rule.body.as_ref(), &terms, &args, functions)?;
    for (_, more) in &rule.more {
        body(Some(more), &terms, &args, functions)?;
    }
    for otherwise in &rule.otherwise {
        let terms: Vec<&Expr> = otherwise.value.iter().map(|(_, value)| value).collect();
        body(otherwise.body.as_ref(), &terms, &args, functions)?;
    }
    Ok(())
}

/// Whether these statements bind all variables in them and in these terms.
pub(crate) fn is_safe(statements: &Body, terms: &[&Expr]) -> bool {
    body(Some(statements), terms, &Names::new(), None).is_ok()
}

/// How many statements of a body must be evaluated until these terms are known.
pub(crate) fn reaching(statements: &Body, terms: &[&Expr]) -> Option<usize> {
    (0..=statements.len()).find(|length| {
        let front = statements[..*length].to_vec();
        body(Some(&front), terms, &Names::new(), None).is_ok()
    })
}

/// One thing that is evaluated: a statement, or the term of a head or comprehension.
#[derive(Clone, Copy)]
enum Item<'a> {
    Statement(&'a Statement),
    Term(&'a Expr),
}

/// Checks a body and the terms that its variables go into, with names that are bound outside.
fn body(
    statements: Option<&Body>,
    terms: &[&Expr],
    outside: &Names<'_>,
    functions: Functions<'_>,
) -> Result<(), Fault> {
    let mut items: Vec<Item<'_>> = statements.into_iter().flatten().map(Item::Statement).collect();
    items.extend(terms.iter().map(|term| Item::Term(term)));
    let mut here: Names<'_> = Names::new();
    for item in &items {
        here.extend(item.variables());
    }
    let needs: Vec<Names<'_>> = items.iter().map(|item| item.needs(&here)).collect();
    let mut bound = outside.clone();
    let mut left: Vec<usize> = (0..items.len()).collect();
    loop {
        let before = left.len();
        left.retain(|place| {
            let outputs = items[*place].outputs(&bound, functions);
            let safe = needs[*place]
                .iter()
                .all(|name| bound.contains(name) || outputs.contains(name));
            if safe {
                bound.extend(outputs);
            }
            !safe
        });
        if left.is_empty() {
            break;
        }
        if left.len() == before {
            let place = left[0];
            let outputs = items[place].outputs(&bound, functions);
            let missing = needs[place]
                .iter()
                .filter(|name| !bound.contains(*name) && !outputs.contains(*name));
            // What is assigned here is unsafe because of something else.
            let name = missing.min_by_key(|name| items[place].assigns(name));
            return Err(unsafe_variable(items[place], name.copied().unwrap_or("_")));
        }
    }
    for item in &items {
        let mut closures = Closures(Vec::new());
        item.look(&mut closures);
        for (inner, terms) in closures.0 {
            let mut known = bound.clone();
            if let Item::Statement(Statement {
                what: What::Every { key, value, .. },
                ..
            }) = item
            {
                known.extend(key.iter().chain([value]).map(|name| name.text.as_str()));
            }
            body(Some(inner), &terms, &known, functions)?;
        }
    }
    Ok(())
}

fn unsafe_variable(item: Item<'_>, name: &str) -> Fault {
    let mut place = Place { name, span: None };
    item.look(&mut place);
    let span = match (place.span, item) {
        (Some(span), _) => span,
        (None, Item::Statement(statement)) => statement.span,
        (None, Item::Term(term)) => term.span,
    };
    let hint = match item {
        Item::Statement(Statement { negated: true, .. }) => "iterate in a helper rule and negate that",
        _ => "nothing gives it a value: bind it in the body",
    };
    Fault::new(Class::Unsafe, span, format!("var {} is unsafe", original(name))).hint(hint)
}

impl<'a> Item<'a> {
    fn look(self, look: &mut impl Look<'a>) {
        match self {
            Self::Statement(statement) => look.statement(statement),
            Self::Term(term) => look.expr(term),
        }
    }

    fn assigns(self, name: &str) -> bool {
        let mut names = Vec::new();
        if let Self::Statement(Statement {
            what: What::Assign(lhs, _),
            ..
        }) = self
        {
            pattern(lhs, &mut names);
        }
        names.iter().any(|(there, _)| *there == name)
    }

    /// Variables outside closures.
    fn variables(self) -> Names<'a> {
        let mut variables = Variables::default();
        self.look(&mut variables);
        variables.0
    }

    /// What must be bound before or by this: its variables, and what its closures share with the body.
    fn needs(self, here: &Names<'a>) -> Names<'a> {
        let mut needs = self.variables();
        let mut closures = Closures(Vec::new());
        self.look(&mut closures);
        for (inner, terms) in closures.0 {
            let mut all = All(Names::new());
            inner.iter().for_each(|statement| all.statement(statement));
            terms.iter().for_each(|term| all.expr(term));
            needs.extend(all.0.intersection(here));
        }
        needs
    }

    /// What this binds, given what is bound.
    fn outputs(self, bound: &Names<'a>, functions: Functions<'_>) -> Names<'a> {
        let mut outputs = Names::new();
        let statement = match self {
            Self::Term(term) => {
                references(term, bound, &mut outputs);
                return outputs;
            }
            Self::Statement(statement) => statement,
        };
        for with in &statement.with {
            references(&with.value, bound, &mut outputs);
        }
        if statement.negated {
            nested(&statement.what, bound, &mut outputs);
            return outputs;
        }
        match &statement.what {
            What::Expr(expr) => {
                if let Kind::Call(function, args) = &expr.kind {
                    if function.as_var() == Some("print") {
                        return outputs;
                    }
                    call((function, args), bound, functions, &mut outputs);
                } else {
                    references(expr, bound, &mut outputs);
                }
            }
            What::Assign(lhs, rhs) | What::Unify(lhs, rhs) => {
                references(lhs, bound, &mut outputs);
                references(rhs, bound, &mut outputs);
                unify(lhs, rhs, bound, &mut outputs);
                unify(rhs, lhs, bound, &mut outputs);
                unify(lhs, rhs, bound, &mut outputs);
            }
            What::SomeIn { key, value, domain } => {
                references(domain, bound, &mut outputs);
                if known_all(domain, bound, &outputs) {
                    for part in key.iter().chain([value]) {
                        let mut names = Vec::new();
                        pattern(part, &mut names);
                        outputs.extend(names.into_iter().map(|(name, _)| name));
                        references(part, bound, &mut outputs);
                    }
                }
            }
            What::Every { domain, .. } => references(domain, bound, &mut outputs),
            What::Some(_) => {}
        }
        outputs
    }
}

/// Calls within a negated expression are made in front of it, as any other: what they iterate over is bound by them.
fn nested<'a>(what: &'a What, bound: &Names<'a>, outputs: &mut Names<'a>) {
    struct Calls<'a>(Vec<&'a Expr>);
    impl<'a> Look<'a> for Calls<'a> {
        fn expr(&mut self, expr: &'a Expr) {
            match &expr.kind {
                Kind::ArrayOf(..) | Kind::SetOf(..) | Kind::ObjectOf(..) => {}
                Kind::Call(..) | Kind::Infix(..) | Kind::Member(..) => self.0.push(expr),
                _ => look_expr(self, expr),
            }
        }
    }
    let mut calls = Calls(Vec::new());
    match what {
        What::Expr(outermost) => match &outermost.kind {
            Kind::Call(_, args) => args.iter().for_each(|arg| calls.expr(arg)),
            _ => look_expr(&mut calls, outermost),
        },
        What::Unify(lhs, rhs) | What::Assign(lhs, rhs) => {
            calls.expr(lhs);
            calls.expr(rhs);
        }
        What::Some(_) | What::SomeIn { .. } | What::Every { .. } => {}
    }
    for call in calls.0 {
        references(call, bound, outputs);
    }
}

/// Whether every variable of an expression is known.
fn known_all<'a>(expr: &'a Expr, bound: &Names<'a>, outputs: &Names<'a>) -> bool {
    variables(expr)
        .iter()
        .all(|name| bound.contains(name) || outputs.contains(name))
}

/// A call with one argument more than it takes binds that.
fn call<'a>(
    (function, args): (&'a Expr, &'a [Expr]),
    bound: &Names<'a>,
    functions: Functions<'_>,
    outputs: &mut Names<'a>,
) {
    args.iter().for_each(|arg| references(arg, bound, outputs));
    let arity = match function.prefix() {
        Some((path, true)) if path[0] != "data" => known::arity(&path.join(".")),
        Some((path, true)) if let Some(functions) = functions => {
            let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
            functions.arity(&path)
        }
        _ => args.len().checked_sub(1),
    };
    let Some(arity) = arity else { return };
    if args.len() == arity + 1 && args[..arity].iter().all(|arg| known_all(arg, bound, outputs)) {
        let mut names = Vec::new();
        pattern(&args[arity], &mut names);
        outputs.extend(names.into_iter().map(|(name, _)| name));
    }
}

/// Binds the pattern on one side if the other is known, part by part where both are patterns.
fn unify<'a>(one: &'a Expr, other: &'a Expr, bound: &Names<'a>, outputs: &mut Names<'a>) {
    match (&one.kind, &other.kind) {
        (Kind::Array(ones), Kind::Array(others)) if ones.len() == others.len() => {
            for (one, other) in ones.iter().zip(others) {
                unify(one, other, bound, outputs);
                unify(other, one, bound, outputs);
            }
        }
        (Kind::Object(ones), Kind::Object(others)) => {
            for (key, one) in ones {
                if let Some((_, other)) = others.iter().find(|(there, _)| there == key) {
                    unify(one, other, bound, outputs);
                    unify(other, one, bound, outputs);
                }
            }
        }
        // What can never be of that shape is not taken apart.
        (Kind::Array(_), Kind::Object(_))
        | (Kind::Object(_), Kind::Array(_) | Kind::ArrayOf(..) | Kind::SetOf(..) | Kind::ObjectOf(..))
        | (Kind::Array(_) | Kind::Object(_), Kind::Set(_)) => {}
        (Kind::Array(_) | Kind::Object(_), _) if other.is_scalar() => {}
        (Kind::Var(_) | Kind::Array(_) | Kind::Object(_), _) if known_all(other, bound, outputs) => {
            let mut names = Vec::new();
            pattern(one, &mut names);
            outputs.extend(names.into_iter().map(|(name, _)| name));
        }
        _ => {}
    }
}

/// Indexes of references into what is known.
fn references<'a>(expr: &'a Expr, bound: &Names<'a>, outputs: &mut Names<'a>) {
    struct References<'a, 'b> {
        bound: &'b Names<'a>,
        outputs: &'b mut Names<'a>,
    }
    impl<'a> Look<'a> for References<'a, '_> {
        fn expr(&mut self, expr: &'a Expr) {
            match &expr.kind {
                Kind::ArrayOf(..) | Kind::SetOf(..) | Kind::ObjectOf(..) => {}
                Kind::Call(_, args) => args.iter().for_each(|arg| self.expr(arg)),
                Kind::Ref(head, parts) => {
                    self.expr(head);
                    if known_all(head, self.bound, self.outputs) {
                        for part in parts {
                            let mut names = Vec::new();
                            pattern(part, &mut names);
                            self.outputs.extend(names.into_iter().map(|(name, _)| name));
                        }
                    }
                    parts.iter().for_each(|part| self.expr(part));
                }
                _ => look_expr(self, expr),
            }
        }
    }
    References { bound, outputs }.expr(expr);
}

fn variables(expr: &Expr) -> Names<'_> {
    let mut variables = Variables::default();
    variables.expr(expr);
    variables.0
}

/// Variables outside closures, except the root documents.
#[derive(Default)]
struct Variables<'a>(Names<'a>);

impl<'a> Look<'a> for Variables<'a> {
    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            Kind::Var(name) if !matches!(name.as_str(), "input" | "data") => _ = self.0.insert(name),
            Kind::ArrayOf(..) | Kind::SetOf(..) | Kind::ObjectOf(..) => {}
            Kind::Call(_, args) => args.iter().for_each(|arg| self.expr(arg)),
            _ => look_expr(self, expr),
        }
    }

    fn statement(&mut self, statement: &'a Statement) {
        match &statement.what {
            What::Expr(expr) => self.expr(expr),
            What::Assign(lhs, rhs) | What::Unify(lhs, rhs) => {
                self.expr(lhs);
                self.expr(rhs);
            }
            What::SomeIn { key, value, domain } => {
                key.iter().chain([value, domain]).for_each(|part| self.expr(part));
            }
            What::Every { domain, .. } => self.expr(domain),
            What::Some(_) => {}
        }
        statement.with.iter().for_each(|with| self.value(&with.value));
    }
}

impl<'a> Variables<'a> {
    /// The value of a `with`, which may be a built-in function's name.
    fn value(&mut self, value: &'a Expr) {
        let function = value.dotted().is_some_and(|path| known::arity(&path).is_some());
        if !function {
            self.expr(value);
        }
    }
}

/// Every variable, in closures too.
struct All<'a>(Names<'a>);

impl<'a> Look<'a> for All<'a> {
    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            Kind::Var(name) => _ = self.0.insert(name),
            Kind::Call(_, args) => args.iter().for_each(|arg| self.expr(arg)),
            _ => look_expr(self, expr),
        }
    }
}

/// The closures directly in something: comprehensions, and the bodies of `every`.
struct Closures<'a>(Vec<(&'a Body, Vec<&'a Expr>)>);

impl<'a> Look<'a> for Closures<'a> {
    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            Kind::ArrayOf(term, body) | Kind::SetOf(term, body) => self.0.push((body, vec![term])),
            Kind::ObjectOf(key, value, body) => self.0.push((body, vec![key, value])),
            _ => look_expr(self, expr),
        }
    }

    fn body(&mut self, body: &'a Body) {
        self.0.push((body, Vec::new()));
    }
}

/// Where a variable stands first.
struct Place<'a> {
    name: &'a str,
    span: Option<super::super::ast::Span>,
}

impl<'a> Look<'a> for Place<'_> {
    fn expr(&mut self, expr: &'a Expr) {
        if expr.as_var() == Some(self.name) {
            self.span.get_or_insert(expr.span);
        }
        look_expr(self, expr);
    }
}
