//! A restored database in a sandbox: opened by the engine in this process, compared, questioned and written to.
//!
//! Invariant: while a configured check runs, the connection takes no write and no further file: `query_only` is on, `ATTACH` is
//! denied with its limit at zero, and pragmas that change something are denied.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Component, Path};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde_json::Value;

use super::connection::{failed, is_damage, pragma};
use super::schema;
use crate::{CheckOutcome, IdentityFact, Rehearsed, Sandbox, StoreError};

/// Instructions of SQLite's machine between two looks at the clock.
const BETWEEN_LOOKS: i32 = 10_000;
/// Longest value that is shown.
const SHOWN: usize = 200;
/// Foreign key violations are counted up to here.
const VIOLATIONS: u64 = 1000;

/// A restored `sqlite` store.
#[derive(Debug)]
pub struct SqliteRehearsed {
    name: OsString,
    expected: BTreeMap<String, Value>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    connection: Connection,
    shown: String,
    started: Instant,
    deadline: Instant,
    cancel: Arc<AtomicBool>,
}

impl SqliteRehearsed {
    /// The database `name` in the restored directory, and the position of its manifest's consistency point.
    pub fn new(name: impl Into<OsString>, expected: BTreeMap<String, Value>) -> Self {
        Self {
            name: name.into(),
            expected,
            running: None,
        }
    }

    fn running(&mut self) -> Result<&mut Running, StoreError> {
        self.running.as_mut().ok_or_else(|| StoreError::Settings {
            reason: "the restored database was not started".to_owned(),
        })
    }
}

impl Rehearsed for SqliteRehearsed {
    /// A database that SQLite takes for damaged is [`StoreError::Invalid`].
    fn start(&mut self, sandbox: &Sandbox, phase: &mut dyn FnMut(&'static str)) -> Result<(), StoreError> {
        phase("engine_start");
        let mut components = Path::new(&self.name).components();
        if !matches!(
            (components.next(), components.next()),
            (Some(Component::Normal(_)), None)
        ) {
            return Err(StoreError::Settings {
                reason: format!("{:?} is not a file name", self.name),
            });
        }
        let path = sandbox.data.join(&self.name);
        let attempt = format!("open the restored database {}", path.display());
        if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(StoreError::Invalid {
                attempt,
                reason: "it is not there as a regular file".to_owned(),
            });
        }
        let connection = open(&path, sandbox.deadline).map_err(|error| failed(&attempt, error))?;
        self.running = Some(Running {
            connection,
            shown: path.display().to_string(),
            started: Instant::now(),
            deadline: sandbox.deadline,
            cancel: Arc::clone(&sandbox.cancel),
        });
        Ok(())
    }

    /// `integrity_check` must be `ok`, and `schema_digest`, `page_count`, `page_size` and `user_version` the manifest's.
    /// `foreign_key_violations` only informs: SQLite does not enforce foreign keys unless the application asks for it, so
    /// the source may well have some.
    fn identity(&mut self) -> Result<Vec<IdentityFact>, StoreError> {
        let expected = self.expected.clone();
        let running = self.running()?;
        running.until(running.deadline)?;
        let Running {
            connection,
            shown,
            started,
            ..
        } = running;
        let cannot = |error: rusqlite::Error, what: &str| could_not(error, &format!("{what} of {shown}"), *started);
        let mut facts = Vec::new();
        let integrity = or_damage(integrity(connection)).map_err(|error| cannot(error, "run the integrity check"))?;
        facts.push(fact("integrity_check", "ok", &integrity));
        let digest = or_damage(schema::digest(connection)).map_err(|error| cannot(error, "read the schema"))?;
        facts.push(expected_fact("schema_digest", &expected, &digest));
        for name in ["page_count", "page_size", "user_version"] {
            let actual = pragma::<i64>(connection, name).map(|value| value.to_string());
            let actual = or_damage(actual).map_err(|error| cannot(error, &format!("read {name}")))?;
            facts.push(expected_fact(name, &expected, &actual));
        }
        let violations = violations(connection)
            .unwrap_or_else(|error| format!("could not be counted: {error}").chars().take(SHOWN).collect());
        facts.push(IdentityFact {
            name: "foreign_key_violations".to_owned(),
            expected: "any: for information".to_owned(),
            actual: violations,
            matches: true,
        });
        Ok(facts)
    }

