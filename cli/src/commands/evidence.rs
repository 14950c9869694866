//! `muster evidence`: what a bundle says, once it verified, and whether it follows from what is in it.

mod replay;
mod show;

use std::path::{Path, PathBuf};

use muster_evidence::{Opened, Verification};

use super::verify;
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::exit::Exit;

/// Evidence bundles
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  muster evidence show audit.tar --key root.pub
  muster evidence replay audit.tar --key root.pub")]
pub(crate) enum Evidence {
    /// Show what a bundle says: verdicts, frameworks, stores, and what it does not show
    Show(show::Show),
    /// Judge the facts of a bundle once more by its policies, and compare the verdicts
    Replay(replay::Replay),
}

/// A bundle and the root to believe.
#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// The public root key to believe [default: the configuration's trust root]
    #[arg(long, value_name = "ROOT_PUB")]
    key: Option<PathBuf>,
}

pub(crate) fn run(context: &Context, args: Evidence) -> Result<Exit, CommandError> {
    match args {
        Evidence::Show(args) => show::run(context, &args.named),
        Evidence::Replay(args) => replay::run(context, &args.named),
    }
}

/// A bundle that is not wrong: its bytes, how it verified, and what it says.
struct Read {
    bytes: Vec<u8>,
    found: Verification,
    opened: Opened,
}

/// Verifies before anything of it is looked at.
fn read(context: &Context, named: &Named, attempt: &str) -> Result<Read, CommandError> {
    let key = named.key.as_deref().map(verify::named_root).transpose()?;
    let root = verify::root_of(context, key)?;
    let bytes = verify::read_bundle(&named.bundle)?;
    let (found, opened) = muster_evidence::open_bundle(&bytes, root.as_ref());
    if let Some(opened) = opened {
        return Ok(Read { bytes, found, opened });
    }
    let failed = found.checks.iter().find(|check| !check.passed);
    let why = failed.map_or_else(
        || "it does not verify".to_owned(),
        |check| format!("{}: {}", check.name, check.detail),
    );
    Err(damaged(&named.bundle, attempt, why))
}

fn damaged(bundle: &Path, attempt: &str, why: String) -> CommandError {
    CommandError::new(Kind::Damaged, why)
        .context(format!("{attempt} the bundle {}", bundle.display()))
        .hint(format!("muster verify {}", bundle.display()))
}
