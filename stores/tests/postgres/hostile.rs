//! What a restored cluster may hold against the machine that rehearses it, and what this machine lacks that the source had.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use muster_stores::postgres::{RecoveryOptions, prepare};
use muster_stores::{ConsistencyPoint, Rehearsed, StoreError};
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
