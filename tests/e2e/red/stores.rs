//! Rules about recovery points and rehearsals, on a database and a tree of files.

use std::fs;

use muster_archive::{Edge, RehearsalPlace, Repository, object_store};
use muster_signing::{PublicKey, SecretKey};
use muster_testkit::damage::{Damage, files_beneath};
use muster_testkit::env::{Outcome, TestEnv};
use serde_json::Value;

use super::{Audit, Shown, beneath};
use crate::files::{assets, backup_with_open_failing};
use crate::sqlite::{open, saves};

/// What is shown here.
pub(super) const RULES: &[&str] = &[
    "DR-001", "DR-002", "DR-003", "DR-004", "DR-005", "DR-101", "DR-102", "DR-103", "DR-104", "DR-105", "DR-106",
];

const OBJECTIVES: &str = "objectives = { rpo = \"1h\", rto = \"5m\" }";
const CHECKS: &str = "checks = [\"select count(*) > 0 from move\"]";

fn set(env: &TestEnv, more: &[&str]) {
    let more = more.join("\n");
    env.configure(&format!(
        "[store.saves]\nkind = \"sqlite\"\npath = \"saves.db\"\n{more}"
    ));
}

#[test]
fn rules_about_recovery_points_and_rehearsals_are_seen_red_and_right() {
    let env = saves("wal", "");
    fs::remove_file(env.path("keys/root.pem")).unwrap();
    let mut shown = Shown::default();
    let bare = Audit::of(&env);
    shown.red(&bare, "saves", "fail", &["DR-001", "DR-003", "DR-101", "DR-105"]);
    set(&env, &[OBJECTIVES, CHECKS]);
    shown.red(&Audit::of(&env), "saves", "fail", &["DR-001", "DR-002"]);

    for command in ["backup", "backup", "rehearse"] {
        env.ok(command);
    }
    let good = Audit::of(&env);
    shown.right(&good, "saves", "pass", RULES);
    assert!(!good.has_fail());

    missed_objectives(&env, &mut shown);
    failed_rehearsals(&env, &mut shown);
    old_rehearsals(&env, &mut shown);
    shared_rehearsal(&env, &mut shown);
    a_point_that_shrank(&env, &mut shown);
    a_point_that_lacks_a_file(&mut shown);
    shown.demand(RULES, &[]);
}

fn missed_objectives(env: &TestEnv, shown: &mut Shown) {
    set(env, &["objectives = { rpo = \"1ms\", rto = \"1ms\" }", CHECKS]);
    env.run("rehearse").expect_code(5);
    let late = Audit::of(env);
    shown.red(&late, "saves", "fail", &["DR-002", "DR-103", "DR-104"]);
    late.expect("saves", "pass", &["DR-101", "DR-102"]);
}

fn failed_rehearsals(env: &TestEnv, shown: &mut Shown) {
    set(env, &[OBJECTIVES, "checks = [\"select 0\"]"]);
    env.run("rehearse").expect_code(4);
    let failed = Audit::of(env);
    shown.red(&failed, "saves", "fail", &["DR-101"]);
    // It did start the engine; what it measured says nothing about the objectives.
    failed.expect("saves", "pass", &["DR-102"]);
    failed.expect("saves", "unknown", &["DR-103", "DR-104"]);

    set(env, &[OBJECTIVES, "checks = [\"select nothing from nowhere\"]"]);
    env.run("rehearse").expect_code(8);
    Audit::of(env).expect("saves", "unknown", &["DR-101"]);

    set(env, &[OBJECTIVES, CHECKS]);
    let damaged: Vec<_> = files_beneath(&env.path("repo/packs"))
        .iter()
        .map(|pack| Damage::Flip.to(&env.path("repo/packs").join(pack)))
        .collect();
    env.run("rehearse").expect_code(4);
    let damage = Audit::of(env);
    shown.red(&damage, "saves", "fail", &["DR-101", "DR-102"]);
    damage.expect("saves", "unknown", &["DR-106"]);
    drop(damaged);
    env.ok("rehearse");
    Audit::of(env).expect("saves", "pass", &["DR-101", "DR-102", "DR-103", "DR-104", "DR-106"]);
}

/// The same rehearsal, audited long after.
fn old_rehearsals(env: &TestEnv, shown: &mut Shown) {
    for (time, verdict) in [("+100d", "warn"), ("+400d", "fail")] {
        let clock = ["faketime", "-m", "--exclude-monotonic", "-f", time];
        let old = Audit::from(Outcome::of(beneath(&clock, env, "audit --json")));
        shown.red(&old, "saves", verdict, &["DR-101"]);
        shown.red(&old, "saves", "fail", &["DR-002"]);
    }
}

/// A scorecard of a rehearser that restored on the host's own network: muster never does, another tool with that key may.
fn shared_rehearsal(env: &TestEnv, shown: &mut Shown) {
    let scorecards = files_beneath(&env.path("repo/rehearsals"));
    let last = env.path("repo/rehearsals").join(scorecards.last().unwrap());
    let payload = muster_signing::inspect(&fs::read(last).unwrap()).unwrap().payload;
    let mut scorecard: Value = serde_json::from_slice(&payload).unwrap();
    scorecard["isolation"]["network"] = "the host's, port 5432".into();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let snapshot = text(&scorecard["snapshot"]);
    let next = ulid::Ulid::from_string(&text(&scorecard["rehearsal"])).unwrap();
    let next = next.increment().unwrap().to_string();
    scorecard["rehearsal"] = next.as_str().into();

    let read = |name: &str| fs::read_to_string(env.path(name)).unwrap();
    let root = PublicKey::from_pem(&read("keys/root.pub")).unwrap();
    let rehearser = SecretKey::from_pem(&read("keys/rehearser.pem")).unwrap();
    let place = RehearsalPlace {
        store: "saves",
        rehearsal: &next,
        snapshot: &snapshot,
        verdict: "PASS",
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let url = format!("file://{}", env.text("repo"));
        let objects = object_store::open(&url, &object_store::S3Options::default())
            .await
            .unwrap();
        let repository = Repository::open(objects, Some(&root), &env.path(".muster"))
            .await
            .unwrap();
        let committed = repository.commit_scorecard(&place, &scorecard, &rehearser, &Host).await;
        committed.unwrap();
    });
    shown.red(&Audit::of(env), "saves", "warn", &["DR-106"]);
    env.ok("rehearse");
    Audit::of(env).expect("saves", "pass", &["DR-106"]);
}

fn a_point_that_shrank(env: &TestEnv, shown: &mut Shown) {
    open(&env.path("saves.db"))
        .execute_batch("delete from move where id > 10; vacuum")
        .unwrap();
    env.ok("backup");
    shown.red(&Audit::of(env), "saves", "warn", &["DR-005"]);
    env.ok("backup");
    Audit::of(env).expect("saves", "pass", &["DR-005"]);
}

fn a_point_that_lacks_a_file(shown: &mut Shown) {
    let env = assets("");
    env.write("src/first", "first");
    env.write("src/troubled-file", "never read");
    backup_with_open_failing(&env, "troubled-file", "EIO").expect_code(3);
    shown.red(&Audit::of(&env), "assets", "fail", &["DR-004"]);
    env.ok("backup assets");
    shown.right(&Audit::of(&env), "assets", "pass", &["DR-004"]);
}

/// The clock and the randomness of this host.
struct Host;

impl Edge for Host {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test stands at the edge, as another tool would"
    )]
    fn now_ms(&self) -> u64 {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        u64::try_from(since.as_millis()).unwrap()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the test stands at the edge, as another tool would"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).unwrap();
    }
}
