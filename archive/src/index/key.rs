//! The index key: what a writer seals its index to, so that it alone knows again what it stored.
//!
//! Invariant: the key leaves its file for nothing but key derivation. Losing it costs time, never data: everything is stored again.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use super::IndexError;
use crate::content::HashKey;
use crate::{ArchiveError, Edge};

/// Most bytes of a key file that are looked at.
const FILE_MAX: u64 = 256;

/// A writer's index key.
#[derive(Clone)]
pub struct IndexKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexKey(redacted)")
    }
}

impl IndexKey {
    /// A key from its bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key in the file at `path`: one line of 64 hex digits, mode 0600. It is made where there is none.
    ///
    /// # Errors
    /// [`ArchiveError::Local`] where the file cannot be read, made, or holds something else.
    pub fn read_or_make(path: &Path, edge: &dyn Edge) -> Result<Self, ArchiveError> {
        let failed = |attempt: &str, source| ArchiveError::Local {
            attempt: format!("{attempt} the index key {}", path.display()),
            source,
        };
        match File::open(path) {
            Ok(file) => {
                let mut text = Zeroizing::new(String::new());
                file.take(FILE_MAX)
                    .read_to_string(&mut text)
                    .map_err(|source| failed("read", source))?;
                parse(text.trim()).ok_or_else(|| {
                    let wrong = "it is not one line of 64 hex digits; move it away to have a new one made";
                    failed("use", std::io::Error::new(std::io::ErrorKind::InvalidData, wrong))
                })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut bytes = Zeroizing::new([0; 32]);
                edge.fill(&mut *bytes);
                let text: Zeroizing<String> =
                    Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n");
                let made = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(path)
                    .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
                match made {
                    Ok(()) => Ok(Self(bytes)),
                    // Another run was faster.
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Self::read_or_make(path, edge),
                    Err(source) => Err(failed("make", source)),
                }
            }
            Err(source) => Err(failed("read", source)),
        }
    }

    /// What a manifest calls it: says nothing of the key but which one it is.
    pub fn id(&self) -> String {
        self.derive(b"muster", &[b"muster/1 index id"])
            .map(|bytes| bytes[..16].iter().map(|byte| format!("{byte:02x}")).collect())
            .unwrap_or_default()
    }

    /// The hash key of a store's snapshots.
    pub(crate) fn hash_key(&self, repository: &str, store: &str) -> Result<HashKey, IndexError> {
        self.derive(repository.as_bytes(), &[b"muster/1 hash ", store.as_bytes()])
            .map(HashKey::new)
    }

    fn derive(&self, salt: &[u8], info: &[&[u8]]) -> Result<[u8; 32], IndexError> {
        let mut bytes = [0; 32];
        Salt::new(HKDF_SHA256, salt)
            .extract(&*self.0)
            .expand(info, Length)
            .and_then(|derived| derived.fill(&mut bytes))
            .map_err(|_| IndexError("the cipher library failed to derive a key"))?;
        Ok(bytes)
    }
}

fn parse(hex: &str) -> Option<IndexKey> {
    let digits = hex.as_bytes();
    let mut bytes = Zeroizing::new([0; 32]);
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(IndexKey(bytes))
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

/// Seals and opens the index objects of one store.
#[derive(Clone)]
pub(crate) struct IndexSeal {
    key: std::sync::Arc<LessSafeKey>,
    nonces: [u8; 32],
    context: Vec<u8>,
}

impl fmt::Debug for IndexSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexSeal(redacted)")
    }
}

impl IndexSeal {
    pub(crate) fn new(key: &IndexKey, repository: &str, store: &str) -> Result<Self, IndexError> {
        let bytes = Zeroizing::new(key.derive(repository.as_bytes(), &[b"muster/1 index"])?);
        let unbound = UnboundKey::new(&AES_256_GCM, &*bytes).map_err(|_| IndexError("the cipher library failed"))?;
        let mut context = repository.as_bytes().to_vec();
        context.push(b'/');
        context.extend_from_slice(store.as_bytes());
        Ok(Self {
            key: std::sync::Arc::new(LessSafeKey::new(unbound)),
            nonces: key.derive(repository.as_bytes(), &[b"muster/1 index nonce"])?,
            context,
        })
    }

    /// Nonce, ciphertext and tag of `plain`: equal bytes of one kind give equal bytes.
    pub(crate) fn seal(&self, kind: u8, mut plain: Vec<u8>) -> Result<([u8; NONCE_LEN], Vec<u8>), IndexError> {
        let mut hasher = blake3::Hasher::new_keyed(&self.nonces);
        hasher.update(&[kind]);
        hasher.update(&plain);
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&hasher.finalize().as_bytes()[..NONCE_LEN]);
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), self.aad(kind), &mut plain)
            .map_err(|_| IndexError("the cipher library failed to seal"))?;
        Ok((nonce, plain))
    }

    pub(crate) fn open(&self, kind: u8, nonce: [u8; NONCE_LEN], mut sealed: Vec<u8>) -> Result<Vec<u8>, IndexError> {
        let length = self
            .key
            .open_in_place(Nonce::assume_unique_for_key(nonce), self.aad(kind), &mut sealed)
            .map_err(|_| IndexError("it was not sealed by this host's index key"))?
            .len();
        sealed.truncate(length);
        Ok(sealed)
    }

    fn aad(&self, kind: u8) -> Aad<Vec<u8>> {
        let mut bytes = self.context.clone();
        bytes.push(kind);
        Aad::from(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Seven;

    impl Edge for Seven {
        fn now_ms(&self) -> u64 {
            0
        }

        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    #[test]
    fn the_key_is_made_once_and_is_nobody_elses_to_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.key");
        let made = IndexKey::read_or_make(&path, &Seven).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(IndexKey::read_or_make(&path, &Seven).unwrap().id(), made.id());
        assert_ne!(IndexKey::new([8; 32]).id(), made.id());
        std::fs::write(&path, "0707\n").unwrap();
        assert!(IndexKey::read_or_make(&path, &Seven).is_err());
        assert!(!format!("{made:?}").contains("07"));
    }

    #[test]
    fn each_store_has_hashes_of_its_own() {
        let key = IndexKey::new([7; 32]);
        let hash = |repository, store| key.hash_key(repository, store).unwrap().hash(b"x");
        assert_ne!(hash("r", "a"), hash("r", "b"));
        assert_ne!(hash("r", "a"), hash("s", "a"));
    }
}
