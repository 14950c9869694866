//! A call with one argument more than the function takes binds its value: `f(x, y)` becomes `y = f(x)`.
//!
//! Removes: extensions take no such argument, and regorus would call them with one too many.

use super::super::ast::{Body, Expr, Kind, Module, Statement, What};
use super::super::known;
use super::super::symbols::Symbols;
use super::{Context, Split, split_rules};

pub(super) fn run(module: &mut Module, context: &mut Context<'_>) {
    split_rules(&mut Outputs(context.symbols), &mut module.rules);
}

struct Outputs<'a>(&'a Symbols);

impl Outputs<'_> {
    fn arity(&self, function: &Expr) -> Option<usize> {
        let (path, _) = function.prefix().filter(|(_, whole)| *whole)?;
        if path[0] == "data" {
            let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
            return self.0.arity(&path);
        }
        known::arity(&path.join("."))
    }
}

impl Split for Outputs<'_> {
    fn split(&mut self, mut statement: Statement, out: &mut Body) {
        if let What::Expr(Expr {
            kind: Kind::Call(function, args),
            span,
        }) = &mut statement.what
            && function.as_var() != Some("print")
            && function.as_var() != Some("walk")
            && self.arity(function).is_some_and(|arity| args.len() == arity + 1)
            && let Some(mut output) = args.pop()
        {
            super::walk::unplace(&mut output);
            let call = Expr {
                kind: Kind::Call(
                    std::mem::replace(function, Box::new(Expr::made(Kind::Null))),
                    std::mem::take(args),
                ),
                span: *span,
            };
            statement.what = What::Unify(output, call);
        }
        out.push(statement);
    }
}
