//! HCL 1, as HashiCorp's decoder gives it to whoever asks for any value: an object is a list of one object, at every label too, but for
//! one that stands in a list; equal keys gather; `${…}` is text.
//!
//! A parser of our own, since HCL 2 is another language: here a key may be a text, a number octal, a member's comma left out. Source of
//! the facts: HashiCorp's hcl 1.0, `decoder.go`, `hcl/scanner`, `hcl/parser`, `hcl/token`, `hcl/strconv`.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::places::Met;

/// Nesting that is followed.
const DEPTH: usize = 128;

/// Parses an HCL 1 file.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    read(text, &mut |_, _| {})
}

/// The same, telling on which line each item stands.
pub(super) fn read(text: &str, met: &mut Met<'_>) -> Result<Value, String> {
    if text.trim_start().starts_with('{') {
        return Err("holds JSON: read it with the parser json".to_owned());
    }
    let mut parser = Parser { rest: text, line: 1 };
    let items = parser.items(0)?;
    if parser.peek()?.is_some() {
        return Err(parser.refuse("a bracket that closes nothing"));
    }
    let items: Vec<&Item> = items.iter().collect();
    object(&items, &mut Vec::new(), met).map(Value::Object)
}

/// Keys and a value.
struct Item {
    line: usize,
    keys: Vec<String>,
    node: Node,
}

enum Node {
    Literal(Value),
    List(Vec<Node>),
    Object(Vec<Item>),
}

/// An item without the first of its keys, in which another one's label is a key.
struct Labelled<'a> {
    line: usize,
    keys: &'a [String],
    node: &'a Node,
}

fn object(items: &[&Item], path: &mut Vec<String>, met: &mut Met<'_>) -> Result<Map<String, Value>, String> {
    let items: Vec<Labelled<'_>> = items
        .iter()
        .map(|item| Labelled {
            line: item.line,
            keys: &item.keys,
            node: &item.node,
        })
        .collect();
    members(&items, path, met)
}

