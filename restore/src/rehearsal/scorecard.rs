//! The scorecard: what a rehearsal found, as it is signed.
//!
//! Invariant: it fits its envelope, whatever a check or an engine said; what it does not show, it does not claim.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use muster_archive::{Manifest, Tool};
use muster_signing::{Digest, Verified};
use muster_stores::IdentityFact;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{RehearsalPlan, Rpo, Rto, Verdict};
use crate::Phase;
use crate::session::Session;

/// Longest text of a check, in characters.
const TEXT: usize = 160;
/// Most checks of a scorecard; those that did not pass are never left out before those that did.
const CHECKS: usize = 64;

/// A rehearsal's result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scorecard {
    /// `muster.scorecard/1`.
    pub schema: String,
    /// Features that a reader must know.
    #[serde(default)]
    pub critical: Vec<String>,
    /// Repository id.
    pub repository: String,
    /// ULID of the rehearsal.
    pub rehearsal: String,
    /// Store name.
    pub store: String,
    /// Kind of store.
    pub kind: String,
    /// ULID of the snapshot.
    pub snapshot: String,
    /// Digest of its manifest's envelope.
    pub manifest_digest: Digest,
    /// Where the snapshot is consistent, from the manifest.
    pub consistency_point: Value,
    /// Digest of the plan that was carried out.
    pub plan_digest: Digest,
    /// How deep it was to go.
    pub depth: String,
    /// How deep it went.
    pub reached: String,
    /// What was simulated.
    pub scenario: String,
    /// How the point was chosen.
    pub point: String,
    /// When it began, RFC 3339 UTC.
    pub started_at: String,
    /// Its length.
    pub duration_seconds: f64,
    /// One of four.
    pub verdict: Verdict,
    /// Why, the gravest first; notes may stand beside a PASS.
    pub reasons: Vec<String>,
    /// What was done in turn.
    pub phases: Vec<Phase>,
    /// Recovery time.
    pub rto: Rto,
    /// Recovery point.
    pub rpo: Rpo,
    /// What was compared and asked.
    pub checks: Vec<Check>,
    /// What kept the sandbox apart.
    pub isolation: BTreeMap<String, Value>,
    /// What a timing depends on.
    pub conditions: Conditions,
    /// Who rehearsed.
    pub tool: Tool,
    /// Where.
    pub host: BTreeMap<String, Value>,
}

/// One comparison or question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The fact's name, or the check as it was configured.
    pub name: String,
    /// What was to come.
    pub expected: String,
    /// What came.
    pub actual: String,
    /// Whether that is right.
    pub passed: bool,
}

impl Check {
    pub(super) fn compared(name: &str, expected: String, actual: String) -> Self {
        let passed = expected == actual;
        Self {
            name: name.to_owned(),
            expected: short(&expected),
            actual: short(&actual),
            passed,
        }
    }

    pub(super) fn fact(fact: IdentityFact) -> Self {
        let passed = fact.matches;
        Self {
            name: short(&fact.name),
            expected: short(&fact.expected),
            actual: short(&fact.actual),
            passed,
        }
    }

    pub(super) fn configured(check: &str, actual: String, passed: bool) -> Self {
        Self {
            name: short(check),
            expected: "true or not zero".to_owned(),
            actual: short(&actual),
            passed,
        }
    }
}

/// What a timing depends on, beside the backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// The repository lies on the disk that the sandbox is on: a disaster would have taken both.
    pub same_disk: Option<bool>,
    /// Whether caches were emptied before: this version leaves them as they are.
    pub cache: String,
}

impl Conditions {
    pub(super) fn of(repository: &str, sandbox: &Path) -> Self {
        let device = |path: &Path| path.metadata().ok().map(|metadata| metadata.dev());
        let same_disk = match repository.strip_prefix("file://") {
            Some(path) => device(Path::new(path))
                .zip(device(sandbox))
                .map(|(one, other)| one == other),
            None => Some(false),
        };
        Self {
            same_disk,
            cache: "as found".to_owned(),
        }
    }
}

pub(super) struct Parts<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) plan: &'a RehearsalPlan,
    pub(super) manifest: &'a Verified<Manifest>,
    pub(super) id: &'a str,
    pub(super) started_at: String,
    pub(super) verdict: Verdict,
    pub(super) reasons: Vec<String>,
    pub(super) phases: Vec<Phase>,
    pub(super) rto: Rto,
    pub(super) rpo: Rpo,
    pub(super) checks: Vec<Check>,
    pub(super) isolation: BTreeMap<String, Value>,
    pub(super) conditions: Conditions,
    pub(super) reached: &'static str,
    pub(super) tool: Tool,
    pub(super) host: BTreeMap<String, Value>,
}

impl Scorecard {
    pub(super) fn new(parts: Parts<'_>) -> Self {
        let mut reasons = parts.reasons;
        let checks = bounded(parts.checks, &mut reasons);
        Self {
            schema: "muster.scorecard/1".to_owned(),
            critical: Vec::new(),
            repository: parts.session.repository.id().to_owned(),
            rehearsal: parts.id.to_owned(),
            store: parts.manifest.store.clone(),
            kind: parts.manifest.kind.clone(),
            snapshot: parts.manifest.snapshot.clone(),
            manifest_digest: parts.manifest.digest,
            consistency_point: parts.manifest.consistency_point.clone(),
            plan_digest: parts.plan.digest(),
            depth: parts.plan.depth.clone(),
            reached: parts.reached.to_owned(),
            scenario: parts.plan.scenario.clone(),
            point: parts.plan.point.clone(),
            started_at: parts.started_at,
            duration_seconds: super::figures::rounded(parts.phases.iter().map(|phase| phase.duration_seconds).sum()),
            verdict: parts.verdict,
            reasons,
            phases: parts.phases,
            rto: parts.rto,
            rpo: parts.rpo,
            checks,
            isolation: parts.isolation,
            conditions: parts.conditions,
            tool: parts.tool,
            host: parts.host,
        }
    }
}

fn bounded(checks: Vec<Check>, reasons: &mut Vec<String>) -> Vec<Check> {
    let more = checks.len().saturating_sub(CHECKS);
    if more == 0 {
        return checks;
    }
    reasons.push(format!(
        "{more} more checks were made and are not listed: those that did not pass are listed first"
    ));
    let (passed, others): (Vec<_>, Vec<_>) = checks.into_iter().partition(|check| check.passed);
    others.into_iter().chain(passed).take(CHECKS).collect()
}

fn short(text: &str) -> String {
    if text.chars().count() <= TEXT {
        text.to_owned()
    } else {
        text.chars().take(TEXT - 1).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_that_did_not_pass_are_never_left_out_for_those_that_did() {
        let mut checks: Vec<Check> = (0..100)
            .map(|n| Check::configured(&format!("c{n}"), "1".to_owned(), true))
            .collect();
        checks.push(Check::configured(&"x".repeat(1000), "0".to_owned(), false));
        let mut reasons = Vec::new();
        let kept = bounded(checks, &mut reasons);
        assert_eq!((kept.len(), reasons.len()), (CHECKS, 1));
        assert!(!kept[0].passed && kept[0].name.chars().count() == TEXT);
    }

    #[test]
    fn a_repository_on_the_sandboxes_own_disk_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("file://{}", dir.path().display());
        assert_eq!(Conditions::of(&url, dir.path()).same_disk, Some(true));
        assert_eq!(Conditions::of("s3://bucket/x", dir.path()).same_disk, Some(false));
        assert_eq!(Conditions::of("file:///nowhere/at/all", dir.path()).same_disk, None);
    }
}
