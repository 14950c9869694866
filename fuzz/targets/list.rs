//! Public lists: a hunk that is read is what it would be written as.

use muster_archive::fuzzing::{hunk, hunk_again};
use muster_signing::Digest;

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let id = |n: u8| Digest::of(&[n]);
    vec![
        hunk(&[(id(1), 9)], &[(id(2), 10)]).unwrap(),
        hunk(&[], &[]).unwrap(),
        format!("muster-list/1\nlist {} 4096 -\n", id(3).hex()).into_bytes(),
        format!("muster-list/1\nrun {} 18446744073709551615 -\n", id(3).hex()).into_bytes(),
    ]
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    if let Some(again) = hunk_again(data) {
        assert_eq!(again, data);
    }
}
