//! Globs and what a restore takes by them: nothing without the directories above it, no link to what is not there.
//!
//! The input is lines: patterns first, then paths behind an empty line. A path `a -> b` is a further name of `b`.

use std::collections::BTreeMap;

use muster_archive::tree::{Content, NodeKind, TreeEntry, is_valid_path};
use muster_restore::fuzzing::taken;
use muster_stores::files::Patterns;

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "*.log\n\na/x.log\nb/y.txt\n",
        "a/**/c\n/top\nd/\n\na/b/c\na/c\ntop\nd/e/f\n",
        "second\nthird\n\nfirst\nsecond -> first\nthird -> first\n",
        "{a,b}/[!c]?\\*\n\na/xy*\nb/c\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// The listing of these paths: directories above them, each path once, a link only to an earlier file.
fn listing(lines: &[&str]) -> Vec<TreeEntry> {
    let mut entries: BTreeMap<Vec<u8>, NodeKind> = BTreeMap::new();
    let file = || NodeKind::File {
        sparse: false,
        size: 0,
        digest: [0; 32],
        content: Content::Inline(Vec::new()),
    };
    for line in lines {
        let (path, to) = line
            .split_once(" -> ")
            .map_or((*line, None), |(path, to)| (path, Some(to)));
        let path = path.as_bytes();
        if !is_valid_path(path) || entries.contains_key(path) {
            continue;
        }
        let above: Vec<&[u8]> = (0..path.len())
            .filter(|at| path[*at] == b'/')
            .map(|at| &path[..at])
            .collect();
        if above
            .iter()
            .any(|folder| entries.get(*folder).is_some_and(|kind| *kind != NodeKind::Directory))
        {
            continue;
        }
        let kind = match to {
            None => file(),
            Some(to) if matches!(entries.get(to.as_bytes()), Some(NodeKind::File { .. })) => NodeKind::HardLink {
                to: to.as_bytes().to_vec(),
            },
            Some(_) => continue,
        };
        for folder in above {
            entries.insert(folder.to_vec(), NodeKind::Directory);
        }
        entries.insert(path.to_vec(), kind);
    }
    let entry = |(path, kind)| TreeEntry {
        kind,
        ..TreeEntry::directory(path)
    };
    entries.into_iter().map(entry).collect()
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (patterns, paths) = text.split_once("\n\n").unwrap_or((text, ""));
    let patterns: Vec<&str> = patterns.lines().take(16).collect();
    let Ok(compiled) = Patterns::new(&patterns, "--include") else {
        return;
    };
    let listing = listing(&paths.lines().take(64).collect::<Vec<_>>());
    let taken: BTreeMap<Vec<u8>, NodeKind> = taken(&listing, compiled)
        .into_iter()
        .map(|entry| (entry.path, entry.kind))
        .collect();
    for (path, kind) in &taken {
        for at in (0..path.len()).filter(|at| path[*at] == b'/') {
            assert_eq!(taken.get(&path[..at]), Some(&NodeKind::Directory), "above {path:?}");
        }
        if let NodeKind::HardLink { to } = kind {
            assert!(
                matches!(taken.get(to), Some(NodeKind::File { .. })),
                "{path:?} -> {to:?}"
            );
        }
    }
}
