//! A comment on a pull request: the count, then what asks for attention, then what is waived, folded away.

use super::{message, place};
use crate::report::{Finding, Report, Status, Verdict};

/// Rows of a table; a comment has a bounded size.
const ROWS: usize = 100;

pub(super) fn render(report: &Report) -> String {
    let summary = &report.summary;
    let old = report.results.iter().any(|finding| !finding.counts());
    let verdict = match report.status() {
        Status::Failed => "❌ policies do not hold",
        Status::Incomplete => "⚠️ not everything could be evaluated",
        Status::Unknown => "❔ something is not known",
        Status::Clean if old => "✅ nothing new",
        Status::Clean => "✅ policies hold",
    };
    let mut out = format!("### muster check: {verdict}\n\n");
    let counts = [
        ("fail", summary.fail),
        ("error", summary.error),
        ("unknown", summary.unknown),
        ("warn", summary.warn),
        ("waived", summary.waived),
        ("not applicable", summary.not_applicable),
        ("pass", summary.pass),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(name, count)| *count > 0 || *name == "fail" || *name == "pass")
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    out.push_str(&format!("{}\n", counts.join(" · ")));
    let of = |wanted: &[Verdict]| -> Vec<&Finding> {
        let mut found: Vec<&Finding> = report
            .results
            .iter()
            .filter(|finding| wanted.contains(&finding.verdict))
            .collect();
        found.sort_by_key(|finding| wanted.iter().position(|verdict| *verdict == finding.verdict));
        found
    };
    let open = of(&[Verdict::Fail, Verdict::Error, Verdict::Unknown, Verdict::Warn]);
    let (open, known): (Vec<_>, Vec<_>) = open.into_iter().partition(|finding| finding.counts());
    if !open.is_empty() {
        out.push_str(&format!("\n{}", table(&open)));
    }
    for (what, found) in [("in the base too", known), ("waived", of(&[Verdict::Waived]))] {
        if !found.is_empty() {
            out.push_str(&format!(
                "\n<details><summary>{} {what}</summary>\n\n{}\n</details>\n",
                found.len(),
                table(&found)
            ));
        }
    }
    out
}

fn table(findings: &[&Finding]) -> String {
    let mut out = String::from("| verdict | severity | rule | where | message |\n| --- | --- | --- | --- | --- |\n");
    for finding in findings.iter().take(ROWS) {
        let severity = finding
            .severity
            .map(|severity| format!("{severity:?}").to_lowercase())
            .unwrap_or_default();
        let verdict = format!("{:?}", finding.verdict).to_lowercase();
        out.push_str(&format!(
            "| {verdict} | {severity} | `{}` | `{}` | {} |\n",
            code(&finding.rule),
            code(&place(finding)),
            text(&message(finding))
        ));
    }
    if findings.len() > ROWS {
        out.push_str(&format!("\n… and {} more.\n", findings.len() - ROWS));
    }
    out
}

fn code(text: &str) -> String {
    text.replace('`', "'").replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// Text in which nothing is markup, a mention or a link.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '@' => out.push_str("&#64;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
