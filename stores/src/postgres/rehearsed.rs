//! A restored PostgreSQL cluster, started in a sandbox, compared with its manifest, asked and written to.
//!
//! Invariant: checks run after promotion, read-only, under a statement timeout, each in a session of its own. The engine
//! reaches no network; what a check's own SQL does with the file system or with foreign servers as superuser is its author's.
//!
//! Errors of `start` tell whose fault it is: `Invalid` speaks about the backup, all others about this machine or this moment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::check::{judge, text_of};
use super::engine::settings::SILENCERS;
use super::engine::{Engine, PORT};
use super::lsn::Lsn;
use super::recovery::{RecoveryOptions, prepare};
use super::url::PostgresUrl;
use super::wire::{Connection, Purpose, WireError};
use crate::{CheckOutcome, ConsistencyPoint, IdentityFact, Rehearsed, Sandbox, StoreError};

/// How a restored cluster is rehearsed.
#[derive(Clone, Debug, Default)]
pub struct RehearsedOptions {
    /// Folder of PostgreSQL's programs; else the packages' usual folders and `PATH`.
    pub bin_dir: Option<PathBuf>,
}

/// A restored cluster.
pub struct PostgresRehearsed {
    expected: ConsistencyPoint,
    url: PostgresUrl,
    options: RehearsedOptions,
    engine: Option<Engine>,
    session: Option<Session>,
    isolation: BTreeMap<String, Value>,
    latest_commit: Option<String>,
}

/// How to get in: found out once.
#[derive(Clone)]
struct Session {
    socket: PathBuf,
    superuser: String,
    /// A database that exists, for questions about the cluster.
    database: String,
}

