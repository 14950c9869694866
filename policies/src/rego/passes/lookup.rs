//! A package that is chosen when it runs is asked for one rule only: `data.p[x].deny` becomes `d(x)`, where `d("a")` is
//! `data.p.a.deny` and so on for every package that has such a rule.
//!
//! Removes: regorus evaluates all that is beneath `data.p` first, tests among it, and calls whatever leads there recursive.

use std::collections::BTreeSet;

use super::super::ast::{Expr, Head, Kind, Module, Name, Operator, Rule, Sign, Span, Statement, What};
use super::super::symbols::Symbols;
use super::super::walk::{Look, Rewrite, look_rule, look_statement, rewrite_expr, rewrite_rule, rewrite_statement};
use super::{Context, pattern};

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    let mut lookup = Lookup {
        symbols: context.symbols,
        package: format!("muster_lookup_{}", context.place),
        known: BTreeSet::new(),
        asked: Vec::new(),
        rules: Vec::new(),
    };
    for rule in &mut module.rules {
        let mut known = Known(BTreeSet::new());
        rule.head.args.iter().flatten().for_each(|arg| known.take(arg));
        look_rule(&mut known, rule);
        lookup.known = known.0;
        rewrite_rule(&mut lookup, rule);
    }
    if !lookup.rules.is_empty() {
        context.apart.push(Module {
            dialect: module.dialect,
            package: vec![lookup.package],
            package_span: Span::default(),
            imports: Vec::new(),
            rules: lookup.rules,
        });
    }
}

/// What a rule's statements give a value; every name is its own.
struct Known(BTreeSet<String>);

impl Known {
    fn take(&mut self, names: &Expr) {
        let mut found = Vec::new();
        pattern(names, &mut found);
        self.0.extend(found.into_iter().map(|(name, _)| name.to_owned()));
    }
}

impl<'a> Look<'a> for Known {
    fn statement(&mut self, statement: &'a Statement) {
        match &statement.what {
            What::Assign(lhs, _) => self.take(lhs),
            What::SomeIn { key, value, .. } => key.iter().chain([value]).for_each(|names| self.take(names)),
            What::Every { key, value, .. } => {
                self.0.extend(key.iter().chain([value]).map(|name| name.text.clone()));
            }
            _ => {}
        }
        look_statement(self, statement);
    }
}

struct Lookup<'a> {
    symbols: &'a Symbols,
    package: String,
    /// Names that some statement of the rule gives a value.
    known: BTreeSet<String>,
    /// Paths in front of and behind the part that is chosen; the place is that of the function.
    asked: Vec<(Vec<String>, Vec<String>)>,
    rules: Vec<Rule>,
}

impl Lookup<'_> {
    fn is_known(&self, part: &Expr) -> bool {
        match &part.kind {
            Kind::Var(name) => self.known.contains(name),
            Kind::Ref(..) | Kind::Call(..) => true,
            _ => false,
        }
    }

    /// What the part may be for there to be a rule; none where a document above rules is meant, or a rule's own value.
    fn choices(&self, front: &[String], behind: &[String]) -> Option<BTreeSet<String>> {
        let mut choices = BTreeSet::new();
        for (path, found) in self.symbols.all() {
            let function = found.iter().any(|one| one.arity.is_some());
            if front.starts_with(path) && !function {
                return None;
            }
            let Some(rest) = path.strip_prefix(front).filter(|rest| !rest.is_empty() && !function) else {
                continue;
            };
            if behind.starts_with(&rest[1..]) && rest.len() > 1 {
                choices.insert(rest[0].clone());
            } else if rest[1..].starts_with(behind) {
                return None;
            }
        }
        (!choices.is_empty()).then_some(choices)
    }

    /// The function that looks up, by its path.
    fn function(&mut self, front: Vec<String>, behind: Vec<String>, choices: &BTreeSet<String>) -> Expr {
        let asked = (front, behind);
        let place = self.asked.iter().position(|one| *one == asked).unwrap_or_else(|| {
            let place = self.asked.len();
            let (front, behind) = &asked;
            for choice in choices {
                let path: Vec<String> = front.iter().chain([choice]).chain(behind).cloned().collect();
                let equal = Kind::Infix(
                    Operator::Equal,
                    Box::new(Expr::var("k")),
                    Box::new(Expr::string(choice)),
                );
                let chosen = Statement::made(What::Expr(Expr::made(equal)));
                self.rules.push(looking(place, chosen, Expr::path(&path)));
            }
            // Anything else may be data.
            let all = choices.iter().map(|choice| Expr::string(choice)).collect();
            let among = Kind::Member(None, Box::new(Expr::var("k")), Box::new(Expr::made(Kind::Set(all))));
            let mut other = Statement::made(What::Expr(Expr::made(among)));
            other.negated = true;
            let parts = front[1..].iter().map(|part| Expr::string(part));
            let parts = parts
                .chain([Expr::var("k")])
                .chain(behind.iter().map(|part| Expr::string(part)));
            let path = Kind::Ref(Box::new(Expr::var(&front[0])), parts.collect());
            self.rules.push(looking(place, other, Expr::made(path)));
            self.asked.push(asked);
            place
        });
        Expr::path(&["data".to_owned(), self.package.clone(), format!("d{place}")])
    }
}

/// `d0(k) := v if { chosen; v := value }`
fn looking(place: usize, chosen: Statement, value: Expr) -> Rule {
    let name = Name {
        text: format!("d{place}"),
        span: Span::default(),
    };
    let bound = Statement::made(What::Assign(Expr::var("v"), value));
    Rule {
        span: Span::default(),
        default: false,
        head: Head {
            span: Span::default(),
            name,
            path: Vec::new(),
            args: Some(vec![Expr::var("k")]),
            key: None,
            contains: false,
            value: Some((Sign::Assign, Expr::var("v"))),
        },
        has_if: true,
        body: Some(vec![chosen, bound]),
        otherwise: Vec::new(),
        more: Vec::new(),
    }
}

impl Rewrite for Lookup<'_> {
    fn statement(&mut self, statement: &mut Statement) {
        // What a `with` replaces stays a path.
        let with = std::mem::take(&mut statement.with);
        rewrite_statement(self, statement);
        statement.with = with;
    }

    fn expr(&mut self, expr: &mut Expr) {
        rewrite_expr(self, expr);
        let Kind::Ref(head, parts) = &mut expr.kind else { return };
        let fixed = |part: &Expr| match &part.kind {
            Kind::String(text) => Some(text.clone()),
            _ => None,
        };
        let Some(at) = parts.iter().position(|part| fixed(part).is_none()) else {
            return;
        };
        if head.as_var() != Some("data") || !self.is_known(&parts[at]) {
            return;
        }
        let front: Vec<String> = std::iter::once("data".to_owned())
            .chain(parts[..at].iter().filter_map(fixed))
            .collect();
        let behind: Vec<String> = parts[at + 1..].iter().map_while(fixed).collect();
        let Some(choices) = self.choices(&front, &behind) else {
            return;
        };
        let rest = parts.split_off(at + 1 + behind.len());
        let chosen = parts.swap_remove(at);
        let function = self.function(front, behind, &choices);
        let call = Kind::Call(Box::new(function), vec![chosen]);
        expr.kind = match rest.is_empty() {
            true => call,
            false => Kind::Ref(Box::new(Expr::made(call)), rest),
        };
    }
}
