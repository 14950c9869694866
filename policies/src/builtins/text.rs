//! Values as text: as Rego writes them, and as JSON in the manner of Go's encoder.

use std::fmt::Write as _;

use regorus::Value;

use super::Family;
use super::call::{Call, Num, Outcome, num};
use super::format::{decimal, quoted};

pub(super) const FAMILY: Family = &[
    ("json.marshal", |call| Ok(json(call.any(0), None).into())),
    ("json.marshal_with_options", marshal_with_options),
];

/// A number as OPA would have written it.
pub(super) fn number(value: &Value) -> String {
    match num(value) {
        Some(Num::Int(value)) => value.to_string(),
        Some(Num::Big(digits)) => digits,
        Some(Num::Float(value)) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value:.1}"),
        Some(Num::Float(value)) => decimal(value, 21),
        None => String::new(),
    }
}

/// A value as Rego's syntax has it.
pub(super) fn rego(value: &Value) -> String {
    let mut text = String::new();
    write_rego(value, &mut text);
    text
}

fn write_rego(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(_) => out.push_str(&number(value)),
        Value::String(text) => out.push_str(&quoted(text)),
        Value::Array(items) => list(items.iter(), ('[', ']'), out),
        Value::Set(items) if items.is_empty() => out.push_str("set()"),
        Value::Set(items) => list(items.iter_sorted(), ('{', '}'), out),
        Value::Object(fields) => {
            out.push('{');
            for (place, (key, value)) in fields.iter_sorted().enumerate() {
                out.push_str(if place > 0 { ", " } else { "" });
                write_rego(key, out);
                out.push_str(": ");
                write_rego(value, out);
            }
            out.push('}');
        }
        Value::Undefined => out.push_str("undefined"),
    }
}

fn list<'a>(items: impl Iterator<Item = &'a Value>, (open, close): (char, char), out: &mut String) {
    out.push(open);
    for (place, item) in items.enumerate() {
        out.push_str(if place > 0 { ", " } else { "" });
        write_rego(item, out);
    }
    out.push(close);
}

/// A value as JSON on one line.
pub(super) fn json_text(value: &Value) -> String {
    json(value, None)
}

/// How JSON is laid out: what begins a line, and what each level adds.
struct Layout<'a> {
    prefix: &'a str,
    indent: &'a str,
}

/// A value as JSON: keys in order, sets as arrays, `<`, `>` and `&` escaped as Go does.
fn json(value: &Value, layout: Option<&Layout<'_>>) -> String {
    let mut text = String::new();
    write_json(value, layout, 0, &mut text);
    text
}

fn write_json(value: &Value, layout: Option<&Layout<'_>>, depth: usize, out: &mut String) {
    let items: Vec<(Option<String>, &Value)> = match value {
        Value::Array(items) => items.iter().map(|item| (None, item)).collect(),
        Value::Set(items) => items.iter_sorted().map(|item| (None, item)).collect(),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(key, value)| (Some(key_text(key)), value)).collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            fields
        }
        Value::Null | Value::Undefined => return out.push_str("null"),
        Value::Bool(value) => return out.push_str(if *value { "true" } else { "false" }),
        Value::Number(_) => return out.push_str(&number(value)),
        Value::String(text) => return string(text, out),
    };
    let (open, close) = match value {
        Value::Object(_) => ('{', '}'),
        _ => ('[', ']'),
    };
    out.push(open);
    for (place, (key, item)) in items.iter().enumerate() {
        out.push_str(if place > 0 { "," } else { "" });
        line(layout, depth + 1, out);
        if let Some(key) = key {
            string(key, out);
            out.push_str(if layout.is_some() { ": " } else { ":" });
        }
        write_json(item, layout, depth + 1, out);
    }
    if !items.is_empty() {
        line(layout, depth, out);
    }
    out.push(close);
}

fn line(layout: Option<&Layout<'_>>, depth: usize, out: &mut String) {
    if let Some(layout) = layout {
        out.push('\n');
        out.push_str(layout.prefix);
        out.push_str(&layout.indent.repeat(depth));
    }
}

/// A key of another type than string becomes the JSON of it.
pub(super) fn key_text(key: &Value) -> String {
    match key {
        Value::String(text) => text.to_string(),
        other => json(other, None),
    }
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

fn marshal_with_options(call: &mut Call<'_>) -> Outcome {
    let options = call.object(1)?;
    let mut pretty = None;
    let (mut prefix, mut indent) = (String::new(), "\t".to_owned());
    for (key, value) in options.iter() {
        match (key, value) {
            (Value::String(key), Value::Bool(value)) if key.as_ref() == "pretty" => pretty = Some(*value),
            (Value::String(key), Value::String(value)) if key.as_ref() == "prefix" => prefix = value.to_string(),
            (Value::String(key), Value::String(value)) if key.as_ref() == "indent" => indent = value.to_string(),
            (Value::String(key), _) if ["pretty", "prefix", "indent"].contains(&key.as_ref()) => {
                return Err(format!("operand 2 key {key} has a value of the wrong type").into());
            }
            (key, _) => return Err(format!("object contained unknown key {}", rego(key)).into()),
        }
    }
    let said = |name: &str| options.get(&name.into()).is_some();
    let layout = Layout {
        prefix: &prefix,
        indent: &indent,
    };
    // Saying how to indent says that it is to be indented.
    if !pretty.unwrap_or_else(|| said("indent") || said("prefix")) {
        return Ok(json(call.any(0), None).into());
    }
    let mut text = prefix.clone();
    text.push_str(&json(call.any(0), Some(&layout)));
    Ok(text.into())
}
