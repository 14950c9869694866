//! The profile `postgres`, on a server that was set up carelessly and on one that was made right, and replayed from the bundle.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use muster_testkit::env::TestEnv;
use muster_testkit::postgres::{self, Options, Server};
use serde_json::{Value, json};

use super::servers::{archive_by, careless};
use super::{Audit, Shown};
use crate::env;

/// What is shown here.
pub(super) const RULES: &[&str] = &[
    "PG-001", "PG-002", "PG-003", "PG-004", "PG-005", "PG-006", "PG-007", "PG-008", "PG-009", "PG-010", "PG-011",
    "PG-012", "PG-013", "PG-014", "PG-015", "PG-016", "PG-017", "PG-018", "PG-019", "PG-020", "PG-021",
];

/// Rules about pg_hba.conf, which a monitoring role may not read by itself.
const ABOUT_ACCESS: &[&str] = &["PG-004", "PG-005", "PG-006", "PG-007", "PG-008"];

/// Only a name for the settings' text; it is not a secret of anything.
const PASSWORD: &str = "of-the-watcher";

/// Everything that the profile is about, done wrong.
fn neglected() -> Server {
    let server = careless();
    for sql in [
        "alter system set password_encryption = 'md5'",
        "select pg_reload_conf()",
        "create role ann login superuser",
        "create role bob login superuser",
        "grant create on schema public to public",
        "create language careless handler plpgsql_call_handler",
        "create extension pg_stat_statements version '1.4'",
        "create table account (id int)",
        "create policy own on account using (id = 1)",
    ] {
        server.sql(sql);
    }
    // The server keeps the rules that it started with; the view shows the file.
    let path = server.data().join("pg_hba.conf");
    let lines = fs::read_to_string(&path).unwrap();
    fs::write(
        path,
        lines + "host all all 0.0.0.0/0 password\nhost all all 10.0.0.0/8 guess\n",
    )
    .unwrap();
    server
}

/// The same cared for: encrypted, archived, logged, and let in by proof only.
fn tended(certificates: &std::path::Path) -> Server {
    let file = |name: &str| certificates.join(name).display().to_string();
    let mut openssl = Command::new("openssl");
    openssl.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=db".split(' '));
    postgres::succeed(openssl.args(["-keyout", &file("key"), "-out", &file("crt")]));
    postgres::give(&certificates.join("key"));
    let mut settings = [
        "fsync=on",
        "archive_mode=on",
        "log_connections=on",
        "log_disconnections=on",
    ]
    .map(str::to_owned)
    .to_vec();
    settings.extend([
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", file("crt")),
        format!("ssl_key_file={}", file("key")),
    ]);
    let server = Server::start(Options {
        settings,
        ..Options::default()
    });
    server.sql(&format!("create role watcher login password '{PASSWORD}'"));
    server.sql("grant pg_monitor to watcher");
    let rules = "local all all peer\nhostssl all watcher 127.0.0.1/32 scram-sha-256\n";
    fs::write(server.data().join("pg_hba.conf"), rules).unwrap();
    server.sql("select pg_reload_conf()");
    server
}

#[test]
fn rules_of_the_profile_postgres_are_seen_red_and_right() {
    let certificates = postgres::scratch();
    let (neglected, tended) = (neglected(), tended(certificates.path()));
    let env = env();
    env.write("password", PASSWORD);
    env.configure(&format!(
        "[store.neglected]\nkind = \"postgres\"\nurl = \"{}\"\n\
         [store.tended]\nkind = \"postgres\"\nurl = \"{}\"\npassword_file = \"password\"\n",
        neglected.url("postgres", "postgres"),
        tended.url("watcher", "postgres")
    ));
    env.ok("init");
    tended.sql("alter system set ssl_min_protocol_version = 'TLSv1'");
    tended.sql("select pg_create_physical_replication_slot('left_behind', true)");
    archive_by(&tended, "false", "failed_count");

    let mut shown = Shown::default();
    let first = Audit::by("postgres", &env);
    let fails = [
        "PG-001", "PG-003", "PG-004", "PG-005", "PG-006", "PG-007", "PG-008", "PG-009", "PG-010", "PG-012", "PG-015",
        "PG-016", "PG-017", "PG-018",
    ];
    shown.red(&first, "neglected", "fail", &fails);
    shown.red(&first, "neglected", "warn", &["PG-011", "PG-013", "PG-014", "PG-019"]);
    first.expect("neglected", "not_applicable", &["PG-002"]);
    shown.red(&first, "tended", "fail", &["PG-002", "PG-019", "PG-020"]);
    first.expect("tended", "unknown", ABOUT_ACCESS);
    let grant = "GRANT SELECT ON pg_hba_file_rules TO watcher;";
    first.expect_words("tended", grant, ABOUT_ACCESS);

    // Typed as it was said.
    tended.sql(&format!(
        "{grant} GRANT EXECUTE ON FUNCTION pg_hba_file_rules() TO watcher;"
    ));
    tended.sql("alter system reset ssl_min_protocol_version");
    tended.sql("select pg_drop_replication_slot('left_behind')");
    archive_by(&tended, "true", "archived_count");
    drop(neglected);
    let (bundle, second) = audited(&env);
    shown.right(&second, "tended", "pass", RULES);
    second.expect("neglected", "unknown", RULES);

    replayed(&env, &bundle, &second, &mut shown);
    shown.demand(RULES, &[]);
}

fn audited(env: &TestEnv) -> (PathBuf, Audit) {
    let bundle = env.path("audit.tar");
    let outcome = env.run(&format!("audit --profile postgres --json --out {}", bundle.display()));
    (bundle, Audit::from(outcome))
}

/// The facts of the bundle give the same verdicts, and after the version's end of life the one that must change.
fn replayed(env: &TestEnv, bundle: &std::path::Path, audit: &Audit, shown: &mut Shown) {
    let member = |name: &str| {
        let output = Command::new("tar").arg("-xOf").arg(bundle).arg(name).output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let mut facts = member("inputs/facts.json");
    let raw = member("inputs/raw/store-tended.json");
    let tended = facts["stores"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "tended");
    let collected = tended.unwrap()["settings"]["collected"].as_array().unwrap();
    for one in collected {
        let answer = raw[one["fact"].as_str().unwrap()].as_str().unwrap();
        let digest = muster_signing::Digest::of(answer.as_bytes());
        assert_eq!(one["raw_digest"], digest.to_string(), "{one}");
    }
    let check = |facts: &Value| {
        env.write("facts.json", facts.to_string());
        Audit::from(env.run("check facts.json --profile postgres --json"))
    };
    assert_eq!(check(&facts).0, audit.0);
    facts["time"] = json!("2027-11-12T00:00:00Z");
    shown.red(&check(&facts), "tended", "fail", &["PG-021"]);
}
