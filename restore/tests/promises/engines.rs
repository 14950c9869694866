//! What a rehearsal makes of an engine's answers: a real PostgreSQL, and one that answers as a test wants it to.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use muster_archive::{Manifest, Tool};
use muster_restore::rehearsal::{
    Engine, FromArchive, Objectives, Rehearsal, RehearsalPlan, Restorer, Scorecard, Started, Verdict, rehearse,
};
use muster_restore::{FinishOptions, finish};
use muster_signing::Verified;
use muster_stores::postgres::{Environment, PostgresRehearsed, PostgresSource, PostgresUrl, RehearsedOptions};
use muster_stores::{CheckOutcome, ConsistencyPoint, IdentityFact, Rehearsed, Sandbox, StoreError};
use muster_testkit::postgres::{Options, Server, scratch};

use crate::bench::{Bench, nothing};
use crate::rehearsals::Spoiled;

fn rehearse_in(
    bench: &Bench,
    manifest: &Verified<Manifest>,
    work_dir: &Path,
    engine: Engine,
    check: &str,
    restorer: &dyn Restorer,
) -> Scorecard {
    let plan = RehearsalPlan::of(manifest, vec![check.to_owned()], Objectives::default());
    let rehearsal = Rehearsal {
        plan: &plan,
        manifest,
        id: "01JDAAAAAAAAAAAAAAAAAAAAAA",
        started: Started::now(&*bench.edge),
        work_dir,
        engine,
        restorer,
        tool: Tool {
            name: "muster".to_owned(),
            version: "0".to_owned(),
        },
        host: BTreeMap::new(),
    };
    let card = rehearse(&bench.session(&nothing), rehearsal).unwrap();
    assert!(
        fs::read_dir(work_dir).unwrap().next().is_none(),
        "something was left behind"
    );
    card
}

/// Answers as it was told, and counts how often it was stopped.
#[derive(Default)]
struct Told {
    start: Option<StoreError>,
    mismatch: bool,
    write: Option<StoreError>,
    panics: bool,
    stopped: Arc<AtomicUsize>,
}

impl Rehearsed for Told {
    fn start(&mut self, _: &Sandbox, phase: &mut dyn FnMut(&'static str)) -> Result<(), StoreError> {
        ["engine_start", "replay", "promote"].into_iter().for_each(phase);
        self.start.take().map_or(Ok(()), Err)
    }

    fn identity(&mut self) -> Result<Vec<IdentityFact>, StoreError> {
        let actual = if self.mismatch { "7302" } else { "7301" };
        Ok(vec![IdentityFact {
            name: "system_identifier".to_owned(),
            expected: "7301".to_owned(),
            actual: actual.to_owned(),
            matches: !self.mismatch,
        }])
    }

    fn check(&mut self, _: &str, _: Duration) -> CheckOutcome {
        assert!(!self.panics, "as a bug would");
        CheckOutcome::Passed { actual: "t".to_owned() }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.write.take().map_or(Ok(()), Err)
    }

    fn stop(&mut self) -> Result<(), StoreError> {
        self.stopped.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn isolation(&self) -> BTreeMap<String, serde_json::Value> {
        BTreeMap::from([("network".to_owned(), "none".into())])
    }
}

fn invalid() -> StoreError {
    StoreError::Invalid {
        attempt: "start it".to_owned(),
        reason: "invalid checkpoint record".to_owned(),
    }
}

fn missing() -> StoreError {
    StoreError::ProgramMissing {
        program: "postgres".to_owned(),
        searched: "PATH".to_owned(),
        hint: "apt-get install postgresql-15".to_owned(),
    }
}

#[test]
fn each_answer_of_an_engine_has_its_verdict_and_the_engine_is_stopped() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("x"), "x").unwrap();
    let manifest = bench.backup_files(&tree);
    let full = || StoreError::Refused {
        attempt: "write a row".to_owned(),
        reason: "cannot execute CREATE TABLE in a read-only transaction".to_owned(),
        hint: None,
    };
    let cases = [
        ("sound", Told::default(), Verdict::Pass, "L3"),
        (
            "identity",
            Told {
                mismatch: true,
                ..Told::default()
            },
            Verdict::Fail,
            "L3",
        ),
        (
            "no start",
            Told {
                start: Some(invalid()),
                ..Told::default()
            },
            Verdict::Fail,
            "L2",
        ),
        (
            "no program",
            Told {
                start: Some(missing()),
                ..Told::default()
            },
            Verdict::Error,
            "L2",
        ),
        (
            "no write",
            Told {
                write: Some(full()),
                ..Told::default()
            },
            Verdict::Fail,
            "L2",
        ),
    ];
    for (name, told, verdict, reached) in cases {
        let stopped = Arc::clone(&told.stopped);
        let work = bench.path("work");
        let card = rehearse_in(
            &bench,
            &manifest,
            &work,
            Engine::given(Box::new(told)),
            "any",
            &FromArchive,
        );
        assert_eq!(
            (card.verdict, card.reached.as_str()),
            (verdict, reached),
            "{name}: {:?}",
            card.reasons
        );
        assert_eq!(stopped.load(Ordering::Relaxed), 1, "{name}");
        assert_eq!(card.isolation["network"], "none", "{name}");
        let names: Vec<_> = card.phases.iter().map(|phase| phase.name.as_str()).collect();
        assert_eq!(names[3..7], ["compare", "engine_start", "replay", "promote"], "{name}");
        assert_eq!(names.last(), Some(&"cleanup"), "{name}");
    }
    let told = Told {
        panics: true,
        ..Told::default()
    };
    let stopped = Arc::clone(&told.stopped);
    let engine = Engine::given(Box::new(told));
    let work = bench.path("work");
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        rehearse_in(&bench, &manifest, &work, engine, "any", &FromArchive)
    }));
    assert!(caught.is_err() && stopped.load(Ordering::Relaxed) == 1);
    assert!(fs::read_dir(&work).unwrap().next().is_none());
}

