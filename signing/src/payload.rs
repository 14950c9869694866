//! The kinds of signed document, and which role signs each.
//!
//! One payload type belongs to one role: this table is the only place that says so, which is why a key of one role can
//! never sign for another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The repository's descriptor.
pub const DESCRIPTOR: &str = "application/vnd.muster.descriptor+json";
/// A key document.
pub const KEYS: &str = "application/vnd.muster.keys+json";
/// A snapshot's manifest.
pub const MANIFEST: &str = "application/vnd.muster.manifest+json";
/// A writer's declaration of what it had promised and can no longer give: the losses of a restore.
pub const LOSS: &str = "application/vnd.muster.loss+json";
/// A rehearsal's scorecard.
pub const SCORECARD: &str = "application/vnd.muster.scorecard+json";
/// An in-toto statement, the head of an evidence bundle.
pub const STATEMENT: &str = "application/vnd.in-toto+json";
/// A prune plan or delete record.
pub const PRUNE: &str = "application/vnd.muster.prune+json";

/// What a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Says who has the other roles; kept offline.
    Root,
    /// Commits snapshots.
    Writer,
    /// Says how a rehearsal went.
    Rehearser,
    /// Signs evidence.
    Auditor,
    /// Plans and records deletions.
    Pruner,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Root, Self::Writer, Self::Rehearser, Self::Auditor, Self::Pruner];

    /// The role's name as documents and configurations spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Writer => "writer",
            Self::Rehearser => "rehearser",
            Self::Auditor => "auditor",
            Self::Pruner => "pruner",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The role that signs documents of this type; `None` for a type that muster does not know.
#[must_use]
pub fn role_of(payload_type: &str) -> Option<Role> {
    match payload_type {
        DESCRIPTOR | KEYS => Some(Role::Root),
        MANIFEST | LOSS => Some(Role::Writer),
        SCORECARD => Some(Role::Rehearser),
        STATEMENT => Some(Role::Auditor),
        PRUNE => Some(Role::Pruner),
        _ => None,
    }
}
