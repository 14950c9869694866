//! `strings.render_template`: Go's text templates, as far as policies use them.
//!
//! Fields, variables, `if`, `else`, `with`, `range` and literals. Functions and pipelines halt by name: rendering them
//! otherwise than Go would be a guess.

use std::collections::HashMap;

use regorus::Value;

use super::call::{Call, Outcome};
use super::text::rego;
use super::{Failure, Family};

pub(super) const FAMILY: Family = &[("strings.render_template", render)];

/// How deep actions nest.
const DEEPEST: usize = 64;
/// How many parts one call renders, loops counted as often as they run.
const MOST_STEPS: u32 = 1 << 20;

enum Part<'a> {
    Text(&'a str),
    Action(&'a str),
}

fn render(call: &mut Call<'_>) -> Outcome {
    let parts = parts(call.string(0)?)?;
    let root = call.any(1).clone();
    call.object(1)?;
    let mut state = State {
        parts: &parts,
        root,
        variables: HashMap::new(),
        out: String::new(),
        depth: 0,
        steps: 0,
    };
    let dot = state.root.clone();
    let (at, end) = state.run(0, &dot, true)?;
    match end {
        None if at == parts.len() => Ok(state.out.into()),
        _ => Err("template: unexpected {{end}} or {{else}}".into()),
    }
}

/// Text and actions in turn, white space trimmed where an action asks for it.
fn parts(template: &str) -> Result<Vec<Part<'_>>, Failure> {
    let mut out = Vec::new();
    let mut rest = template;
    let mut trim = false;
    loop {
        let text = if trim { rest.trim_start() } else { rest };
        let Some((before, after)) = text.split_once("{{") else {
            out.push(Part::Text(text));
            return Ok(out);
        };
        let (inner, after) = after.split_once("}}").ok_or("template: unclosed action")?;
        let (inner, left) = match inner.strip_prefix("- ") {
            Some(inner) => (inner, true),
            None => (inner, false),
        };
        let (inner, right) = match inner.strip_suffix(" -") {
            Some(inner) => (inner, true),
            None => (inner, false),
        };
        out.push(Part::Text(if left { before.trim_end() } else { before }));
        let inner = inner.trim();
        if !inner.starts_with("/*") {
            out.push(Part::Action(inner));
        }
        (rest, trim) = (after, right);
    }
}

struct State<'a> {
    parts: &'a [Part<'a>],
    root: Value,
    variables: HashMap<String, Value>,
    out: String,
    depth: usize,
    steps: u32,
}

