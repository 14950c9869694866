//! Walking the syntax tree: every expression of a rule, and paths written as references.

use regorus::unstable::{AssignOp, Expr, Literal, LiteralStmt, Query, Ref, Rule, RuleAssign, RuleHead};

/// The parts of a constant path (`a.b["c"]`), if it is one.
pub(super) fn path(expr: &Ref<Expr>) -> Option<Vec<String>> {
    path_of(expr)
}

/// The parts of a constant path, if it is one.
pub(super) fn path_of(mut expr: &Expr) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    loop {
        match expr {
            Expr::Var { span, .. } => {
                parts.push(span.text().to_owned());
                parts.reverse();
                return Some(parts);
            }
            Expr::RefDot { refr, field, .. } => {
                parts.push(field.0.text().to_owned());
                expr = refr;
            }
            Expr::RefBrack { refr, index, .. } => {
                let (Expr::String { value, .. } | Expr::RawString { value, .. }) = &**index else {
                    return None;
                };
                parts.push(value.as_string().ok()?.to_string());
                expr = refr;
            }
            _ => return None,
        }
    }
}

/// The constant parts at the front of a reference (`data.a[x].b` gives `data.a`), if a name stands there.
pub(super) fn prefix(mut expr: &Expr) -> Option<Vec<String>> {
    loop {
        if let Some(path) = path_of(expr) {
            return Some(path);
        }
        match expr {
            Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => expr = refr,
            _ => return None,
        }
    }
}

/// What a walk meets.
pub(super) enum Met<'a> {
    /// A reference or a bare name, whole.
    Reference(&'a Expr),
    /// A call of the function with this name.
    Call { function: &'a Expr, line: u32 },
    /// A name that is local to the rule; declared by `some x`, or bound by a pattern.
    Local { name: &'a str, declared: bool },
    /// `lhs = rhs` or `lhs := rhs`.
    Unify { lhs: &'a Expr, rhs: &'a Expr, line: u32 },
    /// A statement of a query.
    Statement(&'a Query, &'a LiteralStmt),
}

/// Visits every reference, call and declared local of a rule.
pub(super) fn walk_rule<'a>(rule: &'a Rule, visit: &mut dyn FnMut(Met<'a>)) {
    match rule {
        Rule::Default { args, value, .. } => {
            args.iter().for_each(|arg| pattern(arg, visit));
            walk(value, visit);
        }
        Rule::Spec { head, bodies, .. } => {
            match head {
                RuleHead::Compr { refr, assign, .. } => {
                    head_indexes(refr, visit);
                    walk_assign(assign.as_ref(), visit);
                }
                RuleHead::Set { refr, key, .. } => {
                    head_indexes(refr, visit);
                    key.iter().for_each(|key| walk(key, visit));
                }
                RuleHead::Func { args, assign, .. } => {
                    args.iter().for_each(|arg| pattern(arg, visit));
                    walk_assign(assign.as_ref(), visit);
                }
            }
            for body in bodies {
                walk_assign(body.assign.as_ref(), visit);
                walk_query(&body.query, visit);
            }
        }
    }
}

fn head_indexes<'a>(mut refr: &'a Expr, visit: &mut dyn FnMut(Met<'a>)) {
    while let Expr::RefBrack { refr: inner, .. } | Expr::RefDot { refr: inner, .. } = refr {
        if let Expr::RefBrack { index, .. } = refr {
            walk(index, visit);
        }
        refr = inner;
    }
}

fn walk_assign<'a>(assign: Option<&'a RuleAssign>, visit: &mut dyn FnMut(Met<'a>)) {
    assign.iter().for_each(|assign| walk(&assign.value, visit));
}

fn walk_query<'a>(query: &'a Query, visit: &mut dyn FnMut(Met<'a>)) {
    for statement in &query.stmts {
        visit(Met::Statement(query, statement));
        match &statement.literal {
            Literal::SomeVars { vars, .. } => {
                vars.iter().for_each(|name| {
                    visit(Met::Local {
                        name: name.text(),
                        declared: true,
                    })
                });
            }
            Literal::SomeIn {
                key, value, collection, ..
            } => {
                key.iter().for_each(|key| pattern(key, visit));
                pattern(value, visit);
                walk(collection, visit);
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => walk(expr, visit),
            Literal::Every {
                key,
                value,
                domain,
                query,
                ..
            } => {
                key.iter().for_each(|key| {
                    visit(Met::Local {
                        name: key.text(),
                        declared: false,
                    })
                });
                visit(Met::Local {
                    name: value.text(),
                    declared: false,
                });
                walk(domain, visit);
                walk_query(query, visit);
            }
        }
        for with in &statement.with_mods {
            walk(&with.r#as, visit);
        }
    }
}

/// A pattern binds the names that stand in it.
fn pattern<'a>(expr: &'a Expr, visit: &mut dyn FnMut(Met<'a>)) {
    match expr {
        Expr::Var { span, .. } => visit(Met::Local {
            name: span.text(),
            declared: false,
        }),
        Expr::Array { items, .. } => items.iter().for_each(|item| pattern(item, visit)),
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
            walk(key, visit);
            pattern(value, visit);
        }),
        _ => walk(expr, visit),
    }
}

fn walk<'a>(expr: &'a Expr, visit: &mut dyn FnMut(Met<'a>)) {
    match expr {
        Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } => {}
        Expr::Var { .. } => visit(Met::Reference(expr)),
        Expr::RefDot { .. } | Expr::RefBrack { .. } => {
            visit(Met::Reference(expr));
            let mut part = expr;
            loop {
                match part {
                    Expr::RefDot { refr, .. } => part = refr,
                    Expr::RefBrack { refr, index, .. } => {
                        walk(index, visit);
                        part = refr;
                    }
                    Expr::Var { .. } => break,
                    other => return walk(other, visit),
                }
            }
        }
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|item| walk(item, visit)),
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
            walk(key, visit);
            walk(value, visit);
        }),
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
            walk(term, visit);
            walk_query(query, visit);
        }
        Expr::ObjectCompr { key, value, query, .. } => {
            walk(key, visit);
            walk(value, visit);
            walk_query(query, visit);
        }
        Expr::Call { fcn, params, span, .. } => {
            visit(Met::Call {
                function: fcn,
                line: span.line,
            });
            params.iter().for_each(|param| walk(param, visit));
        }
        Expr::UnaryExpr { expr, .. } => walk(expr, visit),
        Expr::BinExpr { lhs, rhs, .. } | Expr::BoolExpr { lhs, rhs, .. } | Expr::ArithExpr { lhs, rhs, .. } => {
            walk(lhs, visit);
            walk(rhs, visit);
        }
        Expr::AssignExpr { op, lhs, rhs, span, .. } => {
            visit(Met::Unify {
                lhs,
                rhs,
                line: span.line,
            });
            if *op == AssignOp::ColEq {
                pattern(lhs, visit)
            } else {
                walk(lhs, visit)
            }
            walk(rhs, visit);
        }
        Expr::Membership {
            key, value, collection, ..
        } => {
            key.iter().for_each(|key| walk(key, visit));
            walk(value, visit);
            walk(collection, visit);
        }
    }
}
