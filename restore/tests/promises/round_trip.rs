//! What went in comes out, to the byte and to the attribute, and only what was asked for.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster_restore::{RestoreError, RestoreOptions, UNFINISHED, list, plan};
use muster_testkit::faulty::{Fault, When};
use muster_testkit::recording::Call;
use muster_testkit::trees::{assert_same, build_everything, describe, noise};
use tokio::sync::Barrier;

use crate::bench::{Bench, include, nothing};

#[test]
fn a_tree_with_everything_comes_back_to_the_byte_and_to_the_attribute() {
    let bench = Bench::new();
    let (tree, back) = (bench.path("tree"), bench.path("back"));
    build_everything(&tree);
    let manifest = bench.backup_files(&tree);
    let report = bench.restore_whole(&manifest, &back);
    assert_same(&tree, &back);
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    assert_eq!(
        (report.files, report.bytes),
        (manifest.tree.files, manifest.tree.logical_bytes)
    );
    let names: Vec<_> = report.phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(names, ["plan", "prepare", "data", "attributes", "sync"]);
    assert!(!back.join(UNFINISHED).exists());
    assert_eq!(bench.digest(&manifest, &back), manifest.tree.digest);
}

#[test]
fn the_tree_digest_sees_each_change_that_a_restore_could_get_wrong() {
    let bench = Bench::new();
    let (tree, back) = (bench.path("tree"), bench.path("back"));
    build_everything(&tree);
    let manifest = bench.backup_files(&tree);
    bench.restore_whole(&manifest, &back);
    let digest = || bench.digest(&manifest, &back);
    let mut seen = vec![digest()];
    let mut changed = |what: &str| {
        let now = digest();
        assert!(!seen.contains(&now), "{what} was not seen");
        seen.push(now);
    };
    let large = back.join("levels/deep/er/large.bin");
    let mut bytes = fs::read(&large).unwrap();
    bytes[4_999_999] ^= 1;
    fs::write(&large, &bytes).unwrap();
    changed("a flipped bit");
    fs::set_permissions(&large, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    changed("a mode");
    fs::remove_file(back.join("second name")).unwrap();
    fs::copy(back.join("levels/one.txt"), back.join("second name")).unwrap();
    changed("a copy instead of a hard link");
    fs::remove_dir(back.join("empty folder")).unwrap();
    changed("a missing folder");
    fs::write(back.join("new"), "").unwrap();
    changed("a new file");
    fs::remove_file(back.join("link")).unwrap();
    std::os::unix::fs::symlink("elsewhere", back.join("link")).unwrap();
    changed("a link to elsewhere");
}

#[test]
fn large_files_with_maps_come_back_with_one_thread_and_with_many() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    let mut large = noise(40_000_123, 7);
    large[9_000_000..21_000_000].fill(0);
    fs::write(tree.join("large"), &large).unwrap();
    let holes = fs::File::create(tree.join("holes")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&holes, &noise(30_000_000, 8), 3 << 30).unwrap();
    holes.set_len((3 << 30) + 50_000_000).unwrap();
    drop(holes);
    let manifest = bench.backup_files(&tree);
    for workers in [1, 5] {
        let back = bench.path(&format!("back-{workers}"));
        let options = RestoreOptions {
            workers: Some(workers),
            ..RestoreOptions::default()
        };
        let report = bench.restore(&manifest, &options, &back).unwrap();
        assert!(report.lost.is_empty());
        assert!(fs::read(back.join("large")).unwrap() == large);
        let metadata = fs::metadata(back.join("holes")).unwrap();
        assert_eq!(metadata.len(), (3 << 30) + 50_000_000);
        assert!(metadata.blocks() * 512 < 64 << 20, "holes stay holes");
        assert!(
            fs::metadata(back.join("large")).unwrap().blocks() * 512 >= 40_000_000,
            "zeros take room"
        );
        assert_eq!(bench.digest(&manifest, &back), manifest.tree.digest);
        fs::remove_dir_all(&back).unwrap();
    }
}

#[test]
fn each_point_comes_back_as_it_was_then() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("data"), noise(3_000_000, 1)).unwrap();
    let mut points = Vec::new();
    for round in 0..3u64 {
        let mut bytes = fs::read(tree.join("data")).unwrap();
        bytes[1_000_000..1_000_100].copy_from_slice(&noise(100, round + 10));
        fs::write(tree.join("data"), &bytes).unwrap();
        points.push((bench.backup_files(&tree), bytes));
    }
    for (manifest, bytes) in points {
        let back = bench.path(&manifest.snapshot);
        bench.restore_whole(&manifest, &back);
        assert!(fs::read(back.join("data")).unwrap() == bytes);
    }
}

