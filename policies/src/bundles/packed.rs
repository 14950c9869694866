//! Bundles as OPA builds and serves them: a tar file under gzip, read in memory.
//!
//! Policies, data by its name, and the manifest; plans and what else lies beside them is passed over. Entries, names and sizes are
//! bounded before anything is read, links and paths that lead out are refused. A signature is not verified, and that is told.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

use super::manifest::{MANIFEST, Manifest, is_data};
use crate::engine::Engine;
use crate::input;
use crate::sources::{PolicyError, RegoVersion, is_test};

/// Files of one bundle.
const MOST_FILES: usize = 100_000;
/// Bytes of all that is packed.
const MOST_BYTES: u64 = 512 << 20;
const SIGNATURES: &str = ".signatures.json";

/// A bundle in one file.
pub(crate) struct Packed {
    path: PathBuf,
    manifest: Manifest,
    /// Policies and data, by their paths from the root, in their order.
    files: Vec<(PathBuf, Vec<u8>)>,
    /// Whether it carries a signature, which is not verified.
    pub(crate) signed: bool,
}

impl Packed {
    /// Whether a path names one.
    pub(crate) fn is(path: &Path) -> bool {
        let name = path.to_string_lossy();
        (name.ends_with(".tar.gz") || name.ends_with(".tgz")) && path.is_file()
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// What is no such file, or beyond the bounds, or holds what cannot be evaluated here.
    pub(crate) fn read(path: &Path) -> Result<Self, PolicyError> {
        let refused = |why: String| PolicyError::refused(&path.display().to_string(), None, why);
        let packed = input::read(path).map_err(|error| refused(error.to_string()))?;
        let mut bundle = Self {
            path: path.to_owned(),
            manifest: Manifest::default(),
            files: Vec::new(),
            signed: false,
        };
        let mut archive = Archive::new(MultiGzDecoder::new(packed.as_slice()).take(MOST_BYTES));
        let broken =
            |error: std::io::Error| refused(format!("no bundle under gzip, or beyond {MOST_BYTES} bytes: {error}"));
        for (count, entry) in archive.entries().map_err(broken)?.enumerate() {
            let mut entry = entry.map_err(broken)?;
            if count == MOST_FILES {
                return Err(refused(format!("more than {MOST_FILES} files")));
            }
            let name = entry.path().map_err(broken)?.into_owned();
            let name = within(&name).ok_or_else(|| refused(format!("{} leads out of the bundle", name.display())))?;
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {}
                EntryType::Symlink | EntryType::Link => {
                    return Err(refused(format!(
                        "{} is a link: a bundle holds files alone",
                        name.display()
                    )));
                }
                _ => continue,
            }
            let file = name.to_string_lossy();
            bundle.signed |= file == SIGNATURES;
            let kept = file == MANIFEST || file.ends_with(".rego") || is_data(&name);
            if !kept {
                continue;
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(broken)?;
            match file == MANIFEST {
                true => bundle.manifest = Manifest::parse(&bundle.named(&name), &bytes)?,
                false => bundle.files.push((name, bytes)),
            }
        }
        if archive.into_inner().limit() == 0 {
            return Err(refused(format!("more than {MOST_BYTES} bytes unpacked")));
        }
        if bundle.manifest.wasm {
            return Err(refused(
                "its rules are WebAssembly, which is not evaluated: build it for the target rego".to_owned(),
            ));
        }
        bundle.files.sort();
        Ok(bundle)
    }

    /// The file that it is.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn named(&self, name: &Path) -> String {
        self.path.join(name).display().to_string()
    }

    /// Takes its policies and data in; `version` overrules what it says of its policies.
    pub(crate) fn load(&self, engine: &mut Engine, version: RegoVersion, tests: bool) -> Result<(), PolicyError> {
        let mut policies = 0;
        for (path, bytes) in &self.files {
            let name = self.named(path);
            if is_data(path) {
                engine.add_data(&name, self.manifest.data(&name, path, bytes)?)?;
                continue;
            }
            if is_test(path) && !tests {
                continue;
            }
            let refused = |why: String| PolicyError::refused(&name, None, why);
            let text = std::str::from_utf8(bytes).map_err(|_| refused("not UTF-8".to_owned()))?;
            let version = match version {
                RegoVersion::Auto => self.manifest.version(path).unwrap_or_default(),
                version => version,
            };
            engine.add_module(&name, text, version)?;
            let package = engine.modules().last().map(|module| module.package.replace('.', "/"));
            if let Some(package) = package.filter(|package| !self.manifest.owns(package)) {
                return Err(refused(format!(
                    "package {package} lies in none of the roots that {MANIFEST} names"
                )));
            }
            policies += 1;
        }
        match policies {
            0 => Err(PolicyError::NoPolicy(self.name())),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// Another bundle has a part of `data` that is this one's too.
    pub(crate) fn beside(&self, others: &[Self]) -> Result<(), PolicyError> {
        match others.iter().find(|other| other.manifest.overlaps(&self.manifest)) {
            None => Ok(()),
            Some(other) => {
                let why = format!(
                    "its roots overlap those of {}: name them in the manifests",
                    other.path.display()
                );
                Err(PolicyError::refused(&self.name(), None, why))
            }
        }
    }
}

/// A path from the root of a bundle, without the detours that stand in it; none where it leads out.
fn within(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}
