//! Runs that end in the middle: killed, out of space, interrupted. Nothing half-done is ever taken for whole.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use muster_testkit::damage::files_beneath;
use muster_testkit::env::{Outcome, TestEnv};
use muster_testkit::trees::{SmallDisk, assert_same, noise};

use crate::env;

/// One committed snapshot of a small tree, then 400 MB more in the source.
fn before_a_long_backup() -> TestEnv {
    let env = env();
    env.write("src/first", "first");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    env.ok("backup");
    for number in 0..8 {
        env.write(&format!("src/part {number}"), noise(50_000_000, number));
    }
    env
}

fn spawn(env: &TestEnv, line: &str) -> Child {
    let mut command = env.command();
    command
        .args(line.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits until `reached` while the child runs; fails when it ended before.
fn wait_until(child: &mut Child, reached: impl Fn() -> bool) {
    while !reached() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it could be interrupted: make the work larger"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args([format!("-{name}"), pid])
            .status()
            .unwrap()
            .success()
    );
}

fn bytes_beneath(root: &Path) -> u64 {
    files_beneath(root)
        .iter()
        .map(|name| fs::metadata(root.join(name)).map_or(0, |meta| meta.len()))
        .sum()
}

fn snapshots(env: &TestEnv) -> usize {
    env.ok("snapshots assets --json").json()["snapshots"]
        .as_array()
        .unwrap()
        .len()
}

#[test]
fn kill_9_in_mid_backup_leaves_the_repository_as_it_was_and_the_next_run_works() {
    let env = before_a_long_backup();
    let before = bytes_beneath(&env.path("repo"));
    let mut child = spawn(&env, "backup assets");
    wait_until(&mut child, || bytes_beneath(&env.path("repo")) > before + 30_000_000);
    signal(&child, "KILL");
    child.wait().unwrap();

    assert_eq!(snapshots(&env), 1, "a snapshot of half a tree");
    env.ok("verify --repository --read-data");
    env.ok("restore assets --to back1");
    assert_eq!(files_beneath(&env.path("back1")), ["first"]);

    env.ok("backup assets");
    assert_eq!(snapshots(&env), 2);
    env.ok("restore assets --to back2");
    assert_same(&env.path("src"), &env.path("back2"));
    env.ok("verify --repository --read-data");
}

#[test]
fn sigterm_in_mid_backup_cleans_up_and_is_exit_143() {
    let env = before_a_long_backup();
    let before = bytes_beneath(&env.path("repo"));
    let mut child = spawn(&env, "backup assets");
    wait_until(&mut child, || bytes_beneath(&env.path("repo")) > before + 30_000_000);
    signal(&child, "TERM");
    let outcome = Outcome::from_output("backup".to_owned(), child.wait_with_output().unwrap());
    let outcome = outcome.expect_code(143);
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
    assert_eq!(
        files_beneath(&env.path("repo/.tmp")),
        Vec::<String>::new(),
        "unfinished writes were left"
    );
    assert_eq!(snapshots(&env), 1);
    env.ok("backup assets");
}

#[test]
fn kill_9_in_mid_restore_harms_nothing_and_the_next_restore_is_whole() {
    let env = before_a_long_backup();
    env.ok("backup assets");
    let mut child = spawn(&env, "restore assets --to back");
    wait_until(&mut child, || bytes_beneath(&env.path("back")) > 30_000_000);
    signal(&child, "KILL");
    child.wait().unwrap();

    let refused = env.run("restore assets --to back");
    assert_ne!(refused.code, 0, "the half-restored folder was taken for an empty one");
    env.ok("restore assets --to again");
    assert_same(&env.path("src"), &env.path("again"));
    env.ok("verify --repository --read-data");
}

#[test]
fn a_full_repository_disk_gives_no_snapshot_and_room_cures_it() {
    let disk = SmallDisk::new(60_000_000);
    let env = env();
    env.write("src/first", "first");
    env.configure_repository(
        &format!("url = \"file://{}\"", disk.path().join("repo").display()),
        "[store.assets]\nkind = \"files\"\npath = \"src\"",
    );
    env.ok("init");
    env.ok("backup");
    for number in 0..3 {
        env.write(&format!("src/part {number}"), noise(50_000_000, number));
    }
    let full = env.run("backup --json").expect_code(1);
    let said = format!("{}{}", full.stdout, full.stderr);
    assert!(
        said.to_lowercase().contains("space"),
        "it does not say that the disk is full: {said}"
    );
    assert_eq!(snapshots(&env), 1);
    env.ok("verify --repository --read-data");
    env.ok("restore assets --to back");

    let resized = std::process::Command::new("mount")
        .args(["-o", "remount,size=400000000"])
        .arg(disk.path())
        .status();
    assert!(resized.unwrap().success());
    env.ok("backup");
    env.ok("restore assets --to whole");
    assert_same(&env.path("src"), &env.path("whole"));
}

#[test]
fn a_target_disk_that_is_too_small_is_refused_before_anything_is_written() {
    let disk = SmallDisk::new(30_000_000);
    let env = env();
    env.write("src/large", noise(60_000_000, 1));
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    env.ok("backup");
    let full = env.run(&format!("restore assets --to {}", disk.path().join("back").display()));
    full.expect_code(1).expect_error_to_name(&["back", "make room"]);
    assert_eq!(bytes_beneath(disk.path()), 0);
    env.ok("verify --repository --read-data");
}

#[test]
fn a_target_disk_that_fills_up_in_mid_restore_is_said_and_the_repository_is_unharmed() {
    let disk = SmallDisk::new(500_000_000);
    let env = before_a_long_backup();
    env.ok("backup");
    let back = disk.path().join("back");
    let mut child = spawn(&env, &format!("restore assets --to {}", back.display()));
    wait_until(&mut child, || bytes_beneath(&back) > 0);
    signal(&child, "STOP");
    // Somebody else takes all the room that is left: the write ends when the disk is full.
    let taken = fs::write(disk.path().join("somebody else's"), vec![1; 600_000_000]);
    assert!(taken.is_err(), "the disk did not fill up");
    signal(&child, "CONT");
    let full = Outcome::from_output("restore".to_owned(), child.wait_with_output().unwrap());
    let full = full.expect_code(1);
    assert!(
        full.stderr.to_lowercase().contains("space"),
        "it does not say that the disk is full: {full:?}"
    );
    env.ok("verify --repository --read-data");
    env.ok("restore assets --to back");
    assert_same(&env.path("src"), &env.path("back"));
}

#[test]
fn a_second_backup_of_a_store_is_exit_11_at_once_and_other_stores_go_on() {
    let env = before_a_long_backup();
    env.write("other/a", "a");
    env.configure(
        "[store.assets]\nkind = \"files\"\npath = \"src\"\n[store.other]\nkind = \"files\"\npath = \"other\"",
    );
    let before = bytes_beneath(&env.path("repo"));
    let mut child = spawn(&env, "backup assets");
    wait_until(&mut child, || bytes_beneath(&env.path("repo")) > before + 10_000_000);
    signal(&child, "STOP"); // it cannot end while the others are tried
    let second = env.run("backup assets");
    let other = env.run("backup other");
    signal(&child, "CONT");
    let first = Outcome::from_output("backup".to_owned(), child.wait_with_output().unwrap());
    second.expect_code(11).expect_error_to_name(&["assets"]);
    other.expect_code(0);
    first.expect_code(0);
    env.ok("backup assets");
}
