//! JUnit's XML: a suite per file, a case per finding. Warnings are cases that pass, and what they found is the suite's output; what is
//! waived or does not apply is skipped; what could not be evaluated is an error.
//!
//! There are two schemas, Ant's and Jenkins's, and what is written is valid under both. Ant's wants a time for each case (none is measured:
//! it is zero), a host (`localhost` where it is not known, as the schema says), output at the end of each suite, and no attribute of
//! `testsuites`.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::{message, place};
use crate::report::{Finding, Report, Verdict};

pub(super) fn render(report: &Report, now: OffsetDateTime) -> String {
    let mut suites: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in &report.results {
        let suite = finding.file.as_deref().unwrap_or(&finding.resource);
        let suite = if suite.trim().is_empty() { "muster" } else { suite };
        suites.entry(suite).or_default().push(finding);
    }
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for (id, (name, findings)) in suites.iter().enumerate() {
        out.push_str(&format!(
            "  <testsuite package=\"muster\" id=\"{id}\" name=\"{}\" hostname=\"localhost\" timestamp=\"{}\" time=\"0\" {}>\n",
            escaped(name),
            stamp(now),
            counts(findings)
        ));
        out.push_str("    <properties/>\n");
        for finding in findings {
            out.push_str(&case(finding));
        }
        out.push_str(&output(findings));
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// A time of UTC in the form that Ant's schema asks for: without a zone.
fn stamp(now: OffsetDateTime) -> String {
    let now = now.to_offset(time::UtcOffset::UTC);
    let (date, clock) = (now.date(), now.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        date.year(),
        u8::from(date.month()),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second()
    )
}

fn counts(findings: &[&Finding]) -> String {
    let count = |wanted: &[Verdict]| {
        let counted = findings.iter().filter(|finding| !is_skipped(finding));
        counted.filter(|finding| wanted.contains(&finding.verdict)).count()
    };
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\"",
        findings.len(),
        count(&[Verdict::Fail]),
        count(&[Verdict::Error, Verdict::Unknown]),
        findings.iter().filter(|finding| is_skipped(finding)).count()
    )
}

/// What is waived or does not apply, and what is bad and stood in the base too.
fn is_skipped(finding: &Finding) -> bool {
    match finding.verdict {
        Verdict::Waived | Verdict::NotApplicable => true,
        Verdict::Fail | Verdict::Error | Verdict::Unknown => !finding.counts(),
        Verdict::Pass | Verdict::Warn => false,
    }
}

/// The warnings of a suite, a line each.
fn output(findings: &[&Finding]) -> String {
    let warnings = findings.iter().filter(|finding| finding.verdict == Verdict::Warn);
    let lines: Vec<String> = warnings
        .map(|finding| {
            escaped(&format!(
                "warning: {}: {}: {}",
                finding.rule,
                place(finding),
                message(finding)
            ))
        })
        .collect();
    let lines = lines.join("\n");
    format!("    <system-out>{lines}</system-out>\n    <system-err/>\n")
}

fn case(finding: &Finding) -> String {
    let said = escaped(&message(finding));
    let at = escaped(&place(finding));
    let inner = match finding.verdict {
        Verdict::Pass | Verdict::Warn => None,
        _ if is_skipped(finding) => Some(format!("<skipped message=\"{said}\"/>")),
        Verdict::Fail => Some(format!(
            "<failure message=\"{said}\" type=\"fail\">{at}: {said}</failure>"
        )),
        Verdict::Error => Some(format!("<error message=\"{said}\" type=\"error\">{at}: {said}</error>")),
        Verdict::Unknown => Some(format!(
            "<error message=\"{said}\" type=\"unknown\">{at}: {said}</error>"
        )),
        Verdict::Waived | Verdict::NotApplicable => None,
    };
    let open = format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"0\"",
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
