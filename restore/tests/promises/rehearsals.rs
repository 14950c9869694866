//! The rehearsal rehearsed: sound restores pass; altered, emptied and exchanged ones fail before any engine is believed; what could not run
//! says nothing about the backup; nothing is left behind.

use std::collections::BTreeMap;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use muster_archive::object_store::ErrorKind;
use muster_archive::{Manifest, Tool};
pub(crate) use muster_restore::rehearsal::FromArchive;
use muster_restore::rehearsal::{
    Engine, Objectives, Rehearsal, RehearsalPlan, Restorer, Scorecard, Started, Verdict, rehearse,
};
use muster_restore::{Event, RestoreError, RestoreOptions, RestorePlan, RestoreReport, Session};
use muster_signing::Verified;
use muster_stores::sqlite::SqliteSource;
use muster_testkit::faulty::{Fault, When};
use muster_testkit::recording::Call;
use muster_testkit::trees::build_everything;
use rusqlite::Connection;

use crate::bench::{Bench, nothing};

const SOUND: &str = "select count(*) >= 1000 from t";

pub(crate) fn database(bench: &Bench, rows: u32) -> PathBuf {
    let path = bench.path("app.db");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("pragma journal_mode = wal; create table if not exists t (id integer primary key, v blob)")
        .unwrap();
    connection
        .execute("with recursive n(i) as (select 1 union all select i + 1 from n where i < ?1) insert into t(v) select randomblob(400) from n", [rows])
        .unwrap();
    path
}

pub(crate) fn backup_database(bench: &Bench, path: &Path) -> Verified<Manifest> {
    let now = muster_archive::Edge::now(&*bench.edge);
    bench.backup("sqlite", &mut SqliteSource::new(path, move || now.clone()))
}

pub(crate) fn rehearse_with(
    bench: &Bench,
    manifest: &Verified<Manifest>,
    checks: &[&str],
    restorer: &dyn Restorer,
) -> Scorecard {
    let objectives = Objectives {
        rto: Some(600.0),
        rpo: Some(600.0),
    };
    let checks = checks.iter().map(|check| (*check).to_owned()).collect();
    let plan = RehearsalPlan::of(manifest, checks, objectives);
    let scorecard = attempt(bench, &bench.session(&nothing), manifest, &plan, restorer).unwrap();
    assert_nothing_left(bench);
    scorecard
}

pub(crate) fn attempt(
    bench: &Bench,
    session: &Session<'_>,
    manifest: &Verified<Manifest>,
    plan: &RehearsalPlan,
    restorer: &dyn Restorer,
) -> Result<Scorecard, RestoreError> {
    let rehearsal = Rehearsal {
        plan,
        manifest,
        id: "01JDAAAAAAAAAAAAAAAAAAAAAA",
        started: Started::now(&*bench.edge),
        work_dir: &bench.path("work"),
        engine: Engine::by_kind(),
        restorer,
        tool: Tool {
            name: "muster".to_owned(),
            version: "0".to_owned(),
        },
        host: BTreeMap::new(),
    };
    rehearse(session, rehearsal)
}

