//! Definitions that cannot stand beside each other: rules that are two things at once, or named like a root document.

use super::super::Source;
use super::super::ast::{Dialect, Module};
use super::super::fault::{Class, Fault};
use super::super::symbols::{Definition, Symbols};

/// Names of a module's rules, as written.
pub(super) fn names(module: &Module) -> Result<(), Fault> {
    if module.dialect == Dialect::V0 {
        return Ok(());
    }
    for rule in &module.rules {
        let name = &rule.head.name;
        if matches!(name.text.as_str(), "input" | "data") {
            let what = format!("rules must not shadow {}", name.text);
            return Err(Fault::new(Class::Compile, name.span, what).hint("use a different rule name"));
        }
    }
    Ok(())
}

/// Definitions of one path in all modules.
pub(super) fn definitions(sources: &[Source], symbols: &Symbols) -> Result<(), (usize, Fault)> {
    for (path, found) in symbols.all() {
        let name = path.join(".");
        let refuse = |at: &Definition, what: String| {
            Err((
                at.module,
                Fault::new(Class::Type, at.span, what).hint("give one of them another name"),
            ))
        };
        let (Some(first), true) = (found.first(), found.len() > 1) else {
            continue;
        };
        let fixed: Vec<&Definition> = found.iter().filter(|one| !one.dynamic).collect();
        let Some(model) = fixed.first() else { continue };
        for other in &fixed {
            let kinds = other.arity.is_some() != model.arity.is_some() || other.set != model.set;
            if kinds && !(other.default || model.default) {
                return refuse(other, format!("conflicting rules {name} found"));
            }
            if let (Some(one), Some(other_arity)) = (model.arity, other.arity)
                && one != other_arity
            {
                return refuse(
                    other,
                    format!("conflicting rules {name} found: {one} and {other_arity} arguments"),
                );
            }
        }
        if let Some(second) = found.iter().filter(|one| one.default).nth(1) {
            return refuse(second, format!("multiple default rules {name} found"));
        }
        if found.iter().any(|one| one.default) && found.iter().any(|one| one.set) {
            return refuse(
                first,
                format!("conflicting rules {name} found: a default and a partial set"),
            );
        }
    }
    // A rule may not stand where a package does.
    for source in sources {
        let mut path = vec!["data".to_owned()];
        for part in &source.module.package {
            path.push(part.clone());
            if let Some(found) = symbols.at(&path).iter().find(|found| !found.dynamic) {
                let what = format!("package {} conflicts with rule", source.module.package.join("."));
                return Err((found.module, Fault::new(Class::Type, found.span, what)));
            }
        }
    }
    let all: Vec<_> = symbols.all().collect();
    for pair in all.windows(2) {
        // What lies beneath a path follows it.
        let [(path, found), (beneath, _)] = pair else { continue };
        if beneath.starts_with(path)
            && let Some(one) = found.iter().find(|one| is_whole(&sources[one.module].module, one))
        {
            let what = format!("rule {} conflicts with {}", path.join("."), beneath.join("."));
            let hint = "what has a value of its own holds no other rules: give one of them another name";
            return Err((one.module, Fault::new(Class::Type, one.span, what).hint(hint)));
        }
    }
    Ok(())
}

/// Whether a rule has all of its path: `r[1]` lies beneath `r`, as `r[x]` does.
fn is_whole(module: &Module, one: &Definition) -> bool {
    let mut rules = module
        .rules
        .iter()
        .filter(|rule| rule.head.span.start == one.span.start);
    rules.any(|rule| rule.head.constant().len() == rule.head.path.len() + 1)
}
