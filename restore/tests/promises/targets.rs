//! A target is filled whole, or refused, or left with the mark of what did not finish; nothing is ever written beside it.

use std::fs;
use std::sync::atomic::Ordering;

use muster_archive::tree::{Content, NodeKind, TreeEntry};
use muster_restore::{Event, RestoreError, RestoreOptions, UNFINISHED, execute, plan};
use muster_testkit::faulty::{Fault, When};
use muster_testkit::recording::Call;
use muster_testkit::trees::{SmallDisk, noise};

use crate::bench::{Bench, nothing};

fn entry(path: &str, kind: NodeKind) -> TreeEntry {
    TreeEntry {
        kind,
        mode: 0o600,
        ..TreeEntry::directory(path)
    }
}

fn file(path: &str) -> (TreeEntry, Vec<u8>) {
    let content = Content::Inline(Vec::new());
    (
        entry(
            path,
            NodeKind::File {
                sparse: false,
                size: 0,
                digest: [0; 32],
                content,
            },
        ),
        b"written".to_vec(),
    )
}

fn link(path: &str, target: &str) -> (TreeEntry, Vec<u8>) {
    (entry(path, NodeKind::Symlink { target: target.into() }), Vec::new())
}

fn hard_link(path: &str, to: &str) -> (TreeEntry, Vec<u8>) {
    (entry(path, NodeKind::HardLink { to: to.into() }), Vec::new())
}

#[test]
fn what_is_not_empty_is_refused_and_stays_as_it_is() {
    let bench = Bench::new();
    let manifest = bench.commit("files", vec![file("x")]);
    let to = bench.path("to");
    fs::create_dir(&to).unwrap();
    fs::write(to.join("precious"), "mine").unwrap();
    let error = bench.restore(&manifest, &RestoreOptions::default(), &to).unwrap_err();
    assert!(
        matches!(error, RestoreError::NotEmpty { unfinished: false, .. }),
        "{error}"
    );
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1);
    fs::write(bench.path("plain"), "").unwrap();
    assert!(
        bench
            .restore(&manifest, &RestoreOptions::default(), &bench.path("plain"))
            .is_err()
    );
}

#[test]
fn a_tree_made_to_lead_out_of_the_target_stays_inside_and_is_told() {
    let bench = Bench::new();
    let outside = bench.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let out = outside.to_str().unwrap();
    let through = format!("{out}/secret");
    let trees = [
        vec![link("a", out), file("a/x")],
        vec![file("a/x"), link("a", out)],
        vec![link("a", out), (TreeEntry::directory("a"), Vec::new()), file("a/x")],
        vec![(TreeEntry::directory("a"), Vec::new()), link("a", out), file("a/x")],
        vec![link("a", out), hard_link("b", "a/secret")],
        vec![link("a", &through), hard_link("b", "a"), file("b")],
        vec![file("a"), file("a")],
        vec![file("a"), file("a/x")],
        vec![file("a"), (TreeEntry::directory("a"), Vec::new())],
    ];
    for (number, tree) in trees.into_iter().enumerate() {
        let manifest = bench.commit("files", tree);
        let to = bench.path(&format!("to-{number}"));
        let report = bench.restore(&manifest, &RestoreOptions::default(), &to).unwrap();
        assert!(report.is_damaged(), "tree {number}: {report:?}");
        let found: Vec<_> = fs::read_dir(&outside)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(found, ["secret"], "tree {number} wrote outside");
        assert_eq!(
            fs::read(outside.join("secret")).unwrap(),
            b"secret",
            "tree {number} changed what is outside"
        );
        let inside = fs::metadata(outside.join("secret")).unwrap();
        assert_eq!(
            std::os::unix::fs::MetadataExt::nlink(&inside),
            1,
            "tree {number} took what is outside"
        );
    }
}

