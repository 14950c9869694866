//! One policy file as the rest of the crate sees it: package, rules, annotations, and the names that it uses.
//!
//! What regorus's parser is to read is scanned first: its work doubles with every bracket that is open.

use crate::metadata::Annotation;
use crate::rego::{Dialect, Fault, Rule, Source, Test};
use crate::sources::{PolicyError, RegoVersion};

/// A parsed policy file.
#[derive(Clone)]
pub(crate) struct Module {
    pub(crate) path: String,
    /// The package without `data.`, its parts joined by dots.
    pub(crate) package: String,
    pub(crate) rules: Vec<Head>,
    pub(crate) annotations: Vec<Annotation>,
    pub(super) source: Source,
    text: String,
}

/// The head of one rule; a rule of several bodies or definitions has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// The name, or the dotted path, within the package.
    pub(crate) name: String,
    /// How it is evaluated as a test; known once tests have been compiled.
    pub(crate) test: Option<Test>,
    pub(crate) line: u32,
    pub(crate) function: bool,
    /// Nothing stands behind the name but arguments or the element of a set.
    pub(crate) bare: bool,
    /// It gives `true`, and is no set.
    pub(crate) truth: bool,
}

impl Module {
    /// Parses a file; under `Auto` as what it is found to be.
    pub(super) fn parse(path: &str, text: &str, version: RegoVersion) -> Result<Self, PolicyError> {
        let source = match version {
            RegoVersion::V0 => Source::parse(text, Dialect::V0),
            RegoVersion::V1 => Source::parse(text, Dialect::V1),
            RegoVersion::Auto => Source::detect(text),
        };
        let source = source.map_err(|fault| refuse(path, text, &fault))?;
        let heads = |rule: &Rule| {
            let name = rule.head.constant().join(".");
            let function = rule.head.args.is_some();
            let bare = rule.head.path.is_empty();
            let truth = rule.is_truth();
            let more = rule.more.iter().map(|(span, _)| span.line);
            let lines: Vec<u32> = std::iter::once(rule.span.line).chain(more).collect();
            lines.into_iter().map(move |line| Head {
                name: name.clone(),
                test: None,
                line,
                function,
                bare,
                truth,
            })
        };
        let annotations = Annotation::of(&source.annotations);
        Ok(Self {
            path: path.to_owned(),
            package: source.module.package.join("."),
            rules: source.module.rules.iter().flat_map(heads).collect(),
            annotations,
            source,
            text: text.to_owned(),
        })
    }

    /// The line of the package.
    pub(crate) fn line(&self) -> u32 {
        self.source.module.package_span.line
    }

    /// The lines on which statements begin, those of tests aside.
    pub(crate) fn lines(&self) -> std::collections::BTreeSet<u32> {
        crate::rego::lines(&self.source)
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// A fault of this file, in words.
    pub(super) fn refuse(&self, fault: &Fault) -> PolicyError {
        refuse(&self.path, &self.text, fault)
    }
}

fn refuse(path: &str, text: &str, fault: &Fault) -> PolicyError {
    let line = (fault.span.line > 0).then_some(fault.span.line);
    PolicyError::refused(path, line, fault.tell(text))
}

/// A bracket that is open.
struct Open {
    /// What stands here now is read twice: the first element of a list, and every statement.
    twice: bool,
    statements: bool,
}

/// The first line on which brackets outside strings and comments are nested deeper than `limit`, or that makes the
/// parser's work exceed its budget: the first element of a list is read twice, once as the term of a comprehension, so
/// that nesting there doubles it.
pub(super) fn deeper_than(text: &str, limit: usize, budget: u64) -> Option<u32> {
    let (mut line, mut work, mut doubled) = (1u32, 0u64, 0u32);
    let mut open: Vec<Open> = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            '(' | '[' | '{' => {
                work = work.saturating_add(1 << doubled.min(40));
                let twice = c != '(';
                doubled += u32::from(twice);
                open.push(Open {
                    twice,
                    statements: false,
                });
                if open.len() > limit || work > budget {
                    return Some(line);
                }
            }
            ')' | ']' | '}' => doubled -= u32::from(open.pop().is_some_and(|closed| closed.twice)),
            ',' => {
                if let Some(list) = open.last_mut().filter(|open| open.twice && !open.statements) {
                    list.twice = false;
                    doubled -= 1;
                }
            }
            '|' | ';' => {
                if let Some(body) = open.last_mut() {
                    doubled += u32::from(!body.twice);
                    (body.twice, body.statements) = (true, true);
                }
            }
            '#' if chars.by_ref().any(|c| c == '\n') => line += 1,
            '"' => skip_string(&mut chars),
            '`' => {
                line += u32::try_from(chars.by_ref().take_while(|&c| c != '`').filter(|&c| c == '\n').count()).ok()?
            }
            _ => {}
        }
    }
    None
}

/// Moves past a string's closing quote, or to the end of its line.
fn skip_string(chars: &mut std::str::Chars<'_>) {
    let mut escaped = false;
    for c in chars {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' | '\n' => return,
            _ => {}
        }
    }
}

/// A message of regorus, taken apart.
pub(super) struct Brief {
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) message: String,
}

impl Brief {
    pub(super) fn one_line(self) -> String {
        match (self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: {}", self.message),
            _ => self.message,
        }
    }
}

/// `--> file:line:column`, a picture, and `error: what` become file, line and what.
pub(super) fn brief(message: &str) -> Brief {
    let place = message.lines().find_map(|line| line.trim_start().strip_prefix("--> "));
    let mut parts = place.unwrap_or_default().rsplitn(3, ':');
    let line = parts.nth(1).and_then(|line| line.parse().ok());
    let file = parts.next().filter(|file| !file.is_empty()).map(str::to_owned);
    let what = message.lines().rev().find_map(|line| line.strip_prefix("error: "));
    let what = what
        .or_else(|| message.lines().find(|line| !line.trim().is_empty()))
        .unwrap_or("unknown error");
    Brief {
        file,
        line,
        message: what.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_and_comments_do_not_nest() {
        assert_eq!(deeper_than("a := \"((((\" # ((((\nb := `((((\n((((`\n", 2, 99), None);
        assert_eq!(deeper_than("a := \"\\\"((((\"\n", 2, 99), None);
        assert_eq!(deeper_than("package a\n\nb := [[[1]]]\n", 2, 99), Some(3));
        assert_eq!(deeper_than("a := [1]\nb := [[1]]\n", 9, 3), Some(2));
    }

    #[test]
    fn only_what_is_read_twice_doubles_the_work() {
        let fits = |text: &str, budget| deeper_than(text, 99, budget).is_none();
        assert!(fits("a := [1, [2, [3, [4]]]]", 4) && !fits("a := [[[[4]]]]", 14));
        assert!(fits("a := [[[[4]]]]", 15) && fits("a := f(f(f(f(1))))", 4));
        assert!(fits("a := [x | x := 1; y := [2, []]]", 1 + 2 + 2) && !fits("a := [x | x := 1; y := [2, []]]", 4));
    }
}
