//! What OPA's compiler refuses, refused here: before anything runs, with file, line, column and a hint.

mod calls;
mod conflicts;
mod imports;
mod recursion;
mod safety;
mod types;

use super::Source;
use super::ast::Module;
use super::fault::Fault;
use super::symbols::Symbols;

/// What the user wants to have checked beyond what OPA always refuses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Strictness {
    /// OPA's strict mode: unused assignments and imports, and what version 1 refuses in version 0 too.
    pub(crate) strict: bool,
}

/// Checks of a module by itself, on the tree as it was written.
pub(crate) fn written(module: &Module, symbols: &Symbols, strictness: Strictness) -> Result<(), Fault> {
    imports::check(module, strictness.strict)?;
    conflicts::names(module, symbols)
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
    own(&|module| types::check(module, symbols))
}