#[test]
fn a_target_without_room_is_refused_before_anything_is_written() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("large"), noise(4_000_000, 1)).unwrap();
    let manifest = bench.backup_files(&tree);
    let disk = SmallDisk::new(2 << 20);
    let error = bench
        .restore(&manifest, &RestoreOptions::default(), &disk.path().join("to"))
        .unwrap_err();
    let RestoreError::NoRoom { needed, free, .. } = error else {
        panic!("{error}")
    };
    assert!(needed >= 4_000_000 && free <= 2 << 20);
    assert!(!disk.path().join("to/large").exists());
}

#[test]
fn a_disk_that_fills_up_ends_the_restore_and_says_how_much_it_needs() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    // A sparse file with maps: what it takes is not known before they are read.
    let sparse = fs::File::create(tree.join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, &noise(20_000_000, 1), 4_000_000).unwrap();
    sparse.set_len(64_000_000).unwrap();
    drop(sparse);
    let manifest = bench.backup_files(&tree);
    let disk = SmallDisk::new(4 << 20);
    let to = disk.path().join("to");
    let error = bench.restore(&manifest, &RestoreOptions::default(), &to).unwrap_err();
    assert!(matches!(error, RestoreError::Full { .. }), "{error}");
    assert!(to.join(UNFINISHED).exists(), "it is marked as unfinished");
}

#[test]
fn a_cancelled_restore_ends_soon_and_leaves_its_mark() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("large"), noise(60_000_000, 1)).unwrap();
    let manifest = bench.backup_files(&tree);
    let to = bench.path("to");
    let cancel = |event: Event| {
        if matches!(event, Event::Progress { .. }) {
            bench.cancel.store(true, Ordering::Relaxed);
        }
    };
    let session = bench.session(&cancel);
    let planned = plan(&session, &manifest, &RestoreOptions::default()).unwrap();
    assert!(matches!(execute(&session, &planned, &to), Err(RestoreError::Cancelled)));
    assert!(to.join(UNFINISHED).exists());

    bench.cancel.store(false, Ordering::Relaxed);
    let again = execute(&bench.session(&nothing), &planned, &to).unwrap_err();
    assert!(
        matches!(again, RestoreError::NotEmpty { unfinished: true, .. }),
        "{again}"
    );
    assert!(again.to_string().contains("did not finish"), "{again}");
}

#[test]
fn a_storage_that_hangs_does_not_keep_a_cancelled_restore() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("large"), noise(20_000_000, 1)).unwrap();
    let manifest = bench.backup_files(&tree);
    for prefix in ["packs/", "trees/"] {
        bench.faults.add(Call::Get, prefix, When::Always, Fault::Hang);
        let session = bench.session(&nothing);
        let ended = std::thread::scope(|scope| {
            let restore = scope.spawn(|| {
                let planned = plan(&session, &manifest, &RestoreOptions::default())?;
                execute(&session, &planned, &bench.path(prefix))
            });
            while bench.faults.fired() == 0 {
                std::thread::yield_now();
            }
            bench.cancel.store(true, Ordering::Relaxed);
            restore.join().unwrap()
        });
        assert!(matches!(ended, Err(RestoreError::Cancelled)), "{prefix}: {ended:?}");
        bench.cancel.store(false, Ordering::Relaxed);
        bench.faults.clear();
    }
}

#[test]
fn progress_reaches_the_total_of_the_plan() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("large"), noise(9_000_000, 1)).unwrap();
    fs::write(tree.join("zeros"), vec![0; 500_000]).unwrap();
    let manifest = bench.backup_files(&tree);
    let seen = std::sync::Mutex::new((0, 0));
    let note = |event: Event| {
        if let Event::Progress { bytes, total } = event {
            let mut seen = seen.lock().unwrap();
            *seen = (seen.0.max(bytes), total);
        }
    };
    let session = bench.session(&note);
    let planned = plan(&session, &manifest, &RestoreOptions::default()).unwrap();
    execute(&session, &planned, &bench.path("to")).unwrap();
    assert_eq!(*seen.lock().unwrap(), (9_500_000, 9_500_000));
}
