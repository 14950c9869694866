//! Rules: heads, bodies, `else`, and the chained bodies of version 0.

use super::super::ast::{Dialect, Else, Expr, Head, Kind, Name, Rule, Sign, What};
use super::super::fault::{Class, Fault};
use super::super::symbols::is_built_in;
use super::Parser;

impl Parser {
    pub(super) fn rule(&mut self) -> Result<Rule, Fault> {
        let start = self.span();
        let default = self.is_word("default");
        if default {
            self.advance()?;
        }
        if !self.is_name() {
            return Err(self.unexpected("expected a rule"));
        }
        // A head may be written apart from its brackets, but not where nothing else says that it is one.
        let opened = self.lexemes.get(self.at + 1);
        let apart = opened.is_some_and(|next| next.spaced && super::OPENING.contains(&&next.token));
        let mut head = self.head(default)?;
        let has_if = self.is_word("if");
        let mut rule = Rule {
            span: start,
            default,
            head: head.clone(),
            has_if,
            body: None,
            otherwise: Vec::new(),
            more: Vec::new(),
        };
        if default {
            self.check_default(&head)?;
            rule.span = self.since(start);
            return Ok(rule);
        }
        // `p[x]` without value is an element of a set, but with `if` it is a key whose value is true.
        if !has_if && !head.contains && head.args.is_none() && head.value.is_none() && head.path.len() == 1 {
            head.key = head.path.pop();
        }
        rule.head = head;
        if has_if {
            self.advance()?;
            rule.body = Some(self.after_if()?);
        } else if self.is("{") {
            rule.body = Some(self.block()?);
        }
        if self.is_word("with") {
            return Err(self.fault("expressions using with keyword cannot be used for rule head"));
        }
        if rule.body.is_none() && !rule.head.contains {
            if apart {
                return Err(Fault::new(Class::Parse, start, "var cannot be used for rule name"));
            }
            if rule.head.value.is_none() {
                self.check_bare(&rule.head)?;
                if rule.head.path.len() > 1 {
                    rule.head.value = Some((Sign::Unify, Self::expression(Kind::Bool(true), rule.head.span)));
                }
            }
        }
        while self.is_word("else") {
            if rule.otherwise.last().is_some_and(|last| last.body.is_none()) {
                return Err(self.unexpected("nothing follows an else without a body"));
            }
            let partial = !has_if && !rule.head.contains && rule.head.args.is_none() && rule.head.path.len() == 1;
            if rule.head.key.is_some() || partial {
                return Err(self.fault("else keyword cannot be used on multi-value rules"));
            }
            if !rule.head.is_constant() {
                return Err(self.fault("else keyword cannot be used on rules with variables in head"));
            }
            if rule.body.is_none() {
                return Err(self.unexpected("else follows a body"));
            }
            rule.otherwise.push(self.otherwise()?);
        }
        while self.is("{") && rule.body.is_some() {
            if !rule.otherwise.is_empty() {
                return Err(self.fault("expected else keyword"));
            }
            let at = self.span();
            let body = self.block()?;
            rule.more.push((self.since(at), body));
        }
        rule.span = self.since(start);
        if self.dialect == Dialect::V1 {
            check_v1(&rule)?;
        }
        Ok(rule)
    }

    fn head(&mut self, default: bool) -> Result<Head, Fault> {
        let start = self.span();
        let term = self.head_term()?;
        let invalid = |span| Fault::new(Class::Parse, span, "not a rule's head");
        let (target, args) = match term.kind {
            Kind::Call(function, args) => (*function, Some(args)),
            kind => (Self::expression(kind, term.span), None),
        };
        let (name, path) = match target.kind {
            Kind::Var(name) => (
                Name {
                    text: name,
                    span: target.span,
                },
                Vec::new(),
            ),
            Kind::Ref(first, parts) => match first.kind {
                Kind::Var(name) => (
                    Name {
                        text: name,
                        span: first.span,
                    },
                    parts,
                ),
                _ => return Err(invalid(first.span)),
            },
            _ => return Err(invalid(target.span)),
        };
        let mut head = Head {
            span: start,
            name,
            path,
            args,
            key: None,
            contains: false,
            value: None,
        };
        if self.is_word("contains") && !default {
            if head.args.is_some() {
                return Err(self.fault("the contains keyword can only be used with multi-value rule definitions"));
            }
            self.advance()?;
            head.key = Some(self.infix()?);
            head.contains = true;
        } else {
            head.value = self.value()?;
        }
        head.span = self.since(start);
        Ok(head)
    }

