//! `muster schedule`: entries for the machine's own scheduler, derived from the objectives in the configuration.
//!
//! It prints and installs nothing: what runs as root on someone's machine is read by a person first.

mod calendar;
mod cron;
mod systemd;

use std::path::PathBuf;

use serde_json::json;

use crate::config::Config;
use crate::context::Context;
use crate::error::{CommandError, Kind};
use crate::exit::Exit;

/// Print entries for a scheduler: a backup and a weekly rehearsal of every store, as often as its RPO demands
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  muster schedule cron > /etc/cron.d/muster
  muster schedule systemd --out /etc/systemd/system")]
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
            if context.ui.is_json() {
                return Ok(document(context, "systemd", &files));
            }
            let text: Vec<String> = files.iter().map(|(name, text)| format!("# {name}\n{text}")).collect();
            context.ui.product(&text.join("\n"));
        }
        Schedule::Systemd { out: Some(directory) } => {
            let files = systemd::units(&job)?;
            for (name, text) in &files {
                let path = directory.join(name);
                std::fs::write(&path, text).map_err(|error| {
                    CommandError::new(Kind::Failed, error).context(format!("write {}", path.display()))
                })?;
                context.ui.say(path.display().to_string());
            }
            return Ok(document(context, "systemd", &files));
        }
        Schedule::Cron { user } => {
            let table = cron::table(&job, &user)?;
            if context.ui.is_json() {
                return Ok(document(context, "cron", &[("muster".to_owned(), table)]));
            }
            context.ui.product(&table);
        }
    }
    Ok(Exit::Done)
}

fn document(context: &Context, scheduler: &str, files: &[(String, String)]) -> Exit {
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| json!({ "name": name, "text": text }))
        .collect();
    context
        .ui
        .document(&json!({ "schema": format!("muster.schedule {scheduler}/1"), "files": files }));
    Exit::Done
}

#[cfg(test)]
mod tests;
