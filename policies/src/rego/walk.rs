//! Walks over the tree: to look, and to rewrite.
//!
//! A walk visits what is evaluated, in the order of the text; names that a `some` or `every` declares are no expressions.

use super::ast::{Body, Expr, Kind, Rule, Statement, What};

/// A walk that looks. Whoever overrides a method calls the function of its name to go on beneath.
pub(crate) trait Look<'a> {
    fn expr(&mut self, expr: &'a Expr) {
        look_expr(self, expr);
    }

    fn body(&mut self, body: &'a Body) {
        look_body(self, body);
    }

    fn statement(&mut self, statement: &'a Statement) {
        look_statement(self, statement);
    }
}

pub(crate) fn look_rule<'a>(look: &mut (impl Look<'a> + ?Sized), rule: &'a Rule) {
    look_head(look, rule);
    rule.body.iter().for_each(|body| look.body(body));
    for otherwise in &rule.otherwise {
        otherwise.value.iter().for_each(|(_, value)| look.expr(value));
        otherwise.body.iter().for_each(|body| look.body(body));
    }
    rule.more.iter().for_each(|(_, body)| look.body(body));
}

pub(crate) fn look_head<'a>(look: &mut (impl Look<'a> + ?Sized), rule: &'a Rule) {
    rule.head.path.iter().for_each(|part| look.expr(part));
    rule.head.args.iter().flatten().for_each(|arg| look.expr(arg));
    rule.head.key.iter().for_each(|key| look.expr(key));
    rule.head.value.iter().for_each(|(_, value)| look.expr(value));
}

pub(crate) fn look_body<'a>(look: &mut (impl Look<'a> + ?Sized), body: &'a Body) {
    body.iter().for_each(|statement| look.statement(statement));
}

pub(crate) fn look_statement<'a>(look: &mut (impl Look<'a> + ?Sized), statement: &'a Statement) {
    look_what(look, &statement.what);
    for with in &statement.with {
        look.expr(&with.target);
        look.expr(&with.value);
    }
}

/// A statement without its `with`.
pub(crate) fn look_what<'a>(look: &mut (impl Look<'a> + ?Sized), what: &'a What) {
    match what {
        What::Expr(expr) => look.expr(expr),
        What::Assign(lhs, rhs) | What::Unify(lhs, rhs) => {
            look.expr(lhs);
            look.expr(rhs);
        }
        What::Some(_) => {}
        What::SomeIn { key, value, domain } => {
            key.iter().for_each(|key| look.expr(key));
            look.expr(value);
            look.expr(domain);
        }
        What::Every { domain, body, .. } => {
            look.expr(domain);
            look.body(body);
        }
    }
}

pub(crate) fn look_expr<'a>(look: &mut (impl Look<'a> + ?Sized), expr: &'a Expr) {
    match &expr.kind {
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) | Kind::Var(_) => {}
        Kind::Ref(head, parts) => {
            look.expr(head);
            parts.iter().for_each(|part| look.expr(part));
        }
        Kind::Call(function, args) => {
            look.expr(function);
            args.iter().for_each(|arg| look.expr(arg));
        }
        Kind::Array(items) | Kind::Set(items) => items.iter().for_each(|item| look.expr(item)),
        Kind::Object(fields) => fields.iter().for_each(|(key, value)| {
            look.expr(key);
            look.expr(value);
        }),
        Kind::ArrayOf(term, body) | Kind::SetOf(term, body) => {
            look.expr(term);
            look.body(body);
        }
        Kind::ObjectOf(key, value, body) => {
            look.expr(key);
            look.expr(value);
            look.body(body);
        }
        Kind::Infix(_, lhs, rhs) => {
            look.expr(lhs);
            look.expr(rhs);
        }
        Kind::Member(key, value, domain) => {
            key.iter().for_each(|key| look.expr(key));
            look.expr(value);
            look.expr(domain);
        }
    }
}

/// A walk that rewrites. Whoever overrides a method calls the function of its name to go on beneath.
pub(crate) trait Rewrite {
    fn expr(&mut self, expr: &mut Expr) {
        rewrite_expr(self, expr);
    }

    fn body(&mut self, body: &mut Body) {
        rewrite_body(self, body);
    }

