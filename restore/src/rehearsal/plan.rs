//! What a rehearsal is to do, as a value: shown, digested into the scorecard, and only then carried out.

use std::time::Duration;

use muster_archive::Manifest;
use muster_signing::{Digest, Verified};
use serde::{Deserialize, Serialize};

/// What is rehearsed, and what it is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RehearsalPlan {
    /// Store name.
    pub store: String,
    /// Kind of store.
    pub kind: String,
    /// ULID of the snapshot.
    pub snapshot: String,
    /// Digest of its manifest's envelope.
    pub manifest_digest: Digest,
    /// How the point was chosen: `latest`, or as the user named it.
    pub point: String,
    /// `L3`: engine started, questioned and written to.
    pub depth: String,
    /// `clean`: no fault is injected.
    pub scenario: String,
    /// Checks in the engine's own language.
    pub checks: Vec<String>,
    /// What the store's owner expects.
    pub objectives: Objectives,
    /// What no step goes beyond.
    pub limits: Limits,
}

/// What a store's owner expects, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Objectives {
    /// From the beginning until the restored store has passed its checks.
    pub rto: Option<f64>,
    /// How much time of changes may be lost.
    pub rpo: Option<f64>,
}

/// What no step goes beyond, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// The whole rehearsal after its preflight.
    pub deadline_seconds: f64,
    /// One check.
    pub check_timeout_seconds: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline_seconds: 6.0 * 3600.0,
            check_timeout_seconds: 300.0,
        }
    }
}

impl Limits {
    pub(crate) fn deadline(&self) -> Duration {
        seconds(self.deadline_seconds)
    }

    pub(crate) fn check_timeout(&self) -> Duration {
        seconds(self.check_timeout_seconds)
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(3600))
}

impl RehearsalPlan {
    /// A clean rehearsal of this snapshot, down to the engine.
    pub fn of(manifest: &Verified<Manifest>, checks: Vec<String>, objectives: Objectives) -> Self {
        Self {
            store: manifest.store.clone(),
            kind: manifest.kind.clone(),
            snapshot: manifest.snapshot.clone(),
            manifest_digest: manifest.digest,
            point: "latest".to_owned(),
            depth: "L3".to_owned(),
            scenario: "clean".to_owned(),
            checks,
            objectives,
            limits: Limits::default(),
        }
    }

    /// Digest of the plan as JSON: the same plan twice has the same one.
    pub fn digest(&self) -> Digest {
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }
}
