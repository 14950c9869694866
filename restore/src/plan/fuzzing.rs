//! Selection by patterns, for `fuzz/` alone (see `crate::fuzzing`).

use muster_archive::tree::TreeEntry;
use muster_stores::files::Patterns;

use super::select::Selection;

pub(crate) fn taken(listing: &[TreeEntry], patterns: Patterns) -> Vec<TreeEntry> {
    let mut selection = Selection::new(Some(patterns));
    listing.iter().for_each(|entry| selection.learn(entry));
    listing
        .iter()
        .cloned()
        .filter_map(|entry| selection.take(entry))
        .collect()
}
