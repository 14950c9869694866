//! What the writer promises: what was written is what a reader finds who follows the format and nothing else, whatever the
//! sizes.

mod failures;
mod huge;
mod interrupted;
mod memory;
mod pages;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use muster_signing::{Digest, KeyEntry, Role, SecretKey, Verified};
use proptest::prelude::*;
use serde_json::json;
use tokio::runtime::Runtime;

use super::{Indexing, Parent, SnapshotWriter, WriterOptions, Written};
use crate::content::{BLOCK, FileDigest, HashKey, path_order};
use crate::edge::Edge;
use crate::object_store::{MemoryStore, ObjectMeta, ObjectStore};
use crate::tree::{Content, Extent, NodeKind, TreeEntry};
use crate::{ArchiveError, FrameDecoder, IndexKey, InitOptions, Manifest, Repository, Tool, Unreadable, VerifyDepth};

const GIB: u64 = 1 << 30;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// A clock and a random source that only count.
struct Counting(AtomicU64);

impl Edge for Counting {
    fn now_ms(&self) -> u64 {
        1_760_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn fill(&self, bytes: &mut [u8]) {
        let seed = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        blake3::Hasher::new().update(&seed).finalize_xof().fill(bytes);
    }
}

/// A run of a file's bytes.
#[derive(Clone, Debug)]
enum Piece {
    /// Bytes that no compressor shortens.
    Noise(u8, u64),
    /// The same byte again and again; a zero is written as any other byte.
    Fill(u8, u64),
    /// Zeros that the source knows to be zeros.
    Hole(u64),
}

impl Piece {
    fn length(&self) -> u64 {
        match *self {
            Self::Noise(_, length) | Self::Fill(_, length) | Self::Hole(length) => length,
        }
    }
}

/// The bytes of a file, piece by piece, without holding them.
struct Bytewise<'a> {
    pieces: std::slice::Iter<'a, Piece>,
    noise: blake3::OutputReader,
    fill: Option<u8>,
    left: u64,
}

impl<'a> Bytewise<'a> {
    fn new(pieces: &'a [Piece]) -> Self {
        Self {
            pieces: pieces.iter(),
            noise: blake3::Hasher::new().finalize_xof(),
            fill: None,
            left: 0,
        }
    }

    /// The next bytes, as many as `out` takes.
    fn next(&mut self, mut out: &mut [u8]) {
        while !out.is_empty() {
            while self.left == 0 {
                let piece = self.pieces.next().expect("more bytes came back than were written");
                self.left = piece.length();
                self.fill = match piece {
                    Piece::Noise(seed, _) => {
                        self.noise = blake3::Hasher::new().update(&[*seed]).finalize_xof();
                        None
                    }
                    Piece::Fill(byte, _) => Some(*byte),
                    Piece::Hole(_) => Some(0),
                };
            }
            let take = usize::try_from(self.left).unwrap().min(out.len());
            let (head, rest) = out.split_at_mut(take);
            match self.fill {
                Some(byte) => head.fill(byte),
                None => self.noise.fill(head),
            }
            self.left -= take as u64;
            out = rest;
        }
    }
}

type Tree = BTreeMap<String, Vec<Piece>>;

