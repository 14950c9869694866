//! What a restore says before, while and after it takes place: the plan, the losses, and what comes of them.

use std::fs;
use std::path::{Path, PathBuf};

use muster_testkit::damage::files_beneath;
use muster_testkit::env::{Outcome, TestEnv};
use muster_testkit::trees::{assert_same, describe, noise};
use serde_json::Value;

use crate::files::assets;

/// A store with two packs' worth of files, and a bit flipped in the middle of its largest pack.
fn damaged() -> TestEnv {
    let env = assets("");
    for number in 0..6 {
        env.write(&format!("src/part-{number}"), noise(7_000_000, number));
    }
    env.write("src/small", "small");
    env.ok("backup assets");
    let pack = largest_pack(&env);
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&pack, bytes).unwrap();
    env
}

fn largest_pack(env: &TestEnv) -> PathBuf {
    let packs = files_beneath(&env.path("repo")).into_iter();
    let packs = packs
        .filter(|name| name.starts_with("packs/"))
        .map(|name| env.path("repo").join(name));
    packs.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

/// `muster verify` as an auditor runs it: no configuration, no repository, only the file and the root's public key.
fn verify(env: &TestEnv, file: &Path) -> Outcome {
    let elsewhere = env.path("auditor");
    fs::create_dir_all(&elsewhere).unwrap();
    let mut command = env.bare_command();
    command.current_dir(elsewhere).arg("verify").arg(file).arg("--json");
    command.arg("--key").arg(env.path("keys/root.pub"));
    Outcome::of(command)
}

fn loss_file(report: &Value) -> PathBuf {
    PathBuf::from(report["loss_report"].as_str().unwrap())
}

#[test]
fn losses_are_reported_in_a_signed_file_that_an_auditor_verifies_offline() {
    let env = damaged();
    let outcome = env.run("restore assets --to back --json").expect_code(7);
    let report = outcome.json();
    let file = loss_file(&report);
    assert_eq!(
        file.parent(),
        Some(env.path("").as_path()).map(|path| path.components().as_path())
    );
    assert_eq!(report["loss_report_signed"], true);
    fs::remove_dir_all(env.path("repo")).unwrap();
    let verified = verify(&env, &file).expect_code(0).json();
    assert_eq!(verified["valid"], true, "{verified}");
    assert!(
        verified["signed_by"]
            .as_array()
            .unwrap()
            .iter()
            .any(|signer| signer["role"] == "writer"),
        "{verified}"
    );
    let losses = &verified["losses"];
    assert_eq!(losses["lost"], report["lost"]);
    assert_eq!(losses["lost_bytes"], report["lost_bytes"]);
    assert_eq!(losses["restored"]["bytes"], report["bytes"]);
    assert!(
        losses["lost"][0]["object"].as_str().unwrap().starts_with("packs/"),
        "{losses}"
    );
    assert_eq!(losses["lost"][0]["kind"], "damaged");

    let whole = fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(89) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert_eq!(verify(&env, &file).code, 7, "byte {at} was changed");
    }
}

#[test]
fn without_a_key_the_loss_report_says_that_nobody_signed_it() {
    let env = damaged();
    fs::remove_file(env.path("keys/signing.pem")).unwrap();
    let outcome = env.run("restore assets --to back").expect_code(7);
    assert!(outcome.stdout.contains("NOT signed"), "{outcome:?}");
    let report = env.run("restore assets --to again --json").expect_code(7).json();
    assert_eq!(report["loss_report_signed"], false);
    let verified = verify(&env, &loss_file(&report)).expect_code(12).json();
    assert_eq!(verified["valid"], false);
    let checks = verified["checks"].as_array().unwrap();
    let failed: Vec<_> = checks.iter().filter(|check| check["passed"] == false).collect();
    assert!(
        failed.len() == 1 && failed[0]["detail"].as_str().unwrap().contains("unsigned"),
        "{failed:?}"
    );
}

#[test]
fn a_whole_restore_leaves_nothing_beside_its_target() {
    let env = assets("");
    env.write("src/a", "a");
    env.ok("backup assets");
    let before = fs::read_dir(env.path("")).unwrap().count();
    let report = env.ok("restore assets --to back --json").json();
    assert_eq!(report["loss_report"], Value::Null);
    assert_eq!(fs::read_dir(env.path("")).unwrap().count(), before + 1);
}

#[test]
fn what_a_restore_found_damaged_the_next_backup_stores_again() {
    let env = damaged();
    let unchanged = env.ok("backup assets --json").json();
    assert!(
        unchanged["stores"][0]["added_bytes"].as_u64().unwrap() < 1_000_000,
        "nothing is known to be damaged yet: {unchanged}"
    );
    env.run("restore assets --to back").expect_code(7);
    env.ok("backup assets");
    env.ok("restore assets --to whole");
    assert_same(&env.path("src"), &env.path("whole"));
}

#[test]
fn what_a_rehearsal_found_damaged_the_next_backup_stores_again() {
    let env = damaged();
    env.run("rehearse assets").expect_code(4);
    env.ok("backup assets");
    env.ok("restore assets --to whole");
    assert_same(&env.path("src"), &env.path("whole"));
}

#[test]
fn a_dry_run_counts_what_the_restore_then_does_and_writes_nothing() {
    let env = assets("");
    for number in 0..5 {
        env.write(&format!("src/part-{number}"), noise(3_000_000, number));
    }
    env.write("src/huge", noise(20_000_000, 77));
    env.ok("backup assets");
    let before = describe(&env.path(""));
    let plan = env.ok("restore assets --to back --dry-run --json").json();
    assert_eq!(describe(&env.path("")).len(), before.len(), "a dry run wrote something");
    assert_eq!(plan["dry_run"], true);
    assert!(plan["free_bytes"].as_u64().unwrap() > 0 && plan["predicted_seconds"].as_f64().unwrap() > 0.0);
    assert!(plan["assumes"]["read_bytes_per_second"].as_u64().unwrap() > 0, "{plan}");
    let report = env.ok("restore assets --to back --json").json();
    for (planned, done) in [
        ("files", "files"),
        ("bytes", "bytes"),
        ("requests", "requests"),
        ("fetch_bytes", "fetched_bytes"),
        ("decode_bytes", "decoded_bytes"),
    ] {
        assert_eq!(plan[planned], report[done], "{planned}: {plan} {report}");
        assert!(plan[planned].as_u64().unwrap() > 0, "{planned}");
    }
    // Part of it costs less.
    let part = env
        .ok("restore assets --to part --include part-1 --dry-run --json")
        .json();
    assert!(part["decode_bytes"].as_u64() < plan["decode_bytes"].as_u64(), "{part}");
    assert_eq!((&part["files"], &part["bytes"]), (&1.into(), &3_000_000.into()));
    let shown = env.ok("restore assets --to part --dry-run").stdout;
    for word in ["requests", "to fetch", "to decode", "predicted", "free"] {
        assert!(shown.contains(word), "no {word} in {shown}");
    }
}

#[test]
fn a_mark_that_was_never_written_stands_in_nobodys_way() {
    let env = assets("");
    env.write("src/a", "a");
    env.ok("backup assets");
    for (to, how) in [("one", "--resume"), ("two", "")] {
        fs::create_dir(env.path(to)).unwrap();
        env.write(&format!("{to}/.muster-restore-unfinished"), "");
        env.ok(&format!("restore assets --to {to} {how}"));
        assert_same(&env.path("src"), &env.path(to));
    }
}
