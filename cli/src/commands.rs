//! One file per command: its arguments, whose doc comments are its help text, and the function that carries it out.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod demo;
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
                Err(CommandError::new(Kind::Interrupted(signal), error.message()))
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
        Command::Policy(args) => policy::run(context, args),
        Command::Ledger(args) => ledger::run(context, args),
        Command::Keys(args) => keys::run(context, args),
        Command::Status(args) => status::run(context, args),
        Command::Schedule(args) => schedule::run(context, args),
        Command::Completions(args) => completions::run(context, args),
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
        let text = error.render().to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        Ui::json().error(&CommandError::new(Kind::Usage, message.to_owned()).hint("muster --help"));
    } else {
        let _ = error.print();
    }
    Exit::Usage
}
