//! XML, as goxml2json and Conftest give it: elements become objects, attributes keys behind a `-`, text beside children `#content`,
//! repeated elements lists; namespaces' prefixes are left away. No entity but XML's own five is known, so nothing expands.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

/// Nesting that is followed.
const DEPTH: usize = 512;

#[derive(Default)]
struct Node {
    label: String,
    text: String,
    children: Vec<(String, Value)>,
}

/// Parses an XML document.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Node::default()];
    loop {
        let at = reader.buffer_position();
        let place = |reason: String| format!("line {}: {reason}", line_of(text, at));
        match reader.read_event().map_err(|error| place(error.to_string()))? {
            Event::Start(start) => {
                if open.len() > DEPTH {
                    return Err(place(format!("more than {DEPTH} elements in each other")));
                }
                open.push(begun(&start).map_err(place)?);
            }
            Event::Empty(start) => {
                let node = begun(&start).map_err(place)?;
                close(node, &mut open);
            }
            Event::End(_) => {
                if let Some(node) = open.pop() {
                    close(node, &mut open);
                }
            }
            Event::Text(found) => add_text(&mut open, &found),
            Event::CData(found) => add_text(&mut open, &found),
            Event::GeneralRef(found) => {
                let name: &str = &found;
                let character = match (name, found.resolve_char_ref()) {
                    (_, Ok(Some(character))) => character.to_string(),
                    ("lt", _) => "<".to_owned(),
                    ("gt", _) => ">".to_owned(),
                    ("amp", _) => "&".to_owned(),
                    ("quot", _) => "\"".to_owned(),
                    ("apos", _) => "'".to_owned(),
                    _ => return Err(place(format!("no such entity: {name}"))),
                };
                if let Some(node) = open.last_mut() {
                    node.text.push_str(&character);
                }
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    if open.len() > 1 {
        return Err(format!(
            "the element {} is not closed",
            open.last().map_or("", |node| &node.label)
        ));
    }
    match open.pop().map(value) {
        Some(value @ Value::Object(_)) => Ok(value),
        _ => Err("holds no element".to_owned()),
    }
}

fn begun(start: &BytesStart<'_>) -> Result<Node, String> {
    let mut node = Node {
        label: start.local_name().as_ref().to_owned(),
        ..Node::default()
    };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let name = attribute.key.local_name().as_ref().to_owned();
        let value = quick_xml::escape::unescape(&attribute.value).map_err(|error| error.to_string())?;
        node.children
            .push((format!("-{name}"), Value::String(value.into_owned())));
    }
    Ok(node)
}

/// Each run of text replaces the one before, as in the reader that Conftest uses; runs split by an entity are one.
fn add_text(open: &mut [Node], text: &str) {
    if let Some(node) = open.last_mut() {
        node.text.push_str(text);
    }
}

fn close(node: Node, open: &mut [Node]) {
    let label = node.label.clone();
    let value = value(node);
    if let Some(parent) = open.last_mut() {
        parent.text.clear();
        parent.children.push((label, value));
    }
}

fn value(node: Node) -> Value {
    let text = node.text.trim().to_owned();
    if node.children.is_empty() {
        return Value::String(text);
    }
    let mut object = Map::new();
    if !text.is_empty() {
        object.insert("#content".to_owned(), Value::String(text));
    }
    let mut repeated: Vec<(String, Vec<Value>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (label, value) in node.children {
        let place = *places.entry(label.clone()).or_insert_with(|| {
            repeated.push((label, Vec::new()));
            repeated.len() - 1
        });
        repeated[place].1.push(value);
    }
    for (label, mut values) in repeated {
        let value = if values.len() == 1 {
            values.remove(0)
        } else {
            Value::Array(values)
        };
        object.insert(label, value);
    }
    Value::Object(object)
}

fn line_of(text: &str, at: u64) -> usize {
    let at = usize::try_from(at).unwrap_or(usize::MAX).min(text.len());
    1 + text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_attributes_and_text() {
        let parsed = parse(
            "<?xml version=\"1.0\"?><!-- c --><p:note p:id=\"1\">\n <to a=\"&lt;\">foo</to><to>b&amp;r</to><empty/><only>x</only>\n</p:note>",
        )
        .unwrap();
        assert_eq!(
            parsed,
            json!({"note": {"-id": "1", "to": [{"-a": "<", "#content": "foo"}, "b&r"], "empty": "", "only": "x"}})
        );
    }

    #[test]
    fn entities_do_not_expand_and_depth_is_bounded() {
        assert!(
            parse("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>")
                .unwrap_err()
                .contains("no such entity")
        );
        assert!(parse(&format!("{}{}", "<a>".repeat(5000), "</a>".repeat(5000))).is_err());
        assert!(parse("<a><b></a>").is_err());
        assert!(parse("<a>").is_err());
        assert!(parse("text").is_err());
    }
}
