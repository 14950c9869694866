//! Restored databases: what passes, what fails, and what could not be told.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use muster_stores::sqlite::{SqliteRehearsed, SqliteSource};
use muster_stores::{CheckOutcome, Rehearsed, Sandbox, Source as _, StoreError};
use rusqlite::Connection;
use serde_json::Value;

use crate::collected::{Collected, scratch, text};

const LONG: Duration = Duration::from_secs(60);

fn database(path: &Path, journal_mode: &str) -> BTreeMap<String, Value> {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(&format!("pragma journal_mode = {journal_mode};"))
        .unwrap();
    connection
        .execute_batch(
            "create table parent(id integer primary key);
             create table t(id integer primary key, body blob, parent int references parent);
             create index i on t(body);
             with recursive n(i) as (select 1 union all select i + 1 from n where i < 300)
             insert into t select i, randomblob(700), null from n;",
        )
        .unwrap();
    drop(connection);
    let mut source = SqliteSource::new(path, || "2026-05-04T03:02:01Z".to_owned());
    source
        .snapshot(&mut Collected::default())
        .unwrap()
        .consistency_point
        .position
}

fn sandbox(folder: &Path) -> Sandbox {
    Sandbox {
        data: folder.to_owned(),
        run: folder.to_owned(),
        deadline: Instant::now() + LONG,
        cancel: std::sync::Arc::default(),
    }
}

fn started(folder: &Path, expected: BTreeMap<String, Value>) -> SqliteRehearsed {
    let mut rehearsed = SqliteRehearsed::new("a.db", expected);
    let mut phases = Vec::new();
    rehearsed
        .start(&sandbox(folder), &mut |phase| phases.push(phase))
        .unwrap_or_else(|error| panic!("{}", text(&error)));
    assert_eq!(phases, ["engine_start"]);
    rehearsed
}

fn differing(rehearsed: &mut SqliteRehearsed) -> Vec<String> {
    let facts = rehearsed.identity().unwrap();
    facts
        .into_iter()
        .filter(|fact| !fact.matches)
        .map(|fact| fact.name)
        .collect()
}

#[test]
fn a_whole_database_passes_in_both_journal_modes() {
    for mode in ["wal", "delete"] {
        let folder = scratch();
        let expected = database(&folder.path().join("a.db"), mode);
        let mut rehearsed = started(folder.path(), expected.clone());
        let facts = rehearsed.identity().unwrap();
        assert!(facts.iter().all(|fact| fact.matches), "{facts:?}");
        let fact = |name: &str| facts.iter().find(|fact| fact.name == name).unwrap();
        assert_eq!(fact("integrity_check").actual, "ok");
        assert_eq!(
            fact("schema_digest").actual,
            expected["schema_digest"].as_str().unwrap()
        );
        assert_eq!(fact("page_count").actual, expected["page_count"].to_string());
        let outcome = rehearsed.check("select count(*) = 300 from t", LONG);
        assert_eq!(outcome, CheckOutcome::Passed { actual: "1".to_owned() });
        rehearsed.write().unwrap();
        assert!(
            differing(&mut rehearsed).iter().all(|name| name == "page_count"),
            "what was written was dropped again"
        );
        rehearsed.stop().unwrap();
        rehearsed.stop().unwrap();
        assert!(matches!(
            rehearsed.check("select 1", LONG),
            CheckOutcome::CouldNotRun { .. }
        ));
        assert_eq!(rehearsed.isolation()["network"], "none");
    }
}

#[test]
fn an_overwritten_page_is_a_fact_that_does_not_match() {
    let folder = scratch();
    let path = folder.path().join("a.db");
    let expected = database(&path, "delete");
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[0xa5; 4096], 4096 * 20).unwrap();
    let mut rehearsed = started(folder.path(), expected);
    assert_eq!(differing(&mut rehearsed), ["integrity_check"]);
}

