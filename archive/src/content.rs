//! Digests of logical content: of a file, and of a whole tree.
//!
//! Invariant: both can be recomputed from restored bytes alone, without the repository (docs/format/archive.md, "Blocks, extents
//! and frames" and "Tree digest").

use std::cmp::Ordering;
use std::fmt;

use muster_signing::{Digest, Hasher};

use crate::tree::{Check, NodeKind, TreeEntry};

/// Length of a block in bytes: files are cut at its multiples.
pub const BLOCK: usize = 64 * 1024;

/// The key of every BLAKE3 hash inside a snapshot. Its tree's index holds it: who cannot read the tree cannot test a guess of
/// what it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct HashKey([u8; 32]);

impl HashKey {
    /// A key from its bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The keyed BLAKE3 hash of an extent's or a block's bytes.
    pub fn hash(&self, bytes: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, bytes).as_bytes()
    }

    /// Whether these are an extent's bytes. Those of a piece are proven by their block's hash alone.
    pub fn fits(&self, bytes: &[u8], check: &Check) -> bool {
        match check {
            Check::Zeros => bytes.iter().all(|byte| *byte == 0),
            Check::Whole(hash) => self.hash(bytes) == *hash,
            Check::Piece(first) => self.hash(bytes).starts_with(first),
        }
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(redacted)")
    }
}

/// Incremental file digest: keyed BLAKE3 over the keyed BLAKE3 hashes of the file's blocks.
#[derive(Clone)]
pub struct FileDigest {
    hashes: blake3::Hasher,
    block: blake3::Hasher,
    filled: usize,
}

impl FileDigest {
    /// A digest of nothing yet.
    pub fn new(key: &HashKey) -> Self {
        Self {
            hashes: blake3::Hasher::new_keyed(&key.0),
            block: blake3::Hasher::new_keyed(&key.0),
            filled: 0,
        }
    }

    /// The next bytes of the file, in order, of any length.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let take = bytes.len().min(BLOCK - self.filled);
            let (head, rest) = bytes.split_at(take);
            self.block.update(head);
            self.filled += take;
            bytes = rest;
            if self.filled == BLOCK {
                self.close_block();
            }
        }
    }

    /// The next whole block (or the file's last, shorter one) by its hash, computed elsewhere.
    pub fn push_block(&mut self, hash: &[u8; 32]) {
        self.hashes.update(hash);
    }

    /// The digest of everything given.
    pub fn finish(mut self) -> [u8; 32] {
        if self.filled > 0 {
            self.close_block();
        }
        *self.hashes.finalize().as_bytes()
    }

    fn close_block(&mut self) {
        self.hashes.update(self.block.finalize().as_bytes());
        self.block.reset();
        self.filled = 0;
    }
}

/// Digest of a whole tree. Entries may come in any order; they are sorted when it is finished.
#[derive(Default)]
pub struct TreeDigest {
    records: Vec<(Vec<u8>, Digest)>,
    streamed: Option<Streamed>,
}

/// A tree whose entries come in path order.
#[derive(Default)]
struct Streamed {
    hasher: Hasher,
    last: Option<Vec<u8>>,
    disordered: bool,
}

impl TreeDigest {
    /// A digest of an empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// A digest of an empty tree whose entries will come in path order, so that none has to be kept. Where one does not,
    /// [`Self::finish`] gives a value that no tree has.
    pub fn in_order() -> Self {
        Self {
            records: Vec::new(),
            streamed: Some(Streamed::default()),
        }
    }

    /// Adds an entry; without promised order its path and 32 bytes are kept.
    pub fn push(&mut self, entry: &TreeEntry) {
        if let Some(streamed) = &mut self.streamed {
            streamed.disordered |= streamed
                .last
                .as_ref()
                .is_some_and(|last| path_order(last, &entry.path).is_ge());
            streamed.hasher.update(record_digest(entry).as_bytes());
            let last = streamed.last.get_or_insert_default();
            last.clear();
            last.extend_from_slice(&entry.path);
            return;
        }
        self.records.push((entry.path.clone(), record_digest(entry)));
    }

