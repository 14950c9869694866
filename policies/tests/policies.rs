//! Promises of the crate, kept from the outside: on files, policies and facts as users have them.
//!
//! One file per promise, one binary.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at the first surprise, in its helpers too"
)]

#[path = "policies/bundles.rs"]
mod bundles;
#[path = "policies/cases.rs"]
mod cases;
#[path = "policies/catalogues.rs"]
mod catalogues;
#[path = "policies/conftest.rs"]
mod conftest;
#[path = "policies/explain.rs"]
mod explain;
#[path = "policies/files.rs"]
mod files;
#[path = "policies/formats.rs"]
mod formats;
#[path = "policies/forms.rs"]
mod forms;
#[path = "policies/hostile.rs"]
mod hostile;
#[path = "policies/many.rs"]
mod many;
#[path = "policies/outputs.rs"]
mod outputs;
#[path = "policies/profile.rs"]
mod profile;
#[path = "policies/readers.rs"]
mod readers;
#[path = "policies/strict.rs"]
mod strict;
#[path = "policies/unit_tests.rs"]
mod unit_tests;
#[path = "policies/unknown.rs"]
mod unknown;

use std::path::{Path, PathBuf};

use muster_policies::{CheckOptions, Report, Verdict};
use time::OffsetDateTime;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-25 01:00 UTC);

/// A folder of policies and inputs that goes when the test ends.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self) -> CheckOptions {
        CheckOptions {
            policies: vec![self.path("policy")],
            ..CheckOptions::new(NOW)
        }
    }

    fn check(&self, input: &Path) -> Report {
        muster_policies::check(&[input.to_owned()], &self.options()).unwrap()
    }

    /// Judges one document by one policy.
    fn judge(policy: &str, input: &str) -> Report {
        let bench = Self::new();
        bench.write("policy/p.rego", policy);
        let input = bench.write("input.yaml", input);
        bench.check(&input)
    }
}

fn verdicts(report: &Report) -> Vec<(&str, Verdict, &str)> {
    report
        .results
        .iter()
        .map(|f| (f.rule.as_str(), f.verdict, f.message.as_str()))
        .collect()
}
