//! YAML as Conftest reads it: the values of YAML 1.1 (`yes`, `0777`, `<<`), keys made strings, all documents.
//!
//! Aliases are copies, so a few lines can stand for gigabytes: depth, and the number and bytes of copied nodes, are
//! bounded before anything is copied.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::{Map, Number, Value};

use super::{Document, Origin, relaxed, size};
use crate::builtins::decimal;

const MAX_DEPTH: usize = 128;
const MAX_COPIED_NODES: usize = 1_000_000;
const MAX_COPIED_BYTES: usize = 64 << 20;

/// The documents of a YAML text. Empty ones are left out, unless there is nothing else.
pub(crate) fn parse(text: &str) -> Result<Vec<Document>, String> {
    let mut documents = loaded(text, usize::MAX, 0)?;
    let empty = |document: &Document| document.value.is_null();
    if documents.iter().all(empty) {
        documents.truncate(1);
    } else {
        documents.retain(|document| !empty(document));
    }
    if documents.is_empty() {
        documents.push(Document {
            value: Value::Null,
            line: Some(1),
            origin: Origin::default(),
        });
    }
    Ok(documents)
}

/// The value that Conftest makes of a text: it is cut where a line is `---` and nothing else, and of each part the first document counts,
/// an empty one too. One part is its document, several are a list. Source: Conftest `parser/yaml`.
pub(super) fn split(text: &str) -> Result<Value, String> {
    let separator = if text.contains("\r\n") {
        "\r\n---\r\n"
    } else {
        "\n---\n"
    };
    let mut parts: Vec<(usize, &str)> = text
        .split(separator)
        .scan(0, |at, part| {
            let begin = *at;
            *at += part.len() + separator.len();
            Some((begin, part))
        })
        .collect();
    if text.starts_with('%') && parts.len() > 1 {
        // What follows a directive is the document that it is about.
        let (begin, second) = parts.remove(1);
        parts[0] = (0, text.get(..begin + second.len()).unwrap_or(text));
    }
    let value = |(begin, part): (usize, &str)| {
        let before = text.get(..begin).unwrap_or_default().matches('\n').count();
        first(part, before)
    };
    match parts.as_slice() {
        [only] => value(*only),
        _ => parts.into_iter().map(value).collect(),
    }
}

/// The first document of a text that begins behind so many lines.
fn first(text: &str, before: usize) -> Result<Value, String> {
    let documents = loaded(text, 1, before)?.into_iter();
    Ok(documents.map(|document| document.value).next().unwrap_or(Value::Null))
}

/// So many documents of a text that begins behind so many lines.
fn loaded(text: &str, most: usize, before: usize) -> Result<Vec<Document>, String> {
    let told = |line: usize, why: &str| format!("line {}: {why}", before + line);
    let attempt = |text: &str| -> Result<Vec<Document>, Result<ScanError, String>> {
        let mut loader = Loader::default();
        let mut parser = Parser::new_from_str(text);
        while loader.documents.len() < most {
            let Some(event) = parser.next_event() else { break };
            let (event, span) = event.map_err(Ok)?;
            let taken = loader.take(event, span);
            taken.map_err(|why| Err(told(span.start.line(), &why)))?;
        }
        Ok(loader.documents)
    };
    let said = |why: Result<ScanError, String>| why.map_or_else(|why| why, |why| told(why.marker().line(), why.info()));
    match attempt(text) {
        Err(Ok(error)) if relaxed::answers(&error) => match relaxed::relax(text) {
            Some(relaxed) => attempt(&relaxed.text).map_err(said),
            None => Err(said(Ok(error))),
        },
        other => other.map_err(said),
    }
}

/// A finished value with what it costs to copy it.
#[derive(Clone)]
struct Node {
    value: Value,
    nodes: usize,
    bytes: usize,
    depth: usize,
    /// A plain `<<`, which merges when it stands as a key.
    merge: bool,
}

enum Open {
    Sequence {
        anchor: usize,
        items: Vec<Value>,
        size: Size,
    },
    Mapping {
        anchor: usize,
        own: Map<String, Value>,
        merged: Map<String, Value>,
        key: Option<Key>,
        size: Size,
    },
}

enum Key {
    Named(String),
    Merge,
}

#[derive(Default, Clone, Copy)]
struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

