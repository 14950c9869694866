//! A comment on a pull request: the count, then what asks for attention, then what is waived, folded away.

use super::{message, place};
use crate::report::{Finding, Report, Verdict};

/// Rows of a table; a comment has a bounded size.
const ROWS: usize = 100;

pub(super) fn render(report: &Report) -> String {
    let summary = &report.summary;
    let verdict = if summary.fail > 0 {
        "❌ policies do not hold"
    } else if summary.error > 0 {
        "⚠️ not everything could be evaluated"
    } else if summary.unknown > 0 {
        "❔ something is not known"
    } else {
        "✅ policies hold"
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
    if !open.is_empty() {
        out.push_str(&format!("\n{}", table(&open)));
    }
    let waived = of(&[Verdict::Waived]);
    if !waived.is_empty() {
        out.push_str(&format!(
            "\n<details><summary>{} waived</summary>\n\n{}\n</details>\n",
            waived.len(),
            table(&waived)
        ));
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
