//! Run keys: 32 random bytes that one run seals everything with.
//!
//! Invariant: a run's id is derived from its key, so that a wrapped key which was exchanged for another is found out before use.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use super::SealError;
use super::cipher::Cipher;

const SEAL: &[u8] = b"muster/1 seal";
const RUN: &[u8] = b"muster/1 run";

/// Which run sealed something: 16 bytes, as hex in names and manifests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId([u8; 16]);

impl RunId {
    /// From its bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// From 32 lower-case hex digits; `None` for anything else.
    pub fn from_hex(hex: &str) -> Option<Self> {
        let digits = hex.as_bytes();
        let mut bytes = [0; 16];
        if digits.len() != 32 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            let digit = |digit: u8| match digit {
                b'0'..=b'9' => Some(digit - b'0'),
                b'a'..=b'f' => Some(digit - b'a' + 10),
                _ => None,
            };
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl serde::Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hex = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::from_hex(&hex).ok_or_else(|| serde::de::Error::custom("a run is 32 lower-case hex digits"))
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunId({self})")
    }
}

/// The key of one run. Whoever writes hands it on to packs and tree objects; whoever reads gets it from an identity.
#[derive(Clone)]
pub struct RunSeal {
    repository: [u8; 32],
    run: RunId,
    key: Arc<Zeroizing<[u8; 32]>>,
}

impl fmt::Debug for RunSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunSeal({}, redacted)", self.run)
    }
}

impl RunSeal {
    /// The seal of a run with this key in the repository with this id (32 hex digits).
    ///
    /// # Errors
    /// [`SealError`] where the id is no id, or the cipher library fails.
    pub fn new(repository: &str, key: Zeroizing<[u8; 32]>) -> Result<Self, SealError> {
        let id = repository
            .as_bytes()
            .try_into()
            .map_err(|_| SealError(format!("{repository} is not the id of a repository")))?;
        let mut run = [0; 16];
        Salt::new(HKDF_SHA256, repository.as_bytes())
            .extract(&*key)
            .expand(&[RUN], Length(16))
            .and_then(|derived| derived.fill(&mut run))
            .map_err(|_| cipher_failed())?;
        Ok(Self {
            repository: id,
            run: RunId(run),
            key: Arc::new(key),
        })
    }

    /// Which run it is.
    pub fn run(&self) -> RunId {
        self.run
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The cipher of the object with this salt.
    pub(crate) fn cipher(&self, salt: &[u8; 32]) -> Result<Cipher, SealError> {
        let prk = Salt::new(HKDF_SHA256, salt).extract(&**self.key);
        let key = prk.expand(&[SEAL], &AES_256_GCM).map_err(|_| cipher_failed())?;
        let key = LessSafeKey::new(UnboundKey::from(key));
        Ok(Cipher::new(key, &self.repository, &self.run, salt))
    }
}

fn cipher_failed() -> SealError {
    SealError("the cipher library failed to derive a key".to_owned())
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::{FRAME, Part};

    const REPOSITORY: &str = "00112233445566778899aabbccddeeff";

    fn seal(key: u8) -> RunSeal {
        RunSeal::new(REPOSITORY, Zeroizing::new([key; 32])).unwrap()
    }

    const PART: Part = Part {
        kind: FRAME,
        ordinal: 3,
        stored: 21,
        decoded: 5,
    };

    #[test]
    fn what_was_sealed_opens_in_its_own_place_and_nowhere_else() {
        let mut sealed = b"hello".to_vec();
        let tag = seal(1).cipher(&[7; 32]).unwrap().seal(PART, &mut sealed).unwrap();
        sealed.extend_from_slice(&tag);
        let mut plain = Vec::new();
        let opens = |seal: &RunSeal, salt: u8, part: Part, bytes: &[u8]| {
            let mut plain = Vec::new();
            seal.cipher(&[salt; 32]).unwrap().open(part, bytes, &mut plain).is_ok()
        };
        seal(1)
            .cipher(&[7; 32])
            .unwrap()
            .open(PART, &sealed, &mut plain)
            .unwrap();
        assert_eq!(plain, b"hello");
        assert!(!opens(&seal(2), 7, PART, &sealed), "under the key of another run");
        assert!(!opens(&seal(1), 8, PART, &sealed), "in another pack");
        for other in [
            Part { ordinal: 4, ..PART },
            Part { kind: 1, ..PART },
            Part { stored: 22, ..PART },
            Part { decoded: 6, ..PART },
        ] {
            assert!(!opens(&seal(1), 7, other, &sealed), "as {other:?}");
        }
        let elsewhere = RunSeal::new("ff112233445566778899aabbccddeeff", Zeroizing::new([1; 32])).unwrap();
        assert!(!opens(&elsewhere, 7, PART, &sealed), "in another repository");
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!opens(&seal(1), 7, PART, &bad), "with bit {bit} flipped");
        }
        assert!(!opens(&seal(1), 7, PART, &[]));
    }

    #[test]
    fn a_run_is_named_by_its_key_and_the_name_is_spelt_in_one_way() {
        assert_ne!(seal(1).run(), seal(2).run());
        let hex = seal(1).run().to_string();
        assert_eq!(RunId::from_hex(&hex), Some(seal(1).run()));
        assert_eq!(RunId::from_hex(&hex.to_uppercase()), None);
        assert_eq!(RunId::from_hex(&hex[1..]), None);
        assert!(!format!("{:?}", seal(1)).contains("01, 01"));
    }
}
