//! Rego as OPA 1.10 reads it, versions 0 and 1, by recursive descent.
//!
//! Size, nesting and work are bounded: what lies beyond is refused with its line, never tried. The order in which
//! readings are tried is OPA's, because `{a | b}` has two of them.

mod body;
mod rule;
mod term;

use super::ast::{Comment, Dialect, Expr, Import, Kind, Module, Span};
use super::fault::{Class, Fault};
use super::lexer::{Lexeme, Token, lex};

/// The largest policy file, in bytes.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// How deep brackets, bodies and operators nest.
const MAX_DEPTH: usize = 420;
/// How often a token may be read again because the first reading led nowhere.
const MAX_READINGS: usize = 32;

/// A parsed file and its comments.
#[derive(Debug, Clone)]
pub(crate) struct Parsed {
    pub(crate) module: Module,
    pub(crate) comments: Vec<Comment>,
}

/// Parses a file as one version of the language.
pub(crate) fn parse(text: &str, dialect: Dialect) -> Result<Parsed, Fault> {
    if text.len() > MAX_BYTES {
        let what = format!("{} bytes, the limit is {MAX_BYTES}", text.len());
        return Err(Fault::new(Class::Parse, Span::default(), what));
    }
    let (lexemes, comments) = lex(text)?;
    let mut parser = Parser::new(lexemes, dialect);
    let module = parser.module()?;
    Ok(Parsed { module, comments })
}

const KEYWORDS: [&str; 11] = [
    "as", "default", "else", "false", "import", "not", "null", "package", "some", "true", "with",
];
const FUTURE: [&str; 4] = ["contains", "every", "if", "in"];

/// What continues a reference.
const OPENING: [&Token; 3] = [&Token::Sign("."), &Token::Sign("["), &Token::Sign("(")];

/// Whether a name is a keyword in version 1.
pub(crate) fn is_keyword(name: &str) -> bool {
    KEYWORDS.contains(&name) || FUTURE.contains(&name)
}

struct Parser {
    lexemes: Vec<Lexeme>,
    at: usize,
    dialect: Dialect,
    /// Which of `FUTURE` are keywords.
    future: [bool; 4],
    depth: usize,
    readings: usize,
}

impl Parser {
    fn new(lexemes: Vec<Lexeme>, dialect: Dialect) -> Self {
        Self {
            readings: (lexemes.len() + 64) * MAX_READINGS,
            lexemes,
            at: 0,
            dialect,
            future: [dialect == Dialect::V1; 4],
            depth: 0,
        }
    }

    fn lexeme(&self) -> &Lexeme {
        &self.lexemes[self.at.min(self.lexemes.len() - 1)]
    }

    fn span(&self) -> Span {
        self.lexeme().span
    }

    /// The span from `start` to the end of what was read last.
    fn since(&self, start: Span) -> Span {
        let end = self.at.checked_sub(1).map_or(start.end, |at| self.lexemes[at].span.end);
        Span { end, ..start }
    }

    fn advance(&mut self) -> Result<(), Fault> {
        if self.at + 1 < self.lexemes.len() {
            self.at += 1;
        }
        match self.readings.checked_sub(1) {
            Some(left) => {
                self.readings = left;
                Ok(())
            }
            None => Err(self.fault("too much nesting to be read in reasonable time")),
        }
    }

    fn fault(&self, what: impl Into<String>) -> Fault {
        Fault::new(Class::Parse, self.span(), what)
    }

    /// "unexpected X: why"
    fn unexpected(&self, why: &str) -> Fault {
        let token = match &self.lexeme().token {
            Token::Name(name) => name.clone(),
            Token::Number(text) => text.clone(),
            Token::Text(_) => "string".to_owned(),
            Token::Sign(sign) => (*sign).to_owned(),
            Token::End => "end of file".to_owned(),
        };
        self.fault(format!("unexpected {token}: {why}"))
    }

    fn is(&self, sign: &str) -> bool {
        matches!(&self.lexeme().token, Token::Sign(there) if *there == sign)
    }

    fn take(&mut self, sign: &str) -> Result<bool, Fault> {
        let there = self.is(sign);
        if there {
            self.advance()?;
        }
        Ok(there)
    }

    fn expect(&mut self, sign: &str) -> Result<(), Fault> {
        match self.take(sign)? {
            true => Ok(()),
            false => Err(self.unexpected(&format!("expected {sign}"))),
        }
    }

    fn reserved(&self, name: &str) -> bool {
        KEYWORDS.contains(&name)
            || FUTURE
                .iter()
                .zip(self.future)
                .any(|(keyword, on)| on && *keyword == name)
    }

