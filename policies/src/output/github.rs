//! Workflow commands of GitHub Actions: `::error file=…,line=…,title=…::message`. Only what asks for attention is told.

use super::message;
use crate::report::{Finding, Report, Verdict};

pub(super) fn render(report: &Report) -> String {
    report.results.iter().filter_map(line).collect()
}

fn line(finding: &Finding) -> Option<String> {
    let command = match finding.verdict {
        Verdict::Pass | Verdict::NotApplicable => return None,
        _ if !finding.counts() => "notice",
        Verdict::Fail | Verdict::Error => "error",
        Verdict::Warn | Verdict::Unknown => "warning",
        Verdict::Waived => "notice",
    };
    let mut properties = Vec::new();
    // Standard input and all files together are no files of the repository.
    if let Some(file) = finding
        .file
        .as_ref()
        .filter(|file| !matches!(file.as_str(), "-" | "Combined"))
    {
        properties.push(format!("file={}", property(file)));
        if let Some(line) = finding.line {
            properties.push(format!("line={line}"));
        }
    }
    properties.push(format!("title={}", property(&finding.rule)));
    let said = if finding.file.as_ref() == Some(&finding.resource) {
        message(finding)
    } else {
        format!("{}: {}", finding.resource, message(finding))
    };
    Some(format!("::{command} {}::{}\n", properties.join(","), data(&said)))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
