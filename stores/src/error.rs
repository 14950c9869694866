//! What can go wrong with a store, by what the caller must do.

/// A failure of a live or a restored store.
///
/// `Display` is one lowercase line that says what was attempted and on what; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The server or file could not be reached, or the connection broke.
    #[error("{attempt}")]
    Unreachable {
        /// What was attempted, on what.
        attempt: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server refused: password, role, `pg_hba.conf`, permission.
    #[error("{attempt}: {reason}")]
    Refused {
        /// What was attempted, on what.
        attempt: String,
        /// The store's own words.
        reason: String,
        /// The next thing to type or to change.
        hint: Option<String>,
    },
    /// The store said something that its protocol does not allow, or reported damage of its own.
    #[error("{attempt}: {reason}")]
    Invalid {
        /// What was attempted, on what.
        attempt: String,
        /// What is wrong.
        reason: String,
    },
    /// The settings given for this store cannot work.
    #[error("{reason}")]
    Settings {
        /// What is wrong and what to change.
        reason: String,
    },
    /// A program that is needed (`postgres`) is not on this machine.
    #[error("{program} was not found in {searched}")]
    ProgramMissing {
        /// Its name.
        program: String,
        /// Where it was looked for.
        searched: String,
        /// The package to install.
        hint: String,
    },
    /// A deadline passed.
    #[error("{attempt}: no end after {seconds} s")]
    Deadline {
        /// What was attempted, on what.
        attempt: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The archive side takes no more; the reason is there.
    #[error(transparent)]
    Sink(#[from] crate::SinkError),
}
