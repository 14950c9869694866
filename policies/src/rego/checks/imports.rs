//! Imports: none twice in version 1, none unused in strict mode.

use std::collections::BTreeMap;

use super::super::ast::{Dialect, Expr, Kind, Module};
use super::super::fault::{Class, Fault};
use super::super::walk::{Look, look_expr, look_rule};

pub(super) fn check(module: &Module, strict: bool) -> Result<(), Fault> {
    let imports: Vec<_> = module.imports.iter().filter(|import| !import.is_keyword()).collect();
    if module.dialect == Dialect::V1 || strict {
        let mut seen = BTreeMap::new();
        for import in module
            .imports
            .iter()
            .filter(|import| !import.is_keyword() || import.path == ["rego", "v1"])
        {
            if let Some(before) = seen.insert(import.name(), import) {
                let what = format!("import must not shadow import {}", before.path.join("."));
                return Err(
                    Fault::new(Class::Compile, import.span, what).hint("remove one, or give it another name with `as`")
                );
            }
        }
    }
    if strict {
        let mut used = Used::default();
        module.rules.iter().for_each(|rule| look_rule(&mut used, rule));
        if let Some(import) = imports.iter().find(|import| !used.0.contains(import.name())) {
            let what = format!("import {} unused", import.path.join("."));
            return Err(Fault::new(Class::Compile, import.span, what).hint("remove it"));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Used<'a>(std::collections::BTreeSet<&'a str>);

impl<'a> Look<'a> for Used<'a> {
    fn expr(&mut self, expr: &'a Expr) {
        if let Kind::Var(name) = &expr.kind {
            self.0.insert(name);
        }
        look_expr(self, expr);
    }
}
