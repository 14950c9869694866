//! Which exit code and which advice each library's errors give. One screen, so that nobody has to search for it.

use muster_archive::object_store::{ErrorKind, StorageError};
use muster_archive::{ArchiveError, IdentityError, layout};
use muster_backup::BackupError;
use muster_evidence::BundleError;
use muster_policies::PolicyError;
use muster_restore::RestoreError;
use muster_signing::TrustError;
use muster_stores::StoreError;

use super::{CommandError, Kind};

impl From<ArchiveError> for CommandError {
    fn from(error: ArchiveError) -> Self {
        let (kind, hints): (Kind, Vec<String>) = match &error {
            // What to do about it depends on whether this host has seen one there: `Context::repository_under` says it.
            ArchiveError::NoRepository { .. } => (Kind::RepositoryMissing, Vec::new()),
            ArchiveError::AlreadyThere { .. } => (
                Kind::Failed,
                vec![
                    "give [repository] url another prefix".into(),
                    "muster ledger show".into(),
                ],
            ),
            ArchiveError::Damaged { .. }
            | ArchiveError::Missing { .. }
            | ArchiveError::Untrusted { .. }
            | ArchiveError::Trust { .. }
            | ArchiveError::Log { .. } => (Kind::Damaged, vec![after_damage(&error)]),
            ArchiveError::OtherRoot { .. } => (
                Kind::Key,
                vec!["check [trust] root and [repository] url: they belong to different repositories".into()],
            ),
            ArchiveError::WrongKey { .. } => (
                Kind::Key,
                vec![
                    "muster keys list".into(),
                    "muster init   (where the root key is at hand, it adds this host's keys)".into(),
                ],
            ),
            ArchiveError::NoIdentity { recipients, .. } => (
                Kind::Key,
                vec![format!(
                    "set [repository] identity_file to the file with the identity (AGE-SECRET-KEY-1…) of {}",
                    match recipients.as_slice() {
                        [] => "one of its recipients".to_owned(),
                        some => some.join(" or "),
                    }
                )],
            ),
            ArchiveError::TooNew { .. } => (Kind::Failed, vec!["install a newer muster".into()]),
            // Never "muster backup": who asks for a lost point must not be led to save what is left of the store.
            ArchiveError::NoPoint { store, .. } => (Kind::NothingEligible, vec![format!("muster snapshots {store}")]),
            ArchiveError::Ambiguous { store, .. } => (Kind::Usage, vec![format!("muster snapshots {store}")]),
            ArchiveError::Storage(storage) => match storage.kind {
                ErrorKind::NoContainer => (Kind::RepositoryMissing, Vec::new()),
                ErrorKind::Denied => (
                    Kind::Failed,
                    vec!["run it as a user, or with credentials, that may use the repository".into()],
                ),
                ErrorKind::Invalid => (Kind::Config, Vec::new()),
                ErrorKind::NoSpace => (
                    Kind::Failed,
                    vec!["make room where the repository lies, then run it again".into()],
                ),
                _ => (Kind::Failed, Vec::new()),
            },
            _ => (Kind::Failed, Vec::new()),
        };
        let object = match &error {
            ArchiveError::Trust { source, .. } => distrusted(source),
            _ => None,
        };
        let error = hints.into_iter().fold(Self::new(kind, error), Self::hint);
        match object {
            Some(object) => error.context(format!("read {object}")),
            None => error,
        }
    }
}

/// What to do about damage. Without what says who is believed, and without the logs, nobody verifies anything: it must come back.
fn after_damage(error: &ArchiveError) -> String {
    let object = match error {
        ArchiveError::Damaged { object, .. }
        | ArchiveError::Missing { object, .. }
        | ArchiveError::Untrusted { object, .. } => object,
        _ => layout::DESCRIPTOR,
    };
    let first = object.split('/').next().unwrap_or_default();
    match first {
        layout::DESCRIPTOR | "keys" | "ledger" => {
            "put it back from a copy of the repository, or an older version of it in the bucket (docs/damage.md)".into()
        }
        _ => "muster verify --repository --read-data".into(),
    }
}

