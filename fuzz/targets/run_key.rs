//! Run keys wrapped to recipients, `runs/…age`: nothing but what was wrapped gives a key, and another identity gets none.

use std::path::PathBuf;
use std::sync::LazyLock;

use muster_archive::fuzzing::{run_key, wrap};
use muster_archive::{Identities, is_recipient};

use crate::turn_a_bit;

const IDENTITY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
const KEY: [u8; 32] = [3; 32];

/// The folder, its file of identities, and a key that is wrapped to them.
static WRAPPED: LazyLock<(tempfile::TempDir, PathBuf, Vec<u8>)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("identities");
    std::fs::write(&path, format!("# a comment\n{IDENTITY}\n")).unwrap();
    let recipients = Identities::read(&path).unwrap().recipients();
    let wrapped = wrap(&KEY, &recipients).unwrap();
    (folder, path, wrapped)
});

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let (_, path, wrapped) = &*WRAPPED;
    assert_eq!(run_key(path, wrapped), Some(KEY));
    let stanza = b"age-encryption.org/v1\n-> X25519 TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc\n".to_vec();
    vec![
        wrapped.clone(),
        stanza.repeat(3),
        IDENTITY.as_bytes().to_vec(),
        b"-> scrypt AAAA 63\n".to_vec(),
    ]
}

/// Takes one input: as a wrapped key, as a change of one, and as a file of identities.
pub(crate) fn check(data: &[u8]) {
    let (folder, path, wrapped) = &*WRAPPED;
    if let Some(key) = run_key(path, data) {
        assert_eq!((key, data), (KEY, &wrapped[..]), "a key that nobody wrapped");
    }
    if let Some(turned) = turn_a_bit(wrapped, data) {
        assert!(run_key(path, &turned).is_none_or(|key| key == KEY));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let other = folder.path().join("other");
        std::fs::write(&other, text).unwrap();
        match Identities::read(&other) {
            Ok(found) => assert!(found.recipients().iter().all(|recipient| is_recipient(recipient))),
            Err(error) => assert!(!format!("{error}").contains("AGE-SECRET-KEY-1G"), "{error}"),
        }
    }
}
