//! A report in the forms that other tools read: TAP, JUnit, GitHub's annotations, SARIF, Markdown.
//!
//! Each form is derived from the report alone and says the same: what failed fails there, a warning never does, what could not be
//! evaluated is never green.

mod github;
mod junit;
mod markdown;
mod sarif;
mod tap;

use std::borrow::Cow;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

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

/// What a form says of the run beside its findings.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The version of muster.
    pub version: &'a str,
    /// When it ran.
    pub now: OffsetDateTime,
    /// The folder in which it ran: files beneath it are named from there.
    pub root: &'a Path,
}

/// A report in a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The form's text.
    pub text: String,
    /// How many findings it leaves out, because its readers refuse more.
    pub left_out: usize,
}

/// The report in this form.
pub fn render(report: &Report, form: Form, run: Run<'_>) -> Rendered {
    let report = beneath(report, run.root);
    let text = match form {
        Form::Tap => tap::render(&report),
        Form::Junit => junit::render(&report, run.now),
        Form::Github => github::render(&report),
        Form::Sarif => return sarif::render(&report, run.version),
        Form::Markdown => markdown::render(&report),
    };
    Rendered { text, left_out: 0 }
}

/// The report with files named from the folder of the run, in one way: readers know a repository's paths, not a machine's.
fn beneath<'a>(report: &'a Report, root: &Path) -> Cow<'a, Report> {
    let inside = |file: &String| file.starts_with("./") || root.parent().is_some() && Path::new(file).starts_with(root);
    if !report
        .results
        .iter()
        .any(|finding| finding.file.as_ref().is_some_and(inside))
    {
        return Cow::Borrowed(report);
    }
    let mut report = report.clone();
    if root.parent().is_some() {
        report.relocate(root);
    }
    for finding in &mut report.results {
        for name in [Some(&mut finding.resource), finding.file.as_mut()]
            .into_iter()
            .flatten()
        {
            if let Some(rest) = name.strip_prefix("./") {
                *name = rest.to_owned();
            }
        }
    }
    Cow::Owned(report)
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

/// What is said of a verdict that another might have been, had the evaluation not gone on.
const LEANED: &str = "leaned on a suppressed error";

/// What a verdict says where nothing else does.
fn message(finding: &Finding) -> String {
    let said = match finding.verdict {
        _ if !finding.message.is_empty() => finding.message.as_str(),
        Verdict::Pass => "holds",
        Verdict::NotApplicable => "does not apply",
        _ => "no message",
    };
    match &finding.suppressed {
        Some(why) => format!("{said} ({LEANED}: {why})"),
        None => said.to_owned(),
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
