//! The Rego parser and printer, for `fuzz/` alone (see `crate::fuzzing`).

use super::ast::{Dialect, Module};
use super::{parser, print};
use crate::fuzzing::Printed;

pub(crate) fn printed(text: &str, dialect: Dialect) -> Result<Printed, String> {
    let parsed = parser::parse(text, dialect).map_err(|fault| fault.tell(text))?.module;
    let printed = print::print(&parsed).map_err(|print::Moved(line)| format!("line {line} would move"))?;
    let lines = |module: &Module| module.rules.iter().map(|rule| rule.span.line).collect::<Vec<_>>();
    let again = match parser::parse(&printed, dialect) {
        Ok(again) => Ok(again.module == parsed && lines(&again.module) == lines(&parsed)),
        Err(fault) => Err(fault.tell(&printed)),
    };
    Ok(Printed { text: printed, again })
}
