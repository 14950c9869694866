//! Which version of Rego a file is written in, when nobody says.
//!
//! `import rego.v1` says it. Else it is version 1 if it parses as that and passes what only version 1 checks: no
//! deprecated built-in function, no import twice, neither `input` nor `data` shadowed. Else it is version 0.

use super::Source;
use super::ast::{Dialect, Expr, Kind, Module, Statement, What};
use super::checks;
use super::fault::Fault;
use super::known;
use super::passes::pattern;
use super::walk::{Look, look_expr, look_rule, look_statement};

pub(super) fn detect(text: &str) -> Result<Source, Fault> {
    let one = Source::parse(text, Dialect::V1);
    match &one {
        Ok(source) if passes(&source.module) => return one,
        _ => {}
    }
    match (one, Source::parse(text, Dialect::V0)) {
        // It says what it is, or has a fault that version 1 alone sees in what version 0 cannot read.
        (Ok(source), Ok(zero)) if says_v1(&zero.module) || says_v1(&source.module) => Ok(source),
        (Err(fault), Ok(zero)) if says_v1(&zero.module) => Err(fault),
        (_, Ok(zero)) => Ok(zero),
        (Ok(source), Err(_)) => Ok(source),
        // Whoever got further into the file knows better what is wrong with it.
        (Err(one), Err(zero)) if zero.span.start > one.span.start => Err(zero),
        (Err(one), Err(_)) => Err(one),
    }
}

/// Whether a module imports version 1.
pub(super) fn says_v1(module: &Module) -> bool {
    module
        .imports
        .iter()
        .any(|import| import.path == ["rego".to_owned(), "v1".to_owned()])
}

fn passes(module: &Module) -> bool {
    struct Old(bool);
    impl<'a> Look<'a> for Old {
        fn expr(&mut self, expr: &'a Expr) {
            if let Kind::Call(function, _) = &expr.kind {
                self.0 |= function.dotted().is_some_and(|name| known::deprecated(&name));
            }
            look_expr(self, expr);
        }

        fn statement(&mut self, statement: &'a Statement) {
            if let What::Assign(lhs, _) = &statement.what {
                let mut names = Vec::new();
                pattern(lhs, &mut names);
                self.0 |= names.iter().any(|(name, _)| matches!(*name, "input" | "data"));
            }
            look_statement(self, statement);
        }
    }
    let mut old = Old(false);
    module.rules.iter().for_each(|rule| look_rule(&mut old, rule));
    let shadowed = module.rules.iter().any(|rule| {
        let args = rule.head.args.iter().flatten();
        args.filter_map(Expr::as_var)
            .any(|name| matches!(name, "input" | "data"))
    });
    !old.0 && !shadowed && checks::written(module, false).is_ok()
}
