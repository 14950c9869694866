//! `muster ledger`: the transparency logs of a repository, verified as they are read.

mod check;
mod prove;
mod show;

use std::path::Path;

use muster_archive::Repository;
use muster_signing::KeyId;

pub(crate) use prove::{read_pin_file, read_pins};

use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::exit::Exit;
use crate::ui::count;

/// The transparency log
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  muster ledger show
  muster ledger show --checkpoint --out pin.txt       keep it away from this machine
  muster verify --repository --pin pin.txt            later: nothing was removed since
  muster ledger check")]
pub(crate) enum Ledger {
    /// Show the heads of all logs and their newest entries
    Show(show::Show),
    /// Write proofs that other tools for transparency logs read
    Prove(prove::Prove),
    /// Read every log from end to end, and all that its entries name
    Check(check::Check),
}

pub(crate) fn run(context: &Context, args: Ledger) -> Result<Exit, CommandError> {
    match args {
        Ledger::Show(args) => show::run(context, args),
        Ledger::Prove(args) => prove::run(context, &args),
        Ledger::Check(args) => check::run(context, &args),
    }
}

/// What the key document calls a key.
fn key_name(repository: &Repository, key: &KeyId) -> String {
    let entry = repository.keys().keys.iter().find(|entry| entry.key_id == *key);
    entry.map_or_else(|| "not listed".to_owned(), |entry| entry.name.clone())
}

/// Writes a file whole; one that is there is written over.
fn write(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    std::fs::write(path, bytes)
        .map_err(|error| CommandError::new(Kind::Failed, error).context(format!("write {}", path.display())))
}

/// So many of something.
fn of(number: u64, what: &str) -> String {
    let plural = match (number, what.strip_suffix('y')) {
        (1, _) => what.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{what}s"),
    };
    format!("{} {plural}", count(number))
}
