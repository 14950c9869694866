//! PostgreSQL: physical base backups over the replication protocol, and restored clusters proven to live.
//!
//! Invariant: no client program is run and no SQL is needed to back up; a role with REPLICATION suffices. A password is never
//! logged, and a base backup counts only after the server's manifest, its WAL and its clean end have been checked.
//!
//! Reading order: [`PostgresUrl`] → `wire` (the protocol) → `source` (the command) → `base_backup` (its stream: `framing`, `tar`,
//! `manifest`, `wal`) → [`prepare`] (what makes a restored directory start) → [`PostgresRehearsed`].

mod base_backup;
mod check;
mod engine;
mod framing;
pub(crate) mod fuzzing;
mod lsn;
mod manifest;
mod password;
mod programs;
mod recovery;
mod rehearsed;
mod settings;
mod source;
mod tar;
mod url;
mod wal;
mod wire;

pub use lsn::{Lsn, NotAnLsn};
pub use password::Environment;
pub use recovery::{RecoveryOptions, prepare};
pub use rehearsed::{PostgresRehearsed, RehearsedOptions};
pub use settings::{Collected, collect};
pub use source::PostgresSource;
pub use url::PostgresUrl;
