//! Globs over relative paths, with the simple half of gitignore's meaning.
//!
//! A pattern without `/` is compared with the last name of a path; with one, with the whole relative path. A leading `/` says
//! the latter outright, a trailing `/` takes directories only. `*` stops at `/`, `**` does not. Names need not be UTF-8.

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

use crate::StoreError;

/// Compiled patterns.
#[derive(Debug)]
pub struct Patterns {
    names: Pair,
    paths: Pair,
}

#[derive(Debug)]
struct Pair {
    any: GlobSet,
    directories: GlobSet,
}

impl Patterns {
    /// Compiles `patterns`; `of` names their place in the configuration for the error.
    pub fn new<P: AsRef<str>>(patterns: &[P], of: &str) -> Result<Self, StoreError> {
        let mut sets: [GlobSetBuilder; 4] = std::array::from_fn(|_| GlobSetBuilder::new());
        for pattern in patterns {
            let pattern = pattern.as_ref();
            let fault = |reason: String| StoreError::Settings {
                reason: format!("{of} {pattern:?}: {reason}"),
            };
            if pattern.starts_with('!') {
                return Err(fault(
                    "a pattern cannot be negated; write \\! for a name that begins with !".to_owned(),
                ));
            }
            let (body, directories) = match pattern.strip_suffix('/') {
                Some(body) => (body, true),
                None => (pattern, false),
            };
            let (body, path) = match body.strip_prefix('/') {
                Some(body) => (body, true),
                None => (body, body.contains('/')),
            };
            if body.is_empty() {
                return Err(fault("an empty pattern matches nothing".to_owned()));
            }
            let glob = GlobBuilder::new(body)
                .literal_separator(true)
                .build()
                .map_err(|error| fault(error.kind().to_string()))?;
            let [names, name_directories, paths, path_directories] = &mut sets;
            match (path, directories) {
                (false, false) => names.add(glob),
                (false, true) => name_directories.add(glob),
                (true, false) => paths.add(glob),
                (true, true) => path_directories.add(glob),
            };
        }
        let build = |set: &GlobSetBuilder| {
            set.build().map_err(|error| StoreError::Settings {
                reason: format!("{of}: {error}"),
            })
        };
        let [names, name_directories, paths, path_directories] = &sets;
        Ok(Self {
            names: Pair {
                any: build(names)?,
                directories: build(name_directories)?,
            },
            paths: Pair {
                any: build(paths)?,
                directories: build(path_directories)?,
            },
        })
    }

    /// Whether any pattern takes this path, whose last component is `name`.
    pub fn matches(&self, path: &[u8], name: &[u8], directory: bool) -> bool {
        self.names.matches(name, directory) || self.paths.matches(path, directory)
    }
}

impl Pair {
    fn matches(&self, bytes: &[u8], directory: bool) -> bool {
        if self.any.is_empty() && (self.directories.is_empty() || !directory) {
            return false;
        }
        let candidate = Candidate::from_bytes(bytes);
        self.any.is_match_candidate(&candidate) || (directory && self.directories.is_match_candidate(&candidate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pattern: &str, path: &str, directory: bool) -> bool {
        let name = path.rsplit('/').next().unwrap();
        Patterns::new(&[pattern], "exclude")
            .unwrap()
            .matches(path.as_bytes(), name.as_bytes(), directory)
    }

    #[test]
    fn a_pattern_without_a_slash_is_compared_with_the_name_at_any_depth() {
        assert!(takes("*.tmp", "a/b/c.tmp", false));
        assert!(takes("cache", "a/cache", true));
        assert!(!takes("*.tmp", "a/c.tmp.keep", false));
    }

    #[test]
    fn a_pattern_with_a_slash_is_compared_with_the_whole_path() {
        assert!(takes("logs/*.log", "logs/x.log", false));
        assert!(!takes("logs/*.log", "old/logs/x.log", false));
        assert!(!takes("logs/*.log", "logs/deep/x.log", false));
        assert!(takes("logs/**/*.log", "logs/deep/er/x.log", false));
        assert!(takes("/top", "top", true));
        assert!(!takes("/top", "a/top", true));
    }

    #[test]
    fn a_trailing_slash_takes_directories_only() {
        assert!(takes("build/", "a/build", true));
        assert!(!takes("build/", "a/build", false));
    }

    #[test]
    fn names_that_are_not_utf8_are_compared_as_bytes() {
        let patterns = Patterns::new(&["*.tmp"], "exclude").unwrap();
        assert!(patterns.matches(b"\xff\xfe.tmp", b"\xff\xfe.tmp", false));
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for pattern in ["!keep", "", "/", "a[", "{a"] {
            let error = Patterns::new(&[pattern], "exclude").unwrap_err().to_string();
            assert!(
                error.starts_with("exclude ") && error.contains(&format!("{pattern:?}")),
                "{error}"
            );
        }
    }
}
