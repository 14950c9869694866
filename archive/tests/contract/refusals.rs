//! What real servers say when they refuse, and what they do when they say nothing: each is told apart, each says what to do, nothing hangs.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use muster_archive::object_store::{
    ErrorKind, ListQuery, ObjectStore, Patience, PutOptions, RecoveringStore, S3Options, open,
};
use muster_testkit::ceph::{self, Ceph};
use muster_testkit::proxy::{Deed, Proxy};
use muster_testkit::wire::{Cut, Wire};

use super::told;

/// Long enough for a loaded machine's loopback, short enough to wait for.
const STALL: Duration = Duration::from_millis(700);

async fn impatient(url: &str, endpoint: &str) -> Arc<dyn ObjectStore> {
    let patience = Patience {
        stall: STALL,
        unreached: Duration::from_millis(400),
        outage: Duration::from_millis(400),
        ..Patience::default()
    };
    let options = S3Options {
        patience,
        ..ceph::options(endpoint)
    };
    open(url, &options).await.unwrap()
}

/// Status, body as servers send it, kind, what the hint says, and whether it is tried again.
type Refusal = (u16, &'static str, ErrorKind, &'static str, bool);

const REFUSALS: [Refusal; 11] = [
    (
        503,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message>\
         <RequestId>4442587FB7D0A2F9</RequestId><HostId>x</HostId></Error>",
        ErrorKind::Throttled,
        "[limits] upload",
        true,
    ),
    (429, "", ErrorKind::Throttled, "[limits] upload", true),
    (
        500,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InternalError</Code><Message>We encountered an internal error. Please \
         try again.</Message></Error>",
        ErrorKind::Unreachable,
        "trouble of its own",
        true,
    ),
    (
        502,
        "<html><body>Bad Gateway</body></html>",
        ErrorKind::Unreachable,
        "trouble of its own",
        true,
    ),
    (
        503,
        "<Error><Code>ServiceUnavailable</Code><Message>Reduce your request rate.</Message></Error>",
        ErrorKind::Unreachable,
        "trouble of its own",
        true,
    ),
    (
        403,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request \
         time and the current time is too large.</Message><RequestTime>20260101T000000Z</RequestTime><ServerTime>2026-11-25T00:00:00Z\
         </ServerTime><MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds></Error>",
        ErrorKind::Denied,
        "set the clock",
        false,
    ),
    (
        400,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message>\
         <Token-0>abc</Token-0></Error>",
        ErrorKind::Denied,
        "renew them",
        false,
    ),
    (
        403,
        "<Error><Code>InvalidAccessKeyId</Code><Message>The AWS Access Key Id you provided does not exist in our records.</Message>\
         <AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>",
        ErrorKind::Denied,
        "does not know this access key",
        false,
    ),
    (
        403,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>QuotaExceeded</Code><BucketName>b</BucketName></Error>",
        ErrorKind::NoSpace,
        "quota",
        false,
    ),
    (507, "", ErrorKind::NoSpace, "quota", false),
    (
        507,
        "<Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached its minimum free drive threshold.</Message></Error>",
        ErrorKind::NoSpace,
        "the server is full",
        false,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_told_apart_and_says_what_to_do_next() {
    for (status, body, kind, hint, again) in REFUSALS {
        let proxy = Proxy::before("127.0.0.1:1", move |_| Deed::Says(status, body));
        let store = impatient("s3://bucket/x", &proxy.url()).await;
        let case = format!("{status} {body}");
        let errors = [
            store.get("packs/x").await.unwrap_err(),
            store.get_range("packs/x", 0..9).await.unwrap_err(),
            store
                .put("packs/x", Bytes::from("body"), PutOptions::OVERWRITE)
                .await
                .unwrap_err(),
            store.list("").await.unwrap_err(),
            store.versions("packs/x").await.unwrap_err(),
            store.delete("packs/x").await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind, kind, "{case}: {}", told(&error));
            assert!(error.to_string().contains(hint), "{case}: {}", told(&error));
            assert_eq!(error.is_retryable(), again, "{case}");
            assert!(
                told(&error).contains(&format!("HTTP {status}")),
                "{case}: {}",
                told(&error)
            );
        }
        assert_eq!(
            proxy.heads().len() > 6,
            again,
            "{case}: asked {} times",
            proxy.heads().len()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_falls_silent_is_given_up_and_tried_again() {
    let ceph = Ceph::server();
    let url = ceph.fresh_url();
    let direct = open(&url, &ceph.options()).await.unwrap();
    direct.prepare().await.unwrap();
    let pack = Bytes::from(vec![7; 12 << 20]);
    direct.put("pack", pack.clone(), PutOptions::CREATE).await.unwrap();

    let patient = |cuts: &[Cut]| {
        let wire = Wire::to(ceph.address(), cuts);
        let options = S3Options {
            patience: Patience {
                stall: STALL,
                ..Patience::default()
            },
            ..ceph::options(&wire.url())
        };
        let url = url.clone();
        async move { (wire, open(&url, &options).await.unwrap()) }
    };
    // A body that stalls on its way down, at its beginning, in its middle, and before its end.
    for bytes in [0, 100, 1 << 20, 11 << 20] {
        let (wire, store) = patient(&[Cut::AnswerStallsAfter(bytes)]).await;
        assert!(store.get("pack").await.unwrap() == pack, "{bytes}");
        assert!(wire.heads().len() > 1, "{bytes}: it was tried again");
        let (_wire, store) = patient(&[Cut::AnswerStallsAfter(bytes)]).await;
        assert!(store.get_range("pack", 7..11 << 20).await.unwrap() == pack.slice(7..11 << 20));
        let (_wire, store) = patient(&[Cut::AnswerStallsAfter(bytes)]).await;
        store
            .put("small", Bytes::from("x"), PutOptions::OVERWRITE)
            .await
            .unwrap();
    }
    // One that stalls on its way up.
    for bytes in [1, 64 << 10, 3 << 20] {
        let (wire, store) = patient(&[Cut::TakesOnly(bytes)]).await;
        store.put("again", pack.clone(), PutOptions::OVERWRITE).await.unwrap();
        assert!(wire.heads().len() > 1, "{bytes}: it was tried again");
    }
    // A connection whose other end is gone, and nobody said so.
    let (wire, store) = patient(&[Cut::GoneAfterOneAnswer]).await;
    assert_eq!(store.head("pack").await.unwrap().size, pack.len() as u64);
    assert_eq!(store.head("pack").await.unwrap().size, pack.len() as u64);
    assert_eq!(wire.heads().len(), 2, "a new connection was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_nobody_heard_of_again_is_sent_once_more_however_long_that_took_to_notice() {
    let ceph = Ceph::server();
    let url = ceph.fresh_url();
    let direct = open(&url, &ceph.options()).await.unwrap();
    direct.prepare().await.unwrap();
    direct.put("x", Bytes::from("x"), PutOptions::CREATE).await.unwrap();

    // Patience with a server that never answered is shorter than it takes to notice a silence.
    let patience = Patience {
        stall: STALL,
        unreached: STALL - Duration::from_millis(100),
        ..Patience::default()
    };
    for lost in [Cut::Silent, Cut::TakesOnly(1)] {
        let behind = || {
            let wire = Wire::to(ceph.address(), &[Cut::Refused, lost]);
            let options = S3Options {
                patience,
                ..ceph::options(&wire.url())
            };
            let url = url.clone();
            async move { (wire, open(&url, &options).await.unwrap()) }
        };
        let (_wire, store) = behind().await;
        assert_eq!(store.get("x").await.unwrap(), "x", "{lost:?}");
        let (_wire, store) = behind().await;
        assert_eq!(store.head("x").await.unwrap().size, 1, "{lost:?}");
        let (_wire, store) = behind().await;
        assert_eq!(store.list("").await.unwrap().len(), 1, "{lost:?}");
        let (_wire, store) = behind().await;
        store.put("x", Bytes::from("x"), PutOptions::OVERWRITE).await.unwrap();
        let (_wire, store) = behind().await;
        store.delete("never-there").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stays_silent_ends_in_an_error() {
    for cut in [Cut::Silent, Cut::TakesOnly(1), Cut::TakesOnly(1 << 20)] {
        let wire = Wire::to("127.0.0.1:1", &[cut; 64]);
        let store = impatient("s3://bucket/x", &wire.url()).await;
        let pack = Bytes::from(vec![7; 12 << 20]);
        let (get, put, list, head, versions, delete) = tokio::join!(
            store.get("packs/x"),
            store.put("packs/x", pack, PutOptions::OVERWRITE),
            store.list(""),
            store.head("packs/x"),
            store.versions("packs/x"),
            store.delete("packs/x"),
        );
        for error in [
            get.unwrap_err(),
            put.unwrap_err(),
            list.unwrap_err(),
            head.unwrap_err(),
            versions.unwrap_err(),
            delete.unwrap_err(),
        ] {
            assert_eq!(error.kind, ErrorKind::Unreachable, "{cut:?}: {}", told(&error));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_never_made_has_a_shorter_deadline_than_a_silent_server() {
    // One connection waits to be accepted, and there is no room for a second: the system answers no more.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _waiting = std::net::TcpStream::connect(address).unwrap();

    let patience = Patience {
        connect: Duration::from_millis(300),
        stall: Duration::from_secs(5),
        unreached: Duration::from_millis(100),
        ..Patience::default()
    };
    let options = S3Options {
        patience,
        ..ceph::options(&format!("http://{address}"))
    };
    let store = open("s3://bucket/x", &options).await.unwrap();
    let error = store.get("packs/x").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{}", told(&error));
    assert!(
        told(&error).contains("connect") && !told(&error).contains("nothing came"),
        "{}",
        told(&error)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_hidden_names_cannot_be_asked_for_the_others_are_listed() {
    let ceph = Ceph::server();
    let url = ceph.fresh_url();
    let direct = open(&url, &ceph.options()).await.unwrap();
    direct.prepare().await.unwrap();
    for key in ["keys/00000001.dsse", "ledger/k/a/checkpoint", "ledger/k/b/checkpoint"] {
        direct.put(key, Bytes::from("x"), PutOptions::CREATE).await.unwrap();
    }
    let unknown = "<Error><Code>NotImplemented</Code><Message>A header or query is not implemented.</Message></Error>";
    let denied = "<Error><Code>AccessDenied</Code></Error>";
    for (status, body) in [(501, unknown), (403, denied)] {
        let asks_versions = |head: &str| head.lines().next().is_some_and(|line| line.contains("versions"));
        let proxy = Proxy::before(ceph.address(), move |head| match asks_versions(head) {
            true => Deed::Says(status, body),
            false => Deed::Pass,
        });
        let store = RecoveringStore::before(open(&url, &ceph::options(&proxy.url())).await.unwrap());
        assert_eq!(store.list("keys/").await.unwrap().len(), 1, "{status}");
        let folders = ListQuery {
            prefix: "ledger/k/",
            after: None,
            max: 1,
            folders: true,
        };
        assert_eq!(
            store.list_page(folders).await.unwrap().folders,
            ["ledger/k/a/"],
            "{status}"
        );
        let missing = store.get("muster.dsse").await.unwrap_err();
        assert_eq!(missing.kind, ErrorKind::NotFound, "{status}: {}", told(&missing));
        let asked = proxy.heads().iter().filter(|head| asks_versions(head)).count();
        assert_eq!(asked, 2, "{status}: once for names, once for the missing one");
    }
}
