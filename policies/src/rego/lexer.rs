//! From text to tokens, with the white space between them remembered: to Rego it decides where a reference ends.
//!
//! Keywords are names here; the parser knows which of them are in force.

use super::ast::{Comment, Span};
use super::fault::{Class, Fault};

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Name(String),
    Number(String),
    Text(String),
    /// Brackets, operators and separators, as written.
    Sign(&'static str),
    End,
}

/// A token where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    pub(crate) span: Span,
    /// White space or a comment stands in front.
    pub(crate) spaced: bool,
    /// A line ends in front.
    pub(crate) first: bool,
}

/// Longest first where one begins another.
const SIGNS: [&str; 26] = [
    ":=", "==", "!=", "<=", ">=", "{", "}", "[", "]", "(", ")", ",", ";", ":", ".", "=", "<", ">", "+", "-", "*", "/",
    "%", "|", "&", "$",
];

/// All tokens of a text, the last of them [`Token::End`], and its comments.
pub(crate) fn lex(text: &str) -> Result<(Vec<Lexeme>, Vec<Comment>), Fault> {
    let mut lexer = Lexer {
        text,
        at: if text.starts_with('\u{feff}') { 3 } else { 0 },
        line: 1,
        begin: 0,
        lexemes: Vec::with_capacity(text.len() / 4),
        comments: Vec::new(),
    };
    for (letter, what) in [
        ('\0', "illegal null character"),
        ('\u{feff}', "illegal byte-order mark"),
    ] {
        let found = text.match_indices(letter).find(|(at, _)| *at > 0 || letter == '\0');
        if let Some((at, _)) = found {
            lexer.line += u32::try_from(text[..at].matches('\n').count()).unwrap_or(0);
            lexer.at = at + letter.len_utf8();
            return Err(lexer.fault(at, what));
        }
    }
    loop {
        let (from, line) = (lexer.at, lexer.line);
        lexer.space();
        let (spaced, first) = (lexer.at > from, lexer.line > line);
        let (start, line) = (lexer.at, lexer.line);
        let token = lexer.token()?;
        let end = token == Token::End;
        let span = Span {
            start: offset(start),
            end: offset(lexer.at),
            line,
        };
        lexer.lexemes.push(Lexeme {
            token,
            span,
            spaced,
            first,
        });
        if end {
            return Ok((lexer.lexemes, lexer.comments));
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    /// Where the line begins.
    begin: usize,
    lexemes: Vec<Lexeme>,
    comments: Vec<Comment>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn fault(&self, start: usize, what: impl Into<String>) -> Fault {
        let span = Span {
            start: offset(start),
            end: offset(self.at),
            line: self.line,
        };
        Fault::new(Class::Parse, span, what)
    }

    fn space(&mut self) {
        while let Some(byte) = self.byte(0) {
            match byte {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    self.begin = self.at;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'#' => {
                    let line = self.rest().split('\n').next().unwrap_or_default();
                    let length = line.len();
                    let text = line[1..].trim_end_matches('\r').to_owned();
                    let span = Span {
                        start: offset(self.at),
                        end: offset(self.at + length),
                        line: self.line,
                    };
                    let column = offset(self.at - self.begin);
                    self.comments.push(Comment { span, text, column });
                    self.at += length;
                }
                _ => return,
            }
        }
    }

    fn token(&mut self) -> Result<Token, Fault> {
        let Some(byte) = self.byte(0) else {
            return Ok(Token::End);
        };
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let length = self
                    .rest()
                    .bytes()
                    .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
                    .count();
                let name = self.rest()[..length].to_owned();
                self.at += length;
                Ok(Token::Name(name))
            }
            b'0'..=b'9' => self.number(),
            b'"' => self.quoted(),
            b'`' => {
                let start = self.at;
                let Some(length) = self.rest()[1..].find('`') else {
                    self.at = self.text.len();
                    return Err(self.fault(start, "non-terminated raw string"));
                };
                let text = self.rest()[1..=length].to_owned();
                self.at += length + 2;
                for (place, _) in text.match_indices('\n') {
                    self.line += 1;
                    self.begin = start + 2 + place;
                }
                Ok(Token::Text(text))
            }
            _ => match SIGNS.iter().find(|sign| self.rest().starts_with(**sign)) {
                Some(sign) => {
                    self.at += sign.len();
                    Ok(Token::Sign(sign))
                }
                None => {
                    let start = self.at;
                    let c = self.rest().chars().next().unwrap_or('?');
                    self.at += c.len_utf8();
                    Err(self.fault(start, format!("illegal token {c:?}")))
                }
            },
        }
    }

    /// Digits, a fraction, an exponent, as in JSON.
    fn number(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        let digits = |lexer: &mut Self| {
            let from = lexer.at;
            while lexer.byte(0).is_some_and(|b| b.is_ascii_digit()) {
                lexer.at += 1;
            }
            lexer.at - from
        };
        let whole = digits(self);
        let fraction = self.lexemes.last().is_some_and(|last| last.token == Token::Sign("."));
        if whole > 1 && !fraction && self.text.as_bytes().get(start) == Some(&b'0') {
            return Err(self.fault(start, "illegal number format: leading zero"));
        }
        if self.byte(0) == Some(b'.') {
            self.at += 1;
            if digits(self) == 0 {
                return Err(self.fault(start, "illegal number format: expected digits after the point"));
            }
        }
        if matches!(self.byte(0), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(0), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if digits(self) == 0 {
                return Err(self.fault(start, "illegal number format: expected digits in the exponent"));
            }
        }
        if self.byte(0).is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(self.fault(start, "illegal number format"));
        }
        let text = &self.text[start..self.at];
        Ok(Token::Number(if is_scaled_zero(text) { "0" } else { text }.to_owned()))
    }

    /// A string as in JSON.
    fn quoted(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.byte(0) {
                None | Some(b'\n') => return Err(self.fault(start, "non-terminated string")),
                Some(b'\\') => self.at += 2,
                Some(b'"') => break,
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        let written = self.text.get(start..self.at).unwrap_or_default();
        match serde_json::from_str(written) {
            Ok(text) => Ok(Token::Text(text)),
            // A tab and other control characters are taken as they are, as Go's decoder is lenient with none of them.
            Err(_) => Err(self.fault(start, "illegal string: unknown escape or control character")),
        }
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Whether a number is a zero by its mantissa or too small to be another: the evaluator would write out all digits of its exponent.
pub(crate) fn is_scaled_zero(text: &str) -> bool {
    text.contains(['e', 'E']) && text.parse::<f64>() == Ok(0.0)
}
