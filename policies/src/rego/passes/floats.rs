//! An index that is written as a fraction finds nothing: `a[1.0]` is undefined.
//!
//! Removes: regorus takes 1.0 for 1 as an index of an array. OPA finds an element by a number's text.

use super::super::ast::{Expr, Kind, Module};
use super::super::walk::{Rewrite, rewrite_expr, rewrite_rule};

pub(super) fn run(module: &mut Module) {
    module.rules.iter_mut().for_each(|rule| rewrite_rule(&mut Floats, rule));
}

struct Floats;

impl Rewrite for Floats {
    fn expr(&mut self, expr: &mut Expr) {
        rewrite_expr(self, expr);
        if let Kind::Ref(_, parts) = &mut expr.kind {
            for part in parts {
                let fraction = matches!(&part.kind, Kind::Number(text) if text.contains(['.', 'e', 'E']));
                if fraction {
                    // A key that no array and no document has.
                    let inner = std::mem::replace(part, Expr::made(Kind::Null));
                    part.kind = Kind::Array(vec![inner]);
                }
            }
        }
    }
}