#[test]
fn one_file_comes_back_alone_with_the_folders_above_it() {
    let bench = Bench::new();
    let (tree, back) = (bench.path("tree"), bench.path("back"));
    build_everything(&tree);
    let manifest = bench.backup_files(&tree);
    let report = bench.restore(&manifest, &include(&["large.bin"]), &back).unwrap();
    assert_eq!((report.files, report.bytes), (1, 5_000_000));
    let (all, some) = (describe(&tree), describe(&back));
    let names: Vec<_> = some
        .keys()
        .map(|name| String::from_utf8(name.clone()).unwrap())
        .collect();
    assert_eq!(
        names,
        ["levels", "levels/deep", "levels/deep/er", "levels/deep/er/large.bin"]
    );
    assert!(some.iter().all(|(name, described)| all.get(name) == Some(described)));
}

#[test]
fn a_further_name_of_a_file_brings_its_content_when_the_first_is_left_out() {
    let bench = Bench::new();
    let (tree, back) = (bench.path("tree"), bench.path("back"));
    fs::create_dir_all(tree.join("a")).unwrap();
    fs::create_dir_all(tree.join("z/deep")).unwrap();
    fs::write(tree.join("a/first"), noise(100_000, 3)).unwrap();
    fs::hard_link(tree.join("a/first"), tree.join("z/deep/second")).unwrap();
    fs::hard_link(tree.join("a/first"), tree.join("z/third")).unwrap();
    let manifest = bench.backup_files(&tree);
    let report = bench.restore(&manifest, &include(&["/z"]), &back).unwrap();
    assert!(report.lost.is_empty(), "{:?}", report.lost);
    assert!(!back.join("a").exists());
    assert!(fs::read(back.join("z/deep/second")).unwrap() == noise(100_000, 3));
    let inode = |name: &str| fs::metadata(back.join(name)).unwrap().ino();
    assert_eq!(inode("z/deep/second"), inode("z/third"));
}

#[test]
fn patterns_that_match_nothing_or_cannot_be_understood_are_errors_and_write_nothing() {
    let bench = Bench::new();
    let (tree, back) = (bench.path("tree"), bench.path("back"));
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("x"), "x").unwrap();
    let manifest = bench.backup_files(&tree);
    let error = bench.restore(&manifest, &include(&["*.sql"]), &back).unwrap_err();
    assert!(matches!(error, RestoreError::NothingMatches { .. }), "{error}");
    let error = bench.restore(&manifest, &include(&["a["]), &back).unwrap_err();
    assert!(matches!(error, RestoreError::Store(_)), "{error}");
    assert!(!back.exists());
}

#[test]
fn the_number_of_requests_does_not_grow_with_the_number_of_files() {
    let bench = Bench::new();
    let (tree, back) = (bench.path("tree"), bench.path("back"));
    for folder in 0..30 {
        fs::create_dir_all(tree.join(format!("{folder}"))).unwrap();
        for file in 0..100u64 {
            fs::write(
                tree.join(format!("{folder}/{file}")),
                noise(500 + 3 * usize::try_from(file).unwrap(), file + 1),
            )
            .unwrap();
        }
    }
    let manifest = bench.backup_files(&tree);
    let before = bench.notes.count(Call::Get, "");
    let lists = bench.notes.count(Call::List, "");
    let report = bench.restore_whole(&manifest, &back);
    assert_eq!(report.files, 3000);
    let gets = bench.notes.count(Call::Get, "") - before;
    assert!(gets < 40, "{gets} requests for 3000 files");
    assert_eq!(bench.notes.count(Call::List, ""), lists, "a restore lists nothing");
    assert_same(&tree, &back);
}