#[test]
fn another_schema_is_a_fact_that_does_not_match() {
    let folder = scratch();
    let path = folder.path().join("a.db");
    let expected = database(&path, "delete");
    Connection::open(&path)
        .unwrap()
        .execute_batch("drop index i; create index i on t(parent)")
        .unwrap();
    assert!(differing(&mut started(folder.path(), expected)).contains(&"schema_digest".to_owned()));
}

#[test]
fn an_emptied_database_is_a_fact_that_does_not_match() {
    let folder = scratch();
    let path = folder.path().join("a.db");
    let expected = database(&path, "delete");
    File::create(&path).unwrap();
    assert!(differing(&mut started(folder.path(), expected)).contains(&"page_count".to_owned()));
}

#[test]
fn a_manifest_that_lacks_a_fact_does_not_match() {
    let folder = scratch();
    let mut expected = database(&folder.path().join("a.db"), "delete");
    expected.remove("schema_digest");
    assert_eq!(differing(&mut started(folder.path(), expected)), ["schema_digest"]);
}

#[test]
fn broken_foreign_keys_inform_and_do_not_fail() {
    let folder = scratch();
    let path = folder.path().join("a.db");
    database(&path, "delete");
    Connection::open(&path)
        .unwrap()
        .execute_batch("pragma foreign_keys = off; update t set parent = 99 where id < 8")
        .unwrap();
    let mut source = SqliteSource::new(&path, String::new);
    let expected = source
        .snapshot(&mut Collected::default())
        .unwrap()
        .consistency_point
        .position;
    let facts = started(folder.path(), expected).identity().unwrap();
    let fact = facts.iter().find(|fact| fact.name == "foreign_key_violations").unwrap();
    assert_eq!((fact.actual.as_str(), fact.matches), ("7", true));
    assert!(facts.iter().all(|fact| fact.matches));
}

#[test]
fn what_is_no_database_or_no_file_of_the_sandbox_does_not_start() {
    let folder = scratch();
    let path = folder.path().join("a.db");
    let start = |name: &str| {
        let error = SqliteRehearsed::new(name, BTreeMap::new())
            .start(&sandbox(folder.path()), &mut |_| {})
            .unwrap_err();
        let text = text(&error);
        (error, text)
    };
    assert!(matches!(start("a.db"), (StoreError::Invalid { .. }, text) if text.contains("not there")));
    assert!(!path.exists(), "never created");
    fs::write(&path, vec![0x5a; 9000]).unwrap();
    assert!(matches!(start("a.db"), (StoreError::Invalid { .. }, text) if text.contains("not an SQLite database")));
    let outside = scratch();
    database(&outside.path().join("other.db"), "delete");
    symlink(outside.path().join("other.db"), folder.path().join("link.db")).unwrap();
    assert!(matches!(start("link.db"), (StoreError::Invalid { .. }, _)));
    for name in ["../a.db", "/etc/a.db", "x/a.db", ".", ""] {
        assert!(matches!(start(name), (StoreError::Settings { .. }, _)), "{name}");
    }
}

#[test]
fn a_check_passes_on_one_value_that_is_true_and_on_nothing_else() {
    let folder = scratch();
    let expected = database(&folder.path().join("a.db"), "delete");
    let mut rehearsed = started(folder.path(), expected);
    let mut check = |sql: &str| rehearsed.check(sql, LONG);
    for sql in [
        "select 1",
        "select -1",
        "select 0.5",
        "select 'yes'",
        "select 't'",
        "select x'00'",
        "select 1 -- so",
        "pragma page_count",
    ] {
        assert!(
            matches!(check(sql), CheckOutcome::Passed { .. }),
            "{sql}: {:?}",
            check(sql)
        );
    }
    for sql in [
        "select 0",
        "select 0.0",
        "select null",
        "select ''",
        "select '0'",
        "select '0.0'",
        "select 'false'",
        "select ' F '",
        "select x''",
        "select 1, 1",
        "select 1 where 0",
        "select 1 union all select 1",
        "select count(*) > 300 from t",
    ] {
        assert!(
            matches!(check(sql), CheckOutcome::Failed { .. }),
            "{sql}: {:?}",
            check(sql)
        );
    }
    for sql in [
        "select * from missing",
        "selec 1",
        "",
        "select 1; select 1",
        "select no_such_function()",
    ] {
        assert!(
            matches!(check(sql), CheckOutcome::CouldNotRun { .. }),
            "{sql}: {:?}",
            check(sql)
        );
    }
    let long = "select hex(zeroblob(5000))";
    assert!(
        matches!(check(long), CheckOutcome::Failed { actual } | CheckOutcome::Passed { actual } if actual.len() == 200)
    );
}

