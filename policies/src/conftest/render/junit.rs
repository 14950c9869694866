//! JUnit's XML as Go writes it: one suite per namespace, in the order of their first results. A warning is a failure, as in Conftest.

use super::super::results::{CheckResult, Outcome};
use super::Style;

/// Stands where Conftest names the version of Go that it was built with.
const BUILT_WITH: &str = "rust";

pub(super) fn render(results: &[CheckResult], style: Style) -> String {
    let mut suites: Vec<(&str, Vec<String>, usize)> = Vec::new();
    for result in results {
        let class = escaped(&format!("conftest.{}", result.namespace));
        let class = class.rsplit('/').next().unwrap_or(&class).to_owned();
        let case = |outcome: Option<&Outcome>, inside: &str| {
            let message = outcome.map_or("", |outcome| outcome.message.as_str());
            let name = match (style.hide_message, message) {
                (true, _) | (_, "") => result.filename.clone(),
                _ => format!(
                    "{} - {}",
                    result.filename,
                    message.split('\n').next().unwrap_or_default()
                ),
            };
            let name = escaped(&name);
            format!("\t\t<testcase classname=\"{class}\" name=\"{name}\" time=\"0.000\">{inside}</testcase>\n")
        };
        let mut cases = Vec::new();
        for outcome in result.warnings.iter().chain(&result.failures) {
            let inside = format!(
                "<failure message=\"Failed\" type=\"\">{}</failure>",
                escaped(&outcome.message)
            );
            cases.push(case(Some(outcome), &format!("\n\t\t\t{inside}\n\t\t")));
        }
        for outcome in &result.skipped {
            let inside = format!("<skipped message=\"{}\"></skipped>", escaped(&outcome.message));
            cases.push(case(Some(outcome), &format!("\n\t\t\t{inside}\n\t\t")));
        }
        cases.extend((0..result.successes).map(|_| case(None, "")));
        if cases.is_empty() {
            continue;
        }
        let failed = result.warnings.len() + result.failures.len();
        match suites.iter_mut().find(|(name, ..)| *name == result.namespace) {
            Some((_, all, failures)) => {
                all.append(&mut cases);
                *failures += failed;
            }
            None => suites.push((&result.namespace, cases, failed)),
        }
    }
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>".to_owned();
    for (namespace, cases, failures) in &suites {
        let name = escaped(&format!("conftest.{namespace}"));
        let tests = cases.len();
        out.push_str(&format!(
            "\n\t<testsuite tests=\"{tests}\" failures=\"{failures}\" time=\"0.000\" name=\"{name}\">\n\t\t<properties>\n\t\t\t<property \
             name=\"go.version\" value=\"{BUILT_WITH}\"></property>\n\t\t</properties>\n{}\t</testsuite>",
            cases.concat()
        ));
    }
    if !suites.is_empty() {
        out.push('\n');
    }
    out + "</testsuites>\n"
}

/// Text as Go's XML has it, in attributes and elements alike.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
