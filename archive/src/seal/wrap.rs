//! Run keys wrapped to recipients: an ordinary `age` file over the 32 bytes, which `age -d -i FILE` opens as well.
//!
//! This file alone names the `age` crate.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use age::x25519;
use zeroize::Zeroizing;

use super::SealError;

/// Most bytes of an identity file.
const FILE_MAX: u64 = 1 << 20;

/// Whether `text` names an `age` recipient that muster can wrap to: `age1…`, an X25519 public key.
pub fn is_recipient(text: &str) -> bool {
    text.parse::<x25519::Recipient>().is_ok()
}

/// Who can decrypt, as far as this host is one of them.
#[derive(Clone)]
pub struct Identities {
    identities: Arc<Vec<x25519::Identity>>,
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identities({}, redacted)", self.identities.len())
    }
}

/// Why an identity file is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// It cannot be read.
    #[error("read the identity file {path}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It holds something else. What it holds is not repeated.
    #[error("{path} is not an identity file of age: line {line} is no AGE-SECRET-KEY-1…")]
    Malformed {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
    },
    /// It holds no key at all.
    #[error("{path} holds no identity: it must have a line AGE-SECRET-KEY-1…, as age-keygen writes it")]
    Empty {
        /// The file.
        path: String,
    },
}

impl Identities {
    /// Reads a file of identities as `age-keygen` writes it: one a line, `#` begins a comment.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn read(path: &Path) -> Result<Self, IdentityError> {
        let shown = || path.display().to_string();
        let mut text = Zeroizing::new(String::new());
        std::fs::File::open(path)
            .and_then(|file| file.take(FILE_MAX).read_to_string(&mut text))
            .map_err(|source| IdentityError::Unreadable { path: shown(), source })?;
        let mut identities = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            identities.push(line.parse().map_err(|_| IdentityError::Malformed {
                path: shown(),
                line: number + 1,
            })?);
        }
        if identities.is_empty() {
            return Err(IdentityError::Empty { path: shown() });
        }
        Ok(Self {
            identities: Arc::new(identities),
        })
    }

    /// Their public halves.
    pub fn recipients(&self) -> Vec<String> {
        self.identities
            .iter()
            .map(|identity| identity.to_public().to_string())
            .collect()
    }

    /// The run key in a wrapped object; `Ok(None)` where it was wrapped to others.
    ///
    /// # Errors
    /// One line that says what is wrong with the object.
    pub(crate) fn unwrap(&self, object: &[u8]) -> Result<Option<Zeroizing<[u8; 32]>>, String> {
        let decryptor = age::Decryptor::new_buffered(object).map_err(|_| "it is not an age file".to_owned())?;
        let identities = self.identities.iter().map(|identity| identity as &dyn age::Identity);
        let reader = match decryptor.decrypt(identities) {
            Ok(reader) => reader,
            Err(age::DecryptError::NoMatchingKeys) => return Ok(None),
            Err(_) => return Err("its header was altered".to_owned()),
        };
        let mut plain = Zeroizing::new(Vec::with_capacity(64));
        reader
            .take(64)
            .read_to_end(&mut plain)
            .map_err(|_| "what it wraps was altered".to_owned())?;
        let key: [u8; 32] = plain
            .as_slice()
            .try_into()
            .map_err(|_| "it does not wrap a key of 32 bytes".to_owned())?;
        Ok(Some(Zeroizing::new(key)))
    }
}

/// A run key as an age file for `recipients`.
///
/// # Errors
/// One line that names the recipient which is none.
pub(crate) fn wrap(key: &[u8; 32], recipients: &[String]) -> Result<Vec<u8>, SealError> {
    let parsed: Vec<x25519::Recipient> = recipients
        .iter()
        .map(|text| {
            text.parse()
                .map_err(|_| SealError(format!("{text:?} is not a recipient that this version knows: age1…")))
        })
        .collect::<Result<_, _>>()?;
    let failed = |error: &dyn std::fmt::Display| SealError(format!("wrap a run key to its recipients: {error}"));
    let encryptor = age::Encryptor::with_recipients(parsed.iter().map(|recipient| recipient as &dyn age::Recipient))
        .map_err(|error| failed(&error))?;
    let mut object = Vec::with_capacity(200 + 110 * parsed.len());
    let mut writer = encryptor.wrap_output(&mut object).map_err(|error| failed(&error))?;
    writer.write_all(key).map_err(|error| failed(&error))?;
    writer.finish().map_err(|error| failed(&error))?;
    Ok(object)
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret as _;

    use super::*;

    fn identity(folder: &Path, name: &str) -> (Identities, String) {
        let identity = x25519::Identity::generate();
        let path = folder.join(name);
        let text = format!("# created: today\n{}\n", identity.to_string().expose_secret());
        std::fs::write(&path, text).unwrap();
        (Identities::read(&path).unwrap(), identity.to_public().to_string())
    }

    #[test]
    fn each_recipient_opens_a_wrapped_key_and_nobody_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let (first, a) = identity(folder.path(), "a");
        let (second, b) = identity(folder.path(), "b");
        let (stranger, _) = identity(folder.path(), "c");
        assert_eq!(first.recipients(), std::slice::from_ref(&a));
        let object = wrap(&[9; 32], &[a, b]).unwrap();
        assert_eq!(*first.unwrap(&object).unwrap().unwrap(), [9; 32]);
        assert_eq!(*second.unwrap(&object).unwrap().unwrap(), [9; 32]);
        assert!(stranger.unwrap(&object).unwrap().is_none());
        for at in 0..object.len() {
            let mut bad = object.clone();
            bad[at] ^= 1;
            assert!(
                !matches!(first.unwrap(&bad), Ok(Some(_))) || at < 30,
                "byte {at} may be altered"
            );
            assert!(
                !matches!(first.unwrap(&object[..at]), Ok(Some(_))),
                "it may end at {at}"
            );
        }
    }

    #[test]
    fn a_file_that_holds_no_identity_is_refused_without_repeating_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        std::fs::write(&path, "# nothing\n").unwrap();
        assert!(matches!(Identities::read(&path), Err(IdentityError::Empty { .. })));
        std::fs::write(&path, "\nAGE-SECRET-KEY-1OOPS\n").unwrap();
        let error = Identities::read(&path).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("OOPS"), "{error}");
        assert!(is_recipient(
            "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
        ));
        assert!(!is_recipient(
            "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8q"
        ));
        assert!(wrap(&[0; 32], &["ssh-ed25519 AAAA".to_owned()]).is_err());
        assert!(wrap(&[0; 32], &[]).is_err());
    }
}
