//! What is made and set when all bytes are there: links, pipes, devices, then the directories' own attributes, and last the one file
//! without which a database does not start.

use std::os::fd::AsFd as _;
use std::sync::Arc;

use muster_archive::tree::{NodeKind, TreeEntry};
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use super::Run;
use crate::RestoreError;
use crate::attributes::Attributes;
use crate::files::FileTask;
use crate::loss::{LossKind, Lost, shown};

/// Ends the name of a file that gets its own only when everything else is right.
const STAGED: &[u8] = b".muster-unfinished";
/// Ends the name of a database that lost something.
const DAMAGED: &[u8] = b".damaged";
const CONTROL: &[u8] = b"global/pg_control";

/// What waits for the bytes.
#[derive(Default)]
pub(super) struct Later {
    /// Directories in the order in which they were made.
    pub(super) directories: Vec<(Vec<u8>, Attributes)>,
    /// Links, pipes and devices.
    pub(super) names: Vec<TreeEntry>,
    /// Files that are written under another name until the end.
    staged: Vec<Vec<u8>>,
    /// Who owns the cluster: the tree's own root is not an entry, and PostgreSQL starts for its owner only.
    owner: Option<Attributes>,
}

impl Later {
    /// Where a file that makes a store startable is written until everything is right; `None` for all others.
    ///
    /// PostgreSQL does not start without `global/pg_control`; an `sqlite` store is its one file.
    pub(super) fn stage(&mut self, kind: &str, path: &[u8], attributes: &Attributes) -> Option<Vec<u8>> {
        if kind == "postgres" && path == b"PG_VERSION" {
            self.owner = Some(attributes.clone());
        }
        let decides = match kind {
            "postgres" => path == CONTROL,
            "sqlite" => !path.contains(&b'/') && path.len() < 200,
            _ => false,
        };
        decides.then(|| {
            self.staged.push(path.to_vec());
            [path, STAGED].concat()
        })
    }
}

