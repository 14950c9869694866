//! What the engine's command line says against the restored files.
//!
//! Invariant: the command line wins over every file, so no restored setting can make the engine listen, archive, replicate or
//! schedule; what this machine lacks is left out and told.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{POLL, PORT, engine_command};
use crate::Sandbox;
use crate::postgres::password::Account;
use crate::postgres::programs;

/// Modules that start jobs by themselves.
const SCHEDULERS: [&str; 3] = ["pg_cron", "pg_partman_bgw", "pg_timetable"];

/// Modules without workers of their own that wait for work, call out or replicate: parallel queries stay possible with them.
const QUIET: [&str; 6] = [
    "auth_delay",
    "auto_explain",
    "passwordcheck",
    "pg_stat_statements",
    "pgaudit",
    "plpgsql",
];
/// What makes PostgreSQL go on over damage.
pub(in crate::postgres) const SILENCERS: [&str; 3] =
    ["ignore_checksum_failure", "ignore_invalid_pages", "zero_damaged_pages"];
/// How long the programs are asked for one setting.
const ASKING: Duration = Duration::from_secs(60);

/// Settings that hold in every sandbox.
pub(super) fn fixed_settings(sandbox: &Sandbox, major: u32) -> Vec<(&'static str, String)> {
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
    // What every session loads; this machine need not have it, and it is never needed for replay.
    for name in ["session_preload_libraries", "local_preload_libraries"] {
        settings.push((name, String::new()));
    }
    settings.push(("dynamic_library_path", "$libdir".into()));
    // A page that is damaged must be met, not passed over.
    for name in SILENCERS {
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
pub(super) fn adapt_to_this_machine(
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
        answer(
            command,
            ASKING.min(sandbox.deadline.saturating_duration_since(Instant::now())),
        )
    };
    let libraries = configured("shared_preload_libraries");
    let unknown = libraries.is_none();
    let libraries = libraries.unwrap_or_default();
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
        } else if !name.contains('/')
            && (directory.join(name).exists() || directory.join(format!("{name}.so")).exists())
        {
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
    // Replay may need a library; the workers that it would start (schedulers, replication, calls to other servers) it never does.
    let quiet = kept
        .iter()
        .all(|library| QUIET.contains(&library.strip_prefix("$libdir/").unwrap_or(library)));
    if !quiet {
        settings.push(("max_worker_processes", "0".into()));
        isolation.insert("background_workers".into(), json!("off"));
    }
    if unknown || !missing.is_empty() || !schedulers.is_empty() {
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

/// What the program says, if it says it in time: a configuration can include what has no end.
fn answer(mut command: Command, patience: Duration) -> Option<String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let began = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(None) if began.elapsed() < patience => std::thread::sleep(POLL),
            Ok(Some(status)) => break status,
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    };
    let mut text = Vec::new();
    child.stdout.take()?.take(1 << 16).read_to_end(&mut text).ok()?;
    status
        .success()
        .then(|| String::from_utf8_lossy(&text).trim().to_owned())
}

fn memory_of_this_machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}
