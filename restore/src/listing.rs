//! What a recovery point holds, without restoring it.

use muster_archive::Manifest;
use muster_archive::tree::TreeEntry;

use crate::session::Session;
use crate::{RestoreError, reading};

/// Tells each entry at or beneath `path` (all of them where it is empty), in the listing's order. A trailing `/` does not matter.
/// Returns how many there were.
///
/// # Errors
/// Where a part of the listing cannot be read; what `each` returns.
pub fn list(
    session: &Session<'_>,
    manifest: &Manifest,
    path: &[u8],
    mut each: impl FnMut(TreeEntry) -> Result<(), RestoreError>,
) -> Result<u64, RestoreError> {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let beneath = |entry: &TreeEntry| match entry.path.strip_prefix(path) {
        Some(rest) => path.is_empty() || rest.is_empty() || rest.starts_with(b"/"),
        None => false,
    };
    let ids = session.wait(session.repository.tree_leaves(manifest))??;
    let mut count = 0;
    for (_, leaf) in reading::leaves(session, ids) {
        session.check()?;
        for entry in leaf?.into_iter().filter(beneath) {
            count += 1;
            each(entry)?;
        }
    }
    session.check()?;
    Ok(count)
}
