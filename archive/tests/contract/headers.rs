//! What is asked of a server with each write, read off the wire: what was proven of it, and nothing that was not.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::sync::Arc;

use aws_sdk_s3::types::{
    DefaultRetention, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockRetentionMode, ObjectLockRule,
};
use bytes::Bytes;
use muster_archive::object_store::{
    Capabilities, ErrorKind, LockMode, ObjectStore, PutOptions, Retention, open, probe_conditional_create,
};
use muster_testkit::ceph::{self, Ceph};
use muster_testkit::proxy::{Deed, Proxy};

use super::honours::Owner;
use super::told;

/// A prepared bucket, its owner's view of it, and a store behind a proxy that changes nothing and shows what was asked.
async fn watched(ceph: &Ceph, locks: bool) -> (String, Arc<dyn ObjectStore>, Proxy, Arc<dyn ObjectStore>) {
    let url = ceph.fresh_url();
    let direct = open(&url, &ceph.options()).await.unwrap();
    if locks {
        direct.prepare_held().await.unwrap();
    } else {
        direct.prepare().await.unwrap();
    }
    let proxy = Proxy::before(ceph.address(), |_| Deed::Pass);
    let store = open(&url, &ceph::options(&proxy.url())).await.unwrap();
    (url, direct, proxy, store)
}

/// The requests since the first `seen` of them, lower case.
fn since(proxy: &Proxy, seen: usize) -> Vec<String> {
    proxy.heads()[seen..].iter().map(|head| head.to_lowercase()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_and_a_checksum_go_with_a_write_where_they_were_proven_and_nowhere_else() {
    let ceph = Ceph::server();
    let (_, _, proxy, store) = watched(&ceph, false).await;
    let nothing = Capabilities::default();
    let condition = Capabilities {
        conditional_create: true,
        ..nothing
    };
    let checksum = Capabilities {
        checksum: true,
        ..nothing
    };
    for (number, proven) in [nothing, condition, checksum].into_iter().enumerate() {
        store.rely_on(proven);
        for options in [PutOptions::CREATE, PutOptions::OVERWRITE] {
            let seen = proxy.heads().len();
            let key = format!("{number}/{:?}", options.mode);
            store.put(&key, Bytes::from("x"), options).await.unwrap();
            let asked = since(&proxy, seen);
            let create = options == PutOptions::CREATE;
            let looked = asked.iter().any(|head| head.starts_with("head "));
            assert_eq!(looked, create && !proven.conditional_create, "{asked:?}");
            let put = asked.last().unwrap();
            assert!(put.starts_with("put "), "{put}");
            let conditional = put.contains("\r\nif-none-match: *\r\n");
            assert_eq!(conditional, create && proven.conditional_create, "{put}");
            assert_eq!(put.contains("\r\nx-amz-checksum-sha256: "), proven.checksum, "{put}");
            store.head(&key).await.unwrap();
            let head = since(&proxy, seen).pop().unwrap();
            assert_eq!(
                head.contains("\r\nx-amz-checksum-mode: enabled"),
                proven.checksum,
                "{head}"
            );
        }
    }
    let missing = "<Error><Code>NotImplemented</Code><Message>A header is not implemented.</Message></Error>";
    let old = Proxy::before(ceph.address(), move |head| {
        match head.to_lowercase().contains("if-none-match") {
            true => Deed::Says(501, missing),
            false => Deed::Pass,
        }
    });
    let url = store.url();
    let store = open(&url, &ceph::options(&old.url())).await.unwrap();
    assert!(!probe_conditional_create(&*store, "old").await.unwrap());
    store.put("once", Bytes::from("x"), PutOptions::CREATE).await.unwrap();
    let second = store
        .put("once", Bytes::from("y"), PutOptions::CREATE)
        .await
        .unwrap_err();
    assert_eq!(second.kind, ErrorKind::AlreadyExists, "{}", told(&second));
}

fn governance(days: i64) -> Retention {
    let now = time::OffsetDateTime::from_unix_timestamp(seconds_now()).unwrap();
    Retention {
        mode: LockMode::Governance,
        until: now + time::Duration::days(days),
    }
}

fn seconds_now() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_extended_where_it_ends_too_early_and_asked_for_nowhere_else() {
    let ceph = Ceph::server();
    let (_, direct, proxy, store) = watched(&ceph, true).await;
    let key = "packs/00/held";
    let first = governance(9);
    let put = direct.put(key, Bytes::from("x"), PutOptions::CREATE.held(Some(first)));
    put.await.unwrap();
    let extensions = || {
        let heads = since(&proxy, 0);
        let extensions = heads
            .iter()
            .filter(|head| head.starts_with("put ") && head.contains("?retention"));
        extensions.count()
    };

    for enough in [governance(3), first] {
        assert_eq!(store.hold(key, enough).await.unwrap(), first);
        assert_eq!(extensions(), 0, "{enough:?}");
    }
    let longer = governance(12);
    assert_eq!(store.hold(key, longer).await.unwrap(), longer);
    assert_eq!(extensions(), 1);
    assert_eq!(direct.head(key).await.unwrap().retention, Some(longer));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_that_is_taken_and_not_kept_is_no_lock() {
    let ceph = Ceph::server();
    let (url, direct, _, _) = watched(&ceph, true).await;
    let key = "packs/00/held";
    let put = direct.put(key, Bytes::from("x"), PutOptions::CREATE.held(Some(governance(3))));
    put.await.unwrap();
    let deaf = Proxy::before(ceph.address(), |head| match head.starts_with("PUT ") {
        true => Deed::Says(200, ""),
        false => Deed::Pass,
    });
    let store = open(&url, &ceph::options(&deaf.url())).await.unwrap();
    let error = store.hold(key, governance(9)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotHeld, "{}", told(&error));
    assert!(error.to_string().contains("keeps a weaker one"), "{}", told(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weaker_lock_than_was_asked_for_is_no_lock() {
    let ceph = Ceph::server();
    let (url, _, _, _) = watched(&ceph, true).await;
    let owner = Owner::of(&ceph, &url);
    owner.open_to_everybody().await;
    let day = DefaultRetention::builder()
        .mode(ObjectLockRetentionMode::Governance)
        .days(1)
        .build();
    owner.lock_by_default(day).await;

    // What the client asks for is lost on the way, and the bucket's own rule locks in its place.
    let proxy = Proxy::before(ceph.address(), |head| match head.starts_with("PUT ") {
        true => Deed::Without("x-amz-object-lock"),
        false => Deed::Pass,
    });
    let store = open(&url, &ceph::options(&proxy.url())).await.unwrap();
    let put = store.put(
        "packs/00/weak",
        Bytes::from("x"),
        PutOptions::CREATE.held(Some(governance(3))),
    );
    let error = put.await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotHeld, "{}", told(&error));
    assert!(error.to_string().contains("keeps a weaker one"), "{}", told(&error));
}

impl Owner {
    async fn lock_by_default(&self, retention: DefaultRetention) {
        let rule = ObjectLockRule::builder().default_retention(retention).build();
        let configuration = ObjectLockConfiguration::builder()
            .object_lock_enabled(ObjectLockEnabled::Enabled)
            .rule(rule)
            .build();
        let request = self.client.put_object_lock_configuration().bucket(&self.bucket);
        request.object_lock_configuration(configuration).send().await.unwrap();
    }
}
