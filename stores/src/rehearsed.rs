//! A restored store that is started, questioned and written to inside a sandbox.
//!
//! Invariant: nothing here opens a connection to the source, listens on a network, archives, replicates or schedules.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::StoreError;

/// The private place of one rehearsal. Everything in it is removed afterwards.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// The restored tree.
    pub data: PathBuf,
    /// Sockets, logs, pid files: short path, mode 0700, owned by whoever runs the engine.
    pub run: PathBuf,
    /// No wait of the engine goes beyond this.
    pub deadline: Instant,
    /// Set it, and a wait of the engine ends as with its deadline.
    pub cancel: Arc<AtomicBool>,
}

impl Sandbox {
    /// Whether no wait may go on.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline || self.cancel.load(Ordering::Relaxed)
    }
}

/// A restored store of some kind. Methods are called in this order: `start`, `identity`, `check`*, `write`, `stop`.
pub trait Rehearsed: Send {
    /// Starts the engine and returns once it is writable (recovered and promoted). `phase` is told the name of each step
    /// as it begins: `engine_start`, `replay`, `promote` …
    fn start(&mut self, sandbox: &Sandbox, phase: &mut dyn FnMut(&'static str)) -> Result<(), StoreError>;
    /// Compares the running store with the manifest's consistency point. Any fact with `matches == false` is FAIL.
    fn identity(&mut self) -> Result<Vec<IdentityFact>, StoreError>;
    /// Runs one configured check under a statement timeout.
    fn check(&mut self, check: &str, timeout: Duration) -> CheckOutcome;
    /// Proves that the store takes a write, and that it can be read back.
    fn write(&mut self) -> Result<(), StoreError>;
    /// Stops the engine and waits until it is gone. Called in every case, also after errors; must be idempotent.
    fn stop(&mut self) -> Result<(), StoreError>;
    /// When the newest change that came back had been committed, by the source's clock (RFC 3339 UTC), for the realised RPO.
    /// `None` where the store does not tell. Known once it has started.
    fn latest_commit(&self) -> Option<String> {
        None
    }
    /// What kept the sandbox apart, as facts for the scorecard (`network`, `user`, `archiving`, …).
    fn isolation(&self) -> std::collections::BTreeMap<String, serde_json::Value>;
}

/// One compared fact of a restored store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFact {
    /// `system_identifier`, `timeline`, `replayed_lsn`, `integrity_check`, `schema_digest` …
    pub name: String,
    /// From the signed manifest.
    pub expected: String,
    /// From the running store.
    pub actual: String,
    /// Equal, or as much as the fact demands (a replayed LSN may lie beyond the manifest's).
    pub matches: bool,
}

/// How a configured check ended: three answers, not two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// Its one value is true or non-zero.
    Passed {
        /// The value, as text, at most 200 characters.
        actual: String,
    },
    /// It ran and its value is false, zero, null or not exactly one.
    Failed {
        /// What it gave instead.
        actual: String,
    },
    /// It could not run: verdict ERROR, never FAIL.
    CouldNotRun {
        /// The engine's own words.
        reason: String,
    },
}