#[test]
fn a_plan_and_a_listing_tell_what_there_is_without_writing() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    build_everything(&tree);
    let manifest = bench.backup_files(&tree);
    let session = bench.session(&nothing);
    let whole = plan(&session, &manifest, &RestoreOptions::default()).unwrap();
    assert_eq!(
        (whole.entries, whole.files, whole.bytes),
        (manifest.tree.entries, manifest.tree.files, manifest.tree.logical_bytes)
    );
    assert!(!whole.is_partial() && whole.needed_bytes >= 5_000_000);
    let mut told = Vec::new();
    let some = plan(&session, &manifest, &include(&["levels/deep/er"])).unwrap();
    some.each_entry(&session, |entry| {
        told.push(String::from_utf8(entry.path).unwrap());
        Ok(())
    })
    .unwrap();
    assert_eq!(
        told,
        ["levels", "levels/deep", "levels/deep/er", "levels/deep/er/large.bin"]
    );

    let mut names = Vec::new();
    let count = list(&session, &manifest, b"levels/deep/er/", |entry| {
        names.push(String::from_utf8(entry.path).unwrap());
        Ok(())
    });
    assert_eq!(
        (count.unwrap(), names),
        (
            2,
            vec!["levels/deep/er".to_owned(), "levels/deep/er/large.bin".to_owned()]
        )
    );
    assert_eq!(
        list(&session, &manifest, b"", |_| Ok(())).unwrap(),
        manifest.tree.entries
    );
    assert_eq!(list(&session, &manifest, b"lev", |_| Ok(())).unwrap(), 0);
}

#[test]
fn the_remains_of_an_unfinished_restore_come_back_as_the_data_that_they_are() {
    let bench = Bench::new();
    let (tree, back) = (bench.path("tree"), bench.path("back"));
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join(UNFINISHED), "left by another restore\n").unwrap();
    let manifest = bench.backup_files(&tree);
    bench.restore_whole(&manifest, &back);
    assert_same(&tree, &back);
}

/// A database is hundreds of large files: what a request takes to come back must not be paid for each.
#[test]
fn the_extent_maps_of_many_files_are_read_at_a_time() {
    let bench = Bench::new();
    let (tree, back) = (bench.path("tree"), bench.path("back"));
    fs::create_dir(&tree).unwrap();
    let content = |number: u8| [noise(1, u64::from(number)), vec![number; 17 << 20]].concat();
    for number in 1..7 {
        fs::write(tree.join(number.to_string()), content(number)).unwrap();
    }
    let manifest = bench.backup_files(&tree);
    let slow = Fault::Delay(Duration::from_millis(50));
    bench.faults.add(Call::Get, "trees/", When::Always, slow);
    bench.notes.clear();
    bench.restore_whole(&manifest, &back);
    assert_same(&tree, &back);
    assert_eq!(bench.notes.most_at_once(Call::Get, "trees"), 6);
}

/// A tree whose bytes fill two packs and the beginning of a third.
fn tree_of_packs(bench: &Bench) -> PathBuf {
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    for number in 1..=6 {
        fs::write(tree.join(number.to_string()), noise(14 << 20, number)).unwrap();
    }
    tree
}

/// The first two calls wait for each other.
fn first_two_meet(bench: &Bench, call: Call, prefix: &str) {
    let meeting = Arc::new(Barrier::new(2));
    for nth in [1, 2] {
        let fault = Fault::Meet(Arc::clone(&meeting));
        bench.faults.add(call, prefix, When::Nth(nth), fault);
    }
}

#[test]
fn packs_are_put_two_at_a_time() {
    let bench = Bench::new();
    let (tree, back) = (tree_of_packs(&bench), bench.path("back"));
    first_two_meet(&bench, Call::Put, "packs/");
    let manifest = bench.backup_files(&tree);
    assert_eq!(bench.notes.count(Call::Put, "packs/"), 3);
    assert_eq!(bench.notes.most_at_once(Call::Put, "packs"), 2);
    bench.restore_whole(&manifest, &back);
    assert_same(&tree, &back);
}

#[test]
fn a_restore_reads_ahead_and_no_more_than_it_has_memory_for() {
    let bench = Bench::new();
    let (tree, back) = (tree_of_packs(&bench), bench.path("back"));
    let manifest = bench.backup_files(&tree);
    first_two_meet(&bench, Call::Get, "packs/");
    let slow = Fault::Delay(Duration::from_millis(300));
    bench.faults.add(Call::Get, "packs/", When::From(3), slow);
    bench.notes.clear();
    bench.restore_whole(&manifest, &back);
    assert_same(&tree, &back);
    assert!(bench.notes.count(Call::Get, "packs/") > 16);
    assert!(bench.notes.most_at_once(Call::Get, "packs") >= 2);
    let most = bench.notes.most_bytes_at_once(Call::Get, "packs");
    assert!(most <= 64 << 20, "{most} bytes of packs asked for at a time");
}