#[test]
fn a_check_neither_writes_nor_reaches_another_file_and_the_write_works_afterwards() {
    let folder = scratch();
    let outside = scratch();
    let other = outside.path().join("other.db");
    database(&other, "delete");
    let expected = database(&folder.path().join("a.db"), "delete");
    let mut rehearsed = started(folder.path(), expected.clone());
    let fresh = outside.path().join("fresh.db");
    for sql in [
        "delete from t returning 1".to_owned(),
        "create table x(y)".to_owned(),
        "update sqlite_dbpage set data = zeroblob(4096) where pgno = 1 returning 1".to_owned(),
        format!("attach '{}' as other", other.display()),
        format!("vacuum into '{}'", fresh.display()),
        "pragma query_only = off".to_owned(),
        "pragma journal_mode = wal".to_owned(),
        "pragma writable_schema = on".to_owned(),
        "select load_extension('/tmp/x.so')".to_owned(),
    ] {
        let outcome = rehearsed.check(&sql, LONG);
        assert!(!matches!(outcome, CheckOutcome::Passed { .. }), "{sql}: {outcome:?}");
    }
    assert!(!fresh.exists());
    assert!(differing(&mut rehearsed).is_empty());
    let count = rehearsed.check("select count(*) = 300 from t", LONG);
    assert!(matches!(count, CheckOutcome::Passed { .. }), "{count:?}");
    rehearsed.write().unwrap();
}

#[test]
fn a_check_that_does_not_end_is_ended_and_the_next_one_runs() {
    let folder = scratch();
    let expected = database(&folder.path().join("a.db"), "delete");
    let mut rehearsed = started(folder.path(), expected);
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    let outcome = rehearsed.check(endless, Duration::from_millis(50));
    assert!(
        matches!(&outcome, CheckOutcome::CouldNotRun { reason } if reason.contains("no end")),
        "{outcome:?}"
    );
    assert!(matches!(rehearsed.check("select 1", LONG), CheckOutcome::Passed { .. }));
}

#[test]
fn damage_that_a_check_meets_is_a_failure_and_not_an_error_of_the_check() {
    let folder = scratch();
    let path = folder.path().join("a.db");
    let expected = database(&path, "delete");
    let pages = expected["page_count"].as_u64().unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    for page in 5..pages {
        file.write_all_at(&[0xa5; 4096], 4096 * page).unwrap();
    }
    let mut rehearsed = started(folder.path(), expected);
    let outcome = rehearsed.check("select count(*) > 0 from t where length(body) > 0", LONG);
    assert!(
        matches!(&outcome, CheckOutcome::Failed { actual } if actual.contains("malformed")),
        "{outcome:?}"
    );
}

#[test]
fn a_check_of_several_statements_does_not_pass_by_its_first() {
    let folder = scratch();
    let expected = database(&folder.path().join("a.db"), "delete");
    let mut rehearsed = started(folder.path(), expected);
    for check in [
        "select 1; select 0",
        "select 1; select count(*) from nowhere",
        "select 1; x",
    ] {
        let outcome = rehearsed.check(check, LONG);
        assert!(!matches!(outcome, CheckOutcome::Passed { .. }), "{check}: {outcome:?}");
    }
    for check in ["select 1;", "select 1; -- and no more\n", " ; select 1 /* one */ ;"] {
        let outcome = rehearsed.check(check, LONG);
        assert!(matches!(outcome, CheckOutcome::Passed { .. }), "{check}: {outcome:?}");
    }
}
