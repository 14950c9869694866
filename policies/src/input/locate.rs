//! Where a value stands in its file: from the path of keys and indexes to a line and a column.
//!
//! Only asked for a finding that is reported, so a large file costs nothing while everything holds. JSON is walked as the YAML that it
//! is; HCL by its blocks' labels.

use hcl_edit::Span as _;
use hcl_edit::structure::Body;
use saphyr_parser::{Event, Parser, Span};

use super::Format;

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// A line and a column, one-based.
pub(crate) type Place = (u32, u32);

/// Finds the value at `path` in the document of this number (zero-based, as the file holds them); as much of the path as can be followed.
pub(crate) fn locate(text: &str, format: Format, document: usize, path: &[Step]) -> Option<Place> {
    match format {
        Format::Json | Format::Jsonc | Format::Yaml | Format::CycloneDx => yaml(text, document, path),
        Format::Hcl2 => hcl(text, path),
        _ => None,
    }
}

/// The steps of a JSON pointer.
pub(crate) fn pointer(text: &str) -> Option<Vec<Step>> {
    let steps = text.strip_prefix('/')?.split('/').map(|part| {
        let key = part.replace("~1", "/").replace("~0", "~");
        match key.parse() {
            Ok(index) => Step::Index(index),
            Err(_) => Step::Key(key),
        }
    });
    Some(steps.collect())
}

struct Walk<'a> {
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
}

impl Walk<'_> {
    fn next(&mut self) -> Option<(Event<'_>, Span)> {
        self.events.next_event()?.ok()
    }

    /// Passes over what is left of a value that has opened so many brackets.
    fn skip(&mut self, mut depth: usize) -> Option<()> {
        while depth > 0 {
            let (event, _) = self.next()?;
            depth += opens(&event);
            depth -= closes(&event);
        }
        Some(())
    }
}

fn opens(event: &Event<'_>) -> usize {
    usize::from(matches!(event, Event::MappingStart(..) | Event::SequenceStart(..)))
}

fn closes(event: &Event<'_>) -> usize {
    usize::from(matches!(event, Event::MappingEnd | Event::SequenceEnd))
}

fn yaml(text: &str, document: usize, path: &[Step]) -> Option<Place> {
    let mut walk = Walk {
        events: Parser::new_from_str(text),
    };
    let mut number = 0;
    loop {
        let (event, _) = walk.next()?;
        if matches!(event, Event::DocumentStart(_)) {
            if number == document {
                break;
            }
            number += 1;
        }
    }
    let (event, span) = walk.next()?;
    let mut found = place(span);
    let mut here = owned(&event);
    for step in path {
        let Some((next, at)) = descend(&mut walk, here, step) else {
            break;
        };
        (here, found) = (next, at);
    }
    Some(found)
}

#[derive(Clone, Copy, PartialEq)]
enum Here {
    Mapping,
    Sequence,
    Other,
}

fn owned(event: &Event<'_>) -> Here {
    match event {
        Event::MappingStart(..) => Here::Mapping,
        Event::SequenceStart(..) => Here::Sequence,
        _ => Here::Other,
    }
}

fn descend(walk: &mut Walk<'_>, here: Here, step: &Step) -> Option<(Here, Place)> {
    match here {
        Here::Mapping => {
            let wanted = match step {
                Step::Key(key) => key.clone(),
                Step::Index(index) => index.to_string(),
            };
            loop {
                let (event, span) = walk.next()?;
                let is_wanted = match &event {
                    Event::MappingEnd => return None,
                    Event::Scalar(text, ..) => *text == wanted,
                    _ => false,
                };
                let at = place(span);
                let open = opens(&event);
                walk.skip(open)?;
                let (value, _) = walk.next()?;
                let (kind, open) = (owned(&value), opens(&value));
                if is_wanted {
                    return Some((kind, at));
                }
                walk.skip(open)?;
            }
        }
        Here::Sequence => {
            let Step::Index(wanted) = step else { return None };
            for _ in 0..*wanted {
                let (event, _) = walk.next()?;
                if matches!(event, Event::SequenceEnd) {
                    return None;
                }
                let open = opens(&event);
                walk.skip(open)?;
            }
            let (event, span) = walk.next()?;
            (!matches!(event, Event::SequenceEnd)).then(|| (owned(&event), place(span)))
        }
        Here::Other => None,
    }
}

fn place(span: Span) -> Place {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    (number(span.start.line()), number(span.start.col()).saturating_add(1))
}

fn hcl(text: &str, path: &[Step]) -> Option<Place> {
    let body = hcl_edit::parser::parse_body(text).ok()?;
    let at = body_place(&body, path)?;
    let before = text.get(..at)?;
    let line = 1 + before.matches('\n').count();
    let column = 1 + before.rsplit('\n').next().map_or(0, |last| last.chars().count());
    Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
}

fn body_place(body: &Body, path: &[Step]) -> Option<usize> {
    let Some(Step::Key(name)) = path.first() else {
        return None;
    };
    if let Some(attribute) = body.attributes().find(|attribute| attribute.has_key(name)) {
        return attribute.span().map(|span| span.start);
    }
    let mut same = 0;
    let mut first = None;
    for block in body.blocks().filter(|block| block.has_ident(name)) {
        let labels = path[1..].iter().zip(&block.labels);
        let fits = labels
            .clone()
            .all(|(step, label)| matches!(step, Step::Key(key) if key == label.as_str()));
        let at = block.span().map(|span| span.start);
        first = first.or(at);
        if !fits || path.len() - 1 < block.labels.len() {
            continue;
        }
        let rest = &path[1 + block.labels.len()..];
        match rest.first() {
            None => return at,
            Some(Step::Index(wanted)) if *wanted != same => same += 1,
            Some(Step::Index(_)) => return body_place(&block.body, &rest[1..]).or(at),
            Some(Step::Key(_)) => return body_place(&block.body, rest).or(at),
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_values_are_found_in_their_document() {
        let text = "a: 1\n---\nspec:\n  containers:\n    - name: x\n    - name: y\n      image: z\n";
        let find = |path| locate(text, Format::Yaml, 1, &pointer(path).unwrap());
        assert_eq!(find("/spec/containers/1/image"), Some((7, 7)));
        assert_eq!(find("/spec/containers/1"), Some((6, 7)));
        assert_eq!(find("/spec/nothing"), Some((3, 1)));
        let json = "{\n  \"a\": [\n    {\"b\": 1}\n  ]\n}\n";
        assert_eq!(locate(json, Format::Json, 0, &pointer("/a/0/b").unwrap()), Some((3, 6)));
    }

    #[test]
    fn hcl_blocks_are_found_by_their_labels() {
        let text = "resource \"a\" \"x\" {}\nresource \"a\" \"y\" {\n  tags = 1\n  s {\n    k = 1\n  }\n  s {\n    k = 2\n  }\n}\n";
        let find = |path| locate(text, Format::Hcl2, 0, &pointer(path).unwrap());
        assert_eq!(find("/resource/a/y/0/tags"), Some((3, 3)));
        assert_eq!(find("/resource/a/y/0/s/1/k"), Some((8, 5)));
        assert_eq!(find("/resource/a/y"), Some((2, 1)));
    }
}