impl Size {
    fn add(&mut self, node: &Node) {
        self.nodes += node.nodes;
        self.bytes += node.bytes;
        self.depth = self.depth.max(node.depth);
    }
}

#[derive(Default)]
struct Loader {
    documents: Vec<Document>,
    /// How many documents have ended.
    ended: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    copied_nodes: usize,
    copied_bytes: usize,
    /// The memory that all values take.
    taken: usize,
    line: u32,
    root: Option<Value>,
}

impl Loader {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), String> {
        match event {
            Event::DocumentStart(_) => {
                self.anchors.clear();
                self.root = None;
                self.line = 0;
            }
            Event::DocumentEnd => {
                let value = self.root.take().unwrap_or(Value::Null);
                self.documents.push(Document {
                    value,
                    line: (self.line > 0).then_some(self.line),
                    origin: Origin {
                        document: self.ended,
                        member: None,
                    },
                });
                self.ended += 1;
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.mark(span);
                let value = scalar(&text, style, tag.as_deref())?;
                let merge = style == ScalarStyle::Plain && text == "<<";
                self.finish(
                    Node {
                        value,
                        nodes: 1,
                        bytes: text.len(),
                        depth: 1,
                        merge,
                    },
                    anchor,
                )?;
            }
            Event::SequenceStart(anchor, _) => {
                self.enter(
                    span,
                    Open::Sequence {
                        anchor,
                        items: Vec::new(),
                        size: Size::default(),
                    },
                )?;
            }
            Event::MappingStart(anchor, _) => {
                let (own, merged) = (Map::new(), Map::new());
                self.enter(
                    span,
                    Open::Mapping {
                        anchor,
                        own,
                        merged,
                        key: None,
                        size: Size::default(),
                    },
                )?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave()?,
            Event::Alias(anchor) => {
                self.mark(span);
                let node = self
                    .anchors
                    .get(&anchor)
                    .ok_or("an alias stands inside its own anchor")?;
                if self.open.len() + node.depth > MAX_DEPTH {
                    return Err(format!("nested deeper than {MAX_DEPTH}"));
                }
                let (nodes, bytes) = (node.nodes, node.bytes);
                self.count(nodes, bytes)?;
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or("an alias stands inside its own anchor")?;
                self.finish(Node { merge: false, ..node }, 0)?;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, bytes: usize) -> Result<(), String> {
        self.copied_nodes += nodes;
        self.copied_bytes += bytes;
        if self.copied_nodes > MAX_COPIED_NODES || self.copied_bytes > MAX_COPIED_BYTES {
            return Err("anchors and aliases stand for too much data".to_owned());
        }
        Ok(())
    }

    fn mark(&mut self, span: Span) {
        if self.line == 0 {
            self.line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
        }
    }

    fn enter(&mut self, span: Span, open: Open) -> Result<(), String> {
        self.mark(span);
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        self.open.push(open);
        Ok(())
    }

    fn leave(&mut self) -> Result<(), String> {
        let (value, size, anchor) = match self.open.pop() {
            None => return Err("a collection ends that did not begin".to_owned()),
            Some(Open::Sequence { anchor, items, size }) => (Value::Array(items), size, anchor),
            Some(Open::Mapping {
                anchor,
                own,
                mut merged,
                size,
                ..
            }) => {
                merged.extend(own);
                (Value::Object(merged), size, anchor)
            }
        };
        let node = Node {
            value,
            nodes: size.nodes + 1,
            bytes: size.bytes,
            depth: size.depth + 1,
            merge: false,
        };
        self.finish(node, anchor)
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        self.taken += match node.value {
            Value::Object(_) => size::OBJECT,
            _ => size::MEMBER,
        };
        if self.taken > size::MOST {
            return Err(size::too_much());
        }
        if anchor > 0 {
            // An anchor keeps a copy; anchors in each other keep one each.
            self.count(node.nodes, node.bytes)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node.value),
            Some(Open::Sequence { items, size, .. }) => {
                size.add(&node);
                items.push(node.value);
            }
            Some(Open::Mapping {
                own, merged, key, size, ..
            }) => {
                size.add(&node);
                match key.take() {
                    None if node.merge => *key = Some(Key::Merge),
                    None => *key = Some(Key::Named(key_text(node.value)?)),
                    Some(Key::Named(name)) => _ = own.insert(name, node.value),
                    Some(Key::Merge) => merge(merged, node.value)?,
                }
            }
        }
        Ok(())
    }
}

/// `<<`: a mapping, or a list of mappings of which the first wins. Keys written in the mapping itself win over all.
fn merge(merged: &mut Map<String, Value>, value: Value) -> Result<(), String> {
    let from = match value {
        Value::Object(map) => vec![Value::Object(map)],
        Value::Array(items) => items,
        _ => return Err("<< needs a mapping".to_owned()),
    };
    for value in from {
        let Value::Object(map) = value else {
            return Err("<< needs a mapping".to_owned());
        };
        for (name, value) in map {
            merged.entry(name).or_insert(value);
        }
    }
    Ok(())
}

fn key_text(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(b) => Ok(b.to_string()),
        Value::Number(n) => Ok(match n.as_f64().filter(|_| n.is_f64()) {
            Some(float) => decimal(float, 6),
            None => n.to_string(),
        }),
        Value::Null | Value::Array(_) | Value::Object(_) => Err("a key is not a string, number or boolean".to_owned()),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let tag = match tag {
        Some(tag) if tag.is_yaml_core_schema() => Some(tag.suffix.as_str()),
        Some(_) => return Ok(Value::String(text.to_owned())),
        None => None,
    };
    match tag {
        Some("str") => return Ok(Value::String(text.to_owned())),
        Some("null") => return Ok(Value::Null),
        Some("binary") => {
            let bytes = STANDARD
                .decode(text.replace(['\n', ' '], ""))
                .map_err(|_| "!!binary is no base64")?;
            return Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        }
        // What go-yaml cannot resolve stays the text that it is.
        Some(tag) if !matches!(tag, "int" | "float" | "bool") => return Ok(Value::String(text.to_owned())),
        None if style != ScalarStyle::Plain => return Ok(Value::String(text.to_owned())),
        _ => {}
    }
    let value = plain(text)?;
    match (tag, &value) {
        (None, _) | (Some("int" | "float"), Value::Number(_)) | (Some("bool"), Value::Bool(_)) => Ok(value),
        (Some(tag), _) => Err(format!("{text:?} is not a {tag}")),
    }
}

/// The value of a plain scalar under YAML 1.1, as go-yaml resolves it.
fn plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" | "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Ok(true.into()),
        "false" | "False" | "FALSE" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Ok(false.into());
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf"
        | "-.INF" => return Err(format!("{text} has no value in JSON")),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Ok(Value::String(text.to_owned()));
    }
    let compact = text.replace('_', "");
    Ok(integer(&compact)
        .or_else(|| float(&compact))
        .unwrap_or_else(|| Value::String(text.to_owned())))
}

