//! A real PostgreSQL server of the test's own: fresh, on a free port, gone with the value.
//!
//! Invariant: it listens on loopback and a private socket only, runs as a non-root user, and is ended by its process id.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// How the server is set up.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `name=value`, as `postgres -c` takes them.
    pub settings: Vec<String>,
    /// Lines that come before `trust` for everyone in `pg_hba.conf`.
    pub hba: Vec<String>,
    /// Name of the bootstrap superuser in place of `postgres`.
    pub superuser: Option<String>,
    /// It is a standby: up while it is still in recovery.
    pub standby: bool,
    /// Keep `postgresql.conf` and its companions outside the data directory, as Debian does.
    pub configuration_outside: bool,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    directory: tempfile::TempDir,
    child: Child,
    port: u16,
    options: Options,
}

/// The user and group that servers run as: `postgres` for root, else the caller's own.
pub fn server_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let text = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let line = text
        .lines()
        .find(|line| line.starts_with("postgres:"))
        .expect("user postgres is missing: apt-get install postgresql-15");
    let fields: Vec<&str> = line.split(':').collect();
    Some((fields[2].parse().expect("uid"), fields[3].parse().expect("gid")))
}

fn owner() -> String {
    let (uid, gid) =
        server_user().unwrap_or((rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()));
    format!("{uid}:{gid}")
}

/// A PostgreSQL 15 program.
pub fn program(name: &str) -> PathBuf {
    let path = Path::new("/usr/lib/postgresql/15/bin").join(name);
    assert!(
        path.exists(),
        "{} is missing: apt-get install postgresql-15",
        path.display()
    );
    path
}

/// A command that runs as [`server_user`] and can be read by it.
pub fn command(program_path: &Path) -> Command {
    let mut command = Command::new(program_path);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .env("HOME", "/nonexistent")
        .env("PGTZ", "UTC")
        .current_dir("/");
    if let Some((uid, gid)) = server_user() {
        command.uid(uid).gid(gid);
    }
    command
}

/// A scratch folder that [`server_user`] owns, mode 0755, with a short path.
pub fn scratch() -> tempfile::TempDir {
    let directory = tempfile::Builder::new()
        .prefix("pgt")
        .tempdir_in("/var/tmp")
        .expect("scratch folder");
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("mode");
    give(directory.path());
    directory
}

/// Gives a file or folder to [`server_user`].
pub fn give(path: &Path) {
    if let Some((uid, gid)) = server_user() {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("chown");
    }
}

/// Gives a folder and everything below it to [`server_user`].
pub fn give_tree(path: &Path) {
    if server_user().is_some() {
        succeed(Command::new("chown").arg("-R").arg(owner()).arg(path));
    }
}

impl Server {
    /// Makes a cluster and starts it. Superuser: `postgres` unless named otherwise; page checksums on.
    pub fn start(options: Options) -> Server {
        let directory = scratch();
        let data = directory.path().join("data");
        let mut initdb = command(&program("initdb"));
        initdb.args("-k --no-sync -A trust -E UTF8 --locale C".split(' '));
        initdb.arg("-U").arg(options.superuser()).arg("-D").arg(&data);
        succeed(&mut initdb);
        let mut hba = options.hba.join("\n");
        for line in ["local all", "local replication", "host all", "host replication"] {
            let address = if line.starts_with("host") { "127.0.0.1/32" } else { "" };
            hba.push_str(&format!("\n{line} all {address} trust"));
        }
        std::fs::write(data.join("pg_hba.conf"), hba + "\n").expect("pg_hba.conf");
        if options.configuration_outside {
            let outside = directory.path().join("etc");
            std::fs::create_dir(&outside).expect("etc");
            give(&outside);
            for name in ["postgresql.conf", "pg_hba.conf", "pg_ident.conf"] {
                std::fs::rename(data.join(name), outside.join(name)).expect("move configuration");
            }
        }
        Server::run(directory, options)
    }

    /// Starts a data directory that exists, in place, as its owner would: with `postgres` and options of their own. The folder
    /// becomes [`server_user`]'s.
    pub fn start_restored(data: &Path, options: Options) -> Server {
        let directory = scratch();
        std::fs::rename(data, directory.path().join("data")).expect("move the data directory");
        give_tree(directory.path());
        Server::run(directory, options)
    }

