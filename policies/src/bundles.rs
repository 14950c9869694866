//! Bundles, which say the version of Rego of their policies and bring data along for tests, and the files that tests leave out.
//!
//! A folder with a `.manifest` is a bundle: its `data.json` and `data.yaml` lie in `data` beneath the names of their folders. Any other
//! JSON or YAML beside the policies becomes data only by name, since a fixture that turned into data unasked would change what the
//! rules see; it is told which files those are.

mod manifest;
mod packed;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::engine::Engine;
use crate::input;
use crate::sources::{PolicyError, RegoVersion};
use manifest::{MANIFEST, Manifest, is_data};
pub(crate) use packed::Packed;

/// A folder that is a bundle.
struct Bundle {
    root: PathBuf,
    manifest: Manifest,
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
        bundle.manifest.version(file.strip_prefix(&bundle.root).ok()?)
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
            match self.bundle(file).filter(|_| is_data(file)) {
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
        let bytes = input::read(manifest).map_err(|error| PolicyError::refused(&name, None, error.to_string()))?;
        let manifest = Manifest::parse(&name, &bytes)?;
        Ok(Self { root, manifest })
    }

    fn load(&self, engine: &mut Engine, file: &Path) -> Result<(), PolicyError> {
        let name = file.display().to_string();
        let bytes = input::read(file).map_err(|error| PolicyError::refused(&name, None, error.to_string()))?;
        let within = file.strip_prefix(&self.root).unwrap_or(file);
        engine.add_data(&name, self.manifest.data(&name, within, &bytes)?)
    }
}
