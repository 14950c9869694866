//! The settings of a live server as JSON, for policies.
//!
//! Invariant: three answers. A value is what the server said; `null` is what it would not show, and `unknown` then says which
//! query was refused, why, and what to grant. Nothing is guessed, and nothing that may carry a secret (`archive_command`) is copied.

mod queries;
mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use self::queries::{SET_OR_NOT, SETTINGS};
use super::url::PostgresUrl;
use super::wire::{Connection, Purpose, WireError};
use crate::StoreError;

/// Databases that are entered; of more, only the names are told.
const MOST_DATABASES: usize = 200;

/// What was learnt of a server.
#[derive(Debug)]
pub struct Collected {
    /// The facts, `settings` of a store in a facts document.
    pub facts: Value,
    /// The answers as they came, by the name of the fact.
    pub raw: BTreeMap<String, String>,
}

/// Asks a live server for its settings and facts. `now` tells the time, as facts say it. The role needs nothing but a login; with
/// `pg_monitor` less stays unknown. A role that may only replicate gets what `SHOW` tells.
pub fn collect(url: &PostgresUrl, now: &dyn Fn() -> String) -> Result<Collected, StoreError> {
    match open(&url.in_some_database()) {
        Ok(connection) => by_sql(connection, url, now),
        Err(StoreError::Refused { reason, .. }) => match Connection::open(url, Purpose::Replication, &[]) {
            Ok(connection) => by_show(connection, url, now, &reason),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// A session that cannot write and does not wait.
fn open(url: &PostgresUrl) -> Result<Connection, StoreError> {
    let parameters = [
        ("statement_timeout", "30000"),
        ("lock_timeout", "5000"),
        ("default_transaction_read_only", "on"),
    ];
    Connection::open(url, Purpose::Sql, &parameters)
}

fn by_sql(mut connection: Connection, url: &PostgresUrl, now: &dyn Fn() -> String) -> Result<Collected, StoreError> {
    let mut facts = Facts::new(url, "sql", now);
    connection
        .wait_at_most(Duration::from_secs(60))
        .map_err(|error| facts.failed(error))?;
    facts.settings(&mut connection)?;
    for query in &queries::OF_THE_SERVER {
        let value = facts.ask(&mut connection, query.fact, query.sql, query.grant)?;
        match value {
            Some(value) => facts.set(query.fact, value),
            None => facts.set(query.fact, absent(query.fact, url.user())),
        }
    }
    facts.hidden_standbys();
    facts.end_of_life();
    facts.databases(connection)?;
    Ok(facts.finish())
}

fn by_show(
    mut connection: Connection,
    url: &PostgresUrl,
    now: &dyn Fn() -> String,
    refused: &str,
) -> Result<Collected, StoreError> {
    let mut facts = Facts::new(url, "replication", now);
    let mut settings: BTreeMap<&str, Value> = BTreeMap::new();
    let (started, mut raw) = (now(), String::new());
    for name in SETTINGS.iter().chain(&SET_OR_NOT) {
        let value = match connection.value(&format!("SHOW {name}")) {
            Ok(Some(value)) if SET_OR_NOT.contains(name) => json!(set_or_not(&value)),
            Ok(value) => json!(value),
            Err(WireError::Server(error)) => {
                facts.unknown(&format!("settings.{name}"), &error.words(), None);
                Value::Null
            }
            Err(error) => return Err(facts.failed(error)),
        };
        line(&mut raw, name, value.as_str());
        settings.insert(name, value);
    }
    facts.record("settings", None, "SHOW name", started, settings.len(), raw);
    let major = settings["server_version"]
        .as_str()
        .and_then(|version| version.split(|c: char| !c.is_ascii_digit()).next());
    let server = json!({"version": settings["server_version"], "major": major});
    facts.set("settings", json!(settings));
    facts.set("server", server);
    facts.end_of_life();
    let why = format!("it needs SQL, and the server refuses it: {refused}");
    let asked = queries::OF_THE_SERVER.iter().map(|query| query.fact);
    for fact in asked.filter(|fact| *fact != "server").chain(["databases"]) {
        facts.unknown(fact, &why, None);
        facts.set(fact, absent(fact, url.user()));
    }
    facts.document["role"]["replication"] = json!(true);
    Ok(facts.finish())
}

/// What stands for a fact that is not known: null, or an object with unknown members, so that a rule can ask for a member and find null.
fn absent(fact: &str, user: &str) -> Value {
    match fact {
        "server" => json!({"version": null, "major": null}),
        "archiver" => json!({"failing": null, "last_archived_wal": null, "last_failed_wal": null}),
        "role" => json!({"name": user, "superuser": null}),
        _ => Value::Null,
    }
}

fn set_or_not(value: &str) -> &'static str {
    if matches!(value, "" | "(disabled)") {
        "not set"
    } else {
        "set"
    }
}

/// A setting as the raw answer keeps it.
fn line(raw: &mut String, name: &str, value: Option<&str>) {
    let _ = writeln!(raw, "{name}\t{}", value.unwrap_or("\\N"));
}

/// The document as it grows.
struct Facts<'a> {
    url: &'a PostgresUrl,
    now: &'a dyn Fn() -> String,
    document: Map<String, Value>,
    queries: BTreeMap<String, String>,
    collected: Vec<Value>,
    unknown: Vec<Value>,
    raw: BTreeMap<String, String>,
}

impl<'a> Facts<'a> {
    fn new(url: &'a PostgresUrl, session: &str, now: &'a dyn Fn() -> String) -> Self {
        let document = Map::from_iter([
            ("kind".to_owned(), json!("postgres")),
            ("host".to_owned(), json!(url.location())),
            ("asked_by".to_owned(), json!(session)),
        ]);
        Self {
            url,
            now,
            document,
            queries: BTreeMap::new(),
            collected: Vec::new(),
            unknown: Vec::new(),
            raw: BTreeMap::new(),
        }
    }

    fn set(&mut self, name: &str, value: Value) {
        self.document.insert(name.to_owned(), value);
    }

    /// Asks for one fact; `None` where it is not known, and `unknown` then says why.
    fn ask(
        &mut self,
        connection: &mut Connection,
        fact: &str,
        sql: &str,
        grant: Option<&str>,
    ) -> Result<Option<Value>, StoreError> {
        let started = (self.now)();
        let (value, text) = match connection.value(sql) {
            Ok(Some(text)) => match serde_json::from_str::<Value>(&text) {
                Ok(value) => (Some(value), text),
                Err(error) => {
                    self.unknown(fact, &error.to_string(), None);
                    (None, text)
                }
            },
            Ok(None) => {
                self.unknown(fact, "the server gave no value", grant);
                (None, String::new())
            }
            Err(WireError::Server(error)) => {
                self.unknown(fact, &error.words(), grant);
                (None, String::new())
            }
            Err(error) => return Err(self.failed(error)),
        };
        let count = match &value {
            Some(Value::Array(items)) => items.len(),
            Some(_) => 1,
            None => 0,
        };
        self.record(fact, None, sql, started, count, text);
        Ok(value)
    }

    fn settings(&mut self, connection: &mut Connection) -> Result<(), StoreError> {
        let query = queries::settings();
        let names = SETTINGS.iter().chain(&SET_OR_NOT);
        let mut settings: BTreeMap<String, Value> = names.map(|name| ((*name).to_owned(), Value::Null)).collect();
        let (started, mut raw, mut count) = ((self.now)(), String::new(), 0);
        match connection.ask(&query) {
            Ok(answers) => {
                for row in answers.into_iter().flat_map(|answer| answer.rows) {
                    if let [Some(name), value] = row.as_slice() {
                        line(&mut raw, name, value.as_deref());
                        count += 1;
                        settings.insert(name.clone(), json!(value));
                    }
                }
            }
            Err(WireError::Server(error)) => self.unknown("settings", &error.words(), Some(queries::SETTINGS_GRANT)),
            Err(error) => return Err(self.failed(error)),
        }
        for (name, _) in settings.iter().filter(|(_, value)| value.is_null()) {
            let why = "the server does not show it to this role, or does not know it";
            self.unknown(&format!("settings.{name}"), why, Some(queries::SETTINGS_GRANT));
        }
        self.record("settings", None, &query, started, count, raw);
        self.set("settings", json!(settings));
        Ok(())
    }

    /// What each database holds.
    fn databases(&mut self, mut connection: Connection) -> Result<(), StoreError> {
        let names = self.ask(&mut connection, "databases", queries::DATABASES, None)?;
        drop(connection);
        let Some(Value::Array(names)) = names else {
            self.set("databases", Value::Null);
            return Ok(());
        };
        let mut databases = Vec::new();
        for (at, name) in names.iter().filter_map(Value::as_str).enumerate() {
            let (found, error) = if at < MOST_DATABASES {
                self.inside(name)
            } else {
                (
                    None,
                    Some(format!("more than {MOST_DATABASES} databases: it was not entered")),
                )
            };
            let mut database = found.unwrap_or_else(|| {
                json!({
                    "public_may_create": null,
                    "untrusted_languages": null,
                    "policies_not_enforced": null,
                    "extensions": null,
                })
            });
            database["name"] = json!(name);
            database["error"] = json!(error);
            databases.push(database);
        }
        self.set("databases", Value::Array(databases));
        Ok(())
    }

    /// What one database holds, or why that is not known.
    fn inside(&mut self, name: &str) -> (Option<Value>, Option<String>) {
        let started = (self.now)();
        let grant = Some(queries::DATABASE_GRANT.replace("{database}", &queries::identifier(name)));
        let answer = open(&self.url.in_database(name)).and_then(|mut connection| {
            connection
                .value(queries::OF_A_DATABASE)
                .map_err(|error| self.failed(error))
        });
        let (text, why) = match answer {
            Ok(text) => (text.unwrap_or_default(), None),
            Err(StoreError::Refused { reason, .. }) => (String::new(), Some(reason)),
            Err(error) => (String::new(), Some(error.to_string())),
        };
        let read = serde_json::from_str::<Value>(&text).ok().filter(Value::is_object);
        let why = why.or_else(|| read.is_none().then(|| "the server gave no value".to_owned()));
        if let Some(why) = &why {
            self.unknown(&format!("databases.{name}"), why, grant.as_deref());
        }
        let count = usize::from(read.is_some());
        self.record("databases", Some(name), queries::OF_A_DATABASE, started, count, text);
        (read, why)
    }

    /// Who may not see the sessions of others sees standbys without a state.
    fn hidden_standbys(&mut self) {
        let hides = |standbys: &Value| {
            standbys
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["state"].is_null()))
        };
        if self.document.get("standbys").is_some_and(hides) {
            self.set("standbys", Value::Null);
            let why = "the server hides what standbys do from this role";
            self.unknown("standbys", why, Some(queries::STATS_GRANT));
        }
    }

    fn end_of_life(&mut self) {
        let major = self.document["server"]["major"]
            .as_str()
            .and_then(|major| major.parse().ok());
        let known = major
            .ok_or_else(|| "the server's version is not known".to_owned())
            .and_then(support::end_of_life);
        match known {
            Ok(date) => self.set("end_of_life", date),
            Err(why) => {
                self.set("end_of_life", Value::Null);
                self.unknown("end_of_life", &why, None);
            }
        }
    }

    /// How a fact was had.
    fn record(&mut self, fact: &str, database: Option<&str>, query: &str, started: String, count: usize, raw: String) {
        let digest = Sha256::digest(raw.as_bytes());
        let hex = digest.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let name = database.map_or_else(|| fact.to_owned(), |database| format!("{fact}.{database}"));
        let url = self.url.in_some_database();
        self.collected.push(json!({
            "fact": name,
            "role": self.url.user(),
            "database": database.or(url.database()),
            "started": started,
            "finished": (self.now)(),
            "count": count,
            "raw_bytes": raw.len(),
            "raw_digest": format!("sha256:{hex}"),
        }));
        // One query for all databases.
        let of = if database.is_some() { "databases.*" } else { fact };
        self.queries.insert(of.to_owned(), query.to_owned());
        self.raw.insert(name, raw);
    }

    /// `name` could not be read, and this would have to be granted.
    fn unknown(&mut self, name: &str, reason: &str, grant: Option<&str>) {
        let grant = grant.map(|grant| grant.replace("{role}", &queries::identifier(self.url.user())));
        self.unknown
            .push(json!({"fact": name, "reason": reason, "grant": grant}));
    }

    fn failed(&self, error: WireError) -> StoreError {
        error.during(format!("read the settings of {}", self.url), self.url, Purpose::Sql)
    }

    fn finish(mut self) -> Collected {
        self.document.insert("queries".to_owned(), json!(self.queries));
        self.document
            .insert("collected".to_owned(), Value::Array(self.collected));
        self.document.insert("unknown".to_owned(), Value::Array(self.unknown));
        Collected {
            facts: Value::Object(self.document),
            raw: self.raw,
        }
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
