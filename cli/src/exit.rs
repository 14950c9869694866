//! The exit codes that scripts rely on, and which one wins when a run earned several.
//!
//! The numbers are a contract (`docs/cli-reference.md`). A run over many stores folds its outcomes with [`Exit::worst`],
//! whose order is not numeric: a failed rehearsal matters more than a wrong digest, which matters more than a missing key.

use std::process::ExitCode;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, objectives met.
    Done,
    /// The operation failed.
    Failed,
    /// Usage or configuration.
    Usage,
    /// Some stores failed or some data could not be read; what was done is good and listed.
    Incomplete,
    /// Rehearsal verdict FAIL.
    RehearsalFailed,
    /// Restored, but an RTO or RPO objective was missed.
    ObjectiveMissed,
    /// Policy failures.
    PolicyFailed,
    /// A signature, digest or log proof is wrong.
    Damaged,
    /// A rehearsal or evaluation could not run, or evaluated nothing.
    CouldNotRun,
    /// No eligible recovery point.
    NothingEligible,
    /// The repository does not exist.
    RepositoryMissing,
    /// Another run holds the store.
    Contended,
    /// A key is missing or is the wrong one.
    Key,
    /// Ended by this signal, after cleaning up.
    Signal(u8),
}

impl Exit {
    /// The process's exit status.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Incomplete => 3,
            Self::RehearsalFailed => 4,
            Self::ObjectiveMissed => 5,
            Self::PolicyFailed => 6,
            Self::Damaged => 7,
            Self::CouldNotRun => 8,
            Self::NothingEligible => 9,
            Self::RepositoryMissing => 10,
            Self::Contended => 11,
            Self::Key => 12,
            Self::Signal(number) => number.saturating_add(128),
        }
    }

    /// Of two outcomes of one run, the one that is told: signal > 4 > 7 > 12, 10, 9 > 5 > 6 > 8 > 3 > 1.
    pub(crate) fn worst(self, other: Self) -> Self {
        if other.weight() > self.weight() { other } else { self }
    }

    /// Usage and contention end a run before it has outcomes to fold; they stand beside their neighbours in meaning.
    fn weight(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Contended => 2,
            Self::Incomplete => 3,
            Self::CouldNotRun => 4,
            Self::PolicyFailed => 5,
            Self::ObjectiveMissed => 6,
            Self::NothingEligible => 7,
            Self::RepositoryMissing => 8,
            Self::Key => 9,
            Self::Usage => 10,
            Self::Damaged => 11,
            Self::RehearsalFailed => 12,
            Self::Signal(_) => 13,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        let documented = [
            (Exit::Done, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::Incomplete, 3),
            (Exit::RehearsalFailed, 4),
            (Exit::ObjectiveMissed, 5),
            (Exit::PolicyFailed, 6),
            (Exit::Damaged, 7),
            (Exit::CouldNotRun, 8),
            (Exit::NothingEligible, 9),
            (Exit::RepositoryMissing, 10),
            (Exit::Contended, 11),
            (Exit::Key, 12),
            (Exit::Signal(2), 130),
            (Exit::Signal(15), 143),
        ];
        for (exit, code) in documented {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }

    #[test]
    fn several_at_once_are_told_in_the_documented_order() {
        let order = [
            Exit::Signal(15),
            Exit::RehearsalFailed,
            Exit::Damaged,
            Exit::Key,
            Exit::RepositoryMissing,
            Exit::NothingEligible,
            Exit::ObjectiveMissed,
            Exit::PolicyFailed,
            Exit::CouldNotRun,
            Exit::Incomplete,
            Exit::Failed,
            Exit::Done,
        ];
        for (rank, worse) in order.iter().enumerate() {
            for better in &order[rank..] {
                assert_eq!(worse.worst(*better), *worse);
                assert_eq!(better.worst(*worse), *worse);
            }
        }
    }
}
