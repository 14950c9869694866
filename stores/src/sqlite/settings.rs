//! A live database's settings as JSON, for policies.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use serde_json::{Value, json};

use super::connection::{Live, failed};
use super::source::journal_mode;
use crate::StoreError;

/// What the database file at `path` says of itself, in one read transaction. Settings of a connection (`synchronous`,
/// `foreign_keys` …) are not among it: they belong to each application.
pub fn settings(path: &Path) -> Result<Value, StoreError> {
    let live = Live::open(path)?;
    let attempt = format!("read the settings of {}", live.path.display());
    live.connection
        .execute_batch("begin; select count(*) from sqlite_schema;")
        .map_err(|error| failed(&attempt, error))?;
    let number = |name: &str| live.pragma::<i64>(name);
    let auto_vacuum = match number("auto_vacuum")? {
        0 => "none",
        1 => "full",
        _ => "incremental",
    };
    let wal = live.pragma::<String>("journal_mode")? == "wal";
    Ok(json!({
        "path": live.path.to_string_lossy(),
        "sqlite_version": rusqlite::version(),
        "journal_mode": journal_mode(wal),
        "page_size": number("page_size")?,
        "page_count": number("page_count")?,
        "freelist_count": number("freelist_count")?,
        "auto_vacuum": auto_vacuum,
        "user_version": number("user_version")?,
        "application_id": number("application_id")?,
        "encoding": live.pragma::<String>("encoding")?,
        "mode": format!("{:04o}", live.metadata.mode() & 0o7777),
        "uid": live.metadata.uid(),
        "gid": live.metadata.gid(),
        "size_bytes": live.metadata.len(),
    }))
}
