//! Which files stand behind the paths that a user names.
//!
//! Folders are walked in name order, hidden entries and links out of the walk are left alone, and the number of files
//! is bounded: the same tree always gives the same list.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::{Format, MAX_FILE, Proto};

/// The most files that one run looks at.
const MAX_FILES: usize = 100_000;

/// One file to judge: its name as the user would write it, and its bytes or why they could not be read.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) format: Option<Format>,
    pub(crate) bytes: Result<Vec<u8>, String>,
}

/// The configuration files behind a path, without those whose path is ignored; a file named outright is taken whatever it is called.
pub(crate) fn input_files(path: &Path, ignored: &dyn Fn(&str) -> bool) -> Vec<Input> {
    let name = path.display().to_string();
    match fs::metadata(path) {
        Err(e) => vec![Input {
            name,
            format: None,
            bytes: Err(e.to_string()),
        }],
        Ok(meta) if meta.is_dir() => match walk(path, &|name| Format::of(name).is_some()) {
            Err(e) => vec![Input {
                name,
                format: None,
                bytes: Err(e.to_string()),
            }],
            Ok(files) => files
                .iter()
                .filter(|file| !ignored(&file.display().to_string()))
                .map(|file| read_input(file))
                .collect(),
        },
        Ok(_) => vec![read_input(path)],
    }
}

/// The `.rego` files behind a path.
pub(crate) fn rego_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    files(path, &|name| name.ends_with(".rego"))
}

/// The JSON and YAML files behind a path.
pub(crate) fn data_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    files(path, &|name| Format::of(name).is_some_and(Format::is_data))
}

/// The definitions of Protocol Buffers in these folders.
///
/// # Errors
/// A folder or file that cannot be read.
pub(crate) fn protos(folders: &[PathBuf]) -> Result<Vec<Proto>, String> {
    let mut protos = Vec::new();
    for folder in folders {
        let failed = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
        let found = files(folder, &|name| name.ends_with(".proto")).map_err(|error| failed(folder, error))?;
        for file in found {
            let bytes = read(&file).map_err(|error| failed(&file, error))?;
            let text = String::from_utf8(bytes).map_err(|_| format!("{}: not UTF-8", file.display()))?;
            let name = file.strip_prefix(folder).unwrap_or(&file);
            protos.push(Proto {
                name: name.display().to_string(),
                path: file.display().to_string(),
                text,
            });
        }
    }
    Ok(protos)
}

fn files(path: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    if fs::metadata(path)?.is_dir() {
        walk(path, wanted)
    } else {
        Ok(vec![path.to_owned()])
    }
}

fn read_input(path: &Path) -> Input {
    let name = path.display().to_string();
    let format = Format::of(&name);
    Input {
        name,
        format,
        bytes: match (format, Format::refused(&path.display().to_string())) {
            (None, Some(reason)) => Err(reason),
            _ => read(path).map_err(|e| e.to_string()),
        },
    }
}

/// Reads a file whole, if it is not larger than the limit.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let size = fs::metadata(path)?.len();
    if size > MAX_FILE {
        return Err(io::Error::other(format!("{size} bytes, the limit is {MAX_FILE}")));
    }
    fs::read(path)
}

fn walk(root: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let kind = entry.file_type()?;
            if kind.is_dir() && name.starts_with('.') {
                continue;
            }
            if kind.is_dir() {
                folders.push(entry.path());
            } else if wanted(&name) && fs::metadata(entry.path()).is_ok_and(|meta| meta.is_file()) {
                found.push(entry.path());
            }
            if found.len() > MAX_FILES || folders.len() > MAX_FILES {
                return Err(io::Error::other(format!(
                    "more than {MAX_FILES} files beneath {}",
                    root.display()
                )));
            }
        }
    }
    found.sort();
    Ok(found)
}
