//! The syntax tree of a module as OPA 1.10 gives it in JSON.
//!
//! The shape is OPA's: operators are calls of their functions, a bare `input` is a reference, sets and objects are sorted
//! without doubles, and each `_` has a name of its own, counted through the module as it is read. What is nested deeper than
//! a value should be is refused, whatever the parser takes.

mod term;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regorus::Value;

use super::ast::{Body, Comment, Dialect, Else, Expr, Head, Import, Kind, Rule, Sign, Statement, What};
use super::fault::Fault;
use super::parser;
use term::{array, fields, is_ground, named, truth, typed};

/// How deep terms may nest: more than one chain of operators does, each of them three levels of the value.
const DEEPEST: usize = 500;

/// Parses a module of version 1 and gives its tree; `file` is what the places of comments and errors are said to be in.
///
/// # Errors
/// What is wrong with the text, as OPA says it of one fault, in one line.
pub(crate) fn tree(file: &str, text: &str) -> Result<Value, String> {
    let parsed = parser::parse(text, Dialect::V1).map_err(|fault| told(file, text, &fault))?;
    let module = parsed.module;
    let mut writer = Writer::default();
    let path = std::iter::once(typed("var", "data".into())).chain(strings(&module.package));
    let mut all = vec![("package", fields([("path", array(path))]))];
    let mut rules = Vec::new();
    module.rules.iter().for_each(|rule| writer.rule(rule, &mut rules));
    if writer.deep {
        return Err(format!("the module nests more than {DEEPEST} terms"));
    }
    let mut list = |name, items: Vec<Value>| {
        if !items.is_empty() {
            all.push((name, array(items)));
        }
    };
    list("imports", module.imports.iter().map(import).collect());
    list("rules", rules);
    let comments = parsed.comments.iter();
    list("comments", comments.map(|each| comment(file, text, each)).collect());
    Ok(fields(all))
}

fn told(file: &str, text: &str, fault: &Fault) -> String {
    let (line, start) = (fault.span.line, index(fault.span.start));
    let front = text.get(..start).unwrap_or_default();
    let column = front.chars().rev().take_while(|c| *c != '\n').count() + 1;
    match file {
        "" => format!("1 error occurred: {line}:{column}: {fault}"),
        _ => format!("1 error occurred: {file}:{line}: {fault}"),
    }
}

