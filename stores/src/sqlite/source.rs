//! The backup: one read transaction, then every page in order through `sqlite_dbpage`.
//!
//! Pages come from SQLite's own pager, so what lies in the WAL is in them and what other processes commit meanwhile is not; the
//! backup never begins again because somebody writes, as the online backup API does. What it costs them: in WAL mode the log
//! cannot be reset until the backup ends and grows; in rollback-journal mode commits wait (`SQLITE_BUSY`) until it ends. A WAL
//! database that nobody has open gets an empty `-wal` and a `-shm` of its own owner and mode, as from every reader.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use rusqlite::Connection;
use serde_json::Value;

use super::connection::{Live, failed};
use super::schema;
use crate::{ConsistencyPoint, Entry, EntryKind, Sink, SinkError, Source, StoreError, Taken};

/// Bytes given to the sink at once.
const BATCH: usize = 256 * 1024;
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER: usize = 100;

/// A live SQLite database.
pub struct SqliteSource {
    path: PathBuf,
    now: Box<dyn Fn() -> String + Send>,
}

impl fmt::Debug for SqliteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSource")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl SqliteSource {
    /// The database at `path`. `now` gives the present instant (RFC 3339 UTC) and is asked once, right before the snapshot is
    /// pinned: what was committed by then is in it.
    pub fn new(path: impl Into<PathBuf>, now: impl Fn() -> String + Send + 'static) -> Self {
        Self {
            path: path.into(),
            now: Box::new(now),
        }
    }
}

impl Source for SqliteSource {
    fn is_in_path_order(&self) -> bool {
        true
    }

    fn snapshot(&mut self, sink: &mut dyn Sink) -> Result<Taken, StoreError> {
        let live = Live::open(&self.path)?;
        let shown = live.path.display().to_string();
        let read = format!("read the database {shown}");
        require_dbpage(&live.connection).map_err(|error| failed(&read, error))??;

        let time = (self.now)();
        let pinned = pin(&live.connection).map_err(|error| failed(&format!("begin to {read}"), error))?;
        sink.begin_file(entry(&live)?)?;
        let mut pages = Pages {
            batch: Vec::with_capacity(BATCH),
            header: Vec::new(),
            count: 0,
            sink,
        };
        pages.copy(&live.connection).map_err(|stopped| match stopped {
            Stopped::Sink(error) => StoreError::Sink(error),
            Stopped::Sqlite(error) => failed(&read, error),
        })?;
        let (header, count) = (pages.header, pages.count);
        sink.end_file()?;
        let counter = checked(&header, count, &pinned).map_err(|reason| StoreError::Invalid {
            attempt: read.clone(),
            reason,
        })?;
        live.connection
            .execute_batch("rollback")
            .map_err(|error| failed(&read, error))?;

        Ok(Taken {
            consistency_point: ConsistencyPoint {
                time,
                position: pinned.position(counter),
            },
            identity: BTreeMap::from([
                ("path".to_owned(), shown.into()),
                ("sqlite_version".to_owned(), rusqlite::version().into()),
            ]),
        })
    }

    fn page_size(&mut self) -> u32 {
        let mut header = [0; 18];
        let read =
            std::fs::File::open(&self.path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut header));
        match (read, u16::from_be_bytes([header[16], header[17]])) {
            // https://www.sqlite.org/fileformat.html#page_size: 1 stands for 65,536.
            (Ok(()), 1) => 65_536,
            (Ok(()), size) if header.starts_with(MAGIC) => u32::from(size),
            _ => 4096,
        }
    }

    fn estimate(&mut self) -> Option<u64> {
        std::fs::metadata(&self.path).ok().map(|metadata| metadata.len())
    }
}

/// The bundled SQLite must have the page table; a build without the flag must say so instead of failing on "no such table".
fn require_dbpage(connection: &Connection) -> rusqlite::Result<Result<(), StoreError>> {
    let sql = "select count(*) from pragma_compile_options where compile_options = 'ENABLE_DBPAGE_VTAB'";
    let there: bool = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(if there {
        Ok(())
    } else {
        Err(StoreError::Settings {
            reason: "this muster was built without SQLite's page table: build it with \
                     LIBSQLITE3_FLAGS=-DSQLITE_ENABLE_DBPAGE_VTAB, as .cargo/config.toml does"
                .to_owned(),
        })
    })
}

/// What the read transaction holds still.
#[derive(Debug)]
struct Pinned {
    schema_digest: String,
    page_count: u64,
    page_size: u32,
    user_version: i32,
    wal: bool,
}

fn pin(connection: &Connection) -> rusqlite::Result<Pinned> {
    connection.execute_batch("begin")?;
    // The first read takes the snapshot; the rest stays inside it.
    let schema_digest = schema::digest(connection)?;
    let pragma = |name: &str| super::connection::pragma::<i64>(connection, name);
    Ok(Pinned {
        schema_digest,
        page_count: u64::try_from(pragma("page_count")?).unwrap_or_default(),
        page_size: u32::try_from(pragma("page_size")?).unwrap_or_default(),
        user_version: super::connection::pragma(connection, "user_version")?,
        wal: super::connection::pragma::<String>(connection, "journal_mode")? == "wal",
    })
}

