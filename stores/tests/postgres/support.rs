//! A sink that writes a directory, a sandbox that is torn down, a write load.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use muster_stores::postgres::{Environment, PostgresRehearsed, PostgresSource, PostgresUrl, RehearsedOptions};
use muster_stores::{
    CheckOutcome, ConsistencyPoint, Entry, EntryKind, Rehearsed, Sandbox, Sink, SinkError, Source, StoreError, Taken,
};
use muster_testkit::postgres::{Options, Server, scratch};

/// Writes what a source pushes into a directory, and demands that the sink's contract is kept.
pub(crate) struct DirectorySink {
    root: PathBuf,
    open: Option<fs::File>,
    bytes: u64,
    /// Called with the bytes so far before each write.
    pub(crate) watch: Box<dyn FnMut(u64) -> Result<(), SinkError>>,
}

impl DirectorySink {
    pub(crate) fn new(root: &Path) -> DirectorySink {
        fs::create_dir(root).unwrap();
        DirectorySink {
            root: root.to_owned(),
            open: None,
            bytes: 0,
            watch: Box::new(|_| Ok(())),
        }
    }

    fn place(&self, path: &[u8]) -> PathBuf {
        let path = std::str::from_utf8(path).unwrap();
        assert!(
            !path.starts_with('/') && path.split('/').all(|part| !matches!(part, "" | "." | "..")),
            "{path}"
        );
        let place = self.root.join(path);
        assert!(place.parent().unwrap().is_dir(), "{path} came before its directory");
        assert!(!place.exists(), "{path} came twice");
        place
    }
}

impl Sink for DirectorySink {
    fn entry(&mut self, entry: Entry) -> Result<(), SinkError> {
        assert!(self.open.is_none());
        assert_eq!(entry.kind, EntryKind::Directory);
        fs::create_dir(self.place(&entry.path)).unwrap();
        Ok(())
    }

    fn begin_file(&mut self, entry: Entry) -> Result<(), SinkError> {
        assert!(self.open.is_none());
        let place = self.place(&entry.path);
        self.open = Some(fs::File::create(&place).unwrap());
        fs::set_permissions(place, PermissionsExt::from_mode(entry.mode)).unwrap();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        (self.watch)(self.bytes)?;
        self.bytes += bytes.len() as u64;
        self.open.as_mut().unwrap().write_all(bytes).unwrap();
        Ok(())
    }

    fn zeros(&mut self, length: u64) -> Result<(), SinkError> {
        self.write(&vec![0; usize::try_from(length).unwrap()])
    }

    fn end_file(&mut self) -> Result<(), SinkError> {
        self.open.take().unwrap();
        Ok(())
    }

    fn unreadable(&mut self, path: &[u8], reason: String) {
        panic!("{}: {reason}", String::from_utf8_lossy(path));
    }
}

pub(crate) fn url(text: &str) -> PostgresUrl {
    PostgresUrl::parse_with(text, Environment::default()).unwrap()
}

pub(crate) fn source(url: PostgresUrl) -> PostgresSource {
    PostgresSource::new(url, Box::new(|| "2000-01-01T00:00:00Z".into()))
}

pub(crate) fn back_up(server: &Server, to: &Path) -> Taken {
    source(url(&server.url("backup", "postgres")))
        .snapshot(&mut DirectorySink::new(to))
        .unwrap()
}

/// A server with a plain backup role.
pub(crate) fn server(options: Options) -> Server {
    let server = Server::start(options);
    server.sql("create role backup login replication");
    server
}

pub(crate) struct Rehearsal {
    pub(crate) rehearsed: PostgresRehearsed,
    pub(crate) phases: Vec<&'static str>,
    directory: tempfile::TempDir,
}

impl Rehearsal {
    /// Restores into a sandbox (`data` is moved there) and starts the engine.
    pub(crate) fn start(data: &Path, point: &ConsistencyPoint, url: PostgresUrl) -> Result<Rehearsal, StoreError> {
        let directory = scratch();
        let sandbox = Sandbox {
            data: directory.path().join("data"),
            run: directory.path().join("run"),
            deadline: Instant::now() + Duration::from_secs(120),
            cancel: std::sync::Arc::default(),
        };
        fs::rename(data, &sandbox.data).unwrap();
        fs::create_dir(&sandbox.run).unwrap();
        let mut rehearsed = PostgresRehearsed::new(point.clone(), url, RehearsedOptions::default());
        let mut phases = Vec::new();
        rehearsed.start(&sandbox, &mut |phase| phases.push(phase))?;
        Ok(Rehearsal {
            rehearsed,
            phases,
            directory,
        })
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn check(&mut self, sql: &str) -> CheckOutcome {
        self.rehearsed.check(sql, Duration::from_secs(30))
    }

    #[track_caller]
    pub(crate) fn passes(&mut self, sql: &str) {
        let outcome = self.check(sql);
        assert!(matches!(outcome, CheckOutcome::Passed { .. }), "{sql}: {outcome:?}");
    }

    #[track_caller]
    pub(crate) fn identity_matches(&mut self) {
        for fact in self.rehearsed.identity().unwrap() {
            assert!(fact.matches, "{fact:?}");
        }
    }
}

/// Rows inserted one by one until it is dropped.
pub(crate) struct Load(Child);

impl Load {
    pub(crate) fn start(server: &Server, sql: &str) -> Load {
        let mut psql = server.psql();
        psql.stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null());
        let mut child = psql.spawn().unwrap();
        let script = format!("{sql};\n").repeat(20_000);
        let mut input = child.stdin.take().unwrap();
        // Ends with a broken pipe when psql is ended.
        std::thread::spawn(move || input.write_all(script.as_bytes()));
        Load(child)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
