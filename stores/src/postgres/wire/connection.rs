//! One session: framing of messages over a buffer that is read in large gulps and handed out in slices.
//!
//! Invariant: a message is handed out whole, and one that claims to be longer than [`MAX_MESSAGE`] ends the session before
//! memory is taken for it. Warnings that arrive between messages are kept aside, bounded.

use std::io::{self, Read, Write};
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::authentication;
use super::error::{ServerError, WireError};
use super::stream::Stream;
use crate::StoreError;
use crate::postgres::url::{PostgresUrl, SslMode};

const MAX_MESSAGE: usize = 16 << 20;
const SMALL_BUFFER: usize = 64 << 10;
const MAX_NOTICES: usize = 20;
/// How long the server may say nothing, where no other limit is set.
const SILENCE: Duration = Duration::from_secs(60);

/// What a session is for. A physical replication session speaks no SQL and needs its own line of `pg_hba.conf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Sql,
    Replication,
}

/// A logged-in session.
pub(crate) struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    limit: Duration,
    notices: Vec<String>,
    process_id: i32,
}

/// One message of the server; never `NoticeResponse`, `ParameterStatus` or `NotificationResponse`.
pub(crate) struct Received<'a> {
    pub(crate) tag: u8,
    whole: &'a [u8],
}

impl<'a> Received<'a> {
    pub(crate) fn body(&self) -> &'a [u8] {
        &self.whole[5..]
    }

    pub(crate) fn parse(&self) -> Result<Message, WireError> {
        parse(self.whole)
    }
}

impl Connection {
    /// Connects and logs in. `parameters` are settings of the session, such as `statement_timeout`.
    pub(crate) fn open(
        url: &PostgresUrl,
        purpose: Purpose,
        parameters: &[(&str, &str)],
    ) -> Result<Connection, StoreError> {
        let failed = |error: WireError| error.during(format!("connect to {url}"), url, purpose);
        let first = Connection::try_open(url, purpose, parameters, url.ssl_mode);
        match first {
            // libpq's `prefer`: what fails with encryption may be allowed without.
            Err(WireError::Server(error)) if url.ssl_mode == SslMode::Prefer && error.code == "28000" => {
                Connection::try_open(url, purpose, parameters, SslMode::Disable)
                    .map_err(|_| failed(WireError::Server(error)))
            }
            Err(error) => Err(failed(error)),
            Ok(connection) => Ok(connection),
        }
    }

    fn try_open(
        url: &PostgresUrl,
        purpose: Purpose,
        parameters: &[(&str, &str)],
        encrypt: SslMode,
    ) -> Result<Connection, WireError> {
        let stream = Stream::connect(url, encrypt)?;
        let mut connection = Connection {
            stream,
            buffer: vec![0; SMALL_BUFFER],
            start: 0,
            end: 0,
            limit: url.connect_timeout,
            notices: Vec::new(),
            process_id: 0,
        };
        let database = url.database().unwrap_or(url.user());
        let mut startup = vec![
            ("user", url.user()),
            ("client_encoding", "UTF8"),
            ("application_name", "muster"),
        ];
        match purpose {
            Purpose::Sql => startup.push(("database", database)),
            Purpose::Replication => startup.push(("replication", "true")),
        }
        startup.extend_from_slice(parameters);
        let mut message = BytesMut::new();
        frontend::startup_message(startup, &mut message)?;
        connection.send(&message)?;
        let pgpass_name = if purpose == Purpose::Replication {
            "replication"
        } else {
            database
        };
        connection.process_id = authentication::log_in(&mut connection, url, || url.password(pgpass_name))?;
        connection.wait_at_most(SILENCE)?;
        Ok(connection)
    }

    /// How long the server may say nothing from now on.
    pub(crate) fn wait_at_most(&mut self, limit: Duration) -> Result<(), WireError> {
        self.limit = limit;
        Ok(self.stream.set_timeouts(limit)?)
    }

    /// Reads in gulps of this size.
    pub(crate) fn widen(&mut self, bytes: usize) {
        if self.buffer.len() < bytes {
            self.buffer.resize(bytes, 0);
        }
    }

    /// Warnings since the last call.
    pub(crate) fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// The server's process behind this session.
    pub(crate) fn process_id(&self) -> i32 {
        self.process_id
    }

    /// `tcp`, `unix` or `tls`.
    pub(crate) fn transport(&self) -> &'static str {
        self.stream.kind()
    }

    pub(crate) fn is_private(&self) -> bool {
        self.stream.is_private()
    }

    pub(crate) fn send(&mut self, message: &[u8]) -> Result<(), WireError> {
        let result = self.stream.write_all(message).and_then(|()| self.stream.flush());
        result.map_err(|error| self.io(error))
    }

    /// The next message. An `ErrorResponse` is a message too: what follows it depends on what was asked.
    pub(crate) fn receive(&mut self) -> Result<Received<'_>, WireError> {
        loop {
            let length = self.fetch()?;
            let from = self.start;
            self.start += length;
            match self.buffer[from] {
                b'N' | b'S' | b'A' => self.put_aside(from, length)?,
                tag => {
                    return Ok(Received {
                        tag,
                        whole: &self.buffer[from..from + length],
                    });
                }
            }
        }
    }

    /// Makes a whole message stand at `start`, and gives its length with the header.
    fn fetch(&mut self) -> Result<usize, WireError> {
        loop {
            let have = self.end - self.start;
            let mut need = 5;
            if have >= 5 {
                let header = &self.buffer[self.start..self.start + 5];
                let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
                need = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(1);
                if !(5..=MAX_MESSAGE).contains(&need) {
                    return Err(WireError::Protocol(format!(
                        "a message of {length} bytes arrived where at most {MAX_MESSAGE} are taken"
                    )));
                }
                if have >= need {
                    return Ok(need);
                }
            }
            self.make_room(need);
            match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    return Err(
                        io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection").into(),
                    );
                }
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.io(error)),
            }
        }
    }

    fn make_room(&mut self, need: usize) {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.start + need > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if need > self.buffer.len() {
            self.buffer.resize(need, 0);
        }
    }

    fn put_aside(&mut self, from: usize, length: usize) -> Result<(), WireError> {
        if let Message::NoticeResponse(body) = parse(&self.buffer[from..from + length])? {
            let notice = ServerError::read(body.fields())?;
            tracing::debug!(severity = notice.severity, "server: {}", notice.words());
            if notice.severity == "WARNING" && self.notices.len() < MAX_NOTICES {
                self.notices.push(notice.words());
            }
        }
        Ok(())
    }

    fn io(&self, error: io::Error) -> WireError {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => WireError::Timeout(self.limit),
            _ => WireError::Io(error),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut message = BytesMut::new();
        frontend::terminate(&mut message);
        let _ = self.stream.write_all(&message).and_then(|()| self.stream.flush());
    }
}

fn parse(whole: &[u8]) -> Result<Message, WireError> {
    match Message::parse(&mut BytesMut::from(whole)) {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(WireError::protocol("a message ended early")),
        Err(error) => Err(WireError::Protocol(format!("a message cannot be read: {error}"))),
    }
}
