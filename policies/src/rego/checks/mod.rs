//! What OPA's compiler refuses, refused here: before anything runs, with file, line, column and a hint.

mod calls;
mod conflicts;
mod imports;
mod kinds;
mod recursion;
mod safety;
mod types;

pub(crate) use safety::{is_safe, reaching};

use super::Source;
use super::ast::Module;
use super::fault::Fault;
use super::symbols::Symbols;

/// Checks of a module by itself, on the tree as it was written. `strict` is OPA's mode of that name.
pub(crate) fn written(module: &Module, strict: bool) -> Result<(), Fault> {
    imports::check(module, strict)?;
    conflicts::names(module)
}

/// Checks of resolved modules, each and among each other. The place is that of the module at fault.
///
/// # Errors
/// What the first check that finds anything finds.
pub(crate) fn resolved(sources: &[Source], symbols: &Symbols) -> Result<(), Vec<(usize, Fault)>> {
    let own = |check: &dyn Fn(&Module) -> Result<(), Vec<Fault>>| {
        let mut found = Vec::new();
        for (place, source) in sources.iter().enumerate() {
            let faults = check(&source.module).err().unwrap_or_default();
            found.extend(faults.into_iter().map(|fault| (place, fault)));
        }
        if found.is_empty() { Ok(()) } else { Err(found) }
    };
    conflicts::definitions(sources, symbols).map_err(|fault| vec![fault])?;
    own(&|module| calls::check(module, symbols))?;
    own(&|module| safety::check(module, symbols).map_err(|fault| vec![fault]))?;
    recursion::check(sources, symbols).map_err(|fault| vec![fault])?;
    types::check(sources)
}
