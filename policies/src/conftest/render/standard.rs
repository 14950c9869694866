//! What Conftest prints by default, and its trace.

use super::super::results::{CheckResult, Totals};
use super::{Style, indicator, namespace};

const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const BLUE: &str = "34";
const CYAN: &str = "36";

fn paint(text: &str, colour: &str, plain: bool) -> String {
    match plain {
        true => text.to_owned(),
        false => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
    }
}

pub(super) fn render(results: &[CheckResult], style: Style) -> String {
    let mut out = String::new();
    let queries = results.iter().flat_map(|result| &result.queries);
    for printed in queries.flat_map(|query| &query.outputs) {
        out.push_str(&format!("{}  {printed}\n", paint("PRNT ", BLUE, style.plain)));
    }
    for result in results {
        let (file, namespace) = (indicator(result), namespace(result));
        let mut tell = |word: &str, colour: &str, outcomes: &[super::super::Outcome]| {
            for outcome in outcomes {
                let word = paint(word, colour, style.plain);
                out.push_str(&format!("{word} {file} {namespace} {}\n", outcome.message));
            }
        };
        tell("WARN", YELLOW, &result.warnings);
        tell("FAIL", RED, &result.failures);
        if !style.suppress_exceptions {
            tell("EXCP", CYAN, &result.exceptions);
        }
    }
    let totals = Totals::of(results);
    let mut told = totals.told();
    if style.show_skipped {
        told.push_str(&format!(", {} skipped", totals.skipped));
    }
    let colour = match totals {
        Totals { failures: 1.., .. } => RED,
        Totals { warnings: 1.., .. } => YELLOW,
        Totals { exceptions: 1.., .. } => CYAN,
        _ => GREEN,
    };
    out.push_str(&format!("\n{}\n", paint(&told, colour, style.plain)));
    out
}

/// What each query reached, for standard error.
pub fn trace(results: &[CheckResult], plain: bool) -> String {
    let mut out = String::new();
    for result in results {
        for query in &result.queries {
            let passed = query.results.iter().all(|outcome| outcome.message.is_empty());
            let title = format!("file: {} | query: {}", result.filename, query.query);
            out.push_str(&paint(&title, if passed { GREEN } else { RED }, plain));
            out.push('\n');
            for line in &query.traces {
                out.push_str(&format!("{}  {line}\n", paint("TRAC ", BLUE, plain)));
            }
        }
    }
    out
}
