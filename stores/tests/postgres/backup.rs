//! Base backups of live servers: under load, under recycling, with tablespaces, after a promotion; and never half of one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use muster_stores::postgres::{Lsn, RecoveryOptions, prepare};
use muster_stores::{Rehearsed, SinkError, Source, StoreError};
use muster_testkit::postgres::{Options, Server, command, give, give_tree, program, scratch, succeed};

use crate::support::{DirectorySink, Load, Rehearsal, back_up, server, source, url};

fn lsn(taken: &muster_stores::Taken, name: &str) -> Lsn {
    taken.consistency_point.position[name]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn a_server_under_write_load_comes_back_with_every_row_committed_before_the_end() {
    let server = server(Options::default());
    server.sql(
        "create table hero (id bigserial primary key, lore text); \
         insert into hero (lore) select md5(i::text) from generate_series(1, 100000) i",
    );
    let load = Load::start(
        &server,
        "insert into hero (lore) select md5(g::text) from generate_series(1, 20) g",
    );
    while server.sql("select count(*) > 100100 from hero") != "t" {}
    let before = server.sql("select count(*) from hero");
    let clock = "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let earliest = server.sql(clock);
    let directory = scratch();
    let data = directory.path().join("tree");
    let taken = back_up(&server, &data);
    let latest = server.sql(clock);
    let after = server.sql("select count(*) from hero");
    drop(load);

    let point = &taken.consistency_point;
    let system = server.sql("select system_identifier from pg_control_system()");
    assert_eq!(point.position["system_identifier"], system);
    assert_eq!(point.position["timeline"], 1);
    assert!(lsn(&taken, "lsn") > lsn(&taken, "start_lsn"));
    assert_eq!(taken.identity["clock"]["source"], "server");
    assert!(
        earliest < point.time && point.time < latest,
        "{earliest} {} {latest}",
        point.time
    );
    assert_eq!(taken.identity["wal_slot"], true);

    let mut rehearsal = Rehearsal::start(&data, point, url(&server.url("backup", "postgres"))).unwrap();
    assert_eq!(rehearsal.phases, ["engine_start", "replay", "promote"]);
    rehearsal.identity_matches();
    rehearsal.passes(&format!("select count(*) >= {before} from hero"));
    rehearsal.passes(&format!("select count(*) <= {after} from hero"));
    rehearsal.passes("select count(*) = 0 from hero where lore is null");
    let commit = rehearsal.rehearsed.latest_commit().unwrap();
    assert!(earliest < commit && commit < latest, "{commit}");
    rehearsal.rehearsed.write().unwrap();
    assert_eq!(
        server.sql("select count(*) from pg_replication_slots"),
        "0",
        "the slot went with the session"
    );
    rehearsal.rehearsed.stop().unwrap();
    rehearsal.rehearsed.stop().unwrap();
}

#[test]
fn postgresql_itself_verifies_the_tree() {
    let server = server(Options::default());
    server.sql("create table t as select i, repeat(md5(i::text), 30) x from generate_series(1, 50000) i");
    let directory = scratch();
    let data = directory.path().join("tree");
    back_up(&server, &data);
    give_tree(&data);
    succeed(command(&program("pg_verifybackup")).arg(&data));
}

#[test]
fn wal_that_the_server_would_recycle_meanwhile_is_held_and_arrives() {
    let settings = [
        "max_wal_size=32MB",
        "min_wal_size=32MB",
        "wal_keep_size=0",
        "checkpoint_timeout=30s",
    ];
    let server = server(Options {
        settings: settings.map(str::to_owned).to_vec(),
        ..Options::default()
    });
    server.sql("create table t as select i, repeat(md5(i::text), 30) x from generate_series(1, 50000) i");
    let directory = scratch();
    let data = directory.path().join("tree");
    let mut sink = DirectorySink::new(&data);
    let psql = server.url("postgres", "postgres");
    let (mut rounds, mut next) = (0, 20 << 20);
    // In the midst of the stream, several times the WAL that the server wants to keep is written and checkpointed.
    sink.watch = Box::new(move |bytes| {
        if bytes > next && rounds < 4 {
            (rounds, next) = (rounds + 1, bytes + (5 << 20));
            let churn = "insert into t select i, repeat(md5(i::text), 30) from generate_series(1, 20000) i";
            succeed(command(&program("psql")).args(["-X", "-q", "-d", &psql, "-c", churn, "-c", "checkpoint"]));
        }
        Ok(())
    });
    let taken = source(url(&server.url("backup", "postgres")))
        .snapshot(&mut sink)
        .unwrap();
    assert!(
        lsn(&taken, "lsn").0 - lsn(&taken, "start_lsn").0 > 64 << 20,
        "{taken:?}"
    );
    let mut rehearsal =
        Rehearsal::start(&data, &taken.consistency_point, url(&server.url("backup", "postgres"))).unwrap();
    rehearsal.identity_matches();
    rehearsal.passes("select count(*) = 130000 from t");
}

#[test]
fn without_a_free_slot_the_backup_goes_on_and_says_so() {
    let server = server(Options {
        settings: vec!["max_replication_slots=0".into()],
        ..Options::default()
    });
    let directory = scratch();
    let taken = back_up(&server, &directory.path().join("tree"));
    assert_eq!(taken.identity["wal_slot"], false);
}

#[test]
fn tablespaces_come_back_inside_the_data_directory() {
    let server = server(Options::default());
    let fast = server.socket_directory().join("fast");
    fs::create_dir(&fast).unwrap();
    give(&fast);
    server.sql(&format!("create tablespace fast location '{}'", fast.display()));
    server.sql("create table t tablespace fast as select i from generate_series(1, 10000) i");
    let directory = scratch();
    let data = directory.path().join("tree");
    let taken = back_up(&server, &data);
    let id = server.sql("select oid from pg_tablespace where spcname = 'fast'");
    assert_eq!(taken.identity["tablespaces"][&id], fast.display().to_string());
    assert!(!data.join("tablespace_map").exists());
    let mut rehearsal =
        Rehearsal::start(&data, &taken.consistency_point, url(&server.url("backup", "postgres"))).unwrap();
    rehearsal.passes("select count(*) = 10000 from t");
    rehearsal.passes("select pg_tablespace_location(oid) not like '/%' from pg_tablespace where spcname = 'fast'");
    rehearsal.rehearsed.write().unwrap();
    assert_eq!(
        server.sql("select count(*) from t"),
        "10000",
        "the live tablespace is untouched"
    );
}

#[test]
fn a_restored_cluster_that_was_promoted_is_backed_up_on_its_new_timeline() {
    let first = server(Options::default());
    let options = || Options {
        settings: vec!["archive_mode=off".into()],
        ..Options::default()
    };
    let directory = scratch();
    let data = directory.path().join("tree");
    let taken = back_up(&first, &data);
    prepare(&data, &taken.consistency_point, RecoveryOptions::default()).unwrap();
    // As a user would: with PostgreSQL's own program and options.
    let second = Server::start_restored(&data, options());
    assert!(!second.data().join("recovery.signal").exists());
    second.sql("create table later as select 1");
    let again = directory.path().join("again");
    let taken = back_up(&second, &again);
    assert_eq!(taken.consistency_point.position["timeline"], 2);
    prepare(&again, &taken.consistency_point, RecoveryOptions::default()).unwrap();
    let settings = fs::read_to_string(again.join("postgresql.auto.conf")).unwrap();
    assert_eq!(
        settings.matches("recovery_target_timeline = '2'").count(),
        1,
        "{settings}"
    );
    assert_eq!(settings.matches("recovery_target =").count(), 1, "{settings}");
    let third = Server::start_restored(&again, options());
    assert_eq!(third.sql("select count(*) from later"), "1");
    assert_eq!(
        third.sql("select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"),
        "00000003"
    );
}

#[test]
fn a_standby_can_be_backed_up_in_place_of_its_primary() {
    let primary = server(Options::default());
    primary.sql("create table t as select generate_series(1, 10000) i");
    let directory = scratch();
    let copy = directory.path().join("copy");
    back_up(&primary, &copy);
    let conninfo = format!(
        "primary_conninfo = 'host=127.0.0.1 port={} user=backup'\n",
        primary.port()
    );
    fs::write(copy.join("postgresql.auto.conf"), conninfo).unwrap();
    fs::write(copy.join("standby.signal"), "").unwrap();
    fs::set_permissions(&copy, PermissionsExt::from_mode(0o700)).unwrap();
    let standby = Server::start_restored(
        &copy,
        Options {
            standby: true,
            ..Options::default()
        },
    );
    primary.sql("create table later as select generate_series(1, 10000) i");
    while standby.sql("select count(*) from pg_class where relname = 'later'") != "1" {}
    let data = directory.path().join("tree");
    let taken = back_up(&standby, &data);
    assert_eq!(taken.identity["settings"]["in_hot_standby"], "on");
    let address = url(&standby.url("backup", "postgres"));
    let mut rehearsal = Rehearsal::start(&data, &taken.consistency_point, address).unwrap();
    rehearsal.identity_matches();
    rehearsal.passes("select count(*) = 10000 from later");
    rehearsal.rehearsed.write().unwrap();
}

#[test]
fn a_configuration_outside_the_data_directory_is_made_good_for() {
    let server = server(Options {
        configuration_outside: true,
        settings: vec!["max_connections=150".into(), "max_prepared_transactions=7".into()],
        ..Options::default()
    });
    let directory = scratch();
    let data = directory.path().join("tree");
    let taken = back_up(&server, &data);
    assert!(!data.join("postgresql.conf").exists());
    prepare(&data, &taken.consistency_point, RecoveryOptions::default()).unwrap();
    let written = fs::read_to_string(data.join("postgresql.conf")).unwrap();
    assert!(
        written.contains("max_connections = 150") && written.contains("max_prepared_transactions = 7"),
        "{written}"
    );
    fs::write(data.join("pg_hba.conf"), "local all all trust\n").unwrap();
    prepare(&data, &taken.consistency_point, RecoveryOptions::default()).unwrap();
    assert_eq!(
        fs::read_to_string(data.join("pg_hba.conf")).unwrap(),
        "local all all trust\n",
        "never overwritten"
    );
    let restored = Server::start_restored(&data, Options::default());
    assert_eq!(restored.sql("show max_connections"), "150");
}

#[test]
fn a_server_killed_amid_the_backup_leaves_no_snapshot_and_the_next_run_works() {
    let mut server = server(Options::default());
    let directory = scratch();
    let mut sink = DirectorySink::new(&directory.path().join("half"));
    let postmaster = fs::read_to_string(server.data().join("postmaster.pid")).unwrap();
    let postmaster = postmaster.lines().next().unwrap().to_owned();
    let walsender = walsender_killer(&postmaster);
    sink.watch = Box::new(move |bytes| {
        if bytes > 5 << 20 {
            walsender();
        }
        Ok(())
    });
    let error = source(url(&server.url("backup", "postgres")))
        .snapshot(&mut sink)
        .unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    server.kill9();
    server.start_again();
    back_up(&server, &directory.path().join("whole"));
}

/// Ends the server and the process that sends to us, as a crash of the machine would.
fn walsender_killer(postmaster: &str) -> impl Fn() + use<> {
    let postmaster = postmaster.to_owned();
    move || {
        let script = format!("kill -9 {postmaster} $(pgrep -P {postmaster}) 2>/dev/null; true");
        succeed(std::process::Command::new("sh").args(["-c", &script]));
    }
}

#[test]
fn a_shutdown_amid_the_backup_is_no_snapshot_either() {
    let server = server(Options::default());
    let directory = scratch();
    let mut sink = DirectorySink::new(&directory.path().join("half"));
    let url_of_superuser = server.url("postgres", "postgres");
    sink.watch = Box::new(move |bytes| {
        if bytes > 5 << 20 {
            let end = "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'walsender'";
            succeed(command(&program("psql")).args(["-X", "-q", "-d", &url_of_superuser, "-c", end]));
        }
        Ok(())
    });
    let error = source(url(&server.url("backup", "postgres")))
        .snapshot(&mut sink)
        .unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
}

#[test]
fn an_archive_that_takes_no_more_ends_the_run_and_the_server_keeps_no_slot() {
    let server = server(Options::default());
    let directory = scratch();
    let mut sink = DirectorySink::new(&directory.path().join("half"));
    sink.watch = Box::new(|bytes| if bytes > 1 << 20 { Err(SinkError) } else { Ok(()) });
    let error = source(url(&server.url("backup", "postgres")))
        .snapshot(&mut sink)
        .unwrap_err();
    assert!(matches!(error, StoreError::Sink(_)), "{error:?}");
    while server.sql("select count(*) from pg_replication_slots") != "0" {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_damaged_page_in_the_live_server_is_reported_and_is_no_snapshot() {
    let server = server(Options::default());
    server.sql("create table t as select i from generate_series(1, 10000) i");
    server.sql("checkpoint");
    let file = server.data().join(server.sql("select pg_relation_filepath('t')"));
    flip(&file, 8192 * 3 + 4000);
    let directory = scratch();
    let error = source(url(&server.url("backup", "postgres")))
        .snapshot(&mut DirectorySink::new(&directory.path().join("tree")))
        .unwrap_err();
    assert!(
        matches!(&error, StoreError::Invalid { reason, .. } if reason.contains("checksum")),
        "{error:?}"
    );
}

pub(crate) fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 0x11;
    fs::write(file, bytes).unwrap();
}
