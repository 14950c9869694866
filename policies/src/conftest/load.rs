//! Policies and data as OPA's loader finds them: every `.rego` file, tests too, and data beneath the names of its folders.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::files::joined;
use super::{Failed, Settings};
use crate::builtins::{Files, World};
use crate::engine::Engine;
use crate::input::{self, Format, plain};
use crate::rego::{Options, Pass};
use crate::sources::{PolicyError, RegoVersion};

/// OPA's compiler says no more.
const MOST_ERRORS: usize = 10;
/// The most files of policies or data.
const MAX_FILES: usize = 100_000;

/// What a run judges by.
pub(super) struct Loaded {
    pub(super) engine: Engine,
    /// All of `data` that was loaded.
    pub(super) data: Value,
}

/// Loads, checks and compiles; for unit tests those that share a name are told apart.
pub(super) fn load(settings: &Settings, tests: bool) -> Result<Loaded, Failed> {
    let allowed = settings.capabilities.as_deref().map(capabilities).transpose()?;
    let mut engine =
        engine(settings, allowed.as_ref(), tests).map_err(|why| why.around("loading policies").around("load"))?;
    let data = documents(&settings.data).map_err(|why| why.around("load documents").around("load"))?;
    engine.set_data(data.clone())?;
    Ok(Loaded { engine, data })
}

fn engine(settings: &Settings, allowed: Option<&BTreeSet<String>>, tests: bool) -> Result<Engine, Failed> {
    let version = match settings.rego_version.as_str() {
        "v0" | "V0" => RegoVersion::V0,
        "v1" | "V1" => RegoVersion::V1,
        other => return Err(Failed(format!("invalid Rego version: {other}"))),
    };
    let environment: Map<String, Value> = settings
        .environment
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    let world = World {
        files: Files::Any,
        runtime: json!({ "env": environment, "version": super::OPA_VERSION, "commit": "" }),
    };
    let mut engine = Engine::apart(world, settings.now, settings.sandbox.as_ref())?;
    let mut found = Found::default();
    for path in &settings.policies {
        found.walk(path, &[], &|name| name.ends_with(".rego"));
    }
    let mut seen = BTreeSet::new();
    for (path, _) in found.files.iter().filter(|(path, _)| seen.insert(path.clone())) {
        let text = match input::read(Path::new(path)).map(String::from_utf8) {
            Ok(Ok(text)) => text,
            Ok(Err(_)) => {
                found.errors.push(format!("{path}: not UTF-8"));
                continue;
            }
            Err(error) => {
                found.errors.push(format!("open {path}: {}", plain(&error)));
                continue;
            }
        };
        // A file without anything in it is none to OPA either.
        if let Err(error) = engine.add_module(path, &text, version) {
            found.errors.push(told(&error));
        }
    }
    found.refuse("load")?;
    if engine.modules().is_empty() {
        return Err(Failed(format!(
            "no policies found in [{}]",
            settings.policies.join(" ")
        )));
    }
    let mut errors = allowed.map(|allowed| engine.beyond(allowed)).unwrap_or_default();
    engine.place();
    if errors.is_empty() {
        let options = Options {
            strict: settings.strict,
            tests,
            keep: false,
            probes: false,
            steps: false,
        };
        errors = engine.build(options, &|_: Pass| true).err().unwrap_or_default();
    }
    if !errors.is_empty() {
        return Err(Failed(format!("get compiler: {}", many(&errors))));
    }
    for module in engine.modules() {
        let stem = |name: &str| name.split('.').next().is_some_and(super::test::is_rule);
        if let Some(head) = module
            .rules
            .iter()
            .find(|head| !head.bare && head.truth && stem(&head.name))
        {
            return Err(Failed(format!(
                "rule is using 'if' keyword without 'contains' keyword: rule in {} at line {}",
                module.path, head.line
            )));
        }
    }
    Ok(engine)
}

/// A refusal as OPA places it: `file:line: what`.
pub(super) fn told(error: &PolicyError) -> String {
    match error {
        PolicyError::Refused {
            path,
            line: Some(line),
            why,
        } => format!("{path}:{line}: {why}"),
        PolicyError::Refused { path, line: None, why } => format!("{path}: {why}"),
        other => other.to_string(),
    }
}

fn many(errors: &[PolicyError]) -> String {
    let mut all: Vec<String> = errors.iter().take(MOST_ERRORS).map(told).collect();
    if errors.len() > MOST_ERRORS {
        all.push("rego_compile_error: error limit reached".to_owned());
    }
    match all.as_slice() {
        [one] => format!("1 error occurred: {one}"),
        all => format!("{} errors occurred:\n{}", all.len(), all.join("\n")),
    }
}

