//! Each object store against the one contract, and each against the faults of its own kind, on real disks and a real S3 server.

#[path = "contract/headers.rs"]
mod headers;
#[path = "contract/honours.rs"]
mod honours;
#[path = "contract/local.rs"]
mod local;
#[path = "contract/refusals.rs"]
mod refusals;
#[path = "contract/s3.rs"]
mod s3;
#[path = "contract/sim.rs"]
mod sim;

use std::sync::Arc;

use muster_archive::object_store::{ErrorKind, MemoryStore, ObjectStore, S3Options, StorageError, open};
use muster_testkit::contract;
use muster_testkit::faulty::{Fault, FaultyStore, When};
use muster_testkit::recording::{Call, RecordingStore};

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_the_contract() {
    contract::check(Arc::new(MemoryStore::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrappers_without_faults_keep_the_contract() {
    let (recording, notes) = RecordingStore::before(Arc::new(MemoryStore::new()));
    let (faulty, faults) = FaultyStore::before(recording);
    contract::check(faulty).await;
    assert!(notes.count(Call::List, "") > 5 && notes.bytes(Call::Put, "packs/") == 32 << 20);
    assert_eq!(faults.fired(), 0);
}

#[tokio::test]
async fn faults_strike_where_they_are_told_to() {
    let memory = MemoryStore::new();
    let (store, faults) = FaultyStore::before(Arc::new(memory.clone()));
    let put = |key: &'static str| store.put(key, "body".into(), muster_archive::object_store::PutOptions::CREATE);

    faults.add(Call::Put, "packs/", When::Nth(2), Fault::Fail(ErrorKind::NoSpace));
    put("packs/a").await.unwrap();
    put("lists/a").await.unwrap();
    assert_eq!(put("packs/b").await.unwrap_err().kind, ErrorKind::NoSpace);
    put("packs/b").await.unwrap();
    assert_eq!(faults.fired(), 1);

    faults.clear();
    faults.add(Call::Put, "", When::Always, Fault::Lost(ErrorKind::Unreachable));
    assert_eq!(put("packs/c").await.unwrap_err().kind, ErrorKind::Unreachable);
    assert_eq!(memory.get("packs/c").await.unwrap(), "body");

    faults.clear();
    faults.add(Call::Get, "packs/a", When::Nth(1), Fault::Truncate(2));
    faults.add(Call::Get, "packs/a", When::Nth(2), Fault::Flip(-1));
    faults.add(Call::Get, "packs/a", When::From(3), Fault::Drop);
    assert_eq!(store.get("packs/a").await.unwrap(), "bo");
    assert_eq!(store.get("packs/a").await.unwrap(), "bodx");
    assert_eq!(store.get("packs/a").await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn an_address_that_cannot_be_right_is_refused_with_a_reason() {
    let cases = [
        ("/var/lib/muster", "file:///"),
        ("file://var/lib/muster", "three slashes"),
        ("file:///a%zz", "%25"),
        ("http://server/bucket", "s3://"),
        ("s3://", "BUCKET"),
        ("s3://UPPER_and_odd!/x", "BUCKET"),
        ("s3://bucket/../other", "prefix"),
    ];
    for (url, reason) in cases {
        let error = open(url, &S3Options::default()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{url}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    let options = S3Options {
        endpoint: Some("https://me:hush@example.org".to_owned()),
        ..S3Options::default()
    };
    let error = open("s3://bucket/x", &options).await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Invalid && !told(&error).contains("hush"),
        "{}",
        told(&error)
    );
}

/// An error as a user reads it: the whole chain.
fn told(error: &StorageError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
