//! `muster evidence`: what a bundle says, once it verified.

mod show;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;

/// Evidence bundles
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  muster evidence show audit.tar --key root.pub")]
pub(crate) enum Evidence {
    /// Show what a bundle says: verdicts, frameworks, stores, and what it does not show
    Show(show::Show),
}

pub(crate) fn run(context: &Context, args: Evidence) -> Result<Exit, CommandError> {
    match args {
        Evidence::Show(args) => show::run(context, &args),
    }
}
