//! Object lock on a real S3 server: what is written is held, what is hidden is found, and a server that pretends is found out.

use muster_archive::object_store::{self, ObjectStore, PutOptions};
use muster_testkit::ceph::Ceph;
use muster_testkit::env::{Outcome, TestEnv};
use muster_testkit::trees::{assert_same, noise};

use crate::env;

struct Place {
    ceph: Ceph,
    url: String,
    env: TestEnv,
}

impl Place {
    /// A configuration with `object_lock`, over a bucket that is to be made, or was made without locks.
    fn new(locked: bool) -> Self {
        let ceph = Ceph::server();
        let url = ceph.fresh_url();
        let env = env();
        env.write("src/a", noise(300_000, 1));
        env.write("src/b", "small");
        env.configure_repository(
            &format!(
                "url = \"{url}\"\nendpoint = \"{}\"\nregion = \"us-east-1\"\npath_style = true\nobject_lock = {{ mode = \"compliance\", days = 2 }}",
                ceph.endpoint()
            ),
            "[store.assets]\nkind = \"files\"\npath = \"src\"",
        );
        let place = Self { ceph, url, env };
        if !locked {
            // Somebody made the bucket before, without locks.
            place.bucket(async |store| store.prepare().await.unwrap());
        }
        place
    }

    fn run(&self, line: &str) -> Outcome {
        let mut command = self.env.command();
        command.args(line.split_whitespace()).envs(self.ceph.environment());
        Outcome::of(command)
    }

    fn bucket<T>(&self, work: impl AsyncFnOnce(&dyn ObjectStore) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let store = runtime
            .block_on(object_store::open(&self.url, &self.ceph.options()))
            .unwrap();
        runtime.block_on(work(&*store))
    }
}

#[test]
fn what_is_written_is_locked_and_what_is_hidden_is_found() {
    let place = Place::new(true);
    place.run("init").expect_code(0);
    place.run("backup").expect_code(0);
    let points = place.run("snapshots assets --json").expect_code(0).json();
    let until = points["snapshots"][0]["retain_until"].as_str().unwrap().to_owned();

    place.bucket(async |store| {
        let objects = store.list("").await.unwrap();
        let mut seen = 0;
        for object in objects.iter().filter(|object| !object.key.starts_with("probes/")) {
            let head = store.head(&object.key).await.unwrap();
            let lock = head.retention.unwrap_or_else(|| panic!("{} is not locked", object.key));
            assert_eq!(lock.mode.as_str(), "compliance", "{}", object.key);
            let end = lock
                .until
                .format(&time::format_description::well_known::Rfc3339)
                .unwrap();
            assert!(
                object.key.starts_with("ledger/") || end[..10] >= until[..10],
                "{}: {end} < {until}",
                object.key
            );
            assert!(
                store.delete_version(&object.key, &head.version.unwrap()).await.is_err(),
                "{}",
                object.key
            );
            seen += 1;
        }
        assert!(seen > 6);
        // Whoever may write and delete names hides all of them, and writes other bytes over half of those.
        for object in &objects {
            store.delete(&object.key).await.unwrap();
        }
        for (number, object) in objects.iter().enumerate() {
            let pack = object.key.starts_with("packs/");
            let over = match number % 2 {
                _ if pack => noise(usize::try_from(object.size).unwrap(), 9),
                0 => b"other bytes".to_vec(),
                _ => continue,
            };
            store
                .put(&object.key, over.into(), PutOptions::OVERWRITE)
                .await
                .unwrap();
        }
    });
    let restored = place.run("restore assets --to back --json").expect_code(0);
    assert_same(&place.env.path("src"), &place.env.path("back"));
    // Each name that was read from another version is told, with the version.
    let document = restored.json();
    let recovered = document["recovered"].as_array().unwrap();
    for prefix in ["muster.dsse", "keys/", "ledger/", "snapshots/", "trees/", "packs/"] {
        let name = recovered
            .iter()
            .find(|name| name["object"].as_str().is_some_and(|object| object.starts_with(prefix)));
        let name = name.unwrap_or_else(|| panic!("{prefix}: {document}"));
        assert!(!name["version"].as_str().unwrap().is_empty(), "{name}");
        assert!(
            restored.stderr.contains(name["version"].as_str().unwrap()),
            "{restored:?}"
        );
    }
    // A host that remembers nothing of the repository finds as much.
    std::fs::remove_dir_all(place.env.path(".muster")).unwrap();
    place.run("snapshots assets").expect_code(0);
    place.run("restore assets --to back-again").expect_code(0);
    assert_same(&place.env.path("src"), &place.env.path("back-again"));
    place.run("verify --repository --read-data").expect_code(0);
    place.run("ledger check").expect_code(0);
}

#[test]
fn a_server_that_does_not_lock_is_found_out_at_init() {
    let place = Place::new(false);
    let outcome = place.run("init").expect_code(1);
    assert!(outcome.stderr.contains("lock"), "{outcome:?}");
    assert!(outcome.stderr.contains("object_lock"), "{outcome:?}");
}

#[test]
fn a_repository_that_was_made_without_locks_tries_them_before_it_promises_any() {
    let place = Place::new(true);
    place.bucket(async |store| store.prepare_held().await.unwrap());
    let with = std::fs::read_to_string(place.env.path("muster.toml")).unwrap();
    let without: String = with
        .lines()
        .filter(|line| !line.starts_with("object_lock"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(place.env.path("muster.toml"), without).unwrap();
    place.run("init").expect_code(0);
    place.run("backup").expect_code(0);
    std::fs::write(place.env.path("muster.toml"), with).unwrap();
    let refused = place.run("backup").expect_code(2);
    assert!(refused.stderr.contains("muster init"), "{refused:?}");
    place.run("init").expect_code(0);
    place.run("backup").expect_code(0);
    // What the first snapshot wrote is held now too, since the second leans on it.
    let points = place.run("snapshots assets --json").expect_code(0).json();
    assert!(
        points["snapshots"].as_array().unwrap().last().unwrap()["retain_until"].is_string(),
        "{points}"
    );
    place.bucket(async |store| {
        for pack in store.list("packs/").await.unwrap() {
            assert!(store.head(&pack.key).await.unwrap().retention.is_some(), "{}", pack.key);
        }
    });
}
