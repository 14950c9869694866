//! A database of any size, invented: its pages' prints and its blocks' hashes come out of a formula, and no byte of it exists.
//!
//! What a run does with them is real: extents, extent maps, index leaves, public list, manifest's figures; then a second run of which
//! nothing changed, and the reads of a restore. `MUSTER_HUGE_PAGES` says how many pages (`bench/huge`); 1,200,000,000 are 10 TB.
//!
//! Invariant: the peak of the whole process stays within the budget, and far below what it would take to remember every page.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::{Receiver, Sender, bounded};
use muster_testkit::memory::peak;

use super::*;
use crate::index::{Cache, IndexSeal, IndexWriter};
use crate::list::Named;
use crate::object_store::LocalStore;
use crate::tree::Location;
use crate::writer::WriteProgress;
use crate::writer::assemble::{Assembler, IndexPlace, Setting};
use crate::writer::base::Base;
use crate::writer::batch::{Batch, Begun, Block, Buffers, Item, Piece, Place};
use crate::writer::costs::Costs;
use crate::writer::files::{MAP, TreeBuilder};
use crate::writer::sealing::Sealing;
use crate::writer::upload::Uploader;

const PAGES: u64 = 8;
/// Blocks of a pack: 32 MiB of frames of 28 KiB.
const OF_PACK: u64 = 1170;
/// What a page would take if a run remembered it: its print, and an eighth of its block's extent and hash.
const REMEMBERED: u64 = 16;
/// Blocks of a batch.
const OF_BATCH: u64 = 2048;

/// A number that looks like chance.
fn mixed(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn pack(number: u64) -> Digest {
    let mut bytes = [0; 32];
    for (at, part) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *part = mixed(number << 2 | at as u64).to_le_bytes();
    }
    Digest::from_bytes(bytes)
}

fn hash(block: u64) -> [u8; 32] {
    *pack(block | 1 << 50).as_bytes()
}

fn location(block: u64) -> Location {
    let ordinal = u32::try_from(block % OF_PACK).unwrap();
    Location {
        pack: pack(block / OF_PACK),
        ordinal,
        offset: 44 + ordinal * 28_000,
        stored: 27_000 + u32::try_from(mixed(block) % 1000).unwrap(),
        raw: false,
        frame_length: 65_536,
        within: 0,
    }
}

struct Huge {
    world: World,
    blocks: u64,
    key: IndexKey,
}

impl Huge {
    /// One run; `parent` is where the last one left it.
    fn run(&mut self, mut parent: Parent) -> Verified<Manifest> {
        let repository = self.world.repository.clone();
        let mut reader = parent.reader.take();
        let hash_key = HashKey::new([7; 32]);
        // The packs are as if the parent had put them: what they hold is not written here.
        for number in 0..self.blocks.div_ceil(OF_PACK) {
            parent.objects.insert((Named::Pack, pack(number)), 33 << 20);
        }
        let parent = Arc::new(parent);
        let seal = IndexSeal::new(&self.key, repository.id(), "db").unwrap();
        let now = self.world.edge.now_ms();
        let index = IndexWriter::new(seal, hash_key.clone(), now, true, 32 << 20);
        let handle = self.world.runtime.handle().clone();
        let uploader = Uploader::start(
            repository.objects(),
            handle.clone(),
            Arc::new(WriteProgress::default()),
            None,
        );
        let edge: Arc<dyn Edge> = Arc::<Counting>::clone(&self.world.edge);
        let sealing = Sealing::begin(repository.clone(), handle, &edge).unwrap();
        let setting = Setting {
            parent: Arc::clone(&parent),
            uploader,
            edge,
            table_bytes: 32 << 20,
            url: "file:///huge".to_owned(),
            tree: TreeBuilder::new(
                &hash_key,
                8192,
                true,
                repository.clone(),
                Some(index),
                sealing.tree(),
                Arc::clone(&parent),
            ),
            sealing,
            index: Some(IndexPlace {
                store: "db".to_owned(),
                key: self.key.id(),
                cache: Cache::new(repository.state(), "db"),
            }),
            journal: false,
        };
        let (give, batches): (Sender<Batch>, Receiver<Batch>) = bounded(4);
        let (give_back, _spare) = bounded(4);
        let assembler =
            std::thread::spawn(move || Assembler::new(setting).run(&batches, &give_back, &AtomicBool::new(false)));
        let mut sequence = 0;
        let mut send = |items: Vec<Item>, blocks: Vec<Block>, pieces: Vec<Piece>, prints: Vec<u64>| {
            let batch = Batch {
                items,
                blocks,
                pieces,
                prints,
                ..Batch::new(sequence, Buffers::default())
            };
            sequence += 1;
            give.send(batch).unwrap();
        };
        let mut block = 0;
        let mut number = 0;
        while block < self.blocks {
            let path = format!("base/16384/{number:08}");
            number += 1;
            let record = reader.as_mut().and_then(|reader| reader.file(path.as_bytes()).unwrap());
            let base = record.map(|record| match &record.content {
                crate::index::Remembered::Leaves(leaves) => {
                    let leaf = reader.as_mut().unwrap().leaf(&leaves[0].leaf).unwrap();
                    Arc::new(parent.base(leaf, Some(leaves[0])))
                }
                crate::index::Remembered::Inline(segment) => Arc::new(parent.base(Arc::clone(segment), None)),
            });
            let kind = NodeKind::File {
                sparse: false,
                size: 0,
                digest: [0; 32],
                content: Content::Inline(Vec::new()),
            };
            let entry = TreeEntry {
                kind,
                ..TreeEntry::directory(path)
            };
            let begun = Begun {
                entry,
                ctime: (0, 0),
                read_whole: 0,
            };
            send(
                vec![
                    Item::Begin(Box::new(begun)),
                    Item::Base {
                        base: base.clone(),
                        block: 0,
                        fresh: true,
                    },
                ],
                Vec::new(),
                Vec::new(),
                Vec::new(),
            );
            let end = (block + MAP as u64).min(self.blocks);
            let first = block;
            while block < end {
                let until = (block + OF_BATCH).min(end);
                let (mut items, mut blocks, mut pieces, mut prints) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
                for at in block..until {
                    prints.extend((0..PAGES).map(|page| mixed(at * PAGES + page)));
                    let same = is_same(base.as_deref(), usize::try_from(at - first).unwrap(), &prints);
                    items.push(Item::Block {
                        length: BLOCK,
                        alone: false,
                    });
                    let place = match same {
                        Some(location) => Place::Old(location),
                        None => Place::Old(location(at)),
                    };
                    blocks.push(Block {
                        length: 65_536,
                        hash: hash(at),
                        pieces: pieces.len()..pieces.len() + 1,
                        prints: 8,
                        same: same.is_some(),
                    });
                    pieces.push(Piece {
                        length: 65_536,
                        hash: hash(at),
                        place,
                    });
                }
                send(items, blocks, pieces, prints);
                block = until;
            }
            let end = Item::End {
                digest: None,
                whole: true,
            };
            send(vec![end], Vec::new(), Vec::new(), Vec::new());
        }
        drop(give);
        let written = assembler.join().unwrap().unwrap();
        self.world.sequence += 1;
        let manifest = self.world.manifest(written);
        let commit = self
            .world
            .repository
            .commit_snapshot(&manifest, &self.world.writer, &*self.world.edge);
        self.world.runtime.block_on(commit).unwrap();
        let point = self.world.wait(self.world.repository.point("db", None));
        self.world.wait(self.world.repository.manifest(&point)).0
    }

