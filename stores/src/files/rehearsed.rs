//! A restored tree in a sandbox: there is no engine, so "started" means that it can be listed, and "written" that it takes a file.
//!
//! Its bytes are compared with the manifest's tree digest by the rehearsal itself. A configured check is a glob over relative
//! paths, as in `exclude`, and passes when it takes at least one regular file that is not empty.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::patterns::Patterns;
use crate::{CheckOutcome, IdentityFact, Rehearsed, Sandbox, StoreError};

const PROOF: &[u8] = b"muster writes to what it restored\n";

/// A restored `files` store.
#[derive(Debug, Default)]
pub struct TreeRehearsed {
    sandbox: Option<Sandbox>,
}

impl TreeRehearsed {
    /// Not started.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn root(&self) -> Result<&Sandbox, StoreError> {
        self.sandbox.as_ref().ok_or_else(|| StoreError::Settings {
            reason: "the tree was not started".to_owned(),
        })
    }
}

impl Rehearsed for TreeRehearsed {
    fn start(&mut self, sandbox: &Sandbox, phase: &mut dyn FnMut(&'static str)) -> Result<(), StoreError> {
        phase("engine_start");
        fs::read_dir(&sandbox.data).map_err(|error| failed("list the restored tree", &sandbox.data, error))?;
        self.sandbox = Some(sandbox.clone());
        Ok(())
    }

    fn identity(&mut self) -> Result<Vec<IdentityFact>, StoreError> {
        self.root().map(|_| Vec::new())
    }

    fn check(&mut self, check: &str, timeout: Duration) -> CheckOutcome {
        let outcome = self.root().and_then(|sandbox| {
            let patterns = Patterns::new(&[check], "check")?;
            let end = (Instant::now() + timeout).min(sandbox.deadline);
            first_match(&sandbox.data, &patterns, end, timeout)
        });
        match outcome {
            Ok(Some(path)) => CheckOutcome::Passed {
                actual: path.to_string_lossy().chars().take(200).collect(),
            },
            Ok(None) => CheckOutcome::Failed {
                actual: "no regular file with content matches".to_owned(),
            },
            Err(error) => CheckOutcome::CouldNotRun {
                reason: with_causes(&error),
            },
        }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let data = &self.root()?.data;
        for attempt in 0..1000_u32 {
            let path = data.join(format!(".muster-rehearsal-{attempt}"));
            let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(failed("create a file", &path, error)),
            };
            let written = file.write_all(PROOF).and_then(|()| file.sync_all());
            let read = written.and_then(|()| {
                let mut back = Vec::new();
                fs::File::open(&path)?
                    .take(PROOF.len() as u64 + 1)
                    .read_to_end(&mut back)?;
                Ok(back)
            });
            let removed = fs::remove_file(&path);
            let back = read.map_err(|error| failed("write a file", &path, error))?;
            removed.map_err(|error| failed("remove a file", &path, error))?;
            if back != PROOF {
                return Err(StoreError::Invalid {
                    attempt: format!("read {} back", path.display()),
                    reason: "other bytes came back than were written".to_owned(),
                });
            }
            return Ok(());
        }
        Err(StoreError::Invalid {
            attempt: format!("create a file in {}", data.display()),
            reason: "every name for it is taken".to_owned(),
        })
    }

    fn stop(&mut self) -> Result<(), StoreError> {
        self.sandbox = None;
        Ok(())
    }

    fn isolation(&self) -> BTreeMap<String, Value> {
        BTreeMap::from([
            ("network".to_owned(), "none".into()),
            ("engine".to_owned(), "none".into()),
        ])
    }
}

/// The first non-empty regular file, in the order of names, that the patterns take.
fn first_match(
    root: &Path,
    patterns: &Patterns,
    end: Instant,
    timeout: Duration,
) -> Result<Option<PathBuf>, StoreError> {
    let mut waiting = vec![PathBuf::new()];
    while let Some(directory) = waiting.pop() {
        let full = root.join(&directory);
        let list = |error| failed("list", &full, error);
        let mut found = fs::read_dir(&full)
            .map_err(list)?
            .collect::<Result<Vec<_>, _>>()
            .map_err(list)?;
        found.sort_by_key(fs::DirEntry::file_name);
        let mut below = Vec::new();
        for entry in found {
            if Instant::now() >= end {
                let attempt = format!("look through {}", root.display());
                return Err(StoreError::Deadline {
                    attempt,
                    seconds: timeout.as_secs(),
                });
            }
            let relative = directory.join(entry.file_name());
            let metadata = entry
                .metadata()
                .map_err(|error| failed("look at", &entry.path(), error))?;
            if metadata.is_dir() {
                below.push(relative);
            } else if metadata.is_file()
                && metadata.len() > 0
                && patterns.matches(relative.as_os_str().as_bytes(), entry.file_name().as_bytes(), false)
            {
                return Ok(Some(relative));
            }
        }
        waiting.extend(below.into_iter().rev());
    }
    Ok(None)
}

fn failed(what: &str, path: &Path, error: std::io::Error) -> StoreError {
    StoreError::Unreachable {
        attempt: format!("{what} {}", path.display()),
        source: Box::new(error),
    }
}

fn with_causes(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