    fn run(mut directory: tempfile::TempDir, mut options: Options) -> Server {
        // Free when asked; should something else take it meanwhile, the next one is tried.
        for _ in 0..5 {
            let listener = TcpListener::bind("127.0.0.1:0").expect("free port");
            let port = listener.local_addr().expect("free port").port();
            drop(listener);
            let child = spawn(directory.path(), port, &options);
            let mut server = Server {
                directory,
                child,
                port,
                options,
            };
            match server.wait_until_ready() {
                Ok(()) => return server,
                Err(why) if why.contains("Address already in use") => {
                    let _ = server.child.wait();
                    directory = std::mem::replace(&mut server.directory, scratch());
                    options = server.options.clone();
                }
                Err(why) => panic!("{why}"),
            }
        }
        panic!("no free port was found");
    }

    /// Starts it again after [`Server::kill9`].
    pub fn start_again(&mut self) {
        self.child = spawn(self.directory.path(), self.port, &self.options);
        if let Err(why) = self.wait_until_ready() {
            panic!("{why}");
        }
    }

    /// Its TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its socket.
    pub fn socket_directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// `postgresql://USER@127.0.0.1:PORT/DATABASE`.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgresql://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL as the superuser in `postgres` and gives what `psql -At` prints.
    pub fn sql(&self, sql: &str) -> String {
        let output = self.try_sql(sql);
        assert!(
            output.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
    }

    /// The same where failing is expected.
    pub fn try_sql(&self, sql: &str) -> Output {
        self.psql().args(["-c", sql]).output().expect("psql runs")
    }

    /// `psql`, connected.
    pub fn psql(&self) -> Command {
        let mut psql = command(&program("psql"));
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            self.options.superuser(),
            "-d",
            "postgres",
            "-p",
            &self.port.to_string(),
            "-h",
        ])
        .arg(self.directory.path());
        psql.stdin(Stdio::null());
        psql
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Ends the postmaster with SIGKILL and waits until its children are gone too.
    pub fn kill9(&mut self) {
        let children = children_of(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        for child in &children {
            signal(*child, rustix::process::Signal::KILL);
        }
        while children.iter().any(|child| is_running(*child)) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Process ids of its children whose title contains `words`, e.g. `walsender`.
    pub fn children(&self, words: &str) -> Vec<u32> {
        let title = |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        children_of(self.child.id())
            .into_iter()
            .filter(|pid| String::from_utf8_lossy(&title(pid)).contains(words))
            .collect()
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        for _ in 0..3000 {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("postgres ended with {status}: {}", self.log()));
            }
            let ready = if self.options.standby { "t" } else { "f" };
            if self
                .try_sql("select pg_is_in_recovery()")
                .stdout
                .starts_with(ready.as_bytes())
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("postgres does not start: {}", self.log()))
    }
}

impl Options {
    fn superuser(&self) -> &str {
        self.superuser.as_deref().unwrap_or("postgres")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGQUIT: at once, children included. A process that has been waited for may have given its id away.
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(self.child.id(), rustix::process::Signal::QUIT);
        }
        let _ = self.child.wait();
    }
}

fn spawn(directory: &Path, port: u16, options: &Options) -> Child {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join("log"))
        .expect("log");
    let mut postgres = command(&program("postgres"));
    let data = directory.join("data");
    if options.configuration_outside {
        let file = |name: &str, file: &str| format!("{name}={}", directory.join("etc").join(file).display());
        postgres
            .arg("-c")
            .arg(file("config_file", "postgresql.conf"))
            .arg("-c")
            .arg(file("hba_file", "pg_hba.conf"));
        postgres.arg("-c").arg(file("ident_file", "pg_ident.conf"));
    }
    postgres
        .arg("-D")
        .arg(&data)
        .args([
            "-p",
            &port.to_string(),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "fsync=off",
            "-k",
        ])
        .arg(directory);
    for setting in &options.settings {
        postgres.args(["-c", setting]);
    }
    postgres
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("log"))
        .stderr(log);
    postgres.spawn().expect("postgres runs")
}

/// Runs a command to its end, and panics with what it said unless it succeeds.
pub fn succeed(command: &mut Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

fn children_of(pid: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|child| status_field(*child, "PPid:").is_some_and(|parent| parent == pid.to_string()))
        .collect()
}

/// A process that has ended but was not waited for counts as gone.
fn is_running(pid: u32) -> bool {
    status_field(pid, "State:").is_some_and(|state| !state.starts_with('Z'))
}

fn status_field(pid: u32, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status
        .lines()
        .find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}
