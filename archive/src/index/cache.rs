//! Index objects that this host keeps beside its other memory of a repository.
//!
//! Invariant: what is read was compared with its name; nothing is missed that is not there, since the repository holds it too.

use std::collections::HashSet;
use std::fs;
use std::io::Read as _;
use std::path::PathBuf;

use muster_signing::Digest;

use super::object::OBJECT_MAX;
use crate::LocalState;

/// The folder of cached objects of one store.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
}

impl Cache {
    pub(crate) fn new(state: &LocalState, store: &str) -> Self {
        Self {
            dir: state.dir().join("index").join(store),
        }
    }

    pub(super) fn read(&self, id: &Digest) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = fs::File::open(self.dir.join(id.hex())).ok()?;
        file.take(OBJECT_MAX).read_to_end(&mut bytes).ok()?;
        (Digest::of(&bytes) == *id).then_some(bytes)
    }

    /// Keeps an object. One that cannot be kept is asked for again.
    pub(crate) fn write(&self, id: &Digest, bytes: &[u8]) {
        let path = self.dir.join(id.hex());
        if path.exists() {
            return;
        }
        // Torn bytes are not those of the name: no rename, no sync.
        let written = fs::create_dir_all(&self.dir).and_then(|()| fs::write(&path, bytes));
        if let Err(error) = written {
            tracing::debug!(%error, "an index object could not be cached");
            let _ = fs::remove_file(&path);
        }
    }

    /// Forgets everything but these objects.
    pub(crate) fn keep_only(&self, kept: &HashSet<Digest>) {
        let names = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for entry in names {
            let id = entry.file_name().to_str().and_then(|name| Digest::from_hex(name).ok());
            if id.is_some_and(|id| !kept.contains(&id)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
