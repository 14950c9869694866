//! Damage is found, named, and never written; the rest comes back. What could not be read now is never called damaged.

use std::fs;

use muster_archive::object_store::ErrorKind;
use muster_archive::tree::{Content, NodeKind, TreeEntry};
use muster_archive::{ArchiveError, TreeRef, layout};
use muster_restore::{LossKind, RestoreError, RestoreOptions};
use muster_signing::Digest;
use muster_testkit::faulty::{Fault, When};
use muster_testkit::recording::Call;
use muster_testkit::trees::{assert_same, noise};
use rusqlite::Connection;

use crate::bench::Bench;
use crate::rehearsals::{backup_database, database};

fn file(path: &str) -> TreeEntry {
    let kind = NodeKind::File {
        sparse: false,
        size: 0,
        digest: [0; 32],
        content: Content::Inline(Vec::new()),
    };
    TreeEntry {
        kind,
        mode: 0o600,
        ..TreeEntry::directory(path)
    }
}

/// Two files of one block each and one with a map, so that there are packs, a leaf, a map and an index.
fn tree(bench: &Bench) -> std::path::PathBuf {
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("a"), noise(65_536, 1)).unwrap();
    fs::write(tree.join("b"), noise(65_536, 2)).unwrap();
    fs::write(tree.join("large"), noise(20_000_000, 3)).unwrap();
    tree
}

#[test]
fn each_object_that_a_snapshot_needs_is_missed_when_it_is_damaged_and_is_named() {
    let bench = Bench::new();
    let manifest = bench.backup_files(&tree(&bench));
    let objects: Vec<String> = [bench.keys("packs/"), bench.keys("trees/")].concat();
    assert!(objects.len() >= 4, "{objects:?}");
    for object in objects {
        let faults = [
            (Fault::Flip(-1), false),
            (Fault::Flip(60), false),
            (Fault::Truncate(20), false),
            (Fault::Fail(ErrorKind::Truncated), false),
            (Fault::Fail(ErrorKind::NotFound), true),
        ];
        for (number, (fault, missing)) in faults.into_iter().enumerate() {
            bench.faults.add(Call::Get, &object, When::Always, fault.clone());
            let back = bench.path(&format!("back-{number}"));
            match bench.restore(&manifest, &RestoreOptions::default(), &back) {
                Ok(report) => {
                    let kind = if missing { LossKind::Missing } else { LossKind::Damaged };
                    assert!(
                        report.is_damaged() && !report.is_incomplete(),
                        "{object} {fault:?}: {:?}",
                        report.lost
                    );
                    assert!(
                        report
                            .lost
                            .iter()
                            .all(|lost| lost.object == object && lost.kind == kind),
                        "{:?}",
                        report.lost
                    );
                }
                // The index and the manifest's own sums: without them there is no listing.
                Err(RestoreError::Archive(error)) => {
                    assert!(error.is_damage() && error.to_string().contains(&object), "{error}")
                }
                Err(error) => panic!("{object} {fault:?}: {error}"),
            }
            assert!(bench.faults.fired() > 0, "{object} is not needed");
            bench.faults.clear();
            let _ = fs::remove_dir_all(&back);
        }
    }
}

#[test]
fn a_listing_that_does_not_add_up_to_the_tree_that_was_signed_is_refused_and_named() {
    let lies: [fn(&mut TreeRef); 4] = [
        |tree| tree.digest = Digest::of(b"another tree"),
        |tree| tree.entries += 1,
        |tree| tree.files -= 1,
        |tree| tree.logical_bytes += 1,
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let bench = Bench::new();
        let right = bench.backup_files(&tree(&bench));
        let mut named = right.tree.clone();
        lie(&mut named);
        let wrong = bench.sign("files", named, right.list.clone());
        let back = bench.path("back");
        let refused = bench.restore(&wrong, &RestoreOptions::default(), &back).unwrap_err();
        let RestoreError::Archive(error) = &refused else {
            panic!("{number}: {refused}")
        };
        let named = error.to_string().contains(&layout::tree(&right.tree.root));
        assert!(error.is_damage() && named, "{number}: {error}");
        assert!(!back.exists(), "{number}: nothing is written");
    }
}

#[test]
fn what_is_lost_is_told_to_the_byte_and_everything_else_comes_back() {
    let bench = Bench::new();
    let tree = tree(&bench);
    let manifest = bench.backup_files(&tree);
    let back = bench.path("back");
    // Far inside the pack: in one block of the large file. The same at the second look.
    bench
        .faults
        .add(Call::Get, "packs/", When::Always, Fault::Flip(1_000_000));
    let report = bench.restore(&manifest, &RestoreOptions::default(), &back).unwrap();
    let lost_bytes: u64 = report.lost.iter().map(|lost| lost.length).sum();
    assert!(
        report.is_damaged() && report.lost_bytes == lost_bytes,
        "{:?}",
        report.lost
    );
    let mut expected = fs::read(tree.join("large")).unwrap();
    for lost in &report.lost {
        assert_eq!(lost.path, "large");
        let (begin, end) = (
            usize::try_from(lost.offset).unwrap(),
            usize::try_from(lost.offset + lost.length).unwrap(),
        );
        expected[begin..end].fill(0);
    }
    assert!(
        fs::read(back.join("large")).unwrap() == expected,
        "only what is told is lost, and nothing wrong is written"
    );
    assert!(fs::read(back.join("a")).unwrap() == noise(65_536, 1));
    assert_eq!(report.bytes, manifest.tree.logical_bytes - lost_bytes);
}

