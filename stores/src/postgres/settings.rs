//! The settings of a live server as JSON, for policies.
//!
//! Invariant: three answers. A value is what the server said; `null` is what it would not show, and `unknown` then says which
//! query was refused and why. Nothing is guessed, and nothing that may carry a secret (`archive_command`) is copied.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::url::PostgresUrl;
use super::wire::{Connection, Purpose, WireError};
use crate::StoreError;

/// Told by value.
const SETTINGS: [&str; 33] = [
    "archive_library",
    "archive_mode",
    "archive_timeout",
    "checkpoint_timeout",
    "cluster_name",
    "data_checksums",
    "default_transaction_read_only",
    "fsync",
    "full_page_writes",
    "hot_standby",
    "in_hot_standby",
    "listen_addresses",
    "log_connections",
    "log_disconnections",
    "log_statement",
    "logging_collector",
    "max_connections",
    "max_replication_slots",
    "max_slot_wal_keep_size",
    "max_wal_senders",
    "max_wal_size",
    "password_encryption",
    "port",
    "row_security",
    "server_version",
    "ssl",
    "ssl_min_protocol_version",
    "synchronous_commit",
    "synchronous_standby_names",
    "track_commit_timestamp",
    "wal_compression",
    "wal_keep_size",
    "wal_level",
];
/// Told as set or not: the value may hold a secret.
const SET_OR_NOT: [&str; 2] = ["archive_command", "restore_command"];

const SLOTS: &str = "\
select coalesce(json_agg(json_build_object('name', slot_name, 'type', slot_type, 'active', active, 'temporary', temporary, \
'wal_status', wal_status, 'retained_bytes', pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() \
else pg_current_wal_lsn() end, restart_lsn)) order by slot_name), '[]') from pg_replication_slots where not temporary";
const ARCHIVER: &str = "\
select json_build_object('archived_count', archived_count, 'last_archived_wal', last_archived_wal, \
'last_archived_time', to_char(last_archived_time at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), \
'failed_count', failed_count, 'last_failed_wal', last_failed_wal, \
'last_failed_time', to_char(last_failed_time at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), \
'failing', last_failed_time is not null and (last_archived_time is null or last_failed_time > last_archived_time)) \
from pg_stat_archiver";
const ROLE: &str = "\
select json_build_object('name', rolname, 'superuser', rolsuper, 'replication', rolreplication, 'create_role', rolcreaterole, \
'create_database', rolcreatedb, 'bypass_row_security', rolbypassrls, \
'reads_all_data', pg_has_role(oid, 'pg_read_all_data', 'member'), 'monitors', pg_has_role(oid, 'pg_monitor', 'member'), \
'valid_until', to_char(rolvaliduntil at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')) \
from pg_roles where rolname = current_user";
const SESSION: &str = "\
select json_build_object('encrypted', ssl, 'protocol', version, 'cipher', cipher) from pg_stat_ssl where pid = pg_backend_pid()";
const HBA: &str = "\
select coalesce(json_agg(json_build_object('line', line_number, 'type', type, 'database', database, 'user', user_name, \
'address', address, 'method', auth_method, 'error', error) order by line_number), '[]') from pg_hba_file_rules";
const SIZE: &str = "select sum(pg_database_size(oid)) from pg_database";
const STANDBYS: &str = "\
select coalesce(json_agg(json_build_object('name', application_name, 'state', state, 'sync', sync_state)), '[]') \
from pg_stat_replication";