struct World {
    runtime: Runtime,
    repository: Repository,
    edge: Arc<Counting>,
    writer: SecretKey,
    sequence: u64,
    /// What the writer remembers is sealed to this; `None`: it remembers nothing.
    index: Option<IndexKey>,
    _state: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self::over(Arc::new(MemoryStore::new()))
    }

    fn over(objects: Arc<dyn ObjectStore>) -> Self {
        let runtime = Runtime::new().unwrap();
        let edge = Arc::new(Counting(AtomicU64::new(0)));
        let state = tempfile::tempdir().unwrap();
        let (root, writer) = (SecretKey::generate([1; 32]), SecretKey::generate([2; 32]));
        let options = InitOptions {
            root: Some(&root),
            believed: root.public(),
            keys: vec![KeyEntry::new(
                Role::Writer,
                writer.public(),
                "w",
                "2026-01-01T00:00:00Z",
            )],
            recipients: Vec::new(),
            lock: None,
            state_dir: state.path(),
        };
        let (repository, _) = runtime.block_on(Repository::init(objects, options, &*edge)).unwrap();
        Self {
            runtime,
            repository,
            edge,
            writer,
            sequence: 0,
            index: None,
            _state: state,
        }
    }

    fn start(&self, parent: Parent, cancel: &Arc<AtomicBool>) -> SnapshotWriter {
        let edge: Arc<dyn Edge> = Arc::<Counting>::clone(&self.edge);
        let (repository, handle) = (self.repository.clone(), self.runtime.handle().clone());
        SnapshotWriter::start(repository, parent, &self.options(), edge, handle, Arc::clone(cancel))
    }

    fn options(&self) -> WriterOptions {
        WriterOptions {
            workers: 3,
            index: self.index.clone().map(|key| Indexing {
                key,
                store: "db".to_owned(),
            }),
            search_moved: true,
            ..WriterOptions::default()
        }
    }

    /// What the next snapshot leans on.
    fn parent(&self) -> Parent {
        let Ok(point) = self.runtime.block_on(self.repository.point("db", None)) else {
            return Parent::none();
        };
        let (manifest, _) = self.wait(self.repository.manifest(&point));
        let handle = self.runtime.handle();
        self.repository.lean_on(&manifest, &self.options(), handle).unwrap()
    }

    /// Writes a tree and commits it; leans on the snapshot before.
    fn snapshot(&mut self, tree: &Tree) -> Verified<Manifest> {
        let mut writer = self.start(self.parent(), &Arc::default());
        for (path, pieces) in tree {
            write_file(&mut writer, path, pieces).unwrap();
        }
        self.commit(writer)
    }

    fn commit(&mut self, writer: SnapshotWriter) -> Verified<Manifest> {
        let written = writer.finish().unwrap();
        self.sequence += 1;
        let manifest = self.manifest(written);
        let commit = self.repository.commit_snapshot(&manifest, &self.writer, &*self.edge);
        self.runtime.block_on(commit).unwrap();
        self.runtime.block_on(async {
            let point = self.repository.point("db", None).await.unwrap();
            self.repository.manifest(&point).await.unwrap().0
        })
    }

    fn manifest(&self, written: Written) -> Manifest {
        Manifest {
            schema: "muster.manifest/1".to_owned(),
            critical: Vec::new(),
            repository: self.repository.id().to_owned(),
            store: "db".to_owned(),
            kind: "files".to_owned(),
            snapshot: format!("01K{:023}", self.sequence),
            sequence: self.sequence,
            parent: written.parent,
            log: None,
            started: self.edge.now(),
            finished: self.edge.now(),
            consistency_point: json!({}),
            source: json!({}),
            tree: written.tree,
            list: written.list,
            encryption: written.encryption,
            stored_bytes: written.stored_bytes,
            added_bytes: written.added_bytes,
            rewritten_bytes: written.rewritten_bytes,
            restore: Some(written.restore),
            index: written.index,
            unreadable: Unreadable::default(),
            tool: Tool {
                name: "muster".to_owned(),
                version: "0".to_owned(),
            },
            retain_until: None,
        }
    }

    /// Reads a snapshot by the format alone and compares every byte, every file digest and the tree digest.
    fn assert_reads_back(&self, manifest: &Manifest, tree: &Tree) {
        let (mut entries, mut files, mut logical) = (0, 0, 0);
        let mut decoder = self.repository.frame_decoder().unwrap();
        let mut expected = tree.iter().collect::<Vec<_>>();
        expected.sort_by(|a, b| path_order(a.0.as_bytes(), b.0.as_bytes()));
        let mut records: Vec<(Vec<u8>, Digest)> = Vec::new();
        let mut found = BTreeMap::new();
        let index = self.wait(self.repository.tree_index(manifest));
        let key = index.hash_key;
        for leaf in index.leaves {
            for entry in self.wait(self.repository.read_leaf(&leaf)) {
                found.insert(String::from_utf8(entry.path.clone()).unwrap(), entry);
            }
        }
        for (path, pieces) in expected {
            let entry = found.remove(path).expect(path);
            let NodeKind::File {
                size, digest, content, ..
            } = entry.kind
            else {
                panic!("{path} is no file");
            };
            assert_eq!(size, pieces.iter().map(Piece::length).sum::<u64>(), "{path}");
            assert_eq!(
                self.read_file(&key, &content, pieces, path, &mut decoder),
                digest,
                "the digest of {path}"
            );
            records.push((entry.path.clone(), record(&entry.path, entry.mode, size, &digest)));
            (entries, files, logical) = (entries + 1, files + 1, logical + size);
        }
        assert!(found.is_empty(), "these were never written: {:?}", found.keys());
        let mut whole = muster_signing::Hasher::new();
        records.iter().for_each(|record| whole.update(record.1.as_bytes()));
        assert_eq!(whole.finish(), manifest.tree.digest, "the tree digest");
        let counted = (manifest.tree.entries, manifest.tree.files, manifest.tree.logical_bytes);
        assert_eq!((entries, files, logical), counted);
    }

    /// Follows a file's extents to its bytes; returns the file digest.
    fn read_file(
        &self,
        key: &HashKey,
        content: &Content,
        pieces: &[Piece],
        path: &str,
        decoder: &mut FrameDecoder,
    ) -> [u8; 32] {
        let mut expected = Bytewise::new(pieces);
        let mut digest = FileDigest::new(key);
        let (mut frame, mut wanted, mut at) = (Vec::new(), Vec::new(), 0);
        let maps: Vec<Vec<Extent>> = match content {
            Content::Inline(extents) => {
                assert!(extents.len() <= 256, "{path} has {} extents and no map", extents.len());
                vec![extents.clone()]
            }
            Content::Maps(maps) => maps
                .iter()
                .map(|map| self.wait(self.repository.read_map(map)))
                .collect(),
        };
        let last = maps.len() - 1;
        for (number, extents) in maps.iter().enumerate() {
            for extent in extents {
                if let Some(location) = extent.location {
                    let range = u64::from(location.offset)..u64::from(location.offset + location.stored);
                    let stored = self.wait(self.repository.read_pack_range(&location.pack, range));
                    decoder.decode(&location, &stored, &mut frame).unwrap();
                    let bytes = &frame[location.within as usize..][..usize::try_from(extent.length).unwrap()];
                    assert!(key.fits(bytes, &extent.check), "{path} at {at}");
                    wanted.resize(bytes.len(), 0);
                    expected.next(&mut wanted);
                    assert!(bytes == wanted, "{path} has other bytes at {at}");
                    digest.update(bytes);
                } else {
                    let mut left = usize::try_from(extent.length).unwrap();
                    while left > 0 {
                        wanted.resize(left.min(BLOCK), 0);
                        expected.next(&mut wanted);
                        assert!(wanted == ZEROS[..wanted.len()], "{path} is no zeros at {at}");
                        digest.update(&wanted);
                        left -= wanted.len();
                    }
                }
                at += extent.length;
            }
            let whole = (number as u64 + 1) * GIB;
            assert!(number == last || at == whole, "map {number} of {path} ends at {at}");
        }
        assert_eq!(at, pieces.iter().map(Piece::length).sum::<u64>(), "{path}");
        digest.finish()
    }

    fn assert_verifies(&self) {
        let verification = self.repository.verify(None, VerifyDepth::ReadData, &|_| {});
        let found = self.runtime.block_on(verification).unwrap();
        assert!(found.damaged.is_empty() && found.unreadable.is_empty(), "{found:?}");
        assert_eq!(found.snapshots, self.sequence);
    }

    fn packs(&self) -> Vec<ObjectMeta> {
        self.runtime.block_on(self.repository.objects().list("packs/")).unwrap()
    }

    fn wait<T>(&self, read: impl Future<Output = Result<T, ArchiveError>>) -> T {
        self.runtime.block_on(read).unwrap()
    }
}