impl std::fmt::Debug for PostgresRehearsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresRehearsed")
            .field("expected", &self.expected)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl PostgresRehearsed {
    /// `expected` is the signed manifest's consistency point; of the store's `url` only database and role name are used.
    pub fn new(expected: ConsistencyPoint, url: PostgresUrl, options: RehearsedOptions) -> PostgresRehearsed {
        PostgresRehearsed {
            expected,
            url,
            options,
            engine: None,
            session: None,
            isolation: BTreeMap::new(),
            latest_commit: None,
        }
    }

    fn expected_text(&self, name: &str) -> String {
        match self.expected.position.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }

    fn start_engine(&mut self, sandbox: &Sandbox, phase: &mut dyn FnMut(&'static str)) -> Result<(), StoreError> {
        let started = Instant::now();
        phase("engine_start");
        prepare(&sandbox.data, &self.expected, RecoveryOptions { pause: false })?;
        let version = std::fs::read_to_string(sandbox.data.join("PG_VERSION")).unwrap_or_default();
        let major: u32 = version.trim().parse().map_err(|_| StoreError::Invalid {
            attempt: "start the restored PostgreSQL".into(),
            reason: "its PG_VERSION holds no version".into(),
        })?;
        let engine = self
            .engine
            .insert(Engine::start(sandbox, major, self.options.bin_dir.as_deref())?);
        self.isolation = engine.isolation.clone();
        let (mut replaying, mut promoting) = (false, false);
        loop {
            let progress = engine.look()?;
            if progress.replaying && !replaying {
                replaying = true;
                phase("replay");
            }
            if progress.promoting && !promoting {
                promoting = true;
                phase("promote");
            }
            if progress.ready {
                break;
            }
            engine.pause(started, sandbox)?;
        }
        let session = enter(&self.url, sandbox)?;
        let mut connection = self.connect_as(&session, &session.database, &PLAIN)?;
        self.session = Some(session);
        loop {
            match connection
                .value("select pg_is_in_recovery()")
                .map_err(|error| self.failed(error))?
                .as_deref()
            {
                Some("f") => break,
                _ => match &mut self.engine {
                    Some(engine) => engine.pause(started, sandbox)?,
                    None => break,
                },
            }
        }
        self.latest_commit = connection.value(LATEST_COMMIT).map_err(|error| self.failed(error))?;
        Ok(())
    }

    fn connect_as(
        &self,
        session: &Session,
        database: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Connection, StoreError> {
        let url = self.url.on_socket(&session.socket, PORT, &session.superuser, database);
        Connection::open(&url, Purpose::Sql, parameters)
    }

    fn connect(&self, database: Option<&str>, parameters: &[(&str, &str)]) -> Result<Connection, StoreError> {
        let session = self.session.as_ref().ok_or_else(|| StoreError::Invalid {
            attempt: "ask the restored PostgreSQL".into(),
            reason: "it has not been started".into(),
        })?;
        self.connect_as(session, database.unwrap_or(&session.database), parameters)
    }

    fn failed(&self, error: WireError) -> StoreError {
        error.during("ask the restored PostgreSQL", &self.url, Purpose::Sql)
    }
}

impl Rehearsed for PostgresRehearsed {
    fn start(&mut self, sandbox: &Sandbox, phase: &mut dyn FnMut(&'static str)) -> Result<(), StoreError> {
        let result = self.start_engine(sandbox, phase);
        if result.is_err() {
            let _ = self.stop();
        }
        result
    }

    fn identity(&mut self) -> Result<Vec<IdentityFact>, StoreError> {
        let mut connection = self.connect(None, &PLAIN)?;
        let mut ask = |sql: &str| {
            connection
                .value(sql)
                .map_err(|error| self.failed(error))
                .map(Option::unwrap_or_default)
        };
        let system = ask("select system_identifier from pg_control_system()")?;
        let timeline = ask("select ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int")?;
        // The new timeline's history says which one it came from.
        let parent = ask(PARENT_TIMELINE)?;
        let replayed = ask("select pg_last_wal_replay_lsn()")?;
        let checksums = ask("show data_checksums")?;
        let version = ask("show server_version_num")?;

        let equal = |name: &str, expected: String, actual: String| IdentityFact {
            name: name.into(),
            matches: expected == actual && !actual.is_empty(),
            expected,
            actual,
        };
        let expected_lsn = self.expected_text("lsn");
        let reached = match (replayed.parse::<Lsn>(), expected_lsn.parse::<Lsn>()) {
            (Ok(replayed), Ok(expected)) => replayed >= expected,
            _ => false,
        };
        let promoted =
            matches!((timeline.parse::<u32>(), parent.parse::<u32>()), (Ok(timeline), Ok(parent)) if timeline > parent);
        let major = self
            .expected_text("server_version")
            .split(['.', ' '])
            .next()
            .unwrap_or_default()
            .to_owned();
        let mut facts = vec![
            equal("system_identifier", self.expected_text("system_identifier"), system),
            equal("timeline", self.expected_text("timeline"), parent.clone()),
            IdentityFact {
                name: "promoted_timeline".into(),
                expected: format!("above {parent}"),
                actual: timeline,
                matches: promoted,
            },
            IdentityFact {
                name: "replayed_lsn".into(),
                expected: format!("at least {expected_lsn}"),
                actual: replayed,
                matches: reached,
            },
            equal(
                "server_version_major",
                major,
                super::settings::parse_version(&version)
                    .map(|major| major.to_string())
                    .unwrap_or_default(),
            ),
        ];
        let expected_checksums = self.expected_text("data_checksums");
        if !expected_checksums.is_empty() {
            facts.push(equal("data_checksums", expected_checksums, checksums));
        }
        Ok(facts)
    }

    fn check(&mut self, check: &str, timeout: Duration) -> CheckOutcome {
        let milliseconds = timeout.as_millis().clamp(1, 2_000_000_000).to_string();
        let mut parameters = vec![
            ("statement_timeout", milliseconds.as_str()),
            ("lock_timeout", milliseconds.as_str()),
            ("default_transaction_read_only", "on"),
        ];
        // The restored cluster may say otherwise for a role or a database, which wins over the engine's command line. The one that
        // is missing here cannot be set for a session.
        parameters.extend(
            SILENCERS
                .into_iter()
                .filter(|name| *name != "ignore_invalid_pages")
                .map(|name| (name, "off")),
        );
        let database = self.url.database().map(str::to_owned);
        let mut connection = match self.connect(database.as_deref(), &parameters) {
            Ok(connection) => connection,
            Err(error) => {
                return CheckOutcome::CouldNotRun {
                    reason: text_of(&error),
                };
            }
        };
        // The server's own timeout comes first; this one is for a server that does not answer at all.
        if let Err(error) = connection.wait_at_most(timeout.saturating_add(Duration::from_secs(15))) {
            return CheckOutcome::CouldNotRun {
                reason: text_of(&error),
            };
        }
        match connection.ask_for(check, 2) {
            Ok(answers) => judge(&answers),
            Err(WireError::Server(error)) => CheckOutcome::CouldNotRun { reason: error.words() },
            Err(error) => CheckOutcome::CouldNotRun {
                reason: text_of(&error),
            },
        }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let database = self.url.database().map(str::to_owned);
        // As a replica's session: event triggers and their outside effects belong to the application's own changes.
        let own = [
            ("default_transaction_read_only", "off"),
            ("session_replication_role", "replica"),
        ];
        let parameters: Vec<_> = PLAIN.into_iter().chain(own).collect();
        let mut connection = self.connect(database.as_deref(), &parameters)?;
        let schema = format!("muster_rehearsal_{}", connection.process_id());
        let mut ask = |sql: &str| {
            connection
                .value(sql)
                .map_err(|error| error.during("write to the restored PostgreSQL", &self.url, Purpose::Sql))
        };
        let wrong = |reason: &str| StoreError::Invalid {
            attempt: "write to the restored PostgreSQL".into(),
            reason: reason.into(),
        };
        if ask("select pg_is_in_recovery()")?.as_deref() != Some("f") {
            return Err(wrong("it is still in recovery, which is read-only"));
        }
        ask(&format!(
            "begin; create schema {schema}; create table {schema}.proof (value bigint primary key); commit"
        ))?;
        ask(&format!("insert into {schema}.proof select generate_series(1, 1000)"))?;
        if ask(&format!("select sum(value) from {schema}.proof"))?.as_deref() != Some("500500") {
            return Err(wrong("what was written does not read back"));
        }
        ask(&format!("drop schema {schema} cascade"))?;
        Ok(())
    }

    fn stop(&mut self) -> Result<(), StoreError> {
        self.session = None;
        match &mut self.engine {
            Some(engine) => engine.stop()?,
            None => return Ok(()),
        }
        self.engine = None;
        Ok(())
    }

    /// From replay, which saw the newest commits of the WAL in the backup, and from commit timestamps where they are kept.
    fn latest_commit(&self) -> Option<String> {
        self.latest_commit.clone()
    }

    fn isolation(&self) -> BTreeMap<String, Value> {
        self.isolation.clone()
    }
}

/// Settings of muster's own questions, against those that the restored cluster has for its roles and databases: its functions must not
/// answer in the place of PostgreSQL's. Configured checks run with the cluster's.
const PLAIN: [(&str, &str); 3] = [
    ("search_path", "pg_catalog"),
    ("statement_timeout", "60000"),
    ("lock_timeout", "60000"),
];

const PARENT_TIMELINE: &str = "\
select split_part(line, E'\\t', 1) from regexp_split_to_table(trim(E'\\n' from pg_read_file('pg_wal/' || \
substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '.history')), E'\\n') with ordinality as lines (line, number) \
where line <> '' and line not like '#%' order by number desc limit 1";

/// Replay saw the newest commits of the WAL in the backup; commit timestamps, where they are kept, know older ones too.
const LATEST_COMMIT: &str = "\
select to_char(greatest(pg_last_xact_replay_timestamp(), case when current_setting('track_commit_timestamp') = 'on' then \
(select timestamp from pg_last_committed_xact()) end) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";

/// Finds the bootstrap superuser's name: its role has the object id 10 whatever it is called. Any role can look that up, and
/// the role that made the backup exists in it.
fn enter(url: &PostgresUrl, sandbox: &Sandbox) -> Result<Session, StoreError> {
    let mut last = None;
    let databases: Vec<&str> = url.database().into_iter().chain(["postgres", "template1"]).collect();
    for role in ["postgres", url.user()] {
        for database in &databases {
            let mut connection =
                match Connection::open(&url.on_socket(&sandbox.run, PORT, role, database), Purpose::Sql, &PLAIN) {
                    Ok(connection) => connection,
                    Err(error) => {
                        last = Some(error);
                        continue;
                    }
                };
            let found = connection.value("select rolname from pg_catalog.pg_roles where oid = 10");
            let found = found.map_err(|error| error.during("look up the bootstrap superuser", url, Purpose::Sql))?;
            if let Some(superuser) = found {
                return Ok(Session {
                    socket: sandbox.run.clone(),
                    superuser,
                    database: (*database).to_owned(),
                });
            }
        }
    }
    Err(last.unwrap_or_else(|| StoreError::Invalid {
        attempt: "look up the bootstrap superuser".into(),
        reason: "the restored cluster has no role with the object id 10".into(),
    }))
}
