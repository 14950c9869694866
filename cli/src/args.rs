//! The command line as typed: global options and the list of commands. Each command's own arguments stand in its file.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::commands::{
    audit, backup, check, completions, conftest, demo, evidence, init, keys, ledger, ls, policy, rehearse, restore,
    schedule, snapshots, status, verify,
};

/// Proves that you can come back.
///
/// Snapshots stateful stores into signed, deduplicated archives, rehearses the restore against the clock, judges the deployed
/// configuration with Rego policies, and binds all three into evidence that an auditor verifies offline.
#[derive(Debug, Parser)]
#[command(
    name = "muster",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Start here:
  muster demo --keep          the whole loop on throw-away stores, nothing else needed
  muster init                 a configuration, keys and a repository
  muster backup               a recovery point of every configured store
  muster rehearse             restore it into a sandbox against the clock

Exit codes:
    0  done, objectives met            7  a signature, digest or log proof is wrong
    1  the operation failed            8  could not run, or evaluated nothing
    2  usage or configuration          9  no eligible recovery point
    3  incomplete: listed             10  repository missing
    4  rehearsal verdict FAIL         11  contended: another run is busy
    5  an objective was missed        12  key missing or wrong
    6  policy failures             128+N  ended by signal N, after cleaning up"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The configuration; else ./muster.toml, else /etc/muster/muster.toml
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "MUSTER_CONFIG",
        hide_env_values = true
    )]
    pub(crate) config: Option<PathBuf>,
    /// Print exactly one JSON document to standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Errors only, beside the result
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// More diagnostics on standard error; repeat for more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Whether to show progress on standard error
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value = "auto",
        hide_possible_values = false
    )]
    pub(crate) progress: When,
    /// Whether to colour; NO_COLOR is honoured
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value = "auto")]
    pub(crate) color: When,
    /// How diagnostics are written to standard error
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// `auto` looks at the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

/// How diagnostics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Demo),
    Init(init::Init),
    Backup(backup::Backup),
    Snapshots(snapshots::Snapshots),
    Ls(ls::Ls),
    Restore(restore::Restore),
    Rehearse(rehearse::Rehearse),
    Check(check::Check),
    Audit(audit::Audit),
    Verify(verify::Verify),
    #[command(subcommand)]
    Evidence(evidence::Evidence),
    #[command(subcommand)]
    Policy(policy::Policy),
    Conftest(conftest::Conftest),
    #[command(subcommand)]
    Ledger(ledger::Ledger),
    #[command(subcommand)]
    Keys(keys::Keys),
    Status(status::Status),
    #[command(subcommand)]
    Schedule(schedule::Schedule),
    Completions(completions::Completions),
}