impl<'a> State<'a> {
    /// Renders up to the `end` or `else` that belongs to the caller, and says where it is and what it says.
    fn run(&mut self, mut at: usize, dot: &Value, live: bool) -> Result<(usize, Option<&'a str>), Failure> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("template: nested too deeply".into());
        }
        while let Some(part) = self.parts.get(at) {
            at += 1;
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return Err(Failure::Halt("the template goes on for too long".to_owned()));
            }
            match part {
                Part::Text(text) if live => self.out.push_str(text),
                Part::Text(_) => {}
                Part::Action(action) => {
                    let (word, rest) = action.split_once(' ').unwrap_or((action, ""));
                    match word {
                        "end" | "else" => {
                            self.depth -= 1;
                            return Ok((at, Some(action)));
                        }
                        "if" | "with" | "range" => at = self.block(word, rest.trim(), at, dot, live)?,
                        _ if live => {
                            let value = self.value(action, dot)?;
                            self.out.push_str(&shown(value.as_ref()));
                        }
                        _ => {}
                    }
                }
            }
        }
        self.depth -= 1;
        Ok((at, None))
    }

    fn block(&mut self, word: &str, said: &str, at: usize, dot: &Value, live: bool) -> Result<usize, Failure> {
        let (names, said) = match said.split_once(":=") {
            Some((names, said)) => (names.split(',').map(str::trim).collect(), said.trim()),
            None => (Vec::new(), said),
        };
        let value = if live { self.value(said, dot)? } else { None };
        let holds = value.as_ref().is_some_and(truth);
        let mut after = if word == "range" && live && holds {
            let mut end = (at, None);
            for (key, item) in elements(value.as_ref()) {
                match names.as_slice() {
                    [one] => _ = self.variables.insert((*one).to_owned(), item.clone()),
                    [first, second] => {
                        self.variables.insert((*first).to_owned(), key);
                        self.variables.insert((*second).to_owned(), item.clone());
                    }
                    _ => {}
                }
                end = self.run(at, &item, true)?;
            }
            end
        } else {
            if let ([name], Some(value)) = (names.as_slice(), &value) {
                self.variables.insert((*name).to_owned(), value.clone());
            }
            let inner = value.as_ref().filter(|_| word == "with").unwrap_or(dot).clone();
            self.run(at, &inner, live && holds)?
        };
        let mut done = holds;
        loop {
            match after {
                (at, Some("end")) => return Ok(at),
                (at, Some("else")) => {
                    after = self.run(at, dot, live && !done)?;
                    done = true;
                }
                (at, Some(chained)) => {
                    let said = chained.strip_prefix("else if ").ok_or_else(|| refused(chained))?;
                    let holds = live && !done && self.value(said.trim(), dot)?.as_ref().is_some_and(truth);
                    after = self.run(at, dot, holds)?;
                    done |= holds;
                }
                (_, None) => return Err("template: unexpected end of the template".into()),
            }
        }
    }

    /// `None` is a field that is not there.
    fn value(&self, said: &str, dot: &Value) -> Result<Option<Value>, Failure> {
        if let Some(text) = said.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            return match text.contains(['"', '\\']) {
                true => Err(refused(said)),
                false => Ok(Some(text.into())),
            };
        }
        if said.contains([' ', '|', '(']) {
            return Err(refused(said));
        }
        match said {
            "true" | "false" => return Ok(Some((said == "true").into())),
            "." => return Ok(Some(dot.clone())),
            _ => {}
        }
        if let Ok(number) = said.parse::<i64>() {
            return Ok(Some(number.into()));
        }
        let (head, path) = said.split_once('.').map_or((said, ""), |(head, path)| (head, path));
        let mut value = match head {
            "" => dot.clone(),
            "$" => self.root.clone(),
            name => match self.variables.get(name) {
                Some(value) => value.clone(),
                None => return Err(refused(said)),
            },
        };
        for field in path.split('.').filter(|field| !field.is_empty()) {
            let next = match &value {
                Value::Object(fields) => fields.get(&field.into()).cloned(),
                _ => return Err(format!("template: can't evaluate field {field}").into()),
            };
            match next {
                Some(next) => value = next,
                None => return Ok(None),
            }
        }
        Ok(Some(value))
    }
}

fn refused(said: &str) -> Failure {
    Failure::Halt(format!(
        "the template's action {said:?} is not evaluated by this version"
    ))
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Null | Value::Undefined => false,
        Value::Bool(value) => *value,
        Value::Number(_) => value.as_f64().is_ok_and(|value| value != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Set(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn elements(value: Option<&Value>) -> Vec<(Value, Value)> {
    match value {
        Some(Value::Array(items)) => items
            .iter()
            .enumerate()
            .map(|(at, item)| (at.into(), item.clone()))
            .collect(),
        Some(Value::Object(fields)) => fields.iter_sorted().map(|(k, v)| (k.clone(), v.clone())).collect(),
        _ => Vec::new(),
    }
}

/// As Go prints what came from JSON.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => "<undefined>".to_owned(),
        Some(Value::String(text)) => text.to_string(),
        Some(Value::Null) => "<nil>".to_owned(),
        Some(Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| shown(Some(item))).collect();
            format!("[{}]", items.join(" "))
        }
        Some(Value::Object(fields)) => {
            let fields = fields
                .iter_sorted()
                .map(|(k, v)| format!("{}:{}", shown(Some(k)), shown(Some(v))));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        Some(other) => rego(other),
    }
}
