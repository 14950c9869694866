//! Encryption by sslmode: what is demanded is had or refused, never silently dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use muster_stores::{Source, StoreError, Taken};
use muster_testkit::postgres::{Options, Server, give, scratch, succeed};

use crate::support::{DirectorySink, server, source, url};

/// A server with TLS, and where its certificates are.
struct Encrypted {
    server: Server,
    directory: tempfile::TempDir,
}

fn openssl(directory: &Path, arguments: &str) {
    let found = Command::new("openssl").arg("version").output();
    assert!(found.is_ok(), "openssl is missing: apt-get install openssl");
    succeed(
        Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(directory),
    );
}

fn encrypted() -> Encrypted {
    let directory = scratch();
    let place = directory.path();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30";
    openssl(
        place,
        &format!("req -x509 {key} -keyout ca.key -out ca.crt -subj /CN=authority"),
    );
    openssl(
        place,
        &format!("req -x509 {key} -keyout other.key -out other.crt -subj /CN=stranger"),
    );
    openssl(
        place,
        &format!("req {key} -keyout server.key -out server.csr -subj /CN=db"),
    );
    fs::write(place.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        place,
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.crt",
    );
    openssl(
        place,
        &format!(
            "req -x509 {key} -keyout self.key -out self.crt -subj /CN=localhost -addext subjectAltName=DNS:localhost"
        ),
    );
    start(directory, "server")
}

fn start(directory: tempfile::TempDir, name: &str) -> Encrypted {
    let file = |suffix: &str| directory.path().join(format!("{name}.{suffix}")).display().to_string();
    give(Path::new(&file("key")));
    let server = server(Options {
        settings: vec![
            "ssl=on".into(),
            format!("ssl_cert_file={}", file("crt")),
            format!("ssl_key_file={}", file("key")),
        ],
        hba: vec![
            "hostssl replication backup 127.0.0.1/32 trust".into(),
            "hostnossl replication backup 127.0.0.1/32 reject".into(),
        ],
        ..Options::default()
    });
    Encrypted { server, directory }
}

impl Encrypted {
    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn attempt(&self, host: &str, options: &str) -> Result<Taken, StoreError> {
        let directory = scratch();
        let address = format!("postgresql://backup@{host}:{}/postgres?{options}", self.server.port());
        source(url(&address)).snapshot(&mut DirectorySink::new(&directory.path().join("tree")))
    }
}

#[test]
fn every_mode_encrypts_or_refuses_as_it_says() {
    let encrypted = encrypted();
    for options in ["sslmode=require", "sslmode=prefer", ""] {
        let taken = encrypted.attempt("127.0.0.1", options).unwrap();
        assert_eq!(taken.identity["transport"], "tls", "{options}");
    }
    let root = |name: &str| format!("sslrootcert={}", encrypted.file(name).display());
    assert!(
        encrypted
            .attempt("localhost", &format!("sslmode=verify-full&{}", root("ca.crt")))
            .is_ok()
    );
    assert!(
        encrypted
            .attempt("127.0.0.1", &format!("sslmode=verify-ca&{}", root("ca.crt")))
            .is_ok()
    );
    for (host, mode, authority) in [
        ("127.0.0.1", "verify-full", "ca.crt"),
        ("localhost", "verify-full", "other.crt"),
        ("localhost", "verify-ca", "other.crt"),
    ] {
        let error = encrypted
            .attempt(host, &format!("sslmode={mode}&{}", root(authority)))
            .unwrap_err();
        assert!(
            matches!(&error, StoreError::Refused { hint: Some(hint), .. } if hint.contains("sslrootcert")),
            "{mode} {authority}: {error:?}"
        );
    }
    let error = encrypted.attempt("127.0.0.1", "sslmode=disable").unwrap_err();
    assert!(
        matches!(&error, StoreError::Refused { reason, .. } if reason.contains("pg_hba.conf")),
        "{error:?}"
    );
    let error = encrypted
        .attempt("localhost", "sslmode=verify-full&sslrootcert=/nonexistent")
        .unwrap_err();
    assert!(
        matches!(&error, StoreError::Refused { reason, .. } if reason.contains("/nonexistent")),
        "{error:?}"
    );
}

#[test]
fn a_certificate_that_is_its_own_authority_is_trusted_when_named() {
    let Encrypted { directory, server } = encrypted();
    drop(server);
    let encrypted = start(directory, "self");
    let options = |name: &str| format!("sslmode=verify-full&sslrootcert={}", encrypted.file(name).display());
    assert!(encrypted.attempt("localhost", &options("self.crt")).is_ok());
    assert!(
        encrypted.attempt("127.0.0.1", &options("self.crt")).is_err(),
        "the name is still checked"
    );
    assert!(encrypted.attempt("localhost", &options("ca.crt")).is_err());
}

#[test]
fn a_server_without_encryption_is_refused_where_it_is_demanded() {
    let server = server(Options::default());
    for mode in ["require", "verify-ca", "verify-full"] {
        let directory = scratch();
        let address = format!("{}?sslmode={mode}", server.url("backup", "postgres"));
        let error = source(url(&address))
            .snapshot(&mut DirectorySink::new(&directory.path().join("tree")))
            .unwrap_err();
        assert!(
            matches!(&error, StoreError::Refused { reason, .. } if reason.contains("no encryption")),
            "{mode}: {error:?}"
        );
    }
}
