//! Terms and infix expressions.
//!
//! A reference ends at white space: `a` and `[1]` on the next line are two statements.

use std::collections::BTreeMap;

use super::super::ast::{Expr, Kind, Operator};
use super::super::fault::{Class, Fault};
use super::super::lexer::Token;
use super::Parser;

impl Parser {
    /// An infix expression, `k, v in xs` among them.
    pub(super) fn infix(&mut self) -> Result<Expr, Fault> {
        self.deeper(|parser| {
            let lhs = parser.operators(None, 1)?;
            parser.membership(lhs, true)
        })
    }

    /// An element of a list, in which a comma separates.
    fn element(&mut self, first: Option<Expr>) -> Result<Expr, Fault> {
        self.deeper(|parser| {
            let lhs = parser.operators(first, 1)?;
            parser.membership(lhs, false)
        })
    }

    fn membership(&mut self, mut lhs: Expr, pairs: bool) -> Result<Expr, Fault> {
        loop {
            let start = lhs.span;
            if self.is(",") && pairs {
                let back = self.at;
                self.advance()?;
                let value = self.operators(None, 1);
                match value {
                    Ok(value) if self.is_word("in") => {
                        self.advance()?;
                        let domain = self.operators(None, 1)?;
                        let kind = Kind::Member(Some(Box::new(lhs)), Box::new(value), Box::new(domain));
                        lhs = Self::expression(kind, self.since(start));
                        if !self.is_word("in") {
                            return Ok(lhs);
                        }
                        continue;
                    }
                    _ => self.at = back,
                }
            }
            if !self.is_word("in") {
                return Ok(lhs);
            }
            self.advance()?;
            let domain = self.operators(None, 1)?;
            lhs = Self::expression(Kind::Member(None, Box::new(lhs), Box::new(domain)), self.since(start));
            if !self.is_word("in") {
                return Ok(lhs);
            }
        }
    }

    fn operator(&self) -> Option<Operator> {
        let Token::Sign(sign) = self.lexeme().token else {
            return None;
        };
        Some(match sign {
            "==" => Operator::Equal,
            "!=" => Operator::NotEqual,
            "<" => Operator::Less,
            "<=" => Operator::LessOrEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterOrEqual,
            "|" => Operator::Or,
            "&" => Operator::And,
            "+" => Operator::Plus,
            "-" => Operator::Minus,
            "*" => Operator::Times,
            "/" => Operator::Divide,
            "%" => Operator::Remainder,
            _ => return None,
        })
    }

    /// Operators that bind at least as tightly as `level`, behind a term that may have been read already.
    fn operators(&mut self, first: Option<Expr>, level: u8) -> Result<Expr, Fault> {
        let mut lhs = match first {
            Some(term) => term,
            None => self.term()?,
        };
        let mut chain = 0;
        while let Some(operator) = self.operator().filter(|operator| operator.level() >= level) {
            chain += 1;
            if chain > super::MAX_DEPTH {
                return Err(self.fault(format!(
                    "more than {chain} operators in one chain: too many to be evaluated"
                )));
            }
            self.advance()?;
            let rhs = self.deeper(|parser| parser.operators(None, operator.level() + 1))?;
            let span = self.since(lhs.span);
            lhs = Self::expression(Kind::Infix(operator, Box::new(lhs), Box::new(rhs)), span);
        }
        Ok(lhs)
    }