fn comment(file: &str, text: &str, comment: &Comment) -> Value {
    let start = index(comment.span.start);
    let begin = start.saturating_sub(index(comment.column));
    let column = text.get(begin..start).unwrap_or_default().chars().count() + 1;
    let place = [
        ("file", file.into()),
        ("row", u64::from(comment.span.line).into()),
        ("col", u64::try_from(column).unwrap_or(u64::MAX).into()),
    ];
    // Bytes, as Go writes them; none are null.
    let bytes = match comment.text.as_str() {
        "" => Value::Null,
        text => STANDARD.encode(text).into(),
    };
    fields([("Location", fields(place)), ("Text", bytes)])
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

fn import(import: &Import) -> Value {
    let root = import
        .path
        .iter()
        .take(1)
        .map(|name| typed("var", name.as_str().into()));
    let path = root.chain(strings(import.path.get(1..).unwrap_or_default()));
    let mut all = vec![("path", typed("ref", array(path)))];
    all.extend(import.alias.as_deref().map(|alias| ("alias", alias.into())));
    fields(all)
}

/// A rule's head, from which those of its `else` and further bodies are made.
#[derive(Clone)]
struct Top {
    name: Option<Value>,
    reference: Value,
    args: Vec<Value>,
    key: Option<Value>,
    value: Option<Value>,
    assign: bool,
}

impl Top {
    fn json(self) -> Value {
        let mut all = vec![("ref", self.reference)];
        all.extend(self.name.map(|name| ("name", name)));
        all.extend((!self.args.is_empty()).then(|| ("args", array(self.args))));
        all.extend(self.key.map(|key| ("key", key)));
        all.extend(self.value.map(|value| ("value", value)));
        all.extend(self.assign.then_some(("assign", true.into())));
        fields(all)
    }
}

#[derive(Default)]
struct Writer {
    /// How many `_` there were.
    wildcards: usize,
    depth: usize,
    /// Something was nested too deep, and is left out.
    deep: bool,
}

impl Writer {
    fn rule(&mut self, rule: &Rule, rules: &mut Vec<Value>) {
        let top = self.top(rule);
        let body = self.body_or_true(rule.body.as_ref());
        let mut all = vec![("head", top.clone().json()), ("body", body)];
        all.extend(rule.default.then_some(("default", true.into())));
        all.extend(self.otherwise(&top, &rule.otherwise).map(|rule| ("else", rule)));
        rules.push(fields(all));
        for (_, body) in &rule.more {
            let body = self.body(body);
            let mut top = top.clone();
            self.fresh(&mut top);
            rules.push(fields([("head", top.json()), ("body", body)]));
        }
    }

    fn top(&mut self, rule: &Rule) -> Top {
        let head = &rule.head;
        let mut reference = vec![typed("var", self.name(&head.name.text))];
        reference.extend(self.terms(&head.path));
        let args: Vec<Value> = head.args.as_deref().map(|args| self.terms(args)).unwrap_or_default();
        let key = head.key.as_ref().map(|key| self.term(key));
        let value = head.value.as_ref().map(|(_, value)| self.term(value));
        let mut top = Top {
            name: head.path.is_empty().then(|| head.name.text.as_str().into()),
            args,
            value: value.or_else(|| (!head.contains).then(truth)),
            key,
            assign: matches!(head.value, Some((Sign::Assign, _))),
            reference: Value::Null,
        };
        // A path of two parts is a name and a key to OPA, but for some forms.
        if let ([part], [_, key]) = (head.path.as_slice(), reference.as_slice())
            && !head.contains
            && !rule.default
        {
            let (named, keyed) = two(rule, head, part, !top.args.is_empty());
            top.name = named.then(|| head.name.text.as_str().into());
            top.key = keyed.then(|| key.clone());
        }
        top.reference = array(reference);
        top
    }

    fn otherwise(&mut self, top: &Top, rest: &[Else]) -> Option<Value> {
        let (first, rest) = rest.split_first()?;
        if self.depth == DEEPEST {
            self.deep = true;
            return None;
        }
        self.depth += 1;
        let mut head = top.clone();
        self.fresh(&mut head);
        head.value = Some(match &first.value {
            None => truth(),
            Some((sign, value)) => {
                head.assign = *sign == Sign::Assign;
                self.term(value)
            }
        });
        let body = self.body_or_true(first.body.as_ref());
        let mut all = vec![("head", head.json()), ("body", body)];
        all.extend(self.otherwise(top, rest).map(|rule| ("else", rule)));
        self.depth -= 1;
        Some(fields(all))
    }

    /// Gives the arguments `_` of a repeated head names of their own.
    fn fresh(&mut self, top: &mut Top) {
        for arg in &mut top.args {
            let wild = matches!(&arg["value"], Value::String(name) if name.starts_with('$'));
            if wild && arg["type"] == "var".into() {
                *arg = typed("var", self.name("_"));
            }
        }
    }

    fn body_or_true(&mut self, body: Option<&Body>) -> Value {
        match body {
            Some(body) => self.body(body),
            None => array([fields([("index", 0_u64.into()), ("terms", truth())])]),
        }
    }

    fn body(&mut self, body: &Body) -> Value {
        let statements = (0_u64..).zip(body);
        array(statements.map(|(index, statement)| self.statement(index, statement)))
    }

    fn statement(&mut self, index: u64, statement: &Statement) -> Value {
        let terms = match &statement.what {
            What::Expr(expr) => match self.call(expr) {
                Some(terms) => array(terms),
                None => self.term(expr),
            },
            What::Assign(left, right) => array([named(&["assign"]), self.term(left), self.term(right)]),
            What::Unify(left, right) => array([named(&["eq"]), self.term(left), self.term(right)]),
            What::Some(names) => {
                let names = names.iter().map(|name| typed("var", self.name(&name.text)));
                fields([("symbols", array(names))])
            }
            What::SomeIn { key, value, domain } => {
                let member = typed("call", array(self.member(key.as_ref(), value, domain)));
                fields([("symbols", array([member]))])
            }
            What::Every {
                key,
                value,
                domain,
                body,
            } => {
                let key = key.as_ref().map(|key| typed("var", self.name(&key.text)));
                fields([
                    ("key", key.unwrap_or(Value::Null)),
                    ("value", typed("var", self.name(&value.text))),
                    ("domain", self.term(domain)),
                    ("body", self.body(body)),
                ])
            }
        };
        let mut all = vec![("index", index.into()), ("terms", terms)];
        all.extend(statement.negated.then_some(("negated", true.into())));
        if !statement.with.is_empty() {
            let with = statement
                .with
                .iter()
                .map(|with| fields([("target", self.term(&with.target)), ("value", self.term(&with.value))]));
            all.push(("with", array(with)));
        }
        fields(all)
    }
}

/// Whether OPA keeps a name and a key for a head of a name and one part.
fn two(rule: &Rule, head: &Head, part: &Expr, args: bool) -> (bool, bool) {
    match rule.has_if {
        true => (
            args || head.value.is_some(),
            !args && (!is_ground(part) || matches!(&part.kind, Kind::Ref(..) | Kind::Var(_))),
        ),
        false => (head.args.is_none(), head.args.is_none()),
    }
}

fn strings(names: &[String]) -> impl Iterator<Item = Value> {
    names.iter().map(|name| typed("string", name.as_str().into()))
}
