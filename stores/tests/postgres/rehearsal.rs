//! Restored clusters in a sandbox: told apart from others, kept apart from the world, asked without being changed.

use std::fs;
use std::time::{Duration, Instant};

use muster_stores::postgres::{PostgresRehearsed, RehearsedOptions};
use muster_stores::{CheckOutcome, Rehearsed, Sandbox, StoreError};
use muster_testkit::postgres::{Options, scratch};

use crate::backup::flip;
use crate::support::{Rehearsal, back_up, server, url};

#[test]
fn checks_have_three_answers_and_change_nothing() {
    let server = server(Options::default());
    server.sql("create table t as select generate_series(1, 3) i");
    server.sql("create database game");
    let directory = scratch();
    let data = directory.path().join("tree");
    let taken = back_up(&server, &data);
    let mut rehearsal =
        Rehearsal::start(&data, &taken.consistency_point, url(&server.url("backup", "postgres"))).unwrap();
    for passing in [
        "select true",
        "select count(*) from t",
        "select count(*) > 0 from t",
        "select 0.5",
        "select current_user = 'postgres'",
    ] {
        rehearsal.passes(passing);
    }
    for failing in [
        "select false",
        "select 0",
        "select null::bool",
        "select i from t",
        "select 1, 1",
        "select 1 where false",
        "select 1; select 1",
    ] {
        let outcome = rehearsal.check(failing);
        assert!(matches!(outcome, CheckOutcome::Failed { .. }), "{failing}: {outcome:?}");
    }
    for (sql, words) in [
        ("select count(*) from absent", "\"absent\" does not exist"),
        ("selec 1", "syntax error"),
        ("insert into t values (4)", "read-only transaction"),
    ] {
        let outcome = rehearsal.check(sql);
        assert!(
            matches!(&outcome, CheckOutcome::CouldNotRun { reason } if reason.contains(words)),
            "{sql}: {outcome:?}"
        );
    }
    let outcome = rehearsal
        .rehearsed
        .check("select pg_sleep(60)", Duration::from_millis(200));
    assert!(
        matches!(&outcome, CheckOutcome::CouldNotRun { reason } if reason.contains("statement timeout")),
        "{outcome:?}"
    );
    rehearsal.rehearsed.stop().unwrap();
    let outcome = rehearsal.check("select true");
    assert!(matches!(outcome, CheckOutcome::CouldNotRun { .. }), "{outcome:?}");
}

#[test]
fn checks_run_in_the_urls_database_as_the_bootstrap_superuser_whatever_its_name() {
    let server = server(Options {
        superuser: Some("Chief Admin".into()),
        ..Options::default()
    });
    server.sql("create database game");
    let directory = scratch();
    let data = directory.path().join("tree");
    let taken = back_up(&server, &data);
    let mut rehearsal = Rehearsal::start(&data, &taken.consistency_point, url(&server.url("backup", "game"))).unwrap();
    rehearsal.passes("select current_database() = 'game' and current_user = 'Chief Admin'");
    rehearsal.passes("select rolsuper from pg_roles where rolname = current_user");
    rehearsal.identity_matches();
    rehearsal.rehearsed.write().unwrap();
}

#[test]
fn another_point_or_another_cluster_is_told_apart() {
    let server = server(Options::default());
    let other = crate::support::server(Options::default());
    let directory = scratch();
    let [older, stranger] = ["older", "stranger"].map(|name| directory.path().join(name));
    back_up(&server, &older);
    server.sql("create table t as select generate_series(1, 100000) i");
    let newer = back_up(&server, &directory.path().join("newer"));
    back_up(&other, &stranger);
    for (data, wrong) in [(older, "replayed_lsn"), (stranger, "system_identifier")] {
        let mut rehearsal =
            Rehearsal::start(&data, &newer.consistency_point, url(&server.url("backup", "postgres"))).unwrap();
        let facts = rehearsal.rehearsed.identity().unwrap();
        let fact = facts.iter().find(|fact| fact.name == wrong).unwrap();
        assert!(!fact.matches, "{facts:?}");
        assert!(facts.iter().any(|fact| fact.matches), "{facts:?}");
    }
}

#[test]
fn altered_or_emptied_data_does_not_start_and_the_engine_says_why() {
    let server = server(Options::default());
    let directory = scratch();
    let point = back_up(&server, &directory.path().join("tree")).consistency_point;
    for damage in ["control", "emptied", "no wal"] {
        let data = directory.path().join(damage);
        back_up(&server, &data);
        match damage {
            "control" => flip(&data.join("global/pg_control"), 100),
            "emptied" => fs::remove_dir_all(data.join("global")).unwrap(),
            _ => {
                fs::remove_dir_all(data.join("pg_wal")).unwrap();
                fs::create_dir(data.join("pg_wal")).unwrap();
            }
        }
        let error = Rehearsal::start(&data, &point, url(&server.url("backup", "postgres")))
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, StoreError::Invalid { .. }), "{damage}: {error:?}");
    }
}

