//! Where policies and data come from on disk, and what is said when they are refused.
//!
//! `--data` follows OPA's layout: a file beneath a folder lies in `data` beneath the names of the folders between them, one that is named
//! outright at the top.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use thiserror::Error;

use crate::bundles::{Packed, Places};
use crate::engine::Engine;
use crate::input::{self, Format};

/// Which version of Rego a file is read as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RegoVersion {
    /// Version 1 if the file is that, else version 0; decided file by file.
    #[default]
    Auto,
    /// Version 0, in which `if` and `contains` are optional.
    V0,
    /// Version 1.
    V1,
}

/// Policies or data that cannot be used. Nothing was evaluated; all of these are usage errors (exit 2).
#[derive(Debug, Error)]
pub enum PolicyError {
    /// A policy or data file that cannot be read.
    #[error("read policies or data {path}")]
    Read {
        /// The file or folder.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A policy or data file whose content is refused.
    #[error("load {}: {why}", place(.path, *.line))]
    Refused {
        /// The file.
        path: String,
        /// The line, one-based, where it is known.
        line: Option<u32>,
        /// What is wrong with it.
        why: String,
    },
    /// A folder that was named for its policies and holds none.
    #[error("no .rego file beneath {0}: name a folder that holds policies")]
    NoPolicy(String),
    /// No policy and no profile was named.
    #[error("no policy to judge by: name one with --policy or --profile")]
    NothingSelected,
    /// A profile that does not exist.
    #[error("no profile named {name}: there are {known}")]
    UnknownProfile {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A framework that there is no catalogue of.
    #[error("no framework named {name}: there are {known}")]
    UnknownFramework {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A pattern of tests to run that is none.
    #[error("read the pattern {pattern}: {why}")]
    Pattern {
        /// The regular expression.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// A rule that nothing is known of.
    #[error("no rule {name}: muster policy list names those of profiles, and of folders that are named too")]
    UnknownRule {
        /// The id or name that was asked for.
        name: String,
    },
    /// A name that several rules have.
    #[error("{count} rules are called {name}: name one of {known}")]
    SeveralRules {
        /// The name that was asked for.
        name: String,
        /// How many have it.
        count: usize,
        /// Their ids.
        known: String,
    },
    /// A wall clock that does not fit Rego's nanoseconds.
    #[error("the evaluation time lies outside the years that nanoseconds can count")]
    Clock,
    /// The evaluator's thread could not be started.
    #[error("start the evaluator's thread")]
    Thread(#[source] io::Error),
    /// The process that evaluates policies ended before it evaluated one.
    #[error("load policies: {0}")]
    Sandbox(String),
    /// A fault in the evaluator itself.
    #[error("the evaluator stopped on an internal fault: nothing was judged")]
    Panic,
}

fn place(path: &str, line: Option<u32>) -> String {
    line.map_or_else(|| path.to_owned(), |line| format!("{path}:{line}"))
}

impl PolicyError {
    pub(crate) fn refused(path: &str, line: Option<u32>, why: String) -> Self {
        Self::Refused {
            path: path.to_owned(),
            line,
            why,
        }
    }
}

/// Loads every `.rego` file beneath the paths; tests only when they are asked for.
pub(crate) fn load_policies(
    engine: &mut Engine,
    paths: &[PathBuf],
    version: RegoVersion,
    tests: bool,
) -> Result<Vec<String>, PolicyError> {
    let places = match version {
        RegoVersion::Auto => Some(Places::of_policies(paths)?),
        _ => None,
    };
    let own = |file: &Path| places.as_ref().and_then(|places| places.version(file));
    load_policies_as(engine, paths, &|file| own(file).unwrap_or(version), tests)
}

/// The same, each file in a version of its own. Gives the bundles whose signature nobody verified.
pub(crate) fn load_policies_as(
    engine: &mut Engine,
    paths: &[PathBuf],
    version: &dyn Fn(&Path) -> RegoVersion,
    tests: bool,
) -> Result<Vec<String>, PolicyError> {
    let mut seen = Vec::new();
    let mut bundles: Vec<Packed> = Vec::new();
    for path in paths {
        if Packed::is(path) {
            let bundle = Packed::read(path)?;
            bundle.beside(&bundles)?;
            bundle.load(engine, version(path), tests)?;
            bundles.push(bundle);
            continue;
        }
        let files = input::rego_files(path).map_err(|source| read_error(path, source))?;
        let files: Vec<_> = files.into_iter().filter(|file| tests || !is_test(file)).collect();
        if files.is_empty() {
            return Err(PolicyError::NoPolicy(path.display().to_string()));
        }
        for file in files {
            if seen.contains(&file) {
                continue;
            }
            let bytes = input::read(&file).map_err(|source| read_error(&file, source))?;
            let name = file.display().to_string();
            let text = String::from_utf8(bytes).map_err(|_| PolicyError::refused(&name, None, "not UTF-8".into()))?;
            engine.add_module(&name, &text, version(&file))?;
            seen.push(file);
        }
    }
    let unverified = bundles.iter().filter(|bundle| bundle.signed);
    Ok(unverified.map(Packed::name).collect())
}

/// Loads every JSON and YAML file beneath the paths into `data`.
pub(crate) fn load_data(engine: &mut Engine, paths: &[PathBuf]) -> Result<(), PolicyError> {
    for path in paths {
        for file in input::data_files(path).map_err(|source| read_error(path, source))? {
            let bytes = input::read(&file).map_err(|source| read_error(&file, source))?;
            let name = file.display().to_string();
            let value =
                input::parse_one(&bytes, Format::of(&name)).map_err(|e| PolicyError::refused(&name, None, e))?;
            let between = file.strip_prefix(path).ok().and_then(Path::parent);
            let names = between.into_iter().flat_map(Path::components).rev();
            let value = names.fold(value, |value, name| {
                let name = name.as_os_str().to_string_lossy().into_owned();
                Value::Object(Map::from_iter([(name, value)]))
            });
            if !matches!(value, Value::Object(_)) {
                return Err(PolicyError::refused(
                    &name,
                    None,
                    "data must be an object at the top".to_owned(),
                ));
            }
            engine.add_data(&name, value)?;
        }
    }
    Ok(())
}

fn read_error(path: &Path, source: io::Error) -> PolicyError {
    PolicyError::Read {
        path: path.display().to_string(),
        source,
    }
}

/// Whether a file holds tests by OPA's naming.
pub(crate) fn is_test(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().ends_with("_test.rego"))
}
