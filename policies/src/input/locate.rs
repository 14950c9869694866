//! Where a value stands in its file: from the path of keys and indexes to a line and a column.
//!
//! Only asked for findings that are reported, and for all of a file at once: a large file costs nothing while everything holds, and is
//! read once where much does not. JSON is walked as the YAML that it is, HCL by its blocks' labels, others as `places.rs` says.

use std::collections::HashMap;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::Body;
use saphyr_parser::{Event, Parser, Span};

use super::places::Places;
use super::{Format, jsonc, relaxed};

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

impl Step {
    fn key(&self) -> String {
        match self {
            Self::Key(key) => key.clone(),
            Self::Index(index) => index.to_string(),
        }
    }
}

/// A line and a column, one-based.
pub(crate) type Place = (u32, u32);

/// A value that is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The number of its document (zero-based, as the file holds them).
    pub(crate) document: usize,
    /// From the document's root.
    pub(crate) path: Vec<Step>,
}

/// Finds the values; of each as much of the path as can be followed. The text is read once, however many there are.
pub(crate) fn locate(text: &str, format: Format, wanted: &[Wanted]) -> Vec<Option<Place>> {
    match format {
        Format::Yaml => match relaxed::relax(text) {
            None => yaml(text, wanted),
            Some(relaxed) => {
                let back = |(line, column): Place| (line, relaxed.column(line as usize, column as usize));
                let places = yaml(&relaxed.text, wanted).into_iter();
                let places = places.map(|place| place.map(back));
                places
                    .map(|place| place.and_then(|(line, column)| Some((line, u32::try_from(column).ok()?))))
                    .collect()
            }
        },
        Format::Json | Format::CycloneDx => yaml(text, wanted),
        Format::Jsonc => match jsonc::plain(text) {
            Ok(plain) => yaml(&plain, wanted),
            Err(_) => vec![None; wanted.len()],
        },
        Format::Hcl2 => hcl(text, wanted),
        _ => {
            let places = Places::of(text, format);
            let find = |wanted: &Wanted| {
                let path: Vec<String> = wanted.path.iter().map(Step::key).collect();
                let (line, column) = places.as_ref()?.find(&path)?;
                Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
            };
            wanted.iter().map(find).collect()
        }
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

fn yaml(text: &str, wanted: &[Wanted]) -> Vec<Option<Place>> {
    let mut walk = Walk {
        events: Parser::new_from_str(text),
        wanted,
        found: vec![None; wanted.len()],
    };
    let mut number = 0;
    let last = wanted.iter().map(|wanted| wanted.document).max();
    while last.is_some_and(|last| number <= last) {
        let Some((event, _)) = walk.next() else { break };
        if matches!(event, Event::DocumentStart(_)) {
            let here: Vec<usize> = (0..wanted.len()).filter(|n| wanted[*n].document == number).collect();
            number += 1;
            if walk.root(&here).is_none() {
                break;
            }
        }
    }
    walk.found
}

struct Walk<'a> {
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    wanted: &'a [Wanted],
    found: Vec<Option<Place>>,
}

/// What a value turned out to be.
#[derive(Clone, Copy, PartialEq)]
enum Here {
    Mapping,
    Sequence,
    Other,
}

impl Here {
    fn of(event: &Event<'_>) -> Self {
        match event {
            Event::MappingStart(..) => Self::Mapping,
            Event::SequenceStart(..) => Self::Sequence,
            _ => Self::Other,
        }
    }
}

/// `None` wherever the text ends or is no YAML.
impl Walk<'_> {
    fn next(&mut self) -> Option<(Event<'_>, Span)> {
        self.events.next_event()?.ok()
    }

    fn root(&mut self, wanted: &[usize]) -> Option<()> {
        let (event, span) = self.next()?;
        let here = Here::of(&event);
        self.found(wanted, span);
        self.inside(here, wanted, 0)
    }

    fn found(&mut self, wanted: &[usize], span: Span) {
        for number in wanted {
            self.found[*number] = Some(place(span));
        }
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

    /// A value that has begun, up to its end: those that look for something in it, and how many of their steps led here.
    fn inside(&mut self, here: Here, wanted: &[usize], depth: usize) -> Option<()> {
        let mut by_step: HashMap<String, Vec<usize>> = HashMap::new();
        for number in wanted {
            if let Some(step) = self.wanted[*number].path.get(depth) {
                by_step.entry(step.key()).or_default().push(*number);
            }
        }
        if by_step.is_empty() || here == Here::Other {
            return self.skip(usize::from(here != Here::Other));
        }
        let mut index = 0;
        loop {
            let (event, span) = self.next()?;
            if closes(&event) > 0 {
                return Some(());
            }
            let (here, step, span) = match here {
                Here::Mapping => {
                    let key = match &event {
                        Event::Scalar(text, ..) => Some(text.to_string()),
                        _ => None,
                    };
                    let open = opens(&event);
                    self.skip(open)?;
                    let (value, _) = self.next()?;
                    (Here::of(&value), key, span)
                }
                _ => {
                    index += 1;
                    (Here::of(&event), Some((index - 1).to_string()), span)
                }
            };
            match step.and_then(|step| by_step.get(&step)) {
                Some(wanted) => {
                    self.found(wanted, span);
                    self.inside(here, wanted, depth + 1)?;
                }
                None => self.skip(usize::from(here != Here::Other))?,
            }
        }
    }
}

fn opens(event: &Event<'_>) -> usize {
    usize::from(matches!(event, Event::MappingStart(..) | Event::SequenceStart(..)))
}

fn closes(event: &Event<'_>) -> usize {
    usize::from(matches!(event, Event::MappingEnd | Event::SequenceEnd))
}

fn place(span: Span) -> Place {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    (number(span.start.line()), number(span.start.col()).saturating_add(1))
}

fn hcl(text: &str, wanted: &[Wanted]) -> Vec<Option<Place>> {
    let body = hcl_edit::parser::parse_body(text).ok();
    let find = |wanted: &Wanted| {
        let at = body_place(body.as_ref()?, &wanted.path)?;
        let before = text.get(..at)?;
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().map_or(0, |last| last.chars().count());
        Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
    };
    wanted.iter().map(find).collect()
}

fn body_place(body: &Body, path: &[Step]) -> Option<usize> {
    let Some(Step::Key(name)) = path.first() else {
        return None;
    };
    if let Some(attribute) = body.attributes().find(|attribute| attribute.has_key(name)) {
        let own = attribute.span().map(|span| span.start);
        return expression_place(&attribute.value, &path[1..]).or(own);
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

/// A member of an object by its key, of a list by its number.
fn expression_place(expression: &Expression, path: &[Step]) -> Option<usize> {
    let (step, rest) = path.split_first()?;
    match (expression, step) {
        (Expression::Object(object), step) => {
            let named = |key: &ObjectKey| match key {
                ObjectKey::Ident(name) => name.as_str() == step.key(),
                ObjectKey::Expression(Expression::String(text)) => text.as_str() == step.key(),
                ObjectKey::Expression(_) => false,
            };
            let (key, value) = object.iter().find(|(key, _)| named(key))?;
            expression_place(value.expr(), rest).or_else(|| key.span().map(|span| span.start))
        }
        (Expression::Array(items), Step::Index(index)) => {
            let item = items.get(*index)?;
            expression_place(item, rest).or_else(|| item.span().map(|span| span.start))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, format: Format, document: usize, path: &str) -> Option<Place> {
        let path = pointer(path).unwrap();
        locate(text, format, &[Wanted { document, path }])[0]
    }

    #[test]
    fn yaml_and_json_values_are_found_in_their_document() {
        let text = "a: 1\n---\nspec:\n  containers:\n    - name: x\n    - name: y\n      image: z\n";
        let of = |path| find(text, Format::Yaml, 1, path);
        assert_eq!(of("/spec/containers/1/image"), Some((7, 7)));
        assert_eq!(of("/spec/containers/1"), Some((6, 7)));
        assert_eq!(of("/spec/nothing"), Some((3, 1)));
        let json = "{\n  \"a\": [\n    {\"b\": 1}\n  ]\n}\n";
        assert_eq!(find(json, Format::Json, 0, "/a/0/b"), Some((3, 6)));
        let jsonc = "{ // [\n  /* { */ \"a\": [1,],\n}\n";
        assert_eq!(find(jsonc, Format::Jsonc, 0, "/a/0"), Some((2, 17)));
    }

    #[test]
    fn many_are_found_at_once_wherever_they_stand() {
        let text = "a: {b: 1, c: [x, {d: 2}]}\n? [q]\n: 1\ne: 3\n---\na: 4\n";
        let wanted: Vec<Wanted> = [
            (1, "/a"),
            (0, "/e"),
            (0, "/a/c/1/d"),
            (0, "/a/c/0"),
            (0, "/a"),
            (0, "/a/c/7"),
            (2, "/a"),
        ]
        .into_iter()
        .map(|(document, path)| Wanted {
            document,
            path: pointer(path).unwrap(),
        })
        .collect();
        let found = [
            Some((6, 1)),
            Some((4, 1)),
            Some((1, 19)),
            Some((1, 15)),
            Some((1, 1)),
            Some((1, 11)),
            None,
        ];
        assert_eq!(locate(text, Format::Yaml, &wanted), found);
    }

    #[test]
    fn hcl_blocks_are_found_by_their_labels_and_values_within_them() {
        let text = "resource \"a\" \"x\" {}\nresource \"a\" \"y\" {\n  tags = {\n    Name = [1,\n 2]\n  }\n  s {\n    k = 1\n  }\n  s {\n    k = 2\n  }\n}\n";
        let of = |path| find(text, Format::Hcl2, 0, path);
        assert_eq!(of("/resource/a/y/0/tags"), Some((3, 3)));
        assert_eq!(of("/resource/a/y/0/tags/Name"), Some((4, 5)));
        assert_eq!(of("/resource/a/y/0/tags/Name/1"), Some((5, 2)));
        assert_eq!(of("/resource/a/y/0/tags/None"), Some((3, 3)));
        assert_eq!(of("/resource/a/y/0/s/1/k"), Some((11, 5)));
        assert_eq!(of("/resource/a/y"), Some((2, 1)));
    }

    #[test]
    fn other_formats_are_found_by_their_own_readers() {
        for (format, text, path, place) in [
            (
                Format::Toml,
                "a = 1\n[b]\n  c = [1,\n 2]\n[[d]]\n[[d]]\ne.f = 3\n",
                "/b/c/1",
                (4, 2),
            ),
            (
                Format::Toml,
                "a = 1\n[b]\n  c = 2\n[[d]]\n[[d]]\ne.f = 3\n",
                "/b/c",
                (3, 3),
            ),
            (Format::Toml, "a = 1\n[[d]]\n[[d]]\ne.f = 3\n", "/d/1/e/f", (4, 3)),
            (
                Format::Dockerfile,
                "# c\nFROM a AS b\n\n  RUN x \\\n  y\nUSER z\n",
                "/0/3",
                (6, 1),
            ),
            (
                Format::Dockerfile,
                "# c\nFROM a AS b\n\n  RUN x \\\n  y\nUSER z\n",
                "/0/2/Value/0",
                (4, 3),
            ),
            (Format::Ignore, "a\n\n !b\n", "/0/2/Value", (3, 2)),
            (
                Format::Ini,
                "x = 1\n[s]\n; c\n k = \"\"\"a\nk = b\"\"\"\n[t]\nk = 2\n",
                "/s/k",
                (4, 2),
            ),
            (Format::Ini, "[s]\nk = 1\n[t]\n", "/t/none", (3, 1)),
            (Format::Dotenv, "# c\nA=\"x\nB=y\"\nexport B=1\n", "/B", (4, 1)),
            (Format::Properties, "a=1 \\\n  b=2\n! c\n b : 3\n", "/b", (4, 2)),
            (
                Format::Nginx,
                "events {}\nhttp {\n  server {\n    listen 80;\n  }\n}\n",
                "/directives/1/block/directives/0/block/directives/0",
                (4, 5),
            ),
            (
                Format::Xml,
                "<a>\n <b/>\n <c k=\"1\">\n  <d/></c>\n <c><d/><d\n/></c></a>",
                "/a/c/0/-k",
                (3, 2),
            ),
            (
                Format::Xml,
                "<a>\n <b/>\n <c>\n  <d/></c>\n <c><d/>\n<d/></c></a>",
                "/a/c/1/d/1",
                (6, 1),
            ),
            (
                Format::Postgres,
                "port = 1\nfsync = off\nport = 2\n",
                "/settings/port",
                (3, 1),
            ),
            (
                Format::PgHba,
                "# c\nlocal all \\\nall peer\nhost all all ::/0 trust\n",
                "/rules/1/method",
                (4, 1),
            ),
            (Format::Redis, "save 1 1\n# c\nsave 2 2\n", "/save/1/0", (3, 1)),
            (
                Format::Mariadb,
                "[mysqld]\nskip-name-resolve\nlog-bin = x\n",
                "/groups/mysqld/log_bin",
                (3, 1),
            ),
        ] {
            assert_eq!(find(text, format, 0, path), Some(place), "{format:?} {path}\n{text}");
        }
        assert_eq!(find("{:a 1}", Format::Edn, 0, "/:a"), None);
        assert_eq!(find("[s", Format::Ini, 0, "/s"), None);
    }
}
