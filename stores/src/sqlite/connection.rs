//! Opening a live database, and SQLite's errors by what the caller must do.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use crate::StoreError;

/// How long a writer that holds the database exclusively is waited for.
pub(super) const BUSY: Duration = Duration::from_secs(60);

/// A live database, opened to be read.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) connection: Connection,
    /// Absolute, so that SQLite takes no name for one of its own (`:memory:`, `file:…`).
    pub(super) path: PathBuf,
    /// Of the file at the path, links followed.
    pub(super) metadata: Metadata,
}

impl Live {
    /// Opens the database at `path`: read-only, without creating it, without a checkpoint when it is closed.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let attempt = format!("open the database {}", path.display());
        let path = std::path::absolute(path).map_err(|error| StoreError::Unreachable {
            attempt: attempt.clone(),
            source: Box::new(error),
        })?;
        let metadata = metadata(&path, &attempt)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&path, flags).and_then(|connection| {
            connection.busy_timeout(BUSY)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
            Ok(connection)
        });
        let connection = opened.map_err(|error| failed(&attempt, error))?;
        Ok(Self {
            connection,
            path,
            metadata,
        })
    }

    /// A pragma's one value.
    pub(super) fn pragma<T: rusqlite::types::FromSql>(&self, name: &str) -> Result<T, StoreError> {
        pragma(&self.connection, name)
            .map_err(|error| failed(&format!("read {name} of {}", self.path.display()), error))
    }
}

/// A pragma's one value.
pub(super) fn pragma<T: rusqlite::types::FromSql>(connection: &Connection, name: &str) -> rusqlite::Result<T> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

fn metadata(path: &Path, attempt: &str) -> Result<Metadata, StoreError> {
    let refused = |reason: &str, hint: &str| StoreError::Refused {
        attempt: attempt.to_owned(),
        reason: reason.to_owned(),
        hint: Some(hint.to_owned()),
    };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(metadata),
        Ok(_) => Err(refused(
            "it is not a regular file",
            "`path` of an sqlite store names the database file",
        )),
        Err(error) => Err(match error.kind() {
            std::io::ErrorKind::NotFound => refused(
                "it does not exist",
                "correct `path` of the store; a missing database is never created",
            ),
            std::io::ErrorKind::PermissionDenied => {
                refused("permission denied", "run muster as a user who may read it")
            }
            _ => StoreError::Unreachable {
                attempt: attempt.to_owned(),
                source: Box::new(error),
            },
        }),
    }
}

/// SQLite says that the bytes are wrong, not that it could not read them.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// SQLite's error, by what the caller must do.
pub(super) fn failed(attempt: &str, error: rusqlite::Error) -> StoreError {
    let attempt = attempt.to_owned();
    let refused = |reason: &str, hint: &str| StoreError::Refused {
        attempt: attempt.clone(),
        reason: reason.to_owned(),
        hint: Some(hint.to_owned()),
    };
    let Some(cause) = error.sqlite_error() else {
        return StoreError::Unreachable {
            attempt,
            source: Box::new(error),
        };
    };
    match (cause.code, cause.extended_code) {
        (ErrorCode::NotADatabase, _) => StoreError::Invalid {
            attempt,
            reason: "it is not an SQLite database, or it is encrypted".to_owned(),
        },
        (ErrorCode::DatabaseCorrupt, _) => StoreError::Invalid {
            attempt,
            reason: error.to_string(),
        },
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => StoreError::Deadline {
            attempt,
            seconds: BUSY.as_secs(),
        },
        (_, ffi::SQLITE_READONLY_ROLLBACK) => refused(
            "a writer died in mid-transaction and left a hot rollback journal",
            "open the database once with its application, or with `sqlite3 PATH .schema`: that rolls the transaction \
             back; then run again",
        ),
        (ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied, _) => refused(
            &error.to_string(),
            "in WAL mode every reader, muster too, must be able to write the -shm file beside the database, or to \
             create it there",
        ),
        _ => StoreError::Unreachable {
            attempt,
            source: Box::new(error),
        },
    }
}
