//! Verifying a bundle offline, and what the answer says.
//!
//! Every check is named and reported, passed or not; the bundle is valid only when all passed and the root was named by
//! whoever verifies. "Wrong" and "intact, but nobody says whose" are different failures.

use muster_signing::{KeyId, PublicKey, Role};
use serde::Serialize;
use serde_json::Value;

use crate::checks::{self, Kept};
use crate::statement::Audit;

/// The answer of a verification: the `verify` document of the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// `muster.verify/1`.
    pub schema: &'static str,
    /// Whether every check passed, and the signer is known.
    pub valid: bool,
    /// Why not.
    pub failure: Option<Failure>,
    /// The checks, in the order of their making.
    pub checks: Vec<Check>,
    /// Who signed what is in the bundle. Empty unless their signatures were checked.
    pub signed_by: Vec<Signer>,
    /// What the statement's signature covers.
    pub subject: Vec<VerifiedSubject>,
    /// `proven-against-pin` where the logs grew out of heads that the verifier kept; `self-asserted`: without them, that nothing was
    /// removed is the word of whoever made the bundle.
    pub removal: &'static str,
    /// What even a valid bundle does not show.
    pub not_shown: Vec<String>,
}

/// One check and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Its outcome.
    pub passed: bool,
    /// What was found.
    pub detail: String,
}

/// Why a bundle is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// A signature, digest or byte is wrong.
    Wrong,
    /// Everything fits together, but no root key was named: intact, signer unknown.
    SignerUnknown,
}

/// A key that signed something in the bundle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Signer {
    /// Its role.
    pub role: Role,
    /// Its id.
    pub key_id: KeyId,
    /// Its name in the key document.
    pub name: String,
}

/// A member that the statement's signature covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifiedSubject {
    /// Its name in the bundle.
    pub name: String,
    /// Its digest.
    pub digest: muster_signing::Digest,
}

/// Verifies a bundle against the root key of whoever verifies it; without one the best answer is "intact, signer unknown".
#[must_use]
pub fn verify_bundle(bytes: &[u8], root: Option<&PublicKey>) -> Verification {
    verify_bundle_against(bytes, root, Kept::default())
}

/// The same, and holds its logs against what was kept: so entries that were removed, changed or put in another order are found.
#[must_use]
pub fn verify_bundle_against(bytes: &[u8], root: Option<&PublicKey>, kept: Kept<'_>) -> Verification {
    let mut report = Report::default();
    // A check that cannot go on has recorded why; what was found before it still counts.
    let _ = checks::run(bytes, root, kept, &mut report);
    report.finish(root.is_some())
}

/// What a bundle says, once every check of it passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// The statement's predicate.
    pub audit: Audit,
    /// `results.json`.
    pub results: Value,
}

/// Verifies a bundle and gives what it says. Nothing of it is given when anything in it is wrong; where only the root was not named,
/// [`Verification::failure`] says that nobody vouches for it.
#[must_use]
pub fn open_bundle(bytes: &[u8], root: Option<&PublicKey>) -> (Verification, Option<Opened>) {
    let mut report = Report::default();
    let _ = checks::run(bytes, root, Kept::default(), &mut report);
    let opened = report.opened.take();
    (report.finish(root.is_some()), opened)
}

/// The check that failed so that nothing after it can be made.
pub(crate) struct Stop;

#[derive(Default)]
pub(crate) struct Report {
    pub(crate) checks: Vec<Check>,
    pub(crate) signed_by: Vec<Signer>,
    pub(crate) subject: Vec<VerifiedSubject>,
    pub(crate) not_shown: Vec<String>,
    /// Whether the logs grew out of heads that were kept.
    pub(crate) kept: bool,
    /// What the bundle says; only where all of its checks passed.
    pub(crate) opened: Option<Opened>,
}

impl Report {
    /// Records a check; `Err` carries what is wrong. The value is there only when it passed.
    pub(crate) fn check<T>(&mut self, name: &str, outcome: Result<(T, String), String>) -> Result<T, Stop> {
        let (value, passed, detail) = match outcome {
            Ok((value, detail)) => (Ok(value), true, detail),
            Err(detail) => (Err(Stop), false, detail),
        };
        self.checks.push(Check {
            name: name.to_owned(),
            passed,
            detail,
        });
        value
    }

    /// Records a check that failed.
    pub(crate) fn fail(&mut self, name: &str, detail: String) -> Stop {
        self.checks.push(Check {
            name: name.to_owned(),
            passed: false,
            detail,
        });
        Stop
    }

    /// The answer about a document that fits together, and that nobody signed.
    pub(crate) fn finish_unsigned(self, root_is_known: bool) -> Verification {
        let mut found = self.finish(root_is_known);
        found.failure = Some(Failure::SignerUnknown);
        found
    }

    pub(crate) fn finish(mut self, root_is_known: bool) -> Verification {
        let intact = self.checks.iter().all(|check| check.passed);
        if !root_is_known {
            let detail = "no root key was named, so nobody says whose bundle this is: give the root.pub that you hold";
            self.checks.push(Check {
                name: "root".to_owned(),
                passed: false,
                detail: detail.to_owned(),
            });
        }
        let failure = match (intact, root_is_known) {
            (false, _) => Some(Failure::Wrong),
            (true, false) => Some(Failure::SignerUnknown),
            (true, true) => None,
        };
        self.signed_by.sort();
        self.signed_by.dedup();
        Verification {
            schema: "muster.verify/1",
            valid: failure.is_none(),
            failure,
            checks: self.checks,
            signed_by: self.signed_by,
            subject: self.subject,
            removal: match self.kept && failure.is_none() {
                true => "proven-against-pin",
                false => "self-asserted",
            },
            not_shown: self.not_shown,
        }
    }
}
