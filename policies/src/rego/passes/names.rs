//! Rules by their full path: `r` becomes `data.p.r`, in calls and behind `with` too.
//!
//! Removes: what a bare name means to regorus depends on what else is in scope, and `with r as 5` knows no bare name.

use super::super::ast::{Expr, Kind, Module};
use super::super::walk::{Rewrite, rewrite_expr, rewrite_rule};
use super::Context;

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    let imports = module.imports.iter().filter(|import| !import.is_keyword());
    let imported: Vec<String> = imports.map(|import| import.name().to_owned()).collect();
    let mut prefix = vec!["data".to_owned()];
    prefix.extend(module.package.iter().cloned());
    let package = module.package.clone();
    let symbols = context.symbols;
    let mut names = Names {
        is_rule: &|name| symbols.defines(&package, name) && !imported.iter().any(|import| import == name),
        prefix,
    };
    module.rules.iter_mut().for_each(|rule| rewrite_rule(&mut names, rule));
}

struct Names<'a> {
    is_rule: &'a dyn Fn(&str) -> bool,
    prefix: Vec<String>,
}

impl Rewrite for Names<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        rewrite_expr(self, expr);
        replace(expr, |name| {
            (self.is_rule)(name).then(|| {
                let mut path = self.prefix.clone();
                path.push(name.to_owned());
                path
            })
        });
    }
}

/// Puts a path in the place of a name, or of the name at the head of a reference that has been seen to.
pub(super) fn replace(expr: &mut Expr, path: impl Fn(&str) -> Option<Vec<String>>) {
    if let Kind::Var(name) = &expr.kind
        && let Some(path) = path(name)
    {
        expr.kind = Expr::path(&path).kind;
        return;
    }
    // A reference whose head has become one itself.
    if let Kind::Ref(head, parts) = &mut expr.kind
        && let Kind::Ref(root, front) = &mut head.kind
    {
        let mut all = std::mem::take(front);
        all.append(parts);
        let root = std::mem::replace(&mut **root, Expr::made(Kind::Null));
        expr.kind = Kind::Ref(Box::new(root), all);
    }
}
