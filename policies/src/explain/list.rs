//! Which rules there are: those of profiles, and those of folders by Conftest's names or with METADATA of their own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use time::OffsetDateTime;

use crate::check::convention;
use crate::engine::{Engine, Module, on_deep_stack};
use crate::metadata::{self, Rule};
use crate::profile;
use crate::sources::{self, PolicyError, RegoVersion};

/// A rule and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    /// The profile that it belongs to, if it is muster's own.
    pub profile: Option<String>,
    /// The id, by which results and waivers name it.
    pub rule: String,
    /// Its name within its package; empty where the package is the rule.
    pub name: String,
    /// The line of its first definition, one-based.
    pub line: u32,
    /// All that it says of itself.
    #[serde(flatten)]
    pub about: Rule,
}

/// The rules of these profiles, and of the policies behind these paths; each group by file and line.
///
/// # Errors
/// A profile that does not exist; policies that do not parse.
pub fn list(profiles: &[&str], paths: &[PathBuf], version: RegoVersion) -> Result<Vec<Listed>, PolicyError> {
    on_deep_stack(|| {
        let mut rules = Vec::new();
        for name in profiles {
            let mut engine = Engine::new(OffsetDateTime::UNIX_EPOCH)?;
            profile::load(&mut engine, &profile::sources(name)?)?;
            let mut of_profile: Vec<Listed> = engine.modules().iter().filter_map(whole).collect();
            of_profile.sort_by(|a, b| a.rule.cmp(&b.rule));
            rules.extend(of_profile.into_iter().map(|listed| Listed {
                profile: Some((*name).to_owned()),
                ..listed
            }));
        }
        if !paths.is_empty() {
            let mut engine = Engine::new(OffsetDateTime::UNIX_EPOCH)?;
            sources::load_policies(&mut engine, paths, version, false)?;
            rules.extend(of(engine.modules()));
        }
        Ok(rules)
    })?
}

/// The rules in these modules.
pub(super) fn of(modules: &[Module]) -> Vec<Listed> {
    let mut rules: BTreeMap<(&str, &str), Listed> = BTreeMap::new();
    for module in modules {
        if let Some(listed) = whole(module) {
            rules.insert((&module.package, ""), listed);
            continue;
        }
        for head in module.rules.iter().filter(|head| !head.function) {
            let annotated = module
                .annotations
                .iter()
                .any(|annotation| annotation.rule.as_deref() == Some(&head.name));
            if !annotated && convention(&head.name).is_none() {
                continue;
            }
            let about = metadata::describe(&module.package, &head.name, &module.path, &module.annotations);
            rules.entry((&module.package, &head.name)).or_insert_with(|| Listed {
                profile: None,
                rule: about.id.clone(),
                name: head.name.clone(),
                line: head.line,
                about,
            });
        }
    }
    let mut rules: Vec<Listed> = rules.into_values().collect();
    rules.sort_by(|a, b| (&a.about.file, a.line).cmp(&(&b.about.file, b.line)));
    rules
}

/// A package that is a rule, as those of profiles are: it has an id and sorts resources.
fn whole(module: &Module) -> Option<Listed> {
    let sorts = module.rules.iter().any(|head| head.name == "resources");
    let about = profile::rule_of(module).filter(|_| sorts)?;
    Some(Listed {
        profile: None,
        rule: about.id.clone(),
        name: String::new(),
        line: module.line(),
        about,
    })
}
