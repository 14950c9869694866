//! Bodies: statements, their `with`, `some`, `every` and `not`.

use super::super::ast::{Body, Expr, Kind, Name, Statement, What, With};
use super::super::fault::{Class, Fault};
use super::super::lexer::Token;
use super::Parser;

impl Parser {
    /// `{ statements }`
    pub(super) fn block(&mut self) -> Result<Body, Fault> {
        self.expect("{")?;
        let body = self.deeper(|parser| parser.statements(Some("}")))?;
        self.expect("}")?;
        Ok(body)
    }

    /// Statements up to a bracket, which stays, or to the end of the text.
    pub(super) fn statements(&mut self, end: Option<&str>) -> Result<Body, Fault> {
        let ends = |parser: &Self| match end {
            Some(end) => parser.is(end),
            None => parser.lexeme().token == Token::End,
        };
        if ends(self) {
            return Err(self.fault("found empty body"));
        }
        let mut body = Vec::new();
        loop {
            body.push(self.statement()?);
            if self.take(";")? {
                continue;
            }
            if ends(self) {
                return Ok(body);
            }
            if !self.lexeme().first {
                return Err(self.unexpected(&format!("expected \\n or ; or {}", end.unwrap_or("the end"))));
            }
        }
    }

    pub(super) fn statement(&mut self) -> Result<Statement, Fault> {
        let start = self.span();
        let negated = self.is_word("not");
        if negated {
            self.advance()?;
        }
        let what = if self.is_word("some") {
            if negated {
                return Err(self.unexpected("illegal negation of 'some'"));
            }
            self.some()?
        } else if self.is_word("every") {
            if negated {
                return Err(self.unexpected("illegal negation of 'every'"));
            }
            self.deeper(Self::every)?
        } else {
            let lhs = self.infix()?;
            if self.take(":=")? {
                if negated {
                    return Err(self.unexpected("cannot assign vars inside negated expression"));
                }
                What::Assign(lhs, self.infix()?)
            } else if self.take("=")? {
                What::Unify(lhs, self.infix()?)
            } else {
                What::Expr(lhs)
            }
        };
        let mut with = Vec::new();
        while self.is_word("with") && !matches!(what, What::Some(_)) {
            with.push(self.with()?);
        }
        Ok(Statement {
            span: self.since(start),
            negated,
            what,
            with,
        })
    }

    fn with(&mut self) -> Result<With, Fault> {
        let start = self.span();
        self.advance()?;
        if !self.is_name() {
            return Err(self.unexpected("expected identifier"));
        }
        let target = self.term()?;
        if !matches!(target.kind, Kind::Var(_) | Kind::Ref(..)) {
            return Err(self.unexpected("expected ref or var"));
        }
        if !self.is_word("as") {
            return Err(self.unexpected("expected as keyword"));
        }
        self.advance()?;
        let value = self.infix()?;
        Ok(With {
            span: self.since(start),
            target,
            value,
        })
    }

    fn some(&mut self) -> Result<What, Fault> {
        self.advance()?;
        let back = self.at;
        if let Ok(Expr {
            kind: Kind::Member(key, value, domain),
            ..
        }) = self.infix()
        {
            return Ok(What::SomeIn {
                key: key.map(|key| *key),
                value: *value,
                domain: *domain,
            });
        }
        self.at = back;
        let mut names = Vec::new();
        loop {
            names.push(self.name()?);
            if !self.take(",")? {
                return Ok(What::Some(names));
            }
        }
    }

    fn name(&mut self) -> Result<Name, Fault> {
        let span = self.span();
        match &self.lexeme().token {
            Token::Name(name) if self.is_name() && !self.reserved(name) => {
                let text = name.clone();
                self.advance()?;
                Ok(Name { text, span })
            }
            _ => Err(self.unexpected("expected a variable")),
        }
    }

    fn every(&mut self) -> Result<What, Fault> {
        self.advance()?;
        let start = self.span();
        let head = self.infix()?;
        let Kind::Member(key, value, domain) = head.kind else {
            return Err(Fault::new(
                Class::Parse,
                start,
                "expected `x[, y] in xs { ... }` expression after every",
            ));
        };
        let name = |expr: Expr| match expr.kind {
            Kind::Var(text) => Ok(Name { text, span: expr.span }),
            _ => Err(Fault::new(Class::Parse, expr.span, "expected a variable after every")),
        };
        let key = key.map(|key| name(*key)).transpose()?;
        let value = name(*value)?;
        let body = self.block()?;
        Ok(What::Every {
            key,
            value,
            domain: *domain,
            body,
        })
    }
}
