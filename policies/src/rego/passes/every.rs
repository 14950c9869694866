//! What `every` goes through is assigned in its body: `every x in e { … }` becomes `every h in e { x := h; … }`.
//!
//! Removes: to regorus's scheduler the variables of `every` are bound by nothing: in `every x in e { y = x; … }` it refuses the
//! equation, and in `every x in e { input.o[k] = x }` it holds for any `k` there is.

use super::super::ast::{Body, Expr, Module, Name, Statement, What};
use super::{Context, Fresh, Split, split_rules};

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    split_rules(&mut Every(&mut context.fresh), &mut module.rules);
}

struct Every<'a>(&'a mut Fresh);

impl Split for Every<'_> {
    fn split(&mut self, mut statement: Statement, out: &mut Body) {
        if let What::Every { key, value, body, .. } = &mut statement.what {
            let mut front: Body = Vec::with_capacity(2);
            for name in key.iter_mut().chain([value]) {
                front.extend(self.assign(name, statement.span));
            }
            front.append(body);
            *body = front;
        }
        out.push(statement);
    }
}

impl Every<'_> {
    /// Puts a new name in the place of one, and assigns it to that.
    fn assign(&mut self, name: &mut Name, at: super::super::ast::Span) -> Option<Statement> {
        if name.text.starts_with('$') {
            return None;
        }
        let through = self.0.name("h");
        let old = std::mem::replace(&mut name.text, through.clone());
        Some(Statement {
            span: at,
            ..Statement::made(What::Assign(Expr::var(&old), Expr::var(&through)))
        })
    }
}
