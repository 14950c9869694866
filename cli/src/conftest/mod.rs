//! Conftest's own command line: its flags, its configuration, its output and its exit codes, so that a pipeline changes the binary alone.
//!
//! Nothing of muster's command line holds here: no global options, no `muster.toml`, no exit code but 0, 1 and 2. It begins where the
//! program is called `conftest`, or with `muster conftest`, before anything else is read.

mod commands;
mod flags;
mod help;
mod settings;

use std::ffi::OsString;
use std::path::Path;

use crate::exit::Exit;
use crate::ui;

/// What a command prints and how it ends.
pub(crate) struct Ended {
    stdout: String,
    stderr: String,
    code: u8,
}

impl Ended {
    fn said(stdout: String) -> Self {
        Self {
            stdout,
            stderr: String::new(),
            code: 0,
        }
    }

    fn failed(why: &str) -> Self {
        Self {
            stdout: String::new(),
            stderr: format!("Error: {why}\n"),
            code: 1,
        }
    }
}

/// The arguments for Conftest, if that is who was called.
pub(crate) fn called(arguments: &[OsString]) -> Option<&[OsString]> {
    let (program, rest) = arguments.split_first()?;
    if Path::new(program).file_name().is_some_and(|name| name == "conftest") {
        return Some(rest);
    }
    match rest.split_first() {
        Some((command, rest)) if command == "conftest" => Some(rest),
        _ => None,
    }
}

/// Runs Conftest's command line.
pub(crate) fn run(arguments: &[OsString]) -> Exit {
    let arguments: Vec<String> = arguments
        .iter()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let ended = commands::run(&arguments);
    let written = ui::verbatim(&ended.stdout, &ended.stderr);
    match (ended.code, written) {
        (0, Ok(())) => Exit::Done,
        (2, _) => Exit::Usage,
        _ => Exit::Failed,
    }
}
