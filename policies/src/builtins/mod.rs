//! OPA's built-in functions, where regorus has none or answers otherwise.
//!
//! A function registered here is found before regorus's own of the same name, so no renaming is needed. Each follows what
//! OPA 1.10 does with the same arguments, errors included: that is held by `policies/cases/rego.json` and by OPA's own
//! conformance cases. What would have to read the world loads, may be replaced by `with`, and halts when it is called.

mod call;
mod casts;
mod clock;
mod config;
mod decoded;
mod der;
mod format;
mod graph;
mod hashes;
mod jwt;
mod keys;
mod net;
mod notes;
mod objects;
mod order;
mod parse_module;
mod private;
mod regexes;
mod schema;
mod signature;
mod signing;
mod strings;
mod table;
mod template;
mod text;
mod units;
mod urlquery;
mod versions;
mod world;
mod x509;
mod yaml;

use regorus::Value;

use crate::sources::PolicyError;
pub(crate) use call::Failure;
use call::{Call, Memory, Outcome};
pub(crate) use format::decimal;
pub(crate) use notes::{Noted, Notes, Seen};
pub(crate) use signature::{Trait, Type, signature};
pub(crate) use world::{Files, World};

/// What every halt says, so that an evaluator that swallows errors inside functions can be told which it must not.
pub(crate) const HALT: &str = "cannot be called here";

type Apply = fn(&mut Call<'_>) -> Outcome;
type Family = &'static [(&'static str, Apply)];

const FAMILIES: [Family; 24] = [
    casts::FAMILY,
    clock::FAMILY,
    config::FAMILY,
    decoded::FAMILY,
    format::FAMILY,
    graph::FAMILY,
    hashes::FAMILY,
    jwt::FAMILY,
    net::FAMILY,
    objects::FAMILY,
    order::FAMILY,
    parse_module::FAMILY,
    private::FAMILY,
    regexes::FAMILY,
    schema::FAMILY,
    strings::FAMILY,
    template::FAMILY,
    text::FAMILY,
    units::FAMILY,
    urlquery::FAMILY,
    versions::FAMILY,
    world::FAMILY,
    x509::FAMILY,
    yaml::FAMILY,
];

/// Registers all of them on an engine. A built-in error is left in `notes`, and ends the evaluation where that is strict.
pub(crate) fn register(
    engine: &mut regorus::Engine,
    clock_ns: i64,
    world: &World,
    notes: &Notes,
) -> Result<(), PolicyError> {
    let memory = Memory::default();
    for (name, apply) in FAMILIES.into_iter().flatten() {
        let arity = signature(name).map_or(0, |found| found.args.len());
        let arity = u8::try_from(arity).unwrap_or(u8::MAX);
        let notes = notes.clone();
        let memory = memory.clone();
        let world = world.clone();
        let extension = move |args: Vec<Value>| {
            let mut call = Call {
                args: &args,
                clock_ns,
                memory: &memory,
                world: &world,
                notes: &notes,
            };
            match apply(&mut call) {
                Ok(value) => Ok(value),
                Err(Failure::Error(why)) => {
                    let why = format!("{name}: {why}");
                    match notes.note(&why) {
                        true => Err(std::io::Error::other(why).into()),
                        false => Ok(Value::Undefined),
                    }
                }
                Err(Failure::Halt(why)) => Err(std::io::Error::other(format!("{name} {HALT}: {why}")).into()),
            }
        };
        engine
            .add_extension((*name).to_owned(), arity, Box::new(extension))
            .map_err(|e| PolicyError::refused(name, None, e.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
