//! The tree digest of a listing that did not come in path order: its entries are taken in path order, as many at a time as memory may
//! hold, and the listing is read again for the next.
//!
//! Invariant: memory is bounded, whatever the listing's length. No kind of store with a listing of many millions of entries tells it in
//! another order than that of its paths, so that one look is nearly always enough.

use std::collections::BTreeMap;

use muster_archive::tree::{Content, NodeKind, TreeEntry};
use muster_archive::{TreeDigest, path_order};
use muster_signing::Digest;

use super::RestorePlan;
use crate::RestoreError;
use crate::session::Session;

/// Bytes of entries that are held at a time, about.
pub(super) const MEMORY: usize = 32 << 20;

/// Whether paths come in their order, each once.
#[derive(Default)]
pub(super) struct InOrder {
    last: Option<Vec<u8>>,
    broken: bool,
}

impl InOrder {
    pub(super) fn note(&mut self, path: &[u8]) {
        if self.broken {
            return;
        }
        self.broken = self.last.as_ref().is_some_and(|last| path_order(last, path).is_ge());
        let last = self.last.get_or_insert_default();
        last.clear();
        last.extend_from_slice(path);
    }

    pub(super) fn holds(&self) -> bool {
        !self.broken
    }
}

/// The digest of the whole listing, with about `memory` bytes of entries in memory. A path that comes twice is two entries.
pub(super) fn digest(session: &Session<'_>, plan: &RestorePlan, memory: usize) -> Result<Digest, RestoreError> {
    in_path_order(memory, |take| {
        plan.each_leaf(session, |leaf| {
            // A leaf that was there a moment ago and is not now: what is missing shows in the digest.
            leaf.into_iter().flatten().for_each(&mut *take);
            Ok(())
        })
    })
}

/// Looks at all entries, `look` by `look`, until each was taken in its order.
fn in_path_order(
    memory: usize,
    mut look: impl FnMut(&mut dyn FnMut(TreeEntry)) -> Result<(), RestoreError>,
) -> Result<Digest, RestoreError> {
    let mut digest = None;
    let mut after = None;
    loop {
        let mut nearest = Nearest::new(after.take(), memory);
        let mut place = 0u64;
        look(&mut |entry| {
            nearest.push(entry, place);
            place += 1;
        })?;
        let digest = digest.get_or_insert_with(|| match nearest.left_out {
            true => TreeDigest::in_order(),
            false => TreeDigest::new(),
        });
        nearest.entries.values().for_each(|entry| digest.push(entry));
        match nearest.entries.pop_last() {
            Some((last, _)) if nearest.left_out => after = Some(last),
            _ => break,
        }
    }
    Ok(digest.unwrap_or_default().finish())
}

/// A path whose order is that of its bytes (no path holds a zero), and where in the listing it stands.
type Place = (Vec<u8>, u64);

/// The first entries behind a place.
struct Nearest {
    after: Option<Place>,
    memory: usize,
    entries: BTreeMap<Place, TreeEntry>,
    held: usize,
    /// Whether there were more than memory holds.
    left_out: bool,
}

impl Nearest {
    fn new(after: Option<Place>, memory: usize) -> Self {
        Self {
            after,
            memory,
            entries: BTreeMap::new(),
            held: 0,
            left_out: false,
        }
    }

    fn push(&mut self, mut entry: TreeEntry, place: u64) {
        let path = entry.path.iter().map(|byte| if *byte == b'/' { 0 } else { *byte });
        let key = (path.collect(), place);
        if self.after.as_ref().is_some_and(|after| key <= *after) {
            return;
        }
        if self.left_out && self.entries.last_key_value().is_some_and(|(last, _)| key > *last) {
            return;
        }
        if let NodeKind::File { content, .. } = &mut entry.kind {
            // The digest does not look at where the bytes lie.
            *content = Content::Inline(Vec::new());
        }
        entry.xattrs = Vec::new();
        self.held += cost(&entry);
        self.entries.insert(key, entry);
        while self.held > self.memory && self.entries.len() > 1 {
            if let Some((_, last)) = self.entries.pop_last() {
                self.held -= cost(&last);
                self.left_out = true;
            }
        }
    }
}

fn cost(entry: &TreeEntry) -> usize {
    let target = match &entry.kind {
        NodeKind::Symlink { target } | NodeKind::HardLink { to: target } => target.len(),
        _ => 0,
    };
    384 + 2 * entry.path.len() + target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_in_any_order_give_the_digest_of_their_order_in_little_memory() {
        let mut entries: Vec<TreeEntry> = (0..2000u32)
            .map(|n| {
                let n = n.wrapping_mul(2_654_435_761) % 100_000;
                TreeEntry::directory(format!("{}/{}-{n}", n % 7, n % 13))
            })
            .collect();
        entries.extend((0..7).map(|n| TreeEntry::directory(format!("{n}"))));
        entries.extend((0..7).map(|n| TreeEntry::directory(format!("{n}-"))));
        let mut whole = TreeDigest::new();
        entries.iter().for_each(|entry| whole.push(entry));
        let expected = whole.finish();
        let looks_with = |memory| {
            let mut looks = 0;
            let found = in_path_order(memory, |take| {
                looks += 1;
                entries.iter().cloned().for_each(take);
                Ok(())
            });
            assert_eq!(found.unwrap(), expected, "{memory}");
            looks
        };
        assert_eq!(looks_with(MEMORY), 1);
        let looks = looks_with(100_000);
        assert!((8..20).contains(&looks), "{looks} looks");
    }

    #[test]
    fn no_more_is_held_than_memory_may() {
        let mut nearest = Nearest::new(None, 10_000);
        for n in (0..5000u64).rev() {
            nearest.push(TreeEntry::directory(format!("{n:04}")), n);
            assert!(nearest.held <= 10_000 && nearest.entries.len() <= 30);
        }
        assert!(nearest.left_out && nearest.entries.len() > 10);
    }

    #[test]
    fn order_is_that_of_components_and_a_path_that_comes_twice_breaks_it() {
        let holds = |paths: &[&str]| {
            let mut order = InOrder::default();
            paths.iter().for_each(|path| order.note(path.as_bytes()));
            order.holds()
        };
        assert!(holds(&["a", "a/b", "a-b"]));
        assert!(!holds(&["a", "a-b", "a/b"]));
        assert!(!holds(&["a", "a"]));
        assert!(!holds(&["b", "a", "c"]));
    }
}
