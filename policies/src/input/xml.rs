//! XML, as goxml2json and Conftest give it: elements become objects, attributes keys behind a `-`, text beside children `#content`,
//! repeated elements lists; namespaces' prefixes are left away. No entity but XML's own five is known, so nothing expands.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value};

/// Nesting that is followed.
const DEPTH: usize = 512;

/// An element with what stands in it; names without their prefix.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    /// All text that stands in it directly.
    pub(super) text: String,
    /// Where in that text its last child ended.
    after: usize,
    /// The line on which it begins.
    pub(super) line: usize,
    pub(super) children: Vec<Element>,
}

impl Element {
    /// The children of this name.
    pub(super) fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The value of the attribute of this name.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let mut found = self.attributes.iter().filter(|(known, _)| known == name);
        found.next_back().map(|(_, value)| value.as_str())
    }
}

/// Parses an XML document.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    match value(tree(text)?) {
        value @ Value::Object(_) => Ok(value),
        _ => Err("holds no element".to_owned()),
    }
}

/// The one element of a document.
pub(super) fn document(text: &str) -> Result<Element, String> {
    let mut children = tree(text)?.children;
    match children.len() {
        1 => Ok(children.remove(0)),
        0 => Err("holds no element".to_owned()),
        count => Err(format!("holds {count} elements, not one")),
    }
}

/// What stands in the text, in an element without a name.
pub(super) fn tree(text: &str) -> Result<Element, String> {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Element::default()];
    let (mut line, mut counted) = (1, 0);
    loop {
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        line += breaks(text, counted, at);
        counted = at;
        let place = |reason: String| format!("line {line}: {reason}");
        match reader.read_event().map_err(|error| place(error.to_string()))? {
            Event::Start(start) => {
                if open.len() > DEPTH {
                    return Err(place(format!("more than {DEPTH} elements in each other")));
                }
                let element = begun(&start).map_err(place)?;
                open.push(Element { line, ..element });
            }
            Event::Empty(start) => {
                let element = begun(&start).map_err(place)?;
                close(Element { line, ..element }, &mut open);
            }
            Event::End(_) => {
                if let Some(element) = open.pop() {
                    close(element, &mut open);
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
                add_text(&mut open, &character);
            }
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    if open.len() > 1 {
        return Err(format!(
            "the element {} is not closed",
            open.last().map_or("", |element| &element.name)
        ));
    }
    open.pop().ok_or_else(|| "holds no element".to_owned())
}

fn begun(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut element = Element {
        name: start.local_name().as_ref().to_owned(),
        ..Element::default()
    };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let name = attribute.key.local_name().as_ref().to_owned();
        let value = quick_xml::escape::unescape(&attribute.value).map_err(|error| error.to_string())?;
        element.attributes.push((name, value.into_owned()));
    }
    Ok(element)
}

fn add_text(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn close(element: Element, open: &mut [Element]) {
    if let Some(parent) = open.last_mut() {
        parent.after = parent.text.len();
        parent.children.push(element);
    }
}

/// An element as goxml2json has it: of its text only what stands behind the last child counts.
fn value(element: Element) -> Value {
    let text = element.text.get(element.after..).unwrap_or_default().trim().to_owned();
    let attributes = element.attributes.into_iter();
    let attributes = attributes.map(|(name, text)| (format!("-{name}"), Value::String(text)));
    let children = element
        .children
        .into_iter()
        .map(|child| (child.name.clone(), value(child)));
    let mut repeated: Vec<(String, Vec<Value>)> = Vec::new();
    let mut places = HashMap::new();
    for (label, value) in attributes.chain(children) {
        let place = *places.entry(label.clone()).or_insert_with(|| {
            repeated.push((label, Vec::new()));
            repeated.len() - 1
        });
        repeated[place].1.push(value);
    }
    if repeated.is_empty() {
        return Value::String(text);
    }
    let mut object = Map::new();
    if !text.is_empty() {
        object.insert("#content".to_owned(), Value::String(text));
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

/// The ends of lines between two places.
fn breaks(text: &str, from: usize, to: usize) -> usize {
    let between = text.as_bytes().get(from..to.min(text.len())).unwrap_or_default();
    between.iter().filter(|byte| **byte == b'\n').count()
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
