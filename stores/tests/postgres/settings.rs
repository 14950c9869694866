//! What a live server tells about its settings, by how much the role may see.

use muster_stores::postgres::collect;
use muster_testkit::postgres::{Options, Server};
use serde_json::Value;

use crate::support::{server, url};

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
fn a_server_that_is_not_there_is_an_error_and_no_document() {
    assert!(collect(&url("postgresql://u@/postgres?host=/nonexistent")).is_err());
}
