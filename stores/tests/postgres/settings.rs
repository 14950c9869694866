//! What a live server tells about its settings, by how much the role may see.

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};

use muster_stores::postgres::{Collected, PostgresUrl};
use muster_testkit::postgres::{self, Options, Server};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::support::{server, url};

fn asked(url: &PostgresUrl) -> Result<Collected, muster_stores::StoreError> {
    muster_stores::postgres::collect(url, &|| "2026-11-25T01:00:00.000Z".to_owned())
}

fn collect(url: &PostgresUrl) -> Result<Value, muster_stores::StoreError> {
    asked(url).map(|collected| collected.facts)
}

fn unknown(document: &Value) -> Vec<&str> {
    document["unknown"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["fact"].as_str().unwrap())
        .collect()
}

fn archiving() -> Server {
    let settings = [
        "archive_mode=on",
        "archive_command=false s3cret-token",
        "wal_keep_size=64MB",
    ];
    let server = server(Options {
        settings: settings.map(str::to_owned).to_vec(),
        hba: vec!["host postgres shut 127.0.0.1/32 reject".into()],
        ..Options::default()
    });
    server.sql("create role watcher login; grant pg_monitor to watcher; create role shut login replication; create role plain login");
    server.sql("select pg_create_physical_replication_slot('stale', true)");
    server.sql("select pg_switch_wal()");
    while server.sql("select failed_count > 0 from pg_stat_archiver") != "t" {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    server
}

#[test]
fn a_monitoring_role_sees_settings_slots_archiver_and_itself() {
    let server = archiving();
    let document = collect(&url(&server.url("watcher", "postgres"))).unwrap();
    let settings = &document["settings"];
    assert_eq!(
        (&settings["fsync"], &settings["full_page_writes"]),
        (&Value::from("off"), &Value::from("on"))
    );
    assert_eq!(
        (&settings["wal_level"], &settings["data_checksums"]),
        (&Value::from("replica"), &Value::from("on"))
    );
    assert_eq!(
        (&settings["archive_mode"], &settings["archive_command"]),
        (&Value::from("on"), &Value::from("set"))
    );
    assert_eq!(
        (&settings["wal_keep_size"], &settings["ssl"]),
        (&Value::from("64MB"), &Value::from("off"))
    );
    assert!(!document.to_string().contains("s3cret"), "{document}");
    let slot = &document["replication_slots"][0];
    assert_eq!(
        (&slot["name"], &slot["active"]),
        (&Value::from("stale"), &Value::from(false))
    );
    assert!(slot["retained_bytes"].as_f64().unwrap() > 0.0, "{slot}");
    assert_eq!(document["archiver"]["failing"], true);
    assert!(document["archiver"]["last_failed_wal"].as_str().unwrap().len() >= 24);
    let role = &document["role"];
    assert_eq!(
        (&role["superuser"], &role["replication"], &role["monitors"]),
        (&Value::from(false), &Value::from(false), &Value::from(true))
    );
    assert!(document["database_bytes"].as_u64().unwrap() > 1 << 20);
    assert_eq!(unknown(&document), ["hba_rules"], "only a superuser reads pg_hba.conf");
    assert!(document["hba_rules"].is_null());
    for fact in ["settings", "replication_slots", "archiver", "role", "hba_rules"] {
        assert!(
            document["queries"][fact].as_str().unwrap().starts_with("select"),
            "{fact}"
        );
    }
}

#[test]
fn a_superuser_is_told_to_be_one_and_sees_the_access_rules() {
    let server = archiving();
    let document = collect(&url(&server.url("postgres", "postgres"))).unwrap();
    assert_eq!(document["role"]["superuser"], true);
    let rules = document["hba_rules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["method"] == "reject"), "{rules:?}");
    assert!(unknown(&document).is_empty(), "{:?}", unknown(&document));
}

#[test]
fn what_a_plain_role_may_not_see_is_unknown_and_not_guessed() {
    let server = archiving();
    let document = collect(&url(&server.url("plain", "postgres"))).unwrap();
    assert_eq!(document["settings"]["fsync"], "off");
    assert_eq!(document["role"]["superuser"], false);
    assert!(unknown(&document).contains(&"hba_rules"));
}

#[test]
fn a_role_that_may_only_replicate_still_tells_what_show_tells() {
    let server = archiving();
    let document = collect(&url(&server.url("shut", "postgres"))).unwrap();
    assert_eq!(document["asked_by"], "replication");
    assert_eq!(
        (&document["settings"]["fsync"], &document["settings"]["archive_command"]),
        (&Value::from("off"), &Value::from("set"))
    );
    assert!(
        document["replication_slots"].is_null()
            && document["role"]["superuser"].is_null()
            && document["archiver"]["failing"].is_null()
    );
    assert!(unknown(&document).contains(&"role"));
    assert!(!document.to_string().contains("s3cret"), "{document}");
}

#[test]
fn each_fact_says_how_it_was_had_and_its_digest_is_of_the_answer_that_is_kept() {
    let server = archiving();
    server.sql("alter role shut valid until '2030-01-01 00:00:00+00'");
    let found = asked(&url(&server.url("watcher", "postgres"))).unwrap();
    let collected = found.facts["collected"].as_array().unwrap();
    assert_eq!(collected.len(), found.raw.len());
    for one in collected {
        let fact = one["fact"].as_str().unwrap();
        let digest = Sha256::digest(found.raw[fact].as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(one["raw_digest"], format!("sha256:{hex}"), "{fact}");
        assert_eq!(
            (&one["role"], &one["started"]),
            (&Value::from("watcher"), &Value::from("2026-11-25T01:00:00.000Z"))
        );
        assert_eq!(one["finished"], "2026-11-25T01:00:00.000Z", "{one}");
        assert_eq!(one["raw_bytes"], found.raw[fact].len(), "{one}");
        let database = fact.strip_prefix("databases.").unwrap_or("postgres");
        assert_eq!(one["database"], database, "{one}");
        let counted = match &found.facts[fact] {
            Value::Array(items) => items.len(),
            Value::Object(_) if fact == "settings" => found.raw[fact].lines().count(),
            Value::Null if !fact.contains('.') => 0,
            _ => 1,
        };
        assert_eq!(one["count"], counted, "{one}");
        let answered = unknown(&found.facts).iter().all(|unknown| *unknown != fact);
        assert_eq!(answered, !found.raw[fact].is_empty(), "{fact}");
    }
    // The query is told as it was asked: asked again it gives the same.
    for fact in ["roles", "role_counts", "identity"] {
        let again = server.sql(found.facts["queries"][fact].as_str().unwrap());
        assert_eq!(again, found.raw[fact].trim(), "{fact}");
    }
    let identity = server.sql("select system_identifier from pg_control_system()");
    assert_eq!(found.facts["identity"]["system_identifier"], identity);
    assert_eq!(found.facts["server"]["major"], "15");
    assert_eq!(found.facts["end_of_life"]["date"], "2027-11-11");
    assert!(!format!("{:?}", found.raw).contains("s3cret"));
}

/// A consumer of the log, as a standby is one. Ends with the value.
struct Receiver(Child);

impl Receiver {
    fn of(server: &Server, directory: &Path) -> Receiver {
        let mut receiver = postgres::command(&postgres::program("pg_receivewal"));
        receiver.args(["-U", "postgres", "-p", &server.port().to_string(), "-h"]);
        receiver.arg(server.socket_directory()).arg("-D").arg(directory);
        let receiver = Receiver(receiver.stderr(Stdio::null()).spawn().unwrap());
        while server.sql("select count(*) from pg_stat_replication where state = 'streaming'") != "1" {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        receiver
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_is_granted_as_it_says_is_known() {
    let server = archiving();
    let directory = postgres::scratch();
    let receiver = Receiver::of(&server, directory.path());
    let of_access = ["hba_rules"];
    let more = ["hba_rules", "settings.ssl_min_protocol_version", "standbys"];
    for (role, unknown_at_first) in [("watcher", &of_access[..]), ("plain", &more[..])] {
        let asked = || collect(&url(&server.url(role, "postgres"))).unwrap();
        let before = asked();
        let mut missing = unknown(&before);
        missing.sort_unstable();
        assert_eq!(missing, unknown_at_first, "{role}");
        assert!(missing.iter().all(|fact| fact.contains('.') || before[fact].is_null()));
        for one in before["unknown"].as_array().unwrap() {
            server.sql(one["grant"].as_str().unwrap());
        }
        let after = asked();
        assert_eq!(unknown(&after), Vec::<&str>::new(), "{role}");
        assert_eq!(after["hba_rules"][0]["method"], "reject");
        assert_eq!(after["standbys"][0]["state"], "streaming");
    }
    drop(receiver);
}

#[test]
fn every_database_is_entered_and_one_that_is_shut_is_unknown() {
    let server = archiving();
    server.sql("create database game");
    server.sql("create database shut");
    server.sql("revoke connect on database shut from public");
    let inside = |sql: &str| {
        let mut psql = server.psql();
        postgres::succeed(psql.args(["-d", "game", "-c", sql]));
    };
    inside("grant create on schema public to public");
    inside("create language careless handler plpgsql_call_handler");
    inside("create table account (id int)");
    inside("create policy own on account using (id = 1)");
    let document = collect(&url(&server.url("watcher", "postgres"))).unwrap();
    let databases = document["databases"].as_array().unwrap();
    let of = |name: &str| databases.iter().find(|one| one["name"] == name).unwrap();
    let game = of("game");
    assert_eq!(game["public_may_create"], true);
    assert_eq!(game["untrusted_languages"], serde_json::json!(["careless"]));
    assert_eq!(game["policies_not_enforced"], serde_json::json!(["public.account"]));
    assert_eq!(game["extensions"][0]["name"], "plpgsql");
    assert_eq!(of("template1")["public_may_create"], false);
    assert!(of("shut")["public_may_create"].is_null() && of("shut")["error"].is_string());
    let all = document["unknown"].as_array().unwrap();
    let entry = all.iter().find(|entry| entry["fact"] == "databases.shut").unwrap();
    assert_eq!(entry["grant"], "GRANT CONNECT ON DATABASE shut TO watcher;");
}

#[test]
fn a_server_that_is_not_there_is_an_error_and_no_document() {
    assert!(collect(&url("postgresql://u@/postgres?host=/nonexistent")).is_err());
}

#[test]
fn a_session_that_asks_cannot_write_and_waits_for_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let mut startup = [0; 1024];
        let (mut stream, _) = listener.accept().unwrap();
        let length = stream.read(&mut startup).unwrap();
        String::from_utf8_lossy(&startup[..length]).into_owned()
    });
    let there = format!("postgresql://u@127.0.0.1:{port}/postgres?sslmode=disable");
    collect(&url(&there)).unwrap_err();
    let startup = heard.join().unwrap();
    for parameter in [
        "default_transaction_read_only\0on\0",
        "statement_timeout\x0030000\0",
        "lock_timeout\x005000\0",
    ] {
        assert!(startup.contains(parameter), "no {parameter:?} in {startup:?}");
    }
}
