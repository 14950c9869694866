//! `muster schedule`: entries for the machine's own scheduler, derived from the objectives in the configuration.
//!
//! It prints and installs nothing: what runs as root on someone's machine is read by a person first.

mod calendar;
mod cron;
mod systemd;

use std::path::PathBuf;

use crate::config::Config;
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::exit::Exit;

/// Print entries for a scheduler: a backup and a weekly rehearsal of every store, as often as its RPO demands
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Schedule {
    /// systemd service and timer units
    #[command(after_help = "Examples:
  muster schedule systemd                                  show the units, one after the other
  muster schedule systemd --out /etc/systemd/system        write each to its own file
  systemctl daemon-reload && systemctl enable --now muster-backup-accounts.timer")]
    Systemd {
        /// Write the units into this directory instead of printing them
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Lines for /etc/cron.d
    #[command(after_help = "Examples:
  muster schedule cron
  muster schedule cron > /etc/cron.d/muster")]
    Cron {
        /// The user that the jobs run as
        #[arg(long, default_value = "root")]
        user: String,
    },
}

/// What the entries have in common: the program and the configuration, by absolute path.
struct Job<'a> {
    program: PathBuf,
    config_path: PathBuf,
    config: &'a Config,
}

pub(crate) fn run(context: &Context, args: Schedule) -> Result<Exit, CommandError> {
    let config = context.config()?;
    config.select(&[])?;
    let absolute = |attempt: &'static str| move |error| CommandError::new(Kind::Failed, error).context(attempt);
    let job = Job {
        program: std::env::current_exe().map_err(absolute("find the path of this program"))?,
        config_path: std::path::absolute(&config.path).map_err(absolute("find the path of the configuration"))?,
        config: &config,
    };
    match args {
        Schedule::Systemd { out: None } => {
            let files = systemd::units(&job)?;
            let text: Vec<String> = files.iter().map(|(name, text)| format!("# {name}\n{text}")).collect();
            context.ui.product(&text.join("\n"));
        }
        Schedule::Systemd { out: Some(directory) } => {
            for (name, text) in systemd::units(&job)? {
                let path = directory.join(name);
                std::fs::write(&path, text).map_err(|error| {
                    CommandError::new(Kind::Failed, error).context(format!("write {}", path.display()))
                })?;
                context.ui.say(path.display().to_string());
            }
        }
        Schedule::Cron { user } => context.ui.product(&cron::table(&job, &user)?),
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests;
