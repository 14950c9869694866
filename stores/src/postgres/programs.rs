//! PostgreSQL's programs on this machine, by major version.
//!
//! Invariant: a program is used only after it has said its own version: a data directory starts under its own major version only.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::StoreError;

/// Where packages put the programs, `{}` being the major version.
const DIRECTORIES: [&str; 5] = [
    "/usr/lib/postgresql/{}/bin",
    "/usr/pgsql-{}/bin",
    "/opt/homebrew/opt/postgresql@{}/bin",
    "/usr/local/opt/postgresql@{}/bin",
    "/usr/local/pgsql/bin",
];

/// The folder whose `postgres` is of this major version: `preferred` if given, else the packages' folders and `PATH`.
pub(crate) fn find(major: u32, preferred: Option<&Path>) -> Result<PathBuf, StoreError> {
    let mut directories: Vec<PathBuf> = match preferred {
        Some(directory) => vec![directory.to_owned()],
        None => DIRECTORIES
            .iter()
            .map(|pattern| PathBuf::from(pattern.replace("{}", &major.to_string())))
            .collect(),
    };
    if preferred.is_none() {
        directories.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    }
    let mut others = Vec::new();
    for directory in &directories {
        match version(&directory.join("postgres")) {
            Some(found) if found == major => return Ok(directory.clone()),
            Some(found) => others.push(format!("{} has version {found}", directory.display())),
            None => {}
        }
    }
    let places = match preferred {
        Some(directory) => directory.display().to_string(),
        None => format!("{} and PATH", directories[0].display()),
    };
    Err(StoreError::ProgramMissing {
        program: format!("postgres of version {major}"),
        searched: if others.is_empty() {
            places
        } else {
            format!("{places} ({})", others.join(", "))
        },
        hint: format!("apt-get install postgresql-{major}"),
    })
}

/// The folder of loadable modules that belongs to `bin`.
pub(crate) fn module_directory(bin: &Path) -> PathBuf {
    let asked = Command::new(bin.join("pg_config"))
        .arg("--pkglibdir")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    match asked {
        Ok(output) if output.status.success() => PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()),
        _ => bin.parent().unwrap_or(bin).join("lib"),
    }
}

fn version(program: &Path) -> Option<u32> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "… 19devel"
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.split_once("(PostgreSQL) ")?.1;
    number[..number.find(|character: char| !character.is_ascii_digit())?]
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_version_is_named_with_its_package() {
        let error = find(99, None).unwrap_err();
        assert!(
            matches!(&error, StoreError::ProgramMissing { hint, .. } if hint == "apt-get install postgresql-99"),
            "{error}"
        );
        assert!(error.to_string().contains("/usr/lib/postgresql/99/bin"), "{error}");
    }

    #[test]
    fn the_preferred_folder_is_the_only_one_looked_at() {
        let empty = tempfile::tempdir().unwrap();
        assert!(find(15, Some(empty.path())).is_err());
        assert_eq!(
            find(15, None).unwrap(),
            Path::new("/usr/lib/postgresql/15/bin"),
            "apt-get install postgresql-15"
        );
    }
}
