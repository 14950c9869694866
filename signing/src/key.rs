//! Ed25519 keys, and the identifier by which they are named.
//!
//! A secret key is wiped when dropped and never shows itself: not in `Debug`, not in an error. Verification is the strict
//! one: no small-order keys, no second spelling of a signature.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{
    Signature, Signer as _, SigningKey, VerifyingKey,
    pkcs8::{DecodePrivateKey as _, DecodePublicKey as _},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use crate::digest::{Digest, clip, hex, unhex};

/// PKCS#8 version 1 and SubjectPublicKeyInfo of an Ed25519 key are a fixed prefix and 32 bytes.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key file longer than this is not one.
const MAX_PEM: usize = 16 * 1024;

/// An Ed25519 secret key.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a 32-byte random seed.
    #[must_use]
    pub fn generate(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self(SigningKey::from_bytes(&seed))
    }

    /// Reads a PKCS#8 PEM file (`BEGIN PRIVATE KEY`), as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    ///
    /// When it is anything else; the error never quotes the file.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.len() > MAX_PEM {
            return Err(KeyError::Secret);
        }
        SigningKey::from_pkcs8_pem(pem.trim_ascii())
            .map(Self)
            .map_err(|_| KeyError::Secret)
    }

    /// The PKCS#8 version 1 PEM file, which OpenSSL and muster read.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut der = Zeroizing::new(Vec::with_capacity(48));
        der.extend_from_slice(&PKCS8_PREFIX);
        der.extend_from_slice(self.0.as_bytes());
        let body = Zeroizing::new(STANDARD.encode(der.as_slice()));
        Zeroizing::new(format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            body.as_str()
        ))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a message. What the message means must be part of it: callers sign envelopes or notes, not bare data.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public().id())
    }
}

/// An Ed25519 public key that is not weak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads the 32 bytes of RFC 8032.
    ///
    /// # Errors
    ///
    /// When they are no point of the curve, or one under which anything verifies.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        Self::checked(VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Public)?, bytes)
    }

    fn checked(key: VerifyingKey, bytes: &[u8; 32]) -> Result<Self, KeyError> {
        // A second encoding of the same point would give one key two identifiers.
        let canonical = key.to_edwards().compress().to_bytes() == *bytes;
        if key.is_weak() || !canonical {
            Err(KeyError::Weak)
        } else {
            Ok(Self(key))
        }
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Reads a SubjectPublicKeyInfo PEM file (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    ///
    /// When it is anything else, a private key for instance.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.len() > MAX_PEM {
            return Err(KeyError::Public);
        }
        let key = VerifyingKey::from_public_key_pem(pem.trim_ascii()).map_err(|_| KeyError::Public)?;
        Self::checked(key, key.as_bytes())
    }

    /// The SubjectPublicKeyInfo PEM file, which OpenSSL and muster read.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let mut der = Vec::with_capacity(44);
        der.extend_from_slice(&SPKI_PREFIX);
        der.extend_from_slice(self.as_bytes());
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        )
    }

    /// The identifier that securesystemslib computes for this key: SHA-256 of its canonical JSON form.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let public = hex(self.as_bytes());
        let json = format!(r#"{{"keytype":"ed25519","keyval":{{"public":"{public}"}},"scheme":"ed25519"}}"#);
        KeyId(Digest::of(json.as_bytes()).hex())
    }

    /// Checks a signature.
    ///
    /// # Errors
    ///
    /// [`BadSignature`] when this key did not sign exactly this message.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        self.0
            .verify_strict(message, &Signature::from_bytes(signature))
            .map_err(|_| BadSignature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.as_bytes()))
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD
            .decode(&text)
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(|| de::Error::custom(KeyError::Public))?;
        Self::from_bytes(&bytes).map_err(de::Error::custom)
    }
}

/// The name of a key: 64 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// Reads an identifier.
    ///
    /// # Errors
    ///
    /// When it is not 64 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        match unhex::<32>(text) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(KeyError::Id { text: clip(text) }),
        }
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Why a key was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not an Ed25519 secret key.
    #[error("not an unencrypted Ed25519 secret key in PKCS#8 PEM form (BEGIN PRIVATE KEY)")]
    Secret,
    /// Not an Ed25519 public key.
    #[error("not an Ed25519 public key in PEM form (BEGIN PUBLIC KEY)")]
    Public,
    /// A point that makes every signature valid, or a second spelling of a key.
    #[error("a weak Ed25519 public key: refused, since it would accept forged signatures")]
    Weak,
    /// Not a key identifier.
    #[error("{text:?} is not a key id: expected 64 lower-case hex digits")]
    Id {
        /// What stood there.
        text: String,
    },
}

/// A signature that its key did not make over this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature is wrong")]
pub struct BadSignature;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_8032_vector_3_signs_and_verifies() {
        let key =
            SecretKey::generate(unhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7").unwrap());
        let public = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
        assert_eq!(hex(key.public().as_bytes()), public);
        let signature = key.sign(&[0xaf, 0x82]);
        assert_eq!(
            hex(&signature),
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        );
        key.public().verify(&[0xaf, 0x82], &signature).unwrap();
        key.public().verify(&[0xaf, 0x83], &signature).unwrap_err();
    }

    #[test]
    fn pem_goes_round_and_secrets_stay_out_of_sight() {
        let key = SecretKey::generate([7; 32]);
        let again = SecretKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(again.to_pem(), key.to_pem());
        assert_eq!(PublicKey::from_pem(&key.public().to_pem()).unwrap(), key.public());
        assert!(!format!("{key:?}").contains("BwcHBw") && !format!("{key:?}").contains("0707"));
        assert_eq!(PublicKey::from_pem(&key.to_pem()).unwrap_err(), KeyError::Public);
        assert_eq!(
            SecretKey::from_pem(&key.public().to_pem()).unwrap_err(),
            KeyError::Secret
        );
        assert_eq!(SecretKey::from_pem("").unwrap_err(), KeyError::Secret);
    }

    #[test]
    fn a_key_under_which_anything_verifies_is_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity).unwrap_err(), KeyError::Weak);
        assert_eq!(PublicKey::from_bytes(&[0; 32]).unwrap_err(), KeyError::Weak);
    }
}