    fn check(&mut self, check: &str, timeout: Duration) -> CheckOutcome {
        let running = match self.running() {
            Ok(running) => running,
            Err(error) => {
                return CheckOutcome::CouldNotRun {
                    reason: error.to_string(),
                };
            }
        };
        let end = (Instant::now() + timeout).min(running.deadline);
        let guarded = running.until(end).and_then(|()| running.guard(true));
        let outcome = match guarded {
            Ok(()) => match one_value(&running.connection, check) {
                Ok(outcome) => outcome,
                Err(error) if is_damage(&error) => CheckOutcome::Failed {
                    actual: short(&error.to_string()),
                },
                Err(error) if is_interrupt(&error) => CheckOutcome::CouldNotRun {
                    reason: format!("no end after {} s", timeout.as_secs_f64()),
                },
                Err(error) => CheckOutcome::CouldNotRun {
                    reason: short(&error.to_string()),
                },
            },
            Err(error) => CheckOutcome::CouldNotRun {
                reason: error.to_string(),
            },
        };
        match running.guard(false) {
            Ok(()) => outcome,
            Err(error) => CheckOutcome::CouldNotRun {
                reason: error.to_string(),
            },
        }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let running = self.running()?;
        running.until(running.deadline)?;
        let Running {
            connection,
            shown,
            started,
            ..
        } = running;
        let written = write_and_read_back(connection)
            .map_err(|error| could_not(error, &format!("write to the restored database {shown}"), *started))?;
        if written {
            Ok(())
        } else {
            Err(StoreError::Invalid {
                attempt: format!("read back what was written to {shown}"),
                reason: "another value came back".to_owned(),
            })
        }
    }

    fn stop(&mut self) -> Result<(), StoreError> {
        match self.running.take() {
            None => Ok(()),
            Some(running) => running
                .connection
                .close()
                .map_err(|(_, error)| failed(&format!("close the restored database {}", running.shown), error)),
        }
    }

    fn isolation(&self) -> BTreeMap<String, Value> {
        BTreeMap::from([
            ("network".to_owned(), "none".into()),
            (
                "engine".to_owned(),
                format!("in-process SQLite {}", rusqlite::version()).into(),
            ),
            ("attach".to_owned(), "denied".into()),
            ("load_extension".to_owned(), "off".into()),
            ("checks".to_owned(), "query_only".into()),
        ])
    }
}

impl Running {
    /// From now on every statement is interrupted at `end`, and when the run is to end.
    fn until(&mut self, end: Instant) -> Result<(), StoreError> {
        let cancel = Arc::clone(&self.cancel);
        let over = move || Instant::now() >= end || cancel.load(Ordering::Relaxed);
        self.connection
            .progress_handler(BETWEEN_LOOKS, Some(over))
            .map_err(|error| failed("limit the time of a statement", error))
    }

    /// Raises or lowers the guard around configured checks.
    fn guard(&mut self, up: bool) -> Result<(), StoreError> {
        let connection = &mut self.connection;
        let changed = if up {
            connection
                .pragma_update(None, "query_only", true)
                .and_then(|()| connection.authorizer(Some(deny)))
        } else {
            connection
                .authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
                .and_then(|()| connection.pragma_update(None, "query_only", false))
        };
        changed.map_err(|error| failed("keep a check from writing", error))
    }
}

fn deny(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => Authorization::Deny,
        AuthAction::Function {
            function_name: "load_extension",
        } => Authorization::Deny,
        // Pragmas that take a name and only read are useful in a check; one that sets something is not.
        AuthAction::Pragma {
            pragma_name,
            pragma_value: Some(_),
        } if !READING.contains(&pragma_name) => Authorization::Deny,
        _ => Authorization::Allow,
    }
}

const READING: [&str; 9] = [
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_xinfo",
];

fn open(path: &Path, deadline: Instant) -> rusqlite::Result<Connection> {
    // The database itself may be no link; the way to the sandbox may lead through some, and SQLite would refuse those as well.
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    let path = match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(
        deadline
            .saturating_duration_since(Instant::now())
            .min(Duration::from_secs(10)),
    )?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // The header is read and the write lock taken: from here on the database is writable.
    connection.execute_batch("begin immediate; select count(*) from sqlite_schema; rollback;")?;
    Ok(connection)
}

