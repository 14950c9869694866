//! The transparency log: shown, proven with other tools, checked from end to end, and held against heads that were kept elsewhere.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use muster_testkit::damage::{Damage, files_beneath};
use muster_testkit::env::TestEnv;
use serde_json::Value;

use crate::env;

/// A repository with so many snapshots of a small tree.
fn with_snapshots(count: usize) -> TestEnv {
    let env = env();
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    more(&env, 0..count);
    env
}

fn more(env: &TestEnv, numbers: std::ops::Range<usize>) {
    for number in numbers {
        env.write("src/a", format!("version {number}"));
        env.ok("backup");
    }
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for name in files_beneath(from) {
        fs::create_dir_all(to.join(&name).parent().unwrap()).unwrap();
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

fn shell(env: &TestEnv, folder: &str, script: &str) -> Output {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).current_dir(env.path(folder));
    command.output().unwrap()
}

/// The `number`th script of the chapter on log proofs.
fn documented(number: usize) -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/format/trust.md")).unwrap();
    let chapter = page.split("### Log proofs").nth(1).unwrap();
    let script = chapter.split("```sh\n").nth(number).unwrap();
    script.split("```").next().unwrap().to_owned()
}

fn log_key(env: &TestEnv) -> String {
    let pem = fs::read_to_string(env.path("keys/signing.pem")).unwrap();
    muster_signing::SecretKey::from_pem(&pem).unwrap().public().to_pem()
}