fn members(items: &[Labelled<'_>], path: &mut Vec<String>, met: &mut Met<'_>) -> Result<Map<String, Value>, String> {
    let mut out = Map::new();
    let mut done = HashSet::new();
    for item in items {
        let Some((key, labels)) = item.keys.split_first() else {
            continue;
        };
        if done.contains(key.as_str()) {
            continue;
        }
        path.push(key.clone());
        told(path, item.line, met);
        let old = out.remove(key);
        let value = if labels.is_empty() {
            value(item, old, path, met)?
        } else {
            // All that begin with this key, each for itself.
            done.insert(key.as_str());
            let mut list = listed(old, item.line)?;
            let same = items
                .iter()
                .filter(|other| other.keys.len() > 1 && other.keys[0] == *key);
            for other in same {
                let inner = Labelled {
                    keys: &other.keys[1..],
                    ..*other
                };
                path.push(list.len().to_string());
                told(path, other.line, met);
                list.push(Value::Object(members(&[inner], path, met)?));
                path.pop();
            }
            Value::Array(list)
        };
        out.insert(key.clone(), value);
        path.pop();
    }
    Ok(out)
}

/// What a key gets that had `old` already.
fn value(item: &Labelled<'_>, old: Option<Value>, path: &mut Vec<String>, met: &mut Met<'_>) -> Result<Value, String> {
    match item.node {
        Node::Literal(value) if old.as_ref().is_none_or(|old| !old.is_array()) => Ok(value.clone()),
        Node::Literal(_) => Err(format!("line {}: {} is a list already", item.line, path.join("."))),
        Node::List(nodes) => {
            let mut list = listed(old, item.line)?;
            for node in nodes {
                path.push(list.len().to_string());
                list.push(member(node, path, met)?);
                path.pop();
            }
            Ok(Value::Array(list))
        }
        Node::Object(items) => {
            let mut list = listed(old, item.line)?;
            path.push(list.len().to_string());
            told(path, item.line, met);
            list.push(Value::Object(object(&items.iter().collect::<Vec<_>>(), path, met)?));
            path.pop();
            Ok(Value::Array(list))
        }
    }
}

fn listed(old: Option<Value>, line: usize) -> Result<Vec<Value>, String> {
    match old {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(format!("line {line}: a list and a value of the same key")),
    }
}

/// A member of a list, in which an object is itself.
fn member(node: &Node, path: &mut Vec<String>, met: &mut Met<'_>) -> Result<Value, String> {
    match node {
        Node::Literal(value) => Ok(value.clone()),
        Node::List(nodes) => nodes.iter().map(|node| member(node, path, met)).collect(),
        Node::Object(items) => object(&items.iter().collect::<Vec<_>>(), path, met).map(Value::Object),
    }
}

fn told(path: &[String], line: usize, met: &mut Met<'_>) {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    met(&path, line);
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
}

impl Parser<'_> {
    fn refuse(&self, why: &str) -> String {
        format!("line {}: {why}", self.line)
    }

    fn advance(&mut self, bytes: usize) -> &str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    /// The next letter behind blanks and comments.
    fn peek(&mut self) -> Result<Option<char>, String> {
        loop {
            let blanks = self.rest.len() - self.rest.trim_start().len();
            self.advance(blanks);
            let end = if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.rest.find('\n').unwrap_or(self.rest.len())
            } else if self.rest.starts_with("/*") {
                2 + self.rest[2..]
                    .find("*/")
                    .ok_or_else(|| self.refuse("a comment is not closed"))?
                    + 2
            } else {
                return Ok(self.rest.chars().next());
            };
            self.advance(end);
        }
    }

    /// Items up to a bracket that closes, which is left.
    fn items(&mut self, depth: usize) -> Result<Vec<Item>, String> {
        if depth > DEPTH {
            return Err(self.refuse(&format!("more than {DEPTH} objects in each other")));
        }
        let mut items = Vec::new();
        while let Some(next) = self.peek()? {
            match next {
                '}' => break,
                ',' if !items.is_empty() => {
                    self.advance(1);
                }
                _ => items.push(self.item(depth)?),
            }
        }
        Ok(items)
    }

    fn item(&mut self, depth: usize) -> Result<Item, String> {
        let line = self.line;
        let mut keys = Vec::new();
        loop {
            match self.peek()? {
                Some('=') if keys.len() == 1 => {
                    self.advance(1);
                    let node = self.node(depth)?;
                    return Ok(Item { line, keys, node });
                }
                Some('=') if keys.len() > 1 => return Err(self.refuse("an object is wanted behind several keys")),
                Some('{') if !keys.is_empty() => {
                    let node = self.object(depth)?;
                    return Ok(Item { line, keys, node });
                }
                Some('"') => keys.push(self.text()?),
                Some(c) if c.is_alphabetic() || c == '_' => keys.push(self.word()),
                Some(c) => return Err(self.refuse(&format!("a key is wanted, not {c:?}"))),
                None => return Err(self.refuse("a key without a value")),
            }
        }
    }

    fn word(&mut self) -> String {
        let ends = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        self.advance(end).to_owned()
    }

    fn object(&mut self, depth: usize) -> Result<Node, String> {
        self.advance(1);
        let items = self.items(depth + 1)?;
        match self.peek()? {
            Some('}') => {
                self.advance(1);
                Ok(Node::Object(items))
            }
            _ => Err(self.refuse("an object is not closed")),
        }
    }

    fn node(&mut self, depth: usize) -> Result<Node, String> {
        match self.peek()? {
            Some('{') => self.object(depth),
            Some('[') => self.list(depth + 1),
            Some('"') => Ok(Node::Literal(Value::String(self.text()?))),
            Some('<') => Ok(Node::Literal(Value::String(self.heredoc()?))),
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '.') => self.number().map(Node::Literal),
            Some(c) if c.is_alphabetic() => match self.word().as_str() {
                "true" => Ok(Node::Literal(json!(true))),
                "false" => Ok(Node::Literal(json!(false))),
                other => Err(self.refuse(&format!("no value: {other}"))),
            },
            _ => Err(self.refuse("a value is missing")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Node, String> {
        if depth > DEPTH {
            return Err(self.refuse(&format!("more than {DEPTH} lists in each other")));
        }
        self.advance(1);
        let mut nodes = Vec::new();
        let mut wants_comma = false;
        loop {
            match self.peek()? {
                Some(']') => {
                    self.advance(1);
                    return Ok(Node::List(nodes));
                }
                Some(',') => {
                    self.advance(1);
                    wants_comma = false;
                }
                Some(_) if wants_comma => return Err(self.refuse("a comma or the end of a list is wanted")),
                Some(_) => {
                    nodes.push(self.node(depth)?);
                    wants_comma = true;
                }
                None => return Err(self.refuse("a list is not closed")),
            }
        }
    }

    /// Base 8 behind a zero, base 16 behind `0x`, and what has a point or an exponent as it is.
    fn number(&mut self) -> Result<Value, String> {
        let mut end = 0;
        for (at, c) in self.rest.char_indices() {
            let sign = matches!(c, '-' | '+') && (at == 0 || self.rest[..at].ends_with(['e', 'E']));
            if !(c.is_ascii_alphanumeric() || c == '.' || sign) {
                break;
            }
            end = at + 1;
        }
        let word = self.advance(end).to_owned();
        let (sign, digits) = word.strip_prefix('-').map_or((1, word.as_str()), |digits| (-1, digits));
        let whole = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            i64::from_str_radix(hex, 16)
        } else if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) {
            i64::from_str_radix(digits, 8)
        } else {
            digits.parse()
        };
        match whole {
            Ok(number) => Ok(json!(sign * number)),
            Err(_) => match word.parse::<f64>() {
                Ok(number) if digits.contains(['.', 'e', 'E']) && !digits.starts_with("0x") => Ok(json!(number)),
                _ => Err(self.refuse(&format!("no number: {word}"))),
            },
        }
    }

    /// A text in quotes; what stands in `${…}` keeps its quotes and escapes.
    fn text(&mut self) -> Result<String, String> {
        let open = |parser: &Self| parser.refuse("a text is not closed");
        let mut out = String::new();
        let mut braces = 0usize;
        let mut letters = self.rest.char_indices().skip(1).peekable();
        let end = loop {
            let (at, c) = letters.next().ok_or_else(|| open(self))?;
            match c {
                '"' if braces == 0 => break at + 1,
                '\n' if braces == 0 => return Err(open(self)),
                '$' if braces == 0 && letters.next_if(|(_, next)| *next == '{').is_some() => {
                    out.push_str("${");
                    braces = 1;
                }
                '\\' if braces == 0 => {
                    let escaped = escape(&mut letters).ok_or_else(|| self.refuse("no such escape"))?;
                    out.push(escaped);
                }
                _ => {
                    braces += usize::from(braces > 0 && c == '{');
                    braces -= usize::from(braces > 0 && c == '}');
                    out.push(c);
                }
            }
        };
        self.advance(end);
        Ok(out)
    }

    /// `<<EOF` as it stands; `<<-EOF` without the blanks in front of its end, where every line has them.
    fn heredoc(&mut self) -> Result<String, String> {
        let open = |parser: &Self| parser.refuse("a heredoc is not closed");
        let head = self.rest.split_inclusive('\n').next().unwrap_or_default();
        let mark = head
            .trim()
            .strip_prefix("<<")
            .ok_or_else(|| self.refuse("a value is missing"))?;
        let (indented, mark) = mark.strip_prefix('-').map_or((false, mark), |mark| (true, mark));
        let mut lines = Vec::new();
        let mut taken = head.len();
        for line in self.rest[head.len()..].split_inclusive('\n') {
            let bare = line.trim_end_matches(['\n', '\r']);
            if bare.trim_start() == mark {
                let blanks = &bare[..bare.len() - mark.len()];
                let all = indented && lines.iter().all(|line: &&str| line.starts_with(blanks));
                let cut = |line: &&str| line.strip_prefix(blanks).filter(|_| all).unwrap_or(line).to_owned();
                let text = lines.iter().map(cut).collect();
                self.advance(taken + bare.len());
                return Ok(text);
            }
            lines.push(line);
            taken += line.len();
        }
        Err(open(self))
    }
}

