//! YAML 1.1, as OPA reads and writes it.

use regorus::Value;

use super::Family;
use super::call::{Call, Outcome};
use super::text::{key_text, number};
use crate::input::parse_yaml;

pub(super) const FAMILY: Family = &[
    ("yaml.is_valid", |call| {
        Ok(matches!(call.any(0), Value::String(text) if parse_yaml(text).is_ok()).into())
    }),
    ("yaml.unmarshal", unmarshal),
    ("yaml.marshal", |call| {
        let mut out = String::new();
        write(call.any(0), 0, &mut out);
        Ok(out.into())
    }),
];

/// The first document.
fn unmarshal(call: &mut Call<'_>) -> Outcome {
    let documents = parse_yaml(call.string(0)?)?;
    let first = documents.into_iter().next();
    Ok(first.map_or(Value::Null, |document| Value::from(document.value)))
}

/// Keys in order, lists as deep as what holds them.
fn write(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let mut fields: Vec<_> = fields.iter().map(|(key, value)| (key_text(key), value)).collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            for (place, (key, value)) in fields.into_iter().enumerate() {
                if place > 0 {
                    out.push_str(&"  ".repeat(depth));
                }
                out.push_str(&scalar(&key));
                out.push(':');
                match value {
                    Value::Object(inner) if !inner.is_empty() => {
                        out.push('\n');
                        out.push_str(&"  ".repeat(depth + 1));
                        write(value, depth + 1, out);
                    }
                    Value::Array(_) | Value::Set(_) if !empty(value) => {
                        out.push('\n');
                        out.push_str(&"  ".repeat(depth));
                        write(value, depth, out);
                    }
                    other => {
                        out.push(' ');
                        write(other, depth, out);
                    }
                }
            }
        }
        Value::Array(items) if !items.is_empty() => list(items.iter(), depth, out),
        Value::Set(items) if !items.is_empty() => list(items.iter_sorted(), depth, out),
        Value::Object(_) => out.push_str("{}\n"),
        Value::Array(_) | Value::Set(_) => out.push_str("[]\n"),
        Value::Null | Value::Undefined => out.push_str("null\n"),
        Value::Bool(value) => out.push_str(if *value { "true\n" } else { "false\n" }),
        Value::Number(_) => {
            out.push_str(&number(value));
            out.push('\n');
        }
        Value::String(text) if text.contains('\n') && !text.starts_with([' ', '\n', '\t']) => block(text, depth, out),
        Value::String(text) => {
            out.push_str(&scalar(text));
            out.push('\n');
        }
    }
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Set(items) => items.is_empty(),
        _ => false,
    }
}

fn list<'a>(items: impl Iterator<Item = &'a Value>, depth: usize, out: &mut String) {
    for (place, item) in items.enumerate() {
        if place > 0 {
            out.push_str(&"  ".repeat(depth));
        }
        out.push_str("- ");
        write(item, depth + 1, out);
    }
}

fn block(text: &str, depth: usize, out: &mut String) {
    let strip = text.trim_end_matches('\n');
    out.push_str(match text.len() - strip.len() {
        0 => "|-\n",
        1 => "|\n",
        _ => "|+\n",
    });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            out.push_str(&"  ".repeat(depth.max(1)));
            out.push_str(line);
        }
        out.push('\n');
    }
}

/// A string on one line: in quotes when it would be read as something else.
fn scalar(text: &str) -> String {
    let misread = parse_yaml(text)
        .ok()
        .and_then(|documents| documents.into_iter().next())
        .is_none_or(|document| document.value.as_str() != Some(text));
    let plain = !text.is_empty()
        && !misread
        && !text.contains(['\n', '\t'])
        && !text.starts_with([
            ' ', '!', '&', '*', '?', ',', '[', ']', '{', '}', '#', '|', '>', '@', '`', '"', '\'', '%', '-', ':',
        ])
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #");
    match plain {
        true => text.to_owned(),
        // What reads as another type is put in double quotes, what breaks the syntax in single ones.
        false if text.is_empty() || (misread && readable(text)) || text.chars().any(char::is_control) => {
            super::format::quoted(text)
        }
        false => format!("'{}'", text.replace('\'', "''")),
    }
}

fn readable(text: &str) -> bool {
    parse_yaml(text)
        .ok()
        .and_then(|documents| documents.into_iter().next())
        .is_some_and(|document| {
            !document.value.is_object() && !document.value.is_array() && !document.value.is_string()
        })
}
