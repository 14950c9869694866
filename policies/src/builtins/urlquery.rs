//! The query part of URLs, as Go escapes it.

use std::collections::BTreeMap;

use regorus::Value;

use super::call::{Call, Outcome, array, object, wrong};
use super::{Failure, Family};

pub(super) const FAMILY: Family = &[
    ("urlquery.encode", |call| Ok(encoded(call.string(0)?).into())),
    ("urlquery.decode", |call| Ok(decoded(call.string(0)?)?.into())),
    ("urlquery.encode_object", encode_object),
    ("urlquery.decode_object", decode_object),
];

/// Text whose percent signs have been taken back; a plus sign is one.
pub(super) fn unescaped(text: &str) -> Result<String, Failure> {
    decoded(&text.replace('+', "%2B"))
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn decoded(text: &str) -> Result<String, Failure> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = text.get(at..at + 2).unwrap_or_default();
                let value = u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
                out.push(value.ok_or_else(|| format!("invalid URL escape \"%{digits}\""))?);
                at += 2;
            }
            other => out.push(other),
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn encode_object(call: &mut Call<'_>) -> Outcome {
    let mut pairs = Vec::new();
    for (key, value) in call.object(0)?.iter_sorted() {
        let Value::String(key) = key else {
            return Err("operand 1 must be an object with string keys".into());
        };
        let values: Vec<&Value> = match value {
            Value::String(_) => vec![value],
            Value::Array(items) => items.iter().collect(),
            Value::Set(items) => items.iter_sorted().collect(),
            other => return Err(wrong(0, "string, array, set", other)),
        };
        for value in values {
            let Value::String(value) = value else {
                return Err(wrong(0, "string", value));
            };
            pairs.push(format!("{}={}", encoded(key), encoded(value)));
        }
    }
    Ok(pairs.join("&").into())
}

fn decode_object(call: &mut Call<'_>) -> Outcome {
    let mut fields: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for pair in call.string(0)?.split('&').filter(|pair| !pair.is_empty()) {
        if pair.contains(';') {
            return Err("invalid semicolon separator in query".into());
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields.entry(decoded(key)?).or_default().push(decoded(value)?.into());
    }
    Ok(object(
        fields.into_iter().map(|(key, values)| (key.into(), array(values))),
    ))
}
