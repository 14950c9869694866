//! Names and files of keys: digests, key ids, PEM.
//!
//! One digest and one key id have one spelling; a key that was read is written and read again as the same key.

use crate::key;
use muster_signing::{Digest, KeyId, PublicKey, Role, SecretKey};

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let key = key(Role::Writer);
    let public = key.public();
    vec![
        Digest::of(b"").hex().into_bytes(),
        Digest::of(b"").to_string().into_bytes(),
        key.to_pem().as_bytes().to_vec(),
        public.to_pem().into_bytes(),
        public.as_bytes().to_vec(),
        serde_json::to_vec(&public).unwrap(),
    ]
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    if let Ok(bytes) = data.try_into()
        && let Ok(key) = PublicKey::from_bytes(bytes)
    {
        assert_eq!(key.as_bytes(), bytes);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(digest) = Digest::from_hex(text) {
        assert_eq!(digest.hex(), text);
        assert!(KeyId::parse(text).is_ok());
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    if let Ok(id) = KeyId::parse(text) {
        assert_eq!(id.as_str(), text);
    }
    let public = PublicKey::from_pem(text);
    if let Ok(key) = SecretKey::from_pem(text) {
        assert_eq!(SecretKey::from_pem(&key.to_pem()).unwrap().public(), key.public());
        assert!(public.is_err(), "a secret key was taken for a public one");
    }
    if let Ok(key) = public {
        assert_eq!(PublicKey::from_pem(&key.to_pem()).unwrap(), key);
        assert_eq!(PublicKey::from_bytes(key.as_bytes()).unwrap(), key);
    }
    if let Ok(key) = serde_json::from_str::<PublicKey>(text) {
        let again = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<PublicKey>(&again).unwrap(), key);
    }
}