impl Run<'_> {
    pub(super) fn finish_names(&self, later: Later) -> Result<(), RestoreError> {
        for entry in &later.names {
            self.session.check()?;
            match self.make(entry) {
                Ok(()) => {}
                Err(error @ (Errno::EXIST | Errno::LOOP | Errno::NOTDIR | Errno::XDEV | Errno::NOENT)) => {
                    let reason = format!("it could not be made: {}", std::io::Error::from(error));
                    self.lose(Lost::new(
                        &entry.path,
                        0,
                        0,
                        self.plan.listing(),
                        &reason,
                        LossKind::Damaged,
                    ));
                }
                Err(error) => return Err(self.target_error(&entry.path, error)),
            }
        }
        if !later.staged.is_empty() {
            // Also after a power cut the name that makes a store startable stands for bytes that are on the disk.
            self.target.sync()?;
        }
        for path in &later.staged {
            self.decide(path).map_err(|error| self.target_error(path, error))?;
        }
        for (path, attributes) in later.directories.iter().rev() {
            let directory = self
                .target
                .open_directory(path)
                .map_err(|error| self.target_error(path, error))?;
            self.applier.to_open(directory.as_fd(), path, attributes);
        }
        if let Some(owner) = &later.owner {
            let root = self
                .target
                .open_directory(b"")
                .map_err(|error| self.target_error(b".", error))?;
            self.applier.owner_only(root.as_fd(), b".", owner);
        }
        Ok(())
    }

    fn make(&self, entry: &TreeEntry) -> Result<(), Errno> {
        let (directory, name) = match self.target.parent_of(&entry.path) {
            Err(Errno::NOENT) => {
                self.target.make_parents(&entry.path)?;
                self.target.parent_of(&entry.path)?
            }
            found => found?,
        };
        let node = |kind, mode, device| rustix::fs::mknodat(&directory, name, kind, Mode::from_raw_mode(mode), device);
        if self.target.is_resumed() && self.is_made(entry)? {
            if !matches!(entry.kind, NodeKind::HardLink { .. }) {
                let link = matches!(entry.kind, NodeKind::Symlink { .. });
                let attributes = Attributes::of(entry);
                self.applier
                    .to_name(directory.as_fd(), name, &entry.path, &attributes, link);
            }
            return Ok(());
        }
        match &entry.kind {
            NodeKind::HardLink { to } => {
                let (old, old_name) = self.target.parent_of(to)?;
                return rustix::fs::linkat(old, old_name, &directory, name, AtFlags::empty());
            }
            NodeKind::Symlink { target } => rustix::fs::symlinkat(target.as_slice(), &directory, name)?,
            NodeKind::Fifo => node(FileType::Fifo, 0o600, 0)?,
            NodeKind::Device { .. } if !self.applier.is_root() => {
                self.applier
                    .not_made(format!("{}: a device node, which only root makes", shown(&entry.path)));
                return Ok(());
            }
            NodeKind::Device { block, major, minor } => {
                let kind = if *block {
                    FileType::BlockDevice
                } else {
                    FileType::CharacterDevice
                };
                if let Err(error) = node(kind, 0o600, rustix::fs::makedev(*major, *minor)) {
                    if error != Errno::PERM {
                        return Err(error);
                    }
                    self.applier.not_made(format!(
                        "{}: a device node, which is not allowed here",
                        shown(&entry.path)
                    ));
                    return Ok(());
                }
            }
            NodeKind::File { .. } | NodeKind::Directory => return Ok(()),
        }
        let link = matches!(entry.kind, NodeKind::Symlink { .. });
        self.applier
            .to_name(directory.as_fd(), name, &entry.path, &Attributes::of(entry), link);
        Ok(())
    }

    /// Whether an earlier run of this restore made exactly this.
    fn is_made(&self, entry: &TreeEntry) -> Result<bool, Errno> {
        let found = match self.target.look_at(&entry.path) {
            Err(Errno::NOENT) => return Ok(false),
            found => found?,
        };
        let kind = FileType::from_raw_mode(found.st_mode);
        Ok(match &entry.kind {
            NodeKind::HardLink { to } => {
                let first = self.target.look_at(to)?;
                (first.st_dev, first.st_ino) == (found.st_dev, found.st_ino)
            }
            NodeKind::Symlink { target } => {
                let (directory, name) = self.target.parent_of(&entry.path)?;
                kind == FileType::Symlink
                    && rustix::fs::readlinkat(directory, name, Vec::new())?.to_bytes() == target.as_slice()
            }
            NodeKind::Fifo => kind == FileType::Fifo,
            NodeKind::Device { block, major, minor } => {
                let wanted = if *block {
                    FileType::BlockDevice
                } else {
                    FileType::CharacterDevice
                };
                kind == wanted && found.st_rdev == rustix::fs::makedev(*major, *minor)
            }
            NodeKind::File { .. } | NodeKind::Directory => false,
        })
    }

    /// Takes over what an earlier run of this restore made of a file: one that got its name too early is withheld again.
    pub(super) fn take_up(&self, file: &Arc<FileTask>) -> Result<(), Errno> {
        if let Some(staged) = &file.staged
            && matches!(self.target.look_at(staged), Err(Errno::NOENT))
        {
            for named in [file.path.clone(), [file.path.as_slice(), DAMAGED].concat()] {
                match self.target.rename(&named, staged) {
                    Ok(()) => break,
                    Err(Errno::NOENT) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.open.adopt(file)
    }

    /// Gives a withheld file its name, or makes sure that nobody takes what is left for a whole store.
    fn decide(&self, path: &[u8]) -> Result<(), Errno> {
        let staged = [path, STAGED].concat();
        let whole = self.losses.is_empty() || self.plan.options.allow_loss;
        let done = if whole {
            self.target.rename(&staged, path)
        } else if path == CONTROL {
            self.applier.note(format!(
                "{} is withheld, so that a cluster with losses does not start; --allow-loss keeps it",
                shown(path)
            ));
            self.target.remove_file(&staged)
        } else {
            let damaged = [path, DAMAGED].concat();
            self.applier.note(format!(
                "what is left of {} lies in {}; --allow-loss keeps its name",
                shown(path),
                shown(&damaged)
            ));
            self.target.rename(&staged, &damaged)
        };
        // A file that could not be made is lost already.
        if done == Err(Errno::NOENT) { Ok(()) } else { done }
    }
}
