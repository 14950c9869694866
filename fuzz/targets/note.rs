//! Signed notes and checkpoints: a note that verifies is byte for byte the one that its key signed.

use crate::{key, turn_a_bit};
use muster_signing::{Checkpoint, Digest, Role, note};

const NAME: &str = "muster/000102030405060708090a0b0c0d0e0f/1-a";

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let head = Checkpoint {
        origin: NAME.to_owned(),
        size: 300,
        root: Digest::of(b"root"),
    };
    vec![
        head.body().into_bytes(),
        head.sign(&key(Role::Writer)).unwrap().into_bytes(),
        note::sign(NAME, "one\n\n— two\n", &key(Role::Writer))
            .unwrap()
            .into_bytes(),
    ]
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let key = key(Role::Writer);
    if let Ok(claimed) = note::inspect(data) {
        assert!(claimed.text.ends_with('\n'));
        let _ = note::verify(data, claimed.name, &key.public());
    }
    if let Ok(text) = note::verify(data, NAME, &key.public()) {
        assert_eq!(note::sign(NAME, &text, &key).unwrap().as_bytes(), data);
    }
    if let Ok(head) = Checkpoint::open(data, NAME, &key.public()) {
        assert_eq!(head.sign(&key).unwrap().as_bytes(), data);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(head) = Checkpoint::parse(text) {
        assert_eq!(head.body(), text);
        assert_eq!(Checkpoint::parse(&head.body()).unwrap(), head);
    }
    let Ok(signed) = note::sign(NAME, text, &key) else {
        return;
    };
    assert_eq!(note::verify(signed.as_bytes(), NAME, &key.public()).unwrap(), text);
    if let Some(turned) = turn_a_bit(signed.as_bytes(), data) {
        assert!(note::verify(&turned, NAME, &key.public()).is_err());
    }
}
