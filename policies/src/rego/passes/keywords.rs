//! A rule whose path begins with a keyword goes into a package of that name: `as.foo := 1` is `foo := 1` in `package p["as"]`.
//!
//! Removes: regorus takes keywords as names behind a point only.

use std::collections::BTreeMap;

use super::super::ast::{Kind, Module, Name};
use super::super::parser::is_keyword;
use super::Context;

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    let mut apart: BTreeMap<Vec<String>, Module> = BTreeMap::new();
    let rules = std::mem::take(&mut module.rules);
    for mut rule in rules {
        let mut package = module.package.clone();
        while is_keyword(&rule.head.name.text)
            && let Some(Kind::String(text)) = rule.head.path.first().map(|part| &part.kind)
        {
            let name = Name {
                text: text.clone(),
                span: rule.head.name.span,
            };
            let keyword = std::mem::replace(&mut rule.head.name, name);
            rule.head.path.remove(0);
            package.push(keyword.text);
        }
        if package.len() == module.package.len() {
            module.rules.push(rule);
            continue;
        }
        let target = apart.entry(package.clone()).or_insert_with(|| Module {
            dialect: module.dialect,
            package,
            package_span: module.package_span,
            imports: Vec::new(),
            rules: Vec::new(),
        });
        target.rules.push(rule);
    }
    context.apart.extend(apart.into_values());
}