    pub(super) fn term(&mut self) -> Result<Expr, Fault> {
        let start = self.span();
        let kind = match self.lexeme().token.clone() {
            Token::Text(text) => {
                self.advance()?;
                Kind::String(text)
            }
            Token::Number(text) => {
                if text.parse::<f64>().is_ok_and(f64::is_infinite) {
                    return Err(self.fault(format!("the number {text} is too large to be evaluated")));
                }
                self.advance()?;
                Kind::Number(text)
            }
            Token::Sign("-") => {
                self.advance()?;
                Kind::Number(format!("-{}", self.digits()?))
            }
            Token::Sign(".") => Kind::Number(self.digits()?),
            Token::Name(name) => match name.as_str() {
                _ if self.leads() => self.scalar(Kind::Var(name))?,
                "null" => self.scalar(Kind::Null)?,
                "true" => self.scalar(Kind::Bool(true))?,
                "false" => self.scalar(Kind::Bool(false))?,
                _ if self.is_name() => self.scalar(Kind::Var(name))?,
                _ => return Err(self.unexpected("is a keyword")),
            },
            Token::Sign("[") => self.deeper(Self::array)?,
            Token::Sign("{") => self.deeper(Self::set_or_object)?,
            Token::Sign("(") => {
                self.advance()?;
                let inner = self.infix()?;
                self.expect(")")?;
                let path = matches!(&inner.kind, Kind::Ref(..)) || matches!(inner.as_var(), Some("input" | "data"));
                if path && !self.lexeme().spaced && super::OPENING.contains(&&self.lexeme().token) {
                    return Err(Fault::new(Class::Parse, start, "illegal ref (head cannot be ref)"));
                }
                inner.kind
            }
            _ => return Err(self.unexpected("expected a term")),
        };
        let head = Self::expression(kind, self.since(start));
        self.reference(head, false)
    }

    /// The term at the beginning of a rule's head.
    pub(super) fn head_term(&mut self) -> Result<Expr, Fault> {
        let start = self.span();
        let Token::Name(name) = self.lexeme().token.clone() else {
            return Err(self.unexpected("expected a rule"));
        };
        self.advance()?;
        self.reference(Self::expression(Kind::Var(name), start), true)
    }

    /// A number without sign, of which the point may be the first.
    fn digits(&mut self) -> Result<String, Fault> {
        let point = self.take(".")?;
        match self.lexeme().token.clone() {
            Token::Number(text) if !(point && text.contains('.')) => {
                self.advance()?;
                Ok(if point { format!("0.{text}") } else { text })
            }
            _ => Err(self.unexpected("expected number")),
        }
    }

    fn scalar(&mut self, kind: Kind) -> Result<Kind, Fault> {
        self.advance()?;
        Ok(kind)
    }

