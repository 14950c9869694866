//! Results in the forms that Conftest prints, byte for byte.

mod annotations;
mod json;
mod junit;
mod sarif;
mod standard;
mod table;
mod tap;

pub(super) use json::indented;
pub use standard::trace;

use super::results::CheckResult;

/// A form of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the form that Conftest calls by this name")]
pub enum Output {
    Stdout,
    Json,
    Tap,
    Table,
    Junit,
    GitHub,
    AzureDevOps,
    Sarif,
}

impl Output {
    /// All names, in Conftest's order.
    pub const NAMES: [&str; 8] = [
        "stdout",
        "json",
        "tap",
        "table",
        "junit",
        "github",
        "azuredevops",
        "sarif",
    ];

    /// The form of this name; of any other that of `stdout`, and always in colour, as Conftest has it.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "stdout" => Self::Stdout,
            "json" => Self::Json,
            "tap" => Self::Tap,
            "table" => Self::Table,
            "junit" => Self::Junit,
            "github" => Self::GitHub,
            "azuredevops" => Self::AzureDevOps,
            "sarif" => Self::Sarif,
            _ => return None,
        })
    }
}

/// How a form is filled in.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one of Conftest's flags")]
pub struct Style {
    /// Without colours.
    pub plain: bool,
    /// Without a line for each exception.
    pub suppress_exceptions: bool,
    /// With the number of skipped tests.
    pub show_skipped: bool,
    /// JUnit: without the message in the name of a test.
    pub hide_message: bool,
    /// GitHub: without files in which all passed.
    pub hide_passed: bool,
    /// JSON: no results are an empty list, not null.
    pub empty_list: bool,
}

/// The results in a form.
pub fn render(results: &[CheckResult], output: Output, style: Style) -> String {
    match output {
        Output::Stdout => standard::render(results, style),
        Output::Json => json::render(results, style),
        Output::Tap => tap::render(results),
        Output::Table => table::render(results),
        Output::Junit => junit::render(results, style),
        Output::GitHub => annotations::github(results, style),
        Output::AzureDevOps => annotations::azure(results),
        Output::Sarif => sarif::render(results),
    }
}

/// A text in Go's double quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || c == '\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A duration in Go's words: `1.25ms`.
pub(super) fn go_duration(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    let text = format!("{value:.6}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `- file`, or `-` for standard input.
fn indicator(result: &CheckResult) -> String {
    match result.filename.as_str() {
        "-" => "-".to_owned(),
        file => format!("- {file}"),
    }
}

/// `- namespace -`.
fn namespace(result: &CheckResult) -> String {
    match result.namespace.as_str() {
        "-" => "-".to_owned(),
        namespace => format!("- {namespace} -"),
    }
}

#[cfg(test)]
mod tests;