impl Pinned {
    fn position(&self, change_counter: u32) -> BTreeMap<String, Value> {
        BTreeMap::from([
            ("schema_digest".to_owned(), self.schema_digest.as_str().into()),
            ("page_count".to_owned(), self.page_count.into()),
            ("page_size".to_owned(), self.page_size.into()),
            ("user_version".to_owned(), self.user_version.into()),
            ("change_counter".to_owned(), change_counter.into()),
            ("journal_mode".to_owned(), journal_mode(self.wal).into()),
            ("wal".to_owned(), self.wal.into()),
        ])
    }
}

/// A reader sees only whether the database is in WAL mode: which rollback mode each writer uses is its own affair.
pub(super) fn journal_mode(wal: bool) -> &'static str {
    if wal { "wal" } else { "rollback" }
}

fn entry(live: &Live) -> Result<Entry, StoreError> {
    use std::os::unix::ffi::OsStrExt as _;
    let name = live.path.file_name().ok_or_else(|| StoreError::Settings {
        reason: format!("path {} of an sqlite store names no file", live.path.display()),
    })?;
    Ok(Entry {
        path: name.as_bytes().to_vec(),
        kind: EntryKind::File { sparse: false },
        mode: live.metadata.mode() & 0o7777,
        uid: live.metadata.uid(),
        gid: live.metadata.gid(),
        mtime_seconds: live.metadata.mtime(),
        mtime_nanos: u32::try_from(live.metadata.mtime_nsec()).unwrap_or_default(),
        xattrs: Vec::new(),
    })
}

enum Stopped {
    Sqlite(rusqlite::Error),
    Sink(SinkError),
}

impl From<rusqlite::Error> for Stopped {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<SinkError> for Stopped {
    fn from(error: SinkError) -> Self {
        Self::Sink(error)
    }
}

/// Pages on their way into the sink, in batches.
struct Pages<'a> {
    batch: Vec<u8>,
    header: Vec<u8>,
    count: u64,
    sink: &'a mut dyn Sink,
}

impl Pages<'_> {
    fn copy(&mut self, connection: &Connection) -> Result<(), Stopped> {
        // In page order by itself. The lock page at 1 GiB, which SQLite never writes, comes as zeros.
        let mut statement = connection.prepare("select data from sqlite_dbpage('main')")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let page = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
            if self.count == 0 {
                self.header = page.get(..HEADER).unwrap_or_default().to_vec();
            }
            self.count += 1;
            if self.batch.len() + page.len() > BATCH {
                self.flush()?;
            }
            self.batch.extend_from_slice(page);
        }
        Ok(self.flush()?)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        if !self.batch.is_empty() {
            self.sink.write(&self.batch)?;
            self.batch.clear();
        }
        Ok(())
    }
}

/// Compares what came with what was pinned, and returns the header's change counter.
fn checked(header: &[u8], count: u64, pinned: &Pinned) -> Result<u32, String> {
    if count != pinned.page_count {
        return Err(format!(
            "{count} pages came, its read transaction has {}",
            pinned.page_count
        ));
    }
    if count == 0 {
        return Ok(0);
    }
    let field = |at: usize| {
        header
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_be_bytes)
    };
    let (Some(counter), Some(pages), Some(valid_for)) = (field(24), field(28), field(92)) else {
        return Err("its first page is shorter than a header".to_owned());
    };
    if !header.starts_with(MAGIC) {
        return Err("its first page does not begin as an SQLite database".to_owned());
    }
    // Writers older than 3.7 leave the size alone; then it does not count.
    if counter == valid_for && u64::from(pages) != count {
        return Err(format!("its header counts {pages} pages, its read transaction {count}"));
    }
    Ok(counter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(counter: u32, pages: u32, valid_for: u32) -> Vec<u8> {
        let mut header = vec![0; HEADER];
        header[..16].copy_from_slice(MAGIC);
        header[24..28].copy_from_slice(&counter.to_be_bytes());
        header[28..32].copy_from_slice(&pages.to_be_bytes());
        header[92..96].copy_from_slice(&valid_for.to_be_bytes());
        header
    }

    fn pinned(page_count: u64) -> Pinned {
        Pinned {
            schema_digest: String::new(),
            page_count,
            page_size: 4096,
            user_version: 0,
            wal: false,
        }
    }

    #[test]
    fn pages_that_do_not_add_up_are_no_backup() {
        assert_eq!(checked(&header(9, 3, 9), 3, &pinned(3)), Ok(9));
        assert_eq!(checked(&[], 0, &pinned(0)), Ok(0));
        assert!(
            checked(&header(9, 3, 9), 2, &pinned(3))
                .unwrap_err()
                .contains("2 pages came")
        );
        assert!(
            checked(&header(9, 4, 9), 3, &pinned(3))
                .unwrap_err()
                .contains("its header counts 4")
        );
        assert!(
            checked(&[0; HEADER], 3, &pinned(3))
                .unwrap_err()
                .contains("does not begin")
        );
        assert!(
            checked(MAGIC, 3, &pinned(3))
                .unwrap_err()
                .contains("shorter than a header")
        );
    }

    #[test]
    fn a_size_that_an_old_writer_left_behind_does_not_count() {
        assert_eq!(checked(&header(9, 1, 8), 3, &pinned(3)), Ok(9));
    }
}
