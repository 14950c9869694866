//! What cron and its watchers rely on: status, its exit code, and schedules that the schedulers accept.

use muster_testkit::env::TestEnv;

use crate::env;

fn with_objective(rpo: &str) -> TestEnv {
    let env = env();
    env.write("src/a", "a");
    env.configure(&format!(
        "[store.assets]\nkind = \"files\"\npath = \"src\"\nobjectives = {{ rpo = \"{rpo}\", rto = \"5m\" }}"
    ));
    env.ok("init");
    env
}

#[test]
fn status_tells_the_newest_point_and_the_last_rehearsal() {
    let env = with_objective("1h");
    let before = env.run("status --json").expect_code(5).json();
    assert_eq!(before["schema"], "muster.status/1");
    assert_eq!(
        before["stores"][0]["met"], false,
        "no backup at all meets no objective: {before}"
    );
    env.ok("backup");
    env.ok("rehearse");
    let status = env.ok("status --json").json();
    let store = &status["stores"][0];
    assert_eq!(store["store"], "assets");
    assert_eq!(store["kind"], "files");
    assert_eq!(store["met"], true);
    assert_eq!(store["rpo_objective_seconds"].as_f64(), Some(3600.0));
    assert!(store["age_seconds"].as_f64().unwrap() < 600.0, "{status}");
    assert_eq!(store["last_rehearsal"]["verdict"], "PASS");
    assert!(store["last_rehearsal"]["age_seconds"].as_f64().unwrap() < 600.0);
    assert!(env.ok("status").stdout.contains("assets"));
}

#[test]
fn a_missed_objective_is_exit_5() {
    let env = with_objective("1ms");
    env.ok("backup");
    let status = env.run("status --json").expect_code(5).json();
    assert_eq!(status["stores"][0]["met"], false);
}

#[test]
fn a_backup_document_says_what_a_script_needs() {
    let env = with_objective("1h");
    let backup = env.ok("backup --json");
    assert!(
        backup
            .stdout
            .trim_start()
            .starts_with("{\"schema\":\"muster.backup/1\"")
            || backup.stdout.contains("\"schema\": \"muster.backup/1\"")
    );
    let document = backup.json();
    let store = &document["stores"][0];
    for key in [
        "store",
        "kind",
        "status",
        "snapshot",
        "manifest_digest",
        "consistency_point",
    ] {
        assert!(!store[key].is_null(), "no {key}: {document}");
    }
    assert_eq!(store["status"], "ok");
    assert!(store["manifest_digest"].as_str().unwrap().starts_with("sha256:"));
    for key in [
        "logical_bytes",
        "stored_bytes",
        "added_bytes",
        "rewritten_bytes",
        "duration_seconds",
    ] {
        assert!(store[key].is_number(), "{key} is no number: {document}");
    }
    let listed = env.ok("snapshots --json").json();
    let point = &listed["snapshots"][0];
    assert_eq!(point["id"], store["snapshot"]);
    for key in [
        "store",
        "kind",
        "time",
        "consistency_point",
        "logical_bytes",
        "stored_bytes",
        "parent",
        "signed_by",
        "retain_until",
    ] {
        assert!(point.get(key).is_some(), "no {key}: {listed}");
    }
}

#[test]
fn one_bad_store_does_not_stop_the_others_and_is_exit_3() {
    let env = env();
    env.write("src/a", "a");
    env.configure(
        "[store.good]\nkind = \"files\"\npath = \"src\"\n[store.bad]\nkind = \"files\"\npath = \"no-such-folder\"",
    );
    env.ok("init");
    let document = env.run("backup --json").expect_code(3).json();
    let stores = document["stores"].as_array().unwrap();
    let status = |name: &str| stores.iter().find(|store| store["store"] == name).unwrap()["status"].clone();
    assert_eq!(status("good"), "ok");
    assert_eq!(status("bad"), "failed");
    let bad = stores.iter().find(|store| store["store"] == "bad").unwrap();
    assert!(bad["error"].to_string().contains("no-such-folder"), "{document}");
    env.run("backup bad").expect_code(1);
}

#[test]
fn schedules_name_every_store_and_the_configuration() {
    let env = with_objective("1h");
    let config = env.text("muster.toml");
    let cron = env.ok("schedule cron").stdout;
    let entry = cron
        .lines()
        .find(|line| line.contains("backup") && !line.starts_with('#'))
        .expect("a backup entry");
    assert!(entry.contains(&config) && entry.contains("assets"), "{cron}");
    let fields: Vec<&str> = entry.split_whitespace().take(5).collect();
    assert!(
        fields
            .iter()
            .all(|field| field.chars().all(|c| c.is_ascii_digit() || "*/,-".contains(c))),
        "{entry}"
    );
    let systemd = env.ok("schedule systemd").stdout;
    for word in ["[Service]", "[Timer]", "ExecStart=", "OnCalendar=", &config, "assets"] {
        assert!(systemd.contains(word), "no {word} in\n{systemd}");
    }
}
