//! Bundles, which say the version of Rego of their policies and bring data along for tests, and the files that tests leave out.
//!
//! A folder with a `.manifest` is a bundle: its `data.json` and `data.yaml` lie in `data` beneath the names of their folders. Any other
//! JSON or YAML beside the policies becomes data only by name, since a fixture that turned into data unasked would change what the
//! rules see; it is told which files those are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::engine::Engine;
use crate::input::{self, Format};
use crate::sources::{PolicyError, RegoVersion};

/// What a bundle's manifest is called.
const MANIFEST: &str = ".manifest";

/// A folder that is a bundle.
struct Bundle {
    root: PathBuf,
    roots: Option<Vec<String>>,
    version: Option<RegoVersion>,
    /// Files whose version is another one, by patterns of their paths from the root.
    versions: Vec<(globset::GlobMatcher, RegoVersion)>,
}

/// The bundles beneath or around some paths, and the files of data beside them.
pub(crate) struct Places {
    bundles: Vec<Bundle>,
    files: Vec<PathBuf>,
}

impl Places {
    /// Looks for bundles in the folders of all policies and data.
    pub(crate) fn look(paths: &[PathBuf]) -> Result<Self, PolicyError> {
        Self::over(paths, true)
    }

    /// Looks for bundles in the folders of all policies alone, for what they say of their version.
    pub(crate) fn of_policies(paths: &[PathBuf]) -> Result<Self, PolicyError> {
        Self::over(paths, false)
    }

    fn over(paths: &[PathBuf], with_data: bool) -> Result<Self, PolicyError> {
        let mut folders = BTreeSet::new();
        let mut files = BTreeSet::new();
        for path in paths.iter().filter(|path| path.is_dir()) {
            let read = |source| PolicyError::Read {
                path: path.display().to_string(),
                source,
            };
            let data = match with_data {
                true => input::data_files(path).map_err(read)?,
                false => Vec::new(),
            };
            let policies = input::rego_files(path).map_err(read)?;
            for file in data.iter().chain(&policies) {
                let between = file.ancestors().skip(1).take_while(|folder| folder.starts_with(path));
                folders.extend(between.map(Path::to_owned));
            }
            files.extend(data);
        }
        let mut bundles = Vec::new();
        for root in folders {
            let manifest = root.join(MANIFEST);
            if manifest.is_file() {
                bundles.push(Bundle::read(root, &manifest)?);
            }
        }
        // The innermost bundle is a file's own.
        bundles.sort_by_key(|bundle| std::cmp::Reverse(bundle.root.components().count()));
        Ok(Self {
            bundles,
            files: files.into_iter().collect(),
        })
    }

    fn bundle(&self, file: &Path) -> Option<&Bundle> {
        self.bundles.iter().find(|bundle| file.starts_with(&bundle.root))
    }

    /// The version of a policy file, if its bundle says.
    pub(crate) fn version(&self, file: &Path) -> Option<RegoVersion> {
        let bundle = self.bundle(file)?;
        let path = Path::new("/").join(file.strip_prefix(&bundle.root).ok()?);
        let own = bundle.versions.iter().find(|(pattern, _)| pattern.is_match(&path));
        own.map(|(_, version)| *version).or(bundle.version)
    }

    /// Loads the data of bundles; gives the files that are neither that nor among those that were named as data.
    pub(crate) fn load(&self, engine: &mut Engine, named: &[PathBuf]) -> Result<Vec<String>, PolicyError> {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let named: Vec<PathBuf> = named.iter().map(|path| real(path)).collect();
        let mut left = Vec::new();
        for file in &self.files {
            let known = real(file);
            if named.iter().any(|path| known.starts_with(path)) {
                continue;
            }
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
            let is_data = matches!(name.as_deref(), Some("data.json" | "data.yaml" | "data.yml"));
            match self.bundle(file).filter(|_| is_data) {
                Some(bundle) => bundle.load(engine, file)?,
                None => left.push(file.display().to_string()),
            }
        }
        Ok(left)
    }
}

impl Bundle {
    fn read(root: PathBuf, manifest: &Path) -> Result<Self, PolicyError> {
        let name = manifest.display().to_string();
        let refused = |why: String| PolicyError::refused(&name, None, why);
        let bytes = input::read(manifest).map_err(|error| refused(error.to_string()))?;
        let value = input::parse_one(&bytes, Some(Format::Json)).map_err(refused)?;
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
        let version = whole.transpose()?;
        let roots = value.get("roots").and_then(Value::as_array).map(|roots| {
            let text = |root: &Value| root.as_str().map(|root| root.trim_matches('/').to_owned());
            roots.iter().filter_map(text).collect()
        });
        Ok(Self {
            root,
            roots,
            version,
            versions,
        })
    }

    fn load(&self, engine: &mut Engine, file: &Path) -> Result<(), PolicyError> {
        let name = file.display().to_string();
        let refused = |why: String| PolicyError::refused(&name, None, why);
        let bytes = input::read(file).map_err(|error| refused(error.to_string()))?;
        let value = input::parse_one(&bytes, Format::of(&name)).map_err(refused)?;
        let between = file.strip_prefix(&self.root).ok().and_then(Path::parent);
        let names: Vec<String> = between
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
        engine.add_data(&name, value)
    }
}

/// The first path of a document that is neither in a root nor on the way to one.
fn outside(value: &Value, at: &str, roots: &[String]) -> Option<String> {
    let within = |root: &String| root.is_empty() || at == *root || at.starts_with(&format!("{root}/"));
    if roots.iter().any(within) {
        return None;
    }
    let on_the_way = at.is_empty() || roots.iter().any(|root| root.starts_with(&format!("{at}/")));
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