fn cluster(bench: &Bench, server: &Server) -> Verified<Manifest> {
    let now = muster_archive::Edge::now(&*bench.edge);
    let url = PostgresUrl::parse_with(&server.url("backup", "postgres"), Environment::default()).unwrap();
    bench.backup("postgres", &mut PostgresSource::new(url, Box::new(move || now.clone())))
}

fn engine_of(manifest: &Verified<Manifest>, server: &Server) -> Engine {
    let point: ConsistencyPoint = serde_json::from_value(manifest.consistency_point.clone()).unwrap();
    let url = PostgresUrl::parse_with(&server.url("backup", "postgres"), Environment::default()).unwrap();
    Engine::given(Box::new(PostgresRehearsed::new(
        point,
        url,
        RehearsedOptions::default(),
    )))
}

#[test]
fn a_postgres_cluster_passes_and_a_spoiled_one_fails_before_it_is_started() {
    let bench = Bench::new();
    let server = Server::start(Options::default());
    server.sql("create role backup login replication");
    server.sql("create table hero as select i as id, md5(i::text) as lore from generate_series(1, 20000) i");
    let previous = cluster(&bench, &server);
    server.sql("insert into hero select 1, 'late'");
    let manifest = cluster(&bench, &server);
    let work = scratch();
    let check = "select count(*) = 20001 from hero";
    let rehearse_with = |restorer: &dyn Restorer| {
        rehearse_in(
            &bench,
            &manifest,
            work.path(),
            engine_of(&manifest, &server),
            check,
            restorer,
        )
    };
    let card = rehearse_with(&FromArchive);
    assert_eq!(card.verdict, Verdict::Pass, "{:?}", card.reasons);
    for name in [
        "fetch",
        "compare",
        "engine_start",
        "promote",
        "identity",
        "checks",
        "write",
    ] {
        assert!(
            card.phases.iter().any(|phase| phase.name == name),
            "{name}: {:?}",
            card.phases
        );
    }
    for name in ["system_identifier", "timeline", "replayed_lsn", check] {
        assert!(
            card.checks.iter().any(|check| check.name == name && check.passed),
            "{name}: {:?}",
            card.checks
        );
    }

    let older = bench.path("older");
    bench.restore_whole(&previous, &older);
    let table = server.sql("select pg_relation_filepath('hero')");
    let one_bit = |to: &Path| {
        let mut bytes = fs::read(to.join(&table)).unwrap();
        bytes[5000] ^= 1;
        fs::write(to.join(&table), bytes).unwrap();
    };
    let emptied = |to: &Path| fs::write(to.join(&table), b"").unwrap();
    let exchanged = |to: &Path| {
        fs::remove_dir_all(to).unwrap();
        fs::rename(&older, to).unwrap();
    };
    let spoilers: [&dyn Fn(&Path); 3] = [&one_bit, &emptied, &exchanged];
    for (number, spoil) in spoilers.into_iter().enumerate() {
        let card = rehearse_with(&Spoiled(spoil));
        assert_eq!(card.verdict, Verdict::Fail, "spoiler {number}: {:?}", card.reasons);
        assert!(
            card.phases.iter().all(|phase| phase.name != "engine_start"),
            "spoiler {number} was started"
        );
    }

    let back = work.path().join("back");
    bench.restore_whole(&manifest, &back);
    finish("postgres", &back, &manifest.consistency_point, FinishOptions::default()).unwrap();
    let restored = Server::start_restored(&back, Options::default());
    assert_eq!(restored.sql("select count(*) from hero"), "20001");
}
