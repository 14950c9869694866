//! One policy file as the rest of the crate sees it: package, rules, annotations, and the names that it uses.
//!
//! Size and nesting are bounded by a scan of the text before the parser sees it.

use regorus::unstable::{Expr, Module as Ast, Ref, Rule, RuleHead};

use super::{MAX_BRACKETS, MAX_PARSE_WORK, MAX_POLICY, expression, references::References, refusal};
use crate::metadata::{self, Annotation};
use crate::sources::{PolicyError, RegoVersion};

/// The version of the language that a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    V0,
    V1,
}

/// A parsed policy file.
#[derive(Clone)]
pub(crate) struct Module {
    pub(crate) path: String,
    /// The package without `data.`, its parts joined by dots.
    pub(crate) package: String,
    pub(crate) dialect: Dialect,
    pub(crate) rules: Vec<Head>,
    pub(crate) annotations: Vec<Annotation>,
    pub(super) references: References,
    pub(super) text: String,
    pub(super) ast: Ref<Ast>,
}

/// The head of one rule; a rule of several bodies or definitions has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// The name, or the dotted path, within the package.
    pub(crate) name: String,
    pub(crate) line: u32,
    pub(crate) function: bool,
}

impl Module {
    /// Parses a file; under `Auto` as v1 if it is that, else as v0.
    pub(super) fn parse(path: &str, text: &str, version: RegoVersion) -> Result<Self, PolicyError> {
        if text.len() > MAX_POLICY {
            let why = format!("{} bytes, the limit is {MAX_POLICY}", text.len());
            return Err(PolicyError::refused(path, None, why));
        }
        if let Some(line) = deeper_than(text, MAX_BRACKETS, MAX_PARSE_WORK) {
            let why = "brackets are nested too deeply to be parsed in reasonable time".to_owned();
            return Err(PolicyError::refused(path, Some(line), why));
        }
        match version {
            RegoVersion::V0 => Self::parse_as(path, text, Dialect::V0),
            RegoVersion::V1 => Self::parse_as(path, text, Dialect::V1),
            RegoVersion::Auto => Self::parse_as(path, text, Dialect::V1).or_else(|v1| {
                // Whoever got further into the file knows better what is wrong with it.
                Self::parse_as(path, text, Dialect::V0).map_err(|v0| if v0.line() > v1.line() { v0 } else { v1 })
            }),
        }
    }

    fn parse_as(path: &str, text: &str, dialect: Dialect) -> Result<Self, PolicyError> {
        let mut engine = regorus::Engine::new();
        engine.set_rego_v0(dialect == Dialect::V0);
        engine.set_policy_length_config(super::length_limits());
        engine
            .add_policy(path.to_owned(), text.to_owned())
            .map_err(|e| refusal(path, &e.to_string()))?;
        match engine.get_modules().first() {
            Some(module) => Self::of(path, text, dialect, module),
            None => Err(PolicyError::refused(path, None, "holds no module".to_owned())),
        }
    }

    fn of(path: &str, text: &str, dialect: Dialect, module: &Ref<Ast>) -> Result<Self, PolicyError> {
        let package = expression::path(&module.package.refr)
            .ok_or_else(|| PolicyError::refused(path, Some(1), "the package is not a plain path".to_owned()))?
            .join(".");
        let rules: Vec<Head> = module.policy.iter().filter_map(|rule| head(rule)).collect();
        let mut anchors = vec![(module.package.span.line, None)];
        anchors.extend(rules.iter().map(|head| (head.line, Some(head.name.clone()))));
        let annotations = metadata::annotations(path, text, &anchors)?;
        let references = References::of(&package, module);
        let (path, text, ast) = (path.to_owned(), text.to_owned(), module.clone());
        Ok(Self {
            path,
            package,
            dialect,
            rules,
            annotations,
            references,
            text,
            ast,
        })
    }
}

pub(super) fn head(rule: &Rule) -> Option<Head> {
    let (refr, function) = match rule {
        Rule::Spec {
            head: RuleHead::Func { refr, .. },
            ..
        } => (refr, true),
        Rule::Spec {
            head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. },
            ..
        } => (refr, false),
        Rule::Default { refr, args, .. } => (refr, !args.is_empty()),
    };
    // `deny[msg] = x` and `a.b[c]` are named by what is constant in front.
    let mut part: &Expr = refr;
    loop {
        if let Some(path) = expression::path_of(part) {
            return Some(Head {
                name: path.join("."),
                line: rule.span().line,
                function,
            });
        }
        match part {
            Expr::RefBrack { refr, .. } | Expr::RefDot { refr, .. } => part = refr,
            _ => return None,
        }
    }
}

/// The first line on which brackets outside strings and comments are nested deeper than `limit`, or that makes the
/// parser's work exceed its budget: it reads each bracket twice, once as a comprehension, so that nesting doubles it.
fn deeper_than(text: &str, limit: usize, budget: u64) -> Option<u32> {
    let (mut depth, mut line, mut work) = (0usize, 1u32, 0u64);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            '(' | '[' | '{' => {
                depth += 1;
                work = work.saturating_add(1 << depth.min(limit));
                if depth > limit || work > budget {
                    return Some(line);
                }
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
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
        assert_eq!(deeper_than("a := [1]\nb := [[1]]\n", 9, 5), Some(2));
    }
}
