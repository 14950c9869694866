//! The four verdicts, and what each finding says: about the backup, or only about the rehearsal.
//!
//! Invariant: FAIL wins over ERROR, and nothing that could not be told is ever a FAIL or a PASS.

use std::error::Error;

use muster_archive::Unreadable;
use muster_stores::StoreError;
use serde::{Deserialize, Serialize};

use super::Ended;
use crate::RestoreError;
use crate::execute::RestoreReport;
use crate::loss::{Lost, with_causes};

/// Most reasons of a scorecard.
const REASONS: usize = 20;
/// Longest reason, in characters.
const REASON: usize = 400;
/// Losses that are named one by one.
const LOSSES: usize = 5;

/// How the kernel, SQLite and PostgreSQL say that there is no room left.
const FULL: [&str; 4] = [
    "No space left on device",
    "Disk quota exceeded",
    "disk is full",
    "[53100]",
];

/// What a rehearsal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// It came back, whole, and works.
    Pass,
    /// The backup is not good.
    Fail,
    /// The rehearsal could not run: nothing was learned.
    Error,
    /// There was nothing to rehearse.
    Skipped,
}

impl Verdict {
    /// As the log and the scorecard spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Error => "ERROR",
            Self::Skipped => "SKIPPED",
        }
    }
}

/// What was found on the way.
#[derive(Debug, Default)]
pub(super) struct Findings {
    failures: Vec<String>,
    errors: Vec<String>,
    notes: Vec<String>,
}

impl Findings {
    /// Says something about the backup.
    pub(super) fn failed(&mut self, reason: String) -> Ended {
        self.failures.push(reason);
        Ended
    }

    /// Says something about the rehearsal.
    pub(super) fn error(&mut self, reason: String) -> Ended {
        self.errors.push(reason);
        Ended
    }

    /// Says something that changes no verdict.
    pub(super) fn note(&mut self, error: &dyn Error) {
        self.notes.push(with_causes(error));
    }

    /// What was not in the snapshot to begin with: a PASS does not speak of it, and says so.
    pub(super) fn of_snapshot(&mut self, unreadable: &Unreadable) {
        if unreadable.count > 0 {
            let first: Vec<&str> = unreadable
                .first
                .iter()
                .take(LOSSES)
                .map(|one| one.path.as_str())
                .collect();
            self.notes.push(format!(
                "the snapshot is incomplete: {} paths could not be read when it was taken, among them {}",
                unreadable.count,
                first.join(", ")
            ));
        }
    }

    /// A restore that stopped, or did not begin.
    pub(super) fn of_restore(&mut self, attempt: &str, error: &RestoreError) -> Ended {
        let reason = format!("{attempt}: {}", with_causes(error));
        match error {
            RestoreError::Archive(archive) if archive.is_damage() => self.failed(reason),
            RestoreError::Store(StoreError::Invalid { .. }) => self.failed(reason),
            _ => self.error(reason),
        }
    }

    /// What a restore could not bring back: damage is the backup's, the rest is the moment's.
    pub(super) fn of_losses(&mut self, report: &RestoreReport) -> Result<(), Ended> {
        if report.lost.is_empty() {
            return Ok(());
        }
        let (damage, now): (Vec<&Lost>, Vec<&Lost>) = report.lost.iter().partition(|lost| lost.kind.is_damage());
        for (lost, failed) in [(damage, true), (now, false)] {
            let more = lost.len().saturating_sub(LOSSES);
            let mut lines: Vec<String> = lost.iter().take(LOSSES).map(|lost| described(lost)).collect();
            if more > 0 {
                lines.push(format!("and {more} more losses of this sort"));
            }
            let into = if failed { &mut self.failures } else { &mut self.errors };
            into.extend(lines);
        }
        Err(Ended)
    }

    /// An engine that did not start on bytes that were right. What is missing around it is not the backup's fault.
    pub(super) fn of_start(&mut self, error: &StoreError) -> Ended {
        let reason = format!("start the engine: {}", with_causes(error));
        match error {
            StoreError::Invalid { .. } => self.failed(reason),
            _ => self.error(reason),
        }
    }

    pub(super) fn of_identity(&mut self, error: &StoreError) -> Ended {
        let reason = format!("compare the running store with the manifest: {}", with_causes(error));
        match error {
            StoreError::Invalid { .. } => self.failed(reason),
            _ => self.error(reason),
        }
    }

    /// A store that takes no write did not come back; only a wait that ended and a disk that is full say nothing.
    pub(super) fn of_write(&mut self, error: &StoreError) -> Ended {
        let reason = format!("write to the restored store: {}", with_causes(error));
        match error {
            _ if FULL.iter().any(|words| reason.contains(words)) => self.error(reason),
            StoreError::Deadline { .. } | StoreError::Settings { .. } => self.error(reason),
            _ => self.failed(reason),
        }
    }

