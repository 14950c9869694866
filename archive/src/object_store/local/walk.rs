//! Lists the files beneath a root that are objects, in the order of their keys, and stops where the page is full. It is complete or
//! it fails: only what vanishes meanwhile, and what no muster wrote (links, foreign names, unfinished writes), is left out.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode};
use rustix::io::Errno;

use super::{Cause, FOLDER, ListPage, ListQuery, SCRATCH};
use crate::object_store::ObjectMeta;
use crate::object_store::key::is_key;

pub(super) fn page(root: OwnedFd, query: &ListQuery<'_>) -> Result<ListPage, Cause> {
    let mut page = ListPage::default();
    collect(&root, "", query, &mut page)?;
    Ok(page)
}

/// Adds what lies in one folder; `false` when the page is full.
fn collect(folder: &OwnedFd, path: &str, query: &ListQuery<'_>, page: &mut ListPage) -> Result<bool, Cause> {
    for (key, kind) in entries(folder, path, query)? {
        let name = key.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
        let behind = query.after.is_none_or(|after| key.as_str() > after);
        let going_on = match kind {
            FileType::Directory => {
                let inner = match rustix::fs::openat(folder, name, FOLDER, Mode::empty()) {
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                    inner => inner?,
                };
                if !query.folders || key.len() <= query.prefix.len() {
                    collect(&inner, &key, query, page)?
                } else if behind && holds_something(&inner, &key)? {
                    add(page, query, |page| page.folders.push(key))
                } else {
                    true
                }
            }
            _ if !behind => true,
            _ => {
                let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => continue,
                    stat => stat?,
                };
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                add(page, query, |page| page.objects.push(ObjectMeta { key, size }))
            }
        };
        if !going_on {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The files and folders of a folder that are, or may hold, what is asked for; a folder's key ends with `/`, so that they sort as the
/// keys beneath them do.
fn entries(folder: &OwnedFd, path: &str, query: &ListQuery<'_>) -> Result<BTreeMap<String, FileType>, Cause> {
    let mut found = BTreeMap::new();
    let mut listing = Dir::read_from(folder)?;
    while let Some(entry) = listing.read() {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        let mut key = format!("{path}{name}");
        if name == "." || name == ".." || key == SCRATCH || !is_key(&key) {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                stat => FileType::from_raw_mode(stat?.st_mode),
            },
            known => known,
        };
        let wanted = match kind {
            FileType::RegularFile => key.starts_with(query.prefix),
            FileType::Directory => {
                key.push('/');
                // Behind `after` there is nothing in a folder whose last possible key comes before it.
                let left = query
                    .after
                    .is_none_or(|after| key.as_str() > after || after.starts_with(&key));
                left && (key.starts_with(query.prefix) || query.prefix.starts_with(&key))
            }
            _ => false,
        };
        if wanted {
            found.insert(key, kind);
        }
    }
    Ok(found)
}

fn holds_something(folder: &OwnedFd, key: &str) -> Result<bool, Cause> {
    let mut page = ListPage::default();
    let query = ListQuery {
        prefix: key,
        after: None,
        max: 1,
        folders: false,
    };
    collect(folder, key, &query, &mut page)?;
    Ok(!page.objects.is_empty())
}

/// Adds to a page, or says that there is more than fits.
fn add(page: &mut ListPage, query: &ListQuery<'_>, push: impl FnOnce(&mut ListPage)) -> bool {
    if page.objects.len() + page.folders.len() >= query.max.max(1) {
        page.more = true;
        return false;
    }
    push(page);
    true
}
