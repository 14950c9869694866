//! What modules refer to, checked before anything runs.
//!
//! A call of a function that is neither declared nor built in would only be noticed when reached, and a recursive rule
//! would end the process: both are refused here, by name and line, as OPA's compiler does.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use regorus::unstable::{BUILTINS, Module as Ast, Ref};

use super::expression::{self, Met};
use super::modules::{Head, Module, head};
use crate::sources::PolicyError;

/// Functions of our own in front of regorus's.
const EXTENSIONS: [&str; 5] = ["print", "time.now_ns", "opa.runtime", "yaml.is_valid", "yaml.unmarshal"];
/// Registered by regorus, but not what OPA means by them.
const UNFAITHFUL: [&str; 1] = ["regex.globs_match"];
/// Names that read the world; said apart, because the remedy is another one.
const WORLD: [&str; 5] = [
    "http.send",
    "net.lookup_ip_addr",
    "rand.intn",
    "uuid.rfc4122",
    "rego.parse_module",
];

/// The calls and references of one module, with aliases resolved.
#[derive(Debug, Clone, Default)]
pub(super) struct References {
    calls: Vec<Call>,
    /// Rule (full path) → full paths that it refers to, each with the line of the rule.
    uses: Vec<Use>,
}

#[derive(Debug, Clone)]
struct Call {
    function: String,
    line: u32,
}

#[derive(Debug, Clone)]
struct Use {
    rule: String,
    line: u32,
    paths: BTreeSet<String>,
}

impl References {
    pub(super) fn of(package: &str, module: &Ref<Ast>) -> Self {
        let aliases: HashMap<String, String> = module
            .imports
            .iter()
            .filter_map(|import| {
                let path = expression::path(&import.refr)?;
                let alias = import.r#as.as_ref().map(|span| span.text().to_owned());
                Some((alias.or_else(|| path.last().cloned())?, path.join(".")))
            })
            .collect();
        let mut references = Self::default();
        for rule in &module.policy {
            let Some(Head { name, line, .. }) = head(rule) else {
                continue;
            };
            let mut locals = BTreeSet::new();
            let mut paths = BTreeSet::new();
            let mut calls = Vec::new();
            expression::walk_rule(rule, &mut |met| match met {
                Met::Local { name, .. } => _ = locals.insert(name.to_owned()),
                Met::Reference(expr) => paths.extend(expression::prefix(expr)),
                Met::Call { function, line } => {
                    if let Some(path) = expression::path_of(function) {
                        paths.insert(path.clone());
                        calls.push((path, line));
                    }
                }
                Met::Unify { .. } | Met::Statement(..) => {}
            });
            let full = |path: &[String]| -> String {
                let (first, rest) = path
                    .split_first()
                    .map_or(("", path), |(first, rest)| (first.as_str(), rest));
                let first = match (first, aliases.get(first)) {
                    ("data" | "input", _) => first.to_owned(),
                    (_, Some(target)) => target.clone(),
                    _ => format!("data.{package}.{first}"),
                };
                std::iter::once(first.as_str())
                    .chain(rest.iter().map(String::as_str))
                    .collect::<Vec<_>>()
                    .join(".")
            };
            for (path, line) in calls {
                let plain = path.join(".");
                let aliased = path
                    .first()
                    .is_some_and(|first| first == "data" || aliases.contains_key(first));
                references.calls.push(Call {
                    function: if aliased { full(&path) } else { plain },
                    line,
                });
            }
            let paths = paths
                .iter()
                .filter(|path| path.first().is_some_and(|first| !locals.contains(first)));
            let paths = paths
                .map(|path| full(path))
                .filter(|path| path.starts_with("data"))
                .collect();
            references.uses.push(Use {
                rule: format!("data.{package}.{name}"),
                line,
                paths,
            });
        }
        references
    }
}

/// The full paths of all functions that the modules declare.
pub(super) fn functions(modules: &[Module]) -> BTreeSet<String> {
    modules
        .iter()
        .flat_map(|module| {
            let named = |head: &Head| format!("data.{}.{}", module.package, head.name);
            module.rules.iter().filter(|head| head.function).map(named)
        })
        .collect()
}

/// Refuses unknown functions and recursive rules.
pub(super) fn check(modules: &[Module], functions: &BTreeSet<String>) -> Result<(), PolicyError> {
    for module in modules {
        for call in &module.references.calls {
            let own = format!("data.{}.{}", module.package, call.function);
            if !functions.contains(&call.function) && !functions.contains(&own) && !is_built_in(&call.function) {
                let why = if WORLD.contains(&call.function.as_str()) {
                    format!(
                        "{} is refused: policies see neither network nor chance; pass the value as data",
                        call.function
                    )
                } else {
                    format!(
                        "{} is not a function that is declared here or built into muster",
                        call.function
                    )
                };
                return Err(PolicyError::refused(&module.path, Some(call.line), why));
            }
        }
    }
    recursion(modules)
}

/// Whether a name is a built-in function that gives OPA's answer.
pub(super) fn is_built_in(name: &str) -> bool {
    if EXTENSIONS.contains(&name) {
        return true;
    }
    let foreign = name.starts_with("__") || name.starts_with("azure.") || UNFAITHFUL.contains(&name);
    !foreign && BUILTINS.contains_key(name)
}

fn recursion(modules: &[Module]) -> Result<(), PolicyError> {
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let rules: BTreeSet<&str> = modules
        .iter()
        .flat_map(|module| module.references.uses.iter().map(|r#use| r#use.rule.as_str()))
        .collect();
    for r#use in modules.iter().flat_map(|module| &module.references.uses) {
        let targets = edges.entry(&r#use.rule).or_default();
        for path in &r#use.paths {
            // The rule itself, a part of its value, or a package that holds it.
            let whole = rules.iter().filter(|rule| within(path, rule) || within(rule, path));
            targets.extend(whole);
        }
    }
    let mut done = BTreeSet::new();
    for start in rules {
        if let Some(cycle) = find_cycle(start, &edges, &mut done) {
            let place = modules.iter().find_map(|module| {
                let r#use = module
                    .references
                    .uses
                    .iter()
                    .find(|r#use| cycle.contains(&r#use.rule.as_str()))?;
                Some((module.path.as_str(), r#use.line))
            });
            let (path, line) = place.map_or(("policies", None), |(path, line)| (path, Some(line)));
            return Err(PolicyError::refused(
                path,
                line,
                format!("rules are recursive: {}", cycle.join(" → ")),
            ));
        }
    }
    Ok(())
}

/// Whether `path` is `outer` or lies beneath it.
fn within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn find_cycle<'a>(
    start: &'a str,
    edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<&'a str>> {
    let mut path: Vec<(&str, Vec<&str>)> = vec![(start, targets(start, edges))];
    while let Some((node, rest)) = path.last_mut() {
        match rest.pop() {
            None => {
                done.insert(node);
                path.pop();
            }
            Some(next) if path.iter().any(|(on, _)| *on == next) => {
                let mut cycle: Vec<&str> = path.iter().map(|(on, _)| *on).skip_while(|on| *on != next).collect();
                cycle.push(next);
                return Some(cycle);
            }
            Some(next) if done.contains(next) => {}
            Some(next) => path.push((next, targets(next, edges))),
        }
    }
    None
}

fn targets<'a>(node: &str, edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<&'a str> {
    edges.get(node).into_iter().flatten().copied().collect()
}
