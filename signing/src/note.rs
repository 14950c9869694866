//! C2SP signed notes and checkpoints, with exactly one Ed25519 signature.
//!
//! A note is `text`, an empty line, and a signature line. The specification lets a note carry lines of keys that nobody
//! knows; here such a line, or any other byte beyond text and one signature, makes the note wrong.

use std::{fmt, str};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    digest::{Digest, clip, hex},
    key::{KeyId, PublicKey, SecretKey},
};

/// The largest note that is read.
pub const MAX_NOTE: usize = 64 * 1024;
/// The signature type byte of Ed25519.
const ED25519: u8 = 1;

/// Why a note was not believed or not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// A key name that is empty, or has spaces, control characters or a plus sign.
    #[error("{name:?} cannot name a key: it is empty, or has a space, control character or plus sign")]
    Name {
        /// The name.
        name: String,
    },
    /// A text that cannot be signed as a note.
    #[error("not the text of a note: it must end in a newline and hold no other control character")]
    Text,
    /// Bytes that are not a note in canonical form.
    #[error("not a note with exactly one signature in canonical form")]
    Malformed,
    /// Signed under another name or by another key.
    #[error("signed by {claimed}, not by {expected}")]
    OtherKey {
        /// The name and key id that the note claims.
        claimed: String,
        /// The name and key id that were expected.
        expected: String,
    },
    /// The log of a key that nobody vouches for.
    #[error("the log of {key_id}, a key that the trust root does not vouch for")]
    UnknownSigner {
        /// The key.
        key_id: KeyId,
    },
    /// The signature is not the key's over this text.
    #[error("the signature by {name} is wrong")]
    BadSignature {
        /// The key's name.
        name: String,
    },
    /// A note whose text is not a checkpoint.
    #[error("not a checkpoint: expected origin, tree size and root hash on three lines")]
    Checkpoint,
}

/// The key id of C2SP: four bytes that tell keys of one name apart.
#[must_use]
pub fn key_id(name: &str, key: &PublicKey) -> [u8; 4] {
    let mut bytes = name.as_bytes().to_vec();
    bytes.extend_from_slice(&[b'\n', ED25519]);
    bytes.extend_from_slice(key.as_bytes());
    let [a, b, c, d, ..] = *Digest::of(&bytes).as_bytes();
    [a, b, c, d]
}

/// The verifier key, as other tools want it: `name+key id+base64`.
///
/// # Errors
///
/// When the name cannot name a key.
pub fn vkey(name: &str, key: &PublicKey) -> Result<String, NoteError> {
    check_name(name)?;
    let mut bytes = vec![ED25519];
    bytes.extend_from_slice(key.as_bytes());
    Ok(format!("{name}+{}+{}", hex(&key_id(name, key)), STANDARD.encode(bytes)))
}

/// Signs a text, which must end in a newline, and returns the note.
///
/// # Errors
///
/// When name or text cannot stand in a note.
pub fn sign(name: &str, text: &str, key: &SecretKey) -> Result<String, NoteError> {
    check_name(name)?;
    check_text(text)?;
    Ok(encode(
        name,
        text,
        key_id(name, &key.public()),
        &key.sign(text.as_bytes()),
    ))
}

/// Verifies a note that must be signed by `key` under `name`, and by nothing else, and returns its text.
///
/// # Errors
///
/// See [`NoteError`].
pub fn verify(bytes: &[u8], name: &str, key: &PublicKey) -> Result<String, NoteError> {
    check_name(name)?;
    let claimed = inspect(bytes)?;
    let expected = key_id(name, key);
    if claimed.name != name || claimed.key_id != expected {
        return Err(NoteError::OtherKey {
            claimed: format!("{}+{}", clip(claimed.name), hex(&claimed.key_id)),
            expected: format!("{name}+{}", hex(&expected)),
        });
    }
    match key.verify(claimed.text.as_bytes(), &claimed.signature) {
        Ok(()) => Ok(claimed.text.to_owned()),
        Err(_) => Err(NoteError::BadSignature { name: name.to_owned() }),
    }
}

/// What a note claims. Nothing of it was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inspected<'a> {
    /// The text.
    pub text: &'a str,
    /// The claimed key name.
    pub name: &'a str,
    /// The claimed key id.
    pub key_id: [u8; 4],
    /// The signature over the text.
    pub signature: [u8; 64],
}