/// The names of the functions that a file of capabilities lists.
fn capabilities(path: &Path) -> Result<BTreeSet<String>, Failed> {
    let failed = |why: String| Failed(format!("load capabilities: {why}"));
    let bytes = input::read(path).map_err(|error| failed(format!("open {}: {}", path.display(), plain(&error))))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
    let listed = value.get("builtins").and_then(Value::as_array);
    let names = listed.into_iter().flatten().filter_map(|one| one.get("name")?.as_str());
    Ok(names.map(str::to_owned).collect())
}

/// Files, each with the folders between the root and it, and what went wrong on the way.
#[derive(Default)]
struct Found {
    files: Vec<(String, Vec<String>)>,
    errors: Vec<String>,
}

impl Found {
    fn walk(&mut self, path: &str, parents: &[String], wanted: &dyn Fn(&str) -> bool) {
        let path = path.strip_prefix("file://").unwrap_or(path);
        let meta = match fs::metadata(path) {
            Ok(meta) => meta,
            Err(error) => return self.errors.push(format!("stat {path}: {}", plain(&error))),
        };
        if !meta.is_dir() {
            if wanted(path) && self.files.len() < MAX_FILES {
                self.files.push((path.to_owned(), parents.to_vec()));
            }
            return;
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.errors.push(format!("open {path}: {}", plain(&error))),
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .collect();
        names.sort();
        for name in names {
            let next = joined(path, &name);
            // A link that leads nowhere is nobody's policy.
            let Ok(meta) = fs::metadata(&next) else { continue };
            match meta.is_dir() {
                true if parents.len() < MAX_DEPTH => {
                    let parents: Vec<String> = parents.iter().cloned().chain([name]).collect();
                    self.walk(&next, &parents, wanted);
                }
                true => self.errors.push(format!("{next}: nested too deeply")),
                false => self.walk(&next, parents, wanted),
            }
        }
    }

    fn refuse(&self, what: &str) -> Result<(), Failed> {
        match self.errors.as_slice() {
            [] => Ok(()),
            [one] => Err(Failed(format!("{what}: 1 error occurred during loading: {one}"))),
            all => Err(Failed(format!(
                "{what}: {} errors occurred during loading:\n{}",
                all.len(),
                all.join("\n")
            ))),
        }
    }
}

/// How deep folders nest: links that lead up would go on for ever.
const MAX_DEPTH: usize = 64;

/// All documents of the paths as one, each beneath the names of its folders.
pub(crate) fn documents(paths: &[String]) -> Result<Value, Failed> {
    let mut found = Found::default();
    for path in paths {
        found.walk(path, &[], &|name| {
            [".json", ".yaml", ".yml"].iter().any(|ending| name.ends_with(ending))
        });
    }
    let mut data = Value::Object(Map::new());
    for (path, parents) in std::mem::take(&mut found.files) {
        let parsed = input::read(Path::new(&path)).map_err(|error| plain(&error));
        let parsed = parsed.and_then(|bytes| input::parse_one(&bytes, Format::of(&path)));
        let value = match parsed {
            Ok(value) if !parents.is_empty() || value.is_object() => value,
            Ok(_) => {
                found.errors.push(format!("{path}: document must be of type object"));
                continue;
            }
            Err(why) => {
                found.errors.push(format!("{path}: {why}"));
                continue;
            }
        };
        let beneath = parents
            .into_iter()
            .rev()
            .fold(value, |value, name| json!({ name: value }));
        if !merge(&mut data, beneath) {
            found.errors.push(format!("{path}: merge error"));
        }
    }
    match found.errors.as_slice() {
        [] => Ok(data),
        [one] => Err(Failed(format!("1 error occurred during loading: {one}"))),
        all => Err(Failed(format!(
            "{} errors occurred during loading:\n{}",
            all.len(),
            all.join("\n")
        ))),
    }
}

/// Merges objects; false if both have another value in one place.
fn merge(into: &mut Value, from: Value) -> bool {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => from.into_iter().all(|(key, value)| match into.get_mut(&key) {
            Some(there) => merge(there, value),
            None => {
                into.insert(key, value);
                true
            }
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_lies_beneath_the_names_of_its_folders() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("top.yaml", "a: 1\n"),
            ("x/one.json", "{\"b\": 2}"),
            ("x/y/list.yml", "- 3\n"),
            ("x/notes.txt", "no"),
        ] {
            fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            fs::write(dir.path().join(name), text).unwrap();
        }
        let root = dir.path().display().to_string();
        let loaded = documents(std::slice::from_ref(&root)).unwrap();
        assert_eq!(loaded, json!({"a": 1, "x": {"b": 2, "y": [3]}}));
        let file = format!("{root}/x/y/list.yml");
        let refused = documents(&[file]).unwrap_err();
        assert!(refused.0.ends_with("document must be of type object"), "{refused}");
        fs::write(dir.path().join("z.json"), "{\"a\": 2}").unwrap();
        let refused = documents(&[root]).unwrap_err();
        assert!(refused.0.ends_with("z.json: merge error"), "{refused}");
    }
}
