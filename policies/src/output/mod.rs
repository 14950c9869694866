//! A report in the forms that other tools read: TAP, JUnit, GitHub's annotations, SARIF, Markdown.
//!
//! Each form is derived from the report alone and says the same: what failed fails there, a warning never does, what could not be
//! evaluated is never green.

mod github;
mod junit;
mod markdown;
mod sarif;
mod tap;

use sha2::{Digest as _, Sha256};

use crate::report::{Finding, Report, Verdict};

/// A form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Test Anything Protocol, version 13.
    Tap,
    /// JUnit's XML, as CI systems read it.
    Junit,
    /// Workflow commands of GitHub Actions.
    Github,
    /// SARIF 2.1.0, as GitHub code scanning takes it.
    Sarif,
    /// A comment on a pull request.
    Markdown,
}

/// The report in this form. `version` is muster's, for forms that name their producer.
pub fn render(report: &Report, form: Form, version: &str) -> String {
    match form {
        Form::Tap => tap::render(report),
        Form::Junit => junit::render(report),
        Form::Github => github::render(report),
        Form::Sarif => sarif::render(report, version),
        Form::Markdown => markdown::render(report),
    }
}

/// What makes two findings of two runs the same one: rule, resource and what the message says, not where it stands.
pub fn fingerprint(finding: &Finding) -> String {
    let mut hasher = Sha256::new();
    let path = finding.path.as_deref().unwrap_or(&finding.message);
    for part in [&finding.rule, &finding.resource, path] {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a verdict says where nothing else does.
fn message(finding: &Finding) -> String {
    if !finding.message.is_empty() {
        return finding.message.clone();
    }
    match finding.verdict {
        Verdict::Pass => "holds".to_owned(),
        Verdict::NotApplicable => "does not apply".to_owned(),
        _ => "no message".to_owned(),
    }
}

/// Where the finding stands, for a person.
fn place(finding: &Finding) -> String {
    match (&finding.file, finding.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.clone(),
        (None, _) => finding.resource.clone(),
    }
}
