//! Conftest's place: what `conftest test`, `verify`, `parse` and `reformat` do, to the byte where that can be told.
//!
//! Here Conftest's rules hold where muster's own are stricter: a namespace without rules is a pass, nothing is unknown, the version of
//! Rego is what `--rego-version` says, and the first file that cannot be parsed ends the run. What Conftest leaves to chance (the order
//! of its maps) stands in the order of the command line and of the paths. Differences: `docs/conftest.md`.

mod files;
mod load;
mod pull;
mod render;
mod results;
mod test;
mod verify;

use std::fmt;
use std::path::PathBuf;

use time::OffsetDateTime;

pub use pull::pull;
pub use render::{Output, Style, render, trace};
pub use results::{CheckResult, Location, Outcome, QueryResult, Results, exit_code};
pub use test::{Inputs, Selected, test};
pub use verify::{Unit, Verified, report, verify};

/// The version of OPA whose verdicts these are.
pub const OPA_VERSION: &str = "1.10.0";

/// Why nothing was judged, in Conftest's words where it has some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed(pub(crate) String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

impl Failed {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }

    /// Says what was being done, as Go's wrapped errors do.
    fn around(self, what: &str) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}

impl From<crate::PolicyError> for Failed {
    fn from(error: crate::PolicyError) -> Self {
        Self(load::told(&error))
    }
}

/// Policies and how they are read and evaluated.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Files and folders of policies, tests among them.
    pub policies: Vec<String>,
    /// Files and folders that become `data`.
    pub data: Vec<String>,
    /// `v0` or `v1`.
    pub rego_version: String,
    /// OPA's strict mode.
    pub strict: bool,
    /// A file that lists the built-in functions that may be called.
    pub capabilities: Option<PathBuf>,
    /// Whether the lines that an evaluation reaches are told.
    pub trace: bool,
    /// Whether an error of a built-in function ends the run.
    pub show_builtin_errors: bool,
    /// What `opa.runtime().env` gives.
    pub environment: Vec<(String, String)>,
    /// The time that `time.now_ns()` gives.
    pub now: OffsetDateTime,
    /// Where the policies are evaluated; none is this process.
    pub sandbox: Option<crate::sandbox::Sandbox>,
}

/// Results that were written as JSON.
///
/// # Errors
/// What is no list of results.
pub fn read(text: &str) -> Result<Results, Failed> {
    // What stands behind the list is not looked at.
    let mut documents = serde_json::Deserializer::from_str(text).into_iter::<Option<Results>>();
    match documents.next() {
        None => Err(Failed::new("EOF")),
        Some(Ok(results)) => Ok(results.unwrap_or_default()),
        Some(Err(error)) => Err(Failed(error.to_string())),
    }
}

/// A file of settings as one value, by the ending of its name.
///
/// # Errors
/// A file that cannot be read or parsed.
pub fn configuration_file(path: &str) -> Result<serde_json::Value, Failed> {
    files::settings(path)
}

/// Parses files and gives what Conftest prints of them, without the last line's end.
///
/// # Errors
/// The first file that cannot be read or parsed.
pub fn parse(inputs: &Inputs<'_>) -> Result<String, Failed> {
    let configurations =
        files::configurations(inputs.paths, inputs).map_err(|why| why.around("parse configurations"))?;
    let text = match (inputs.combine, configurations.as_slice()) {
        (true, _) => combined(&configurations) + "\n",
        (false, [(_, only)]) => render::indented(only, "  "),
        (false, _) => render::indented(&serde_json::Value::Object(configurations.into_iter().collect()), "  "),
    };
    Ok(text)
}

/// All configurations as one list; the path stands in front, as it does there.
fn combined(configurations: &[(String, serde_json::Value)]) -> String {
    #[derive(serde::Serialize)]
    struct One<'a> {
        path: &'a str,
        contents: &'a serde_json::Value,
    }
    let mut sorted: Vec<_> = configurations.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut list = Vec::new();
    for (path, value) in sorted {
        match value {
            serde_json::Value::Array(documents) => {
                list.extend(documents.iter().map(|contents| One { path, contents }));
            }
            contents => list.push(One { path, contents }),
        }
    }
    match list.is_empty() {
        true => "null".to_owned(),
        false => render::indented(&list, "\t"),
    }
}
