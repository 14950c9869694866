//! One `postgres` process in a sandbox: started, watched by its log, and ended by its process id.
//!
//! Invariant: it runs as a non-root user, listens on a private socket only, and archives, replicates and schedules nothing:
//! settings on its command line win over every file of the restored directory. It never outlives its value.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::password::{Account, account};
use super::programs;
use crate::{Sandbox, StoreError};

/// The socket's number; the socket's folder is the sandbox's own.
pub(crate) const PORT: u16 = 5432;
const POLL: Duration = Duration::from_millis(10);
const FAST_STOP: Duration = Duration::from_secs(60);
const LAST_LINES: usize = 12;
/// Modules that start jobs by themselves.
const SCHEDULERS: [&str; 3] = ["pg_cron", "pg_partman_bgw", "pg_timetable"];

/// A running server.
pub(crate) struct Engine {
    child: Option<Child>,
    log: Log,
    pub(crate) isolation: BTreeMap<String, Value>,
}

/// How far recovery has come, as the log tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) replaying: bool,
    pub(crate) promoting: bool,
    pub(crate) ready: bool,
}

struct Log {
    path: PathBuf,
    read: u64,
    partial: String,
    last: Vec<String>,
    progress: Progress,
}

impl Engine {
    /// Starts `postgres` on the sandbox's data. Returns at once.
    pub(crate) fn start(sandbox: &Sandbox, major: u32, bin: Option<&Path>) -> Result<Engine, StoreError> {
        let bin = programs::find(major, bin)?;
        let account = engine_account()?;
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
        hand_over(&sandbox.data, account.as_ref())?;
        hand_over(&sandbox.run, account.as_ref())?;
        if let Some(account) = &account {
            for place in [&sandbox.data, &sandbox.run] {
                demand_way(place, account)?;
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
        let mut settings = fixed_settings(sandbox, major);
        adapt_to_this_machine(sandbox, &bin, account.as_ref(), &mut settings, &mut isolation);

        let path = sandbox.run.join("postgres.log");
        let log = File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let mut command = engine_command(&bin.join("postgres"), account.as_ref());
        command.arg("-D").arg(&sandbox.data);
        for (name, value) in &settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log);
        // A group of its own: an interrupt typed at muster is answered by muster, which then stops the engine in order.
        command.process_group(0);
        let child = command.spawn().map_err(|error| StoreError::Unreachable {
            attempt: format!("run {}", bin.join("postgres").display()),
            source: Box::new(error),
        })?;
        Ok(Engine {
            child: Some(child),
            log: Log::new(path),
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

    /// Waits a moment, or gives up past the deadline.
    pub(crate) fn pause(&mut self, started: Instant, deadline: Instant) -> Result<(), StoreError> {
        if Instant::now() >= deadline {
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
        const MACHINE: [&str; 8] = [
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

fn fixed_settings(sandbox: &Sandbox, major: u32) -> Vec<(&'static str, String)> {
    let run = |name: &str| sandbox.run.join(name).display().to_string();
    let mut settings: Vec<(&'static str, String)> = vec![
        ("data_directory", sandbox.data.display().to_string()),
        ("hba_file", run("hba.conf")),
        ("ident_file", run("ident.conf")),
        ("unix_socket_directories", sandbox.run.display().to_string()),
        ("unix_socket_permissions", "0700".into()),
        ("port", PORT.to_string()),
        // Names are matched in the log.
        ("lc_messages", "C".into()),
        ("log_destination", "stderr".into()),
        ("log_line_prefix", "%m [%p] ".into()),
        ("log_min_messages", "warning".into()),
        ("log_min_duration_statement", "-1".into()),
        ("log_statement", "none".into()),
        ("huge_pages", "try".into()),
    ];
    for name in [
        "listen_addresses",
        "external_pid_file",
        "unix_socket_group",
        "archive_command",
        "archive_library",
        "primary_conninfo",
    ] {
        settings.push((name, String::new()));
    }
    // Without standbys every commit would wait for ever.
    for name in [
        "primary_slot_name",
        "synchronous_standby_names",
        "recovery_end_command",
        "archive_cleanup_command",
    ] {
        settings.push((name, String::new()));
    }
    for name in ["archive_mode", "logging_collector", "ssl", "bonjour", "jit"] {
        settings.push((name, "off".into()));
    }
    // Not readable before it is writable, so that the source's sizes of its shared tables are not demanded here.
    settings.push(("hot_standby", "off".into()));
    for name in ["max_wal_senders", "max_logical_replication_workers"] {
        settings.push((name, "0".into()));
    }
    if major >= 17 {
        for name in ["sync_replication_slots", "summarize_wal", "event_triggers"] {
            settings.push((name, "off".into()));
        }
    }
    settings
}

/// What the source's configuration asks for and this machine has not.
fn adapt_to_this_machine(
    sandbox: &Sandbox,
    bin: &Path,
    account: Option<&Account>,
    settings: &mut Vec<(&'static str, String)>,
    isolation: &mut BTreeMap<String, Value>,
) {
    let configured = |name: &str| {
        let mut command = engine_command(&bin.join("postgres"), account);
        command
            .arg("-D")
            .arg(&sandbox.data)
            .arg("-c")
            .arg(format!("data_directory={}", sandbox.data.display()))
            .arg("-C")
            .arg(name);
        let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let libraries = configured("shared_preload_libraries").unwrap_or_default();
    let directory = programs::module_directory(bin);
    let (mut kept, mut missing, mut schedulers) = (Vec::new(), Vec::new(), Vec::new());
    for library in libraries
        .split(',')
        .map(|name| name.trim().trim_matches('"'))
        .filter(|name| !name.is_empty())
    {
        let name = library.strip_prefix("$libdir/").unwrap_or(library);
        if SCHEDULERS.contains(&name) {
            schedulers.push(name);
        } else if directory.join(name).exists() || directory.join(format!("{name}.so")).exists() {
            kept.push(library);
        } else {
            missing.push(library);
        }
    }
    isolation.insert(
        "schedulers".into(),
        json!(if schedulers.is_empty() {
            "none".into()
        } else {
            format!("off: {}", schedulers.join(", "))
        }),
    );
    if !missing.is_empty() {
        isolation.insert("missing_libraries".into(), json!(missing));
    }
    if !missing.is_empty() || !schedulers.is_empty() {
        settings.push(("shared_preload_libraries", kept.join(",")));
    }
    if kept.iter().any(|name| name.contains("timescaledb")) {
        settings.push(("timescaledb.max_background_workers", "0".into()));
    }
    let buffers = configured("shared_buffers")
        .and_then(|blocks| blocks.parse::<u64>().ok())
        .map(|blocks| blocks.saturating_mul(8 << 10));
    if let (Some(buffers), Some(memory)) = (buffers, memory_of_this_machine())
        && buffers > memory / 2
    {
        settings.push(("shared_buffers", format!("{}kB", memory / 8 / 1024)));
        isolation.insert(
            "shared_buffers_bytes".into(),
            json!({"configured": buffers, "used": memory / 8}),
        );
    }
}

fn memory_of_this_machine() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The user that `postgres` runs as, where it is not this process's own: it refuses to run as root.
fn engine_account() -> Result<Option<Account>, StoreError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let found = account(|fields| fields[0] == "postgres").filter(|account| account.uid != 0);
    found.map(Some).ok_or_else(|| StoreError::Settings {
        reason: "PostgreSQL does not run as root, and there is no user postgres on this machine: create it, or run muster as another user".into(),
    })
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

/// Gives everything below `root` to the engine's user, and refuses links: they would lead out of the sandbox.
fn hand_over(root: &Path, account: Option<&Account>) -> Result<(), StoreError> {
    let mut folders = vec![root.to_owned()];
    let failed = |path: &Path, error: io::Error| StoreError::Unreachable {
        attempt: format!("hand over {}", path.display()),
        source: Box::new(error),
    };
    let give = |path: &Path| match account {
        Some(account) => lchown(path, Some(account.uid), Some(account.gid)).map_err(|error| failed(path, error)),
        None => Ok(()),
    };
    give(root)?;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| failed(&folder, error))? {
            let entry = entry.map_err(|error| failed(&folder, error))?;
            let kind = entry.file_type().map_err(|error| failed(&folder, error))?;
            if kind.is_symlink() {
                return Err(StoreError::Invalid {
                    attempt: "set up the sandbox".into(),
                    reason: format!(
                        "the restored data holds a link, {}, and would leave the sandbox",
                        entry.path().display()
                    ),
                });
            }
            give(&entry.path())?;
            if kind.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Every folder above `place` lets the engine's user through.
fn demand_way(place: &Path, account: &Account) -> Result<(), StoreError> {
    for folder in place.ancestors().skip(1) {
        let Ok(metadata) = fs::metadata(folder) else { continue };
        let wanted = if metadata.uid() == account.uid {
            0o100
        } else if metadata.gid() == account.gid {
            0o010
        } else {
            0o001
        };
        if metadata.mode() & wanted == 0 {
            return Err(StoreError::Settings {
                reason: format!(
                    "user {} cannot pass through {}: let the sandbox lie elsewhere, run muster as {}, or chmod o+x that folder",
                    account.name,
                    folder.display(),
                    account.name
                ),
            });
        }
    }
    Ok(())
}

impl Log {
    fn new(path: PathBuf) -> Log {
        Log {
            path,
            read: 0,
            partial: String::new(),
            last: Vec::new(),
            progress: Progress::default(),
        }
    }

    fn read_on(&mut self) {
        let mut bytes = Vec::new();
        let Ok(mut file) = File::open(&self.path) else { return };
        if file.seek(SeekFrom::Start(self.read)).is_err() {
            return;
        }
        // What is beyond a MiB is read by the next look.
        let Ok(count) = file.take(1 << 20).read_to_end(&mut bytes) else {
            return;
        };
        self.read += count as u64;
        self.partial.push_str(&String::from_utf8_lossy(&bytes));
        while let Some(end) = self.partial.find('\n') {
            let line: String = self.partial.drain(..=end).collect();
            self.take_line(line.trim_end());
        }
        if self.partial.len() > 64 << 10 {
            self.partial.clear();
        }
    }

    fn take_line(&mut self, line: &str) {
        let has = |words: &str| line.contains(words);
        self.progress.replaying |= has("redo starts at");
        self.progress.promoting |= has("redo done at") || has("redo is not required");
        self.progress.ready |= has("database system is ready to accept connections");
        // "2026-01-01 00:00:00.000 UTC [1] LOG:  …": the words are enough.
        let words = line.split_once("] ").map_or(line, |(_, words)| words);
        self.last.push(words.chars().take(300).collect());
        if self.last.len() > LAST_LINES {
            self.last.remove(0);
        }
    }
}
