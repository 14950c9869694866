//! Which parts of `input` a rule looks at: itself, and through every rule and function that it uses.
//!
//! Invariant: what a rule may look at is among its reads; what stands there may be more than it looks at. So a part that is in none of
//! them cannot have changed the rule's answer. Locals are followed to the parts that they stand for; a body that asks for a literal
//! (`r.type == "aws_s3_bucket"`) looks only at members for which that may hold.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::ast::{Body, Expr, Kind, Module, Operator, Rule, Statement, What};

/// How many expressions are followed for one rule; one that needs more is said to look at everything.
const MAX_STEPS: usize = 200_000;
/// The most parts that one value stands for; a rule with more is said to look at everything.
const MAX_PARTS: usize = 64;

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// A key, or an index as text.
    Key(String),
    /// Any member; two steps of one name are the same member.
    Any(String),
}

/// A part of `input`.
pub(crate) type Part = Vec<Step>;

/// One of these values, as JSON, stands at this part, or the read does not happen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Only {
    pub(crate) part: Part,
    pub(crate) values: Vec<String>,
}

/// How far a read goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// Whether the part is there, and what it is if it is no collection.
    Here,
    /// Also which members it has.
    Members,
    /// All that is beneath it.
    All,
}

/// A part that a rule looks at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Read {
    pub(crate) part: Part,
    pub(crate) reach: Reach,
    pub(crate) only: BTreeSet<Only>,
}

/// What a rule looks at. `path` begins with `data`; modules are resolved: locals are unique and rules have their full path.
pub(crate) fn reads(modules: &[Module], path: &[String]) -> Vec<Read> {
    let mut rules: BTreeMap<Vec<String>, Vec<&Rule>> = BTreeMap::new();
    for module in modules {
        for rule in &module.rules {
            rules
                .entry(super::symbols::path(&module.package, rule))
                .or_default()
                .push(rule);
        }
    }
    let mut follow = Follow {
        rules,
        done: BTreeMap::new(),
        open: BTreeSet::new(),
        reads: Vec::new(),
        found: Vec::new(),
        steps: 0,
        missed: BTreeSet::new(),
    };
    let given = follow.rule(path);
    follow.consume(&given);
    let Follow {
        reads,
        mut found,
        steps,
        ..
    } = follow;
    if steps > MAX_STEPS {
        return vec![everything()];
    }
    found.extend(reads);
    let mut unique: Vec<Read> = Vec::new();
    found.sort_by(|a, b| (&a.part, a.reach).cmp(&(&b.part, b.reach)));
    for read in found {
        if unique.last() != Some(&read) {
            unique.push(read);
        }
    }
    unique
}

fn everything() -> Read {
    Read {
        part: Vec::new(),
        reach: Reach::All,
        only: BTreeSet::new(),
    }
}

/// A part, and what must hold for a value to come from it.
type Origin = (Part, BTreeSet<Only>);

/// The parts of `input` that a value may be, and what the members of a collection may be.
#[derive(Debug, Clone, Default, PartialEq)]
struct Parts {
    here: BTreeSet<Origin>,
    members: Option<Box<Parts>>,
}

impl Parts {
    fn add(&mut self, other: &Self) {
        self.here.extend(other.here.iter().cloned());
        if let Some(members) = &other.members {
            self.members.get_or_insert_default().add(members);
        }
    }

    /// What is found behind one more step.
    fn member(&self, step: &Step) -> Self {
        let deeper = |(part, only): &Origin| (part.iter().chain([step]).cloned().collect::<Part>(), only.clone());
        let mut parts = self.members.as_deref().cloned().unwrap_or_default();
        parts.here.extend(self.here.iter().map(deeper));
        parts
    }

    /// A collection of such values.
    fn boxed(self) -> Self {
        match self == Self::default() {
            true => self,
            false => Self {
                here: BTreeSet::new(),
                members: Some(Box::new(self)),
            },
        }
    }

    /// The same under more conditions.
    fn only(self, only: &BTreeSet<Only>) -> Self {
        let more = |(part, had): Origin| (part, had.union(only).cloned().collect());
        Self {
            here: self.here.into_iter().map(more).collect(),
            members: self.members.map(|members| Box::new(members.only(only))),
        }
    }

    fn all<'a>(&'a self, into: &mut BTreeSet<&'a Origin>) {
        into.extend(&self.here);
        self.members.iter().for_each(|members| members.all(into));
    }

    fn count(&self) -> usize {
        self.here.len() + self.members.as_ref().map_or(0, |members| members.count())
    }
}

type Locals = BTreeMap<String, Parts>;

