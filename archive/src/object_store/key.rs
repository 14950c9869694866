//! Which names may stand for an object. The rule is narrower than any place's own, so that a key means the same everywhere and
//! can never leave its root.

use super::error::{ErrorKind, StorageError};

/// The folder of a local repository in which unfinished writes lie; no key begins with it.
pub(super) const SCRATCH: &str = ".tmp";

const LONGEST_KEY: usize = 768;
const LONGEST_PART: usize = 255;

/// Whether a name may be a key: 1 to 768 printable ASCII characters; `/` separates components of 1 to 255; no component is `.` or
/// `..`; the first is not `.tmp`; no backslash.
pub fn is_key(name: &str) -> bool {
    let printable = name.bytes().all(is_key_byte);
    let part = |part: &str| !part.is_empty() && part.len() <= LONGEST_PART && part != "." && part != "..";
    printable && name.len() <= LONGEST_KEY && name.split('/').all(part) && name.split('/').next() != Some(SCRATCH)
}

/// Refuses a name that may not be a key ([`is_key`]).
pub fn check_key(name: &str) -> Result<(), StorageError> {
    if is_key(name) {
        return Ok(());
    }
    let attempt = format!("use {:?} as the key of an object", shortened(name));
    Err(StorageError::new(ErrorKind::Invalid, &shortened(name), attempt))
}

/// Refuses a prefix that no key can have.
pub(super) fn check_prefix(prefix: &str) -> Result<(), StorageError> {
    let whole = prefix.rsplit_once('/').map_or("", |(folders, _)| folders);
    let possible = prefix.bytes().all(is_key_byte) && prefix.len() <= LONGEST_KEY;
    if possible && !prefix.starts_with('/') && (whole.is_empty() || is_key(whole)) {
        return Ok(());
    }
    let attempt = format!("list the objects below {:?}", shortened(prefix));
    Err(StorageError::new(ErrorKind::Invalid, &shortened(prefix), attempt))
}

fn is_key_byte(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && byte != b'\\'
}

fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_cannot_leave_its_root_or_mean_two_things() {
        for good in [
            "muster.dsse",
            "packs/ab/abcd",
            "a b/+%&=?#~(!)'*",
            "...",
            ".hidden",
            "a/.tmp",
        ] {
            assert!(is_key(good), "{good}");
        }
        let long = "x".repeat(256);
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            "a/.",
            ".tmp",
            ".tmp/1",
            "a\\b",
            "a\nb",
            "a\0b",
            "é",
            &long,
        ] {
            assert!(!is_key(bad), "{bad:?}");
            assert_eq!(check_key(bad).unwrap_err().kind, ErrorKind::Invalid);
        }
    }

    #[test]
    fn a_prefix_is_the_beginning_of_a_key() {
        for good in ["", "p", "packs/", "packs/a", "snapshots/db/01"] {
            assert!(check_prefix(good).is_ok(), "{good}");
        }
        for bad in ["/", "../", "a//", "a/../", "é"] {
            assert!(check_prefix(bad).is_err(), "{bad}");
        }
    }
}
