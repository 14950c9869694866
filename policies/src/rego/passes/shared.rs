//! A function that several modules of a package define is one function per module, and one that asks them all.
//!
//! Removes: regorus takes every definition of a function for one of the module that defines it first. It looks up what it
//! knows of arguments and loops there, and finds nothing, or silently what belongs to another line.

use super::super::ast::{Expr, Kind, Module, Rule};
use super::super::symbols::path;
use super::Context;

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    let mut asked: Vec<Vec<String>> = Vec::new();
    let mut added = Vec::new();
    for rule in &mut module.rules {
        let full = path(&module.package, rule);
        let definitions = context.symbols.at(&full);
        let mut places: Vec<usize> = definitions
            .iter()
            .filter(|one| !one.default)
            .map(|one| one.module)
            .collect();
        places.sort_unstable();
        places.dedup();
        if rule.head.args.is_none() || places.len() < 2 {
            continue;
        }
        let default = definitions.iter().find(|one| one.default).map(|one| one.module);
        let home = default.unwrap_or(places[0]);
        if home == context.place && !asked.contains(&full) {
            added.extend(places.iter().map(|place| asking(rule, &module.package, *place)));
            asked.push(full);
        }
        if !rule.default {
            rule.head.name.text = own(&rule.head.name.text, context.place);
        }
    }
    module.rules.append(&mut added);
}

/// The name of what one module defines of a function.
fn own(name: &str, place: usize) -> String {
    format!("l9{place:04}_{name}")
}

/// `f(a0, a1) := data.p.l90001_f(a0, a1)`
fn asking(rule: &Rule, package: &[String], place: usize) -> Rule {
    let mut function = path(package, rule);
    function[package.len() + 1] = own(&rule.head.name.text, place);
    let count = rule.head.args.iter().flatten().count();
    let args: Vec<Expr> = (0..count).map(|number| Expr::var(&format!("a{number}"))).collect();
    let call = Kind::Call(Box::new(Expr::path(&function)), args.clone());
    let rest = rule.head.constant().into_iter().skip(1);
    let path = rest.map(Expr::string).collect();
    Rule::made(&rule.head.name.text, path, Some(args), Expr::made(call), None)
}
