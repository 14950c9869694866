//! What every object store promises, as code: the one contract that memory, a local directory and a real S3 server pass alike.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use muster_archive::object_store::{
    ErrorKind, ListQuery, MAX_OBJECT, ObjectStore, PutOptions, StorageError, probe_conditional_create,
};

/// Holds an empty store against the contract. The bucket or directory need not exist yet.
///
/// # Panics
/// At the first broken promise.
pub async fn check(store: Arc<dyn ObjectStore>) {
    let store = &*store;
    a_missing_container_is_told_from_a_missing_object(store).await;
    preparing_twice_changes_nothing(store).await;
    what_is_missing_is_not_found(store).await;
    create_never_replaces_and_overwrite_does(store).await;
    racing_creates_have_one_winner(store).await;
    conditional_create_is_found_to_hold(store).await;
    ranges_are_exact_or_refused(store).await;
    bounds_hold_before_bytes_are_read(store).await;
    any_key_comes_back_as_it_went(store).await;
    names_that_are_no_keys_are_refused(store).await;
    a_listing_is_complete_sorted_and_by_prefix(store).await;
    a_page_ends_where_it_is_full_and_the_next_goes_on(store).await;
    deleting_twice_is_deleting(store).await;
    whole_packs_go_and_come(store).await;
}

async fn a_missing_container_is_told_from_a_missing_object(store: &dyn ObjectStore) {
    match store.get("muster.dsse").await {
        Ok(_) => panic!("the contract wants an empty store"),
        Err(error) => assert!(error.is_not_found(), "{error:?}"),
    }
}

async fn preparing_twice_changes_nothing(store: &dyn ObjectStore) {
    store.prepare().await.expect("prepare");
    put(store, "prepared", "still here").await;
    store.prepare().await.expect("prepare again");
    assert_eq!(text(store, "prepared").await, "still here");
    assert!(!store.url().contains("secret"), "{}", store.url());
}

async fn what_is_missing_is_not_found(store: &dyn ObjectStore) {
    for key in ["missing", "missing/in/a/folder", "prepared-not"] {
        assert_eq!(kind(store.get(key).await), ErrorKind::NotFound);
        assert_eq!(kind(store.get_range(key, 0..1).await), ErrorKind::NotFound);
        assert_eq!(kind(store.get_range(key, 0..0).await), ErrorKind::NotFound);
        assert_eq!(kind(store.head(key).await), ErrorKind::NotFound);
    }
    put(store, "folder/object", "x").await;
    assert_eq!(
        kind(store.get("folder").await),
        ErrorKind::NotFound,
        "a folder is no object"
    );
    let error = store.get("missing").await.expect_err("it is missing");
    assert!(
        error.to_string().contains("missing") && !error.is_retryable(),
        "{error}"
    );
}

async fn create_never_replaces_and_overwrite_does(store: &dyn ObjectStore) {
    for relied in [false, true] {
        store.rely_on_conditional_create(relied);
        let key = format!("modes/{relied}");
        put(store, &key, "first").await;
        assert_eq!(
            kind(store.put(&key, Bytes::from("second"), PutOptions::CREATE).await),
            ErrorKind::AlreadyExists
        );
        assert_eq!(
            kind(store.put(&key, Bytes::from("first"), PutOptions::CREATE).await),
            ErrorKind::AlreadyExists
        );
        assert_eq!(text(store, &key).await, "first");
        store
            .put(&key, Bytes::from("third, longer"), PutOptions::OVERWRITE)
            .await
            .expect("overwrite");
        assert_eq!(text(store, &key).await, "third, longer");
        store
            .put(&format!("{key}-new"), Bytes::new(), PutOptions::OVERWRITE)
            .await
            .expect("overwrite of nothing");
        assert_eq!(store.head(&format!("{key}-new")).await.expect("head").size, 0);
    }
}