pub(crate) fn assert_nothing_left(bench: &Bench) {
    let left: Vec<_> = fs::read_dir(bench.path("work"))
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Restores, and then spoils what came back.
pub(crate) struct Spoiled<F: Fn(&Path)>(pub(crate) F);

impl<F: Fn(&Path)> Restorer for Spoiled<F> {
    fn restore(&self, session: &Session<'_>, plan: &RestorePlan, to: &Path) -> Result<RestoreReport, RestoreError> {
        let report = FromArchive.restore(session, plan, to)?;
        (self.0)(to);
        Ok(report)
    }
}

#[test]
fn a_sound_database_passes_and_its_figures_add_up() {
    let bench = Bench::new();
    let manifest = backup_database(&bench, &database(&bench, 2000));
    let card = rehearse_with(&bench, &manifest, &[SOUND], &FromArchive);
    assert_eq!(card.verdict, Verdict::Pass, "{:?}", card.reasons);
    assert_eq!(
        (card.schema.as_str(), card.depth.as_str(), card.reached.as_str()),
        ("muster.scorecard/1", "L3", "L3")
    );
    assert_eq!(
        (card.snapshot.as_str(), card.manifest_digest),
        (manifest.snapshot.as_str(), manifest.digest)
    );
    let names: Vec<_> = card.phases.iter().map(|phase| phase.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "select",
            "preflight",
            "fetch",
            "compare",
            "engine_start",
            "identity",
            "checks",
            "write",
            "cleanup"
        ]
    );
    assert!(
        card.phases
            .iter()
            .all(|phase| phase.outcome == "ok" && phase.duration_seconds >= 0.0)
    );
    let verified = card.rto.verified_seconds.unwrap();
    let summed: f64 = card.phases.iter().map(|phase| phase.duration_seconds).sum();
    assert!(verified > 0.0 && summed >= 0.7 * verified && card.rto.transfer_seconds.unwrap() <= verified);
    assert!(card.rto.engine_seconds.unwrap() <= verified && card.rto.business_seconds.is_none());
    assert_eq!(
        (card.rto.met, card.rpo.met, card.rpo.judged.as_str()),
        (Some(true), Some(true), "exposure")
    );
    assert!(card.checks.iter().all(|check| check.passed), "{:?}", card.checks);
    for name in ["tree_digest", "integrity_check", "schema_digest", SOUND, "write"] {
        assert!(
            card.checks.iter().any(|check| check.name == name),
            "{name} is not among {:?}",
            card.checks
        );
    }
    assert!(!card.isolation.is_empty());
    let json = serde_json::to_string(&card).unwrap();
    assert!(json.starts_with(r#"{"schema":"muster.scorecard/1""#) && json.contains(r#""verdict":"PASS""#));
    assert!(json.len() < 60_000);
}

#[test]
fn a_sound_tree_of_files_passes() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    build_everything(&tree);
    let manifest = bench.backup_files(&tree);
    let card = rehearse_with(&bench, &manifest, &["*.txt"], &FromArchive);
    assert_eq!(card.verdict, Verdict::Pass, "{:?}", card.reasons);
    let card = rehearse_with(&bench, &manifest, &["*.sql"], &FromArchive);
    assert_eq!(card.verdict, Verdict::Fail, "{:?}", card.reasons);
}

#[test]
fn data_that_was_altered_emptied_or_exchanged_after_the_restore_fails_before_the_engine_starts() {
    let bench = Bench::new();
    let source = database(&bench, 2000);
    let previous = backup_database(&bench, &source);
    database(&bench, 50);
    let manifest = backup_database(&bench, &source);
    let older = bench.path("older");
    bench.restore_whole(&previous, &older);

    let one_bit = |to: &Path| {
        let mut bytes = fs::read(to.join("app.db")).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(to.join("app.db"), bytes).unwrap();
    };
    let emptied = |to: &Path| {
        Connection::open(to.join("app.db"))
            .unwrap()
            .execute_batch("delete from t")
            .unwrap()
    };
    let truncated = |to: &Path| fs::write(to.join("app.db"), b"").unwrap();
    let removed = |to: &Path| fs::remove_file(to.join("app.db")).unwrap();
    let exchanged = |to: &Path| {
        fs::copy(older.join("app.db"), to.join("app.db")).unwrap();
    };
    let beside = |to: &Path| fs::write(to.join("app.db-wal"), b"x").unwrap();
    type Spoiler<'a> = (&'a str, &'a dyn Fn(&Path));
    let spoilers: [Spoiler<'_>; 6] = [
        ("altered", &one_bit),
        ("emptied", &emptied),
        ("truncated", &truncated),
        ("removed", &removed),
        ("exchanged", &exchanged),
        ("beside", &beside),
    ];
    for (name, spoil) in spoilers {
        let card = rehearse_with(&bench, &manifest, &[SOUND], &Spoiled(spoil));
        assert_eq!(card.verdict, Verdict::Fail, "{name}");
        assert!(
            card.phases.iter().all(|phase| phase.name != "engine_start"),
            "{name}: an engine was started"
        );
        assert!(card.reasons[0].contains("tree digest"), "{name}: {:?}", card.reasons);
        assert_eq!((card.rto.verified_seconds, card.rto.met), (None, Some(false)), "{name}");
    }
}

#[test]
fn checks_decide_between_pass_fail_and_error_and_fail_wins() {
    let bench = Bench::new();
    let manifest = backup_database(&bench, &database(&bench, 2000));
    let verdict = |checks: &[&str]| rehearse_with(&bench, &manifest, checks, &FromArchive).verdict;
    let (fails, cannot) = ("select count(*) > 9000000 from t", "select no_such_column from t");
    assert_eq!(verdict(&[]), Verdict::Pass);
    assert_eq!(verdict(&[SOUND, fails]), Verdict::Fail);
    assert_eq!(verdict(&[SOUND, cannot]), Verdict::Error);
    assert_eq!(verdict(&[cannot, fails]), Verdict::Fail);
    let card = rehearse_with(&bench, &manifest, &[cannot], &FromArchive);
    let check = card.checks.iter().find(|check| check.name == cannot).unwrap();
    assert!(!check.passed && check.actual.starts_with("could not run"), "{check:?}");
    assert_eq!((card.rto.verified_seconds, card.rto.met), (None, None));
}

#[test]
fn data_emptied_at_the_source_is_found_by_the_configured_checks() {
    let bench = Bench::new();
    let source = database(&bench, 2000);
    Connection::open(&source)
        .unwrap()
        .execute_batch("delete from t")
        .unwrap();
    let manifest = backup_database(&bench, &source);
    assert_eq!(
        rehearse_with(&bench, &manifest, &[SOUND], &FromArchive).verdict,
        Verdict::Fail
    );
}

#[test]
fn a_missed_objective_leaves_the_verdict_and_says_so() {
    let bench = Bench::new();
    let manifest = backup_database(&bench, &database(&bench, 2000));
    let plan = RehearsalPlan::of(
        &manifest,
        vec![SOUND.to_owned()],
        Objectives {
            rto: Some(0.000_001),
            rpo: Some(0.0),
        },
    );
    let card = attempt(&bench, &bench.session(&nothing), &manifest, &plan, &FromArchive).unwrap();
    assert_eq!(
        (card.verdict, card.rto.met, card.rpo.met),
        (Verdict::Pass, Some(false), Some(false))
    );
}

#[test]
fn damage_in_the_archive_fails_and_a_silent_storage_is_an_error() {
    let bench = Bench::new();
    let manifest = backup_database(&bench, &database(&bench, 9000));
    let faults = [
        ("packs/", Fault::Flip(50_000), Verdict::Fail),
        ("packs/", Fault::Fail(ErrorKind::NotFound), Verdict::Fail),
        ("trees/", Fault::Flip(30), Verdict::Fail),
        ("trees/", Fault::Fail(ErrorKind::NotFound), Verdict::Fail),
        ("packs/", Fault::Fail(ErrorKind::Unreachable), Verdict::Error),
        ("trees/", Fault::Fail(ErrorKind::Denied), Verdict::Error),
    ];
    for (prefix, fault, expected) in faults {
        bench.faults.add(Call::Get, prefix, When::Always, fault.clone());
        let card = rehearse_with(&bench, &manifest, &[SOUND], &FromArchive);
        assert_eq!(card.verdict, expected, "{prefix} {fault:?}: {:?}", card.reasons);
        assert!(card.reasons[0].contains(prefix), "{:?}", card.reasons);
        assert!(
            card.phases.iter().any(|phase| phase.outcome != "ok"),
            "{:?}",
            card.phases
        );
        bench.faults.clear();
    }
}

#[test]
fn a_rehearsal_that_gets_nowhere_ends_with_its_deadline_as_an_error() {
    let bench = Bench::new();
    let manifest = backup_database(&bench, &database(&bench, 2000));
    let mut plan = RehearsalPlan::of(&manifest, vec![SOUND.to_owned()], Objectives::default());
    plan.limits.deadline_seconds = 0.3;
    bench.faults.add(Call::Get, "packs/", When::Always, Fault::Hang);
    let card = attempt(&bench, &bench.session(&nothing), &manifest, &plan, &FromArchive).unwrap();
    assert_eq!(card.verdict, Verdict::Error, "{:?}", card.reasons);
    assert!(card.reasons[0].contains("no end after 0.3 s"), "{:?}", card.reasons);
    assert_nothing_left(&bench);
}

#[test]
fn what_cannot_run_here_is_an_error_and_no_verdict_about_the_backup() {
    let bench = Bench::new();
    let manifest = backup_database(&bench, &database(&bench, 1000));
    fs::write(bench.path("work"), "a file where sandboxes should go").unwrap();
    let plan = RehearsalPlan::of(&manifest, Vec::new(), Objectives::default());
    let card = attempt(&bench, &bench.session(&nothing), &manifest, &plan, &FromArchive).unwrap();
    assert_eq!(card.verdict, Verdict::Error, "{:?}", card.reasons);
    assert_eq!(
        fs::read(bench.path("work")).unwrap(),
        b"a file where sandboxes should go"
    );
}

#[test]
fn a_panic_and_a_wish_to_stop_leave_nothing_behind() {
    let bench = Bench::new();
    let manifest = backup_database(&bench, &database(&bench, 2000));
    let panics = Spoiled(|_: &Path| panic!("as a bug would"));
    let caught = std::panic::catch_unwind(AssertUnwindSafe(|| rehearse_with(&bench, &manifest, &[SOUND], &panics)));
    assert!(caught.is_err());
    assert_nothing_left(&bench);

    for at in ["preflight", "fetch", "compare", "engine_start", "checks"] {
        let stop = |event: Event| {
            if matches!(event, Event::Phase(name) if name == at) {
                bench.cancel.store(true, Ordering::Relaxed);
            }
        };
        let plan = RehearsalPlan::of(&manifest, vec![SOUND.to_owned()], Objectives::default());
        let ended = attempt(&bench, &bench.session(&stop), &manifest, &plan, &FromArchive);
        assert!(matches!(ended, Err(RestoreError::Cancelled)), "{at}");
        assert_nothing_left(&bench);
        bench.cancel.store(false, Ordering::Relaxed);
    }
}

#[test]
fn a_rehearsal_leaves_the_repository_and_the_source_as_they_are() {
    let bench = Bench::new();
    let source = database(&bench, 2000);
    let manifest = backup_database(&bench, &source);
    let (objects, bytes) = (bench.keys(""), fs::read(&source).unwrap());
    let changes = || bench.notes.count(Call::Delete, "") + bench.notes.count(Call::Put, "");
    let before = changes();
    rehearse_with(&bench, &manifest, &[SOUND], &FromArchive);
    let options = RestoreOptions::default();
    assert!(
        bench
            .restore(&manifest, &options, &bench.path("back"))
            .unwrap()
            .lost
            .is_empty()
    );
    assert_eq!(objects, bench.keys(""));
    assert!(bytes == fs::read(&source).unwrap());
    assert_eq!(changes(), before);
}
