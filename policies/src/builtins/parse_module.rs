//! `rego.parse_module`: the syntax tree of a module of version 1, from its text.
//!
//! It is OPA's tree, read by our own parser: what that refuses is a built-in error in its words. Annotations are left in the
//! comments, as OPA's function leaves them.

use super::Family;
use super::call::{Call, Outcome};
use crate::rego;

pub(super) const FAMILY: Family = &[("rego.parse_module", parse_module)];

/// The longest text: its tree takes some hundred times as much, beside all else that the policy holds.
const MOST_BYTES: usize = 1 << 20;

fn parse_module(call: &mut Call<'_>) -> Outcome {
    let length = call.string(1)?.len();
    if length > MOST_BYTES {
        return Err(format!("the module has {length} bytes, the limit is {MOST_BYTES}").into());
    }
    Ok(rego::tree(call.string(0)?, call.string(1)?)?)
}
