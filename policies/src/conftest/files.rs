//! Which configurations the arguments mean, and their values.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::Value;

use super::{Failed, Inputs};
use crate::input::{self, Reading, plain};

/// The most files beneath one folder.
const MAX_FILES: usize = 100_000;

/// The files that the arguments mean: a folder's as far as their names announce a format, links followed.
pub(super) fn list(arguments: &[String], ignore: &str) -> Result<Vec<String>, Failed> {
    let mut files = Vec::new();
    for argument in arguments.iter().filter(|argument| !argument.is_empty()) {
        if argument == "-" {
            files.push(argument.clone());
            continue;
        }
        let meta = fs::metadata(argument)
            .map_err(|error| Failed::new(format!("get file info: stat {argument}: {}", plain(&error))))?;
        if !meta.is_dir() {
            files.push(argument.clone());
            continue;
        }
        let ignored = Regex::new(ignore).map_err(|error| {
            Failed::new(format!(
                "get files from directory: given regexp couldn't be parsed :{error}"
            ))
        })?;
        let mut walk = Walk {
            ignored: (!ignore.is_empty()).then_some(ignored),
            visited: BTreeSet::new(),
            files: &mut files,
        };
        walk.entry(argument)
            .map_err(|why| Failed::new(format!("get files from directory: {why}")))?;
    }
    match files.is_empty() {
        true => Err(Failed::new("no files found")),
        false => Ok(files),
    }
}

struct Walk<'a> {
    ignored: Option<Regex>,
    visited: BTreeSet<String>,
    files: &'a mut Vec<String>,
}

impl Walk<'_> {
    fn entry(&mut self, path: &str) -> Result<(), String> {
        let failed = |what: &str, error: std::io::Error| format!("walk path: {what} {path}: {}", plain(&error));
        let meta = fs::symlink_metadata(path).map_err(|error| failed("lstat", error))?;
        if meta.is_dir() {
            if !self.visited.insert(path.to_owned()) {
                return Ok(());
            }
            let entries = fs::read_dir(path).map_err(|error| failed("open", error))?;
            let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
            let mut names: Vec<String> = names.collect::<Result<_, _>>().map_err(|error| failed("read", error))?;
            names.sort();
            return names.iter().try_for_each(|name| self.entry(&joined(path, name)));
        }
        if self.ignored.as_ref().is_some_and(|ignored| ignored.is_match(path)) {
            return Ok(());
        }
        if !meta.is_symlink() {
            return self.take(path);
        }
        let real = fs::canonicalize(path).map_err(|error| failed("lstat", error))?;
        let real = relative(path, &real);
        match fs::metadata(&real).map_err(|error| failed("stat", error))?.is_dir() {
            true => self.entry(&real),
            false => self.take(&real),
        }
    }

    fn take(&mut self, path: &str) -> Result<(), String> {
        if self.files.len() == MAX_FILES {
            return Err(format!("more than {MAX_FILES} files"));
        }
        if input::is_supported(path) {
            self.files.push(path.to_owned());
        }
        Ok(())
    }
}

/// Where a link leads, from where it was named: a relative link of a relative path stays relative.
fn relative(path: &str, real: &Path) -> String {
    let here = std::env::current_dir().ok().filter(|_| !path.starts_with('/'));
    let inside = here.and_then(|here| real.strip_prefix(here).ok().map(Path::to_owned));
    inside.as_deref().unwrap_or(real).display().to_string()
}

/// As Go joins and cleans: `./a` and `b` are `a/b`.
pub(super) fn joined(folder: &str, name: &str) -> String {
    let clean: Vec<&str> = folder
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let front = if folder.starts_with('/') { "/" } else { "" };
    let mut out: Vec<&str> = Vec::new();
    for part in clean.into_iter().chain([name]) {
        match (part, out.last()) {
            ("..", Some(last)) if *last != ".." => {
                out.pop();
            }
            _ => out.push(part),
        }
    }
    format!("{front}{}", out.join("/"))
}

/// A file of settings.
pub(super) fn settings(path: &str) -> Result<Value, Failed> {
    let bytes = input::read(Path::new(path)).map_err(|error| Failed(format!("open {path}: {}", plain(&error))))?;
    let format = input::Format::of(path).ok_or_else(|| Failed::new("Unsupported Config Type"))?;
    input::parse_one(&bytes, Some(format)).map_err(|why| Failed(format!("While parsing config: {why}")))
}

/// The values behind the paths, each path once.
pub(super) fn configurations(paths: &[String], inputs: &Inputs<'_>) -> Result<Vec<(String, Value)>, Failed> {
    let mut configurations: Vec<(String, Value)> = Vec::with_capacity(paths.len());
    let mut seen = BTreeSet::new();
    let folders: Vec<PathBuf> = inputs.protos.iter().map(PathBuf::from).collect();
    let protos = input::protos(&folders).map_err(|why| Failed(format!("find proto files: {why}")))?;
    let reading = Reading {
        sandbox: inputs.sandbox,
        protos: &protos,
    };
    for path in paths.iter().filter(|path| seen.insert(path.as_str())) {
        let parser = Some(inputs.parser).filter(|parser| !parser.is_empty());
        let value = input::configuration(path, parser, inputs.stdin, &reading).map_err(Failed)?;
        configurations.push((path.clone(), value));
    }
    Ok(configurations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_what_its_names_announce_and_a_link_where_it_leads() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for name in ["b.yaml", "a.json", "notes.txt", ".hidden/c.yml"] {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), "").unwrap();
        }
        std::os::unix::fs::symlink(root.join("notes.txt"), root.join("d.yaml")).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&root, &link).unwrap();
        let root = root.display().to_string();
        let files = list(std::slice::from_ref(&root), "").unwrap();
        let names: Vec<&str> = files.iter().map(|file| &file[root.len()..]).collect();
        assert_eq!(names, ["/.hidden/c.yml", "/a.json", "/b.yaml"]);
        let ignored = list(std::slice::from_ref(&root), "hidden|json$").unwrap();
        assert_eq!(ignored, [format!("{root}/b.yaml")]);
        assert_eq!(list(&[link.display().to_string()], "").unwrap(), files);
        assert_eq!(list(&[String::new()], "").unwrap_err().0, "no files found");
        assert_eq!(
            list(&["nowhere".to_owned()], "").unwrap_err().0,
            "get file info: stat nowhere: no such file or directory"
        );
    }

    #[test]
    fn paths_are_joined_as_go_joins_them() {
        for (folder, name, is) in [
            ("./a/", "b", "a/b"),
            (".", "b", "b"),
            ("/x//y/.", "b", "/x/y/b"),
            ("../a", "b", "../a/b"),
            ("a/../c", "b", "c/b"),
        ] {
            assert_eq!(joined(folder, name), is);
        }
    }
}
