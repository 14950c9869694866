//! A path that is known only when it runs begins as an empty document, and what is defined beneath it by name is part of it:
//! beside `p[x] contains y`, `p.a contains 1` becomes `p[h] contains 1` with `h := "a"`.
//!
//! Removes: `p[x] contains y` and `p[x][y] := z` are undefined to regorus where nothing is in them, and not `{}`; and whoever
//! asks for `p.a` gets what is defined by that name alone.

use std::collections::BTreeSet;

use super::super::ast::{Expr, Head, Kind, Module, Name, Rule, Sign, Span, Statement, What};
use super::super::symbols::{Symbols, path};
use super::super::walk::{Look, look_expr, look_rule};
use super::{Context, hoist};

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    let mut seeds: Vec<Rule> = Vec::new();
    for rule in &mut module.rules {
        if rule.default || rule.head.args.is_some() {
            continue;
        }
        let full = path(&module.package, rule);
        let known = full.len() - module.package.len() - 2;
        if rule.head.is_constant() {
            if let Some(length) = above(&full, module.package.len() + 2, context)
                && rule.otherwise.is_empty()
            {
                let part = &mut rule.head.path[length];
                let bound = hoist(part, &mut context.fresh, Span::default());
                rule.body.get_or_insert_default().push(bound);
            }
        } else if rule.head.key.is_some() || known + 1 < rule.head.path.len() {
            let seed = seed(rule, known, context);
            let same =
                |other: &Rule| other.head.name == seed.head.name && other.head.path[..known] == seed.head.path[..known];
            if !seeds
                .iter()
                .any(|other| other.head.path.len() == seed.head.path.len() && same(other))
            {
                seeds.push(seed);
            }
        }
    }
    module.rules.append(&mut seeds);
}

/// How many parts of the rule's path, behind its name, lie in front of what another definition leaves open. None where the
/// rule has a default, which stands by its whole path.
fn above(full: &[String], name: usize, context: &Context<'_>) -> Option<usize> {
    let open = |end: &usize| opens(&full[..*end], context.symbols) && !context.tangled.contains(&full[..*end]);
    let default = context.symbols.at(full).iter().any(|one| one.default);
    (name..full.len()).find(open).map(|end| end - name).filter(|_| !default)
}

fn opens(path: &[String], symbols: &Symbols) -> bool {
    symbols.at(path).iter().any(|one| one.dynamic)
}

/// Paths that something leaves open and beneath which one rule needs another: these stay by their names, since the evaluator
/// would take them all for one rule that needs itself.
pub(crate) fn tangled<'a>(modules: impl Iterator<Item = &'a Module>, symbols: &Symbols) -> BTreeSet<Vec<String>> {
    struct References(Vec<Vec<String>>);
    impl<'a> Look<'a> for References {
        fn expr(&mut self, expr: &'a Expr) {
            if let Some((path, _)) = expr.prefix().filter(|(path, _)| path[0] == "data") {
                self.0.push(path.into_iter().map(str::to_owned).collect());
            }
            look_expr(self, expr);
        }
    }
    let mut found = BTreeSet::new();
    for module in modules {
        for rule in &module.rules {
            let full = path(&module.package, rule);
            for end in module.package.len() + 2..=full.len() {
                if opens(&full[..end], symbols) && !found.contains(&full[..end]) {
                    let mut references = References(Vec::new());
                    look_rule(&mut references, rule);
                    if references.0.iter().any(|path| path.starts_with(&full[..end])) {
                        found.insert(full[..end].to_vec());
                    }
                }
            }
        }
    }
    found
}

/// `p[k] := v if { false; k := 0; v := 0 }`
fn seed(rule: &Rule, known: usize, context: &mut Context<'_>) -> Rule {
    let names = [context.fresh.name("k"), context.fresh.name("v")];
    let zero = || Expr::made(Kind::Number("0".to_owned()));
    let [key, value] = names.map(|name| Expr::var(&name));
    let bind = |name: &Expr| Statement::made(What::Assign(name.clone(), zero()));
    let mut path: Vec<Expr> = rule.head.path[..known].to_vec();
    path.iter_mut().for_each(super::super::walk::unplace);
    path.push(key.clone());
    Rule {
        span: Span::default(),
        default: false,
        head: Head {
            span: Span::default(),
            name: Name {
                text: rule.head.name.text.clone(),
                span: Span::default(),
            },
            path,
            args: None,
            key: None,
            contains: false,
            value: Some((Sign::Assign, value.clone())),
        },
        has_if: true,
        body: Some(vec![
            Statement::made(What::Expr(Expr::made(Kind::Bool(false)))),
            bind(&key),
            bind(&value),
        ]),
        otherwise: Vec::new(),
        more: Vec::new(),
    }
}