fn write_file(writer: &mut SnapshotWriter, path: &str, pieces: &[Piece]) -> Result<(), ArchiveError> {
    let kind = NodeKind::File {
        sparse: false,
        size: 0,
        digest: [0; 32],
        content: Content::Inline(Vec::new()),
    };
    writer.begin_file(TreeEntry {
        kind,
        ..TreeEntry::directory(path)
    })?;
    for piece in pieces {
        if let Piece::Hole(length) = piece {
            writer.zeros(*length)?;
            continue;
        }
        let mut bytes = Bytewise::new(std::slice::from_ref(piece));
        let mut left = piece.length();
        while left > 0 {
            // An odd length, so that what arrives is never what is stored.
            let mut part = vec![0; usize::try_from(left.min(77_777)).unwrap()];
            bytes.next(&mut part);
            writer.write(&part)?;
            left -= part.len() as u64;
        }
    }
    writer.end_file()
}

/// A record of the tree digest as docs/format/archive.md describes it, for a file.
fn record(path: &[u8], mode: u32, size: u64, digest: &[u8; 32]) -> Digest {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&u32::try_from(path.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(path);
    bytes.extend_from_slice(&mode.to_le_bytes());
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&0u32.to_le_bytes());
    bytes.extend_from_slice(digest);
    bytes.extend_from_slice(&[0; 16]);
    Digest::of(&bytes)
}

fn length() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => prop::sample::select(vec![0, 1, 2, 4095, 8192, 16_384, 40_960, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073, 196_608]),
        1 => 0u64..300_000,
    ]
}