    /// `.name`, `[index]` and `(arguments)` that follow without white space, but for the first of them, if it may be `apart`.
    fn reference(&mut self, mut head: Expr, mut apart: bool) -> Result<Expr, Fault> {
        let start = head.span;
        let mut parts: Vec<Expr> = Vec::new();
        loop {
            let close = std::mem::take(&mut apart) || !self.lexeme().spaced;
            if !(close && (self.is(".") || self.is("[") || self.is("("))) {
                return Ok(self.finish(head, parts, start));
            }
            if parts.len() > super::MAX_DEPTH {
                return Err(self.fault("a reference of too many parts"));
            }
            if matches!(
                head.kind,
                Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) | Kind::Infix(..) | Kind::Member(..)
            ) {
                // An infix expression in round brackets is a call to OPA, and may be indexed.
                if head.is_scalar() {
                    return Err(self.fault("illegal ref (head cannot be a scalar)"));
                }
            }
            if self.take(".")? {
                let span = self.span();
                match self.lexeme().token.clone() {
                    Token::Name(name) if !self.lexeme().spaced => {
                        self.advance()?;
                        parts.push(Self::expression(Kind::String(name), span));
                    }
                    _ => return Err(self.unexpected("expected a name")),
                }
            } else if self.take("[")? {
                if self.is("]") {
                    return Err(self.unexpected("expected an index"));
                }
                let index = self.infix()?;
                self.expect("]")?;
                parts.push(index);
            } else {
                self.advance()?;
                let function = self.finish(head, std::mem::take(&mut parts), start);
                if function.dotted().is_none() {
                    return Err(Fault::new(
                        Class::Parse,
                        start,
                        "only a name or a path of names can be called",
                    ));
                }
                let args = self.deeper(|parser| parser.list(")", None))?;
                self.expect(")")?;
                let kind = match (function.as_var(), args.is_empty()) {
                    (Some("set"), true) => Kind::Set(Vec::new()),
                    _ => Kind::Call(Box::new(function), args),
                };
                head = Self::expression(kind, self.since(start));
            }
        }
    }

    fn finish(&self, head: Expr, parts: Vec<Expr>, start: super::Span) -> Expr {
        if parts.is_empty() {
            return head;
        }
        let span = self.since(start);
        Self::expression(Kind::Ref(Box::new(head), parts), span)
    }

    /// Elements up to a bracket, which stays.
    fn list(&mut self, end: &str, first: Option<Expr>) -> Result<Vec<Expr>, Fault> {
        let mut items = Vec::new();
        if first.is_none() && self.is(end) {
            return Ok(items);
        }
        items.push(self.element(first)?);
        loop {
            if self.is(end) {
                return Ok(items);
            }
            if !self.take(",")? {
                return Err(self.unexpected(&format!("expected , or {end}")));
            }
            if self.is(end) {
                return Ok(items);
            }
            items.push(self.element(None)?);
        }
    }

    fn array(&mut self) -> Result<Kind, Fault> {
        self.advance()?;
        if self.take("]")? {
            return Ok(Kind::Array(Vec::new()));
        }
        let comprehension = !self.take(",")?;
        let term = self.term()?;
        if comprehension && self.is("|") {
            let back = self.at;
            self.advance()?;
            let body = self.statements(Some("]"));
            match body {
                Ok(body) => {
                    self.expect("]")?;
                    return Ok(Kind::ArrayOf(Box::new(term), body));
                }
                Err(fault) if !self.is(",") => return Err(fault),
                Err(_) => self.at = back,
            }
        }
        let items = self.list("]", Some(term))?;
        self.expect("]")?;
        Ok(Kind::Array(items))
    }

    fn set_or_object(&mut self) -> Result<Kind, Fault> {
        self.advance()?;
        if self.take("}")? {
            return Ok(Kind::Object(Vec::new()));
        }
        let comprehension = !self.take(",")?;
        let first = self.term()?;
        if self.is(":") {
            return self.object(first, comprehension);
        }
        if comprehension && self.is("|") {
            let back = self.at;
            self.advance()?;
            match self.statements(Some("}")) {
                Ok(body) => {
                    self.expect("}")?;
                    return Ok(Kind::SetOf(Box::new(first), body));
                }
                Err(fault) if !self.is(",") => return Err(fault),
                Err(_) => self.at = back,
            }
        }
        let first = self.element(Some(first))?;
        if self.is(":") {
            return self.object(first, comprehension);
        }
        let mut items = vec![first];
        if self.take(",")? {
            items.extend(self.list("}", None)?);
        }
        self.expect("}")?;
        Ok(Kind::Set(items))
    }

    /// Behind the first key.
    fn object(&mut self, key: Expr, comprehension: bool) -> Result<Kind, Fault> {
        self.expect(":")?;
        let value = self.term()?;
        if comprehension && self.is("|") {
            self.advance()?;
            let back = self.at;
            match self.statements(Some("}")) {
                Ok(body) => {
                    self.expect("}")?;
                    return Ok(Kind::ObjectOf(Box::new(key), Box::new(value), body));
                }
                Err(fault) if !self.is(",") => return Err(fault),
                Err(_) => self.at = back - 1,
            }
        }
        let value = self.element(Some(value))?;
        let mut fields = vec![(key, value)];
        while self.take(",")? {
            if self.is("}") {
                break;
            }
            let key = self.element(None)?;
            self.expect(":")?;
            fields.push((key, self.element(None)?));
        }
        self.expect("}")?;
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        // Of a key that is written twice there is only the last value.
        for (place, (key, _)) in fields.iter().enumerate() {
            if let Kind::String(text) = &key.kind {
                places.insert(text.clone(), place);
            }
        }
        let mut place = 0..;
        fields.retain(|(key, _)| match (&key.kind, place.next()) {
            (Kind::String(text), place) => places.get(text).copied() == place,
            _ => true,
        });
        Ok(Kind::Object(fields))
    }
}
