//! One call of a built-in function: its arguments as OPA checks them, and how it may end.
//!
//! A built-in error makes the expression undefined unless errors are strict, as with OPA: it is noted, so that a verdict
//! that leaned on it can say so. A halt ends the evaluation in either mode.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use regex::Regex;
use regorus::Value;

use super::{Notes, World};

/// How a call ends when it gives no value.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What OPA calls a built-in error.
    Error(String),
    /// Nothing can be said any more: the evaluation ends.
    Halt(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Error(why)
    }
}

impl From<&str> for Failure {
    fn from(why: &str) -> Self {
        Self::Error(why.to_owned())
    }
}

pub(crate) type Outcome = Result<Value, Failure>;

/// Compiled patterns, kept from call to call and shared by all clones of an engine: each document is judged by a clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    patterns: Arc<Mutex<HashMap<String, Regex>>>,
}

/// How large a compiled pattern may become: OPA sets no limit, and `\w{1,255}` needs some megabytes.
const PATTERN_BYTES: usize = 64 << 20;
const MOST_PATTERNS: usize = 1_000;

impl Memory {
    pub(super) fn pattern(&self, text: &str) -> Result<Regex, Failure> {
        let mut patterns = self.patterns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = patterns.get(text) {
            return Ok(known.clone());
        }
        if let Some(why) = super::regexes::refused_by_go(text) {
            return Err(format!("error parsing regexp: {why}").into());
        }
        let made = compile(text).map_err(|e| {
            let why = e.to_string();
            let last = why.lines().next_back().unwrap_or_default();
            format!("parsing regexp: {}", last.trim_start_matches("error: "))
        })?;
        if patterns.len() >= MOST_PATTERNS {
            patterns.clear();
        }
        patterns.insert(text.to_owned(), made.clone());
        Ok(made)
    }
}

/// Perl classes and `\b` are ASCII in Go, `\pL` and the like are not.
pub(super) fn compile(text: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(&super::regexes::as_go_reads(text))
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .build()
}

/// A call.
pub(crate) struct Call<'a> {
    /// The arguments, as many as the signature says; none of them undefined.
    pub(super) args: &'a [Value],
    /// The pinned clock.
    pub(super) clock_ns: i64,
    /// What earlier calls left.
    pub(super) memory: &'a Memory,
    /// What of the world there is to see.
    pub(super) world: &'a World,
    /// Where `trace` speaks.
    pub(super) notes: &'a Notes,
}

impl<'a> Call<'a> {
    pub(super) fn any(&self, place: usize) -> &'a Value {
        self.args.get(place).unwrap_or(&Value::Undefined)
    }

    pub(super) fn string(&self, place: usize) -> Result<&'a str, Failure> {
        match self.any(place) {
            Value::String(text) => Ok(text),
            other => Err(wrong(place, "string", other)),
        }
    }

    pub(super) fn array(&self, place: usize) -> Result<&'a [Value], Failure> {
        match self.any(place) {
            Value::Array(items) => Ok(items.as_slice()),
            other => Err(wrong(place, "array", other)),
        }
    }

    pub(super) fn object(&self, place: usize) -> Result<&'a regorus::value::Object, Failure> {
        match self.any(place) {
            Value::Object(fields) => Ok(fields),
            other => Err(wrong(place, "object", other)),
        }
    }

    /// A whole number as OPA's `Int` sees it: not one that is written with a fraction.
    pub(super) fn int(&self, place: usize) -> Result<i64, Failure> {
        match self.any(place) {
            value @ Value::Number(_) => whole(value).ok_or_else(|| {
                let place = place + 1;
                format!("operand {place} must be integer number but got floating-point number").into()
            }),
            other => Err(wrong(place, "number", other)),
        }
    }

    pub(super) fn number(&self, place: usize) -> Result<f64, Failure> {
        match self.any(place) {
            value @ Value::Number(_) => nearest(value).ok_or_else(|| "the number is too large".into()),
            other => Err(wrong(place, "number", other)),
        }
    }

    /// The elements of an array or a set, in order.
    pub(super) fn elements(&self, place: usize) -> Result<Vec<&'a Value>, Failure> {
        match self.any(place) {
            Value::Array(items) => Ok(items.iter().collect()),
            Value::Set(items) => Ok(items.iter_sorted().collect()),
            other => Err(wrong(place, "array, set", other)),
        }
    }

    /// The same, all of them strings.
    pub(super) fn strings(&self, place: usize) -> Result<Vec<&'a str>, Failure> {
        let elements = self.elements(place)?.into_iter().map(|element| match element {
            Value::String(text) => Ok(text.as_ref()),
            other => Err(format!("operand {} must hold strings but holds {}", place + 1, kind(other)).into()),
        });
        elements.collect()
    }
}

/// A number as OPA's text of it is read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Num {
    Int(i64),
    /// The digits of one that does not fit.
    Big(String),
    Float(f64),
}

/// `None` for what is no number.
pub(super) fn num(value: &Value) -> Option<Num> {
    let number = value.as_number().ok()?;
    // The only sign of how a number is kept: with one digit asked for, floats show it and integers do not.
    if number.as_big().is_none() || number.format_decimal_with_width(1).contains('.') {
        return Some(Num::Float(number.as_f64().unwrap_or(f64::INFINITY)));
    }
    let digits = number.format_decimal();
    Some(digits.parse().map_or(Num::Big(digits), Num::Int))
}

/// The nearest float: regorus gives none for whole numbers that it would have to round.
pub(super) fn nearest(value: &Value) -> Option<f64> {
    value.as_number().ok()?.format_decimal().parse().ok()
}

/// A number's value if it is written as a whole number that fits.
pub(super) fn whole(value: &Value) -> Option<i64> {
    match num(value) {
        Some(Num::Int(value)) => Some(value),
        _ => None,
    }
}

pub(super) fn wrong(place: usize, wanted: &str, got: &Value) -> Failure {
    let place = place + 1;
    match wanted.contains(", ") {
        true => format!("operand {place} must be one of {{{wanted}}} but got {}", kind(got)).into(),
        false => format!("operand {place} must be {wanted} but got {}", kind(got)).into(),
    }
}

/// A value's type as OPA names it.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Set(_) => "set",
        Value::Object(_) => "object",
        Value::Undefined => "undefined",
    }
}

pub(super) fn set(items: impl IntoIterator<Item = Value>) -> Value {
    Value::from(items.into_iter().collect::<std::collections::BTreeSet<_>>())
}

pub(super) fn array(items: impl IntoIterator<Item = Value>) -> Value {
    Value::from(items.into_iter().collect::<Vec<_>>())
}

pub(super) fn object(fields: impl IntoIterator<Item = (Value, Value)>) -> Value {
    Value::from(fields.into_iter().collect::<std::collections::BTreeMap<_, _>>())
}
