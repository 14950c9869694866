//! `muster verify --repository`: what a user sees of the ladder, on a local disk and on a real S3 server.

use std::fs;

use muster_archive::object_store::{self, ObjectStore, PutOptions};
use muster_testkit::ceph::Ceph;
use muster_testkit::damage::{Damage, files_beneath};
use muster_testkit::env::{Outcome, TestEnv};
use muster_testkit::trees::noise;

use crate::env;

fn local() -> TestEnv {
    let env = env();
    env.write("src/large", noise(20_000_000, 1));
    env.write("src/small", "small");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    env.ok("backup");
    env
}

fn pack(env: &TestEnv) -> String {
    format!("packs/{}", files_beneath(&env.path("repo/packs")).remove(0))
}

#[test]
fn an_inventory_names_what_is_gone_counts_what_nothing_names_and_does_not_see_a_flipped_bit() {
    let env = local();
    let pack = pack(&env);
    env.write("repo/packs/00/left-behind", "by a run that did not end");
    let whole = env.ok("verify --repository --json").json();
    assert_eq!(whole["valid"], true);
    assert_eq!(whole["inventory"]["unnamed_objects"], 1, "{whole}");
    assert_eq!(whole["inventory"]["unnamed_bytes"], 25);
    assert_eq!(whole["read"]["bytes"], 0);
    let objects = whole["objects"].as_array().unwrap();
    assert_eq!(whole["objects_total"], objects.len());
    assert_eq!(whole["inventory"]["named_objects"], objects.len());
    let state = |document: &serde_json::Value, object: &str| {
        let objects = document["objects"].as_array().unwrap();
        let found = objects.iter().find(|found| found["object"] == object).unwrap();
        found["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(&whole, &pack), "there");
    let path = env.path("repo").join(&pack);
    let flipped = Damage::Flip.to(&path);
    env.ok("verify --repository");
    let read = env.run("verify --repository --read-data --json").expect_code(7).json();
    assert_eq!(state(&read, &pack), "damaged");
    drop(flipped);
    for (damage, word) in [(Damage::Truncate, "damaged"), (Damage::Remove, "missing")] {
        let damaged = damage.to(&path);
        let found = env.run("verify --repository --json").expect_code(7).json();
        assert_eq!(state(&found, &pack), word);
        drop(damaged);
    }
    env.ok("verify --repository --read-data");
}

#[test]
fn what_was_read_within_the_age_is_skipped_and_counted_and_damage_is_found_by_reading_everything() {
    let env = local();
    env.ok("verify --repository --read-data");
    let again = env.ok("verify --repository --read-data=30d --json").json();
    let packs = files_beneath(&env.path("repo/packs")).len();
    assert_eq!(again["read"]["skipped_objects"], packs, "{again}");
    assert_eq!(again["read"]["within_seconds"], 2_592_000.0);
    let said = env.ok("verify --repository --read-data=4w").stdout;
    assert!(
        said.contains(&format!("{packs} objects,")) && said.contains("not read again"),
        "{said}"
    );
    let damaged = Damage::Flip.to(&env.path("repo").join(pack(&env)));
    env.ok("verify --repository --read-data=30d");
    env.run("verify --repository --read-data").expect_code(7);
    // What was found wrong is read again, however young the read before was.
    env.run("verify --repository --read-data=30d").expect_code(7);
    drop(damaged);
    let whole = env.ok("verify --repository --read-data=30d --json").json();
    assert_eq!(whole["read"]["skipped_objects"], packs - 1, "{whole}");
    env.run("verify --repository --read-data=month").expect_code(2);
}

#[test]
fn a_lost_memory_of_reads_costs_a_read_and_nothing_else() {
    let env = local();
    env.ok("verify --repository --read-data");
    for file in files_beneath(&env.path(".muster")) {
        if file.contains("/read-") {
            fs::write(env.path(".muster").join(file), "rot").unwrap();
        }
    }
    let found = env.ok("verify --repository --read-data=30d --json").json();
    assert_eq!(found["read"]["skipped_objects"], 0, "{found}");
}

#[test]
fn the_table_fits_and_progress_stays_out_of_a_pipe() {
    let env = local();
    for line in [
        "verify --repository",
        "verify --repository -v",
        "verify --repository --read-data -v",
    ] {
        let outcome = env.ok(line);
        for line in outcome.stdout.lines().filter(|line| !line.starts_with("not shown")) {
            assert!(line.chars().count() <= 100 || line.starts_with("ok"), "{line}");
        }
        assert!(!outcome.stderr.contains('\r'), "{}", outcome.stderr);
    }
    let every = env.ok("verify --repository -v").stdout;
    assert!(every.contains(&pack(&env)[..24]), "{every}");
}

struct Bucket {
    ceph: Ceph,
    url: String,
    env: TestEnv,
}

impl Bucket {
    /// A backup in a bucket that locks for two days.
    fn new() -> Self {
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
        let bucket = Self { ceph, url, env };
        bucket.run("init").expect_code(0);
        bucket.run("backup").expect_code(0);
        bucket
    }

    fn run(&self, line: &str) -> Outcome {
        let mut command = self.env.command();
        command.args(line.split_whitespace()).envs(self.ceph.environment());
        Outcome::of(command)
    }

    fn with<T>(&self, work: impl AsyncFnOnce(&dyn ObjectStore) -> T) -> T {
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
fn every_object_in_a_bucket_is_shown_with_its_lock() {
    let bucket = Bucket::new();
    let found = bucket.run("verify --repository --json").expect_code(0).json();
    let objects = found["objects"].as_array().unwrap();
    let keys = bucket.with(async |store| store.list("").await.unwrap());
    for object in keys
        .iter()
        .filter(|object| !object.key.starts_with("probes/") && !object.key.starts_with("index/"))
    {
        let shown = objects.iter().find(|shown| shown["object"] == object.key.as_str());
        let shown = shown.unwrap_or_else(|| panic!("{} is not shown", object.key));
        assert_eq!(shown["lock"]["mode"], "compliance", "{shown}");
        assert!(
            shown["lock"]["retain_until"].as_str().unwrap().ends_with('Z'),
            "{shown}"
        );
    }
    assert_eq!(found["locks"]["locked"], objects.len());
    assert_eq!(found["locks"]["short"], 0);
    let said = bucket.run("verify --repository").expect_code(0).stdout;
    assert!(
        said.contains("compliance") && said.contains("locked, the first until"),
        "{said}"
    );
    let every = bucket.run("verify --repository -v").expect_code(0).stdout;
    for line in every.lines().filter(|line| line.starts_with("packs/")) {
        assert!(line.contains("compliance 20") && line.chars().count() <= 100, "{line}");
    }
    assert!(every.contains("packs/"), "{every}");

    // Somebody demands more than what is there.
    let path = bucket.env.path("muster.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("days = 2", "days = 60")).unwrap();
    let longer = bucket.run("verify --repository --json").expect_code(0).json();
    assert!(longer["locks"]["short"].as_u64().unwrap() >= 4, "{longer}");
    let said = bucket.run("verify --repository").expect_code(0).stdout;
    assert!(said.contains("too short"), "{said}");
}

#[test]
fn what_a_delete_marker_or_an_overwrite_hides_in_a_bucket_is_told_and_is_no_damage() {
    let bucket = Bucket::new();
    let (pack, tree, overwritten, checksums) = bucket.with(async |store| {
        store.rely_on(object_store::Capabilities {
            checksum: true,
            ..object_store::Capabilities::default()
        });
        let pack = store.list("packs/").await.unwrap().remove(0).key;
        let mut trees = store.list("trees/").await.unwrap();
        let (tree, over) = (trees.remove(0), trees.pop());
        let checksums = store.head(&pack).await.unwrap().sha256.is_some();
        store.delete(&pack).await.unwrap();
        store.delete(&tree.key).await.unwrap();
        if let Some(over) = &over {
            // As long as what it replaces: only the server's checksum or a read tells them apart.
            let body = vec![b'x'; usize::try_from(over.size).unwrap()];
            store.put(&over.key, body.into(), PutOptions::OVERWRITE).await.unwrap();
        }
        (pack, tree.key, over.map(|over| over.key), checksums)
    });
    for (line, tells) in [
        ("verify --repository --json", checksums),
        ("verify --repository --read-data --json", true),
    ] {
        let found = bucket.run(line).expect_code(0).json();
        let recovered = found["inventory"]["recovered"].to_string();
        let overwritten = overwritten.as_ref().filter(|_| tells);
        for key in [Some(&pack), Some(&tree), overwritten].into_iter().flatten() {
            assert!(recovered.contains(key.as_str()), "{line}: {key} in {recovered}");
        }
    }
    let said = bucket.run("verify --repository").expect_code(0).stdout;
    assert!(said.contains("recovered"), "{said}");
}
