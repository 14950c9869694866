//! PostgreSQL's wire protocol, version 3, over a blocking socket: connect, log in, ask.
//!
//! Invariant: every wait ends, and no length that the server sends is believed before it is bounded.

mod authentication;
mod connection;
mod error;
mod query;
mod stream;
mod tls;

pub(crate) use connection::{Connection, Purpose};
pub(crate) use error::{ServerError, WireError};
pub(crate) use query::Answer;
#[cfg(test)]
pub(crate) use query::Column;
