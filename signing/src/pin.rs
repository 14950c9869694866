//! Pins: heads of logs that somebody kept elsewhere, against which nothing can be removed unseen.
//!
//! Invariant: a pin is believed only when a key that the key document lists signed it, as a head of this repository.

use crate::digest::hex;
use crate::key::{KeyId, PublicKey};
use crate::note::{self, Checkpoint, NoteError};
use crate::trust::KeyDocument;

/// Most pins of one file.
const MOST: usize = 65_536;

/// A head that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Whose log.
    pub key: KeyId,
    /// The public key.
    pub public: PublicKey,
    /// The log's incarnation.
    pub incarnation: String,
    /// Size and root as they were.
    pub checkpoint: Checkpoint,
}

/// Why a file of pins says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// A file without a note in it, or with something else.
    #[error("not a file of signed checkpoints: `muster ledger show --checkpoint` writes one")]
    NoPins,
    /// A note that is none.
    #[error("checkpoint {number}")]
    Note {
        /// Which one, from 1.
        number: usize,
        /// Why.
        source: NoteError,
    },
    /// A head of another repository's log.
    #[error("checkpoint {number} is of {origin:?}, which is no log of repository {repository}")]
    OtherRepository {
        /// Which one, from 1.
        number: usize,
        /// What it claims to be the head of.
        origin: String,
        /// The repository that was meant.
        repository: String,
    },
    /// The key is not, or no longer, listed.
    #[error(
        "checkpoint {number} of {origin:?} is signed by a key (note key id {key_id}) that the newest key document does not list"
    )]
    UnknownSigner {
        /// Which one, from 1.
        number: usize,
        /// What it claims to be the head of.
        origin: String,
        /// The key id of the note.
        key_id: String,
    },
}

impl Pin {
    /// Reads a file of one or several checkpoints, one after the other; empty lines may stand between them.
    ///
    /// # Errors
    ///
    /// See [`PinError`]: one wrong pin makes the file wrong.
    pub fn open_all(bytes: &[u8], keys: &KeyDocument, repository: &str) -> Result<Vec<Self>, PinError> {
        let mut pins = Vec::new();
        let mut rest = std::str::from_utf8(bytes).map_err(|_| PinError::NoPins)?;
        loop {
            rest = rest.trim_start_matches('\n');
            if rest.is_empty() {
                break;
            }
            let signature = rest.find("\n\n— ").ok_or(PinError::NoPins)? + 2;
            let end = rest[signature..].find('\n').ok_or(PinError::NoPins)? + signature + 1;
            if pins.len() == MOST {
                return Err(PinError::NoPins);
            }
            pins.push(Self::open(&rest[..end], keys, repository, pins.len() + 1)?);
            rest = &rest[end..];
        }
        if pins.is_empty() {
            Err(PinError::NoPins)
        } else {
            Ok(pins)
        }
    }

    fn open(text: &str, keys: &KeyDocument, repository: &str, number: usize) -> Result<Self, PinError> {
        let wrong = |source| PinError::Note { number, source };
        let claimed = note::inspect(text.as_bytes()).map_err(wrong)?;
        let origin = claimed.name;
        let incarnation = origin
            .strip_prefix("muster/")
            .and_then(|rest| rest.strip_prefix(repository)?.strip_prefix('/'));
        let Some(incarnation) = incarnation.filter(|incarnation| is_incarnation(incarnation)) else {
            return Err(PinError::OtherRepository {
                number,
                origin: origin.to_owned(),
                repository: repository.to_owned(),
            });
        };
        let listed = keys.keys.iter().map(|entry| &entry.public_key);
        let mut signers = listed.filter(|key| note::key_id(origin, key) == claimed.key_id);
        let Some(key) = signers.find(|key| key.verify(claimed.text.as_bytes(), &claimed.signature).is_ok()) else {
            return Err(PinError::UnknownSigner {
                number,
                origin: origin.to_owned(),
                key_id: hex(&claimed.key_id),
            });
        };
        Ok(Self {
            key: key.id(),
            public: *key,
            incarnation: incarnation.to_owned(),
            checkpoint: Checkpoint::open(text.as_bytes(), origin, key).map_err(wrong)?,
        })
    }
}

/// Whether it may stand in a key: 16 hex digits, `-`, 8 hex digits.
fn is_incarnation(text: &str) -> bool {
    let hex = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    text.split_once('-')
        .is_some_and(|(time, random)| time.len() == 16 && random.len() == 8 && hex(time) && hex(random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::key::SecretKey;
    use crate::payload::Role;
    use crate::trust::KeyEntry;

    const REPOSITORY: &str = "0123456789abcdef0123456789abcdef";
    const INCARNATION: &str = "fffffe6637d33ff7-c05f4b39";

    fn keys(seeds: &[u8]) -> KeyDocument {
        let entry = |seed: &u8| KeyEntry::new(Role::Writer, SecretKey::generate([*seed; 32]).public(), "w", "t");
        KeyDocument::first(REPOSITORY, "t", seeds.iter().map(entry).collect())
    }

    fn head(seed: u8, repository: &str, incarnation: &str, size: u64) -> String {
        let checkpoint = Checkpoint {
            origin: format!("muster/{repository}/{incarnation}"),
            size,
            root: Digest::of(&[seed]),
        };
        checkpoint.sign(&SecretKey::generate([seed; 32])).unwrap()
    }

    #[test]
    fn several_heads_in_one_file_are_each_told_apart_by_key() {
        let file = format!(
            "{}\n\n{}",
            head(1, REPOSITORY, INCARNATION, 7),
            head(2, REPOSITORY, INCARNATION, 9)
        );
        let pins = Pin::open_all(file.as_bytes(), &keys(&[1, 2]), REPOSITORY).unwrap();
        let sizes: Vec<u64> = pins.iter().map(|pin| pin.checkpoint.size).collect();
        assert_eq!(sizes, [7, 9]);
        assert_eq!(pins[1].key, SecretKey::generate([2; 32]).public().id());
    }

    #[test]
    fn a_head_of_others_or_of_nobody_is_no_pin() {
        let open = |file: &str| Pin::open_all(file.as_bytes(), &keys(&[1]), REPOSITORY);
        let good = head(1, REPOSITORY, INCARNATION, 7);
        assert!(open(&good).is_ok());
        assert!(matches!(
            open(&head(3, REPOSITORY, INCARNATION, 7)),
            Err(PinError::UnknownSigner { .. })
        ));
        for (repository, incarnation) in [("ff", INCARNATION), (REPOSITORY, "../../x"), (REPOSITORY, "0-1")] {
            let other = head(1, repository, incarnation, 7);
            assert!(matches!(open(&other), Err(PinError::OtherRepository { .. })), "{other}");
        }
        for wrong in ["", "\n\n", "hello\n", &good[..good.len() - 1], &format!("{good}x\n")] {
            assert_eq!(open(wrong), Err(PinError::NoPins), "{wrong:?}");
        }
        assert!(open(&good.replace("\n7\n", "\n8\n")).is_err());
    }
}
