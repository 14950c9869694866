//! A real S3 server: the contract, wrong credentials and addresses, and a wire that breaks at the worst moments.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first surprise"
)]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use muster_archive::object_store::{
    Credentials, ErrorKind, ObjectStore, Patience, PutOptions, S3Options, open, probe_conditional_create,
};
use muster_testkit::ceph::{self, Ceph};
use muster_testkit::contract;
use muster_testkit::wire::{Cut, Wire};

use super::told;

#[tokio::test(flavor = "multi_thread")]
async fn a_real_s3_server_keeps_the_contract() {
    let ceph = Ceph::server();
    let url = ceph.fresh_url();
    let store = open(&url, &ceph.options()).await.unwrap();
    assert_eq!(store.url(), url);
    assert_eq!(
        store.put("x", Bytes::new(), PutOptions::CREATE).await.unwrap_err().kind,
        ErrorKind::NoContainer
    );
    assert_eq!(store.list("").await.unwrap_err().kind, ErrorKind::NoContainer);
    contract::check(store).await;

    // Another prefix of the same bucket, and the bucket itself, are other repositories.
    let bucket = url.strip_suffix("/repository").unwrap();
    let sibling = open(&format!("{bucket}/repo"), &ceph.options()).await.unwrap();
    assert!(sibling.list("").await.unwrap().is_empty());
    let whole = open(bucket, &ceph.options()).await.unwrap();
    assert_eq!(whole.get("repository/prepared").await.unwrap(), "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_so_at_once() {
    let ceph = Ceph::server();
    let url = ceph.fresh_url();
    open(&url, &ceph.options()).await.unwrap().prepare().await.unwrap();

    let cases = [
        (
            ceph::ACCESS_KEY_ID,
            "a-wrong-secret-that-nobody-sees",
            "secret access key does not belong",
        ),
        (
            "NOBODY",
            "a-wrong-secret-that-nobody-sees",
            "does not know this access key",
        ),
    ];
    for (access_key_id, secret, hint) in cases {
        let (access_key_id, secret_access_key) = (access_key_id.to_owned(), secret.to_owned());
        let credentials = Some(Credentials {
            access_key_id,
            secret_access_key,
            session_token: None,
        });
        let options = S3Options {
            credentials,
            ..ceph.options()
        };
        assert!(!format!("{options:?}").contains(secret), "{options:?}");
        let store = open(&url, &options).await.unwrap();
        for error in [
            store.get("muster.dsse").await.unwrap_err(),
            store
                .put("x", Bytes::from("x"), PutOptions::OVERWRITE)
                .await
                .unwrap_err(),
            store.list("").await.unwrap_err(),
        ] {
            assert_eq!(error.kind, ErrorKind::Denied, "{}", told(&error));
            assert!(
                !error.is_retryable() && error.to_string().contains(hint),
                "{}",
                told(&error)
            );
            assert!(!told(&error).contains(secret), "{}", told(&error));
        }
        assert_eq!(store.head("x").await.unwrap_err().kind, ErrorKind::Denied);
        assert_eq!(store.prepare().await.unwrap_err().kind, ErrorKind::Denied);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_nobody_answers_fails_soon() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    for endpoint in [
        format!("http://127.0.0.1:{port}"),
        "http://no-such-host.invalid".to_owned(),
    ] {
        let store = open("s3://bucket/x", &ceph::options(&endpoint)).await.unwrap();
        let error = store.get("muster.dsse").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{}", told(&error));
        assert!(error.is_retryable(), "another time it may answer");
        assert_eq!(store.list("").await.unwrap_err().kind, ErrorKind::Unreachable);
    }
    let silent = Wire::to("127.0.0.1:1", &[Cut::Silent; 64]);
    let patience = Patience {
        stall: Duration::from_millis(300),
        unreached: Duration::from_millis(500),
        ..Patience::default()
    };
    let store = open(
        "s3://bucket/x",
        &S3Options {
            patience,
            ..ceph::options(&silent.url())
        },
    )
    .await
    .unwrap();
    let pack = Bytes::from(vec![7; 8 << 20]);
    for error in [
        store.get("muster.dsse").await.unwrap_err(),
        store.list("").await.unwrap_err(),
        store
            .put("small", Bytes::from("x"), PutOptions::OVERWRITE)
            .await
            .unwrap_err(),
        store.put("large", pack, PutOptions::OVERWRITE).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::Unreachable, "{}", told(&error));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn something_that_is_not_s3_is_not_an_empty_repository() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            use std::io::{Read, Write};
            let _ = client.read(&mut [0; 8192]);
            let _ =
                client.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot found");
        }
    });
    let store = open("s3://bucket/x", &ceph::options(&endpoint)).await.unwrap();
    let error = store.get("muster.dsse").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Other, "{}", told(&error));
    assert!(error.to_string().contains("is the endpoint an S3 server?"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_wire_is_mended_and_a_create_that_landed_is_ours() {
    let ceph = Ceph::server();
    let url = ceph.fresh_url();
    let direct = open(&url, &ceph.options()).await.unwrap();
    direct.prepare().await.unwrap();
    direct
        .put("taken", Bytes::from("by another"), PutOptions::CREATE)
        .await
        .unwrap();
    let pack: Bytes = (0..3_u32 << 20)
        .map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect();
    direct.put("pack", pack.clone(), PutOptions::CREATE).await.unwrap();

    let behind = |cuts: &[Cut]| {
        let wire = Wire::to(ceph.address(), cuts);
        let options = ceph::options(&wire.url());
        let url = url.clone();
        async move {
            let store = open(&url, &options).await.unwrap();
            store.rely_on_conditional_create(true);
            (wire, store)
        }
    };

    let (wire, store) = behind(&[Cut::AnswerLost]).await;
    store
        .put("log/entry-7", Bytes::from("seven"), PutOptions::CREATE)
        .await
        .expect("the first try landed, and it was ours");
    assert!(wire.heads().len() > 1, "it was tried again");
    assert_eq!(direct.get("log/entry-7").await.unwrap(), "seven");

    let (_wire, store) = behind(&[Cut::Busy, Cut::Refused]).await;
    let error = store
        .put("taken", Bytes::from("by me"), PutOptions::CREATE)
        .await
        .unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::AlreadyExists,
        "trying again does not make it ours"
    );
    assert_eq!(direct.get("taken").await.unwrap(), "by another");

    for cuts in [
        &[Cut::Refused, Cut::Refused][..],
        &[Cut::Busy, Cut::Busy, Cut::Busy],
        &[Cut::AnswerBreaksAfter(0), Cut::AnswerBreaksAfter(40)],
        &[Cut::AnswerBreaksAfter(1_000_000), Cut::Busy],
        &[Cut::AnswerLost],
    ] {
        let (wire, store) = behind(cuts).await;
        assert!(store.get("pack").await.unwrap() == pack, "{cuts:?}");
        assert!(
            wire.heads().len() >= 2 || cuts[0] == Cut::Refused,
            "{cuts:?}: {:?}",
            wire.heads().len()
        );
        let (_wire, store) = behind(cuts).await;
        assert_eq!(
            store.get_range("pack", 1_000..1_001_000).await.unwrap(),
            pack.slice(1_000..1_001_000),
            "{cuts:?}"
        );
        let (_wire, store) = behind(cuts).await;
        assert_eq!(store.list("").await.unwrap().len(), 3, "{cuts:?}");
        let (_wire, store) = behind(cuts).await;
        store.put("again", pack.clone(), PutOptions::OVERWRITE).await.unwrap();
        let (_wire, store) = behind(cuts).await;
        store.delete("again").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_away_after_it_answered_is_given_up_in_the_end() {
    let ceph = Ceph::server();
    let url = ceph.fresh_url();
    open(&url, &ceph.options()).await.unwrap().prepare().await.unwrap();
    let wire = Wire::to(ceph.address(), &[]);
    let patience = Patience {
        outage: Duration::from_millis(700),
        ..Patience::default()
    };
    let store: Arc<dyn ObjectStore> = open(
        &url,
        &S3Options {
            patience,
            ..ceph::options(&wire.url())
        },
    )
    .await
    .unwrap();
    store.put("before", Bytes::from("x"), PutOptions::CREATE).await.unwrap();
    drop(wire);
    let error = store
        .put("after", Bytes::from("x"), PutOptions::CREATE)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{}", told(&error));
    assert!(error.to_string().contains("tries"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_payload_is_signed_and_no_checksum_that_servers_trip_over_is_sent() {
    let ceph = Ceph::server();
    let url = ceph.fresh_url();
    let wire = Wire::to(ceph.address(), &[]);
    let store = open(&url, &ceph::options(&wire.url())).await.unwrap();
    store.prepare().await.unwrap();
    for (name, length) in [("empty", 0), ("small", 100), ("large", 9 << 20)] {
        let wire = Wire::to(ceph.address(), &[]);
        let store = open(&url, &ceph::options(&wire.url())).await.unwrap();
        store
            .put(name, Bytes::from(vec![1; length]), PutOptions::OVERWRITE)
            .await
            .unwrap();
        let head = wire.heads().concat().to_lowercase();
        let hash = head
            .split("x-amz-content-sha256: ")
            .nth(1)
            .and_then(|rest| rest.get(..64))
            .expect("a payload hash");
        assert!(hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{head}");
        assert!(
            !head.contains("unsigned") && !head.contains("aws-chunked") && !head.contains("x-amz-checksum"),
            "{head}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ignores_the_condition_is_found_out_and_looked_at_before_it_is_written_to() {
    let ceph = Ceph::server();
    let url = ceph.fresh_url();
    let store = open(&url, &ceph.options()).await.unwrap();
    store.prepare().await.unwrap();
    assert!(probe_conditional_create(&*store, "plain").await.unwrap());

    // On a versioned bucket Ceph 16 takes the header and ignores it.
    let bucket = url.trim_start_matches("s3://").split('/').next().unwrap();
    version(ceph.endpoint(), bucket).await;
    assert!(!probe_conditional_create(&*store, "versioned").await.unwrap());
    store
        .put("once", Bytes::from("first"), PutOptions::CREATE)
        .await
        .unwrap();
    let second = store
        .put("once", Bytes::from("second"), PutOptions::CREATE)
        .await
        .unwrap_err();
    assert_eq!(second.kind, ErrorKind::AlreadyExists);
    assert_eq!(store.get("once").await.unwrap(), "first");
}

/// Switches versioning on, as the owner of the bucket does with a tool of his own.
async fn version(endpoint: &str, bucket: &str) {
    use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
    let who = aws_sdk_s3::config::Credentials::new(ceph::ACCESS_KEY_ID, ceph::SECRET_ACCESS_KEY, None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
        .region(aws_config::Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .credentials_provider(who)
        .build();
    let on = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
    client
        .put_bucket_versioning()
        .bucket(bucket)
        .versioning_configuration(on)
        .send()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for_is_refused_at_once_and_in_words() {
    let scratch = tempfile::tempdir().unwrap();
    let server = TlsServer::start(scratch.path());
    let store = open("s3://bucket/x", &ceph::options(&server.url)).await.unwrap();
    let error = store.get("muster.dsse").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{}", told(&error));
    assert!(
        error.to_string().contains("certificate is not trusted") && !error.to_string().contains("tries"),
        "{}",
        told(&error)
    );
}

/// `openssl s_server` with a certificate of its own making.
struct TlsServer {
    process: Child,
    url: String,
}

impl TlsServer {
    fn start(folder: &Path) -> Self {
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ])
            .args([
                "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-keyout",
                "key.pem",
                "-out",
                "cert.pem",
            ])
            .current_dir(folder)
            .output();
        assert!(
            made.expect("openssl is missing: apt-get install openssl")
                .status
                .success()
        );
        let mut process = Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                "127.0.0.1:0",
                "-key",
                "key.pem",
                "-cert",
                "cert.pem",
                "-www",
            ])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It says "ACCEPT 127.0.0.1:PORT".
        let mut said = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let address = said
            .find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned))
            .expect("an address");
        std::thread::spawn(move || said.for_each(drop));
        Self {
            process,
            url: format!("https://{address}"),
        }
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
