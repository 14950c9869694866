//! The simple query protocol: text in, text out.
//!
//! Invariant: at most the number of rows that was asked for is kept, however many the server sends.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, Message, RowDescriptionBody};
use postgres_protocol::message::frontend;

use super::connection::Connection;
use super::error::{ServerError, WireError};

/// One result set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) columns: Vec<Column>,
    /// The first rows.
    pub(crate) rows: Vec<Vec<Option<String>>>,
    /// All rows that came.
    pub(crate) count: u64,
}

/// A column of a result set.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Object id of its type.
    pub(crate) type_id: u32,
}

const KEEP: usize = 10_000;

impl Connection {
    /// Runs one or more statements and gives each result set that has columns.
    pub(crate) fn ask(&mut self, sql: &str) -> Result<Vec<Answer>, WireError> {
        self.ask_for(sql, KEEP)
    }

    /// The same, keeping at most `keep` rows of each.
    pub(crate) fn ask_for(&mut self, sql: &str, keep: usize) -> Result<Vec<Answer>, WireError> {
        self.start(sql)?;
        let mut answers: Vec<Answer> = Vec::new();
        let mut failure: Option<Box<ServerError>> = None;
        loop {
            let message = match self.receive().and_then(|received| received.parse()) {
                Ok(message) => message,
                // After a FATAL error the server only closes: its words say more than the broken connection.
                Err(error) => return Err(failure.map_or(error, WireError::Server)),
            };
            match message {
                Message::RowDescription(body) => answers.push(Answer::of(&body)?),
                Message::DataRow(body) => {
                    answers
                        .last_mut()
                        .ok_or_else(|| WireError::protocol("a row came before its description"))?
                        .add(&body, keep)?;
                }
                Message::ErrorResponse(body) => failure = Some(Box::new(ServerError::read(body.fields())?)),
                Message::ReadyForQuery(_) => return failure.map_or(Ok(answers), |error| Err(WireError::Server(error))),
                Message::CommandComplete(_) | Message::EmptyQueryResponse => {}
                _ => return Err(WireError::protocol("an answer came that no query asked for")),
            }
        }
    }

    /// The first value of the first row, `None` when there is no row or it is null.
    pub(crate) fn value(&mut self, sql: &str) -> Result<Option<String>, WireError> {
        let answers = self.ask_for(sql, 1)?;
        Ok(answers
            .into_iter()
            .next()
            .and_then(|answer| answer.rows.into_iter().next())
            .and_then(|row| row.into_iter().next())
            .flatten())
    }

    /// Sends a query without waiting for anything.
    pub(crate) fn start(&mut self, sql: &str) -> Result<(), WireError> {
        let mut message = BytesMut::new();
        frontend::query(sql, &mut message)?;
        self.send(&message)
    }
}

impl Answer {
    pub(crate) fn of(body: &RowDescriptionBody) -> Result<Answer, WireError> {
        let columns = body
            .fields()
            .map(|field| {
                Ok(Column {
                    type_id: field.type_oid(),
                })
            })
            .collect()?;
        Ok(Answer {
            columns,
            ..Answer::default()
        })
    }

    /// Counts a row, and keeps it while fewer than `keep` are kept.
    pub(crate) fn add(&mut self, body: &DataRowBody, keep: usize) -> Result<(), WireError> {
        self.count += 1;
        if self.rows.len() < keep {
            let text = |range| String::from_utf8_lossy(&body.buffer()[range]).into_owned();
            self.rows
                .push(body.ranges().map(|range| Ok(range.map(text))).collect()?);
        }
        Ok(())
    }
}