    fn statement(&mut self, statement: &mut Statement) {
        rewrite_statement(self, statement);
    }
}

pub(crate) fn rewrite_rule(rewrite: &mut (impl Rewrite + ?Sized), rule: &mut Rule) {
    rewrite_head(rewrite, rule);
    rule.body.iter_mut().for_each(|body| rewrite.body(body));
    for otherwise in &mut rule.otherwise {
        otherwise.value.iter_mut().for_each(|(_, value)| rewrite.expr(value));
        otherwise.body.iter_mut().for_each(|body| rewrite.body(body));
    }
    rule.more.iter_mut().for_each(|(_, body)| rewrite.body(body));
}

pub(crate) fn rewrite_head(rewrite: &mut (impl Rewrite + ?Sized), rule: &mut Rule) {
    rule.head.path.iter_mut().for_each(|part| rewrite.expr(part));
    rule.head.args.iter_mut().flatten().for_each(|arg| rewrite.expr(arg));
    rule.head.key.iter_mut().for_each(|key| rewrite.expr(key));
    rule.head.value.iter_mut().for_each(|(_, value)| rewrite.expr(value));
}

pub(crate) fn rewrite_body(rewrite: &mut (impl Rewrite + ?Sized), body: &mut Body) {
    body.iter_mut().for_each(|statement| rewrite.statement(statement));
}

pub(crate) fn rewrite_statement(rewrite: &mut (impl Rewrite + ?Sized), statement: &mut Statement) {
    match &mut statement.what {
        What::Expr(expr) => rewrite.expr(expr),
        What::Assign(lhs, rhs) | What::Unify(lhs, rhs) => {
            rewrite.expr(lhs);
            rewrite.expr(rhs);
        }
        What::Some(_) => {}
        What::SomeIn { key, value, domain } => {
            key.iter_mut().for_each(|key| rewrite.expr(key));
            rewrite.expr(value);
            rewrite.expr(domain);
        }
        What::Every { domain, body, .. } => {
            rewrite.expr(domain);
            rewrite.body(body);
        }
    }
    for with in &mut statement.with {
        rewrite.expr(&mut with.target);
        rewrite.expr(&mut with.value);
    }
}

pub(crate) fn rewrite_expr(rewrite: &mut (impl Rewrite + ?Sized), expr: &mut Expr) {
    match &mut expr.kind {
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) | Kind::Var(_) => {}
        Kind::Ref(head, parts) => {
            rewrite.expr(head);
            parts.iter_mut().for_each(|part| rewrite.expr(part));
        }
        Kind::Call(function, args) => {
            rewrite.expr(function);
            args.iter_mut().for_each(|arg| rewrite.expr(arg));
        }
        Kind::Array(items) | Kind::Set(items) => items.iter_mut().for_each(|item| rewrite.expr(item)),
        Kind::Object(fields) => fields.iter_mut().for_each(|(key, value)| {
            rewrite.expr(key);
            rewrite.expr(value);
        }),
        Kind::ArrayOf(term, body) | Kind::SetOf(term, body) => {
            rewrite.expr(term);
            rewrite.body(body);
        }
        Kind::ObjectOf(key, value, body) => {
            rewrite.expr(key);
            rewrite.expr(value);
            rewrite.body(body);
        }
        Kind::Infix(_, lhs, rhs) => {
            rewrite.expr(lhs);
            rewrite.expr(rhs);
        }
        Kind::Member(key, value, domain) => {
            key.iter_mut().for_each(|key| rewrite.expr(key));
            rewrite.expr(value);
            rewrite.expr(domain);
        }
    }
}

/// Takes its lines from a tree, so that it prints wherever it is put.
pub(crate) fn unplace(expr: &mut Expr) {
    struct Unplace;
    impl Rewrite for Unplace {
        fn expr(&mut self, expr: &mut Expr) {
            expr.span.line = 0;
            rewrite_expr(self, expr);
        }

        fn statement(&mut self, statement: &mut Statement) {
            statement.span.line = 0;
            statement.with.iter_mut().for_each(|with| with.span.line = 0);
            rewrite_statement(self, statement);
        }
    }
    Unplace.expr(expr);
}
