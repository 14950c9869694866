//! `[policy] waivers`: one reviewed file, by which `check` and `audit` waive, and a bundle that says so to whoever replays it.

use std::process::Command;

use muster_testkit::env::TestEnv;
use serde_json::{Value, json};

use crate::env;

fn waiver(id: &str, rule: &str, resource: &str, expires: &str) -> String {
    format!(
        "[[waiver]]\nid = \"{id}\"\nrule = \"{rule}\"\nresource = \"{resource}\"\nowner = \"anna\"\napprover = \"boris\"\n\
         reason = \"switched off in March\"\nexpires = \"{expires}\"\n"
    )
}

/// Text of the clock in so many days, as a waiver ends.
fn in_days(days: i64) -> String {
    let mut date = Command::new("date");
    date.args(["-u", "-d", &format!("{days} days"), "+%Y-%m-%dT00:00:00Z"]);
    String::from_utf8(date.output().unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned()
}

fn results<'a>(document: &'a Value, rule: &str) -> Vec<&'a Value> {
    let results = document["results"].as_array().unwrap().iter();
    results.filter(|result| result["rule"] == rule).collect()
}

/// A store that was never rehearsed, a file that does not hold, and a waiver for each.
fn place() -> TestEnv {
    let env = env();
    env.write(
        "policy/p.rego",
        "package main\n\nimport rego.v1\n\ndeny contains \"few\" if input.keep < 7\n",
    );
    env.write("apps/a.json", "{\"keep\": 1}");
    env.write("src/a", "a");
    env.configure(
        "[policy]\nwaivers = \"conf/waivers.toml\"\n[store.assets]\nkind = \"files\"\npath = \"src\"\n\
         objectives = { rpo = \"1h\", rto = \"5m\" }",
    );
    let both = waiver("W-1", "main.deny", "apps/*", &in_days(30)) + &waiver("W-2", "DR-101", "assets", &in_days(30));
    env.write("conf/waivers.toml", both);
    env
}

#[test]
fn a_check_waives_by_the_file_of_the_configuration_unless_another_is_named() {
    let env = place();
    let waived = env.ok("check apps/a.json --json").json();
    let found = &results(&waived, "main.deny")[0];
    assert_eq!(
        (&found["verdict"], &found["waiver"]["id"], &found["waiver"]["owner"]),
        (&json!("waived"), &json!("W-1"), &json!("anna"))
    );
    // The waiver of a profile's rule is for audits, and no orphan here; one that nobody judges by is.
    assert!(results(&waived, "muster.waiver-orphaned").is_empty(), "{waived}");
    // From elsewhere: the path is relative to the configuration.
    let mut command = env.bare_command();
    command.current_dir(env.path("apps"));
    command.args("--config ../muster.toml check a.json --policy ../policy --json".split(' '));
    let elsewhere: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    assert_eq!(results(&elsewhere, "muster.waiver-orphaned").len(), 1, "{elsewhere}");

    let typo = waiver("W-3", "mian.deny", "apps/*", &in_days(30));
    env.write("other.toml", typo);
    let other = env.run("check apps/a.json --waivers other.toml --json").expect_code(6);
    let other = other.json();
    assert_eq!(results(&other, "main.deny")[0]["verdict"], "fail");
    assert_eq!(results(&other, "muster.waiver-orphaned").len(), 1, "{other}");

    std::fs::remove_file(env.path("conf/waivers.toml")).unwrap();
    env.run("check apps/a.json")
        .expect_code(2)
        .expect_error_to_name(&["conf/waivers.toml"]);
}

#[test]
fn an_audit_waives_and_its_bundle_carries_the_waivers_and_replays_to_the_same_bytes() {
    let env = place();
    env.ok("init");
    env.ok("backup");
    let audit = env.ok("audit --framework eu-dora --out a.tar --json").json();
    let found = results(&audit, "DR-101")[0];
    assert_eq!(
        (&found["verdict"], &found["waiver"]["approver"]),
        (&json!("waived"), &json!("boris"))
    );
    assert!(audit["summary"]["waived"] == 1, "{}", audit["summary"]);
    assert!(results(&audit, "muster.waiver-orphaned").is_empty(), "{audit}");
    let controls = audit["frameworks"][0]["controls"].as_array().unwrap();
    let tested = controls.iter().find(|one| one["control"] == "11(6)(a)").unwrap();
    assert_eq!(tested["verdict"], "waived", "{tested}");

    env.ok("verify a.tar --key keys/root.pub");
    let mut tar = Command::new("tar");
    tar.current_dir(env.path(""))
        .args(["xOf", "a.tar", "waivers/waivers.toml"]);
    assert_eq!(
        tar.output().unwrap().stdout,
        std::fs::read(env.path("conf/waivers.toml")).unwrap()
    );
    let replayed = env.ok("evidence replay a.tar --key keys/root.pub --json").json();
    assert_eq!(replayed["same"], true, "{replayed}");

    // It ends, and what it covered fails again.
    let ended = waiver("W-2", "DR-101", "assets", &in_days(-1));
    env.write("conf/waivers.toml", ended);
    let audit = env.run("audit --json --out b.tar").expect_code(6).json();
    assert_eq!(results(&audit, "DR-101")[0]["verdict"], "fail");
    let expired = results(&audit, "muster.waiver-expired")[0];
    assert_eq!(
        (&expired["verdict"], &expired["resource"], &expired["file"]),
        (&json!("warn"), &json!("waiver/W-2"), &json!("waivers.toml"))
    );
    env.ok("evidence replay b.tar --key keys/root.pub");

    env.write("conf/waivers.toml", "[[waiver]]\nid = \"W-9\"\n");
    env.run("audit --out never.tar")
        .expect_code(2)
        .expect_error_to_name(&["conf/waivers.toml"]);
    assert!(!env.path("never.tar").exists());
}