fn escape(letters: &mut impl Iterator<Item = (usize, char)>) -> Option<char> {
    let (_, first) = letters.next()?;
    let mut code = |start: &str, digits: usize, radix: u32| {
        let rest = letters.by_ref().take(digits).map(|(_, c)| c);
        let word: String = start.chars().chain(rest).collect();
        u32::from_str_radix(&word, radix).ok().and_then(char::from_u32)
    };
    match first {
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'v' => Some('\u{b}'),
        '"' | '\\' => Some(first),
        'x' => code("", 2, 16),
        'u' => code("", 4, 16),
        'U' => code("", 8, 16),
        '0'..='7' => code(first.encode_utf8(&mut [0; 4]), 2, 8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_lists_all_the_way_but_in_lists() {
        let text = "resource \"a\" \"b\" {\n  x = 1\n  y { z = \"${v(\"q\")}\" }\n  y { \"Key Name\" = 0755, w = 0x1f }\n}\n\
                    resource \"a\" \"c\" {}\nm = { n = { o = -1.5 } }\nl = [1, { p = { q = true } }, [\"s\"],]\nl = [2]\n";
        assert_eq!(
            parse(text).unwrap(),
            json!({
                "resource": [
                    {"a": [{"b": [{"x": 1, "y": [{"z": "${v(\"q\")}"}, {"Key Name": 493, "w": 31}]}]}]},
                    {"a": [{"c": [{}]}]},
                ],
                "m": [{"n": [{"o": -1.5}]}],
                "l": [1, {"p": [{"q": true}]}, ["s"], 2],
            })
        );
    }

    #[test]
    fn texts_heredocs_and_comments() {
        let text = "# c\n// d\n/* e\n */ a = \"x\\n\\\"\\u00e9$${b}\"\nb = <<EOF\n  one\nEOF\nc = <<-EOF\n    one\n      two\n    EOF\n\
                    d = <<-EOF\n one\n    EOF\n\"quoted\" = \"\"\n";
        assert_eq!(
            parse(text).unwrap(),
            json!({"a": "x\n\"é$${b}", "b": "  one\n", "c": "one\n  two\n", "d": " one\n", "quoted": ""})
        );
    }

    #[test]
    fn what_is_no_hcl_1_is_refused_with_its_line() {
        for (text, why) in [
            ("a = 1\nb =\n", "line 3: a value is missing"),
            ("a \"b\" = 1", "behind several keys"),
            ("a {\n", "not closed"),
            ("a = [1 2]", "comma"),
            ("a = \"x\n\"", "not closed"),
            ("a = yes", "no value: yes"),
            ("}", "closes nothing"),
            ("{\"a\": 1}", "parser json"),
            ("a = 1\na = [2]\n", "line 2"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
        assert!(parse(&"a {".repeat(10_000)).is_err());
        assert!(parse(&format!("a = {}", "[".repeat(10_000))).is_err());
    }

    #[test]
    fn each_item_is_told_with_its_line() {
        let mut lines = Vec::new();
        let text = "r \"a\" \"b\" {\n  x = 1\n}\nr \"a\" \"c\" {\n  y = 2\n}\n";
        read(text, &mut |path, line| lines.push((path.join("/"), line))).unwrap();
        for (path, line) in [("r/0/a/0/b/0/x", 2), ("r/1/a/0/c/0/y", 5), ("r/1", 4)] {
            assert!(lines.contains(&(path.to_owned(), line)), "{path}: {lines:?}");
        }
    }
}
