//! YAML whose brackets close, or whose quoted texts go on, further left than YAML 1.2 allows. go-yaml takes it, and so do Kubernetes and
//! Conftest:
//!
//! ```yaml
//!   args: [
//!     "a"
//!   ]
//! ```
//!
//! Such lines are moved to the right, which changes no value: within brackets and quotes the blanks at a line's beginning mean nothing.

use std::collections::BTreeMap;

use saphyr_parser::{Parser, ScanError};

/// How many bytes are read again for it, at most: each line is found by an attempt.
const WORK: usize = 1 << 28;
/// Lines that begin further right are not outdone.
const DEEPEST: usize = 1 << 12;

/// A text of which some lines were moved.
pub(super) struct Relaxed {
    pub(super) text: String,
    /// By line (one-based), how many columns it was moved.
    moved: BTreeMap<usize, usize>,
}

impl Relaxed {
    /// Where a place of the moved text (both one-based) stands in the text.
    pub(super) fn column(&self, line: usize, column: usize) -> usize {
        column
            .saturating_sub(self.moved.get(&line).copied().unwrap_or(0))
            .max(1)
    }
}

/// Whether a parser's complaint is one that moving lines may answer.
pub(super) fn answers(error: &ScanError) -> bool {
    error.info().starts_with("invalid indentation") && !error.info().contains("anchor")
}

/// The text with such lines moved, as far as it then can be read; `None` where none had to be.
pub(super) fn relax(text: &str) -> Option<Relaxed> {
    let mut error = fault(text)?;
    if !answers(&error) {
        return None;
    }
    let blanks = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let by = 1 + text.lines().map(blanks).max().unwrap_or(0);
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let mut moved: BTreeMap<usize, usize> = BTreeMap::new();
    let mut work = 0;
    loop {
        work += text.len();
        let line = error.marker().line();
        let wrong = match error.info().contains("quoted") {
            true => quoted(&lines, line, error.marker().col()),
            false => line..line + 1,
        };
        let before = moved.len();
        for line in wrong {
            if let Some(text) = lines.get_mut(line.wrapping_sub(1))
                && !text.trim().is_empty()
                && !moved.contains_key(&line)
            {
                text.insert_str(0, &" ".repeat(by));
                moved.insert(line, by);
            }
        }
        let text = lines.concat();
        let next = fault(&text).filter(answers);
        if next.is_none() || moved.len() == before || work > WORK || by > DEEPEST {
            return Some(Relaxed { text, moved });
        }
        error = next?;
    }
}

fn fault(text: &str) -> Option<ScanError> {
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        if let Err(error) = event {
            return Some(error);
        }
    }
    None
}

/// The lines on which a quoted text goes on that begins at this line (one-based) and column (zero-based).
fn quoted(lines: &[String], line: usize, column: usize) -> std::ops::Range<usize> {
    let letters = lines
        .iter()
        .enumerate()
        .skip(line.wrapping_sub(1))
        .flat_map(|(at, text)| {
            let skipped = if at + 1 == line { column } else { 0 };
            text.chars().skip(skipped).map(move |letter| (at + 1, letter))
        });
    let mut letters = letters.peekable();
    let quote = letters.next().map_or('"', |(_, letter)| letter);
    let mut last = line;
    while let Some((at, letter)) = letters.next() {
        last = at;
        if letter == '\\' && quote == '"' {
            letters.next();
        } else if letter == quote {
            let doubled = quote == '\'' && letters.peek().is_some_and(|(_, next)| *next == quote);
            if !doubled {
                break;
            }
            letters.next();
        }
    }
    line + 1..last + 1
}

#[cfg(test)]
mod tests {
    use super::super::locate::{Wanted, locate, pointer};
    use super::super::{Format, parse_yaml};
    use serde_json::json;

    #[test]
    fn brackets_and_quotes_may_close_as_far_left_as_go_yaml_lets_them() {
        for (text, value) in [
            (
                "a:\n  b: [\n    x,\n    z # why\n  ]\n  c: 1\n",
                json!({"a": {"b": ["x", "z"], "c": 1}}),
            ),
            (
                "a:\n  b: {\nx: 1,\n w: [\n2\n]\n}\nc: 1\n",
                json!({"a": {"b": {"x": 1, "w": [2]}}, "c": 1}),
            ),
            (
                "a:\n  b: \"one\n  two \\\" \\\n  three\n\n  four\"\n  c: 'x\n y''s\n z'\n",
                json!({"a": {"b": "one two \" three\nfour", "c": "x y's z"}}),
            ),
            ("- a: [\n  1\n  ]\n- b: [\n  2\n]\n", json!([{"a": [1]}, {"b": [2]}])),
        ] {
            assert_eq!(parse_yaml(text).unwrap()[0].value, value, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_otherwise_stays_an_error_on_its_line() {
        for (text, line) in [
            ("a:\n  b: [\n1,\n", "line "),
            ("a:\n  b: [1\nc: 2\n", "line 3"),
            ("a:\n   b: 1\n  c: [\n]\n", "line 3"),
        ] {
            assert!(
                parse_yaml(text).unwrap_err().starts_with(line),
                "{text}: {:?}",
                parse_yaml(text)
            );
        }
    }

    #[test]
    fn places_in_moved_lines_are_those_of_the_text() {
        let text = "a:\n  b: [\n {c: 1},\n  {c: 2}\n]\n  d: 3\n".replace("]\n  d", "  ]\n  d");
        let wanted: Vec<Wanted> = ["/a/b/0/c", "/a/b/1/c", "/a/d"]
            .iter()
            .map(|path| Wanted {
                document: 0,
                path: pointer(path).unwrap(),
            })
            .collect();
        assert_eq!(
            locate(&text, Format::Yaml, &wanted),
            [Some((3, 3)), Some((4, 4)), Some((6, 3))]
        );
    }

    #[test]
    fn a_file_of_nothing_but_such_lines_ends() {
        let text = format!("a:\n  b: [\n{}  ]\n", "x,\n".repeat(3_000));
        assert_eq!(
            parse_yaml(&text).unwrap()[0].value["a"]["b"].as_array().unwrap().len(),
            3_000
        );
    }
}
