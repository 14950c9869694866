//! What makes a restored data directory start at its own consistency point.
//!
//! Invariant: nothing that came out of the backup is lost: settings are appended to `postgresql.auto.conf` in place of older ones of
//! the same names, and a configuration file is written only where the tree has none (Debian keeps it outside).

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::lsn::Lsn;
use crate::{ConsistencyPoint, StoreError};

/// How a restored server behaves once it is consistent.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecoveryOptions {
    /// Stay read-only at the consistency point until someone promotes it, in place of promoting at once.
    pub pause: bool,
}

const AUTO_CONF: &str = "postgresql.auto.conf";
const MARK: &str = "# muster: recovery to the backup's own consistency point; without effect once it is done.";
/// Settings of a former recovery or of a standby that would fight with ours. Only one kind of target may be set.
const REPLACED: [&str; 11] = [
    "restore_command",
    "recovery_end_command",
    "archive_cleanup_command",
    "recovery_target",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_lsn",
    "recovery_target_xid",
    "recovery_target_timeline",
    "recovery_target_action",
    "recovery_min_apply_delay",
];

/// Makes `data_dir`, a restored base backup, start at its consistency point: it replays the WAL that it carries, stops as soon
/// as it is consistent, and promotes itself on a new timeline. May be called again.
pub fn prepare(data_dir: &Path, point: &ConsistencyPoint, options: RecoveryOptions) -> Result<(), StoreError> {
    let timeline = check(data_dir, point)?;
    let failed = |error: io::Error| StoreError::Unreachable {
        attempt: format!("prepare {} for recovery", data_dir.display()),
        source: Box::new(error),
    };
    write_all(data_dir, point, timeline, options).map_err(failed)
}

fn check(data_dir: &Path, point: &ConsistencyPoint) -> Result<u32, StoreError> {
    let invalid = |reason: String| StoreError::Invalid {
        attempt: format!("prepare {} for recovery", data_dir.display()),
        reason,
    };
    for needed in ["PG_VERSION", "backup_label", "global/pg_control"] {
        if !data_dir.join(needed).is_file() {
            return Err(invalid(format!("{needed} is missing: this is no complete base backup")));
        }
    }
    // No base backup of muster's has one. PostgreSQL would turn it into links to the places that it names: those of the live server.
    if data_dir.join("tablespace_map").symlink_metadata().is_ok() {
        return Err(invalid(
            "it has a tablespace_map, and would start with links that lead out of it".into(),
        ));
    }
    if data_dir
        .join(AUTO_CONF)
        .symlink_metadata()
        .is_ok_and(|found| !found.is_file())
    {
        return Err(invalid(format!("{AUTO_CONF} is no regular file")));
    }
    let lsn = point
        .position
        .get("lsn")
        .and_then(|lsn| lsn.as_str())
        .and_then(|lsn| lsn.parse::<Lsn>().ok());
    let timeline = point
        .position
        .get("timeline")
        .and_then(serde_json::Value::as_u64)
        .and_then(|timeline| u32::try_from(timeline).ok());
    match (lsn, timeline) {
        (Some(_), Some(timeline)) if timeline > 0 => Ok(timeline),
        _ => Err(invalid("its consistency point has no lsn and timeline".into())),
    }
}

