//! `muster completions`: a script for the user's shell.

use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::json;

use crate::args::Cli;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  muster completions bash > /etc/bash_completion.d/muster
  muster completions zsh > ~/.zfunc/_muster
  muster completions fish > ~/.config/fish/completions/muster.fish")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(context: &Context, args: Completions) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "muster", &mut script);
    let script = String::from_utf8_lossy(&script);
    if context.ui.is_json() {
        context
            .ui
            .document(&json!({ "schema": "muster.completions/1", "shell": args.shell.to_string(), "script": script }));
    } else {
        context.ui.product(&script);
    }
    Ok(Exit::Done)
}
