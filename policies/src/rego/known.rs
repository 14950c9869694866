//! The built-in functions by name, as far as the front end asks for them.

use crate::builtins::{Trait, signature};

/// The number of arguments of a built-in function, if OPA has it.
pub(crate) fn arity(name: &str) -> Option<usize> {
    let found = signature(name).filter(|found| found.kind != Trait::Infix)?;
    Some(found.args.len())
}

/// Whether version 1 of the language has done away with a built-in function.
pub(crate) fn deprecated(name: &str) -> bool {
    signature(name).is_some_and(|found| found.kind == Trait::Deprecated)
}
