//! Two rewritings in front of regorus, each where it would silently give another value than OPA.
//!
//! An undefined operand makes a negated expression undefined to OPA's compiler, which takes operands out of it; regorus
//! calls the negation true, and a missing field passes. And a `with` whose value names a rule leaves that rule, and all
//! that it uses, undefined inside. Both are cured by a statement in front: `h := input.x; not f(h)`, `w := rule; … with
//! input as w`. The text is stitched, so that every line keeps its number. The whole of OPA's compiler is not here.

use std::collections::BTreeSet;

use regorus::unstable::{BoolOp, Expr, Literal, LiteralStmt, Query};

use super::expression::{self, Met};
use super::modules::Module;
use super::references::is_built_in;
use crate::sources::PolicyError;

/// The text of a module as regorus is to read it. `functions` are the full paths of all declared functions.
pub(super) fn rewrite(module: &Module, functions: &BTreeSet<String>) -> Result<String, PolicyError> {
    let mut stitches = Stitches {
        module,
        functions,
        edits: Vec::new(),
        hoisted: 0,
    };
    for rule in &module.ast.policy {
        let mut locals = BTreeSet::new();
        let mut statements = Vec::new();
        expression::walk_rule(rule, &mut |met| match met {
            Met::Local { name, .. } => _ = locals.insert(name),
            Met::Statement(query, statement) => statements.push((query, statement)),
            Met::Reference(_) | Met::Call { .. } | Met::Unify { .. } => {}
        });
        for (query, statement) in statements {
            stitches.statement(query, statement, &locals)?;
        }
    }
    Ok(stitches.apply())
}

struct Stitches<'a> {
    module: &'a Module,
    functions: &'a BTreeSet<String>,
    /// From, to, what stands there instead.
    edits: Vec<(usize, usize, String)>,
    hoisted: usize,
}

impl<'a> Stitches<'a> {
    fn statement(
        &mut self,
        query: &Query,
        statement: &'a LiteralStmt,
        locals: &BTreeSet<&str>,
    ) -> Result<(), PolicyError> {
        let mut front = String::new();
        let mut modifiers = String::new();
        for with in &statement.with_mods {
            let value = self.text(&with.r#as)?;
            let mut used = Vec::new();
            strict(&with.r#as, locals, &mut used);
            let value = if used.is_empty() || self.replaces_function(&with.refr) {
                value
            } else {
                let name = self.name();
                front.push_str(&format!("{name} := {value}; "));
                let span = with.r#as.span();
                self.edits.push((offset(span.start), offset(span.end), name.clone()));
                name
            };
            modifiers.push_str(&format!(" with {} as {value}", self.text(&with.refr)?));
        }
        if let Literal::NotExpr { expr, .. } = &statement.literal {
            if wildcard(expr) {
                let why = "var _ is unsafe inside `not`: iterate in a helper rule and negate that".to_owned();
                return Err(PolicyError::refused(&self.module.path, Some(statement.span.line), why));
            }
            let mut operands = Vec::new();
            negated(expr, locals, &mut operands);
            for operand in operands {
                let name = self.name();
                front.push_str(&format!("{name} := {}{modifiers}; ", self.text(operand)?));
            }
        }
        if front.is_empty() {
            return Ok(());
        }
        let (start, end) = (offset(statement.span.start), offset(statement.span.end));
        if query.stmts.len() == 1 && self.module.text[..start].trim_end().ends_with("if") {
            front.insert_str(0, "{ ");
            self.edits.push((end, end, " }".to_owned()));
        }
        self.edits.push((start, start, front));
        Ok(())
    }

    fn name(&mut self) -> String {
        self.hoisted += 1;
        format!("muster_hoisted_{}", self.hoisted)
    }

    /// `with f as g` replaces a function, and its value is the name of one.
    fn replaces_function(&self, target: &Expr) -> bool {
        let Some(path) = expression::path_of(target) else {
            return false;
        };
        let path = path.join(".");
        let own = format!("data.{}.{path}", self.module.package);
        is_built_in(&path) || [&path, &own].into_iter().any(|path| self.functions.contains(path))
    }

    /// An expression on one line, with the brackets that its span leaves out.
    fn text(&self, expr: &Expr) -> Result<String, PolicyError> {
        let text = expr.span().text();
        if text.contains('\n') && text.contains(['#', '`']) {
            let why = "a comment or raw string stands inside an operand that must be evaluated first: take it out";
            return Err(PolicyError::refused(
                &self.module.path,
                Some(expr.span().line),
                why.to_owned(),
            ));
        }
        let (mut depth, mut lowest, mut quoted, mut escaped) = (0i64, 0i64, false, false);
        for c in text.chars() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '(' if !quoted => depth += 1,
                ')' if !quoted => depth -= 1,
                _ => {}
            }
            lowest = lowest.min(depth);
        }
        let repeat = |bracket: &str, times: i64| bracket.repeat(usize::try_from(times).unwrap_or(0));
        Ok(format!(
            "{}{}{}",
            repeat("(", -lowest),
            text.replace('\n', " "),
            repeat(")", depth - lowest)
        ))
    }