#[test]
fn an_answer_that_was_wrong_once_is_read_again_and_is_no_damage() {
    let bench = Bench::new();
    let tree = tree(&bench);
    let manifest = bench.backup_files(&tree);
    bench
        .faults
        .add(Call::Get, "packs/", When::Nth(1), Fault::Flip(100_000));
    bench.restore_whole(&manifest, &bench.path("back"));
    assert_eq!(bench.faults.fired(), 1);
    assert_same(&tree, &bench.path("back"));
}

#[test]
fn a_storage_that_does_not_answer_is_never_called_damage() {
    let bench = Bench::new();
    let manifest = bench.backup_files(&tree(&bench));
    for kind in [ErrorKind::Unreachable, ErrorKind::Denied, ErrorKind::Throttled] {
        bench.faults.add(Call::Get, "packs/", When::Always, Fault::Fail(kind));
        let back = bench.path("back");
        let report = bench.restore(&manifest, &RestoreOptions::default(), &back).unwrap();
        assert!(report.is_incomplete() && !report.is_damaged(), "{:?}", report.lost);
        assert_eq!(report.lost_bytes, manifest.tree.logical_bytes);
        assert_eq!(
            fs::metadata(back.join("large")).unwrap().len(),
            20_000_000,
            "it keeps its length"
        );
        bench.faults.clear();
        fs::remove_dir_all(&back).unwrap();
    }
    bench
        .faults
        .add(Call::Get, "trees/", When::Always, Fault::Fail(ErrorKind::Unreachable));
    let error = bench
        .restore(&manifest, &RestoreOptions::default(), &bench.path("back"))
        .unwrap_err();
    assert!(
        matches!(&error, RestoreError::Archive(ArchiveError::Storage(_))),
        "{error}"
    );
}

#[test]
fn a_cluster_with_losses_has_no_control_file_unless_it_is_wanted() {
    let bench = Bench::new();
    let control = noise(8192, 5);
    let entries = vec![
        (file("PG_VERSION"), b"15\n".to_vec()),
        (TreeEntry::directory("global"), Vec::new()),
        (file("global/pg_control"), control.clone()),
        (TreeEntry::directory("base"), Vec::new()),
        (file("base/1"), noise(10_000_000, 6)),
    ];
    let manifest = bench.commit("postgres", entries);
    let (whole, broken, kept) = (bench.path("whole"), bench.path("broken"), bench.path("kept"));
    bench.restore_whole(&manifest, &whole);
    assert!(fs::read(whole.join("global/pg_control")).unwrap() == control);
    assert_eq!(bench.digest(&manifest, &whole), manifest.tree.digest);

    bench
        .faults
        .add(Call::Get, "packs/", When::Always, Fault::Flip(3_000_000));
    let report = bench.restore(&manifest, &RestoreOptions::default(), &broken).unwrap();
    assert!(
        report.is_damaged() && report.notes.iter().any(|note| note.contains("pg_control")),
        "{report:?}"
    );
    assert!(fs::read_dir(broken.join("global")).unwrap().next().is_none());
    assert!(broken.join("base/1").exists());

    let options = RestoreOptions {
        allow_loss: true,
        ..RestoreOptions::default()
    };
    assert!(bench.restore(&manifest, &options, &kept).unwrap().is_damaged());
    assert!(fs::read(kept.join("global/pg_control")).unwrap() == control);
}

#[test]
fn a_database_file_with_losses_does_not_get_its_name_unless_it_is_wanted() {
    let bench = Bench::new();
    let source = database(&bench, 9000);
    let manifest = backup_database(&bench, &source);
    let (broken, kept) = (bench.path("broken"), bench.path("kept"));
    bench
        .faults
        .add(Call::Get, "packs/", When::Always, Fault::Flip(700_000));
    let report = bench.restore(&manifest, &RestoreOptions::default(), &broken).unwrap();
    assert!(
        report.is_damaged() && report.notes.iter().any(|note| note.contains("app.db.damaged")),
        "{report:?}"
    );
    assert!(!broken.join("app.db").exists() && broken.join("app.db.damaged").exists());

    let options = RestoreOptions {
        allow_loss: true,
        ..RestoreOptions::default()
    };
    assert!(bench.restore(&manifest, &options, &kept).unwrap().is_damaged());
    assert!(kept.join("app.db").exists());

    bench.faults.clear();
    bench.restore_whole(&manifest, &bench.path("whole"));
    let back = Connection::open(bench.path("whole").join("app.db")).unwrap();
    let rows: u32 = back.query_row("select count(*) from t", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 9000);
}
