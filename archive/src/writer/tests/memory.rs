//! Peak memory of the whole test process stays within the budget, whatever the source gives.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use muster_testkit::memory::peak;

use crate::edge::Edge;
use crate::object_store::{self, MemoryStore, ObjectStore, PutOptions};
use crate::repository::tests::{Counting, World};
use crate::tree::{Content, NodeKind, TreeEntry};
use crate::{Parent, SnapshotWriter, WriterOptions};

/// A place that keeps nothing but small things.
#[derive(Debug)]
struct Sink(MemoryStore);

#[async_trait::async_trait]
impl ObjectStore for Sink {
    async fn put(&self, key: &str, body: Bytes, options: PutOptions) -> Result<(), object_store::StorageError> {
        if key.starts_with("packs/") {
            return Ok(());
        }
        if key.starts_with("trees/") || key.starts_with("index/") {
            return Ok(());
        }
        self.0.put(key, body, options).await
    }
    async fn get_limited(&self, key: &str, max: u64) -> Result<Bytes, object_store::StorageError> {
        self.0.get_limited(key, max).await
    }
    async fn get_range(&self, key: &str, range: std::ops::Range<u64>) -> Result<Bytes, object_store::StorageError> {
        self.0.get_range(key, range).await
    }
    async fn head(&self, key: &str) -> Result<object_store::ObjectHead, object_store::StorageError> {
        self.0.head(key).await
    }
    async fn list_page(
        &self,
        query: object_store::ListQuery<'_>,
    ) -> Result<object_store::ListPage, object_store::StorageError> {
        self.0.list_page(query).await
    }
    async fn delete(&self, key: &str) -> Result<(), object_store::StorageError> {
        self.0.delete(key).await
    }
    fn url(&self) -> String {
        self.0.url()
    }
    async fn prepare(&self) -> Result<(), object_store::StorageError> {
        Ok(())
    }
    fn rely_on_conditional_create(&self, _proven: bool) {}
}

fn memory(workers: usize, feed: impl Fn(&mut SnapshotWriter)) -> u64 {
    let world = World {
        objects: Arc::new(Sink(MemoryStore::new())),
        ..World::new()
    };
    let (repository, _) = world.init().unwrap();
    let edge: Arc<dyn Edge> = Arc::<Counting>::clone(&world.edge);
    let options = WriterOptions {
        workers,
        in_order: true,
        index: Some(crate::Indexing {
            key: crate::IndexKey::new([5; 32]),
            store: "db".to_owned(),
        }),
        ..WriterOptions::default()
    };
    let mut writer = SnapshotWriter::start(
        repository,
        Parent::none(),
        &options,
        edge,
        world.runtime.handle().clone(),
        Arc::new(AtomicBool::new(false)),
    );
    feed(&mut writer);
    writer.finish().unwrap();
    peak()
}

fn file(path: &str) -> TreeEntry {
    TreeEntry {
        kind: NodeKind::File {
            sparse: false,
            size: 0,
            digest: [0; 32],
            content: Content::Inline(Vec::new()),
        },
        ..TreeEntry::directory(path)
    }
}

#[test]
fn half_a_million_tiny_files_fit() {
    let most = memory(2, |writer| {
        for n in 0..500_000u32 {
            writer
                .begin_file(file(&format!("some/longer/folder/name/{:04}/{n:08}.json", n / 1000)))
                .unwrap();
            writer
                .write(format!("{{\"number\": {n}, \"text\": \"{}\"}}", n.wrapping_mul(2_654_435_761)).as_bytes())
                .unwrap();
            writer.end_file().unwrap();
        }
    });
    assert!(most < 256, "{most} MiB");
}

fn blocks(writer: &mut SnapshotWriter, count: u64) {
    writer.begin_file(file("big")).unwrap();
    let mut block = vec![0u8; 65_536];
    for n in 0..count {
        block[8..16].copy_from_slice(&(n + 1).to_le_bytes());
        block[64..1100].copy_from_slice(&{
            let mut x = [0u8; 1036];
            blake3::Hasher::new()
                .update(&n.to_le_bytes())
                .finalize_xof()
                .fill(&mut x);
            x
        });
        writer.write(&block).unwrap();
    }
    writer.end_file().unwrap();
}

#[test]
fn many_distinct_blocks_fit() {
    // 800,000 are 50 GB (`bench/huge`).
    let count = std::env::var("MUSTER_HUGE_BLOCKS").map_or(100_000, |text| text.parse().unwrap());
    let most = memory(2, |writer| blocks(writer, count));
    eprintln!("{count} blocks through the pipeline: peak {most} MiB");
    assert!(most < 256, "{most} MiB");
}

#[test]
fn many_cores_fit() {
    let most = memory(32, |writer| {
        writer.begin_file(file("noise")).unwrap();
        let mut block = vec![0u8; 1 << 20];
        for n in 0..400u32 {
            blake3::Hasher::new()
                .update(&n.to_le_bytes())
                .finalize_xof()
                .fill(&mut block);
            writer.write(&block).unwrap();
        }
        writer.end_file().unwrap();
    });
    assert!(most < 256, "{most} MiB");
}

/// Processor time of each thread of this process, in clock ticks (proc(5), `/proc/PID/task/TID/stat`, fields 14 and 15).
fn ticks() -> Vec<u64> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let stat = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
    stat.map(|stat| {
        let fields = stat.rsplit(')').next().unwrap().split_whitespace();
        fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
    })
    .collect()
}

#[test]
fn every_worker_has_a_part_of_the_work() {
    assert_eq!(
        WriterOptions::default().workers,
        std::thread::available_parallelism().unwrap().get()
    );
    memory(4, |writer| {
        writer.begin_file(file("noise")).unwrap();
        let mut block = vec![0u8; 1 << 20];
        for n in 0..2000u32 {
            blake3::Hasher::new()
                .update(&n.to_le_bytes())
                .finalize_xof()
                .fill(&mut block);
            writer.write(&block).unwrap();
        }
        writer.end_file().unwrap();
        let mut ticks = ticks();
        ticks.sort_unstable();
        // Whoever makes the noise, and four workers, each with a multiple of what the others of the process need.
        let busy = ticks.iter().filter(|ticks| **ticks >= 3).count();
        assert!(busy >= 5, "ticks of the threads: {ticks:?}");
    });
}
