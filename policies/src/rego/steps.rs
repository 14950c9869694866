//! Rules beside a rule that tell how far its bodies hold: for each statement, what is known in front of it.
//!
//! For a body of n statements there are n + 1 rules; rule k holds the first k statements, in the order in which variables become known,
//! and gives the values of what the next one looks at. A rule without an element is a front that does not hold: the statement before is
//! the one that was false or undefined. They stand in the rule's package: whoever asks for a package as a whole sees them too, so that
//! they are for explaining and never for a verdict.

use super::ast::{Body, Expr, Head, Kind, Module, Name, Rule, Span, Statement, What};
use super::checks::is_safe;
use super::passes::original;
use super::twins::Unplace;
use super::walk::{Look, look_expr, rewrite_rule};

/// Bodies of more statements are not taken apart: the work grows with their square.
const MAX_STATEMENTS: usize = 40;

/// One body of a rule.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    /// The place of its source.
    pub(crate) place: usize,
    /// The rule's name within its package.
    pub(crate) name: String,
    pub(crate) line: u32,
    pub(crate) statements: Vec<Front>,
    /// What the head gives.
    pub(crate) head: Front,
}

/// One statement, and what is known in front of it.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    pub(crate) span: Span,
    /// How many statements are evaluated before it.
    pub(crate) rank: usize,
    /// The rule that gives, for each way to get here, a list with the values of each part.
    pub(crate) rule: String,
    /// What the statement looks at, where it stands.
    pub(crate) parts: Vec<Span>,
}

/// Adds the rules for each rule of a module that has conditions and is neither function nor default.
pub(super) fn add(place: usize, module: &mut Module, out: &mut Vec<Steps>) {
    let mut added = Vec::new();
    for rule in &module.rules {
        if rule.default || rule.head.args.is_some() || rule.span.line == 0 {
            continue;
        }
        let head = &rule.head;
        let terms: Vec<&Expr> = head.path.iter().chain(&head.key).collect();
        let value = head.value.iter().map(|(_, value)| value);
        let own = (
            rule.span,
            rule.body.as_ref(),
            terms.into_iter().chain(value).collect::<Vec<_>>(),
        );
        let others = rule.otherwise.iter().map(|otherwise| {
            let value = otherwise.value.iter().map(|(_, value)| value);
            (otherwise.span, otherwise.body.as_ref(), value.collect())
        });
        for (span, body, terms) in std::iter::once(own).chain(others) {
            let body = body.map(Vec::as_slice).unwrap_or_default();
            if body.len() > MAX_STATEMENTS {
                continue;
            }
            let mut adder = Adder {
                prefix: format!("muster_step_{place}_{}", out.len()),
                rule,
                added: &mut added,
            };
            let Some((statements, head)) = adder.body(body, &terms) else {
                continue;
            };
            out.push(Steps {
                place,
                name: rule.head.constant().join("."),
                line: span.line,
                statements,
                head,
            });
        }
    }
    module.rules.append(&mut added);
}

struct Adder<'a> {
    prefix: String,
    rule: &'a Rule,
    added: &'a mut Vec<Rule>,
}

impl Adder<'_> {
    fn body(&mut self, body: &[Statement], terms: &[&Expr]) -> Option<(Vec<Front>, Front)> {
        let ordered = ordered(body)?;
        let mut steps = Vec::new();
        for (count, statement) in ordered.iter().enumerate() {
            if !matches!(statement.what, What::Some(_)) {
                let parts = parts(statement);
                steps.push(self.step(&ordered[..count], statement.span, &parts, &statement.with));
            }
        }
        let parts: Vec<&Expr> = terms.iter().copied().filter(|term| term.span.end > 0).collect();
        let head = self.step(&ordered, self.rule.head.span, &parts, &[]);
        steps.sort_by_key(|step| step.span.start);
        Some((steps, head))
    }

    fn step(&mut self, front: &[Statement], span: Span, parts: &[&Expr], with: &[super::ast::With]) -> Front {
        let mut shown = Vec::new();
        let mut values = Vec::new();
        for part in parts {
            let value = Expr::var(&format!("step_value_{}", values.len()));
            let statement = Statement {
                with: with.to_vec(),
                ..Statement::made(What::Assign(value.clone(), (*part).clone()))
            };
            let whole: Body = front.iter().cloned().chain([statement.clone()]).collect();
            if is_safe(&whole, &[&value]) {
                shown.push(part.span);
                values.push(Expr::made(Kind::ArrayOf(Box::new(value), vec![statement])));
            }
        }
        let name = format!("{}_{}", self.prefix, self.added.len());
        let body: Body = front.to_vec();
        let mut rule = Rule {
            span: Span::default(),
            default: false,
            head: Head {
                span: Span::default(),
                name: Name {
                    text: name.clone(),
                    span: Span::default(),
                },
                path: Vec::new(),
                args: None,
                key: Some(Expr::made(Kind::Array(values))),
                contains: true,
                value: None,
            },
            has_if: !body.is_empty(),
            body: Some(body).filter(|body| !body.is_empty()),
            otherwise: Vec::new(),
            more: Vec::new(),
        };
        rewrite_rule(&mut Unplace, &mut rule);
        self.added.push(rule);
        Front {
            span,
            rank: front.len(),
            rule: name,
            parts: shown,
        }
    }
}

/// The statements in an order in which each one's variables are known; nothing where there is none.
fn ordered(body: &[Statement]) -> Option<Vec<Statement>> {
    let mut left: Vec<&Statement> = body.iter().collect();
    let mut ordered: Body = Vec::new();
    while !left.is_empty() {
        let next = left.iter().position(|statement| {
            ordered.push((*statement).clone());
            let safe = is_safe(&ordered, &[]);
            ordered.pop();
            safe
        })?;
        ordered.push(left.remove(next).clone());
    }
    Some(ordered)
}

/// The references, calls and variables that a statement looks at, outermost first.
fn parts(statement: &Statement) -> Vec<&Expr> {
    struct Parts<'a>(Vec<&'a Expr>);
    impl<'a> Look<'a> for Parts<'a> {
        fn expr(&mut self, expr: &'a Expr) {
            let mut take = || {
                if expr.span.end > 0 && !self.0.contains(&expr) {
                    self.0.push(expr);
                }
            };
            match &expr.kind {
                Kind::Var(name) if original(name) == "_" => {}
                Kind::Var(_) | Kind::Ref(..) => take(),
                Kind::Call(_, args) => {
                    take();
                    args.iter().for_each(|arg| self.expr(arg));
                }
                Kind::ArrayOf(..) | Kind::SetOf(..) | Kind::ObjectOf(..) => take(),
                _ => look_expr(self, expr),
            }
        }
    }
    let mut parts = Parts(Vec::new());
    match &statement.what {
        What::Expr(expr) | What::Assign(_, expr) => parts.expr(expr),
        What::Unify(lhs, rhs) => [lhs, rhs].into_iter().for_each(|side| parts.expr(side)),
        What::SomeIn { domain, .. } | What::Every { domain, .. } => parts.expr(domain),
        What::Some(_) => {}
    }
    parts.0
}
