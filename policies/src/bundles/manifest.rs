//! What a bundle says of itself: the version of its policies, and the parts of `data` that are its own.

use std::path::Path;

use serde_json::{Map, Value};

use crate::input::{self, Format};
use crate::sources::{PolicyError, RegoVersion};

/// What a bundle's manifest is called.
pub(super) const MANIFEST: &str = ".manifest";

/// Whether a bundle's file becomes data by its name.
pub(super) fn is_data(file: &Path) -> bool {
    let name = file.file_name().map(|name| name.to_string_lossy());
    matches!(name.as_deref(), Some("data.json" | "data.yaml" | "data.yml"))
}

/// A manifest; without a file it says nothing.
#[derive(Default)]
pub(super) struct Manifest {
    /// Paths beneath `data`, their parts joined by `/`; none is all of it.
    pub(super) roots: Option<Vec<String>>,
    /// Whether modules of WebAssembly stand for some of its rules.
    pub(super) wasm: bool,
    version: Option<RegoVersion>,
    /// Files whose version is another one, by patterns of their paths from the root.
    versions: Vec<(globset::GlobMatcher, RegoVersion)>,
}

impl Manifest {
    pub(super) fn parse(name: &str, bytes: &[u8]) -> Result<Self, PolicyError> {
        let refused = |why: String| PolicyError::refused(name, None, why);
        let value = input::parse_one(bytes, Some(Format::Json)).map_err(refused)?;
        let version = |value: &Value, what: &str| match value.as_u64() {
            Some(0) => Ok(RegoVersion::V0),
            Some(1) => Ok(RegoVersion::V1),
            _ => Err(refused(format!("{what} is neither 0 nor 1"))),
        };
        let whole = value.get("rego_version").map(|value| version(value, "rego_version"));
        let mut versions = Vec::new();
        for (pattern, value) in value
            .get("file_rego_versions")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let glob = globset::Glob::new(pattern).map_err(|error| refused(error.to_string()))?;
            versions.push((glob.compile_matcher(), version(value, pattern)?));
        }
        let roots = value.get("roots").and_then(Value::as_array).map(|roots| {
            let text = |root: &Value| root.as_str().map(|root| root.trim_matches('/').to_owned());
            roots.iter().filter_map(text).collect()
        });
        Ok(Self {
            roots,
            wasm: value
                .get("wasm")
                .and_then(Value::as_array)
                .is_some_and(|all| !all.is_empty()),
            version: whole.transpose()?,
            versions,
        })
    }

    /// The version of a policy by its path from the bundle's root, if that is said.
    pub(super) fn version(&self, within: &Path) -> Option<RegoVersion> {
        let path = Path::new("/").join(within);
        let own = self.versions.iter().find(|(pattern, _)| pattern.is_match(&path));
        own.map(|(_, version)| *version).or(self.version)
    }

    /// Whether a path, its parts joined by `/`, lies in one of the roots.
    pub(super) fn owns(&self, path: &str) -> bool {
        let mut roots = self.roots.iter().flatten();
        self.roots.is_none() || roots.any(|root| within(path, root))
    }

    /// Whether two bundles have a part of `data` in common.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        match (&self.roots, &other.roots) {
            (Some(own), Some(others)) => own
                .iter()
                .any(|one| others.iter().any(|other| within(one, other) || within(other, one))),
            _ => true,
        }
    }

    /// The document of a file of data, beneath the names of its folders.
    pub(super) fn data(&self, name: &str, within: &Path, bytes: &[u8]) -> Result<Value, PolicyError> {
        let refused = |why: String| PolicyError::refused(name, None, why);
        let value = input::parse_one(bytes, Format::of(name)).map_err(refused)?;
        let names: Vec<String> = within
            .parent()
            .into_iter()
            .flat_map(Path::components)
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        let value = names.iter().rev().fold(value, |value, name| {
            Value::Object(Map::from_iter([(name.clone(), value)]))
        });
        if !value.is_object() {
            return Err(refused("data must be an object at the top".to_owned()));
        }
        if let Some(outside) = self.roots.as_ref().and_then(|roots| outside(&value, "", roots)) {
            return Err(refused(format!(
                "data.{} lies in none of the roots that {MANIFEST} names",
                outside.replace('/', ".")
            )));
        }
        Ok(value)
    }
}

fn within(path: &str, root: &str) -> bool {
    root.is_empty() || path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
}

/// The first path of a document that is neither in a root nor on the way to one.
fn outside(value: &Value, at: &str, roots: &[String]) -> Option<String> {
    if roots.iter().any(|root| within(at, root)) {
        return None;
    }
    let on_the_way = at.is_empty() || roots.iter().any(|root| within(root, at));
    match value {
        Value::Object(fields) if on_the_way => fields.iter().find_map(|(key, value)| {
            let at = if at.is_empty() {
                key.clone()
            } else {
                format!("{at}/{key}")
            };
            outside(value, &at, roots)
        }),
        _ => Some(at.to_owned()),
    }
}
