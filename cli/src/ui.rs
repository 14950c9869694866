//! The only file that prints.
//!
//! Results go to standard output, progress and diagnostics to standard error. With `--json` standard output carries exactly one
//! document. Text that came from elsewhere (paths, server messages) is made harmless for a terminal before it is printed.

mod progress;
mod table;
mod values;

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

pub(crate) use progress::Progress;
pub(crate) use table::Table;
pub(crate) use values::{bytes, count, date, printable, rate, ratio, seconds, short_digest};

use crate::args::{Global, When};
use crate::error::CommandError;

/// No human output is wider.
pub(crate) const WIDTH: usize = 100;

/// Where output goes and how it looks.
#[derive(Clone, Debug)]
pub(crate) struct Ui {
    json: bool,
    quiet: bool,
    verbose: bool,
    width: usize,
    colour_out: bool,
    colour_err: bool,
    progress: When,
    broken: Arc<Mutex<Option<io::ErrorKind>>>,
    line: progress::Line,
}

/// What a piece of text means; the terminal's colour for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Doubtful,
    Heading,
    Faint,
}

impl Ui {
    pub(crate) fn new(global: &Global) -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = |terminal: bool| match global.color {
            When::Always => true,
            When::Never => false,
            When::Auto => terminal && !no_colour && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        };
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose > 0,
            width: width(),
            colour_out: colour(io::stdout().is_terminal()),
            colour_err: colour(io::stderr().is_terminal()),
            progress: global.progress,
            broken: Arc::default(),
            line: progress::Line::default(),
        }
    }

    /// For errors that are met before the options are known.
    pub(crate) fn json() -> Self {
        Self {
            json: true,
            quiet: true,
            verbose: false,
            width: WIDTH,
            colour_out: false,
            colour_err: false,
            progress: When::Never,
            broken: Arc::default(),
            line: progress::Line::default(),
        }
    }

    /// The same, printing the JSON document: for a command with an output format of its own.
    pub(crate) fn as_json(&self) -> Self {
        Self {
            json: true,
            ..self.clone()
        }
    }

    /// Whether a JSON document is wanted instead of human text.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether somebody asked for more than what matters first.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    pub(crate) fn colours_diagnostics(&self) -> bool {
        self.colour_err
    }

    /// The result for a human. Nothing with `--json`.
    pub(crate) fn say(&self, line: impl AsRef<str>) {
        if !self.json {
            self.out(line.as_ref());
        }
    }

    /// A table of the result for a human.
    pub(crate) fn table(&self, table: &Table) {
        if !self.json {
            for line in table.render(self.width, |tone, text| self.paint(tone, text)) {
                self.out(&line);
            }
        }
    }

    /// The one document of `--json`. Nothing otherwise.
    pub(crate) fn document(&self, document: &impl Serialize) {
        if self.json {
            let ordered = serde_json::to_value(document).map(SchemaFirst);
            match ordered.and_then(|ordered| serde_json::to_string_pretty(&ordered)) {
                Ok(text) => self.out(&text),
                Err(error) => self.err(&format!("write the result as JSON: {error}")),
            }
        }
    }

    /// Text that is itself the product (a unit file, a completion script, a document in some format): the same in every mode.
    pub(crate) fn product(&self, text: &str) {
        self.out(text.trim_end_matches('\n'));
    }

    /// What goes on, for a human who watches.
    pub(crate) fn note(&self, line: impl AsRef<str>) {
        if !self.quiet {
            self.err(line.as_ref());
        }
    }

    /// Something that deserves attention and is no error.
    pub(crate) fn warn(&self, line: impl AsRef<str>) {
        let label = if self.colour_err {
            paint(Tone::Doubtful, "warning:")
        } else {
            "warning:".to_owned()
        };
        self.err(&format!("{label} {}", line.as_ref()));
    }

    /// A failed command: for a human what failed and what to type next; the JSON document with `--json`.
    pub(crate) fn error(&self, error: &CommandError) {
        self.document(&error.document());
        self.failure(error);
    }

    /// A failure of one part of a command whose document says the rest.
    pub(crate) fn failure(&self, error: &CommandError) {
        let label = if self.colour_err {
            paint(Tone::Bad, "error:")
        } else {
            "error:".to_owned()
        };
        let message = error.message();
        let mut lines = message.lines();
        let first = lines.next().unwrap_or_default();
        self.err(&format!("{label} {}", printable(first.as_bytes())));
        // The lines of a policy beneath what is wrong with it; nothing of them begins where a line of muster's own does.
        for line in lines {
            self.err(&format!("  {}", printable(line.replace('\t', "    ").as_bytes())));
        }
        for hint in error.hints() {
            self.advise(hint);
        }
    }

    /// What to type next, beneath an error or a warning.
    pub(crate) fn advise(&self, hint: &str) {
        self.err(&format!("  try: {}", printable(hint.as_bytes())));
    }

    /// A progress line on standard error; silent unless someone watches.
    pub(crate) fn progress(&self, what: &str, total: Option<u64>) -> Progress {
        let (shown, terminal) = match self.progress {
            When::Never => (false, false),
            When::Always => (true, io::stderr().is_terminal()),
            When::Auto => (io::stderr().is_terminal() && !self.quiet, true),
        };
        Progress::new(what, total, shown, terminal, self.line.clone())
    }

    /// Text in the colour of its meaning, for a line of the result.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        if self.colour_out {
            paint(tone, text)
        } else {
            text.to_owned()
        }
    }

    /// Whether standard output could not be written. A reader that went away (`| head`) is no failure.
    pub(crate) fn broken_output(&self) -> Option<io::ErrorKind> {
        self.broken
            .lock()
            .ok()
            .and_then(|kind| *kind)
            .filter(|kind| *kind != io::ErrorKind::BrokenPipe)
    }

    /// Where `tracing` writes.
    pub(crate) fn diagnostics(&self) -> impl Write + use<> {
        self.line.clear();
        io::stderr()
    }

    fn out(&self, line: &str) {
        if let Err(error) = writeln!(io::stdout(), "{line}") {
            let mut first = false;
            if let Ok(mut broken) = self.broken.lock() {
                first = broken.is_none();
                broken.get_or_insert(error.kind());
            }
            if first && error.kind() != io::ErrorKind::BrokenPipe {
                self.err(&format!("error: write to standard output: {error}"));
            }
        }
    }

    fn err(&self, line: &str) {
        self.line.clear();
        // Standard error is the last resort: when it is gone, there is nobody left to tell.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Writes texts as they are, the second to standard error.
///
/// # Errors
/// Standard output that takes no more.
pub(crate) fn verbatim(stdout: &str, stderr: &str) -> io::Result<()> {
    // Standard error is the last resort: when it is gone, there is nobody left to tell.
    let _ = io::stderr().write_all(stderr.as_bytes());
    let mut out = io::stdout();
    out.write_all(stdout.as_bytes())?;
    out.flush()
}

/// A document as the contract wants it: `schema` is its first key.
struct SchemaFirst(Value);

impl Serialize for SchemaFirst {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(fields) = &self.0 else {
            return self.0.serialize(serializer);
        };
        let mut map = serializer.serialize_map(Some(fields.len()))?;
        let (schema, rest): (Vec<_>, Vec<_>) = fields.iter().partition(|(key, _)| *key == "schema");
        for (key, value) in schema.into_iter().chain(rest) {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// As wide as the terminal, within reason; what goes into a file or a pipe has one width everywhere.
fn width() -> usize {
    rustix::termios::tcgetwinsize(io::stdout()).map_or(WIDTH, |size| match usize::from(size.ws_col) {
        0 => WIDTH,
        columns => columns.clamp(60, WIDTH),
    })
}

fn paint(tone: Tone, text: &str) -> String {
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "1;31",
        Tone::Doubtful => "33",
        Tone::Heading => "1",
        Tone::Faint => "2",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_begins_with_its_schema() {
        let document = serde_json::json!({ "backups": [], "schema": "muster.demo/1" });
        let text = serde_json::to_string(&SchemaFirst(document)).unwrap();
        assert_eq!(text, r#"{"schema":"muster.demo/1","backups":[]}"#);
    }
}