    pub(super) fn is_clean(&self) -> bool {
        self.failures.is_empty() && self.errors.is_empty()
    }

    /// How the open phase ended, in one word.
    pub(super) fn word(&self) -> &'static str {
        match self.verdict() {
            Verdict::Fail => "failed",
            Verdict::Error => "error",
            _ => "ok",
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        if !self.failures.is_empty() {
            Verdict::Fail
        } else if !self.errors.is_empty() {
            Verdict::Error
        } else {
            Verdict::Pass
        }
    }

    /// Everything found, the gravest first, bounded.
    pub(super) fn reasons(&self) -> Vec<String> {
        let all = self.failures.iter().chain(&self.errors).chain(&self.notes);
        all.take(REASONS)
            .map(|reason| reason.chars().take(REASON).collect())
            .collect()
    }
}

fn described(lost: &Lost) -> String {
    let what = if lost.path.is_empty() {
        "part of the listing".to_owned()
    } else {
        format!("{:?}", lost.path)
    };
    format!(
        "{what}: {} bytes from {} are lost: {}: {}",
        lost.length, lost.offset, lost.object, lost.reason
    )
}

#[cfg(test)]
mod tests {
    use muster_archive::ArchiveError;

    use super::*;

    fn invalid() -> StoreError {
        StoreError::Invalid {
            attempt: "start".to_owned(),
            reason: "it is corrupt".to_owned(),
        }
    }

    fn missing() -> StoreError {
        StoreError::ProgramMissing {
            program: "postgres".to_owned(),
            searched: "PATH".to_owned(),
            hint: "install it".to_owned(),
        }
    }

    #[test]
    fn a_failure_wins_over_an_error_and_nothing_found_is_a_pass() {
        let mut findings = Findings::default();
        assert_eq!(findings.verdict(), Verdict::Pass);
        findings.note(&invalid());
        assert_eq!(findings.verdict(), Verdict::Pass);
        findings.error("could not run".to_owned());
        assert_eq!(findings.verdict(), Verdict::Error);
        findings.failed("is wrong".to_owned());
        assert_eq!(findings.verdict(), Verdict::Fail);
        assert_eq!(findings.reasons()[..2], ["is wrong", "could not run"]);
    }

    #[test]
    fn what_is_missing_around_the_engine_is_no_verdict_about_the_backup() {
        let judge = |judge: fn(&mut Findings, &StoreError) -> Ended, error: StoreError| {
            let mut findings = Findings::default();
            judge(&mut findings, &error);
            findings.verdict()
        };
        assert_eq!(judge(Findings::of_start, missing()), Verdict::Error);
        assert_eq!(judge(Findings::of_start, invalid()), Verdict::Fail);
        let deadline = || StoreError::Deadline {
            attempt: "wait".to_owned(),
            seconds: 1,
        };
        assert_eq!(judge(Findings::of_start, deadline()), Verdict::Error);
        assert_eq!(judge(Findings::of_write, deadline()), Verdict::Error);
        assert_eq!(judge(Findings::of_write, invalid()), Verdict::Fail);
    }

    #[test]
    fn a_full_disk_beneath_the_sandbox_is_no_verdict_about_the_backup() {
        let full = |source: Box<dyn Error + Send + Sync>| StoreError::Unreachable {
            attempt: "write a file".to_owned(),
            source,
        };
        let refused = StoreError::Refused {
            attempt: "write".to_owned(),
            reason: "could not extend file: No space left on device [53100]".to_owned(),
            hint: None,
        };
        for error in [
            full(Box::new(std::io::Error::from_raw_os_error(28))),
            full("database or disk is full".into()),
            refused,
        ] {
            let mut findings = Findings::default();
            findings.of_write(&error);
            assert_eq!(findings.verdict(), Verdict::Error, "{error}");
        }
    }

    #[test]
    fn damage_met_while_restoring_is_a_fail_and_silence_of_the_storage_is_not() {
        let judge = |error: RestoreError| {
            let mut findings = Findings::default();
            findings.of_restore("restore", &error);
            findings.verdict()
        };
        let damaged = ArchiveError::Damaged {
            object: "trees/ab/x".to_owned(),
            reason: "its bytes differ".to_owned(),
        };
        assert_eq!(judge(damaged.into()), Verdict::Fail);
        assert_eq!(judge(ArchiveError::Cancelled.into()), Verdict::Error);
        let room = RestoreError::NoRoom {
            target: "x".into(),
            needed: 2,
            free: 1,
        };
        assert_eq!(judge(room), Verdict::Error);
    }
}
