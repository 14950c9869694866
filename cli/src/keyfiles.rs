//! Key files on this host: secret keys as PKCS#8 PEM with mode 0600, public keys as SPKI PEM. OpenSSL reads both.
//!
//! Invariant: an existing key file is never written over, and no secret leaves this module but inside a `SecretKey`.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use muster_signing::{PublicKey, Role, SecretKey};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::edge;
use crate::error::{CommandError, Kind};

/// A key file longer than this is something else.
const MAX_KEY_FILE: u64 = 16 << 10;

/// Where the secret key of a role lies on this host.
pub(crate) fn path(config: &Config, role: Role) -> &Path {
    match role {
        Role::Root => &config.keys.root,
        Role::Writer => &config.keys.writer,
        Role::Rehearser => &config.keys.rehearser,
        Role::Auditor => &config.keys.auditor,
        Role::Pruner => &config.keys.pruner,
    }
}

/// The secret key of a role; an error with exit 12 when it is not there or not readable.
pub(crate) fn secret(config: &Config, role: Role) -> Result<SecretKey, CommandError> {
    let path = path(config, role);
    read_secret(path)?.ok_or_else(|| {
        CommandError::new(Kind::Key, format!("there is no {role} key at {}", path.display()))
            .hint(format!("muster keys generate {role}"))
            .hint("muster init")
    })
}

/// The secret key in a file; `None` when there is no such file.
pub(crate) fn read_secret(path: &Path) -> Result<Option<SecretKey>, CommandError> {
    let attempt = || format!("read the secret key {}", path.display());
    let Some(text) = read(path).map_err(|error| error.context(attempt()))? else {
        return Ok(None);
    };
    SecretKey::from_pem(&text)
        .map(Some)
        .map_err(|error| CommandError::new(Kind::Key, error).context(attempt()))
}

/// The public key in a file; `None` when there is no such file.
pub(crate) fn read_public(path: &Path) -> Result<Option<PublicKey>, CommandError> {
    let attempt = || format!("read the public key {}", path.display());
    let Some(text) = read(path).map_err(|error| error.context(attempt()))? else {
        return Ok(None);
    };
    PublicKey::from_pem(&text)
        .map(Some)
        .map_err(|error| CommandError::new(Kind::Key, error).context(attempt()))
}

/// Whether others than its owner may read the file.
pub(crate) fn is_exposed(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o077 != 0)
}

/// Makes a secret key where there is none. Says whether it made one.
pub(crate) fn ensure_secret(path: &Path) -> Result<(SecretKey, bool), CommandError> {
    if let Some(key) = read_secret(path)? {
        return Ok((key, false));
    }
    let seed = Zeroizing::new(edge::random::<32>()?);
    let key = SecretKey::generate(*seed);
    write_new(path, key.to_pem().as_bytes(), 0o600)?;
    Ok((key, true))
}

/// Writes a public key where there is none. Says whether it wrote one.
pub(crate) fn ensure_public(path: &Path, key: &PublicKey) -> Result<bool, CommandError> {
    match read_public(path)? {
        Some(present) if present == *key => Ok(false),
        Some(present) => Err(CommandError::new(
            Kind::Key,
            format!("{} holds key {} and not {}", path.display(), present.id(), key.id()),
        )),
        None => write_new(path, key.to_pem().as_bytes(), 0o644).map(|()| true),
    }
}

fn read(path: &Path) -> Result<Option<Zeroizing<String>>, CommandError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CommandError::new(Kind::Key, error)),
    };
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_KEY_FILE)
        .read_to_string(&mut text)
        .map_err(|error| CommandError::new(Kind::Key, error))?;
    Ok(Some(text))
}

/// Whole or not at all, and never over something: a key that is half written would lock its owner out.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CommandError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let staged: PathBuf = path.with_extension(format!("new-{}", std::process::id()));
    let attempt = || -> std::io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::hard_link(&staged, path)?;
        File::open(folder)?.sync_all()
    };
    let outcome = attempt();
    let _ = fs::remove_file(&staged);
    outcome.map_err(|error| CommandError::new(Kind::Key, error).context(format!("write {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_key_is_made_once_and_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/signing.pem");
        let (made, new) = ensure_secret(&path).unwrap();
        assert!(new && !is_exposed(&path));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let (again, new) = ensure_secret(&path).unwrap();
        assert!(!new);
        assert_eq!(made.public(), again.public());
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "nothing staged is left"
        );
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("signing.pem");
        fs::write(&path, "not a key").unwrap();
        assert_eq!(ensure_secret(&path).unwrap_err().exit().code(), 12);
        assert_eq!(fs::read_to_string(&path).unwrap(), "not a key");
    }

    #[test]
    fn another_public_key_in_its_place_is_never_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root.pub");
        let key = |seed: u8| SecretKey::generate([seed; 32]).public();
        assert!(ensure_public(&path, &key(1)).unwrap());
        assert!(!ensure_public(&path, &key(1)).unwrap());
        assert_eq!(ensure_public(&path, &key(2)).unwrap_err().exit().code(), 12);
        assert_eq!(read_public(&path).unwrap(), Some(key(1)));
    }
}
