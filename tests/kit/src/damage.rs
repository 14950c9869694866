//! Damage as disks, networks and thieves do it: one flipped bit, a lost end, a lost object, another object in its place.

use std::fs;
use std::path::{Path, PathBuf};

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One bit in the middle.
    Flip,
    /// The last byte is gone.
    Truncate,
    /// One byte more at the end.
    Extend,
    /// The file is gone.
    Remove,
}

/// What happens to a file for good, without regard for what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Harm {
    /// It is gone.
    Gone,
    /// Its second half is gone.
    Cut,
    /// One bit of this byte; of the one in the middle where none is named.
    Flip(Option<u64>),
    /// These bytes stand in its place, whether there was a file or not.
    Replace(Vec<u8>),
}

impl Harm {
    /// Does it to `path`.
    pub fn to(&self, path: &Path) {
        let read = || fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let after = match self {
            Self::Gone => return fs::remove_file(path).expect("remove"),
            Self::Replace(bytes) => {
                fs::create_dir_all(path.parent().expect("a file has a folder")).expect("make folders");
                bytes.clone()
            }
            Self::Cut => {
                let mut bytes = read();
                bytes.truncate(bytes.len() / 2);
                bytes
            }
            Self::Flip(at) => {
                let mut bytes = read();
                let at = at.map_or(bytes.len() / 2, |at| usize::try_from(at).expect("fits"));
                bytes[at] ^= 0x10;
                bytes
            }
        };
        fs::write(path, after).expect("write the damage");
    }
}

/// A damaged file, whole again when dropped.
#[derive(Debug)]
pub struct Damaged {
    path: PathBuf,
    before: Vec<u8>,
}

impl Damage {
    /// Does it to `path`.
    pub fn to(self, path: &Path) -> Damaged {
        let before = fs::read(path).expect("read what is to be damaged");
        assert!(
            !before.is_empty(),
            "{}: an empty file cannot be damaged",
            path.display()
        );
        let mut bytes = before.clone();
        match self {
            Self::Flip => bytes[before.len() / 2] ^= 0x10,
            Self::Truncate => bytes.truncate(before.len() - 1),
            Self::Extend => bytes.push(b'\n'),
            Self::Remove => {}
        }
        let damaged = Damaged {
            path: path.to_owned(),
            before,
        };
        match self {
            Self::Remove => fs::remove_file(path).expect("remove"),
            _ => fs::write(path, bytes).expect("write the damage"),
        }
        damaged
    }
}

impl Drop for Damaged {
    fn drop(&mut self) {
        let _ = fs::write(&self.path, &self.before);
    }
}

/// Every file beneath `root` as a relative path, sorted.
pub fn files_beneath(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(
                    path.strip_prefix(root)
                        .expect("beneath")
                        .to_str()
                        .expect("names of objects are ASCII")
                        .to_owned(),
                );
            }
        }
    }
    found.sort();
    found
}
