//! TAP 13: one line per finding. A warning is `ok` with its text behind the `#`; what is waived or does not apply is skipped.

use super::{message, place};
use crate::report::{Report, Verdict};

pub(super) fn render(report: &Report) -> String {
    let mut out = format!("TAP version 13\n1..{}\n", report.results.len());
    for (number, finding) in (1..).zip(&report.results) {
        let bad = matches!(finding.verdict, Verdict::Fail | Verdict::Error | Verdict::Unknown);
        let word = if bad { "not ok" } else { "ok" };
        let directive = match finding.verdict {
            Verdict::Waived => " # SKIP waived",
            _ if bad && !finding.counts() => " # TODO stood in the base too",
            Verdict::NotApplicable => " # SKIP not applicable",
            _ => "",
        };
        let said = match finding.verdict {
            Verdict::Pass if finding.suppressed.is_none() => String::new(),
            Verdict::Warn => format!(" (warning: {})", message(finding)),
            Verdict::Error => format!(" (error: {})", message(finding)),
            Verdict::Unknown => format!(" (unknown: {})", message(finding)),
            _ => format!(" ({})", message(finding)),
        };
        let line = format!("{} {} {}{said}", finding.rule, place(finding), finding.resource);
        out.push_str(&format!("{word} {number} - {}{directive}\n", clean(&line)));
    }
    out
}

/// One line, in which nothing looks like a directive.
fn clean(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('#', "\\#")
}
