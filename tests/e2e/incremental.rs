//! A second backup: what did not change is neither read nor stored again, what did is found down to a page, and an interrupted
//! run is gone on with.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::process::Stdio;
use std::time::Duration;

use muster_testkit::damage::files_beneath;
use muster_testkit::trees::{assert_same, noise};
use serde_json::Value;

use crate::files::assets;

fn figure(document: &Value, key: &str) -> u64 {
    document["stores"][0][key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key} in {document}"))
}

/// Waits until what was written last is old enough for its times to be believed.
fn settle() {
    std::thread::sleep(Duration::from_millis(2100));
}

#[test]
fn one_page_written_with_its_times_put_back_is_in_the_next_snapshot() {
    let env = assets("");
    let path = env.write("src/table", noise(40 * 8192, 1));
    env.write("src/other", noise(100_000, 2));
    let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let put_back = || {
        let times = FileTimes::new().set_modified(old).set_accessed(old);
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_times(times)
            .unwrap();
    };
    put_back();
    settle();
    env.ok("backup assets");
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all_at(&noise(8192, 3), 7 * 8192)
        .unwrap();
    put_back();
    assert_eq!(fs::metadata(&path).unwrap().mtime(), 1_700_000_000);
    let second = env.ok("backup assets --json").json();
    env.ok("restore assets --to back");
    assert_same(&env.path("src"), &env.path("back"));
    let added = figure(&second, "added_bytes");
    assert!(added < 8192 + 6000, "{added} bytes for one page");
    env.ok("verify --repository --read-data");
}

#[test]
fn the_index_key_is_the_hosts_own_and_losing_it_costs_time_alone() {
    let env = assets("");
    env.write("src/a", noise(3_000_000, 1));
    env.ok("backup assets");
    let key = env.path("keys/index.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    fs::remove_file(&key).unwrap();
    fs::remove_dir_all(env.path(".muster")).unwrap();
    let second = env.ok("backup assets --json").json();
    assert!(
        figure(&second, "added_bytes") < 100_000,
        "a plain parent is found by its hashes: {second}"
    );
    env.ok("restore assets --to back");
    assert_same(&env.path("src"), &env.path("back"));
    env.ok("verify --repository --read-data");
}

#[test]
fn a_backup_that_was_killed_is_gone_on_with() {
    let env = assets("");
    for number in 0..10 {
        env.write(&format!("src/part {number}"), noise(40_000_000, number));
    }
    let mut child = env
        .command()
        .args(["backup", "assets"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let packs = || files_beneath(&env.path("repo/packs")).len();
    while packs() < 4 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be killed: make the work larger"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let there = packs() as u64;
    let document = env.ok("backup assets --json").json();
    let added = figure(&document, "added_bytes");
    // The last pack may have been put and not noted.
    assert!(
        added + (there - 2) * (32 << 20) < 400_000_000 + (2 << 20),
        "{added} bytes were put although {there} packs were there"
    );
    env.ok("restore assets --to back");
    assert_same(&env.path("src"), &env.path("back"));
    env.ok("verify --repository --read-data");
    let journals = env.path(".muster");
    let left = files_beneath(&journals);
    assert!(left.iter().all(|path| !path.contains("journal/")), "{left:?}");
}

#[test]
fn a_prediction_of_the_restore_is_in_every_listing() {
    let env = assets("");
    env.write("src/a", noise(3_000_000, 1));
    let backup = env.ok("backup assets --json").json();
    assert!(backup["stores"][0]["predicted_restore_seconds"].as_f64().unwrap() > 0.0);
    let listed = env.ok("snapshots --json").json();
    let point = &listed["snapshots"][0];
    assert!(point["predicted_restore_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(point["restore"]["decoded_bytes"].as_u64().unwrap(), 3_000_000);
    assert!(env.ok("snapshots").stdout.contains("restore"));
}
