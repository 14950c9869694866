//! `rego.parse_module`: the syntax tree of a module of version 1, from its text.
//!
//! It is OPA's tree, read by our own parser: what that refuses is a built-in error in its words. Annotations are left in the
//! comments, as OPA's function leaves them.

use super::Family;
use super::call::{Call, Outcome};
use crate::rego;

pub(super) const FAMILY: Family = &[("rego.parse_module", parse_module)];

fn parse_module(call: &mut Call<'_>) -> Outcome {
    Ok(rego::tree(call.string(0)?, call.string(1)?)?)
}
