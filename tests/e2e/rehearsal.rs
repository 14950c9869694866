//! Rehearsals: each verdict with its exit code, figures that add up, and nothing left behind.

use std::fs;

use muster_testkit::damage::files_beneath;
use muster_testkit::env::TestEnv;
use serde_json::Value;

use crate::env;
use crate::sqlite::{Load, open, saves};

const SOUND: &str = "select count(*) >= 20000 from move";

/// Gives the store of [`saves`] other objectives and checks.
fn set(env: &TestEnv, rto: &str, check: &str) {
    env.configure(&format!(
        "[store.saves]\nkind = \"sqlite\"\npath = \"saves.db\"\nobjectives = {{ rpo = \"1h\", rto = \"{rto}\" }}\nchecks = [\"{check}\"]"
    ));
}

fn rehearse(env: &TestEnv, code: i32) -> Value {
    env.run("rehearse saves --json").expect_code(code).json()["rehearsals"][0].clone()
}

#[test]
fn a_sound_point_passes_and_its_figures_add_up() {
    let env = saves("wal", "");
    set(&env, "2m", SOUND);
    env.ok("backup");
    let rehearsal = rehearse(&env, 0);
    assert_eq!(rehearsal["verdict"], "PASS");
    assert_eq!(rehearsal["store"], "saves");
    assert!(matches!(rehearsal["depth"].as_str(), Some("L3" | "L4")), "{rehearsal}");
    assert!(rehearsal["scorecard_digest"].as_str().unwrap().starts_with("sha256:"));

    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("not a number in {rehearsal}"));
    let phases = rehearsal["phases"].as_array().unwrap();
    assert!(phases.len() >= 4, "{rehearsal}");
    let summed: f64 = phases.iter().map(|phase| number(&phase["duration_seconds"])).sum();
    let rto = &rehearsal["rto"];
    let verified = number(&rto["verified_seconds"]);
    assert!(
        verified > 0.0 && number(&rto["transfer_seconds"]) <= verified && number(&rto["engine_seconds"]) <= verified
    );
    assert!(
        summed >= 0.7 * verified && summed <= verified * 1.5 + 1.0,
        "{summed} s of phases, {verified} s in all: {rehearsal}"
    );
    assert_eq!(number(&rto["objective_seconds"]), 120.0);
    assert_eq!(rto["met"], true);

    let rpo = &rehearsal["rpo"];
    for key in ["exposure", "archive_gap", "realised"] {
        let measured = rpo[format!("{key}_seconds")].is_number();
        assert!(
            measured || rpo["reason"][key].is_string(),
            "{key} is neither measured nor explained: {rpo}"
        );
    }
    assert_eq!(rpo["met"], true);
    let checks = rehearsal["checks"].as_array().unwrap();
    assert!(
        checks
            .iter()
            .any(|check| check.to_string().contains("from move") && check["passed"] == true),
        "{rehearsal}"
    );
    assert!(
        checks
            .iter()
            .all(|check| check["passed"] == true && check.get("expected").is_some()),
        "{rehearsal}"
    );
}

#[test]
fn each_verdict_has_its_exit_code() {
    let env = saves("wal", "");
    set(&env, "2m", SOUND);
    env.run("rehearse saves --json").expect_code(9);
    env.ok("backup");

    set(&env, "2m", "select count(*) > 9000000 from move");
    assert_eq!(rehearse(&env, 4)["verdict"], "FAIL");
    set(&env, "2m", "select no_such_column from move");
    assert_eq!(rehearse(&env, 8)["verdict"], "ERROR");
    set(&env, "1ms", SOUND);
    let late = rehearse(&env, 5);
    assert_eq!(
        (&late["verdict"], &late["rto"]["met"]),
        (&Value::from("PASS"), &Value::from(false))
    );
}

#[test]
fn a_failing_check_wins_over_one_that_could_not_run() {
    let env = saves("wal", "");
    env.configure(
        "[store.saves]\nkind = \"sqlite\"\npath = \"saves.db\"\nchecks = [\"select nothing from nowhere\", \"select 0\"]",
    );
    env.ok("backup");
    assert_eq!(rehearse(&env, 4)["verdict"], "FAIL");
}

#[test]
fn data_that_was_emptied_at_the_source_is_found_by_the_checks() {
    let env = saves("wal", "");
    set(&env, "2m", SOUND);
    env.ok("backup");
    assert_eq!(rehearse(&env, 0)["verdict"], "PASS");
    open(&env.path("saves.db")).execute_batch("delete from move").unwrap();
    env.ok("backup");
    assert_eq!(rehearse(&env, 4)["verdict"], "FAIL");
}

#[test]
fn a_damaged_pack_is_verdict_fail_and_a_damaged_manifest_is_no_verdict() {
    let env = saves("wal", "");
    set(&env, "2m", SOUND);
    env.ok("backup");
    let largest = |folder: &str| {
        let files = files_beneath(&env.path(folder));
        let size = |name: &String| fs::metadata(env.path(folder).join(name)).unwrap().len();
        env.path(folder)
            .join(files.iter().max_by_key(|name| size(name)).unwrap())
    };
    let damaged = muster_testkit::damage::Damage::Flip.to(&largest("repo/packs"));
    assert_eq!(rehearse(&env, 4)["verdict"], "FAIL");
    drop(damaged);
    let damaged = muster_testkit::damage::Damage::Flip.to(&largest("repo/snapshots"));
    env.run("rehearse saves").expect_code(7);
    drop(damaged);
    assert_eq!(rehearse(&env, 0)["verdict"], "PASS");
}

#[test]
fn a_rehearsal_never_touches_the_source_and_leaves_nothing_behind() {
    let env = saves("wal", "");
    set(&env, "2m", SOUND);
    env.ok("backup");
    let source = fs::read(env.path("saves.db")).unwrap();
    for check in [SOUND, "select 0", "select no_such_column from move", "delete from move"] {
        set(&env, "2m", check);
        env.run("rehearse saves");
        env.assert_nothing_left();
    }
    assert!(source == fs::read(env.path("saves.db")).unwrap(), "the source changed");
}

#[test]
fn a_file_tree_is_rehearsed_by_its_digest() {
    let env = env();
    env.write("src/a", "a");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"\nobjectives = { rpo = \"1h\", rto = \"5m\" }");
    env.ok("init");
    env.ok("backup");
    let rehearsal = env.ok("rehearse --json").json()["rehearsals"][0].clone();
    assert_eq!(rehearsal["verdict"], "PASS", "{rehearsal}");
}

#[test]
fn several_stores_give_several_verdicts_and_the_worst_exit_code() {
    let env = saves("wal", "");
    env.write("src/a", "a");
    env.configure(
        "[store.saves]\nkind = \"sqlite\"\npath = \"saves.db\"\nchecks = [\"select 0\"]\n[store.assets]\nkind = \"files\"\npath = \"src\"",
    );
    env.ok("backup");
    let document = env.run("rehearse --json").expect_code(4).json();
    let verdicts: Vec<&str> = document["rehearsals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["verdict"].as_str().unwrap())
        .collect();
    assert!(verdicts.contains(&"PASS") && verdicts.contains(&"FAIL"), "{document}");
}

#[test]
fn a_point_taken_under_load_passes() {
    let env = saves("wal", "");
    set(&env, "2m", "select sum(coins) = 1000000 from account");
    let load = Load::start(&env.path("saves.db"));
    env.ok("backup");
    let rehearsal = rehearse(&env, 0);
    load.end();
    assert_eq!(rehearsal["verdict"], "PASS");
}
