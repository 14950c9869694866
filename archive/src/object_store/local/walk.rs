//! Lists the files beneath a root that are objects. It is complete or it fails: only what vanishes meanwhile, and what no muster
//! wrote (links, foreign names, unfinished writes), is left out.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode};
use rustix::io::Errno;

use super::{Cause, FOLDER, ObjectMeta, SCRATCH};
use crate::object_store::key::is_key;

pub(super) fn objects(root: OwnedFd, prefix: &str) -> Result<Vec<ObjectMeta>, Cause> {
    let mut found = Vec::new();
    let mut folders = vec![(root, String::new())];
    while let Some((folder, path)) = folders.pop() {
        let mut entries = Dir::read_from(&folder)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let key = format!("{path}{name}");
            if name == "." || name == ".." || key == SCRATCH || !is_key(&key) || !may_hold(&key, prefix) {
                continue;
            }
            let stat = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                stat => stat?,
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile if key.starts_with(prefix) => {
                    found.push(ObjectMeta {
                        key,
                        size: u64::try_from(stat.st_size).unwrap_or(0),
                    });
                }
                FileType::Directory => match rustix::fs::openat(&folder, name, FOLDER, Mode::empty()) {
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                    inner => folders.push((inner?, format!("{key}/"))),
                },
                _ => {}
            }
        }
    }
    found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

/// Whether an entry is, or may be on the way to, an object with this prefix.
fn may_hold(key: &str, prefix: &str) -> bool {
    key.starts_with(prefix) || prefix.strip_prefix(key).is_some_and(|rest| rest.starts_with('/'))
}
