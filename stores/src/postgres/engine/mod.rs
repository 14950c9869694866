//! One `postgres` process in a sandbox: started, watched by its log, and ended by its process id.
//!
//! Invariant: it runs as a non-root user, listens on a private socket only, and archives, replicates and schedules nothing:
//! settings on its command line win over every file of the restored directory. It never outlives its value.

mod handover;
mod log;
pub(super) mod settings;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use self::log::{Log, Progress};
use super::password::Account;
use super::programs;
use crate::{Sandbox, StoreError};

/// The socket's number; the socket's folder is the sandbox's own.
pub(crate) const PORT: u16 = 5432;
const POLL: Duration = Duration::from_millis(10);
const FAST_STOP: Duration = Duration::from_secs(60);
/// A running server.
pub(crate) struct Engine {
    child: Option<Child>,
    log: Log,
    pub(crate) isolation: BTreeMap<String, Value>,
}

impl Engine {
    /// Starts `postgres` on the sandbox's data. Returns at once.
    pub(crate) fn start(sandbox: &Sandbox, major: u32, bin: Option<&Path>) -> Result<Engine, StoreError> {
        let bin = programs::find(major, bin)?;
        let account = handover::engine_account()?;
        let attempt = || format!("set up the sandbox {}", sandbox.run.display());
        let failed = |error: io::Error| StoreError::Unreachable {
            attempt: attempt(),
            source: Box::new(error),
        };
        let socket = sandbox.run.join(format!(".s.PGSQL.{PORT}"));
        if socket.as_os_str().len() > 100 {
            return Err(StoreError::Settings {
                reason: format!("the sandbox's path {} is too long for a socket", sandbox.run.display()),
            });
        }
        fs::set_permissions(&sandbox.run, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        fs::write(sandbox.run.join("hba.conf"), "local all all trust\n").map_err(failed)?;
        fs::write(sandbox.run.join("ident.conf"), "").map_err(failed)?;
        // Opened before the folder is another user's, and never again by its name: whatever lies there later is not read.
        let log = File::options()
            .read(true)
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(sandbox.run.join("postgres.log"))
            .map_err(failed)?;
        handover::hand_over(&sandbox.data, account.as_ref())?;
        handover::hand_over(&sandbox.run, account.as_ref())?;
        if let Some(account) = &account {
            for place in [&sandbox.data, &sandbox.run] {
                handover::demand_way(place, account)?;
            }
        }
        let user = account.as_ref().map_or_else(
            || format!("uid {}", rustix::process::geteuid().as_raw()),
            |account| account.name.clone(),
        );
        let mut isolation = BTreeMap::from([
            (
                "network".into(),
                json!("none: no TCP listener, one unix socket in a folder of mode 0700"),
            ),
            ("user".into(), json!(user)),
            ("archiving".into(), json!("off")),
            (
                "replication".into(),
                json!("off: no senders, no receivers, no subscriptions"),
            ),
            (
                "configuration".into(),
                json!("the restored files under settings of the sandbox's own"),
            ),
        ]);
        let mut settings = settings::fixed_settings(sandbox, major);
        settings::adapt_to_this_machine(sandbox, &bin, account.as_ref(), &mut settings, &mut isolation);

        let mut command = engine_command(&bin.join("postgres"), account.as_ref());
        command.arg("-D").arg(&sandbox.data);
        for (name, value) in &settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log.try_clone().map_err(failed)?);
        // A group of its own: an interrupt typed at muster is answered by muster, which then stops the engine in order.
        command.process_group(0);
        let child = command.spawn().map_err(|error| StoreError::Unreachable {
            attempt: format!("run {}", bin.join("postgres").display()),
            source: Box::new(error),
        })?;
        Ok(Engine {
            child: Some(child),
            log: Log::new(log),
            isolation,
        })
    }

    /// Looks once at the process and its log.
    pub(crate) fn look(&mut self) -> Result<Progress, StoreError> {
        let status = match &mut self.child {
            Some(child) => child.try_wait().ok().flatten(),
            None => {
                return Err(StoreError::Invalid {
                    attempt: "ask the restored PostgreSQL".into(),
                    reason: "it is not running".into(),
                });
            }
        };
        self.log.read_on();
        match status {
            Some(status) => {
                self.child = None;
                Err(self.ended(status))
            }
            None => Ok(self.log.progress),
        }
    }

    /// Waits a moment, or gives up past the deadline and where the run is to end.
    pub(crate) fn pause(&mut self, started: Instant, sandbox: &Sandbox) -> Result<(), StoreError> {
        if sandbox.is_over() {
            return Err(StoreError::Deadline {
                attempt: format!("start the restored PostgreSQL ({})", self.last_lines()),
                seconds: started.elapsed().as_secs(),
            });
        }
        std::thread::sleep(POLL);
        Ok(())
    }

    /// The log's end, in one line.
    pub(crate) fn last_lines(&mut self) -> String {
        self.log.read_on();
        self.log.last.join(" | ")
    }

    /// Ends the server and waits until it is gone. May be called again.
    pub(crate) fn stop(&mut self) -> Result<(), StoreError> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        // Fast shutdown, then immediate, then what no process can refuse.
        for (signal, patience) in [
            (Signal::INT, FAST_STOP),
            (Signal::QUIT, Duration::from_secs(20)),
            (Signal::KILL, Duration::from_secs(20)),
        ] {
            if end(&mut child, signal, patience) {
                return Ok(());
            }
        }
        let pid = child.id();
        self.child = Some(child);
        Err(StoreError::Deadline {
            attempt: format!("stop the restored PostgreSQL (process {pid})"),
            seconds: 100,
        })
    }

    /// The server said why it ended. What lies with this machine is no verdict about the backup.
    fn ended(&self, status: ExitStatus) -> StoreError {
        const MACHINE: [&str; 11] = [
            "invalid value for parameter \"lc_",
            "invalid value for parameter \"TimeZone\"",
            "invalid value for parameter \"log_timezone\"",
            "No space left on device",
            "Cannot allocate memory",
            "could not map anonymous shared memory",
            "could not create shared memory segment",
            "could not create semaphores",
            "could not access file",
            "could not load library",
            "could not create lock file",
        ];
        let lines = self.log.last.join(" | ");
        if MACHINE.iter().any(|words| lines.contains(words)) {
            return StoreError::Settings {
                reason: format!("the restored PostgreSQL cannot run on this machine ({status}): {lines}"),
            };
        }
        StoreError::Invalid {
            attempt: "start the restored PostgreSQL".into(),
            reason: format!("it ended with {status}: {lines}"),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = end(&mut child, Signal::QUIT, Duration::from_secs(10))
                || end(&mut child, Signal::KILL, Duration::from_secs(10));
        }
    }
}

/// Sends a signal and waits. The process was not waited for yet, so its id cannot be someone else's.
fn end(child: &mut Child, signal: Signal, patience: Duration) -> bool {
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return true;
    };
    let _ = kill_process(pid, signal);
    let since = Instant::now();
    loop {
        match child.try_wait() {
            Ok(None) if since.elapsed() < patience => std::thread::sleep(POLL),
            Ok(None) => return false,
            Ok(Some(_)) | Err(_) => return true,
        }
    }
}

fn engine_command(program: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .current_dir("/");
    if let Some(account) = account {
        // Further groups are dropped by the standard library when root gives up its user id.
        command.uid(account.uid).gid(account.gid);
    }
    command
}
