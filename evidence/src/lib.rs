//! Signed evidence: the bundle that an auditor takes away, and its verification offline.
//!
//! A bundle is a tar file in one canonical form: what was judged, by which policies, with which result, which rehearsals
//! and snapshots stand behind it, and one in-toto statement signed by the auditor key over all of it. Plain bytes come in
//! and go out: no network, no clock, no randomness, no policy engine. The byte-exact description is
//! `docs/format/evidence.md`. So is the loss report of a restore: one file, signed by a writer key.

mod bundle;
mod checks;
mod logs;
mod loss;
mod results;
mod statement;
pub mod tar;
mod verification;

pub use bundle::{Bundle, BundleError, Signed};
pub use checks::Kept;
pub use logs::BundledLog;
pub use loss::{
    LOSS_SCHEMA, LossError, LossReport, LostRange, MAX_LOSS_REPORT, Restored, is_loss_report, verify_loss_report,
};
pub use statement::{
    Audit, Framework, PREDICATE_TYPE, Rehearsed, STATEMENT_TYPE, Snapshot, Statement, Store, Subject, SubjectDigest,
    Tool,
};
pub use verification::{
    Check, Failure, Opened, Signer, Verification, VerifiedSubject, open_bundle, verify_bundle, verify_bundle_against,
};
