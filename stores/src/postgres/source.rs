//! A live PostgreSQL server as a source: one physical base backup over the replication protocol.
//!
//! Invariant: `Ok` only after the server's clean end of the command, so that page checksum failures, which it reports last,
//! and a server that dies at any moment leave no snapshot. A plain role with REPLICATION suffices; no SQL is spoken.
//!
//! The WAL that consistency needs comes in the same stream. A temporary slot made first on the same session keeps the server
//! from recycling it meanwhile; the server drops the slot with the session, whatever ends it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend::CopyData;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::base_backup::{Intake, IntakeError, Intaken};
use super::lsn::Lsn;
use super::settings::{bytes_of, parse_version};
use super::url::PostgresUrl;
use super::wal::WalCheck;
use super::wire::{Answer, Connection, Purpose, ServerError, WireError};
use crate::{ConsistencyPoint, Sink, Source, StoreError, Taken};

/// Most of what the socket holds is taken at once.
const READ_BUFFER: usize = 1 << 20;
/// A fast checkpoint of a large dirty cache, and the server's walk over its files, take minutes; it is silent meanwhile.
const CHECKPOINT_LIMIT: Duration = Duration::from_secs(3600);
const STREAM_LIMIT: Duration = Duration::from_secs(900);
/// Seconds from 1970 to 2000, PostgreSQL's epoch.
const POSTGRES_EPOCH: i128 = 946_684_800;

/// What a restored server's settings must at least be, else it refuses to replay.
pub(crate) const NEEDED_SETTINGS: [&str; 5] = [
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
];
/// Told where the role may see them.
const VISIBLE_SETTINGS: [&str; 11] = [
    "cluster_name",
    "wal_level",
    "block_size",
    "wal_segment_size",
    "in_hot_standby",
    "ssl",
    "data_directory",
    "config_file",
    "hba_file",
    "shared_preload_libraries",
    "archive_mode",
];

/// A server to take base backups of.
pub struct PostgresSource {
    url: PostgresUrl,
    now: Box<dyn Fn() -> String + Send>,
}

impl std::fmt::Debug for PostgresSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSource")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl PostgresSource {
    /// `now` is this host's clock (RFC 3339 UTC), taken only where the server does not tell its own.
    pub fn new(url: PostgresUrl, now: Box<dyn Fn() -> String + Send>) -> PostgresSource {
        PostgresSource { url, now }
    }
}

struct Server {
    system_identifier: u64,
    version: String,
    checksums: String,
    settings: BTreeMap<&'static str, String>,
    segment_size: u64,
    page_size: u64,
}

struct Started {
    start: Lsn,
    tablespaces: BTreeMap<String, String>,
}

impl Source for PostgresSource {
    fn snapshot(&mut self, sink: &mut dyn Sink) -> Result<Taken, StoreError> {
        let mut connection = Connection::open(&self.url, Purpose::Replication, &[])?;
        let server = self.look(&mut connection)?;
        let slot = self.hold_wal(&mut connection)?;
        let attempt = format!("take a base backup of {}", self.url);
        let failed = |error: WireError| error.during(attempt.clone(), &self.url, Purpose::Replication);
        let invalid = |reason: String| StoreError::Invalid {
            attempt: attempt.clone(),
            reason,
        };

        connection.widen(READ_BUFFER);
        connection.wait_at_most(CHECKPOINT_LIMIT).map_err(failed)?;
        sink.note("waiting for the server's checkpoint");
        connection
            .start(
                "BASE_BACKUP (LABEL 'muster', CHECKPOINT 'fast', WAL true, WAIT false, PROGRESS true, MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C')",
            )
            .map_err(failed)?;
        let started = begin(&mut connection).map_err(failed)?;
        connection.wait_at_most(STREAM_LIMIT).map_err(failed)?;
        let wal = WalCheck::new(server.segment_size, server.page_size, server.system_identifier).ok_or_else(|| {
            invalid(format!(
                "WAL segments of {} bytes in pages of {} are not known",
                server.segment_size, server.page_size
            ))
        })?;
        let mut intake = Intake::new(sink, started.tablespaces.clone(), wal);
        let taken_in = |error: IntakeError| match error {
            IntakeError::Wrong(reason) => invalid(reason),
            IntakeError::Sink(error) => error.into(),
        };
        loop {
            let message = connection.receive().map_err(failed)?;
            match message.tag {
                b'd' => intake.frame(message.body()).map_err(taken_in)?,
                b'c' => break,
                b'E' => return Err(failed(server_error(&message.parse().map_err(failed)?))),
                other => {
                    return Err(invalid(format!(
                        "a message of type {:?} came amid the stream",
                        char::from(other)
                    )));
                }
            }
        }
        let host_now = (self.now)();
        let (end, timeline) = end(&mut connection).map_err(failed)?;
        let intaken = intake.finish(started.start, end).map_err(taken_in)?;
        let warnings = connection.take_notices();
        let (time, clock) = consistency_time(&mut connection, end, &intaken, host_now);
        Ok(Taken {
            consistency_point: ConsistencyPoint {
                time,
                position: BTreeMap::from([
                    ("lsn".into(), json!(end.to_string())),
                    ("start_lsn".into(), json!(started.start.to_string())),
                    ("timeline".into(), json!(timeline)),
                    ("system_identifier".into(), json!(server.system_identifier.to_string())),
                    ("server_version".into(), json!(server.version)),
                    ("data_checksums".into(), json!(server.checksums)),
                    ("settings".into(), json!(needed(&server.settings))),
                ]),
            },
            identity: self.identity(&connection, &server, &started, &intaken, slot, clock, warnings),
        })
    }
}

