//! Rules about PostgreSQL, on servers that were set up wrong and then right.

use std::time::Duration;

use muster_testkit::postgres::{self, Options, Server};

use super::{Audit, Shown};
use crate::env;

/// What is shown here.
pub(super) const RULES: &[&str] = &[
    "DR-201", "DR-202", "DR-203", "DR-204", "DR-205", "DR-206", "DR-207", "DR-208",
];

/// A server that somebody made fast: no page checksums, nothing flushed, as little log as can be, and none of it archived.
pub(super) fn careless() -> Server {
    let directory = postgres::scratch();
    let data = directory.path().join("data");
    let mut initdb = postgres::command(&postgres::program("initdb"));
    initdb.args("--no-sync -A trust -E UTF8 --locale C -U postgres -D".split(' '));
    postgres::succeed(initdb.arg(&data));
    let settings = [
        "fsync=off",
        "full_page_writes=off",
        "wal_level=minimal",
        "max_wal_senders=0",
    ];
    Server::start_restored(
        &data,
        Options {
            settings: settings.map(str::to_owned).to_vec(),
            ..Options::default()
        },
    )
}

fn careful() -> Server {
    let server = Server::start(Options {
        settings: ["fsync=on", "archive_mode=on"].map(str::to_owned).to_vec(),
        ..Options::default()
    });
    server.sql("create role backup login replication");
    server.sql("grant pg_monitor to backup");
    server
}

/// Gives the server another `archive_command`, and waits until it has been tried.
pub(super) fn archive_by(server: &Server, command: &str, tried: &str) {
    let counted = || {
        let count = server.sql(&format!("select {tried} from pg_stat_archiver"));
        count.parse::<u64>().unwrap()
    };
    let before = counted();
    server.sql(&format!("alter system set archive_command = '{command}'"));
    server.sql("select pg_reload_conf()");
    server.sql("select pg_logical_emit_message(true, 'test', 'something to archive')");
    server.sql("select pg_switch_wal()");
    for _ in 0..3000 {
        if counted() > before {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("archive_command = {command} was never tried: {}", server.log());
}

#[test]
fn rules_about_postgres_are_seen_red_and_right() {
    let (careless, careful) = (careless(), careful());
    let env = env();
    let store = |name: &str, url: String| format!("[store.{name}]\nkind = \"postgres\"\nurl = \"{url}\"\n");
    env.configure(&format!(
        "{}{}",
        store("careless", careless.url("postgres", "postgres")),
        store("careful", careful.url("backup", "postgres"))
    ));
    env.ok("init");
    careful.sql("select pg_create_physical_replication_slot('left_behind', true)");
    archive_by(&careful, "false", "failed_count");

    let mut shown = Shown::default();
    let first = Audit::of(&env);
    let careless_in = ["DR-201", "DR-202", "DR-203", "DR-204", "DR-207"];
    shown.red(&first, "careless", "fail", &careless_in);
    shown.red(&first, "careless", "warn", &["DR-205"]);
    first.expect("careless", "not_applicable", &["DR-206"]);
    shown.red(&first, "careful", "fail", &["DR-206"]);
    shown.red(&first, "careful", "warn", &["DR-208"]);

    careful.sql("select pg_drop_replication_slot('left_behind')");
    archive_by(&careful, "true", "archived_count");
    drop(careless);
    let second = Audit::of(&env);
    shown.right(&second, "careful", "pass", RULES);
    // A server that does not answer is not a good one.
    second.expect("careless", "unknown", RULES);
    shown.demand(RULES, &[]);
}
