//! What the server or the wire said, and what a user can do about it.
//!
//! Invariant: the server's own words are kept; a hint is added only where the next step is known.

use std::io;
use std::time::Duration;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;

use super::connection::Purpose;
use crate::StoreError;
use crate::postgres::url::PostgresUrl;

/// An `ErrorResponse`.
#[derive(Clone, Debug, Default, thiserror::Error)]
#[error("{message}{}", self.code_in_brackets())]
pub(crate) struct ServerError {
    pub(crate) severity: String,
    /// SQLSTATE.
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) detail: Option<String>,
    pub(crate) hint: Option<String>,
}

impl ServerError {
    pub(crate) fn read(mut fields: ErrorFields<'_>) -> io::Result<ServerError> {
        let mut error = ServerError::default();
        while let Some(field) = fields.next()? {
            let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'V' => error.severity = text,
                b'S' if error.severity.is_empty() => error.severity = text,
                b'C' => error.code = text,
                b'M' => error.message = text,
                b'D' => error.detail = Some(text),
                b'H' => error.hint = Some(text),
                _ => {}
            }
        }
        Ok(error)
    }

    /// Message, detail and code in one line.
    pub(crate) fn words(&self) -> String {
        let detail = self
            .detail
            .as_ref()
            .map(|detail| format!(" ({detail})"))
            .unwrap_or_default();
        format!("{}{detail}{}", self.message, self.code_in_brackets()).replace('\n', " ")
    }

    fn code_in_brackets(&self) -> String {
        if self.code.is_empty() {
            String::new()
        } else {
            format!(" [{}]", self.code)
        }
    }

    /// The server ended the session, is starting, or is stopping.
    fn is_absence(&self) -> bool {
        matches!(self.code.as_str(), "57P01" | "57P02" | "57P03") || self.code.starts_with("08")
    }

    fn is_refusal(&self) -> bool {
        ["28", "53", "54", "55", "0A", "3D"]
            .iter()
            .any(|class| self.code.starts_with(class))
            || self.code == "42501"
            // The database's locale, or a library that its sessions load: this machine does not have it.
            || self.message.contains("incompatible with operating system")
            || (self.code == "58P01" && self.message.starts_with("could not access file"))
    }
}

/// A conversation that did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the connection broke")]
    Io(#[from] io::Error),
    #[error("no byte for {} s", .0.as_secs())]
    Timeout(Duration),
    #[error(transparent)]
    Server(Box<ServerError>),
    #[error("{0}")]
    Protocol(String),
    #[error("{reason}")]
    Refused { reason: String, hint: Option<String> },
}

impl WireError {
    pub(crate) fn protocol(what: impl Into<String>) -> WireError {
        WireError::Protocol(what.into())
    }

    /// Says what was attempted, and the next step.
    pub(crate) fn during(self, attempt: impl Into<String>, url: &PostgresUrl, purpose: Purpose) -> StoreError {
        let attempt = attempt.into();
        match self {
            WireError::Io(error) => StoreError::Unreachable {
                attempt,
                source: Box::new(error),
            },
            WireError::Timeout(limit) => StoreError::Deadline {
                attempt,
                seconds: limit.as_secs(),
            },
            WireError::Protocol(reason) => StoreError::Invalid { attempt, reason },
            WireError::Refused { reason, hint } => StoreError::Refused { attempt, reason, hint },
            WireError::Server(error) if error.is_absence() => StoreError::Unreachable { attempt, source: error },
            WireError::Server(error) if error.is_refusal() => {
                let hint = hint(&error, url, purpose);
                StoreError::Refused {
                    attempt,
                    reason: error.words(),
                    hint,
                }
            }
            WireError::Server(error) => StoreError::Invalid {
                attempt,
                reason: error.words(),
            },
        }
    }
}

fn hint(error: &ServerError, url: &PostgresUrl, purpose: Purpose) -> Option<String> {
    let user = url.user();
    let role = user.replace('"', "\"\"");
    match error.code.as_str() {
        "28P01" => Some(format!(
            "check the password of {user}: PGPASSWORD, PGPASSFILE or a line of ~/.pgpass"
        )),
        "28000" if error.message.contains("pg_hba.conf") => {
            let database = if purpose == Purpose::Replication {
                "replication"
            } else {
                url.database().unwrap_or(user)
            };
            Some(format!(
                "add to the server's pg_hba.conf: `host {database} {user} <this host's address>/32 scram-sha-256`, then `select pg_reload_conf()`"
            ))
        }
        "28000" if error.message.contains("does not exist") => {
            Some(format!("create role \"{role}\" login replication"))
        }
        "28000" | "42501" if purpose == Purpose::Replication && needs_replication(&error.words()) => {
            Some(format!("alter role \"{role}\" replication"))
        }
        "53300" if purpose == Purpose::Replication => {
            Some("raise max_wal_senders or end an idle replication connection".into())
        }
        "53400" => Some("raise max_replication_slots or drop a slot that is no longer used".into()),
        _ => error.hint.clone(),
    }
}

fn needs_replication(words: &str) -> bool {
    let words = words.to_lowercase();
    words.contains("replication role")
        || words.contains("replication attribute")
        || words.contains("permission denied to start wal sender")
}
