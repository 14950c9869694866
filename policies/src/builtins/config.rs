//! Conftest's `parse_config`: text in any format that muster reads, as a value, and files beside the policy where it may read them.

use std::fs;
use std::path::{Path, PathBuf};

use regorus::Value;

use super::call::{Call, Outcome};
use super::{Failure, Family, Files};
use crate::input::{self, Format, Reading, plain};
use crate::rego::PARTING;

pub(super) const FAMILY: Family = &[
    ("parse_config", parse_config),
    ("parse_config_file", file),
    ("parse_combined_config_files", files),
];

fn parse_config(call: &mut Call<'_>) -> Outcome {
    let format = Format::named(call.string(0)?)?;
    let value = input::whole(call.string(1)?.as_bytes(), format, &Reading::default())?;
    Ok(Value::from(value))
}

fn file(call: &mut Call<'_>) -> Outcome {
    let files = open(call)?;
    let (folder, path) = call.string(0)?.split_once(PARTING).ok_or("the path holds no folder")?;
    let path = named(files, folder, path)?;
    Ok(Value::from(input::configuration(
        &path,
        None,
        &[],
        &Reading::default(),
    )?))
}

fn files(call: &mut Call<'_>) -> Outcome {
    let files = open(call)?;
    let paths = call.strings(0)?;
    let (folder, paths) = paths.split_first().ok_or("there is no path")?;
    let mut configurations = Vec::new();
    for path in paths {
        let path = named(files, folder, path)?;
        let value = input::configuration(&path, None, &[], &Reading::default())?;
        configurations.push((path, value));
    }
    Ok(Value::from(input::combined(configurations)))
}

/// A path in a folder, without the detours that stand in it.
fn beside(folder: &str, path: &str) -> String {
    let joined = format!("{folder}/{}", path.trim_start_matches('/'));
    let whole = if folder.is_empty() { path } else { &joined };
    let mut clean = PathBuf::new();
    for part in Path::new(whole).components() {
        match part {
            std::path::Component::ParentDir if clean.file_name().is_some_and(|name| name != "..") => {
                clean.pop();
            }
            std::path::Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean.display().to_string()
}

/// Which files there are, if any.
fn open(call: &Call<'_>) -> Result<Files, Failure> {
    match call.world.files {
        Files::None => Err(Failure::Halt(
            "policies read no files: hand the file over as input or with --data, or give its text to parse_config"
                .to_owned(),
        )),
        files => Ok(files),
    }
}

/// A path in the folder of a policy, if it may be read.
fn named(files: Files, folder: &str, path: &str) -> Result<String, Failure> {
    let path = beside(folder, path);
    if files == Files::Any {
        return Ok(path);
    }
    let folder = if folder.is_empty() { "." } else { folder };
    let real = |path: &str| fs::canonicalize(path).map_err(|error| format!("open {path}: {}", plain(&error)));
    let (inside, folder) = (real(&path)?, real(folder)?);
    match inside.starts_with(folder) && inside.is_file() {
        true => Ok(path),
        false => Err(Failure::Halt(format!(
            "{path} is no file beneath the policy's folder: move it there, or hand it over as input or with --data"
        ))),
    }
}