    /// `= x` or `:= x`, if one stands here.
    fn value(&mut self) -> Result<Option<(Sign, Expr)>, Fault> {
        let sign = match (self.is("="), self.is(":=")) {
            (true, _) => Sign::Unify,
            (_, true) => Sign::Assign,
            _ => return Ok(None),
        };
        self.advance()?;
        Ok(Some((sign, self.infix()?)))
    }

    /// What follows `if`: one statement, or a block.
    fn after_if(&mut self) -> Result<super::super::ast::Body, Fault> {
        let back = self.at;
        let block = self.is("{");
        match self.statement() {
            // A set is never false: a block is meant.
            Ok(statement) if !block || !matches!(&statement.what, What::Expr(Expr { kind: Kind::Set(_), .. })) => {
                Ok(vec![statement])
            }
            Err(fault) if !block => Err(fault),
            _ => {
                self.at = back;
                self.block()
            }
        }
    }

    fn otherwise(&mut self) -> Result<Else, Fault> {
        let start = self.span();
        self.advance()?;
        let value = self.value()?;
        let has_if = self.is_word("if");
        let body = if has_if {
            self.advance()?;
            Some(match self.is("{") {
                true => self.block()?,
                false => vec![self.statement()?],
            })
        } else if self.is("{") {
            Some(self.block()?)
        } else {
            None
        };
        if value.is_none() && body.is_none() {
            return Err(self.unexpected("expected else value term or rule body"));
        }
        if body.is_some() && !has_if && self.dialect == Dialect::V1 {
            return Err(Fault::new(
                Class::Parse,
                start,
                "`if` keyword is required before rule body",
            ));
        }
        Ok(Else {
            span: self.since(start),
            value,
            has_if,
            body,
        })
    }

    fn check_default(&self, head: &Head) -> Result<(), Fault> {
        let refuse = |span, what: &str| Err(Fault::new(Class::Parse, span, what));
        let Some((_, value)) = &head.value else {
            return Err(self.unexpected("expected default rule value"));
        };
        if !head.is_constant() || head.path.iter().any(|part| !matches!(part.kind, Kind::String(_))) {
            return refuse(head.span, "default rules cannot have variables in their name");
        }
        if let Some(args) = &head.args {
            let mut seen = std::collections::BTreeSet::new();
            for arg in args {
                match arg.as_var() {
                    None => return refuse(arg.span, "illegal default rule: arguments can only be variables"),
                    Some(name) if name != "_" && !seen.insert(name) => {
                        return refuse(arg.span, "illegal default rule: arguments cannot be repeated");
                    }
                    Some(_) => {}
                }
            }
        }
        if !is_default_value(value) {
            return refuse(
                value.span,
                "illegal default rule: value cannot contain a variable, reference or call",
            );
        }
        Ok(())
    }

    /// A head alone.
    fn check_bare(&self, head: &Head) -> Result<(), Fault> {
        let v0 = self.dialect == Dialect::V0;
        if head.args.is_some() {
            let path = head.path.iter().filter_map(|part| match &part.kind {
                Kind::String(name) => Some(name.as_str()),
                _ => None,
            });
            let name: Vec<&str> = std::iter::once(head.name.text.as_str()).chain(path).collect();
            return match is_built_in(&name.join(".")) {
                true => Err(Fault::new(
                    Class::Parse,
                    head.span,
                    "rule name conflicts with built-in function",
                )),
                false => Ok(()),
            };
        }
        if v0 && (head.key.is_some() || head.path.len() > 1) {
            return Ok(());
        }
        let what = match (head.key.is_some(), head.path.is_empty()) {
            (true, _) => "`contains` keyword is required for partial set rules",
            (false, true) => "var cannot be used for rule name",
            (false, false) => "a rule must have a value assignment or a body",
        };
        Err(Fault::new(Class::Parse, head.span, what).hint("did you mean `:=`, `contains` or `if`?"))
    }
}

fn is_default_value(value: &Expr) -> bool {
    match &value.kind {
        Kind::Array(items) | Kind::Set(items) => items.iter().all(is_default_value),
        Kind::Object(fields) => fields.iter().all(|(k, v)| is_default_value(k) && is_default_value(v)),
        // A comprehension is a closed value.
        Kind::ArrayOf(..) | Kind::SetOf(..) | Kind::ObjectOf(..) => true,
        _ => value.is_scalar(),
    }
}

fn check_v1(rule: &Rule) -> Result<(), Fault> {
    let refuse = |what: &str| Err(Fault::new(Class::Parse, rule.head.span, what));
    if rule.head.key.is_some() && !rule.head.contains {
        return refuse("`contains` keyword is required for partial set rules");
    }
    if rule.body.is_some() && !rule.has_if {
        return refuse("`if` keyword is required before rule body");
    }
    Ok(())
}
