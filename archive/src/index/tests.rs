//! An index set as a whole: what went in is found by its path, and only by who sealed it.

use std::sync::Arc;

use muster_signing::Digest;

use super::directory::Root;
use super::key::IndexSeal;
use super::object::{ROOT, decode};
use super::*;
use crate::content::HashKey;
use crate::object_store::PutOptions;
use crate::repository::tests::World;
use crate::{Repository, layout};

fn record(path: &str, size: u64) -> FileRecord {
    let extents = if size == 0 {
        Vec::new()
    } else {
        vec![crate::tree::Extent::zeros(size)]
    };
    FileRecord {
        path: path.into(),
        sparse: false,
        size,
        mtime: (1, 2),
        ctime: (3, 4),
        read_whole: 5,
        digest: [6; 32],
        content: Remembered::Inline(Arc::new(
            Segment::of(8192, &extents, Vec::new(), true, |_| None).unwrap(),
        )),
    }
}

fn seal(key: u8, repository: &Repository, store: &str) -> IndexSeal {
    IndexSeal::new(&IndexKey::new([key; 32]), repository.id(), store).unwrap()
}

fn write(world: &World, repository: &Repository, in_order: bool, paths: &[String]) -> Digest {
    let mut writer = IndexWriter::new(seal(1, repository, "db"), HashKey::new([7; 32]), 9, in_order, 1 << 20);
    for (at, path) in paths.iter().enumerate() {
        writer.file(&record(path, at as u64)).unwrap();
    }
    let (root, objects) = writer.finish().unwrap();
    for (id, object) in objects {
        let key = layout::index("db", &id);
        let put = world.objects.put(&key, object.into(), PutOptions::OVERWRITE);
        world.runtime.block_on(put).unwrap();
    }
    root
}

#[test]
fn each_file_is_found_by_its_path_whatever_the_order_in_which_they_came() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let mut paths: Vec<String> = (0..3000).map(|n| format!("{:02}/{n}", n % 70)).collect();
    paths.sort_by(|a, b| crate::path_order(a.as_bytes(), b.as_bytes()));
    let ordered = write(&world, &repository, true, &paths);
    let sizes: Vec<String> = paths.clone();
    let mut shuffled: Vec<(usize, String)> = sizes.into_iter().enumerate().collect();
    shuffled.sort_by_key(|(at, _)| at * 7919 % 3001);
    let mut writer = IndexWriter::new(seal(1, &repository, "db"), HashKey::new([7; 32]), 9, false, 8 << 20);
    for (at, path) in &shuffled {
        writer.file(&record(path, *at as u64)).unwrap();
    }
    assert_eq!(writer.finish().unwrap().0, ordered, "the order made another set");

    let open = |key| {
        let seal = seal(key, &repository, "db");
        let handle = world.runtime.handle().clone();
        world
            .runtime
            .block_on(IndexReader::open(&repository, handle, "db", seal, &ordered))
    };
    let mut reader = open(1).unwrap();
    for (at, path) in paths.iter().enumerate() {
        assert_eq!(*reader.file(path.as_bytes()).unwrap().unwrap(), record(path, at as u64));
    }
    assert!(reader.file(b"00/no").unwrap().is_none() && reader.file(b"!").unwrap().is_none());
    assert!(reader.root().chunks.len() > 4);
    assert!(open(2).is_err(), "another key opened it");
}

#[test]
fn an_index_object_opens_for_its_own_store_kind_and_bytes_alone() {
    let world = World::new();
    let (repository, _) = world.init().unwrap();
    let id = write(&world, &repository, true, &["a".to_owned()]);
    let key = layout::index("db", &id);
    let get = world.objects.get_limited(&key, 1 << 20);
    let object = world.runtime.block_on(get).unwrap();
    let body = decode(&seal(1, &repository, "db"), ROOT, &object).unwrap();
    assert_eq!(Root::decode(&body).unwrap().started_ms, 9);
    assert!(decode(&seal(1, &repository, "files"), ROOT, &object).is_err());
    assert!(decode(&seal(1, &repository, "db"), 2, &object).is_err());
    for at in 0..object.len() {
        let mut bad = object.to_vec();
        bad[at] ^= 1;
        assert!(decode(&seal(1, &repository, "db"), ROOT, &bad).is_err(), "byte {at}");
        assert!(
            decode(&seal(1, &repository, "db"), ROOT, &object[..at]).is_err(),
            "cut at {at}"
        );
    }
}