struct Follow<'a> {
    rules: BTreeMap<Vec<String>, Vec<&'a Rule>>,
    /// What rules that are no functions give.
    done: BTreeMap<Vec<String>, Parts>,
    open: BTreeSet<Vec<String>>,
    /// The reads of the rule that is being followed.
    reads: Vec<Read>,
    /// The reads of rules that have been followed.
    found: Vec<Read>,
    steps: usize,
    /// Locals that were asked for before anything was known of them.
    missed: BTreeSet<String>,
}

impl<'a> Follow<'a> {
    fn consume(&mut self, parts: &Parts) {
        let mut all = BTreeSet::new();
        parts.all(&mut all);
        self.read(all, Reach::All);
    }

    fn read<'p>(&mut self, parts: impl IntoIterator<Item = &'p Origin>, reach: Reach) {
        self.reads.extend(parts.into_iter().map(|(part, only)| Read {
            part: part.clone(),
            reach,
            only: only.clone(),
        }));
    }

    /// Follows the rules at or beneath a path once, apart from what the caller's bodies ask for.
    fn rule(&mut self, path: &[String]) -> Parts {
        if let Some(done) = self.done.get(path) {
            return done.clone();
        }
        if !self.open.insert(path.to_vec()) {
            return Parts::default();
        }
        let outer = std::mem::take(&mut self.reads);
        let definitions: Vec<&'a Rule> = self
            .rules
            .iter()
            .filter(|(name, _)| name.starts_with(path) || path.starts_with(name))
            .flat_map(|(_, rules)| rules.iter().copied())
            .filter(|rule| rule.head.args.is_none())
            .collect();
        let mut given = Parts::default();
        for rule in definitions {
            let one = self.definition(rule, Locals::new());
            given.add(&one);
        }
        let reads = std::mem::replace(&mut self.reads, outer);
        self.found.extend(reads);
        self.open.remove(path);
        self.done.insert(path.to_vec(), given.clone());
        given
    }

    fn function(&mut self, path: &[String], arguments: &[Parts]) -> Parts {
        let mut given = Parts::default();
        if self.steps > MAX_STEPS || !self.open.insert(path.to_vec()) {
            return given;
        }
        for rule in self.rules.get(path).cloned().unwrap_or_default() {
            let mut locals = Locals::new();
            for (name, parts) in rule.head.args.iter().flatten().zip(arguments) {
                self.bind(name, parts, &mut locals);
            }
            let one = self.definition(rule, locals);
            given.add(&one);
        }
        self.open.remove(path);
        given
    }

    fn definition(&mut self, rule: &'a Rule, locals: Locals) -> Parts {
        let mut given = Parts::default();
        let head = &rule.head;
        let boxed = head.key.is_some() || !head.path.is_empty();
        let bodies = rule.body.iter().chain(rule.more.iter().map(|(_, body)| body));
        let bodies: Vec<Option<&Body>> = bodies.map(Some).collect();
        let bodies = if bodies.is_empty() { vec![None] } else { bodies };
        for body in bodies {
            let terms: Vec<&'a Expr> = head
                .path
                .iter()
                .chain(&head.key)
                .chain(head.value.iter().map(|(_, v)| v))
                .collect();
            let one = self.body(body, locals.clone(), &terms);
            given.add(&if boxed { one.boxed() } else { one });
        }
        for otherwise in &rule.otherwise {
            let terms: Vec<&'a Expr> = otherwise.value.iter().map(|(_, value)| value).collect();
            let one = self.body(otherwise.body.as_ref(), locals.clone(), &terms);
            given.add(&one);
        }
        given
    }

    /// Follows a body, and then what it gives.
    fn body(&mut self, body: Option<&'a Body>, mut locals: Locals, terms: &[&'a Expr]) -> Parts {
        let begun = self.reads.len();
        let statements: &[Statement] = body.map(Vec::as_slice).unwrap_or_default();
        statements
            .iter()
            .for_each(|statement| self.statement(statement, &mut locals));
        // What is said first may be known last.
        if self.missed.iter().any(|name| locals.contains_key(name)) {
            self.missed.retain(|name| !locals.contains_key(name));
            statements
                .iter()
                .for_each(|statement| self.statement(statement, &mut locals));
        }
        let mut given = Parts::default();
        for term in terms {
            let one = self.expr(term, &mut locals);
            given.add(&one);
        }
        let only: BTreeSet<Only> = statements
            .iter()
            .filter_map(|statement| self.only(statement, &mut locals))
            .collect();
        for read in &mut self.reads[begun..] {
            read.only.extend(only.iter().cloned());
        }
        given.only(&only)
    }

    /// A statement that holds for some literals only.
    fn only(&mut self, statement: &'a Statement, locals: &mut Locals) -> Option<Only> {
        let (lhs, rhs) = match &statement.what {
            What::Expr(Expr {
                kind: Kind::Infix(Operator::Equal, lhs, rhs),
                ..
            }) => (&**lhs, &**rhs),
            What::Unify(lhs, rhs) => (lhs, rhs),
            What::Expr(Expr {
                kind: Kind::Member(None, value, domain),
                ..
            }) => (&**value, &**domain),
            _ => return None,
        };
        if statement.negated || !statement.with.is_empty() {
            return None;
        }
        let is_member = matches!(&statement.what, What::Expr(expr) if matches!(expr.kind, Kind::Member(..)));
        let (asked, values) = match (&rhs.kind, literal(rhs), literal(lhs)) {
            (Kind::Set(items) | Kind::Array(items), ..) if is_member => {
                (lhs, items.iter().map(literal).collect::<Option<Vec<_>>>()?)
            }
            _ if is_member => return None,
            (_, Some(value), _) => (lhs, vec![value]),
            (_, None, Some(value)) => (rhs, vec![value]),
            _ => return None,
        };
        let kept = self.reads.len();
        let parts = self.expr(asked, locals);
        self.reads.truncate(kept);
        let mut parts = parts.members.is_none().then_some(parts.here)?.into_iter();
        match (parts.next(), parts.next()) {
            (Some((part, _)), None) => Some(Only { part, values }),
            _ => None,
        }
    }

    fn statement(&mut self, statement: &'a Statement, locals: &mut Locals) {
        match &statement.what {
            // Whether it is there and not false: what is beneath it does not matter.
            What::Expr(expr) => drop(self.expr(expr, locals)),
            What::Assign(lhs, rhs) | What::Unify(lhs, rhs) => {
                let right = self.expr(rhs, locals);
                let left = match lhs.as_var() {
                    Some(name) if name != "input" => locals.get(name).cloned().unwrap_or_default(),
                    _ => self.expr(lhs, locals),
                };
                let bound = self.bind(lhs, &right, locals);
                let assigns = matches!(statement.what, What::Assign(..));
                let bound = !assigns && self.bind(rhs, &left, locals) || bound;
                // Two things that are known already are compared.
                let is_name = |expr: &Expr| expr.as_var().is_some_and(|name| name != "input");
                let compared = !assigns && is_name(lhs) != is_name(rhs) && left != Parts::default() && left != right;
                if !bound || compared {
                    self.consume(&left);
                    self.consume(&right);
                }
            }
            What::Some(_) => {}
            What::SomeIn { key, value, domain } => {
                let parts = self.expr(domain, locals);
                let member = parts.member(&Step::Any(name(key.as_ref().or(Some(value)))));
                if !self.bind(value, &member, locals) {
                    self.consume(&member);
                }
            }
            What::Every {
                key,
                value,
                domain,
                body,
            } => {
                let parts = self.expr(domain, locals);
                let by = key.as_ref().unwrap_or(value);
                let member = parts.member(&Step::Any(by.text.clone()));
                let mut inner = locals.clone();
                inner.insert(value.text.clone(), member);
                self.body(Some(body), inner, &[]);
            }
        }
        for with in &statement.with {
            let value = self.expr(&with.value, locals);
            self.consume(&value);
        }
    }

    /// Lets the names of a pattern stand for a value too. False for what is no pattern.
    fn bind(&mut self, pattern: &'a Expr, parts: &Parts, locals: &mut Locals) -> bool {
        match &pattern.kind {
            Kind::Var(name) if name != "input" && name != "data" => {
                locals.entry(name.clone()).or_default().add(parts);
                true
            }
            Kind::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let member = parts.member(&Step::Key(index.to_string()));
                    if !self.bind(item, &member, locals) {
                        self.consume(&member);
                    }
                }
                true
            }
            Kind::Object(fields) => {
                for (key, value) in fields {
                    let member = parts.member(&step(key));
                    if !self.bind(value, &member, locals) {
                        self.consume(&member);
                    }
                }
                true
            }
            _ => false,
        }
    }

    /// What an expression may be. What it looks at on the way is read.
    fn expr(&mut self, expr: &'a Expr, locals: &mut Locals) -> Parts {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Parts::default();
        }
        let parts = self.parts(expr, locals);
        if parts.count() > MAX_PARTS {
            self.steps = MAX_STEPS + 1;
        }
        parts
    }

    fn parts(&mut self, expr: &'a Expr, locals: &mut Locals) -> Parts {
        match &expr.kind {
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) => Parts::default(),
            Kind::Var(name) if name == "input" => Parts {
                here: BTreeSet::from([Origin::default()]),
                members: None,
            },
            Kind::Var(name) => locals.get(name).cloned().unwrap_or_else(|| {
                self.missed.insert(name.clone());
                Parts::default()
            }),
            Kind::Ref(head, steps) => self.reference(head, steps, locals),
            Kind::Call(function, args) => self.call(function, args, locals),
            Kind::Array(items) | Kind::Set(items) => {
                let mut parts = Parts::default();
                for item in items {
                    let one = self.expr(item, locals);
                    parts.add(&one);
                }
                parts.boxed()
            }
            Kind::Object(fields) => {
                let mut parts = Parts::default();
                for item in fields.iter().flat_map(|(key, value)| [key, value]) {
                    let one = self.expr(item, locals);
                    parts.add(&one);
                }
                parts.boxed()
            }
            Kind::ArrayOf(term, body) | Kind::SetOf(term, body) => {
                self.body(Some(body), locals.clone(), &[&**term]).boxed()
            }
            Kind::ObjectOf(key, value, body) => self.body(Some(body), locals.clone(), &[&**key, &**value]).boxed(),
            Kind::Infix(_, lhs, rhs) => {
                for side in [lhs, rhs] {
                    let one = self.expr(side, locals);
                    self.consume(&one);
                }
                Parts::default()
            }
            Kind::Member(key, value, domain) => {
                for side in key.iter().chain([value, domain]) {
                    let one = self.expr(side, locals);
                    self.consume(&one);
                }
                Parts::default()
            }
        }
    }

    fn reference(&mut self, head: &'a Expr, steps: &'a [Expr], locals: &mut Locals) -> Parts {
        let mut steps = steps;
        let mut parts = if head.as_var() == Some("data") {
            let mut path = vec!["data".to_owned()];
            path.extend(steps.iter().map_while(|step| match &step.kind {
                Kind::String(text) => Some(text.clone()),
                _ => None,
            }));
            while path.len() > 1 && !self.rules.contains_key(&path) {
                path.pop();
            }
            if path.len() == 1 {
                // A document, or all rules of a package.
                let mut parts = Parts::default();
                path.extend(steps.iter().map_while(|step| match &step.kind {
                    Kind::String(text) => Some(text.clone()),
                    _ => None,
                }));
                if self.rules.keys().any(|name| name.starts_with(&path)) {
                    parts = self.rule(&path).boxed();
                }
                steps.iter().for_each(|step| drop(self.expr(step, locals)));
                return parts;
            }
            steps = &steps[path.len() - 1..];
            self.rule(&path)
        } else {
            self.expr(head, locals)
        };
        for one in steps {
            let index = self.expr(one, locals);
            self.consume(&index);
            parts = parts.member(&step(one));
        }
        self.read(&parts.here, Reach::Here);
        parts
    }

    fn call(&mut self, function: &'a Expr, args: &'a [Expr], locals: &mut Locals) -> Parts {
        let dotted = function.prefix().filter(|(_, whole)| *whole).map(|(path, _)| path);
        let path: Vec<String> = dotted.into_iter().flatten().map(str::to_owned).collect();
        let mut given = Vec::with_capacity(args.len());
        for arg in args {
            given.push(self.expr(arg, locals));
        }
        if self.rules.contains_key(&path) {
            return self.function(&path, &given);
        }
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        match (names.as_slice(), args) {
            (["print" | "trace"], _) => Parts::default(),
            (["count" | "is_array" | "is_object" | "is_null" | "is_set" | "is_string" | "type_name"], [_]) => {
                self.read(&given[0].here, Reach::Members);
                Parts::default()
            }
            (["object", "get"], [_, key, _]) if !matches!(key.kind, Kind::Array(_)) => {
                let mut parts = given[0].member(&step(key));
                self.read(&parts.here, Reach::Here);
                parts.add(&given[2]);
                parts
            }
            _ => {
                given.iter().for_each(|parts| self.consume(parts));
                // What it gives comes from what has been read whole.
                Parts::default()
            }
        }
    }
}

fn step(expr: &Expr) -> Step {
    match &expr.kind {
        Kind::String(text) => Step::Key(text.clone()),
        Kind::Number(text) => Step::Key(text.clone()),
        _ => Step::Any(name(Some(expr))),
    }
}

/// The name of a variable; what is none is a member by itself.
fn name(expr: Option<&Expr>) -> String {
    expr.and_then(Expr::as_var).unwrap_or_default().to_owned()
}

/// A literal as JSON; numbers are written in too many ways.
fn literal(expr: &Expr) -> Option<String> {
    match &expr.kind {
        Kind::Null => Some(Value::Null.to_string()),
        Kind::Bool(truth) => Some(truth.to_string()),
        Kind::String(text) => Some(Value::from(text.as_str()).to_string()),
        _ => None,
    }
}
