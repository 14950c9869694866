//! Which repository this host has seen at which place.
//!
//! A repository whose disk is not mounted looks exactly like one that was never made. Where this host knows better it says so, and
//! nobody is led to make a second, empty one in the mount point, to which every later backup would go.

use std::fs;
use std::path::Path;

use crate::config::Config;
use crate::error::CommandError;

const FILE: &str = "url";

/// Writes down where a repository was found. A host that cannot write it only knows less.
pub(crate) fn remember(state: &Path, repository: &str, url: &str) {
    let path = state.join(repository).join(FILE);
    if fs::read_to_string(&path).is_ok_and(|known| known == url) || !state.join(repository).is_dir() {
        return;
    }
    let staged = path.with_extension(format!("new-{}", std::process::id()));
    let _ = fs::write(&staged, url)
        .and_then(|()| fs::rename(&staged, &path))
        .inspect_err(|_| {
            let _ = fs::remove_file(&staged);
        });
}

/// The repository that this host last saw at this place.
pub(crate) fn at(state: &Path, url: &str) -> Option<String> {
    let here = |folder: &fs::DirEntry| fs::read_to_string(folder.path().join(FILE)).is_ok_and(|known| known == url);
    let folder = fs::read_dir(state).ok()?.flatten().find(here)?;
    Some(folder.file_name().to_string_lossy().into_owned())
}

/// What to do where there is no repository.
pub(crate) fn advise(error: CommandError, config: &Config, url: &str) -> CommandError {
    match at(&config.state, url) {
        Some(repository) => error.hint(format!(
            "mount it, then try again: repository {repository} was here when this host last looked"
        )),
        None => error
            .hint(format!(
                "is [repository] url in {} right, and mounted?",
                config.path.display()
            ))
            .hint("muster init   (only where there never was one: it makes a new, empty repository)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_remembered_by_its_place_and_forgotten_with_the_state() {
        let state = tempfile::tempdir().unwrap();
        remember(state.path(), "0123", "file:///mnt/backup");
        assert_eq!(at(state.path(), "file:///mnt/backup"), None, "no folder of its own yet");
        fs::create_dir(state.path().join("0123")).unwrap();
        remember(state.path(), "0123", "file:///mnt/backup");
        assert_eq!(at(state.path(), "file:///mnt/backup").as_deref(), Some("0123"));
        assert_eq!(at(state.path(), "file:///mnt/other"), None);
        remember(state.path(), "0123", "file:///mnt/other");
        assert_eq!(at(state.path(), "file:///mnt/backup"), None, "it has moved");
    }
}