/// The object in the repository that a failure of trust is about, where it is about one.
fn distrusted(error: &TrustError) -> Option<String> {
    match error {
        TrustError::Descriptor(_) => Some(layout::DESCRIPTOR.to_owned()),
        TrustError::KeyDocument { epoch, .. } => Some(layout::key_document(*epoch)),
        TrustError::NoKeys => Some(layout::key_document(1)),
        _ => None,
    }
}

impl From<IdentityError> for CommandError {
    fn from(error: IdentityError) -> Self {
        Self::new(Kind::Key, error)
            .context("[repository] identity_file")
            .hint("age-keygen -o FILE   (the form of an identity file)")
    }
}

impl From<StorageError> for CommandError {
    fn from(error: StorageError) -> Self {
        ArchiveError::from(error).into()
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let (kind, hint) = match &error {
            StoreError::Refused { hint, .. } => (Kind::Failed, hint.clone()),
            StoreError::Settings { .. } => (Kind::Config, None),
            StoreError::Unreachable { .. } => (
                Kind::Failed,
                Some("check that it is up, and that url or path of the store is right".to_owned()),
            ),
            StoreError::ProgramMissing { hint, .. } => (Kind::CouldNotRun, Some(hint.clone())),
            _ => (Kind::Failed, None),
        };
        hint.into_iter().fold(Self::new(kind, error), Self::hint)
    }
}

impl From<PolicyError> for CommandError {
    fn from(error: PolicyError) -> Self {
        // Nothing was judged in any of these cases: policies or data are to be mended first.
        let hint = match &error {
            PolicyError::UnknownProfile { .. } => Some("muster policy list"),
            PolicyError::UnknownFramework { .. } => Some("muster policy list --framework eu-dora"),
            PolicyError::NothingSelected => Some("muster check PATH --policy DIR"),
            _ => None,
        };
        let kind = match &error {
            PolicyError::Clock | PolicyError::Thread(_) | PolicyError::Panic | PolicyError::Sandbox(_) => {
                Kind::CouldNotRun
            }
            _ => Kind::Usage,
        };
        let error = Self::new(kind, error);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl From<BackupError> for CommandError {
    fn from(error: BackupError) -> Self {
        let attempt = error.to_string();
        match error {
            BackupError::Source { source, .. } => Self::from(source).context(attempt),
            BackupError::Archive { source, .. } => Self::from(source).context(attempt),
            other => Self::new(Kind::Failed, other),
        }
    }
}

impl From<RestoreError> for CommandError {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Archive(error) => error.into(),
            RestoreError::Store(error) => error.into(),
            RestoreError::NotEmpty { ref target, unfinished } => {
                let hint = if unfinished {
                    format!(
                        "muster restore … --to {} --resume   (goes on; or remove it and restore again)",
                        target.display()
                    )
                } else {
                    format!(
                        "muster restore … --to {}-restored   (nothing is written over)",
                        target.display()
                    )
                };
                Self::new(Kind::Failed, error).hint(hint)
            }
            RestoreError::NoRoom { .. } | RestoreError::Full { .. } => {
                Self::new(Kind::Failed, error).hint("make room, or restore into another file system with --to")
            }
            RestoreError::NothingMatches { ref snapshot, .. } => {
                let hint = format!("muster ls STORE@{snapshot}");
                Self::new(Kind::Failed, error).hint(hint)
            }
            other => Self::new(Kind::Failed, other),
        }
    }
}

impl From<BundleError> for CommandError {
    fn from(error: BundleError) -> Self {
        let kind = match &error {
            // What was read from the repository does not hold.
            BundleError::Trust(_) | BundleError::Document { .. } | BundleError::Unlisted { .. } => Kind::Damaged,
            _ => Kind::Failed,
        };
        Self::new(kind, error).context("make the evidence bundle")
    }
}
