//! What can go wrong with stored objects, by what the caller must do. "Could not be had now" and "is not there" are never mixed.

use std::error::Error;

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The object is not there, and the place answered.
    NotFound,
    /// The bucket or root directory itself is not there.
    NoContainer,
    /// A `Create` met an object.
    AlreadyExists,
    /// The place refuses this user: rights, credentials, or a clock too far off.
    Denied,
    /// The place does not answer, or answered half. Another time it may.
    Unreachable,
    /// The place is too busy. Later it may answer.
    Throttled,
    /// The place is full.
    NoSpace,
    /// The place does not lock what must be locked.
    NotHeld,
    /// The place was seen to honour something that it does not honour now.
    Downgraded,
    /// The object ends before the bytes that were asked for.
    Truncated,
    /// The object is longer than the caller's bound.
    TooLarge,
    /// The key, range, address or option cannot be right.
    Invalid,
    /// Something else: see the source.
    Other,
}

impl ErrorKind {
    fn words(self) -> &'static str {
        match self {
            Self::NotFound => "it is not there",
            Self::NoContainer => "the bucket or directory does not exist",
            Self::AlreadyExists => "it exists already",
            Self::Denied => "access denied",
            Self::Unreachable => "no answer",
            Self::Throttled => "the server is too busy",
            Self::NoSpace => "no space left",
            Self::NotHeld => "it is not locked as it must be",
            Self::Downgraded => "the server no longer does what it was seen to do",
            Self::Truncated => "it is shorter than expected",
            Self::TooLarge => "it is longer than allowed",
            Self::Invalid => "invalid",
            Self::Other => "failed",
        }
    }
}

/// A failed operation on an object store.
#[derive(Debug)]
pub struct StorageError {
    /// What the caller must do about it.
    pub kind: ErrorKind,
    /// The object's key; empty when it is about the place.
    pub key: String,
    /// What was attempted, on what, as a present-tense phrase: `read packs/ab/… in s3://…`.
    pub attempt: String,
    /// What the user can do about it.
    pub hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StorageError {
    /// An error without cause.
    pub fn new(kind: ErrorKind, key: &str, attempt: impl Into<String>) -> Self {
        Self {
            kind,
            key: key.to_owned(),
            attempt: attempt.into(),
            hint: None,
            source: None,
        }
    }

    /// The same error, with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error, with what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unreachable | ErrorKind::Throttled)
    }

    /// Whether the place answered that there is no such object, or that it does not exist itself.
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind, ErrorKind::NotFound | ErrorKind::NoContainer)
    }
}

impl std::fmt::Display for StorageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot {}: {}", self.attempt, self.kind.words())?;
        self.hint.iter().try_for_each(|hint| write!(f, "; {hint}"))
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