fn integer(text: &str) -> Option<Value> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        0i64.checked_sub_unsigned(magnitude).map(Value::from)
    } else {
        Some(Value::from(magnitude))
    }
}

fn float(text: &str) -> Option<Value> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.trim_start_matches(['+', '-']))),
        None => (unsigned, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let shaped = (digits(whole) || (whole.is_empty() && digits(fraction)))
        && (fraction.is_empty() || digits(fraction))
        && exponent.is_none_or(digits)
        && text.len() - unsigned.len() <= 1;
    let value = if shaped { text.parse::<f64>().ok()? } else { return None };
    // A whole number is written without its fraction, as Go's JSON does.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        return format!("{value:.0}").parse::<i64>().ok().map(Value::from);
    }
    Number::from_f64(value).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn one(text: &str) -> Value {
        let mut documents = parse(text).unwrap();
        assert_eq!(documents.len(), 1, "{documents:?}");
        documents.remove(0).value
    }

    #[test]
    fn plain_scalars_mean_what_yaml_1_1_says() {
        let text = "a: yes\nb: 0777\nc: 1_000\nd: 0x1F\ne: 1.0\nf: 2.5\ng: ~\nh: 'yes'\ni: 2001-01-01\nj: 1.2.3\nk: -5\nl: !!str 5\nm: +.5e1\n";
        assert_eq!(
            one(text),
            json!({"a": true, "b": 511, "c": 1000, "d": 31, "e": 1, "f": 2.5, "g": null, "h": "yes",
                   "i": "2001-01-01", "j": "1.2.3", "k": -5, "l": "5", "m": 5})
        );
    }

    #[test]
    fn keys_become_strings_and_the_last_of_two_wins() {
        assert_eq!(
            one("on: push\n80: x\na: 1\na: 2\n"),
            json!({"true": "push", "80": "x", "a": 2})
        );
    }

    #[test]
    fn merge_keys_yield_to_the_mapping_itself() {
        let text = "base: &b {p: 1, q: 1}\nother: &o {q: 3, r: 3}\nboth:\n  <<: [*b, *o]\n  p: 2\n";
        assert_eq!(one(text)["both"], json!({"p": 2, "q": 1, "r": 3}));
    }

    #[test]
    fn each_document_knows_its_line_and_empty_ones_are_left_out() {
        let documents = parse("---\n# nothing\n---\na: 1\n---\n\nb: 2\n---\n").unwrap();
        let seen: Vec<_> = documents.iter().map(|d| (d.value.clone(), d.line)).collect();
        assert_eq!(seen, [(json!({"a": 1}), Some(4)), (json!({"b": 2}), Some(7))]);
        assert_eq!(parse("").unwrap()[0].value, Value::Null);
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let of = format!("*a{}", level - 1);
            text += &format!("a{level}: &a{level} [{}]\n", vec![of; 10].join(", "));
        }
        assert!(parse(&text).unwrap_err().contains("too much data"));
        // Few nodes, many bytes; and few levels of each, many of all together.
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 70].join(", "));
        assert!(parse(&long).unwrap_err().contains("too much data"));
        let deep = format!("a: &a {}{}\n", "[".repeat(100), "]".repeat(100));
        assert!(parse(&format!("{deep}b: *a\n")).is_ok());
        let deeper = format!("{deep}b: {}*a{}\n", "[".repeat(100), "]".repeat(100));
        assert!(parse(&deeper).unwrap_err().contains("nested deeper"));
    }

    #[test]
    fn nesting_is_bounded_and_self_reference_refused() {
        assert!(parse(&"[".repeat(5_000)).is_err());
        assert!(parse(&"- ".repeat(5_000)).is_err());
        assert!(parse("a: &a [*a]\n").is_err());
    }

    #[test]
    fn application_tags_leave_the_text() {
        assert_eq!(one("a: !Ref Bucket\n"), json!({"a": "Bucket"}));
    }

    #[test]
    fn anchors_in_each_other_are_bounded_though_nobody_names_them() {
        let anchors: String = (0..100).map(|n| format!("&a{n} [")).collect();
        let text = format!("{anchors}{}{}", "x,".repeat(50_000), "]".repeat(100));
        assert!(parse(&text).unwrap_err().contains("too much data"));
    }

    #[test]
    fn conftest_cuts_at_lines_of_three_dashes_and_keeps_what_is_empty() {
        for (text, value) in [
            ("", json!(null)),
            ("---\na: 1\n", json!({"a": 1})),
            ("---\na: 1\n---\nb: 2", json!([{"a": 1}, {"b": 2}])),
            ("---\r\na: 1\r\n---\r\nb: 2", json!([{"a": 1}, {"b": 2}])),
            ("# c\n---\na: 1\n---\n", json!([null, {"a": 1}, null])),
            ("a: 1\n--- # c\nb: 2\n", json!({"a": 1})),
            ("%YAML 1.1\n---\na: 1", json!({"a": 1})),
            ("%YAML 1.1\n---\na: 1\n---\nb: 2\n", json!([{"a": 1}, {"b": 2}])),
        ] {
            assert_eq!(split(text).unwrap(), value, "{text:?}");
        }
        assert!(split("a: 1\n---\nb: [\n---\nc: 1\n").unwrap_err().starts_with("line 4"));
    }

    #[test]
    fn numbers_as_keys_are_as_go_writes_them() {
        let text = "1.0: a\n2.5: b\n0.00001: c\n7: d\n";
        assert_eq!(
            parse(text).unwrap()[0].value,
            json!({"1": "a", "2.5": "b", "1e-05": "c", "7": "d"})
        );
    }

    #[test]
    fn tags_that_cannot_be_resolved_leave_their_text() {
        let text = "a: !!python/name:x.y\nb: !!timestamp 2001-01-01\nc: !!binary aGk=\nd: !Ref e\n";
        assert_eq!(
            parse(text).unwrap()[0].value,
            json!({"a": "", "b": "2001-01-01", "c": "hi", "d": "e"})
        );
        assert!(parse("a: !!int x\n").is_err());
    }
}
