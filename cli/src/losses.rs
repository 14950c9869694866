//! The loss report of a restore: written beside the target, signed where this host's writer key is at hand, and never over something.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use muster_archive::{Manifest, Repository, layout};
use muster_evidence::{LOSS_SCHEMA, LossReport, LostRange, Restored, Tool};
use muster_restore::{LossKind, Lost, RestoreReport};
use muster_signing::{Role, SecretKey, Verified};

use crate::config::Config;
use crate::edge;
use crate::error::{CommandError, Kind};
use crate::keyfiles;

/// A report that was written.
pub(crate) struct LossFile {
    pub(crate) path: PathBuf,
    /// Why nobody signed it.
    pub(crate) unsigned: Option<String>,
}

/// Writes what `report` says was lost; `include` is what alone was to be restored.
pub(crate) fn write(
    config: &Config,
    repository: &Repository,
    manifest: &Verified<Manifest>,
    report: &RestoreReport,
    include: &[String],
) -> Result<LossFile, CommandError> {
    let now = edge::now();
    let id = edge::ulid(now)?.to_string();
    let losses = LossReport {
        schema: LOSS_SCHEMA.to_owned(),
        repository: repository.id().to_owned(),
        store: report.store.clone(),
        kind: manifest.kind.clone(),
        snapshot: report.snapshot.clone(),
        manifest_digest: manifest.digest,
        consistency_point: manifest.consistency_point.clone(),
        finished: edge::rfc3339(now),
        tool: Tool {
            name: "muster".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        to: report.to.to_string_lossy().into_owned(),
        include: include.to_vec(),
        signer_known: repository.is_anchored(),
        restored: Restored {
            files: report.files,
            bytes: report.bytes,
        },
        lost: report.lost.iter().map(range).collect(),
        lost_unnamed: report.lost_unnamed,
        lost_bytes: report.lost_bytes,
        critical: Vec::new(),
        id: id.clone(),
    };
    let (key, unsigned) = match signer(config, repository) {
        Ok(key) => (Some(key), None),
        Err(error) => (None, Some(error.message())),
    };
    let documents = repository.trust_documents();
    let of = |is_key: bool| {
        documents
            .iter()
            .filter(move |(name, _)| layout::epoch_of(name).is_some() == is_key)
    };
    let descriptor = of(false).map(|(_, bytes)| bytes.as_ref()).next().unwrap_or_default();
    let keys: Vec<_> = of(true).map(|(_, bytes)| bytes).collect();
    let path = beside(&report.to, &id);
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        CommandError::new(Kind::Failed, error).context(format!("write the loss report {}", path.display()))
    };
    let bytes = losses
        .seal(descriptor, &keys, key.as_ref())
        .map_err(|error| failed(error.into()))?;
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&path)
        .and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        })
        .map_err(|error| failed(error.into()))?;
    Ok(LossFile { path, unsigned })
}

fn signer(config: &Config, repository: &Repository) -> Result<SecretKey, CommandError> {
    let key = keyfiles::secret(config, Role::Writer)?;
    repository.check_key(&key.public(), Role::Writer)?;
    Ok(key)
}

/// `<target>.loss-<id>.json`, in the directory that holds the target.
fn beside(target: &Path, id: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_else(|| "restored".as_ref()).to_owned();
    name.push(format!(".loss-{id}.json"));
    target.parent().unwrap_or(target).join(name)
}

fn range(lost: &Lost) -> LostRange {
    LostRange {
        path: lost.path.clone(),
        offset: lost.offset,
        length: lost.length,
        object: lost.object.clone(),
        reason: lost.reason.clone(),
        kind: match lost.kind {
            LossKind::Damaged => "damaged",
            LossKind::Missing => "missing",
            LossKind::UnreadableNow => "unreadable_now",
        }
        .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lies_beside_the_target_and_never_in_it() {
        assert_eq!(beside(Path::new("/srv/back"), "X"), Path::new("/srv/back.loss-X.json"));
        assert_eq!(
            beside(Path::new("/srv/a b.c"), "X"),
            Path::new("/srv/a b.c.loss-X.json")
        );
        assert_eq!(beside(Path::new("/"), "X"), Path::new("/restored.loss-X.json"));
    }
}
