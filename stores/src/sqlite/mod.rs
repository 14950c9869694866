//! The `sqlite` store: one database file, backed up while other processes write to it.
//!
//! Invariants: the source is opened read-only and never as immutable; one read transaction spans the whole backup; and this
//! process never opens and closes the database, its `-wal` or its `-shm` beside SQLite, because a close drops the POSIX locks
//! that SQLite holds on them. (The same holds for whoever calls: a `files` store over the same directory must not be read in
//! the same process at the same time.)

mod connection;
mod rehearsed;
mod schema;
mod settings;
mod source;

pub use rehearsed::SqliteRehearsed;
pub use settings::settings;
pub use source::SqliteSource;
