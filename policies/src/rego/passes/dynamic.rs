//! A path that is known only when it runs begins as an empty document, and what is defined beneath it by name is part of it:
//! beside `p[x] contains y`, `p.a contains 1` becomes `p[h] contains 1` with `h := "a"`.
//!
//! Removes: `p[x] contains y` and `p[x][y] := z` are undefined to regorus where nothing is in them, and not `{}`; and whoever
//! asks for `p.a` gets what is defined by that name alone.

use super::super::ast::{Expr, Head, Kind, Module, Name, Rule, Sign, Span, Statement, What};
use super::super::symbols::path;
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
            let same = |other: &Rule| other.head.name == seed.head.name && other.head.path[..known] == seed.head.path[..known];
            if !seeds.iter().any(|other| other.head.path.len() == seed.head.path.len() && same(other)) {
                seeds.push(seed);
            }
        }
    }
    module.rules.append(&mut seeds);
}

/// How many parts of the rule's path, behind its name, lie in front of what another definition leaves open.
fn above(full: &[String], name: usize, context: &Context<'_>) -> Option<usize> {
    let open = |end: &usize| context.symbols.at(&full[..*end]).iter().any(|one| one.dynamic);
    (name..full.len()).find(open).map(|end| end - name)
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
