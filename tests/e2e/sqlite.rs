//! SQLite databases that others write to while they are backed up.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use muster_testkit::env::TestEnv;
use rusqlite::Connection;

use crate::env;

/// An initialised repository and a store `saves`, whose two accounts hold 1,000,000 between them at every commit.
pub(crate) fn saves(journal: &str, more: &str) -> TestEnv {
    let env = env();
    let db = open(&env.path("saves.db"));
    db.pragma_update(None, "journal_mode", journal).unwrap();
    db.execute_batch(
        "create table account(id integer primary key, coins integer not null);
         create table move(id integer primary key, coins integer not null, note text not null);
         insert into account values (1, 1000000), (2, 0);
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
         insert into move(coins, note) select 0, hex(randomblob(60)) from n;",
    )
    .unwrap();
    env.configure(&format!(
        "[store.saves]\nkind = \"sqlite\"\npath = \"saves.db\"\n{more}"
    ));
    env.ok("init");
    env
}

pub(crate) fn open(path: &Path) -> Connection {
    let db = Connection::open(path).unwrap();
    db.busy_timeout(Duration::from_secs(30)).unwrap();
    db
}

fn one(db: &Connection, query: &str) -> i64 {
    db.query_row(query, [], |row| row.get(0)).unwrap()
}

/// Moves coins in one transaction after the other until it is told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    writer: JoinHandle<u64>,
}

impl Load {
    pub(crate) fn start(path: &Path) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (path, told) = (path.to_owned(), Arc::clone(&stop));
        let writer = std::thread::spawn(move || {
            let mut db = open(&path);
            let mut moves = 0;
            while !told.load(Ordering::Relaxed) {
                let step = db.transaction().unwrap();
                step.execute("update account set coins = coins - 1 where id = 1", [])
                    .unwrap();
                step.execute("update account set coins = coins + 1 where id = 2", [])
                    .unwrap();
                step.execute("insert into move(coins, note) values (1, hex(randomblob(60)))", [])
                    .unwrap();
                step.commit().unwrap();
                moves += 1;
            }
            moves
        });
        Self { stop, writer }
    }

    /// How many transactions it committed.
    pub(crate) fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.writer.join().unwrap()
    }
}

/// The one database file of a restored store.
fn restored(env: &TestEnv, folder: &str) -> Connection {
    let files = muster_testkit::damage::files_beneath(&env.path(folder));
    assert_eq!(files, ["saves.db"], "the database and nothing beside it");
    open(&env.path(folder).join("saves.db"))
}

fn assert_sound(db: &Connection) {
    let integrity: String = db.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(integrity, "ok");
    assert_eq!(
        one(db, "select sum(coins) from account"),
        1_000_000,
        "a transaction was torn"
    );
    assert_eq!(
        one(db, "select coins from account where id = 2"),
        one(db, "select sum(coins) from move")
    );
}

#[test]
fn a_database_under_load_comes_back_as_it_was_at_one_commit() {
    let env = saves("wal", "");
    let load = Load::start(&env.path("saves.db"));
    let mut seen = 0;
    for round in 0..3 {
        let before = one(&open(&env.path("saves.db")), "select count(*) from move");
        env.ok("backup saves");
        env.ok(&format!("restore saves --to back{round}"));
        let db = restored(&env, &format!("back{round}"));
        assert_sound(&db);
        let rows = one(&db, "select count(*) from move");
        assert!(
            rows >= before && rows >= seen,
            "{rows} restored, {before} were committed before the backup began"
        );
        seen = rows;
    }
    assert!(load.end() > 0, "there was no load");
    env.ok("verify --repository --read-data");
}

#[test]
fn what_was_committed_only_to_the_wal_comes_back_too() {
    let env = saves("wal", "");
    let db = open(&env.path("saves.db"));
    db.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    db.execute_batch("insert into move(coins, note) values (0, 'only in the wal')")
        .unwrap();
    env.ok("backup saves");
    env.ok("restore saves --to back");
    let back = restored(&env, "back");
    assert_eq!(
        one(&back, "select count(*) from move where note = 'only in the wal'"),
        1
    );
}

#[test]
fn a_rollback_journal_database_is_backed_up_too() {
    let env = saves("delete", "");
    env.ok("backup saves");
    env.ok("restore saves --to back");
    assert_sound(&restored(&env, "back"));
}

#[test]
fn a_second_snapshot_adds_the_changed_pages_only() {
    let env = saves("wal", "");
    let first = env.ok("backup saves --json").json();
    open(&env.path("saves.db"))
        .execute("update move set note = 'changed' where id in (10, 5000)", [])
        .unwrap();
    let second = env.ok("backup saves --json").json();
    let added = |document: &serde_json::Value| document["stores"][0]["added_bytes"].as_u64().unwrap();
    assert!(added(&second) * 5 < added(&first), "{first} {second}");
    env.ok("restore saves --to back");
    assert_eq!(
        one(
            &restored(&env, "back"),
            "select count(*) from move where note = 'changed'"
        ),
        2
    );
}

#[test]
fn a_file_that_is_no_database_gives_no_snapshot() {
    let env = saves("wal", "");
    std::fs::write(env.path("saves.db"), vec![b'x'; 8192]).unwrap();
    let outcome = env.run("backup saves").expect_error_to_name(&["saves"]);
    assert_ne!(outcome.code, 0);
    assert_eq!(
        env.ok("snapshots --json").json()["snapshots"].as_array().unwrap().len(),
        0
    );
}
