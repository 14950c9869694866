//! What is refused says who refused it and what to do next.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use muster_stores::postgres::{Environment, PostgresUrl};
use muster_stores::{Source, StoreError};
use muster_testkit::postgres::{Options, Server, scratch};

use crate::support::{DirectorySink, source, url};

fn attempt(url: PostgresUrl) -> Result<(), StoreError> {
    let directory = scratch();
    source(url)
        .snapshot(&mut DirectorySink::new(&directory.path().join("tree")))
        .map(|_| ())
}

#[track_caller]
fn refused(result: Result<(), StoreError>) -> (String, String) {
    match result {
        Err(StoreError::Refused { attempt, reason, hint }) => {
            (format!("{attempt}: {reason}"), hint.unwrap_or_default())
        }
        other => panic!("{other:?}"),
    }
}

fn with_password_methods() -> Server {
    let line = |role: &str, method: &str| format!("host replication {role} 127.0.0.1/32 {method}");
    let server = Server::start(Options {
        hba: vec![
            line("scram", "scram-sha-256"),
            line("hashed", "md5"),
            line("clear", "password"),
            line("barred", "reject"),
        ],
        ..Options::default()
    });
    server.sql("create role scram login replication password 'p%w'");
    server.sql("set password_encryption = 'md5'; create role hashed login replication password 'p%w'");
    server.sql("create role clear login replication password 'p%w'; create role barred login replication");
    server.sql("create role plain login; create role locked replication");
    server
}

#[test]
fn each_way_to_give_a_password_works_and_a_wrong_one_is_named() {
    let server = with_password_methods();
    for role in ["scram", "hashed", "clear"] {
        let address = server.url(role, "postgres");
        let (words, hint) = refused(attempt(url(&address)));
        assert!(
            words.contains("asks for the password") && hint.contains("PGPASSWORD"),
            "{words} / {hint}"
        );

        let wrong = Environment::default().with_password("wr0ngsecret");
        let (words, hint) = refused(attempt(PostgresUrl::parse_with(&address, wrong).unwrap()));
        assert!(words.contains("28P01") && hint.contains(".pgpass"), "{words} / {hint}");
        assert!(!words.contains("wr0ngsecret") && !hint.contains("wr0ngsecret"));

        attempt(PostgresUrl::parse_with(&address, Environment::default().with_password("p%w")).unwrap()).unwrap();
        attempt(url(&address.replace('@', ":p%25w@"))).unwrap();
    }
}

#[test]
fn a_password_file_is_used_only_while_it_is_private() {
    let server = with_password_methods();
    let directory = scratch();
    let file = directory.path().join("pgpass");
    fs::write(&file, format!("127.0.0.1:{}:replication:scram:p%w\n", server.port())).unwrap();
    let try_it = || {
        let environment = Environment::default().with_pass_file(&file);
        attempt(PostgresUrl::parse_with(&server.url("scram", "postgres"), environment).unwrap())
    };
    fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    assert!(refused(try_it()).1.contains("chmod 0600"));
    fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    try_it().unwrap();
}

#[test]
fn a_role_that_may_not_replicate_is_told_how_to() {
    let server = with_password_methods();
    let (words, hint) = refused(attempt(url(&server.url("plain", "postgres"))));
    assert!(words.contains("plain@127.0.0.1"), "{words}");
    assert_eq!(hint, "alter role \"plain\" replication");
    let (_, hint) = refused(attempt(url(&server.url("nobody", "postgres"))));
    assert_eq!(hint, "create role \"nobody\" login replication");
}

#[test]
fn a_host_that_pg_hba_does_not_let_in_is_told_the_line_to_add() {
    let server = with_password_methods();
    let (words, hint) = refused(attempt(url(&server.url("barred", "postgres"))));
    assert!(
        words.contains("pg_hba.conf") && hint.contains("host replication barred"),
        "{words} / {hint}"
    );
}

#[test]
fn a_server_that_is_not_there_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = attempt(url(&format!("postgresql://backup:s3cret@127.0.0.1:{port}/game"))).unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("connect to postgresql://backup@127.0.0.1:{port}/game")
    );
    let error = attempt(url("postgresql://backup@/game?host=/nonexistent")).unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
}

#[test]
fn something_else_than_postgresql_is_not_believed() {
    // Says little, says a lie about its length, or says nothing at all.
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"R\x7f\xff\xff\xff",
        b"R\0\0\0\x04",
        b"Z\0\0\0\0",
        b"",
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let _ = std::io::Write::write_all(&mut socket, answer);
            let _ = std::io::Read::read(&mut socket, &mut [0; 1000]);
        });
        let error = attempt(url(&format!("postgresql://u@127.0.0.1:{port}/d?sslmode=disable"))).unwrap_err();
        assert!(
            matches!(error, StoreError::Invalid { .. } | StoreError::Unreachable { .. }),
            "{error:?}"
        );
        server.join().unwrap();
    }
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let error = attempt(url(&format!(
        "postgresql://u@127.0.0.1:{port}/d?sslmode=disable&connect_timeout=2"
    )))
    .unwrap_err();
    assert!(matches!(error, StoreError::Deadline { seconds: 2, .. }), "{error:?}");
}
