//! What a restored cluster may hold against the machine that rehearses it, and what this machine lacks that the source had.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use muster_stores::postgres::{PostgresRehearsed, RecoveryOptions, RehearsedOptions, prepare};
use muster_stores::{ConsistencyPoint, Rehearsed, Sandbox, StoreError};
use muster_testkit::postgres::{Options, scratch};

use crate::support::{Rehearsal, back_up, server, url};

fn append(file: &Path, text: &str) {
    let before = fs::read_to_string(file).unwrap_or_default();
    fs::write(file, format!("{before}\n{text}\n")).unwrap();
}

fn refused(data: &Path, point: &ConsistencyPoint) -> StoreError {
    let at = url("postgresql://backup@127.0.0.1/postgres");
    Rehearsal::start(data, point, at).map(|_| ()).unwrap_err()
}

#[test]
fn nothing_but_files_and_directories_is_handed_to_the_engines_user() {
    let server = server(Options::default());
    let directory = scratch();
    let data = directory.path().join("tree");
    let point = back_up(&server, &data).consistency_point;
    let pipe = data.join("base/pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = refused(&data, &point);
    assert!(
        matches!(&error, StoreError::Invalid { reason, .. } if reason.contains("base/pipe")),
        "{error:?}"
    );
}

#[test]
fn a_restored_directory_that_would_lead_out_of_itself_is_not_prepared() {
    let server = server(Options::default());
    let directory = scratch();
    let outside = directory.path().join("outside");
    fs::write(&outside, "secret = 'of another file'\n").unwrap();
    for (name, spoil) in [
        ("tablespace_map", None),
        ("postgresql.auto.conf", Some("link")),
        ("postgresql.auto.conf", Some("pipe")),
    ] {
        let data = directory.path().join("tree");
        let point = back_up(&server, &data).consistency_point;
        let place = data.join(name);
        let _ = fs::remove_file(&place);
        match spoil {
            None => fs::write(&place, format!("16384 {}\n", directory.path().display())).unwrap(),
            Some("link") => symlink(&outside, &place).unwrap(),
            Some(_) => assert!(Command::new("mkfifo").arg(&place).status().unwrap().success()),
        }
        // A pipe is never opened: nobody writes to it.
        let error = prepare(&data, &point, RecoveryOptions::default()).unwrap_err();
        assert!(
            matches!(&error, StoreError::Invalid { reason, .. } if reason.contains(name)),
            "{name}: {error:?}"
        );
        fs::remove_dir_all(&data).unwrap();
    }
}

#[test]
fn settings_that_are_not_utf8_are_kept_as_they_are() {
    let server = server(Options::default());
    let directory = scratch();
    let data = directory.path().join("tree");
    let point = back_up(&server, &data).consistency_point;
    let auto = data.join("postgresql.auto.conf");
    fs::write(&auto, b"cluster_name = 'caf\xe9'\n").unwrap();
    prepare(&data, &point, RecoveryOptions::default()).unwrap();
    let text = fs::read(&auto).unwrap();
    assert!(text.starts_with(b"cluster_name = 'caf\xe9'\n") && text.len() > 100);
}

#[test]
fn preloaded_libraries_start_no_workers_and_damaged_pages_are_not_passed_over() {
    let server = server(Options::default());
    let directory = scratch();
    let data = directory.path().join("tree");
    server.sql("alter database postgres set zero_damaged_pages = on");
    let taken = back_up(&server, &data);
    append(
        &data.join("postgresql.conf"),
        "shared_preload_libraries = 'pg_prewarm, /tmp/../usr/lib/postgresql/15/lib/auto_explain'\n\
         session_preload_libraries = 'absent_library'\nlocal_preload_libraries = 'absent_library'\n\
         zero_damaged_pages = on\nignore_checksum_failure = on\nignore_invalid_pages = on\n",
    );
    let at = url(&server.url("backup", "postgres"));
    let mut rehearsal = Rehearsal::start(&data, &taken.consistency_point, at).unwrap();
    rehearsal.passes("select current_setting('shared_preload_libraries') = 'pg_prewarm'");
    rehearsal.passes("select count(*) = 0 from pg_stat_activity where backend_type like 'autoprewarm%'");
    for name in ["zero_damaged_pages", "ignore_checksum_failure", "ignore_invalid_pages"] {
        rehearsal.passes(&format!("select current_setting('{name}') = 'off'"));
    }
    assert_eq!(rehearsal.rehearsed.isolation()["background_workers"], "off");
    rehearsal.identity_matches();
}

#[test]
fn a_locale_that_this_machine_lacks_says_nothing_about_the_backup() {
    let server = server(Options::default());
    let directory = scratch();
    for setting in ["lc_monetary = 'xx_YY.UTF-8'", "log_timezone = 'Nowhere/City'"] {
        let data = directory.path().join("tree");
        let point = back_up(&server, &data).consistency_point;
        append(&data.join("postgresql.conf"), setting);
        let error = refused(&data, &point);
        assert!(matches!(&error, StoreError::Settings { .. }), "{setting}: {error:?}");
    }
    server.sql("update pg_database set datcollate = 'xx_YY.UTF-8', datctype = 'xx_YY.UTF-8'");
    let data = directory.path().join("tree");
    let point = back_up(&server, &data).consistency_point;
    let error = refused(&data, &point);
    assert!(matches!(&error, StoreError::Refused { .. }), "{error:?}");
}

#[test]
fn what_a_cluster_sets_up_for_its_own_sessions_does_not_answer_for_it_or_keep_it_from_being_written_to() {
    let server = server(Options::default());
    server.sql(
        "create schema evil; create function evil.pg_is_in_recovery() returns bool language sql as 'select true'; \
         create function evil.stop() returns event_trigger language plpgsql as $$begin raise 'no changes here'; end$$; \
         create event trigger stop on ddl_command_start execute function evil.stop(); \
         alter database postgres set search_path = evil, pg_catalog; \
         alter database postgres set default_transaction_read_only = on; \
         alter role postgres set statement_timeout = '1s'",
    );
    let directory = scratch();
    let data = directory.path().join("tree");
    let taken = back_up(&server, &data);
    let at = url(&server.url("backup", "postgres"));
    let mut rehearsal = Rehearsal::start(&data, &taken.consistency_point, at).unwrap();
    rehearsal.identity_matches();
    rehearsal.passes("select count(pg_sleep(1.5))");
    rehearsal.rehearsed.write().unwrap();
}

#[test]
fn the_engines_log_is_read_where_it_was_opened_and_nowhere_else() {
    let server = server(Options::default());
    let directory = scratch();
    let data = directory.path().join("tree");
    let secret = directory.path().join("secret");
    fs::write(&secret, "not for the engine's user\n".repeat(20)).unwrap();
    let taken = back_up(&server, &data);
    let sandbox = Sandbox {
        data: directory.path().join("data"),
        run: directory.path().join("run"),
        deadline: Instant::now() + Duration::from_secs(60),
        cancel: std::sync::Arc::default(),
    };
    fs::rename(&data, &sandbox.data).unwrap();
    fs::create_dir(&sandbox.run).unwrap();
    // As a process of the engine's user would, while the engine starts and then fails.
    fs::remove_file(sandbox.data.join("pg_wal").join(first_segment(&sandbox.data))).unwrap();
    let at = url(&server.url("backup", "postgres"));
    let mut rehearsed = PostgresRehearsed::new(taken.consistency_point, at, RehearsedOptions::default());
    let log = sandbox.run.join("postgres.log");
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !log.exists() {
                std::thread::yield_now();
            }
            fs::remove_file(&log).unwrap();
            symlink(&secret, &log).unwrap();
        });
        rehearsed.start(&sandbox, &mut |_| {}).unwrap_err().to_string()
    });
    assert!(!ended.contains("not for the engine's user"), "{ended}");
}

fn first_segment(data: &Path) -> String {
    let names = fs::read_dir(data.join("pg_wal")).unwrap();
    let mut names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name.len() == 24);
    names.sort();
    names.swap_remove(0)
}
