//! What can go wrong with a repository, by what the caller must do: three answers, not two.

use muster_signing::{OpenError, TrustError};

use crate::object_store::{ErrorKind, StorageError};
use crate::seal::SealError;

/// A failure of a repository operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// There is no repository at this place (exit 10).
    #[error("no repository at {url}")]
    NoRepository {
        /// Where was looked.
        url: String,
    },
    /// There is a repository already, and it is not this one.
    #[error("{url} already holds repository {found}")]
    AlreadyThere {
        /// Where.
        url: String,
        /// Its id, or what stands in its place.
        found: String,
    },
    /// An object's bytes are wrong: digest, signature, length or form (exit 7).
    #[error("{object} is damaged: {reason}")]
    Damaged {
        /// Its key in the repository.
        object: String,
        /// What is wrong.
        reason: String,
    },
    /// An object that something signed names is absent (exit 7).
    #[error("{object} is missing, and {named_by} names it")]
    Missing {
        /// Its key in the repository.
        object: String,
        /// What names it.
        named_by: String,
    },
    /// A signature does not hold, or its signer is not known or has another role (exit 7).
    #[error("{object} cannot be trusted")]
    Untrusted {
        /// Its key in the repository.
        object: String,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// The descriptor or a key document is not what the root signed (exit 7).
    #[error("the trust of {url} cannot be established")]
    Trust {
        /// The repository.
        url: String,
        /// Why.
        #[source]
        source: TrustError,
    },
    /// The repository is intact, but another root signed it than the one believed (exit 12).
    #[error("{url} is intact, but it was signed by root {found} and not by {believed}")]
    OtherRoot {
        /// The repository.
        url: String,
        /// The key id of the root that signed.
        found: String,
        /// The key id of the root that was to be believed.
        believed: String,
    },
    /// A log went backwards, forked, or is not the one remembered (exit 7).
    #[error("the log {log} {reason}")]
    Log {
        /// `ledger/<key id>/<incarnation>`.
        log: String,
        /// What is wrong.
        reason: String,
    },
    /// It asks for a feature that this version does not know.
    #[error("{object} needs features that this version of muster does not know: {features}")]
    TooNew {
        /// Its key in the repository.
        object: String,
        /// Their names.
        features: String,
    },
    /// A key that is not in the key document, or has another role there (exit 12).
    #[error("key {key_id} may not sign as {role} in repository {repository}")]
    WrongKey {
        /// The key.
        key_id: String,
        /// The role that was needed.
        role: &'static str,
        /// The repository.
        repository: String,
    },
    /// No such snapshot (exit 9).
    #[error("{store} has no recovery point {wanted}")]
    NoPoint {
        /// The store.
        store: String,
        /// What was asked for.
        wanted: String,
    },
    /// More than one snapshot's id begins so.
    #[error("{store}@{wanted} is ambiguous: {count} recovery points begin so")]
    Ambiguous {
        /// The store.
        store: String,
        /// What was asked for.
        wanted: String,
        /// How many.
        count: usize,
    },
    /// The object store failed: nothing is known about the data (exit 3 or 1).
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Local state or a lock could not be used.
    #[error("{attempt}")]
    Local {
        /// What was attempted, on what.
        attempt: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// What is to be written breaks a rule of the format.
    #[error("{0}")]
    Invalid(String),
    /// It is encrypted, and no identity at hand opens it (exit 12).
    #[error("{object} is encrypted, and {reason}")]
    NoIdentity {
        /// The wrapped key, as a key in the repository.
        object: String,
        /// Why this host cannot open it.
        reason: String,
        /// Who can, by the key document.
        recipients: Vec<String>,
    },
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl ArchiveError {
    /// What a failed read of `object` says of the repository, when `named_by` names it: absent, cut and overlong are damage.
    pub(crate) fn of(error: StorageError, object: &str, named_by: &str) -> Self {
        match error.kind {
            ErrorKind::NotFound => Self::Missing {
                object: object.to_owned(),
                named_by: named_by.to_owned(),
            },
            ErrorKind::Truncated => Self::damaged(object, "it is shorter than what names it says"),
            ErrorKind::TooLarge => Self::damaged(object, "it is longer than its kind of object can be"),
            _ => error.into(),
        }
    }

    pub(crate) fn damaged(object: &str, reason: impl ToString) -> Self {
        Self::Damaged {
            object: object.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// Whether it says that bytes are wrong or absent, rather than that they could not be had now.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. }
                | Self::Missing { .. }
                | Self::Untrusted { .. }
                | Self::Trust { .. }
                | Self::Log { .. }
        )
    }
}

impl From<SealError> for ArchiveError {
    fn from(error: SealError) -> Self {
        Self::Invalid(error.to_string())
    }
}
