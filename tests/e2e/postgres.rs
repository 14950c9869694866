//! A live PostgreSQL server under a write load, onto a local disk and onto a real S3 gateway.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use muster_archive::object_store::{self, PutOptions};
use muster_testkit::ceph::Ceph;
use muster_testkit::damage::{Damage, files_beneath};
use muster_testkit::env::{Outcome, TestEnv};
use muster_testkit::postgres::{self, Options, Server};

use crate::env;

const ROWS: u64 = 50_000;

/// A server with a table, and a role that may replicate and nothing else.
fn server(more: Options) -> Server {
    let server = Server::start(more);
    server.sql("create table hero(id bigserial primary key, handle text not null, sheet jsonb)");
    server.sql(&format!(
        "insert into hero(handle, sheet) select 'h' || i, jsonb_build_object('level', i % 90, 'lore', md5(i::text)) from generate_series(1, {ROWS}) i"
    ));
    server.sql("create role backup login replication password 'correct horse'");
    server.sql("grant pg_monitor to backup");
    server
}

fn configure(env: &TestEnv, server: &Server, repository: &str) {
    env.configure_repository(
        repository,
        &format!(
            "[store.heroes]\nkind = \"postgres\"\nurl = \"{}\"\nobjectives = {{ rpo = \"5m\", rto = \"5m\" }}\nchecks = [\"select count(*) >= {ROWS} from hero\"]",
            server.url("backup", "postgres")
        ),
    );
}

fn local(env: &TestEnv) -> String {
    format!("url = \"file://{}\"", env.text("repo"))
}

/// Inserts until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    writer: std::thread::JoinHandle<()>,
}

