//! JUnit's XML: a suite per file, a case per finding. Warnings are cases that pass and say what they found; what is waived or does
//! not apply is skipped; what could not be evaluated is an error.

use std::collections::BTreeMap;

use super::{message, place};
use crate::report::{Finding, Report, Verdict};

pub(super) fn render(report: &Report) -> String {
    let mut suites: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in &report.results {
        let suite = finding.file.as_deref().unwrap_or(&finding.resource);
        suites.entry(suite).or_default().push(finding);
    }
    let all: Vec<&Finding> = report.results.iter().collect();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push_str(&format!("<testsuites name=\"muster\" {}>\n", counts(&all, false)));
    for (name, findings) in suites {
        out.push_str(&format!(
            "  <testsuite name=\"{}\" {}>\n",
            escaped(name),
            counts(&findings, true)
        ));
        for finding in findings {
            out.push_str(&case(finding));
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn counts(findings: &[&Finding], skipped: bool) -> String {
    let count = |wanted: &[Verdict]| {
        findings
            .iter()
            .filter(|finding| wanted.contains(&finding.verdict))
            .count()
    };
    let mut text = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\"",
        findings.len(),
        count(&[Verdict::Fail]),
        count(&[Verdict::Error, Verdict::Unknown]),
    );
    if skipped {
        text.push_str(&format!(
            " skipped=\"{}\"",
            count(&[Verdict::Waived, Verdict::NotApplicable])
        ));
    }
    text
}

fn case(finding: &Finding) -> String {
    let said = escaped(&message(finding));
    let at = escaped(&place(finding));
    let inner = match finding.verdict {
        Verdict::Pass => None,
        Verdict::Fail => Some(format!(
            "<failure message=\"{said}\" type=\"fail\">{at}: {said}</failure>"
        )),
        Verdict::Error => Some(format!("<error message=\"{said}\" type=\"error\">{at}: {said}</error>")),
        Verdict::Unknown => Some(format!(
            "<error message=\"{said}\" type=\"unknown\">{at}: {said}</error>"
        )),
        Verdict::Waived | Verdict::NotApplicable => Some(format!("<skipped message=\"{said}\"/>")),
        Verdict::Warn => Some(format!("<system-out>warning: {at}: {said}</system-out>")),
    };
    let open = format!(
        "    <testcase classname=\"{}\" name=\"{}\"",
        escaped(&finding.rule),
        escaped(&finding.resource)
    );
    match inner {
        None => format!("{open}/>\n"),
        Some(inner) => format!("{open}>\n      {inner}\n    </testcase>\n"),
    }
}

/// Text for XML 1.0: what it cannot hold at all is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            c if (c as u32) < 0x20 || matches!(c as u32, 0xFFFE | 0xFFFF) => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}
