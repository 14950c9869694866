//! `parse_config_file("x.tf")` means a file beside the policy that says so.
//!
//! A built-in function is not told who calls it, so the folder of the policy is written into the call before anything
//! looks at it: in front of the path, parted by a byte that no path holds.

use super::Source;
use super::ast::{Expr, Kind};
use super::walk::{Rewrite, rewrite_expr, rewrite_rule};

/// Parts the folder from the path.
pub(crate) const PARTING: char = '\0';

/// Writes a folder into the calls of one policy.
pub(crate) fn place(source: &mut Source, folder: &str) {
    let mut place = Place { folder };
    let rules = &mut source.module.rules;
    rules.iter_mut().for_each(|rule| rewrite_rule(&mut place, rule));
}

struct Place<'a> {
    folder: &'a str,
}

impl Rewrite for Place<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        rewrite_expr(self, expr);
        let span = expr.span;
        let Kind::Call(function, args) = &mut expr.kind else {
            return;
        };
        let folder = Expr::string(self.folder);
        let [argument] = args.as_mut_slice() else { return };
        let given = std::mem::replace(argument, Expr::made(Kind::Null));
        let (by, given) = match function.as_var() {
            Some("parse_config_file") => {
                let parts = Expr::made(Kind::Array(vec![folder, given]));
                (Expr::var("concat"), vec![Expr::string(&PARTING.to_string()), parts])
            }
            Some("parse_combined_config_files") => {
                let front = Expr::made(Kind::Array(vec![folder]));
                (
                    Expr::path(&["array".to_owned(), "concat".to_owned()]),
                    vec![front, given],
                )
            }
            _ => {
                *argument = given;
                return;
            }
        };
        *argument = Expr {
            kind: Kind::Call(Box::new(by), given),
            span,
        };
    }
}