impl PostgresSource {
    /// Asks who is there, and refuses what cannot be backed up before anything is started.
    fn look(&self, connection: &mut Connection) -> Result<Server, StoreError> {
        let attempt = format!("identify {}", self.url);
        let failed = |error: WireError| error.during(attempt.clone(), &self.url, Purpose::Replication);
        let invalid = |what: &str| StoreError::Invalid {
            attempt: attempt.clone(),
            reason: format!("the server's {what} cannot be read"),
        };

        let version_number = connection
            .value("SHOW server_version_num")
            .map_err(failed)?
            .unwrap_or_default();
        let version = connection
            .value("SHOW server_version")
            .map_err(failed)?
            .unwrap_or_default();
        let major = parse_version(&version_number).ok_or_else(|| invalid("version"))?;
        if major < 15 {
            return Err(StoreError::Settings {
                reason: format!(
                    "{} runs PostgreSQL {version}; base backups are taken of version 15 and later",
                    self.url
                ),
            });
        }
        let system_identifier = connection.value("IDENTIFY_SYSTEM").map_err(failed)?;
        let system_identifier = system_identifier
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| invalid("system identifier"))?;
        let mut show = |name: &str| {
            connection
                .value(&format!("SHOW {name}"))
                .map_err(failed)
                .map(Option::unwrap_or_default)
        };
        let checksums = show("data_checksums")?;
        let segment_size = bytes_of(&show("wal_segment_size")?).ok_or_else(|| invalid("wal_segment_size"))?;
        let page_size = show("wal_block_size")?.parse().map_err(|_| invalid("wal_block_size"))?;
        let mut settings = BTreeMap::new();
        for name in NEEDED_SETTINGS {
            settings.insert(name, show(name)?);
        }
        for name in VISIBLE_SETTINGS {
            match connection.value(&format!("SHOW {name}")) {
                Ok(value) => drop(settings.insert(name, value.unwrap_or_default())),
                // Not for this role's eyes, or not in this version.
                Err(WireError::Server(_)) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(Server {
            system_identifier,
            version,
            checksums,
            settings,
            segment_size,
            page_size,
        })
    }

    /// Keeps the server from recycling WAL. Without a free slot the backup goes on: the server then fails it, rather than
    /// leave WAL out, if it had to recycle.
    fn hold_wal(&self, connection: &mut Connection) -> Result<bool, StoreError> {
        // The session's own process id: no two sessions share a name, and no randomness is needed.
        let name = format!("muster_{}", connection.process_id());
        match connection.ask(&format!(
            "CREATE_REPLICATION_SLOT {name} TEMPORARY PHYSICAL (RESERVE_WAL true)"
        )) {
            Ok(_) => Ok(true),
            Err(WireError::Server(error)) if matches!(error.code.as_str(), "53400" | "55000") => {
                tracing::warn!("no replication slot holds the WAL of this backup: {}", error.words());
                Ok(false)
            }
            Err(error) => Err(error.during(format!("reserve WAL on {}", self.url), &self.url, Purpose::Replication)),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the one place where everything learnt comes together"
    )]
    fn identity(
        &self,
        connection: &Connection,
        server: &Server,
        started: &Started,
        intaken: &Intaken,
        slot: bool,
        clock: Value,
        warnings: Vec<String>,
    ) -> BTreeMap<String, Value> {
        let mut identity = BTreeMap::from([
            ("server_version".into(), json!(server.version)),
            ("system_identifier".into(), json!(server.system_identifier.to_string())),
            ("user".into(), json!(self.url.user())),
            ("host".into(), json!(self.url.location())),
            ("transport".into(), json!(connection.transport())),
            ("data_checksums".into(), json!(server.checksums)),
            ("settings".into(), json!(server.settings)),
            ("clock".into(), clock),
            ("wal_slot".into(), json!(slot)),
            ("wal_segments".into(), json!(intaken.wal_segments)),
            ("logical_bytes".into(), json!(intaken.bytes)),
        ]);
        if !started.tablespaces.is_empty() {
            identity.insert("tablespaces".into(), json!(started.tablespaces));
        }
        if !warnings.is_empty() {
            identity.insert("server_warnings".into(), json!(warnings));
        }
        identity
    }
}

fn needed(settings: &BTreeMap<&'static str, String>) -> BTreeMap<&'static str, String> {
    NEEDED_SETTINGS
        .into_iter()
        .filter_map(|name| Some((name, settings.get(name)?.clone())))
        .collect()
}

/// Start position and tablespaces, up to the start of the copy stream.
fn begin(connection: &mut Connection) -> Result<Started, WireError> {
    let mut answers: Vec<Answer> = Vec::new();
    loop {
        match connection.receive()?.parse()? {
            Message::RowDescription(body) => answers.push(Answer::of(&body)?),
            Message::DataRow(body) => {
                answers
                    .last_mut()
                    .ok_or_else(|| WireError::protocol("a row came before its description"))?
                    .add(&body, 100_000)?;
            }
            Message::CommandComplete(_) => {}
            Message::CopyOutResponse(_) => break,
            other => return Err(server_error(&other)),
        }
    }
    let [position, tablespaces] = answers.as_slice() else {
        return Err(WireError::protocol(
            "the base backup did not begin with a position and the tablespaces",
        ));
    };
    let tablespaces = tablespaces.rows.iter().filter_map(|row| match row.as_slice() {
        [Some(id), Some(location), ..] => Some((id.clone(), location.clone())),
        _ => None,
    });
    Ok(Started {
        start: position_of(position)?.0,
        tablespaces: tablespaces.collect(),
    })
}

/// End position and timeline, and the command's clean end.
fn end(connection: &mut Connection) -> Result<(Lsn, u32), WireError> {
    let mut answer: Option<Answer> = None;
    let mut failure = None;
    loop {
        let message = match connection.receive().and_then(|received| received.parse()) {
            Ok(message) => message,
            Err(error) => return Err(failure.unwrap_or(error)),
        };
        match message {
            Message::RowDescription(body) => answer = Some(Answer::of(&body)?),
            Message::DataRow(body) => answer
                .as_mut()
                .ok_or_else(|| WireError::protocol("a row came before its description"))?
                .add(&body, 1)?,
            Message::CommandComplete(_) => {}
            Message::ReadyForQuery(_) => break,
            other => failure = Some(server_error(&other)),
        }
    }
    match failure {
        Some(failure) => Err(failure),
        None => position_of(&answer.ok_or_else(|| WireError::protocol("the base backup ended without a position"))?),
    }
}

fn position_of(answer: &Answer) -> Result<(Lsn, u32), WireError> {
    let row = answer.rows.first().map(Vec::as_slice);
    let Some([Some(lsn), Some(timeline)]) = row else {
        return Err(WireError::protocol("a position is not a pair of values"));
    };
    match (lsn.parse(), timeline.parse()) {
        (Ok(lsn), Ok(timeline)) => Ok((lsn, timeline)),
        _ => Err(WireError::Protocol(format!(
            "{lsn} on timeline {timeline} is not a position"
        ))),
    }
}

fn server_error(message: &Message) -> WireError {
    match message {
        Message::ErrorResponse(body) => match ServerError::read(body.fields()) {
            Ok(error) => WireError::Server(Box::new(error)),
            Err(error) => error.into(),
        },
        _ => WireError::protocol("a message came that has no place in a base backup"),
    }
}

/// The server's clock at the end position: a replication session tells it with every keep-alive. Asked after the stream, less
/// what passed since `pg_control` arrived, which the server sends right before it fixes the end.
fn consistency_time(connection: &mut Connection, end: Lsn, intaken: &Intaken, host_now: String) -> (String, Value) {
    let asked = server_clock(connection, end);
    let since = intaken.control_seen.map(|seen| seen.elapsed()).unwrap_or_default();
    let told = asked.and_then(|micros| {
        let nanos = (POSTGRES_EPOCH * 1_000_000_000)
            .checked_add(i128::from(micros) * 1000)?
            .checked_sub(i128::try_from(since.as_nanos()).ok()?)?;
        OffsetDateTime::from_unix_timestamp_nanos(nanos - nanos.rem_euclid(1000))
            .ok()?
            .format(&Rfc3339)
            .ok()
    });
    match told {
        Some(time) => (
            time,
            json!({"source": "server", "method": "replication keep-alive, less the time since pg_control arrived"}),
        ),
        None => (
            host_now,
            json!({"source": "muster's host", "method": "host clock at the end of the stream"}),
        ),
    }
}

/// Microseconds since 2000 by the server's clock. `None` for whatever reason: there is another clock to fall back on.
fn server_clock(connection: &mut Connection, at: Lsn) -> Option<i64> {
    connection.wait_at_most(Duration::from_secs(10)).ok()?;
    connection.start(&format!("START_REPLICATION PHYSICAL {at}")).ok()?;
    if connection.receive().ok()?.tag != b'W' {
        return None;
    }
    // A status update that reports nothing and asks for a reply.
    let mut status = [0_u8; 34];
    status[0] = b'r';
    status[33] = 1;
    let mut message = BytesMut::new();
    CopyData::new(&status[..]).ok()?.write(&mut message);
    connection.send(&message).ok()?;
    let message = connection.receive().ok()?;
    let at = match (message.tag, message.body().first()) {
        (b'd', Some(b'k')) => 9,
        (b'd', Some(b'w')) => 17,
        _ => return None,
    };
    Some(i64::from_be_bytes(message.body().get(at..at + 8)?.try_into().ok()?))
}