/// `ok`, or the first thing that `integrity_check` found.
fn integrity(connection: &Connection) -> rusqlite::Result<String> {
    let mut statement = connection.prepare("pragma integrity_check(10)")?;
    let lines = statement
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(short(&lines.join("; ")))
}

fn violations(connection: &Connection) -> rusqlite::Result<String> {
    let mut statement = connection.prepare("pragma foreign_key_check")?;
    let mut rows = statement.query([])?;
    let mut count = 0;
    while rows.next()?.is_some() {
        count += 1;
        if count == VIOLATIONS {
            return Ok(format!("{count} or more"));
        }
    }
    Ok(count.to_string())
}

/// Damage is an answer about the database; everything else stays an error about the question.
fn or_damage(answer: rusqlite::Result<String>) -> rusqlite::Result<String> {
    answer.or_else(|error| {
        if is_damage(&error) {
            Ok(short(&error.to_string()))
        } else {
            Err(error)
        }
    })
}

fn one_value(connection: &Connection, sql: &str) -> rusqlite::Result<CheckOutcome> {
    let mut statement = connection.prepare(sql)?;
    let failed = |actual: String| Ok(CheckOutcome::Failed { actual });
    if statement.column_count() != 1 {
        return failed(format!("{} columns instead of one", statement.column_count()));
    }
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        return failed("no row instead of one".to_owned());
    };
    let (passed, actual) = judged(row.get_ref(0)?);
    if rows.next()?.is_some() {
        return failed("more than one row".to_owned());
    }
    Ok(if passed {
        CheckOutcome::Passed { actual }
    } else {
        CheckOutcome::Failed { actual }
    })
}

/// Whether a value counts as true, and the value as text.
fn judged(value: ValueRef<'_>) -> (bool, String) {
    match value {
        ValueRef::Null => (false, "null".to_owned()),
        ValueRef::Integer(number) => (number != 0, number.to_string()),
        ValueRef::Real(number) => (number != 0.0, number.to_string()),
        ValueRef::Text(text) => {
            let text = String::from_utf8_lossy(text);
            let plain = text.trim().to_ascii_lowercase();
            let no = matches!(plain.as_str(), "" | "f" | "false" | "n" | "no" | "off")
                || plain.parse::<f64>().is_ok_and(|number| number == 0.0);
            (!no, short(&text))
        }
        ValueRef::Blob(blob) => (!blob.is_empty(), format!("a blob of {} bytes", blob.len())),
    }
}

/// Commits a table with one row, reads it back and drops the table again.
fn write_and_read_back(connection: &Connection) -> rusqlite::Result<bool> {
    let taken = "select count(*) from sqlite_schema where name = ?1 collate nocase";
    let mut name = "muster_rehearsal".to_owned();
    let mut attempt = 0;
    while connection.query_row(taken, [&name], |row| row.get::<_, bool>(0))? {
        attempt += 1;
        name = format!("muster_rehearsal_{attempt}");
    }
    connection.execute_batch(&format!(
        "begin immediate; create table {name} (value text not null); insert into {name} values ('written'); commit;"
    ))?;
    let back: String = connection.query_row(&format!("select value from {name}"), [], |row| row.get(0))?;
    connection.execute_batch(&format!("drop table {name};"))?;
    Ok(back == "written")
}

fn could_not(error: rusqlite::Error, attempt: &str, deadline: Instant) -> StoreError {
    if is_interrupt(&error) {
        let over = Instant::now().saturating_duration_since(deadline);
        return StoreError::Deadline {
            attempt: attempt.to_owned(),
            seconds: over.as_secs(),
        };
    }
    failed(attempt, error)
}

fn is_interrupt(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

fn fact(name: &str, expected: &str, actual: &str) -> IdentityFact {
    IdentityFact {
        name: name.to_owned(),
        expected: expected.to_owned(),
        actual: actual.to_owned(),
        matches: expected == actual,
    }
}

fn expected_fact(name: &str, expected: &BTreeMap<String, Value>, actual: &str) -> IdentityFact {
    match expected.get(name) {
        Some(Value::String(expected)) => fact(name, expected, actual),
        Some(other) => fact(name, &other.to_string(), actual),
        None => fact(name, "not in the manifest", actual),
    }
}

fn short(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