impl Load {
    fn start(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let mut psql = server.psql();
        let writer = std::thread::spawn(move || {
            use std::io::Write;
            let mut child = psql
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut input = child.stdin.take().unwrap();
            while !told.load(Ordering::Relaxed) {
                if input
                    .write_all(b"insert into hero(handle) select 'load' || g from generate_series(1, 20) g;\n")
                    .is_err()
                {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            drop(input);
            child.wait().unwrap();
        });
        Self { stop, writer }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.writer.join().unwrap();
    }
}

fn rows(server: &Server) -> u64 {
    server.sql("select count(*) from hero").parse().unwrap()
}

/// A restored cluster, started as its users would start it. Stopped when dropped.
struct Restored {
    data: std::path::PathBuf,
    run: tempfile::TempDir,
}

impl Restored {
    fn start(data: &Path) -> Self {
        let run = postgres::scratch();
        let own = std::process::Command::new("chown")
            .arg("-R")
            .arg("postgres:")
            .arg(data)
            .status();
        assert!(own.unwrap().success());
        std::fs::set_permissions(data, PermissionsExt::from_mode(0o700)).unwrap();
        let restored = Self {
            data: data.to_owned(),
            run,
        };
        let options = format!(
            "-k {} -c listen_addresses='' -c archive_mode=off",
            restored.run.path().display()
        );
        let mut start = postgres::command(&postgres::program("pg_ctl"));
        start
            .arg("-D")
            .arg(data)
            .arg("-l")
            .arg(restored.run.path().join("log"))
            .args(["-w", "-t", "120", "-o", &options, "start"]);
        start.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null());
        let started = start.status().unwrap().success();
        let log = std::fs::read_to_string(restored.run.path().join("log")).unwrap_or_default();
        assert!(started, "the restored server does not start: {log}");
        for _ in 0..600 {
            if restored.sql("select pg_is_in_recovery()") == "f" {
                return restored;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("the restored server stays in recovery: {log}");
    }

    fn client(&self, name: &str) -> std::process::Command {
        let mut client = postgres::command(&postgres::program(name));
        client
            .arg("-h")
            .arg(self.run.path())
            .args(["-U", "postgres", "-d", "postgres"]);
        client
    }

    fn sql(&self, sql: &str) -> String {
        let output = self
            .client("psql")
            .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Every index agrees with its table, and every page with its checksum.
    fn assert_sound(self) {
        postgres::succeed(
            self.client("pg_amcheck")
                .args(["--install-missing", "--heapallindexed"]),
        );
        self.stop();
        let mut checksums = postgres::command(&postgres::program("pg_checksums"));
        postgres::succeed(checksums.arg("--check").arg("-D").arg(&self.data));
    }

    fn stop(&self) {
        let mut stop = postgres::command(&postgres::program("pg_ctl"));
        stop.arg("-D")
            .arg(&self.data)
            .args(["-m", "fast", "-w", "stop"])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let _ = stop.status();
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Two backups under load, a rehearsal, a restore that starts and holds what was committed, and a bundle: the whole loop.
fn the_whole_loop(env: &TestEnv, server: &Server, run: &dyn Fn(&str) -> Outcome) {
    let ok = |line: &str| run(line).expect_code(0);
    ok("init");
    let load = Load::start(server);
    let first = ok("backup heroes --json").json();
    let committed = rows(server);
    assert!(committed > ROWS, "there was no load");
    let second = ok("backup heroes --json").json();
    load.end();

    let store = &second["stores"][0];
    assert_eq!(store["status"], "ok");
    for key in ["lsn", "time", "timeline"] {
        assert!(!store["consistency_point"][key].is_null(), "no {key}: {second}");
    }
    let added = |document: &serde_json::Value| document["stores"][0]["added_bytes"].as_u64().unwrap();
    assert!(
        added(&second) < added(&first),
        "nothing was deduplicated: {first} {second}"
    );

    let rehearsal = ok("rehearse heroes --json").json()["rehearsals"][0].clone();
    assert_eq!(rehearsal["verdict"], "PASS", "{rehearsal}");
    let phases: Vec<&str> = rehearsal["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| phase["name"].as_str().unwrap())
        .collect();
    assert!(phases.len() >= 4, "{phases:?}");

    ok("restore heroes --to back");
    let restored = Restored::start(&env.path("back"));
    let got: u64 = restored.sql("select count(*) from hero").parse().unwrap();
    assert!(
        got >= committed,
        "{got} rows restored, {committed} were committed before the second backup began"
    );
    assert_eq!(restored.sql("select count(distinct id) = count(*) from hero"), "t");
    restored.sql("insert into hero(handle) values ('after the disaster')");
    restored.assert_sound();

    let audit = run("audit --out evidence.tar --json");
    assert!(matches!(audit.code, 0 | 3 | 6), "{audit:?}");
    let verified = ok("verify evidence.tar --key keys/root.pub --json").json();
    assert_eq!(verified["valid"], true);
    ok("verify --repository --read-data");
}

#[test]
fn postgres_under_load_goes_round_the_whole_loop_on_a_local_disk() {
    let server = server(Options::default());
    let env = env();
    configure(&env, &server, &local(&env));
    the_whole_loop(&env, &server, &|line| env.run(line));

    // One flipped byte in anything that the newest snapshot needs.
    let mut missed = Vec::new();
    let names = files_beneath(&env.path("repo"));
    for object in names
        .iter()
        // What the writer alone looks at, to save time, is nothing that the snapshot needs.
        .filter(|name| !name.contains(".p/") && !name.starts_with(".tmp/") && !name.starts_with("index/"))
    {
        let _damaged = Damage::Flip.to(&env.path("repo").join(object));
        let code = env.run("verify --repository --read-data").code;
        if code != 7 {
            missed.push((object, code));
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}

#[test]
fn postgres_under_load_goes_round_the_whole_loop_encrypted_on_s3() {
    let ceph = Ceph::server();
    let server = server(Options::default());
    let env = env();
    let url = ceph.fresh_url();
    let endpoint = ceph.endpoint();
    let [identity, recipient] = crate::encryption::FIRST;
    env.write("recovery.age", identity);
    configure(
        &env,
        &server,
        &format!(
            "url = \"{url}\"\nendpoint = \"{endpoint}\"\nregion = \"us-east-1\"\npath_style = true\nrecipients = [{recipient:?}]\nidentity_file = \"recovery.age\""
        ),
    );
    let run = |line: &str| {
        let mut command = env.command();
        command.args(line.split_whitespace()).envs(ceph.environment());
        Outcome::of(command)
    };
    the_whole_loop(&env, &server, &run);

    // One flipped byte in the largest object of each kind.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let bucket = runtime.block_on(object_store::open(&url, &ceph.options())).unwrap();
    let mut objects = runtime.block_on(bucket.list("")).unwrap();
    objects.retain(|object| !object.key.contains(".p/"));
    for kind in [
        "muster.dsse",
        "keys/",
        "packs/",
        "trees/",
        "lists/",
        "runs/",
        "snapshots/",
        "rehearsals/",
        "ledger/",
    ] {
        let of_kind = objects.iter().filter(|object| object.key.starts_with(kind));
        let key = &of_kind
            .max_by_key(|object| object.size)
            .unwrap_or_else(|| panic!("no {kind} in the bucket"))
            .key;
        let whole = runtime.block_on(bucket.get(key)).unwrap();
        let mut flipped = whole.to_vec();
        flipped[whole.len() / 2] ^= 1;
        runtime
            .block_on(bucket.put(key, flipped.into(), PutOptions::OVERWRITE))
            .unwrap();
        run("verify --repository --read-data").expect_code(7);
        runtime.block_on(bucket.put(key, whole, PutOptions::OVERWRITE)).unwrap();
    }
    run("verify --repository --read-data").expect_code(0);
}

#[test]
fn a_wrong_s3_secret_is_exit_1_and_is_not_shown() {
    let ceph = Ceph::server();
    let env = env();
    env.write("src/a", "a");
    let repository = format!(
        "url = \"{}\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\npath_style = true",
        ceph.fresh_url(),
        ceph.endpoint()
    );
    env.configure_repository(&repository, "[store.assets]\nkind = \"files\"\npath = \"src\"");
    let run = |line: &str, secret: &str| {
        let mut command = env.command();
        command
            .args(line.split_whitespace())
            .envs(ceph.environment())
            .env("AWS_SECRET_ACCESS_KEY", secret);
        Outcome::of(command)
    };
    let right = ceph.environment()[1].1;
    run("init", right).expect_code(0);
    for line in ["backup", "snapshots", "verify --repository"] {
        let refused = run(line, "not-the-secret").expect_code(1);
        assert!(
            !format!("{}{}", refused.stdout, refused.stderr).contains("not-the-secret"),
            "{refused:?}"
        );
    }
    run("backup", right).expect_code(0);
}

#[test]
fn an_unreachable_postgres_server_is_exit_1_and_named() {
    let env = env();
    env.configure("[store.heroes]\nkind = \"postgres\"\nurl = \"postgresql://backup@127.0.0.1:1/postgres\"");
    env.ok("init");
    env.run("backup heroes")
        .expect_code(1)
        .expect_error_to_name(&["127.0.0.1"]);
    assert_eq!(
        env.ok("snapshots --json").json()["snapshots"].as_array().unwrap().len(),
        0
    );
}

#[test]
fn a_postgres_password_that_is_wrong_is_exit_1_and_is_not_shown() {
    let server = server(Options {
        hba: vec!["host replication,postgres backup 127.0.0.1/32 scram-sha-256".into()],
        ..Options::default()
    });
    let env = env();
    let stores = format!(
        "[store.heroes]\nkind = \"postgres\"\nurl = \"{}\"\npassword_file = \"password\"",
        server.url("backup", "postgres")
    );
    env.configure(&stores);
    env.ok("init");
    env.write("password", "battery staple\n");
    let refused = env
        .run("backup heroes -v")
        .expect_code(1)
        .expect_error_to_name(&["backup", "password"]);
    assert!(
        !format!("{}{}", refused.stdout, refused.stderr).contains("battery staple"),
        "{refused:?}"
    );
    env.write("password", "correct horse\n");
    env.ok("backup heroes");
}

#[test]
fn a_postgres_role_without_replication_is_refused_with_what_it_lacks() {
    let server = server(Options::default());
    server.sql("create role reader login");
    let env = env();
    env.configure(&format!(
        "[store.heroes]\nkind = \"postgres\"\nurl = \"{}\"",
        server.url("reader", "postgres")
    ));
    env.ok("init");
    env.run("backup heroes")
        .expect_code(1)
        .expect_error_to_name(&["replication"]);
}

#[test]
fn a_postgres_server_killed_in_mid_backup_leaves_no_snapshot_and_the_next_run_works() {
    let mut server = server(Options::default());
    server.sql(
        "create table filler as select i, md5(i::text) || md5((-i)::text) as t from generate_series(1, 1500000) i",
    );
    let env = env();
    configure(&env, &server, &local(&env));
    env.ok("init");
    let mut command = env.command();
    command
        .args(["backup", "heroes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    while server.sql("select count(*) from pg_stat_progress_basebackup where phase = 'streaming database files'") != "1"
    {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before the server could be killed"
        );
    }
    server.kill9();
    let outcome = Outcome::from_output("backup".into(), child.wait_with_output().unwrap());
    outcome.expect_code(1).expect_error_to_name(&["heroes"]);
    assert_eq!(
        env.ok("snapshots --json").json()["snapshots"].as_array().unwrap().len(),
        0
    );
    env.ok("verify --repository --read-data");

    server.start_again();
    env.ok("backup heroes");
    let rehearsal = env.ok("rehearse heroes --json").json();
    assert_eq!(rehearsal["rehearsals"][0]["verdict"], "PASS");
}

#[test]
fn a_postgres_rehearsal_tells_fail_from_error_and_leaves_no_server_behind() {
    let server = server(Options::default());
    let env = env();
    configure(&env, &server, &local(&env));
    env.ok("init");
    env.ok("backup heroes");
    let store = std::fs::read_to_string(env.path("muster.toml")).unwrap();
    let with_check = |check: &str| {
        env.write(
            "muster.toml",
            store.replace(&format!("select count(*) >= {ROWS} from hero"), check),
        )
    };
    for (check, code, verdict) in [
        ("select count(*) > 100 * count(*) from hero", 4, "FAIL"),
        ("select no_such_column from hero", 8, "ERROR"),
    ] {
        with_check(check);
        let rehearsal = env.run("rehearse heroes --json").expect_code(code).json();
        assert_eq!(rehearsal["rehearsals"][0]["verdict"], verdict, "{rehearsal}");
    }
    env.assert_nothing_left();
    let words = |process: std::fs::DirEntry| std::fs::read(process.path().join("cmdline")).unwrap_or_default();
    let commands = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|process| String::from_utf8_lossy(&words(process)).into_owned());
    let left: Vec<String> = commands
        .filter(|words| words.contains("postgres") && words.contains(&env.text("")))
        .collect();
    assert!(left.is_empty(), "servers are still running: {left:?}");
}

#[test]
fn a_postgres_restore_with_losses_is_left_unstartable_unless_loss_is_allowed() {
    let server = server(Options::default());
    let env = env();
    configure(&env, &server, &local(&env));
    env.ok("init");
    env.ok("backup heroes");
    let packs = files_beneath(&env.path("repo/packs"));
    let largest = packs
        .iter()
        .max_by_key(|pack| std::fs::metadata(env.path("repo/packs").join(pack)).unwrap().len())
        .unwrap();
    let _damaged = Damage::Flip.to(&env.path("repo/packs").join(largest));
    let lossy = env.run("restore heroes --to back --json").expect_code(7).json();
    assert!(!lossy["lost"].as_array().unwrap().is_empty(), "{lossy}");
    assert!(
        !env.path("back/global/pg_control").exists(),
        "a database with losses could be started"
    );
    env.run("restore heroes --to allowed --allow-loss").expect_code(7);
    assert!(env.path("allowed/global/pg_control").exists());
}
