//! What is started on the restored bytes, and stopped again whatever happens.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use muster_archive::Manifest;
use muster_stores::files::TreeRehearsed;
use muster_stores::sqlite::SqliteRehearsed;
use muster_stores::{CheckOutcome, IdentityFact, Rehearsed, Sandbox, StoreError};
use serde_json::Value;

/// The engine of a rehearsal.
pub struct Engine {
    given: RefCell<Option<Box<dyn Rehearsed>>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// The one that fits the manifest's kind and needs no settings: `files` and `sqlite`.
    pub fn by_kind() -> Self {
        Self {
            given: RefCell::new(None),
        }
    }

    /// This one. It takes the restored files over itself where it runs as another user.
    pub fn given(engine: Box<dyn Rehearsed>) -> Self {
        Self {
            given: RefCell::new(Some(engine)),
        }
    }

    pub(super) fn take(&self, manifest: &Manifest, data: &Path) -> Result<Running, StoreError> {
        if let Some(engine) = self.given.borrow_mut().take() {
            return Ok(Running { engine, running: false });
        }
        let engine: Box<dyn Rehearsed> = match manifest.kind.as_str() {
            "files" => Box::new(TreeRehearsed::new()),
            "sqlite" => Box::new(sqlite(manifest, data)?),
            kind => {
                let reason = format!("a restored store of kind {kind:?} needs an engine, and none was given");
                return Err(StoreError::Settings { reason });
            }
        };
        Ok(Running { engine, running: false })
    }
}

/// The database is the only file of its snapshot.
fn sqlite(manifest: &Manifest, data: &Path) -> Result<SqliteRehearsed, StoreError> {
    let failed = |reason: String| StoreError::Invalid {
        attempt: format!("look for the database in {}", data.display()),
        reason,
    };
    let mut names = std::fs::read_dir(data)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(error.to_string()))?
        .into_iter()
        .map(|entry| entry.file_name());
    let position = manifest.consistency_point.as_object().cloned().unwrap_or_default();
    let position: BTreeMap<String, Value> = position.into_iter().collect();
    match (names.next(), names.next()) {
        (Some(name), None) => Ok(SqliteRehearsed::new(name, position)),
        (None, _) => Err(failed("it is empty".to_owned())),
        (Some(_), Some(_)) => Err(failed("it holds more than one file".to_owned())),
    }
}

/// An engine that is stopped when it is dropped.
pub(super) struct Running {
    engine: Box<dyn Rehearsed>,
    running: bool,
}

impl Running {
    pub(super) fn start(&mut self, sandbox: &Sandbox, phase: &mut dyn FnMut(&'static str)) -> Result<(), StoreError> {
        self.running = true;
        self.engine.start(sandbox, phase)
    }

    pub(super) fn identity(&mut self) -> Result<Vec<IdentityFact>, StoreError> {
        self.engine.identity()
    }

    pub(super) fn check(&mut self, check: &str, timeout: Duration) -> CheckOutcome {
        self.engine.check(check, timeout)
    }

    pub(super) fn write(&mut self) -> Result<(), StoreError> {
        self.engine.write()
    }

    pub(super) fn isolation(&self) -> BTreeMap<String, Value> {
        self.engine.isolation()
    }

    pub(super) fn stop(&mut self) -> Result<(), StoreError> {
        self.running = false;
        self.engine.stop()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.running
            && let Err(error) = self.engine.stop()
        {
            tracing::error!(%error, "the engine of a rehearsal could not be stopped");
        }
    }
}
