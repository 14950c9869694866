//! The in-toto statement at the head of a bundle, and muster's predicate in it.
//!
//! The statement's subjects are the bundle's members with their digests, so that one signature covers them all. The
//! predicate names what an auditor asks first: who judged what, when, by which policies, with which result, and which
//! snapshot and rehearsal stand behind each store.

use std::collections::BTreeMap;

use muster_signing::Digest;
use serde::{Deserialize, Serialize};

/// The type of every in-toto statement of version 1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The type of muster's audit predicate.
pub const PREDICATE_TYPE: &str = "https://muster.dev/audit/v1";

/// An in-toto statement with muster's predicate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// Every member of the bundle that the signature covers.
    pub subject: Vec<Subject>,
    /// [`PREDICATE_TYPE`].
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What was found.
    pub predicate: Audit,
}

/// One member of the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its name in the tar.
    pub name: String,
    /// Its digest.
    pub digest: SubjectDigest,
}

impl Subject {
    pub(crate) fn new(name: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            digest: SubjectDigest {
                sha256: Digest::of(bytes).hex(),
            },
        }
    }
}

/// A digest as in-toto writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectDigest {
    /// 64 hex digits.
    pub sha256: String,
}

/// What an audit found: the statement's predicate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// The repository's id.
    pub repository: String,
    /// The time that the policies saw as now, RFC 3339 UTC.
    pub evaluated_at: String,
    /// When collecting began, RFC 3339 UTC.
    pub started: String,
    /// When the last evaluation ended, RFC 3339 UTC.
    pub finished: String,
    /// What made the bundle.
    pub tool: Tool,
    /// The profiles that were evaluated.
    pub profiles: Vec<String>,
    /// How many results there are of each verdict, as in `results.json`.
    pub summary: BTreeMap<String, u64>,
    /// The controls that at least one result speaks of.
    pub controls: Vec<String>,
    /// The frameworks that were asked for, with how their controls stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frameworks: Vec<Framework>,
    /// The stores, with what stands behind each.
    pub stores: Vec<Store>,
    /// What this bundle does not show.
    pub not_shown: Vec<String>,
    /// Names that a reader must know.
    #[serde(default)]
    pub critical: Vec<String>,
}

/// A framework by which the results are sorted in `results.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Framework {
    /// Its name, such as `eu-dora`.
    pub framework: String,
    /// How many of its controls stand how: a verdict, `not_evaluated` or `no_rule`.
    pub summary: BTreeMap<String, u64>,
}

/// A program and its version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A store and its newest evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Its name in the configuration.
    pub store: String,
    /// Its kind.
    pub kind: String,
    /// Its newest snapshot; `None` when there is none.
    pub newest: Option<Snapshot>,
    /// Its newest rehearsal; `None` when it was never rehearsed.
    pub rehearsal: Option<Rehearsed>,
}

/// A snapshot whose manifest is in the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its id.
    pub snapshot: String,
    /// Its consistency point's time, RFC 3339 UTC.
    pub time: String,
    /// The digest of the manifest's envelope.
    pub manifest_digest: Digest,
}

/// A rehearsal whose scorecard is in the bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsed {
    /// Its id.
    pub rehearsal: String,
    /// The snapshot that was restored.
    pub snapshot: String,
    /// When it ended, RFC 3339 UTC.
    pub time: String,
    /// Its verdict.
    pub verdict: String,
    /// The digest of the scorecard's envelope.
    pub scorecard_digest: Digest,
}
