//! Databases that other processes write to while they are backed up.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use muster_stores::sqlite::{SqliteSource, settings};
use muster_stores::{Entry, EntryKind, Sink, SinkError, Source as _, StoreError, Taken};
use rusqlite::Connection;

use crate::collected::{Collected, Moment, scratch, text};

const NOW: &str = "2026-05-04T03:02:01Z";

fn take_into(path: &Path, sink: &mut dyn Sink) -> Result<Taken, StoreError> {
    SqliteSource::new(path, || NOW.to_owned()).snapshot(sink)
}

/// A database of some pages in which no process is.
fn create(path: &Path, page_size: u32, journal_mode: &str) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(&format!(
            "pragma page_size = {page_size}; pragma journal_mode = {journal_mode};"
        ))
        .unwrap();
    connection
        .execute_batch(
            "create table t(id integer primary key, body blob); create index i on t(body);
             with recursive n(i) as (select 1 union all select i + 1 from n where i < 300)
             insert into t select i, randomblob(700) from n;
             pragma user_version = 42;",
        )
        .unwrap();
}

/// Puts what was collected into a folder of its own and opens it there.
fn restored(content: &[u8]) -> (tempfile::TempDir, Connection) {
    let folder = scratch();
    let path = folder.path().join("restored.db");
    fs::write(&path, content).unwrap();
    let connection = Connection::open(&path).unwrap();
    let integrity: String = connection
        .query_row("pragma integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(integrity, "ok");
    (folder, connection)
}

/// A second process, with a SQLite of its own, that commits transfers between two tables for ever and tells each commit.
struct Writer {
    child: Child,
    stdin: Option<ChildStdin>,
    commits: BufReader<ChildStdout>,
}

const WRITER: &str = r#"
import sqlite3, sys, threading
path, mode = sys.argv[1], sys.argv[2]
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
db = sqlite3.connect(path, timeout=300, isolation_level=None)
db.execute("pragma journal_mode = " + mode)
db.execute("pragma cache_size = 10")
db.execute("pragma synchronous = off")
db.execute("begin immediate")
for name in ("debit", "credit"):
    db.execute(f"create table if not exists {name}(id integer primary key, amount int, filler blob)")
    for n in range(2000):
        db.execute(f"insert into {name} values (?, 0, randomblob(500))", (n,))
db.execute("create table done(n int)")
db.execute("insert into done values (0)")
db.execute("commit")
n = 0
while not stop.is_set():
    n += 1
    db.execute("begin immediate")
    for at in range(20):
        k = (n * 7919 + at * 104729) % 2000
        db.execute("update debit set amount = amount - ?, filler = randomblob(500) where id = ?", (n, k))
        db.execute("update credit set amount = amount + ?, filler = randomblob(500) where id = ?", (n, 1999 - k))
    db.execute("update done set n = ?", (n,))
    db.execute("commit")
    print(n, flush=True)
"#;

impl Writer {
    fn start(path: &Path, mode: &str) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", WRITER])
            .arg(path)
            .arg(mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 with its sqlite3 module is the second process: apt-get install python3");
        let stdin = child.stdin.take();
        let commits = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, commits }
    }

    /// Waits for one more commit and returns its number.
    fn commit(&mut self) -> i64 {
        let mut line = String::new();
        self.commits.read_line(&mut line).unwrap();
        line.trim().parse().expect("the writer tells its commits")
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It may stand before a full pipe.
        let _ = std::io::copy(&mut self.commits, &mut std::io::sink());
        let _ = self.child.wait();
    }
}

