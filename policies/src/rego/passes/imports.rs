//! Imports by what they stand for: `image` becomes `data.lib.image`, and the import goes.
//!
//! Removes: regorus refuses late and repeated imports, lets an import shadow locals, and lets one of a module be seen in
//! another module of its package.

use super::super::ast::{Expr, Module};
use super::super::walk::{Rewrite, rewrite_expr, rewrite_rule};
use super::names::replace;

pub(super) fn run(module: &mut Module) {
    let imports = module.imports.iter().filter(|import| !import.is_keyword());
    let paths = imports
        .map(|import| (import.name().to_owned(), import.path.clone()))
        .collect();
    let mut imports = Imports(paths);
    module
        .rules
        .iter_mut()
        .for_each(|rule| rewrite_rule(&mut imports, rule));
    module.imports.retain(super::super::ast::Import::is_keyword);
}

struct Imports(Vec<(String, Vec<String>)>);

impl Rewrite for Imports {
    fn expr(&mut self, expr: &mut Expr) {
        rewrite_expr(self, expr);
        // The last of several imports of one name counts.
        replace(expr, |name| {
            let found = self.0.iter().rev().find(|(there, _)| there == name);
            found.map(|(_, path)| path.clone())
        });
    }
}
