//! The parsers of configuration, policies and waivers, for `fuzz/` alone.
//!
//! Not an interface: nothing here is promised to anybody. It exists because these parsers are private and the fuzzer is another crate.
//! Each call runs on the stack that the product gives it.

use std::path::Path;

use serde_json::Value;
use time::OffsetDateTime;

use crate::engine::on_deep_stack;
use crate::input::{self, Format, Reading, Step, Wanted};
use crate::rego::{self, Dialect};
use crate::report::{Finding, Verdict};
use crate::waivers::Waivers;

/// The names of all formats that are read.
pub fn formats() -> Vec<&'static str> {
    Format::names()
}

/// The documents of a configuration file; the format is named as `--parser` takes it. Each place in the first of them is looked up
/// as well, as far as two steps lead.
///
/// # Errors
/// What the user would read.
pub fn documents(format: &str, bytes: &[u8]) -> Result<Vec<Value>, String> {
    let format = Format::named(format)?;
    let read = || {
        let documents = input::parse(bytes, Some(format), &Reading::default())?;
        if let (Ok(text), Some(first)) = (std::str::from_utf8(bytes), documents.first()) {
            let steps = steps(&first.value).into_iter().take(4);
            let wanted: Vec<Wanted> = steps
                .map(|step| Wanted {
                    document: first.origin.document,
                    path: first
                        .origin
                        .member
                        .map(Step::Index)
                        .into_iter()
                        .chain([step, Step::Index(0)])
                        .collect(),
                })
                .collect();
            drop(input::locate(text, format, &wanted));
        }
        Ok(documents.into_iter().map(|document| document.value).collect())
    };
    on_deep_stack(read).map_err(|error| error.to_string())?
}

fn steps(value: &Value) -> Vec<Step> {
    match value {
        Value::Object(map) => map.keys().cloned().map(Step::Key).collect(),
        Value::Array(items) => (0..items.len()).map(Step::Index).collect(),
        _ => Vec::new(),
    }
}

/// A policy as it is printed, and what reading that again gave.
#[derive(Debug)]
pub struct Printed {
    /// The text.
    pub text: String,
    /// Whether it means the same and each rule stands on its line; or why it cannot be read.
    pub again: Result<bool, String>,
}

/// Parses a policy as version 1 or 0 of the language, prints it, and parses that.
///
/// # Errors
/// What the user would read.
pub fn printed(text: &str, first: bool) -> Result<Printed, String> {
    let dialect = if first { Dialect::V1 } else { Dialect::V0 };
    on_deep_stack(|| rego::fuzzing::printed(text, dialect)).map_err(|error| error.to_string())?
}

/// Reads a file of waivers and applies them to one finding of the rule `main.deny`; gives whether it was waived.
///
/// # Errors
/// What the user would read.
pub fn waived(path: &Path, now: OffsetDateTime) -> Result<bool, String> {
    let waivers = Waivers::read(path).map_err(|error| error.to_string())?;
    let finding = Finding::error("main.deny", "Deployment/prod/web", String::new());
    let mut findings = vec![Finding {
        verdict: Verdict::Fail,
        ..finding
    }];
    waivers.apply(&mut findings, now, &|_| false);
    Ok(findings
        .first()
        .is_some_and(|finding| finding.verdict == Verdict::Waived))
}
