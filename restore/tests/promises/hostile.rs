//! What whoever fills a source, or a machine unlike the source's, can do to a rehearsal: neither end the process, nor leave a sandbox
//! behind, nor change what the verdict speaks about.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use muster_archive::tree::{NodeKind, TreeEntry};
use muster_restore::rehearsal::{Objectives, RehearsalPlan, Restorer, Verdict};
use muster_restore::{Event, RestoreError, RestorePlan, RestoreReport, Session};
use muster_stores::{Sink, Source, StoreError, Taken};

use crate::bench::{Bench, nothing};
use crate::rehearsals::{FromArchive, assert_nothing_left, attempt, backup_database, database, rehearse_with};

#[test]
fn a_tree_as_deep_as_a_path_allows_passes_and_leaves_no_sandbox() {
    let bench = Bench::new();
    let deep = bench.path("tree").join("d/".repeat(1800));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("x"), "down here").unwrap();
    let manifest = bench.backup_files(&bench.path("tree"));
    assert_eq!(manifest.unreadable.count, 0);
    let card = rehearse_with(&bench, &manifest, &["x"], &FromArchive);
    assert_eq!(card.verdict, Verdict::Pass, "{:?}", card.reasons);
}

#[test]
fn a_sandbox_beneath_a_link_is_as_good_as_any() {
    let bench = Bench::new();
    let manifest = backup_database(&bench, &database(&bench, 1000));
    fs::create_dir(bench.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(bench.path("elsewhere"), bench.path("work")).unwrap();
    let card = rehearse_with(&bench, &manifest, &["select count(*) > 0 from t"], &FromArchive);
    assert_eq!(card.verdict, Verdict::Pass, "{:?}", card.reasons);
}

/// A source that could not read one of its files.
struct Holey<S>(S);

impl<S: Source> Source for Holey<S> {
    fn snapshot(&mut self, sink: &mut dyn Sink) -> Result<Taken, StoreError> {
        let taken = self.0.snapshot(sink)?;
        sink.unreadable(b"secret", "permission denied".to_owned());
        Ok(taken)
    }
}

#[test]
fn a_pass_of_an_incomplete_snapshot_says_that_it_is_incomplete() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("x"), "x").unwrap();
    let now = muster_archive::Edge::now(&*bench.edge);
    let source = muster_stores::files::FilesSource::new::<&str>(&tree, &[], now).unwrap();
    let manifest = bench.backup("files", &mut Holey(source));
    let card = rehearse_with(&bench, &manifest, &[], &FromArchive);
    assert!(
        card.reasons.iter().any(|reason| reason.contains("secret")),
        "{:?} {:?}",
        card.verdict,
        card.reasons
    );
}

/// Restores as on a machine that makes no device nodes.
struct WithoutDevices;

impl Restorer for WithoutDevices {
    fn restore(&self, session: &Session<'_>, plan: &RestorePlan, to: &Path) -> Result<RestoreReport, RestoreError> {
        let mut report = FromArchive.restore(session, plan, to)?;
        fs::remove_file(to.join("null")).unwrap();
        report.not_made += 1;
        Ok(report)
    }
}

#[test]
fn a_device_node_that_this_machine_does_not_make_says_nothing_about_the_backup() {
    let bench = Bench::new();
    let device = NodeKind::Device {
        block: false,
        major: 1,
        minor: 3,
    };
    let entry = TreeEntry {
        kind: device,
        mode: 0o600,
        ..TreeEntry::directory("null")
    };
    let manifest = bench.commit("files", vec![(entry, Vec::new())]);
    let plan = RehearsalPlan::of(&manifest, Vec::new(), Objectives::default());
    let card = attempt(&bench, &bench.session(&nothing), &manifest, &plan, &WithoutDevices).unwrap();
    assert_eq!(card.verdict, Verdict::Error, "{:?}", card.reasons);
    assert_nothing_left(&bench);
}

#[test]
fn a_hole_is_compared_without_reading_it() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    let file = fs::File::create(tree.join("image")).unwrap();
    file.set_len(256 << 30).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"data", 200 << 30).unwrap();
    let manifest = bench.backup_files(&tree);
    let card = rehearse_with(&bench, &manifest, &["image"], &FromArchive);
    assert_eq!(card.verdict, Verdict::Pass, "{:?}", card.reasons);
}

#[test]
fn a_wish_to_stop_is_heard_while_the_engine_is_busy() {
    let bench = Bench::new();
    let manifest = backup_database(&bench, &database(&bench, 1000));
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    let plan = RehearsalPlan::of(&manifest, vec![endless.to_owned()], Objectives::default());
    let (ask, asked) = std::sync::mpsc::channel();
    let ask = std::sync::Mutex::new(ask);
    let stop = |event: Event| {
        if matches!(event, Event::Phase(name) if name == "checks") {
            ask.lock().unwrap().send(()).unwrap();
        }
    };
    std::thread::scope(|scope| {
        let cancel = &bench.cancel;
        scope.spawn(move || {
            asked.recv().unwrap();
            // The check is on its way by then; earlier is right as well, only easier.
            std::thread::sleep(std::time::Duration::from_millis(500));
            cancel.store(true, Ordering::Relaxed);
        });
        let ended = attempt(&bench, &bench.session(&stop), &manifest, &plan, &FromArchive);
        assert!(matches!(ended, Err(RestoreError::Cancelled)));
    });
    assert_nothing_left(&bench);
}