#[test]
fn a_hostile_configuration_does_not_leave_the_sandbox() {
    let server = server(Options::default());
    let directory = scratch();
    let proof = directory.path().join("archived");
    let data = directory.path().join("tree");
    let taken = back_up(&server, &data);
    let touch = format!("touch {}", proof.display());
    let hostile = format!(
        "\nlisten_addresses = '*'\nport = {}\narchive_mode = on\narchive_command = '{touch}'\nrecovery_end_command = '{touch}'\n\
         archive_cleanup_command = '{touch}'\nrecovery_target_time = '2000-01-01'\nshared_preload_libraries = 'absent_library, pg_cron'\n\
         synchronous_standby_names = 'nobody'\nprimary_conninfo = 'host=127.0.0.1 port={}'\nssl = on\nlogging_collector = on\n\
         data_directory = '{}'\nhba_file = '/nonexistent'\nunix_socket_directories = '{}'\n",
        server.port(),
        server.port(),
        server.data().display(),
        server.socket_directory().display(),
    );
    let mut text = fs::read_to_string(data.join("postgresql.conf")).unwrap();
    text.push_str(&hostile);
    fs::write(data.join("postgresql.conf"), text).unwrap();
    fs::write(data.join("standby.signal"), "").unwrap();
    let mut rehearsal =
        Rehearsal::start(&data, &taken.consistency_point, url(&server.url("backup", "postgres"))).unwrap();
    rehearsal.identity_matches();
    rehearsal.rehearsed.write().unwrap();
    rehearsal.passes("select current_setting('listen_addresses') = '' and current_setting('archive_mode') = 'off'");
    rehearsal.passes("select inet_server_addr() is null");
    let isolation = rehearsal.rehearsed.isolation();
    assert_eq!(isolation["missing_libraries"], serde_json::json!(["absent_library"]));
    assert_eq!(isolation["schedulers"], "off: pg_cron");
    rehearsal.rehearsed.stop().unwrap();
    assert!(!proof.exists());
    assert_eq!(server.sql("select count(*) from pg_stat_replication"), "0");
}

#[test]
fn nothing_of_the_engine_remains_whether_it_is_stopped_or_dropped() {
    let server = server(Options::default());
    let directory = scratch();
    for (name, stop) in [("stopped", true), ("dropped", false)] {
        let data = directory.path().join(name);
        let taken = back_up(&server, &data);
        let mut rehearsal =
            Rehearsal::start(&data, &taken.consistency_point, url(&server.url("backup", "postgres"))).unwrap();
        let pid = match rehearsal.check("select pg_backend_pid()") {
            CheckOutcome::Passed { .. } => engine_of(rehearsal.directory()),
            other => panic!("{other:?}"),
        };
        assert!(is_running(&pid));
        if stop {
            rehearsal.rehearsed.stop().unwrap();
            assert!(!is_running(&pid));
        }
        drop(rehearsal);
        assert!(!is_running(&pid), "{name}");
    }
}

fn engine_of(directory: &std::path::Path) -> String {
    let text = fs::read_to_string(directory.join("data/postmaster.pid")).unwrap();
    text.lines().next().unwrap().to_owned()
}

fn is_running(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_machine_without_the_right_postgresql_is_told_the_package() {
    let server = server(Options::default());
    let directory = scratch();
    let sandbox = Sandbox {
        data: directory.path().join("data"),
        run: directory.path().join("run"),
        deadline: Instant::now() + Duration::from_secs(60),
        cancel: std::sync::Arc::default(),
    };
    let taken = back_up(&server, &sandbox.data);
    fs::create_dir(&sandbox.run).unwrap();
    let options = RehearsedOptions {
        bin_dir: Some(directory.path().to_owned()),
    };
    let mut rehearsed =
        PostgresRehearsed::new(taken.consistency_point, url(&server.url("backup", "postgres")), options);
    let error = rehearsed.start(&sandbox, &mut |_| {}).unwrap_err();
    assert!(
        matches!(&error, StoreError::ProgramMissing { hint, .. } if hint == "apt-get install postgresql-15"),
        "{error:?}"
    );
    rehearsed.stop().unwrap();
}

#[test]
fn a_deadline_ends_the_engine() {
    let server = server(Options::default());
    let directory = scratch();
    let sandbox = Sandbox {
        data: directory.path().join("data"),
        run: directory.path().join("run"),
        deadline: Instant::now(),
        cancel: std::sync::Arc::default(),
    };
    let taken = back_up(&server, &sandbox.data);
    fs::create_dir(&sandbox.run).unwrap();
    let address = url(&server.url("backup", "postgres"));
    let mut rehearsed = PostgresRehearsed::new(taken.consistency_point, address, RehearsedOptions::default());
    let error = rehearsed.start(&sandbox, &mut |_| {}).unwrap_err();
    assert!(matches!(error, StoreError::Deadline { .. }), "{error:?}");
    assert!(!fs::exists(sandbox.data.join("postmaster.pid")).unwrap());
}

#[test]
fn a_sandbox_that_the_engine_cannot_reach_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let server = server(Options::default());
    let directory = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let sandbox = Sandbox {
        data: directory.path().join("data"),
        run: directory.path().join("run"),
        deadline: Instant::now() + Duration::from_secs(60),
        cancel: std::sync::Arc::default(),
    };
    let taken = back_up(&server, &sandbox.data);
    fs::create_dir(&sandbox.run).unwrap();
    let address = url(&server.url("backup", "postgres"));
    let mut rehearsed = PostgresRehearsed::new(taken.consistency_point, address, RehearsedOptions::default());
    let result = rehearsed.start(&sandbox, &mut |_| {});
    // Only root hands the data to another user, who may then be locked out.
    if muster_testkit::postgres::server_user().is_some() {
        let error = result.unwrap_err();
        assert!(
            matches!(&error, StoreError::Settings { reason } if reason.contains("cannot pass through")),
            "{error:?}"
        );
    } else {
        result.unwrap();
    }
}
