//! Which entries of a listing a restore takes.
//!
//! An entry is taken when a pattern takes it or a directory above it. The directories above a taken entry come with it, and a hard
//! link whose first name is not taken carries the content itself.

use std::collections::{HashMap, HashSet};

use muster_archive::tree::{NodeKind, TreeEntry};
use muster_stores::files::Patterns;

/// Learns from the whole listing, then answers entry by entry.
#[derive(Debug)]
pub(super) struct Selection {
    patterns: Option<Patterns>,
    /// Directories above what is taken.
    above: HashSet<Vec<u8>>,
    /// First names that are not taken, and the taken name that carries their content instead.
    stand_ins: HashMap<Vec<u8>, Vec<u8>>,
}

impl Selection {
    pub(super) fn new(patterns: Option<Patterns>) -> Self {
        Self {
            patterns,
            above: HashSet::new(),
            stand_ins: HashMap::new(),
        }
    }

    /// Sees an entry of the listing; all are seen before the first is taken.
    pub(super) fn learn(&mut self, entry: &TreeEntry) {
        if self.patterns.is_none() || !self.takes(&entry.path, &entry.kind) {
            return;
        }
        for (at, _) in entry.path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/') {
            if !self.above.insert(entry.path[..at].to_vec()) {
                break;
            }
        }
        if let NodeKind::HardLink { to } = &entry.kind
            && !self.takes_file(to)
        {
            self.stand_ins.entry(to.clone()).or_insert_with(|| entry.path.clone());
        }
    }

    /// The entry as it is to be restored; `None` when it is not taken.
    pub(super) fn take(&self, mut entry: TreeEntry) -> Option<TreeEntry> {
        if self.patterns.is_none() {
            return Some(entry);
        }
        if matches!(entry.kind, NodeKind::File { .. })
            && let Some(stand_in) = self.stand_ins.get(&entry.path)
        {
            entry.path.clone_from(stand_in);
            return Some(entry);
        }
        if let NodeKind::HardLink { to } = &mut entry.kind
            && let Some(stand_in) = self.stand_ins.get(to)
        {
            if *stand_in == entry.path {
                return None;
            }
            to.clone_from(stand_in);
        }
        let taken = self.takes(&entry.path, &entry.kind) || self.above.contains(&entry.path);
        taken.then_some(entry)
    }

    fn takes_file(&self, path: &[u8]) -> bool {
        self.matches(path, false)
    }

    fn takes(&self, path: &[u8], kind: &NodeKind) -> bool {
        self.matches(path, *kind == NodeKind::Directory)
    }

    fn matches(&self, path: &[u8], directory: bool) -> bool {
        let Some(patterns) = &self.patterns else { return true };
        let name = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next().map_or(0, <[u8]>::len);
        let one = |path: &[u8], directory| patterns.matches(path, &path[path.len() - name(path)..], directory);
        let mut ends = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at);
        one(path, directory) || ends.any(|end| one(&path[..end], true))
    }
}

#[cfg(test)]
mod tests {
    use muster_archive::tree::Content;

    use super::*;

    fn entry(path: &str, kind: NodeKind) -> TreeEntry {
        TreeEntry {
            path: path.into(),
            kind,
            ..TreeEntry::directory("x")
        }
    }

    fn file(path: &str) -> TreeEntry {
        entry(
            path,
            NodeKind::File {
                sparse: false,
                size: 0,
                digest: [0; 32],
                content: Content::Inline(Vec::new()),
            },
        )
    }

    fn link(path: &str, to: &str) -> TreeEntry {
        entry(path, NodeKind::HardLink { to: to.into() })
    }

    fn taken(patterns: &[&str], listing: &[TreeEntry]) -> Vec<String> {
        let mut selection = Selection::new(Some(Patterns::new(patterns, "--include").unwrap()));
        listing.iter().for_each(|entry| selection.learn(entry));
        let entries = listing.iter().cloned().filter_map(|entry| selection.take(entry));
        entries
            .map(|entry| {
                let path = String::from_utf8(entry.path).unwrap();
                match entry.kind {
                    NodeKind::HardLink { to } => format!("{path} -> {}", String::from_utf8(to).unwrap()),
                    NodeKind::Directory => format!("{path}/"),
                    _ => path,
                }
            })
            .collect()
    }

    #[test]
    fn one_file_comes_with_the_directories_above_it() {
        let listing = [
            TreeEntry::directory("a"),
            TreeEntry::directory("a/b"),
            file("a/b/x"),
            file("a/y"),
            TreeEntry::directory("z"),
        ];
        assert_eq!(taken(&["a/b/x"], &listing), ["a/", "a/b/", "a/b/x"]);
        assert_eq!(taken(&["x"], &listing), ["a/", "a/b/", "a/b/x"]);
        assert!(taken(&["q"], &listing).is_empty());
    }

    #[test]
    fn a_directory_comes_with_all_that_is_in_it() {
        let listing = [
            TreeEntry::directory("a"),
            TreeEntry::directory("a/b"),
            file("a/b/x"),
            file("a/y"),
            file("b.txt"),
        ];
        assert_eq!(taken(&["b"], &listing), ["a/", "a/b/", "a/b/x"]);
        assert_eq!(taken(&["/a"], &listing), ["a/", "a/b/", "a/b/x", "a/y"]);
    }

    #[test]
    fn a_further_name_carries_the_content_when_the_first_one_is_left_out() {
        let listing = [file("first"), link("second", "first"), link("third", "first")];
        assert_eq!(taken(&["second", "third"], &listing), ["second", "third -> second"]);
        assert_eq!(taken(&["first", "third"], &listing), ["first", "third -> first"]);
    }
}