/// Takes a note apart without believing it.
///
/// # Errors
///
/// When the bytes are not a note with one signature in canonical form.
pub fn inspect(bytes: &[u8]) -> Result<Inspected<'_>, NoteError> {
    if bytes.len() > MAX_NOTE {
        return Err(NoteError::Malformed);
    }
    let note = str::from_utf8(bytes).map_err(|_| NoteError::Malformed)?;
    let (text, signature) = note.rsplit_once("\n\n— ").ok_or(NoteError::Malformed)?;
    let text = &note[..=text.len()];
    let (name, signature) = signature.split_once(' ').ok_or(NoteError::Malformed)?;
    let signature = signature.strip_suffix('\n').ok_or(NoteError::Malformed)?;
    let signature = STANDARD.decode(signature).map_err(|_| NoteError::Malformed)?;
    let (id, signature) = signature.split_first_chunk::<4>().ok_or(NoteError::Malformed)?;
    let signature = <[u8; 64]>::try_from(signature).map_err(|_| NoteError::Malformed)?;
    check_name(name).map_err(|_| NoteError::Malformed)?;
    check_text(text).map_err(|_| NoteError::Malformed)?;
    if encode(name, text, *id, &signature).as_bytes() != bytes {
        return Err(NoteError::Malformed);
    }
    Ok(Inspected {
        text,
        name,
        key_id: *id,
        signature,
    })
}

fn encode(name: &str, text: &str, key_id: [u8; 4], signature: &[u8; 64]) -> String {
    let mut bytes = key_id.to_vec();
    bytes.extend_from_slice(signature);
    format!("{text}\n— {name} {}\n", STANDARD.encode(bytes))
}

fn check_name(name: &str) -> Result<(), NoteError> {
    let wrong = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.len() > 1024 || name.contains(wrong) {
        return Err(NoteError::Name { name: clip(name) });
    }
    Ok(())
}

fn check_text(text: &str) -> Result<(), NoteError> {
    // A text that began as DSSE's encoding does could be taken for an envelope signed by the same key.
    let wrong = text.bytes().any(|byte| byte < b' ' && byte != b'\n') || text.starts_with("DSSEv1 ");
    if !text.ends_with('\n') || text.len() > MAX_NOTE / 2 || wrong {
        Err(NoteError::Text)
    } else {
        Ok(())
    }
}

/// The head of a log: how many entries it has and the Merkle root over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, which is also the name under which its key signs.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root hash, see [`crate::merkle::root`].
    pub root: Digest,
}