async fn racing_creates_have_one_winner(store: &dyn ObjectStore) {
    store.rely_on_conditional_create(true);
    let racer = |number: u8| async move {
        (
            number,
            store
                .put("race/line", Bytes::from(vec![number; 4096]), PutOptions::CREATE)
                .await,
        )
    };
    let mut winners = Vec::new();
    for (number, outcome) in join_all((0..16).map(racer)).await {
        match outcome {
            Ok(()) => winners.push(number),
            lost => assert_eq!(kind(lost), ErrorKind::AlreadyExists),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?} won");
    assert_eq!(store.get("race/line").await.expect("get"), vec![winners[0]; 4096]);
}

async fn conditional_create_is_found_to_hold(store: &dyn ObjectStore) {
    assert!(probe_conditional_create(store, "contract").await.expect("probe"));
    assert!(
        store.list("probes/").await.expect("list").is_empty(),
        "the probe cleans up"
    );
}

async fn ranges_are_exact_or_refused(store: &dyn ObjectStore) {
    put(store, "ranges", "0123456789").await;
    for (range, expected) in [
        (0..10, "0123456789"),
        (0..1, "0"),
        (9..10, "9"),
        (3..7, "3456"),
        (4..4, ""),
        (10..10, ""),
    ] {
        let part = store.get_range("ranges", range.clone()).await.expect("a range inside");
        assert_eq!(part, expected, "{range:?}");
    }
    for range in [0..11, 9..12, 10..11, 500..600, 11..11] {
        assert_eq!(
            kind(store.get_range("ranges", range.clone()).await),
            ErrorKind::Truncated,
            "{range:?}"
        );
    }
    put(store, "empty", "").await;
    assert_eq!(text(store, "empty").await, "");
    assert_eq!(store.get_range("empty", 0..0).await.expect("nothing of nothing"), "");
    assert_eq!(kind(store.get_range("empty", 0..1).await), ErrorKind::Truncated);
    #[expect(clippy::reversed_empty_ranges, reason = "a caller's mistake")]
    let backward = 5..4;
    assert_eq!(kind(store.get_range("ranges", backward).await), ErrorKind::Invalid);
    assert_eq!(kind(store.get_range("ranges", 0..u64::MAX).await), ErrorKind::Invalid);
}

async fn bounds_hold_before_bytes_are_read(store: &dyn ObjectStore) {
    put(store, "bounded", "0123456789").await;
    assert_eq!(
        store.get_limited("bounded", 10).await.expect("it just fits"),
        "0123456789"
    );
    assert_eq!(kind(store.get_limited("bounded", 9).await), ErrorKind::TooLarge);
    assert_eq!(kind(store.get_limited("bounded", 0).await), ErrorKind::TooLarge);
    assert_eq!(store.get_limited("empty", 0).await.expect("nothing fits"), "");
    let huge = Bytes::from(vec![0; usize::try_from(MAX_OBJECT).expect("64 bits") + 1]);
    assert_eq!(
        kind(store.put("huge", huge, PutOptions::CREATE).await),
        ErrorKind::TooLarge
    );
}

async fn any_key_comes_back_as_it_went(store: &dyn ObjectStore) {
    let long = "n".repeat(255);
    let keys = [
        "odd/a b",
        "odd/ leading",
        "odd/trailing ",
        "odd/+plus+",
        "odd/100%",
        "odd/%20",
        "odd/%2F..%2F",
        "odd/a=b&c=d",
        "odd/?query#fragment",
        "odd/~!@$^*()[]{}|;:',<>`\"",
        "odd/.hidden",
        "odd/...",
        "odd/.tmp",
        "odd/x",
        "odd/X-capital",
        long.as_str(),
    ];
    for key in keys {
        put(store, key, key).await;
        assert_eq!(text(store, key).await, key);
        assert_eq!(store.head(key).await.expect("head").size, key.len() as u64);
        assert_eq!(store.get_range(key, 0..2).await.expect("a range"), key[..2]);
    }
    let mut sorted: Vec<_> = keys.iter().filter(|key| key.starts_with("odd/")).collect();
    sorted.sort();
    let listed = names(store, "odd/").await;
    assert_eq!(listed.iter().collect::<Vec<_>>(), sorted);
    for key in keys {
        store.delete(key).await.expect("delete");
        assert_eq!(kind(store.head(key).await), ErrorKind::NotFound, "{key}");
    }
}

async fn names_that_are_no_keys_are_refused(store: &dyn ObjectStore) {
    for key in [
        "",
        "/etc/passwd",
        "../outside",
        "a/../../outside",
        "a//b",
        "a/",
        ".tmp/x",
        "a\\b",
        "a\nb",
        "\u{fc}",
    ] {
        assert_eq!(
            kind(store.put(key, Bytes::new(), PutOptions::OVERWRITE).await),
            ErrorKind::Invalid,
            "{key:?}"
        );
        assert_eq!(kind(store.get(key).await), ErrorKind::Invalid, "{key:?}");
        assert_eq!(kind(store.get_range(key, 0..1).await), ErrorKind::Invalid, "{key:?}");
        assert_eq!(kind(store.head(key).await), ErrorKind::Invalid, "{key:?}");
        assert_eq!(kind(store.delete(key).await), ErrorKind::Invalid, "{key:?}");
    }
    for prefix in ["/", "../", "a/../", "a//"] {
        assert_eq!(kind(store.list(prefix).await), ErrorKind::Invalid, "{prefix:?}");
    }
}

async fn a_listing_is_complete_sorted_and_by_prefix(store: &dyn ObjectStore) {
    // More than one page of a thousand, over several folders, in an order that no folder-wise walk gives.
    let key = |number: usize| {
        format!(
            "many/{:02x}{}{number:04}",
            number % 7,
            if number.is_multiple_of(2) { "/" } else { "-" }
        )
    };
    let mut expected: Vec<_> = (0..1_050).map(key).collect();
    for some in expected.chunks(50) {
        let writes = some
            .iter()
            .map(|key| store.put(key, Bytes::from(key.clone()), PutOptions::OVERWRITE));
        for outcome in join_all(writes).await {
            outcome.expect("put");
        }
    }
    expected.sort();
    assert_eq!(names(store, "many/").await, expected);
    assert_eq!(names(store, "many").await, expected);
    let some = |prefix: &str| {
        expected
            .iter()
            .filter(|key| key.starts_with(prefix))
            .cloned()
            .collect::<Vec<_>>()
    };
    for prefix in ["many/03", "many/03/", "many/03-", "many/03/0", "many/0", "m"] {
        let found = names(store, prefix).await;
        assert!(!found.is_empty(), "{prefix}");
        let wanted = if prefix == "m" {
            names(store, "")
                .await
                .into_iter()
                .filter(|key| key.starts_with('m'))
                .collect()
        } else {
            some(prefix)
        };
        assert_eq!(found, wanted, "{prefix}");
    }
    for prefix in ["many/zz", "many/03/0/", "none/", "many/03/0003/x"] {
        assert_eq!(names(store, prefix).await, [""; 0], "{prefix}");
    }
    let all = store.list("").await.expect("list");
    assert!(all.len() > 1_050 && all.is_sorted_by(|a, b| a.key < b.key));
    let one = all
        .iter()
        .find(|object| object.key == expected[0])
        .expect("it is listed");
    assert_eq!(one.size, expected[0].len() as u64);
}

async fn a_page_ends_where_it_is_full_and_the_next_goes_on(store: &dyn ObjectStore) {
    let keys = ["page/a-b", "page/a/1", "page/a/2/3", "page/a0", "page/b", "page/c/1"];
    for key in keys {
        put(store, key, key).await;
    }
    let walk = async |folders: bool, max: usize, start: Option<&str>| {
        let (mut names, mut after, mut pages) = (Vec::new(), start.map(str::to_owned), 0);
        loop {
            let query = ListQuery {
                prefix: "page/",
                after: after.as_deref(),
                max,
                folders,
            };
            let page = store.list_page(query).await.expect("a page");
            let count = page.objects.len() + page.folders.len();
            assert!(count == max || !page.more && count < max, "{page:?}");
            let mut here: Vec<_> = page.objects.iter().map(|object| object.key.clone()).collect();
            here.extend(page.folders.iter().cloned());
            here.sort();
            assert_eq!(here.last().map(String::as_str), page.last());
            after = page.last().map(str::to_owned);
            names.extend(here);
            pages += 1;
            if !page.more {
                return (names, pages);
            }
        }
    };
    let folded = ["page/a-b", "page/a/", "page/a0", "page/b", "page/c/"];
    for max in 1..8 {
        assert_eq!(walk(false, max, None).await.0, keys, "{max} at a time");
        assert_eq!(walk(true, max, None).await.0, folded, "{max} at a time");
    }
    assert_eq!(
        walk(false, 3, None).await.1,
        2,
        "a full last page is known to be the last"
    );
    assert_eq!(walk(true, 1, Some("page/a/")).await.0, folded[2..]);
    assert_eq!(walk(false, 2, Some("page/a/1")).await.0, keys[2..]);
    assert_eq!(walk(true, 9, Some("page/zz")).await.0, [""; 0]);
}

async fn deleting_twice_is_deleting(store: &dyn ObjectStore) {
    put(store, "gone/soon", "x").await;
    for _ in 0..2 {
        store.delete("gone/soon").await.expect("delete");
    }
    store.delete("gone/never/was").await.expect("delete of nothing");
    assert_eq!(kind(store.get("gone/soon").await), ErrorKind::NotFound);
    assert_eq!(names(store, "gone/").await, [""; 0]);
    put(store, "gone/soon", "back").await;
    assert_eq!(text(store, "gone/soon").await, "back");
}

async fn whole_packs_go_and_come(store: &dyn ObjectStore) {
    let pack: Bytes = (0..8_u32 << 20)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    store
        .put("packs/00/whole", pack.clone(), PutOptions::CREATE)
        .await
        .expect("put 32 MiB");
    assert!(store.get("packs/00/whole").await.expect("get 32 MiB") == pack);
    let middle = store
        .get_range("packs/00/whole", 1_000_003..9_000_001)
        .await
        .expect("8 MB of it");
    assert!(middle == pack.slice(1_000_003..9_000_001));
}

async fn put(store: &dyn ObjectStore, key: &str, body: &str) {
    store
        .put(key, Bytes::copy_from_slice(body.as_bytes()), PutOptions::CREATE)
        .await
        .expect("create");
}

async fn text(store: &dyn ObjectStore, key: &str) -> String {
    String::from_utf8(store.get(key).await.expect("get").to_vec()).expect("text")
}

async fn names(store: &dyn ObjectStore, prefix: &str) -> Vec<String> {
    store
        .list(prefix)
        .await
        .expect("list")
        .into_iter()
        .map(|object| object.key)
        .collect()
}

fn kind<T>(outcome: Result<T, StorageError>) -> ErrorKind {
    outcome.err().expect("this must fail").kind
}