#[test]
fn show_names_heads_and_the_newest_entries_first_and_no_more_than_asked_for() {
    let env = with_snapshots(3);
    let shown = env.ok("ledger show --json").json();
    let log = &shown["logs"][0];
    assert_eq!(
        (log["role"].as_str(), log["size"].as_u64()),
        (Some("writer"), Some(6)),
        "{shown}"
    );
    let types = |shown: &Value| -> Vec<String> {
        let entries = shown["logs"][0]["entries"].as_array().unwrap();
        entries
            .iter()
            .map(|entry| entry["type"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        types(&shown),
        ["snapshot", "snapshot", "snapshot", "stores", "keys", "opened"]
    );
    let bounded = env
        .ok("ledger show --json --type snapshot --store assets --limit 2")
        .json();
    assert_eq!(types(&bounded), ["snapshot", "snapshot"]);
    assert_eq!(bounded["logs"][0]["entries"][0]["index"], 5);
    assert_eq!(types(&env.ok("ledger show --json --store other").json()), [""; 0]);
    let human = env.ok("ledger show --limit 2").stdout;
    assert!(human.lines().all(|line| line.chars().count() <= 100), "{human}");
    assert!(human.contains("2 of 6 entries"), "{human}");
}

#[test]
fn a_new_set_of_stores_and_a_new_key_document_are_entries() {
    let env = with_snapshots(1);
    env.ok("backup");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"\n[store.more]\nkind = \"files\"\npath = \"src\"");
    env.ok("backup");
    let shown = env.ok("ledger show --json --type stores").json();
    let entries = shown["logs"][0]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{shown}");
    assert_eq!(entries[0]["stores"]["more"], "files");
    let keys = env.ok("ledger show --json --type keys").json();
    assert_eq!(keys["logs"][0]["entries"][0]["epoch"], 1, "{keys}");
}

#[test]
fn two_processes_of_one_writer_and_a_host_that_lost_its_state_share_one_log() {
    let env = env();
    env.configure("[store.a]\nkind = \"files\"\npath = \"src\"\n[store.b]\nkind = \"files\"\npath = \"src\"");
    env.write("src/a", "a");
    env.ok("init");
    for round in 0..3 {
        let start = |store: &str| {
            let mut command = env.command();
            command
                .args(["backup", store])
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.spawn().unwrap()
        };
        let running = [start("a"), start("b")];
        for mut child in running {
            assert!(child.wait().unwrap().success(), "round {round}");
        }
        fs::remove_dir_all(env.path(".muster")).unwrap();
    }
    let checked = env.ok("ledger check --json").json();
    assert_eq!(
        (checked["valid"].as_bool(), checked["snapshots"].as_u64()),
        (Some(true), Some(6))
    );
    assert_eq!(checked["logs"].as_array().unwrap().len(), 1, "{checked}");
}

#[test]
fn a_store_that_left_the_configuration_is_named_in_the_evidence() {
    let env = with_snapshots(1);
    env.configure("[store.other]\nkind = \"files\"\npath = \"src\"");
    let audited = env.run("audit --out evidence.tar --json");
    assert!(matches!(audited.code, 0 | 3 | 6 | 8), "{audited:?}");
    let verified = env.ok("verify evidence.tar --key keys/root.pub --json").json();
    let caveats = verified["not_shown"].to_string();
    assert!(
        caveats.contains("store assets, which a writer's configuration named"),
        "{caveats}"
    );
}

#[test]
fn a_proof_of_inclusion_is_checked_with_sha256sum_and_openssl_alone() {
    let env = with_snapshots(5);
    let proven = env.ok("ledger prove assets --out proofs --json").json();
    let proof = &proven["proofs"][0];
    let path = |field: &str| env.path(proof[field].as_str().unwrap());
    fs::copy(path("proof"), env.path("proofs/proof")).unwrap();
    fs::copy(path("entry"), env.path("proofs/entry")).unwrap();
    env.write("proofs/key.pub", log_key(&env));
    let output = shell(&env, "proofs", &documented(1));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest = files_beneath(&env.path("repo/snapshots")).pop().unwrap();
    let digest = muster_signing::Digest::of(&fs::read(env.path("repo/snapshots").join(manifest)).unwrap());
    assert!(fs::read_to_string(path("entry")).unwrap().contains(&digest.to_string()));
    for name in ["proof", "entry"] {
        let _damaged = Damage::Flip.to(&env.path("proofs").join(name));
        assert!(
            !shell(&env, "proofs", &documented(1)).status.success(),
            "{name} was changed and nothing saw it"
        );
    }
}

#[test]
fn a_proof_of_growth_is_checked_with_sha256sum_and_openssl_alone() {
    let env = with_snapshots(1);
    for round in 0..4 {
        env.ok("ledger show --checkpoint --out old");
        more(&env, round + 1..round + 3);
        let proven = env.ok("ledger prove --since old --out proofs --json").json();
        let proof = env.path(proven["proofs"][0]["proof"].as_str().unwrap());
        fs::rename(proof, env.path("proofs/growth")).unwrap();
        fs::copy(env.path("old"), env.path("proofs/old")).unwrap();
        env.write("proofs/key.pub", log_key(&env));
        let functions = documented(1).split("sed '1,/^$/d'").next().unwrap().to_owned();
        let script = functions + &documented(2);
        let output = shell(&env, "proofs", &script);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let growth = fs::read_to_string(env.path("proofs/growth")).unwrap();
        let (first, rest) = growth.split_once('\n').unwrap();
        env.write(
            "proofs/growth",
            format!("{first}\n{}", rest.replacen(|c: char| c.is_ascii_digit(), "A", 1)),
        );
        assert!(
            !shell(&env, "proofs", &script).status.success(),
            "a changed proof passed: {growth}"
        );
    }
}

#[test]
fn check_reads_everything_and_names_what_is_wrong() {
    let env = with_snapshots(3);
    env.ok("rehearse assets");
    let checked = env.ok("ledger check --json").json();
    assert_eq!(checked["valid"], true, "{checked}");
    assert_eq!(
        (checked["snapshots"].as_u64(), checked["rehearsals"].as_u64()),
        (Some(3), Some(1))
    );
    assert!(
        env.ok("ledger check")
            .stdout
            .lines()
            .all(|line| line.chars().count() <= 110)
    );
    let objects = files_beneath(&env.path("repo"));
    let present = |name: &&String| match name.split('/').next().unwrap() {
        "snapshots" | "rehearsals" => true,
        // Superseded partial tiles are not read again.
        "ledger" => !name.contains(".p/") || name.contains(".p/6"),
        _ => false,
    };
    for name in objects.iter().filter(present) {
        let _damaged = Damage::Flip.to(&env.path("repo").join(name));
        let outcome = env.run("ledger check --json").expect_code(7);
        let stem = name.trim_start_matches("ledger/").split('/').next().unwrap();
        assert!(outcome.stdout.contains(stem), "{name}: {}", outcome.stdout);
    }
    let manifest = objects.iter().find(|name| name.starts_with("snapshots/")).unwrap();
    fs::copy(
        env.path("repo").join(manifest),
        env.path("repo/snapshots/assets/01K00000000000000000000000.dsse"),
    )
    .unwrap();
    let stray = env.ok("ledger check --json").json();
    assert_eq!(stray["unlogged"].as_array().unwrap().len(), 1, "{stray}");
}

/// Verifies the repository against the pin as a host that never saw it.
fn against(env: &TestEnv, pin: &str) -> (i32, Value, String) {
    let _ = fs::remove_dir_all(env.path(".muster"));
    let outcome = env.run(&format!("verify --repository --pin {pin} --json"));
    let _ = fs::remove_dir_all(env.path(".muster"));
    let document = serde_json::from_str(&outcome.stdout).unwrap_or(Value::Null);
    (outcome.code, document, outcome.stdout + &outcome.stderr)
}

#[test]
fn a_pin_proves_that_nothing_was_removed_and_finds_rollback_forks_and_deletion_on_a_host_without_memory() {
    let env = with_snapshots(2);
    copy(&env.path("repo"), &env.path("before"));
    let unpinned = env.ok("verify --repository --json").json();
    assert_eq!(unpinned["removal"], "self-asserted", "{unpinned}");
    more(&env, 2..4);
    env.ok("ledger show --checkpoint --out pin.txt");
    more(&env, 4..6);
    let (code, proven, text) = against(&env, "pin.txt");
    assert_eq!(
        (code, proven["removal"].as_str()),
        (0, Some("proven-against-pin")),
        "{text}"
    );
    copy(&env.path("repo"), &env.path("whole"));

    // Rollback: everything as it was before, consistent in itself.
    copy(&env.path("before"), &env.path("repo"));
    let (code, found, text) = against(&env, "pin.txt");
    assert!(code == 7 && text.contains("went back to"), "{text}");
    assert_eq!(found["removal"], "self-asserted");

    // A fork: another history from there on, longer than the pin.
    more(&env, 10..16);
    let (code, _, text) = against(&env, "pin.txt");
    assert!(
        code == 7 && text.contains("changed, removed or put in another order"),
        "{text}"
    );

    // Deletion: of a manifest, and of the whole log.
    copy(&env.path("whole"), &env.path("repo"));
    let manifest = env
        .path("repo/snapshots")
        .join(&files_beneath(&env.path("repo/snapshots"))[0]);
    let removed = Damage::Remove.to(&manifest);
    assert_eq!(against(&env, "pin.txt").0, 7);
    drop(removed);
    assert_eq!(against(&env, "pin.txt").0, 0);
    fs::remove_dir_all(env.path("repo/ledger")).unwrap();
    let (code, _, text) = against(&env, "pin.txt");
    assert!(code == 7 && text.contains("is gone"), "{text}");
}

#[test]
fn a_pin_of_another_repository_or_of_nobody_is_refused() {
    let (env, other) = (with_snapshots(1), with_snapshots(1));
    other.ok("ledger show --checkpoint --out pin.txt");
    fs::copy(other.path("pin.txt"), env.path("other.txt")).unwrap();
    assert_eq!(against(&env, "other.txt").0, 7);
    env.write("nothing.txt", "hello\n");
    assert_eq!(against(&env, "nothing.txt").0, 7);
    assert_eq!(against(&env, "absent.txt").0, 2);
}

#[test]
fn an_earlier_bundle_or_a_pin_shows_what_left_the_logs_between_two_audits() {
    let env = with_snapshots(2);
    let audit = |out: &str| {
        let outcome = env.run(&format!("audit --out {out} --json"));
        assert!(matches!(outcome.code, 0 | 3 | 6 | 8), "{outcome:?}");
    };
    audit("first.tar");
    env.ok("ledger show --checkpoint --out pin.txt");
    copy(&env.path("repo"), &env.path("before"));
    more(&env, 2..4);
    audit("second.tar");
    let verify = |line: &str| env.run(&format!("verify {line} --key keys/root.pub --json"));
    for held in [
        "--previous first.tar",
        "--pin pin.txt",
        "--pin pin.txt --previous first.tar",
    ] {
        let found = verify(&format!("second.tar {held}")).expect_code(0).json();
        assert_eq!(found["removal"], "proven-against-pin", "{held}");
    }
    assert_eq!(verify("second.tar").expect_code(0).json()["removal"], "self-asserted");
    verify("first.tar --previous second.tar").expect_code(7);
    // The same time again, another way.
    copy(&env.path("before"), &env.path("repo"));
    fs::remove_dir_all(env.path(".muster")).unwrap();
    more(&env, 7..12);
    audit("forked.tar");
    verify("forked.tar").expect_code(0);
    verify("forked.tar --previous first.tar").expect_code(0);
    let refused = verify("forked.tar --previous second.tar").expect_code(7);
    assert!(refused.stdout.contains("another order"), "{}", refused.stdout);
}

#[test]
fn a_latest_whose_manifest_is_gone_or_damaged_is_named_with_the_command_for_the_older_one() {
    let env = with_snapshots(2);
    let ids = files_beneath(&env.path("repo/snapshots/assets"));
    let (older, newest) = (ids[0].trim_end_matches(".dsse"), ids[1].trim_end_matches(".dsse"));
    for damage in [Damage::Remove, Damage::Flip, Damage::Truncate] {
        let _damaged = damage.to(&env.path("repo/snapshots/assets").join(&ids[1]));
        env.run("restore assets --to back")
            .expect_code(7)
            .expect_error_to_name(&[newest, &format!("muster restore assets@{older} --to back")]);
        env.run("rehearse assets")
            .expect_code(7)
            .expect_error_to_name(&[newest, &format!("muster rehearse assets --point {older}")]);
        env.run(&format!("restore assets@{newest} --to back")).expect_code(7);
        env.run("restore assets@latest --to back").expect_code(7);
        assert!(!env.path("back").exists());
    }
    env.ok(&format!("restore assets@{older} --to back"));
    assert_eq!(fs::read_to_string(env.path("back/a")).unwrap(), "version 0");
}