/// The sum that every transaction keeps, and the last transaction that is in it.
fn consistent(connection: &Connection) -> i64 {
    let sum = "select (select sum(amount) from debit) + (select sum(amount) from credit)";
    assert_eq!(
        connection.query_row(sum, [], |row| row.get::<_, i64>(0)).unwrap(),
        0,
        "half a transaction"
    );
    connection
        .query_row("select n from done", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn in_wal_mode_a_backup_is_one_instant_while_another_process_commits_between_its_pages() {
    let folder = scratch();
    let path = folder.path().join("game.db");
    let mut writer = Writer::start(&path, "wal");
    let before = (0..20).map(|_| writer.commit()).last().unwrap();
    // Each batch of pages waits for ten commits, so the database is written to again and again under the backup.
    let (sender, commits) = std::sync::mpsc::channel();
    let sink = Collected::with({
        let mut writer = writer;
        move |moment, _| {
            if moment == Moment::Write {
                let after = (0..10).map(|_| writer.commit()).last().unwrap();
                sender.send(after).unwrap();
            }
        }
    });
    let mut sink = sink;
    let taken = take_into(&path, &mut sink).unwrap();
    let last_commit = commits.try_iter().last().unwrap();
    let (_folder, connection) = restored(sink.content_of("game.db"));
    let in_it = consistent(&connection);
    assert!(
        before <= in_it,
        "commit {before} came before the backup, the copy has {in_it}"
    );
    assert!(
        in_it < last_commit,
        "the writer went on to {last_commit} under the backup, the copy has {in_it}"
    );
    let mode: String = connection
        .query_row("pragma journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    assert_eq!(taken.consistency_point.position["wal"], true);
    assert_eq!(taken.consistency_point.position["journal_mode"], "wal");
}

#[test]
fn in_rollback_mode_commits_wait_for_the_backup_and_go_on_after_it() {
    let folder = scratch();
    let path = folder.path().join("game.db");
    let mut writer = Writer::start(&path, "delete");
    let before = (0..20).map(|_| writer.commit()).last().unwrap();
    let mut sink = Collected::default();
    let taken = take_into(&path, &mut sink).unwrap();
    let (_folder, connection) = restored(sink.content_of("game.db"));
    assert!(before <= consistent(&connection));
    assert_eq!(taken.consistency_point.position["journal_mode"], "rollback");
    for _ in 0..20 {
        writer.commit();
    }
}

#[test]
fn a_backup_that_the_sink_ends_leaves_the_database_free() {
    let folder = scratch();
    let path = folder.path().join("game.db");
    create(&path, 4096, "delete");
    let mut sink = Collected {
        room: Some(1000),
        ..Collected::default()
    };
    assert!(matches!(take_into(&path, &mut sink), Err(StoreError::Sink(_))));
    let connection = Connection::open(&path).unwrap();
    connection.busy_timeout(std::time::Duration::ZERO).unwrap();
    connection
        .execute_batch("begin exclusive; delete from t; commit;")
        .unwrap();
}

#[test]
fn every_page_size_in_both_journal_modes_comes_back_byte_for_byte() {
    let folder = scratch();
    for mode in ["wal", "delete"] {
        for shift in 9..=16 {
            let page_size = 1_u32 << shift;
            let path = folder.path().join(format!("{mode}-{page_size}.db"));
            create(&path, page_size, mode);
            let mut sink = Collected::default();
            let position = take_into(&path, &mut sink).unwrap().consistency_point.position;
            let content = sink.content_of(path.file_name().unwrap().as_encoded_bytes());
            // The last writer has closed it, so all of it is in the file.
            assert!(content == fs::read(&path).unwrap(), "{mode} {page_size}");
            assert_eq!(position["page_size"], page_size);
            assert_eq!(position["page_count"], content.len() / page_size as usize);
            restored(content);
        }
    }
}

#[test]
fn what_lies_only_in_the_wal_is_in_the_backup() {
    let folder = scratch();
    let path = folder.path().join("game.db");
    create(&path, 4096, "wal");
    let writer = Connection::open(&path).unwrap();
    writer
        .execute_batch("pragma wal_autocheckpoint = 0; insert into t values (1000, 'only in the log');")
        .unwrap();
    let mut sink = Collected::default();
    take_into(&path, &mut sink).unwrap();
    let (_folder, connection) = restored(sink.content_of("game.db"));
    let body: String = connection
        .query_row("select body from t where id = 1000", [], |row| row.get(0))
        .unwrap();
    assert_eq!(body, "only in the log");
}

#[test]
fn what_a_reader_leaves_beside_a_wal_database_belongs_to_its_owner_and_shuts_nobody_out() {
    let folder = scratch();
    let path = folder.path().join("game.db");
    create(&path, 4096, "wal");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&path, Some(1234), Some(5678)).expect("chown needs root: run the tests as root");
    let before = fs::read(&path).unwrap();
    take_into(&path, &mut Collected::default()).unwrap();
    for name in ["game.db", "game.db-wal", "game.db-shm"] {
        let metadata = fs::metadata(folder.path().join(name)).unwrap();
        let (uid, gid) = (
            std::os::unix::fs::MetadataExt::uid(&metadata),
            std::os::unix::fs::MetadataExt::gid(&metadata),
        );
        assert_eq!(
            (uid, gid, metadata.permissions().mode() & 0o777),
            (1234, 5678, 0o640),
            "{name}"
        );
    }
    assert!(
        fs::read(&path).unwrap() == before,
        "a backup changes nothing in the file"
    );
    Connection::open(&path).unwrap().execute_batch("delete from t").unwrap();
}

#[test]
fn the_entry_has_the_name_mode_and_time_of_the_file_and_the_point_says_what_was_read() {
    let folder = scratch();
    let path = folder.path().join("saves.sqlite");
    create(&path, 4096, "delete");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let mut sink = Collected::default();
    let taken = take_into(&path, &mut sink).unwrap();
    let metadata = fs::metadata(&path).unwrap();
    let entry: &Entry = sink.entry_of("saves.sqlite");
    assert_eq!(
        (entry.mode, entry.kind.clone()),
        (0o640, EntryKind::File { sparse: false })
    );
    assert_eq!(entry.mtime_seconds, std::os::unix::fs::MetadataExt::mtime(&metadata));
    let position = &taken.consistency_point.position;
    assert_eq!(taken.consistency_point.time, NOW);
    assert_eq!(position["user_version"], 42);
    assert!(position["change_counter"].as_u64().unwrap() > 0);
    assert!(position["schema_digest"].as_str().unwrap().starts_with("blake3:"));
    assert_eq!(taken.identity["path"], path.to_str().unwrap());
    assert_eq!(taken.identity["sqlite_version"], rusqlite::version());
}

#[test]
fn the_schema_digest_changes_with_the_schema_and_not_with_the_rows() {
    let folder = scratch();
    let path = folder.path().join("a.db");
    create(&path, 4096, "delete");
    let digest = || {
        take_into(&path, &mut Collected::default())
            .unwrap()
            .consistency_point
            .position["schema_digest"]
            .clone()
    };
    let alter = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let first = digest();
    alter("insert into t values (5000, 'x')");
    assert_eq!(digest(), first);
    alter("create view v as select 1");
    assert_ne!(digest(), first);
}

#[test]
fn an_empty_file_is_an_empty_database() {
    let folder = scratch();
    let path = folder.path().join("empty.db");
    File::create(&path).unwrap();
    let mut sink = Collected::default();
    let taken = take_into(&path, &mut sink).unwrap();
    assert_eq!(sink.content_of("empty.db"), b"");
    assert_eq!(taken.consistency_point.position["page_count"], 0);
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
}

/// Counts instead of keeping.
#[derive(Default)]
struct Counted {
    bytes: u64,
    beyond_first_page_not_zero: u64,
}

impl Sink for Counted {
    fn entry(&mut self, _: Entry) -> Result<(), SinkError> {
        Ok(())
    }
    fn begin_file(&mut self, _: Entry) -> Result<(), SinkError> {
        Ok(())
    }
    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        static ZEROS: [u8; 1 << 20] = [0; 1 << 20];
        if self.bytes > 0 && bytes != &ZEROS[..bytes.len()] {
            self.beyond_first_page_not_zero += 1;
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }
    fn zeros(&mut self, length: u64) -> Result<(), SinkError> {
        self.bytes += length;
        Ok(())
    }
    fn end_file(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
    fn unreadable(&mut self, _: &[u8], _: String) {}
}

#[test]
fn the_lock_page_at_one_gibibyte_is_in_its_place() {
    const PAGES: u32 = 16_400;
    let folder = scratch();
    let path = folder.path().join("large.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("pragma page_size = 65536; vacuum;")
        .unwrap();
    // A database of 16,400 pages, all but the first in holes: page 16,385 is the one that SQLite never touches.
    let file = File::options().read(true).write(true).open(&path).unwrap();
    file.set_len(u64::from(PAGES) * 65_536).unwrap();
    file.write_all_at(&PAGES.to_be_bytes(), 28).unwrap();
    let mut sink = Counted::default();
    let taken = take_into(&path, &mut sink).unwrap();
    assert_eq!(taken.consistency_point.position["page_count"], PAGES);
    assert_eq!(
        (sink.bytes, sink.beyond_first_page_not_zero),
        (u64::from(PAGES) * 65_536, 0)
    );
}

fn refused(path: &Path) -> (StoreError, String) {
    let mut sink = Collected::default();
    let error = take_into(path, &mut sink).unwrap_err();
    assert!(sink.files.is_empty());
    let text = text(&error);
    assert!(
        text.contains(path.to_str().unwrap()),
        "{text} does not name {}",
        path.display()
    );
    (error, text)
}

#[test]
fn a_missing_database_is_refused_and_not_created() {
    let folder = scratch();
    let path = folder.path().join("missing.db");
    let (error, text) = refused(&path);
    assert!(
        matches!(error, StoreError::Refused { .. }) && text.contains("does not exist"),
        "{text}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(settings(&path).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_is_not_a_database_is_invalid_by_name() {
    let folder = scratch();
    let path = folder.path().join("note.txt");
    fs::write(&path, "not a database, but longer than a header would be: ".repeat(100)).unwrap();
    let (error, text) = refused(&path);
    assert!(
        matches!(error, StoreError::Invalid { .. }) && text.contains("not an SQLite database"),
        "{text}"
    );
    let (error, text) = refused(folder.path());
    assert!(
        matches!(error, StoreError::Refused { .. }) && text.contains("not a regular file"),
        "{text}"
    );
}

#[test]
fn a_truncated_database_is_invalid() {
    let folder = scratch();
    let path = folder.path().join("cut.db");
    create(&path, 4096, "delete");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(fs::metadata(&path).unwrap().len() / 2).unwrap();
    let (error, text) = refused(&path);
    assert!(matches!(error, StoreError::Invalid { .. }), "{text}");
}

#[test]
fn a_hot_journal_is_refused_with_the_way_out_and_the_way_out_works() {
    let folder = scratch();
    let path: PathBuf = folder.path().join("hot.db");
    create(&path, 4096, "delete");
    let status = Command::new("python3")
        .arg("-c")
        .arg(
            "import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('pragma cache_size = 1')
db.execute('begin')
db.execute('update t set body = randomblob(700)')
os.kill(os.getpid(), signal.SIGKILL)",
        )
        .arg(&path)
        .status()
        .expect("python3 with its sqlite3 module is the second process: apt-get install python3");
    assert!(!status.success() && folder.path().join("hot.db-journal").exists());
    let (error, text) = refused(&path);
    assert!(
        matches!(error, StoreError::Refused { .. }) && text.contains("hot rollback journal"),
        "{text}"
    );
    let rolled_back: i64 = Connection::open(&path)
        .unwrap()
        .query_row("select count(*) from t", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rolled_back, 300);
    let mut sink = Collected::default();
    take_into(&path, &mut sink).unwrap();
    restored(sink.content_of("hot.db"));
}

#[test]
fn a_name_that_sqlite_would_take_for_its_own_is_a_file_name() {
    let folder = scratch();
    for name in [":memory:", "file:x.db?mode=memory"] {
        let path = folder.path().join(name);
        create(&path, 4096, "delete");
        let mut sink = Collected::default();
        take_into(&path, &mut sink).unwrap();
        assert!(sink.content_of(name) == fs::read(&path).unwrap());
    }
}

#[test]
fn settings_are_those_of_the_file() {
    let folder = scratch();
    let path = folder.path().join("s.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "pragma page_size = 8192; pragma auto_vacuum = incremental; pragma encoding = 'UTF-16le';
             pragma journal_mode = wal; pragma user_version = 42; pragma application_id = 7;
             create table t(body); insert into t values (zeroblob(100000)); delete from t;",
        )
        .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    let found = settings(&path).unwrap();
    assert_eq!(found["journal_mode"], "wal");
    assert_eq!(found["page_size"], 8192);
    assert_eq!(found["user_version"], 42);
    assert_eq!(found["application_id"], 7);
    assert_eq!(found["mode"], "0604");
    assert!(found["freelist_count"].as_i64().unwrap() > 0);
    assert_eq!(found["size_bytes"], fs::metadata(&path).unwrap().len());
    assert_eq!(found["auto_vacuum"], "incremental");
    assert_eq!(found["encoding"], "UTF-16le");
}