    /// The digest, whatever the order in which entries came.
    pub fn finish(mut self) -> Digest {
        if let Some(Streamed { hasher, disordered, .. }) = self.streamed {
            return if disordered {
                Digest::of(b"not in path order")
            } else {
                hasher.finish()
            };
        }
        self.records.sort_by(|a, b| path_order(&a.0, &b.0));
        let mut hasher = Hasher::new();
        for (_, record) in &self.records {
            hasher.update(record.as_bytes());
        }
        hasher.finish()
    }
}

/// Component-wise byte order: a directory comes before what is in it.
pub fn path_order(a: &[u8], b: &[u8]) -> Ordering {
    a.split(|byte| *byte == b'/').cmp(b.split(|byte| *byte == b'/'))
}

fn record_digest(entry: &TreeEntry) -> Digest {
    let mut record = Vec::with_capacity(entry.path.len() + 96);
    let (mode, size, target, digest, device): (u32, u64, &[u8], [u8; 32], (u32, u32)) = match &entry.kind {
        NodeKind::File { size, digest, .. } => (entry.mode, *size, b"", *digest, (0, 0)),
        NodeKind::Symlink { target } => (0, 0, target, [0; 32], (0, 0)),
        NodeKind::HardLink { to } => (entry.mode, 0, to, [0; 32], (0, 0)),
        NodeKind::Device { major, minor, .. } => (entry.mode, 0, b"", [0; 32], (*major, *minor)),
        NodeKind::Directory | NodeKind::Fifo => (entry.mode, 0, b"", [0; 32], (0, 0)),
    };
    record.push(entry.kind.code());
    push_bytes(&mut record, &entry.path);
    record.extend_from_slice(&mode.to_le_bytes());
    record.extend_from_slice(&size.to_le_bytes());
    push_bytes(&mut record, target);
    record.extend_from_slice(&digest);
    record.extend_from_slice(&u64::from(device.0).to_le_bytes());
    record.extend_from_slice(&u64::from(device.1).to_le_bytes());
    Digest::of(&record)
}

fn push_bytes(record: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_digest_does_not_depend_on_how_the_bytes_arrive() {
        let bytes: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        let key = HashKey::new([7; 32]);
        let mut whole = FileDigest::new(&key);
        whole.update(&bytes);
        let mut pieces = FileDigest::new(&key);
        for piece in bytes.chunks(777) {
            pieces.update(piece);
        }
        let mut blocks = FileDigest::new(&key);
        for block in bytes.chunks(BLOCK) {
            blocks.push_block(&key.hash(block));
        }
        let expected = whole.finish();
        assert_eq!(expected, pieces.finish());
        assert_eq!(expected, blocks.finish());
        assert_eq!(FileDigest::new(&key).finish(), key.hash(b""));
        assert_ne!(FileDigest::new(&HashKey::new([8; 32])).finish(), key.hash(b""));
    }

    #[test]
    fn a_tree_digest_does_not_depend_on_the_order_of_entries_but_on_each_of_them() {
        let entry = |path: &str, mode| TreeEntry {
            path: path.into(),
            mode,
            ..TreeEntry::directory("x")
        };
        let digest = |entries: &[TreeEntry]| {
            let mut digest = TreeDigest::new();
            entries.iter().for_each(|entry| digest.push(entry));
            digest.finish()
        };
        let sorted = [entry("a", 0o755), entry("a/b", 0o755), entry("a-b", 0o755)];
        let shuffled = [entry("a-b", 0o755), entry("a", 0o755), entry("a/b", 0o755)];
        assert_eq!(digest(&sorted), digest(&shuffled));
        let mut streamed = TreeDigest::in_order();
        sorted.iter().for_each(|entry| streamed.push(entry));
        assert_eq!(digest(&sorted), streamed.finish());
        let mut disordered = TreeDigest::in_order();
        shuffled.iter().for_each(|entry| disordered.push(entry));
        assert_ne!(digest(&sorted), disordered.finish());
        assert_ne!(digest(&sorted), digest(&sorted[..2]));
        assert_ne!(digest(&sorted[..1]), digest(&[entry("a", 0o700)]));
    }

    #[test]
    fn a_directory_comes_before_what_is_in_it_and_before_names_that_extend_its_own() {
        assert_eq!(path_order(b"a/z", b"a-b"), Ordering::Less);
        assert_eq!(path_order(b"a", b"a/b"), Ordering::Less);
    }
}