fn piece() -> impl Strategy<Value = Piece> {
    // Few seeds: duplicates within a file, between files, and with the parent are the rule.
    prop_oneof![
        4 => (0u8..6, length()).prop_map(|(seed, length)| Piece::Noise(seed, length)),
        2 => (0u8..3, length()).prop_map(|(byte, length)| Piece::Fill(byte, length)),
        2 => length().prop_map(Piece::Hole),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    let pieces = prop::collection::vec(piece(), 0..4);
    prop::collection::btree_map("[a-c]{1,2}/[a-d]{1,3}", pieces, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_written_is_what_the_format_leads_to(
        first in tree(),
        changed in tree(),
        kept in any::<u32>(),
        remembers in any::<bool>(),
    ) {
        let mut second: Tree = first
            .iter()
            .enumerate()
            .filter(|(at, _)| kept >> (at % 32) & 1 == 1)
            .map(|(_, (path, pieces))| (path.clone(), pieces.clone()))
            .collect();
        second.extend(changed);
        let mut world = World::new();
        world.index = remembers.then(|| IndexKey::new([5; 32]));
        let before = world.snapshot(&first);
        world.assert_reads_back(&before, &first);
        let after = world.snapshot(&second);
        world.assert_reads_back(&after, &second);
        world.assert_reads_back(&before, &first);
        let packs = world.packs();
        let again = world.snapshot(&second);
        prop_assert_eq!(&again.tree.digest, &after.tree.digest);
        // What the run before had no budget for may be stored again on purpose.
        if again.rewritten_bytes == 0 {
            prop_assert_eq!(world.packs(), packs, "an unchanged tree put a pack");
            prop_assert_eq!(&again.tree, &after.tree);
        }
        world.assert_verifies();
    }
}

#[test]
fn short_blocks_that_share_a_frame_survive_the_end_of_a_pack_between_them() {
    let mut world = World::new();
    let tree: Tree = (0..600u32)
        .map(|n| {
            let (seed, tail) = ((n % 251) as u8, u64::from(n % 97) * 300 + 1);
            let noise = Piece::Noise(seed, 131_072);
            let own = Piece::Fill(1 + u8::try_from(n / 251).unwrap(), 70_000);
            (format!("d/{n:05}"), vec![own, noise, Piece::Noise(seed ^ 0x55, tail)])
        })
        .collect();
    let manifest = world.snapshot(&tree);
    assert!(world.packs().len() > 1);
    world.assert_reads_back(&manifest, &tree);
    world.assert_verifies();
}

#[test]
fn a_pack_that_is_closed_early_because_much_waits_for_it_loses_nothing() {
    let mut world = World::new();
    let mut tree: Tree = (0..110_000u32)
        .map(|n| {
            (
                format!("{:03}/{n:06}", n / 1000),
                vec![Piece::Fill((n % 255) as u8, u64::from(n % 7) * 40)],
            )
        })
        .collect();
    world.snapshot(&tree);
    tree.insert("050/050000".to_owned(), vec![Piece::Noise(9, 100)]);
    let manifest = world.snapshot(&tree);
    assert!(manifest.added_bytes < 400_000, "{}", manifest.added_bytes);
    world.assert_reads_back(&manifest, &tree);
}

#[test]
fn maps_begin_anew_at_each_gibibyte_whatever_lies_there() {
    let block = BLOCK as u64;
    let tree: Tree = [
        ("all-zeros", vec![Piece::Hole(GIB)]),
        ("zeros-and-one", vec![Piece::Hole(GIB), Piece::Fill(1, 1)]),
        ("short-of-it", vec![Piece::Hole(GIB - 1)]),
        (
            "over-it",
            vec![Piece::Hole(GIB - block), Piece::Noise(1, 2 * block), Piece::Hole(7)],
        ),
        (
            "across-two",
            vec![Piece::Noise(2, 5), Piece::Hole(2 * GIB), Piece::Noise(3, block)],
        ),
        ("many", vec![Piece::Noise(4, 256 * block)]),
        ("more", vec![Piece::Noise(4, 256 * block), Piece::Noise(5, 1)]),
    ]
    .into_iter()
    .map(|(path, pieces)| (path.to_owned(), pieces))
    .collect();
    let mut world = World::new();
    let first = world.snapshot(&tree);
    world.assert_reads_back(&first, &tree);
    let second = world.snapshot(&tree);
    assert_eq!(first.tree, second.tree);
    world.assert_verifies();
}