    fn apply(mut self) -> String {
        // Insertions at one place keep their order; what is wrapped around comes after what is inside.
        self.edits.sort_by_key(|(start, end, _)| (*start, *end));
        let mut text = String::with_capacity(self.module.text.len() + 64 * self.edits.len());
        let mut done = 0;
        for (start, end, instead) in &self.edits {
            if *start < done {
                continue; // It lies in what was replaced whole.
            }
            text.push_str(&self.module.text[done..*start]);
            text.push_str(instead);
            done = *end;
        }
        text.push_str(&self.module.text[done..]);
        text
    }
}

fn offset(position: u32) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// The operands of a negated expression that OPA evaluates before it.
fn negated<'a>(expr: &'a Expr, locals: &BTreeSet<&str>, out: &mut Vec<&'a Expr>) {
    match expr {
        Expr::Call { params, .. } => params.iter().for_each(|param| strict(param, locals, out)),
        Expr::BoolExpr {
            op: BoolOp::Eq,
            lhs,
            rhs,
            ..
        }
        | Expr::AssignExpr { lhs, rhs, .. } => {
            for side in [lhs, rhs] {
                match &**side {
                    Expr::RefDot { .. } | Expr::RefBrack { .. } | Expr::Var { .. } => indexes(side, locals, out),
                    side => strict(side, locals, out),
                }
            }
        }
        Expr::BoolExpr { lhs, rhs, .. } | Expr::ArithExpr { lhs, rhs, .. } | Expr::BinExpr { lhs, rhs, .. } => {
            strict(lhs, locals, out);
            strict(rhs, locals, out);
        }
        Expr::Membership {
            key, value, collection, ..
        } => {
            key.iter().for_each(|key| strict(key, locals, out));
            strict(value, locals, out);
            strict(collection, locals, out);
        }
        Expr::UnaryExpr { expr, .. } => strict(expr, locals, out),
        Expr::RefDot { .. } | Expr::RefBrack { .. } | Expr::Var { .. } => indexes(expr, locals, out),
        _ => strict(expr, locals, out),
    }
}

/// An operand that must be defined, if it can be undefined at all.
fn strict<'a>(expr: &'a Expr, locals: &BTreeSet<&str>, out: &mut Vec<&'a Expr>) {
    match expr {
        Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } => {}
        Expr::ArrayCompr { .. } | Expr::SetCompr { .. } | Expr::ObjectCompr { .. } => {}
        Expr::Var { span, .. } if locals.contains(span.text()) => {}
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            let mut inner = Vec::new();
            items.iter().for_each(|item| strict(item, locals, &mut inner));
            if !inner.is_empty() {
                out.push(expr);
            }
        }
        Expr::Object { fields, .. } => {
            let mut inner = Vec::new();
            for (_, key, value) in fields {
                strict(key, locals, &mut inner);
                strict(value, locals, &mut inner);
            }
            if !inner.is_empty() {
                out.push(expr);
            }
        }
        _ => out.push(expr),
    }
}

/// The indexes of a reference; the reference itself may be undefined.
fn indexes<'a>(mut expr: &'a Expr, locals: &BTreeSet<&str>, out: &mut Vec<&'a Expr>) {
    loop {
        match expr {
            Expr::RefDot { refr, .. } => expr = refr,
            Expr::RefBrack { refr, index, .. } => {
                strict(index, locals, out);
                expr = refr;
            }
            Expr::Var { .. } => return,
            other => return strict(other, locals, out),
        }
    }
}

/// Whether `_` stands in an expression, outside comprehensions.
fn wildcard(expr: &Expr) -> bool {
    match expr {
        Expr::Var { span, .. } => span.text() == "_",
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().any(|item| wildcard(item)),
        Expr::Object { fields, .. } => fields.iter().any(|(_, key, value)| wildcard(key) || wildcard(value)),
        Expr::Call { params, .. } => params.iter().any(|param| wildcard(param)),
        Expr::UnaryExpr { expr, .. } => wildcard(expr),
        Expr::RefDot { refr, .. } => wildcard(refr),
        Expr::RefBrack { refr, index, .. } => wildcard(refr) || wildcard(index),
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => wildcard(lhs) || wildcard(rhs),
        Expr::Membership {
            key, value, collection, ..
        } => key.iter().any(|key| wildcard(key)) || wildcard(value) || wildcard(collection),
        _ => false,
    }
}