/// Asks a live server for its settings and facts. The role needs nothing but a login; with `pg_monitor` less stays unknown. A
/// role that may only replicate gets what `SHOW` tells.
pub fn collect(url: &PostgresUrl) -> Result<Value, StoreError> {
    let parameters = [
        ("statement_timeout", "30000"),
        ("lock_timeout", "5000"),
        ("default_transaction_read_only", "on"),
    ];
    match Connection::open(&url.in_some_database(), Purpose::Sql, &parameters) {
        Ok(connection) => by_sql(connection, url),
        Err(StoreError::Refused { reason, .. }) => match Connection::open(url, Purpose::Replication, &[]) {
            Ok(connection) => by_show(connection, url, &reason),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

fn by_sql(mut connection: Connection, url: &PostgresUrl) -> Result<Value, StoreError> {
    let mut facts = Facts::new(url, "sql");
    connection
        .wait_at_most(Duration::from_secs(60))
        .map_err(|error| facts.failed(error))?;
    let query = settings_query();
    let mut settings: BTreeMap<String, Value> = SETTINGS.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    settings.extend(SET_OR_NOT.iter().map(|name| ((*name).to_owned(), Value::Null)));
    match connection.ask(&query) {
        Ok(answers) => {
            for row in answers.into_iter().flat_map(|answer| answer.rows) {
                if let [Some(name), value] = row.as_slice() {
                    settings.insert(name.clone(), json!(value));
                }
            }
        }
        Err(WireError::Server(error)) => facts.unknown("settings", &error.words()),
        Err(error) => return Err(facts.failed(error)),
    }
    for (name, _) in settings.iter().filter(|(_, value)| value.is_null()) {
        facts.unknown(
            &format!("settings.{name}"),
            "the server does not show it to this role, or does not know it",
        );
    }
    facts.query("settings", &query);
    facts.set("settings", json!(settings));
    for (name, query) in [
        ("replication_slots", SLOTS),
        ("archiver", ARCHIVER),
        ("role", ROLE),
        ("session", SESSION),
        ("hba_rules", HBA),
        ("database_bytes", SIZE),
        ("standbys", STANDBYS),
    ] {
        facts.query(name, query);
        match connection.value(query) {
            Ok(Some(text)) => match serde_json::from_str(&text) {
                Ok(value) => facts.set(name, value),
                Err(error) => facts.unknown(name, &error.to_string()),
            },
            Ok(None) => facts.unknown(name, "the server gave no value"),
            Err(WireError::Server(error)) => facts.unknown(name, &error.words()),
            Err(error) => return Err(facts.failed(error)),
        }
    }
    Ok(facts.finish())
}

fn by_show(mut connection: Connection, url: &PostgresUrl, refused: &str) -> Result<Value, StoreError> {
    let mut facts = Facts::new(url, "replication");
    let mut settings: BTreeMap<&str, Value> = BTreeMap::new();
    for name in SETTINGS.iter().chain(&SET_OR_NOT) {
        let value = match connection.value(&format!("SHOW {name}")) {
            Ok(Some(value)) if SET_OR_NOT.contains(name) => json!(set_or_not(&value)),
            Ok(value) => json!(value),
            Err(WireError::Server(error)) => {
                facts.unknown(&format!("settings.{name}"), &error.words());
                Value::Null
            }
            Err(error) => return Err(facts.failed(error)),
        };
        settings.insert(name, value);
    }
    facts.query("settings", "SHOW name");
    facts.set("settings", json!(settings));
    for name in [
        "replication_slots",
        "session",
        "hba_rules",
        "database_bytes",
        "standbys",
    ] {
        facts.unknown(name, &format!("it needs SQL, and the server refuses it: {refused}"));
    }
    // Objects with unknown members, so that a rule can ask for a member and find null.
    facts.set(
        "archiver",
        json!({"failing": null, "last_archived_wal": null, "last_failed_wal": null}),
    );
    facts.unknown(
        "archiver",
        &format!("it needs SQL, and the server refuses it: {refused}"),
    );
    facts.set(
        "role",
        json!({"name": url.user(), "superuser": null, "replication": true}),
    );
    facts.unknown("role", &format!("it needs SQL, and the server refuses it: {refused}"));
    Ok(facts.finish())
}

fn settings_query() -> String {
    let quoted = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("'{name}'"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (told, hidden) = (quoted(&SETTINGS), quoted(&SET_OR_NOT));
    format!(
        "select name, case when name in ({hidden}) then case when setting in ('', '(disabled)') then 'not set' else 'set' end \
         else current_setting(name) end from pg_settings where name in ({told}, {hidden}) order by name"
    )
}

fn set_or_not(value: &str) -> &'static str {
    if matches!(value, "" | "(disabled)") {
        "not set"
    } else {
        "set"
    }
}

/// The document as it grows.
struct Facts {
    url: PostgresUrl,
    document: Map<String, Value>,
    queries: BTreeMap<String, String>,
    unknown: Vec<Value>,
}

impl Facts {
    fn new(url: &PostgresUrl, session: &str) -> Facts {
        let document = Map::from_iter([
            ("kind".to_owned(), json!("postgres")),
            ("host".to_owned(), json!(url.location())),
            ("asked_by".to_owned(), json!(session)),
        ]);
        Facts {
            url: url.clone(),
            document,
            queries: BTreeMap::new(),
            unknown: Vec::new(),
        }
    }

    fn set(&mut self, name: &str, value: Value) {
        self.document.insert(name.to_owned(), value);
    }

    fn query(&mut self, name: &str, query: &str) {
        self.queries.insert(name.to_owned(), query.to_owned());
    }

    /// `name` could not be read. A fact that has no value yet becomes `null`.
    fn unknown(&mut self, name: &str, reason: &str) {
        if !name.contains('.') {
            let absent = match name {
                "archiver" => json!({"failing": null}),
                "role" => json!({"name": self.url.user(), "superuser": null}),
                _ => Value::Null,
            };
            self.document.entry(name).or_insert(absent);
        }
        self.unknown.push(json!({"fact": name, "reason": reason}));
    }

    fn failed(&self, error: WireError) -> StoreError {
        error.during(format!("read the settings of {}", self.url), &self.url, Purpose::Sql)
    }

    fn finish(mut self) -> Value {
        self.document.insert("queries".to_owned(), json!(self.queries));
        self.document.insert("unknown".to_owned(), Value::Array(self.unknown));
        Value::Object(self.document)
    }
}

/// The major version in `server_version_num`.
pub(crate) fn parse_version(number: &str) -> Option<u32> {
    Some(number.parse::<u32>().ok()? / 10_000)
}

/// Bytes of a setting as `SHOW` writes it: `16MB`, `8192`, `128kB`.
pub(crate) fn bytes_of(text: &str) -> Option<u64> {
    let digits = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" | "B" => 1,
        "kB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        "TB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}