fn write_all(data_dir: &Path, point: &ConsistencyPoint, timeline: u32, options: RecoveryOptions) -> io::Result<()> {
    // PostgreSQL takes 0700 and 0750 only.
    if fs::metadata(data_dir)?.mode() & 0o7777 != 0o750 {
        fs::set_permissions(data_dir, fs::Permissions::from_mode(0o700))?;
    }
    for standby in ["standby.signal", "postmaster.pid"] {
        match fs::remove_file(data_dir.join(standby)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    if !data_dir.join("postgresql.conf").exists() {
        create(data_dir, "postgresql.conf", minimal_configuration(point))?;
    }
    if !data_dir.join("pg_hba.conf").exists() {
        create(data_dir, "pg_hba.conf", MINIMAL_HBA)?;
    }
    if !data_dir.join("pg_ident.conf").exists() {
        create(
            data_dir,
            "pg_ident.conf",
            "# Written by muster at restore: the backup held none.\n",
        )?;
    }
    let auto_conf = data_dir.join(AUTO_CONF);
    let before = match fs::read(&auto_conf) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    let text = auto_configuration(&before, data_dir, timeline, options);
    let temporary = format!("{AUTO_CONF}.muster");
    let _ = fs::remove_file(data_dir.join(&temporary));
    create(data_dir, &temporary, &text)?;
    fs::rename(data_dir.join(&temporary), &auto_conf)?;
    // The signal comes last: a directory without it must not look ready.
    if !data_dir.join("recovery.signal").exists() {
        create(data_dir, "recovery.signal", "")?;
    }
    fs::File::open(data_dir)?.sync_all()
}

fn auto_configuration(before: &[u8], data_dir: &Path, timeline: u32, options: RecoveryOptions) -> Vec<u8> {
    // In whatever encoding the server wrote them.
    let mut kept = Vec::with_capacity(before.len());
    for line in before.split_inclusive(|byte| *byte == b'\n') {
        let shown = String::from_utf8_lossy(line);
        if shown.trim_end() != MARK && !sets(&shown, &REPLACED) && !sets(&shown, &["allow_in_place_tablespaces"]) {
            kept.extend_from_slice(line);
        }
    }
    if kept.last().is_some_and(|last| *last != b'\n') {
        kept.push(b'\n');
    }
    let mut text = String::new();
    text.push_str(MARK);
    text.push('\n');
    let mut set = |name: &str, value: &str| {
        let _ = writeln!(text, "{name} = '{value}'");
    };
    // Cleared first, in case an included file sets one: PostgreSQL takes only one kind of target.
    for name in [
        "recovery_target_name",
        "recovery_target_time",
        "recovery_target_lsn",
        "recovery_target_xid",
    ] {
        set(name, "");
    }
    for name in ["recovery_end_command", "archive_cleanup_command"] {
        set(name, "");
    }
    // All WAL that is needed lies in pg_wal.
    set("restore_command", "false");
    set("recovery_target", "immediate");
    set(
        "recovery_target_action",
        if options.pause { "pause" } else { "promote" },
    );
    // A numbered timeline other than 1 is looked up in its history file; without one, 'current' is the same timeline.
    let has_history = timeline == 1 || data_dir.join(format!("pg_wal/{timeline:08X}.history")).is_file();
    set(
        "recovery_target_timeline",
        &if has_history {
            timeline.to_string()
        } else {
            "current".into()
        },
    );
    if has_in_place_tablespaces(data_dir) {
        set("allow_in_place_tablespaces", "on");
    }
    kept.extend_from_slice(text.as_bytes());
    kept
}

fn sets(line: &str, names: &[&str]) -> bool {
    let line = line.trim_start();
    let name = line
        .split(|character: char| character == '=' || character.is_whitespace())
        .next()
        .unwrap_or_default();
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Tablespaces come back as plain directories, which recovery takes for leftovers unless it is told.
fn has_in_place_tablespaces(data_dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(data_dir.join("pg_tblspc")) else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
}

const MINIMAL_HBA: &str = "\
# Written by muster at restore: the backup held none, since the server kept it outside its data directory.
local all all peer
host all all 127.0.0.1/32 scram-sha-256
host all all ::1/128 scram-sha-256
";

fn minimal_configuration(point: &ConsistencyPoint) -> String {
    let mut text = String::from(
        "# Written by muster at restore: the backup held none, since the server kept it outside its data directory.\n\
         # Replay needs at least these settings of the server that was backed up; all else is PostgreSQL's default.\n",
    );
    for name in super::source::NEEDED_SETTINGS {
        let value = point
            .position
            .get("settings")
            .and_then(|settings| settings.get(name))
            .and_then(|value| value.as_str())
            .unwrap_or_default();
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            let _ = writeln!(text, "{name} = {value}");
        }
    }
    text
}

/// A new file, mode 0600, on disk when this returns, and owned as the data directory is.
fn create(data_dir: &Path, name: &str, text: impl AsRef<[u8]>) -> io::Result<()> {
    let path = data_dir.join(name);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all(text.as_ref())?;
    file.sync_all()?;
    let owner = fs::metadata(data_dir)?;
    if file.metadata()?.uid() != owner.uid() {
        std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}