impl Checkpoint {
    /// The text that is signed: origin, size and root on three lines.
    #[must_use]
    pub fn body(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            STANDARD.encode(self.root.as_bytes())
        )
    }

    /// Reads the text of a checkpoint; lines beyond the three are refused.
    ///
    /// # Errors
    ///
    /// When the text is not exactly what [`Self::body`] writes.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(NoteError::Checkpoint);
        };
        check_name(origin).map_err(|_| NoteError::Checkpoint)?;
        let size = size.parse().map_err(|_| NoteError::Checkpoint)?;
        let root = STANDARD
            .decode(root)
            .ok()
            .and_then(|root| <[u8; 32]>::try_from(root).ok());
        let root = Digest::from_bytes(root.ok_or(NoteError::Checkpoint)?);
        let checkpoint = Self {
            origin: origin.to_owned(),
            size,
            root,
        };
        if checkpoint.body() == text {
            Ok(checkpoint)
        } else {
            Err(NoteError::Checkpoint)
        }
    }

    /// The checkpoint as a note signed under its origin.
    ///
    /// # Errors
    ///
    /// When the origin cannot name a key.
    pub fn sign(&self, key: &SecretKey) -> Result<String, NoteError> {
        sign(&self.origin, &self.body(), key)
    }

    /// Verifies a checkpoint of the log `origin`, signed by `key`.
    ///
    /// # Errors
    ///
    /// See [`NoteError`].
    pub fn open(bytes: &[u8], origin: &str, key: &PublicKey) -> Result<Self, NoteError> {
        let checkpoint = Self::parse(&verify(bytes, origin, key)?)?;
        if checkpoint.origin == origin {
            Ok(checkpoint)
        } else {
            Err(NoteError::Checkpoint)
        }
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} entries", self.origin, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of C2SP's signed-note, and that of Go's package sumdb/note.
    const VECTORS: [(&str, &str, &str); 2] = [
        (
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "This is an example message.\n",
            "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n",
        ),
        (
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n",
            "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n",
        ),
    ];

    fn vector((verifier, text, line): (&str, &str, &str)) -> (String, PublicKey, String) {
        let (name, rest) = verifier.split_once('+').unwrap();
        let bytes = STANDARD.decode(rest.split_once('+').unwrap().1).unwrap();
        let key = PublicKey::from_bytes(bytes[1..].try_into().unwrap()).unwrap();
        assert_eq!(vkey(name, &key).unwrap(), verifier);
        (name.to_owned(), key, format!("{text}\n{line}"))
    }

    #[test]
    fn the_published_notes_verify() {
        for published in VECTORS {
            let (name, key, note) = vector(published);
            assert_eq!(verify(note.as_bytes(), &name, &key).unwrap(), published.1);
            let other = SecretKey::generate([1; 32]).public();
            assert!(matches!(
                verify(note.as_bytes(), &name, &other),
                Err(NoteError::OtherKey { .. })
            ));
        }
    }

    #[test]
    fn every_flipped_byte_of_a_note_is_seen() {
        for published in VECTORS {
            let (name, key, note) = vector(published);
            for at in 0..note.len() {
                for bit in 0..8 {
                    let mut wrong = note.clone().into_bytes();
                    wrong[at] ^= 1 << bit;
                    assert!(verify(&wrong, &name, &key).is_err(), "byte {at}, bit {bit}");
                }
            }
        }
    }

    #[test]
    fn nothing_may_stand_beside_the_one_signature() {
        let (name, key, note) = vector(VECTORS[0]);
        let signature = VECTORS[0].2;
        for wrong in [
            format!("{note}\n"),
            format!("\n{note}"),
            format!("{note}{signature}"),
            format!("{note}{}", VECTORS[1].2),
            note.trim_end().to_owned(),
            note.replace('\n', "\r\n"),
            note.replace("aQM=", "aQM"),
            note.replace("aQM=", "aQN="),
            note.replace("\n— ", "\n—  "),
            note.replace("— ", "- "),
            String::new(),
        ] {
            assert!(verify(wrong.as_bytes(), &name, &key).is_err(), "{wrong:?}");
        }
        assert!(inspect(&vec![b'x'; MAX_NOTE + 1]).is_err());
    }

    #[test]
    fn a_text_with_empty_lines_and_dashes_goes_round() {
        let key = SecretKey::generate([2; 32]);
        let text = "one\n\n— two three\n\n\n";
        let note = sign("a/b", text, &key).unwrap();
        assert_eq!(verify(note.as_bytes(), "a/b", &key.public()).unwrap(), text);
        for name in ["", "a b", "a+b", "a\nb", "a\u{a0}b"] {
            assert!(sign(name, text, &key).is_err(), "{name:?}");
        }
        for text in ["", "no newline", "tab\t\n", "return\r\n", "DSSEv1 4 type 3 abc\n"] {
            assert_eq!(sign("a/b", text, &key).unwrap_err(), NoteError::Text, "{text:?}");
        }
    }

    #[test]
    fn a_checkpoint_has_one_spelling() {
        let key = SecretKey::generate([3; 32]);
        let head = Checkpoint {
            origin: "01K/ab/0".to_owned(),
            size: 20_852_163,
            root: Digest::of(b"root"),
        };
        let note = head.sign(&key).unwrap();
        assert_eq!(
            Checkpoint::open(note.as_bytes(), "01K/ab/0", &key.public()).unwrap(),
            head
        );
        assert!(Checkpoint::open(note.as_bytes(), "01K/ab/1", &key.public()).is_err());
        let body = head.body();
        for wrong in [
            format!("{body}more\n"),
            format!("{body}\n"),
            body.replace("\n2", "\n02"),
            body.replace("\n2", "\n+2"),
            body.trim_end().to_owned(),
            body.replace('\n', "\n\n"),
            String::new(),
        ] {
            assert_eq!(
                Checkpoint::parse(&wrong).unwrap_err(),
                NoteError::Checkpoint,
                "{wrong:?}"
            );
        }
        // One key, two logs: the origin inside must be the name that signed.
        let lying = sign("01K/ab/1", &body, &key).unwrap();
        assert!(Checkpoint::open(lying.as_bytes(), "01K/ab/1", &key.public()).is_err());
    }
}
