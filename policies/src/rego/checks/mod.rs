//! What OPA's compiler refuses, refused here: before anything runs, with file, line, column and a hint.

mod calls;
mod conflicts;
mod imports;
mod recursion;
mod safety;
mod types;

pub(crate) use safety::reaching;

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
pub(crate) fn resolved(sources: &[Source], symbols: &Symbols) -> Result<(), (usize, Fault)> {
    let own = |check: &dyn Fn(&Module) -> Result<(), Fault>| {
        for (place, source) in sources.iter().enumerate() {
            check(&source.module).map_err(|fault| (place, fault))?;
        }
        Ok(())
    };
    conflicts::definitions(sources, symbols)?;
    own(&|module| calls::check(module, symbols))?;
    own(&|module| safety::check(module))?;
    recursion::check(sources, symbols)?;
    types::check(sources, symbols)
}
