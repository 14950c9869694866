//! What rules are defined beneath is a document, if an empty one; and beneath a path that is known only when it runs, what is
//! defined by name is part of it: beside `p[x] contains y`, `p.a contains 1` becomes `p[h] contains 1` with `h := "a"`.
//!
//! Removes: where nothing holds, `p` is undefined to regorus, and not `{}`, with `p.a := x`, `p[x] contains y` or `p[x][y] := z`;
//! and whoever asks for `p.a` gets what is defined by that name alone.

use std::collections::BTreeSet;

use super::super::ast::{Expr, Kind, Module, Rule, Span, Statement, What};
use super::super::parser::is_keyword;
use super::super::symbols::{Symbols, path};
use super::super::walk::{Look, look_expr, look_rule};
use super::{Context, hoist};

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    let mut seeds: Vec<Rule> = Vec::new();
    for rule in &mut module.rules {
        let parts = rule.head.path.len();
        // What a keyword begins will be a package, which is a document already.
        if is_keyword(&rule.head.name.text) {
            continue;
        }
        let full = path(&module.package, rule);
        let inside = (module.package.len() + 2..full.len()).any(|end| opens(&full[..end], context.symbols));
        if rule.head.is_constant() && parts > 0 && !inside {
            add(&mut seeds, seed(rule, parts - 1, context));
        }
        if rule.default || rule.head.args.is_some() {
            continue;
        }
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
            add(&mut seeds, seed(rule, known, context));
        }
    }
    module.rules.append(&mut seeds);
}

/// Adds a rule for a path that none is there for.
fn add(seeds: &mut Vec<Rule>, seed: Rule) {
    let front = |rule: &Rule| {
        (
            rule.head.name.text.clone(),
            rule.head.path[..rule.head.path.len() - 1].to_vec(),
        )
    };
    if !seeds.iter().any(|other| front(other) == front(&seed)) {
        seeds.push(seed);
    }
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
    let body = vec![
        Statement::made(What::Expr(Expr::made(Kind::Bool(false)))),
        bind(&key),
        bind(&value),
    ];
    Rule::made(&rule.head.name.text, path, None, value, Some(body))
}
