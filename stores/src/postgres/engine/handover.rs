//! The restored files given to the user that runs the engine.
//!
//! Invariant: nothing outside the sandbox changes hands: links are refused and never followed, and so are device nodes, which would
//! hand over a whole disk.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use crate::StoreError;
use crate::postgres::password::{Account, account};

/// The user that `postgres` runs as, where it is not this process's own: it refuses to run as root.
pub(super) fn engine_account() -> Result<Option<Account>, StoreError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let found = account(|fields| fields[0] == "postgres").filter(|account| account.uid != 0);
    found.map(Some).ok_or_else(|| StoreError::Settings {
        reason: "PostgreSQL does not run as root, and there is no user postgres on this machine: create it, or run muster as another user".into(),
    })
}

/// Gives everything below `root` to the engine's user, and refuses what is neither file nor directory: it would lead out of the sandbox.
pub(super) fn hand_over(root: &Path, account: Option<&Account>) -> Result<(), StoreError> {
    let mut folders = vec![root.to_owned()];
    let failed = |path: &Path, error: io::Error| StoreError::Unreachable {
        attempt: format!("hand over {}", path.display()),
        source: Box::new(error),
    };
    let give = |path: &Path| match account {
        Some(account) => lchown(path, Some(account.uid), Some(account.gid)).map_err(|error| failed(path, error)),
        None => Ok(()),
    };
    give(root)?;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| failed(&folder, error))? {
            let entry = entry.map_err(|error| failed(&folder, error))?;
            let kind = entry.file_type().map_err(|error| failed(&folder, error))?;
            if !kind.is_file() && !kind.is_dir() {
                let what = if kind.is_symlink() {
                    "a link"
                } else {
                    "a pipe, socket or device"
                };
                return Err(StoreError::Invalid {
                    attempt: "set up the sandbox".into(),
                    reason: format!(
                        "the restored data holds {what}, {}, and would leave the sandbox",
                        entry.path().display()
                    ),
                });
            }
            give(&entry.path())?;
            if kind.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Every folder above `place` lets the engine's user through.
pub(super) fn demand_way(place: &Path, account: &Account) -> Result<(), StoreError> {
    for folder in place.ancestors().skip(1) {
        let Ok(metadata) = fs::metadata(folder) else { continue };
        let wanted = if metadata.uid() == account.uid {
            0o100
        } else if metadata.gid() == account.gid {
            0o010
        } else {
            0o001
        };
        if metadata.mode() & wanted == 0 {
            return Err(StoreError::Settings {
                reason: format!(
                    "user {} cannot pass through {}: let the sandbox lie elsewhere, run muster as {}, or chmod o+x that folder",
                    account.name,
                    folder.display(),
                    account.name
                ),
            });
        }
    }
    Ok(())
}