    /// What a restore reads before its first byte, and the ranges that it asks for.
    fn plan(&self, manifest: &Verified<Manifest>) -> (u64, u64) {
        let mut costs = Costs::default();
        for leaf in self.world.wait(self.world.repository.tree_leaves(manifest)) {
            for entry in self.world.wait(self.world.repository.read_leaf(&leaf)) {
                let NodeKind::File { content, .. } = entry.kind else {
                    continue;
                };
                match content {
                    Content::Inline(extents) => extents.iter().filter_map(|e| e.location).for_each(|at| costs.add(&at)),
                    Content::Maps(maps) => {
                        for map in maps {
                            let extents = self.world.wait(self.world.repository.read_map(&map));
                            extents.iter().filter_map(|e| e.location).for_each(|at| costs.add(&at));
                        }
                    }
                }
            }
        }
        let cost = costs.finish("file:///huge");
        (cost.decoded_bytes, cost.requests)
    }
}

/// Where the base has a block with these prints, as a worker finds it.
fn is_same(base: Option<&Base>, number: usize, prints: &[u64]) -> Option<Location> {
    let base = base?;
    let block = base.block(number)?;
    let prints = prints.get(prints.len() - 8..)?;
    (block.prints == prints).then(|| base.segment.location(&block.extents[0], 0))?
}

#[test]
fn a_database_of_any_size_fits_the_budget() {
    let pages: u64 = std::env::var("MUSTER_HUGE_PAGES").map_or(2_800_000, |text| text.parse().unwrap());
    let folder = match std::env::var_os("MUSTER_HUGE_DIR") {
        Some(folder) => tempfile::tempdir_in(folder).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let repository = folder.path().join("repository");
    std::fs::create_dir(&repository).unwrap();
    let mut world = World::over(Arc::new(LocalStore::new(&repository).unwrap()));
    world.index = Some(IndexKey::new([5; 32]));
    let mut huge = Huge {
        world,
        blocks: pages / PAGES,
        key: IndexKey::new([5; 32]),
    };
    let logical = huge.blocks * BLOCK as u64;
    let most = (peak() + 24 + pages * REMEMBERED / 2 / (1 << 20)).min(256);
    let first = huge.run(Parent::none());
    assert_eq!(first.tree.logical_bytes, logical);
    eprintln!(
        "full map of {pages} pages: {} bytes of metadata, peak {} MiB",
        first.added_bytes,
        peak()
    );

    let (handle, options) = (huge.world.runtime.handle().clone(), huge.world.options());
    let parent = huge.world.repository.lean_on(&first, &options, &handle).unwrap();
    let second = huge.run(parent);
    assert_eq!(second.tree, first.tree);
    let per_leaf = second.added_bytes / (logical >> 30).max(1);
    eprintln!("nothing changed: {} bytes, peak {} MiB", second.added_bytes, peak());
    assert!(per_leaf < 4096, "{per_leaf} bytes for an unchanged GiB");

    let (decoded, requests) = huge.plan(&second);
    eprintln!(
        "restore plan: {decoded} bytes decoded, {requests} requests, peak {} MiB",
        peak()
    );
    assert_eq!(decoded, logical);
    assert_eq!(second.restore.as_ref().unwrap().requests, requests);
    assert!(peak() < most, "{} of {most} MiB", peak());
}
