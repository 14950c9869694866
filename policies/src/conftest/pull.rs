//! Policies from somewhere else, as far as that is this file system.
//!
//! Files are copied; a place behind a network is refused by name, since policies that arrive unseen are judged by nobody.

use std::fs;
use std::path::{Path, PathBuf};

use super::Failed;
use crate::input::plain;

/// How deep folders are copied.
const MAX_DEPTH: usize = 64;

/// `conftest pull`: copies from each place into a folder; a file that is there already is an error.
///
/// # Errors
/// A place behind a network; one that cannot be read; a file that is there already.
pub fn pull(folder: &str, places: &[String]) -> Result<(), Failed> {
    fetch(folder, places, false).map_err(|why| why.around("download policies"))
}

pub(super) fn fetch(folder: &str, places: &[String], overwrite: bool) -> Result<(), Failed> {
    for place in places {
        let source = local(place)?;
        let name = source.file_name().unwrap_or_default();
        let target = Path::new(folder).join(name);
        if target.exists() && !overwrite {
            return Err(Failed(format!(
                "policy file already exists at {}, refusing to overwrite",
                target.display()
            )));
        }
        let failed = |error: std::io::Error| {
            Failed(format!(
                "client get: copy {} to {folder}: {}",
                source.display(),
                plain(&error)
            ))
        };
        let copied = match fs::metadata(&source).map_err(failed)?.is_dir() {
            true => copy_folder(&source, Path::new(folder), MAX_DEPTH),
            false => fs::create_dir_all(folder).and_then(|()| fs::copy(&source, &target).map(drop)),
        };
        copied.map_err(failed)?;
    }
    Ok(())
}

/// The path that a place means.
fn local(place: &str) -> Result<PathBuf, Failed> {
    let path = place
        .strip_prefix("file://")
        .or_else(|| place.strip_prefix("file::"))
        .unwrap_or(place);
    if path.contains("::") || path.contains("://") || !Path::new(path).exists() {
        return Err(Failed(format!(
            "detecting url: {place} is not on this file system: muster fetches no policies over the network; fetch them before, and \
             name their folder with --policy"
        )));
    }
    Ok(PathBuf::from(path))
}

fn copy_folder(from: &Path, to: &Path, depth: usize) -> std::io::Result<()> {
    if depth == 0 {
        return Err(std::io::Error::other("nested too deeply"));
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match fs::metadata(entry.path())?.is_dir() {
            true => copy_folder(&entry.path(), &target, depth - 1)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}
