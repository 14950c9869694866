//! One file per command: its arguments, whose doc comments are its help text, and the function that carries it out.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod conftest;
pub(crate) mod demo;
pub(crate) mod evidence;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod ls;
pub(crate) mod policy;
pub(crate) mod rehearse;
pub(crate) mod restore;
pub(crate) mod schedule;
pub(crate) mod snapshots;
pub(crate) mod status;
pub(crate) mod verify;

use std::ffi::OsString;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::exit::Exit;
use crate::ui::Ui;

/// Parses, dispatches, prints the error if there is one, and says how the process ends.
pub(crate) fn run(arguments: Vec<OsString>) -> Exit {
    if let Some(arguments) = crate::conftest::called(&arguments) {
        return crate::conftest::run(arguments);
    }
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return misread(&error, &arguments),
    };
    let ui = Ui::new(&cli.global);
    crate::logging::install(cli.global.verbose, cli.global.quiet, cli.global.log_format, &ui);
    let outcome = crate::signals::Cancel::install().and_then(|cancel| {
        let context = Context::new(cli.global, ui.clone(), cancel.clone());
        let outcome = dispatch(&context, cli.command);
        // Work that was cut short says so in its own words; the signal is the reason.
        match (outcome, cancel.signal()) {
            (Err(error), Some(signal)) if error.exit() != Exit::Signal(signal) => {
                Err(CommandError::new(Kind::Interrupted(signal), error.message())
                    .context(format!("ended by signal {signal}")))
            }
            (Ok(exit), Some(signal)) if exit != Exit::Done => Ok(Exit::Signal(signal)),
            (outcome, _) => outcome,
        }
    });
    let exit = outcome.unwrap_or_else(|error| {
        ui.error(&error);
        error.exit()
    });
    match ui.broken_output() {
        Some(_) if exit == Exit::Done => Exit::Failed,
        _ => exit,
    }
}

fn dispatch(context: &Context, command: Command) -> Result<Exit, CommandError> {
    match command {
        Command::Demo(args) => demo::run(context, args),
        Command::Init(args) => init::run(context, args),
        Command::Backup(args) => backup::run(context, args),
        Command::Snapshots(args) => snapshots::run(context, args),
        Command::Ls(args) => ls::run(context, args),
        Command::Restore(args) => restore::run(context, args),
        Command::Rehearse(args) => rehearse::run(context, args),
        Command::Check(args) => check::run(context, args),
        Command::Audit(args) => audit::run(context, args),
        Command::Verify(args) => verify::run(context, args),
        Command::Evidence(args) => evidence::run(context, args),
        Command::Policy(args) => policy::run(context, args),
        Command::Conftest(args) => conftest::run(context, args),
        Command::Ledger(args) => ledger::run(context, args),
        Command::Keys(args) => keys::run(context, args),
        Command::Status(args) => status::run(context, args),
        Command::Schedule(args) => schedule::run(context, args),
        Command::Completions(args) => completions::run(context, args),
    }
}

/// What clap says over several lines, in one: the message with the names it lists, its tips, and where the usage stands.
fn misread_in_words(text: &str) -> CommandError {
    let (said, usage) = text.split_once("\nUsage:").unwrap_or((text, ""));
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let (tips, message): (Vec<&str>, Vec<&str>) = lines.into_iter().partition(|line| line.starts_with("tip: "));
    let message = message.join(" ");
    let message = message
        .trim_start_matches("error: ")
        .trim_end_matches("For more information, try '--help'.")
        .trim_end();
    let error = tips
        .into_iter()
        .fold(CommandError::new(Kind::Usage, message.to_owned()), |error, tip| {
            error.hint(tip.trim_start_matches("tip: "))
        });
    // `Usage: muster restore --to <DIR> …`: the words before the first argument are the command.
    let command: Vec<&str> = usage
        .split_whitespace()
        .take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()))
        .collect();
    match command.is_empty() {
        true => error.hint("muster --help"),
        false => error.hint(format!("{} --help", command.join(" "))),
    }
}

/// Help and version are results; anything else is a usage error, in JSON when JSON was asked for.
fn misread(error: &clap::Error, arguments: &[OsString]) -> Exit {
    use clap::error::ErrorKind;
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return Exit::Done;
    }
    if arguments
        .iter()
        .take_while(|argument| *argument != "--")
        .any(|argument| argument == "--json")
    {
        Ui::json().error(&misread_in_words(&error.render().to_string()));
    } else {
        let _ = error.print();
    }
    Exit::Usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misread_command_line_names_what_is_missing_and_whose_help_to_read() {
        let refused = |line: &str| {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            let error = misread_in_words(&error.render().to_string());
            (error.message(), error.hints().to_vec())
        };
        let (message, hints) = refused("muster restore accounts");
        assert_eq!(
            message,
            "the following required arguments were not provided: --to <DIR>"
        );
        assert_eq!(hints, ["muster restore --help"]);
        let (message, hints) = refused("muster resotre accounts");
        assert_eq!(message, "unrecognized subcommand 'resotre'");
        assert_eq!(hints, ["a similar subcommand exists: 'restore'", "muster --help"]);
        let (message, hints) = refused("muster check x --output yamlx");
        assert!(message.contains("possible values: table, json"), "{message}");
        assert_eq!(hints, ["muster --help"]);
    }
}