    /// Whether this keyword stands here and is in force; at the head of a reference it is a name.
    fn is_word(&self, word: &str) -> bool {
        matches!(&self.lexeme().token, Token::Name(name) if name == word) && self.reserved(word) && !self.leads()
    }

    /// Whether a point follows at once.
    fn leads(&self) -> bool {
        let next = self.lexemes.get(self.at + 1);
        next.is_some_and(|next| next.token == Token::Sign(".") && !next.spaced)
    }

    /// Whether a name stands here that is no keyword. `contains` is one only behind a rule's head.
    fn is_name(&self) -> bool {
        matches!(&self.lexeme().token, Token::Name(name) if name == "contains" || !self.reserved(name) || self.leads())
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault(format!("nested more than {MAX_DEPTH} deep: too deeply to be evaluated")));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn module(&mut self) -> Result<Module, Fault> {
        if !self.is_word("package") {
            return Err(self.unexpected("a policy begins with its package"));
        }
        let package_span = self.span();
        self.advance()?;
        let package = self.path("package")?;
        let mut module = Module {
            dialect: self.dialect,
            package,
            package_span: self.since(package_span),
            imports: Vec::new(),
            rules: Vec::new(),
        };
        loop {
            if self.lexeme().token == Token::End {
                return Ok(module);
            }
            if self.is_word("import") {
                let import = self.import()?;
                self.turn_on(&import)?;
                module.imports.push(import);
            } else {
                module.rules.push(self.rule()?);
            }
        }
    }

    /// A path of names; further parts may be keywords.
    fn path(&mut self, of: &str) -> Result<Vec<String>, Fault> {
        if !self.is_name() {
            return Err(self.unexpected(&format!("expected a path after {of}")));
        }
        let start = self.span();
        let term = self.term()?;
        let refuse = |what: &str| Fault::new(Class::Parse, start, format!("{of}: {what}"));
        let path = match &term.kind {
            Kind::Var(_) | Kind::Ref(..) => match term.prefix() {
                Some((path, true)) => path.iter().map(|part| (*part).to_owned()).collect(),
                _ => return Err(refuse("the path must be constant")),
            },
            _ => return Err(refuse("expected a path")),
        };
        Ok(path)
    }

    fn import(&mut self) -> Result<Import, Fault> {
        let start = self.span();
        self.advance()?;
        let path = self.path("import")?;
        let root = path.first().map(String::as_str).unwrap_or_default();
        if !matches!(root, "data" | "input" | "future" | "rego") {
            let what = format!("unexpected import path {root}: a path begins with data, input, future or rego");
            return Err(Fault::new(Class::Parse, start, what));
        }
        let mut alias = None;
        if self.is_word("as") {
            self.advance()?;
            match &self.lexeme().token {
                Token::Name(name) if self.is_name() => alias = Some(name.clone()),
                _ => return Err(self.unexpected("expected a name after as")),
            }
            self.advance()?;
        }
        let last = path.last().map(String::as_str).unwrap_or_default();
        let keyword = KEYWORDS.contains(&last) || self.dialect == Dialect::V1 && FUTURE.contains(&last);
        if alias.is_none() && keyword && root != "future" {
            let what = format!("unexpected import path, must not end with a keyword, got: {last}");
            return Err(Fault::new(Class::Parse, start, what).hint("import a different path or use an alias"));
        }
        let span = self.since(start);
        Ok(Import { span, path, alias })
    }

    fn turn_on(&mut self, import: &Import) -> Result<(), Fault> {
        let refuse = |what: String| Err(Fault::new(Class::Parse, import.span, what));
        let path: Vec<&str> = import.path.iter().map(String::as_str).collect();
        if import.is_keyword() && import.alias.is_some() {
            return refuse(format!("`{}` imports cannot be aliased", path.join(".")));
        }
        match path.as_slice() {
            ["data" | "input", ..] => {}
            ["rego", "v1"] | ["future", "keywords"] => self.future = [true; 4],
            ["future", "keywords", word] => match FUTURE.iter().position(|keyword| keyword == word) {
                Some(place) => {
                    self.future[place] = true;
                    // `every x in …` needs `in` too.
                    self.future[3] |= *word == "every";
                }
                None => {
                    return refuse(format!(
                        "unexpected keyword {word}: must be one of {}",
                        FUTURE.join(", ")
                    ));
                }
            },
            ["rego", ..] => {
                return refuse(format!("invalid import {}: must be rego.v1", path.join(".")));
            }
            _ => {
                return refuse(format!("invalid import {}: must be future.keywords", path.join(".")));
            }
        }
        Ok(())
    }

    fn expression(kind: Kind, span: Span) -> Expr {
        Expr { kind, span }
    }
}

#[cfg(test)]
mod tests;
