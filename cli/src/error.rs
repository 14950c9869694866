//! An error as the user meets it: what failed, why, what to type next, and the exit code.
//!
//! Conversions from each library's errors stand in `error/from.rs`, so that one screen answers "which exit code does this give?".

mod from;

use std::error::Error;
use std::fmt;

use serde::Serialize;

use crate::exit::Exit;

/// What kind of trouble it is. Each kind has one exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The operation failed.
    Failed,
    /// The command line cannot mean anything.
    Usage,
    /// The configuration is missing or wrong.
    Config,
    /// A signature, digest or proof is wrong.
    Damaged,
    /// It could not run, or evaluated nothing.
    CouldNotRun,
    /// No eligible recovery point.
    NothingEligible,
    /// There is no repository where the configuration says.
    RepositoryMissing,
    /// Another run holds the store.
    Contended,
    /// A key is missing, unreadable or the wrong one.
    Key,
    /// A signal ended the run.
    Interrupted(u8),
}

impl Kind {
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Failed => Exit::Failed,
            Self::Usage | Self::Config => Exit::Usage,
            Self::Damaged => Exit::Damaged,
            Self::CouldNotRun => Exit::CouldNotRun,
            Self::NothingEligible => Exit::NothingEligible,
            Self::RepositoryMissing => Exit::RepositoryMissing,
            Self::Contended => Exit::Contended,
            Self::Key => Exit::Key,
            Self::Interrupted(signal) => Exit::Signal(signal),
        }
    }

    /// As the JSON document names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Config => "config",
            Self::Damaged => "damaged",
            Self::CouldNotRun => "could_not_run",
            Self::NothingEligible => "nothing_eligible",
            Self::RepositoryMissing => "repository_missing",
            Self::Contended => "contended",
            Self::Key => "key",
            Self::Interrupted(_) => "interrupted",
        }
    }
}

/// A failed command.
pub(crate) struct CommandError {
    kind: Kind,
    /// What was attempted, outermost first.
    context: Vec<String>,
    error: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
}

impl CommandError {
    pub(crate) fn new(kind: Kind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind,
            context: Vec::new(),
            error: error.into(),
            hints: Vec::new(),
        }
    }

    /// Says what was attempted, as a present-tense phrase: "read the configuration /etc/muster/muster.toml".
    pub(crate) fn context(mut self, attempt: impl Into<String>) -> Self {
        self.context.insert(0, attempt.into());
        self
    }

    /// Adds a next thing to type or to change.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn exit(&self) -> Exit {
        self.kind.exit()
    }

    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The whole chain on one line, without saying anything twice.
    pub(crate) fn message(&self) -> String {
        let mut parts = self.context.clone();
        parts.push(chain(&*self.error));
        parts.join(": ")
    }

    /// The document that `--json` prints instead of a result.
    pub(crate) fn document(&self) -> serde_json::Value {
        serde_json::json!({
            "schema": "muster.error/1",
            "kind": self.kind.name(),
            "message": self.message(),
            "hints": self.hints,
            "exit_code": self.exit().code(),
        })
    }
}

impl fmt::Debug for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message())
    }
}

/// An error and its causes on one line, without saying anything twice.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !parts.last().is_some_and(|last| last.contains(&text)) {
            parts.push(text);
        }
        cause = error.source();
    }
    parts.join(": ")
}

/// A usage error in one phrase.
pub(crate) fn usage(message: impl Into<String>) -> CommandError {
    CommandError::new(Kind::Usage, message.into())
}

/// A configuration error in one phrase.
pub(crate) fn config(message: impl Into<String>) -> CommandError {
    CommandError::new(Kind::Config, message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("open {0}")]
    struct Open(String, #[source] std::io::Error);

    #[test]
    fn the_chain_is_told_from_the_outside_in_and_nothing_twice() {
        let error = CommandError::new(Kind::Failed, Open("/x".into(), std::io::Error::other("disk on fire")))
            .context("back up store \"saves\"");
        assert_eq!(error.message(), "back up store \"saves\": open /x: disk on fire");
    }

    #[test]
    fn the_json_document_carries_kind_message_hints_and_code() {
        let error = config("no [repository] url").hint("muster init");
        let document = error.document();
        assert_eq!(document["schema"], "muster.error/1");
        assert_eq!(document["kind"], "config");
        assert_eq!(document["hints"][0], "muster init");
        assert_eq!(document["exit_code"], 2);
    }
}
