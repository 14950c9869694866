//! File trees: what was there comes back, and what could not be read is said.

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_testkit::env::{Outcome, TestEnv};
use muster_testkit::trees::{assert_same, build_everything, noise};

use crate::env;

/// An initialised repository and a store `assets` over an empty folder `src`.
pub(crate) fn assets(more: &str) -> TestEnv {
    let env = env();
    fs::create_dir(env.path("src")).unwrap();
    env.configure(&format!("[store.assets]\nkind = \"files\"\npath = \"src\"\n{more}"));
    env.ok("init");
    env
}

#[test]
fn a_tree_with_one_of_everything_comes_back_whole() {
    let env = assets("");
    build_everything(&env.path("src"));
    env.ok("backup assets");
    env.ok("restore assets --to back");
    assert_same(&env.path("src"), &env.path("back"));
    env.ok("verify --repository --read-data");
}

#[test]
fn a_second_snapshot_adds_what_changed_and_both_come_back() {
    let env = assets("");
    for number in 0..8 {
        env.write(&format!("src/part {number}"), noise(2_000_000, number));
    }
    let first = env.ok("backup assets --json").json();
    fs::create_dir(env.path("before")).unwrap();
    copy(&env, "src", "before");
    env.write("src/part 3", noise(1_000_000, 99));
    fs::rename(env.path("src/part 5"), env.path("src/renamed")).unwrap();
    let second = env.ok("backup assets --json").json();

    let figure = |document: &serde_json::Value, key: &str| document["stores"][0][key].as_u64().unwrap();
    assert!(figure(&first, "added_bytes") >= 16_000_000, "{first}");
    assert!(
        figure(&second, "added_bytes") < 4_000_000,
        "1 MB changed and a file was renamed: {second}"
    );
    assert!(
        figure(&second, "stored_bytes") >= 15_000_000,
        "all that it references: {second}"
    );

    let older = first["stores"][0]["snapshot"].as_str().unwrap();
    env.ok(&format!("restore assets@{older} --to back1"));
    env.ok("restore assets --to back2");
    assert_same(&env.path("before"), &env.path("back1"));
    assert_same(&env.path("src"), &env.path("back2"));
}

fn copy(env: &TestEnv, from: &str, to: &str) {
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(env.path(from).join("."))
        .arg(env.path(to))
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn an_unchanged_tree_costs_almost_nothing_the_second_time() {
    let env = assets("");
    env.write("src/large", noise(10_000_000, 7));
    env.ok("backup assets");
    let again = env.ok("backup assets --json").json();
    assert!(again["stores"][0]["added_bytes"].as_u64().unwrap() < 20_000, "{again}");
}

#[test]
fn excluded_names_stay_out() {
    let env = assets("exclude = [\"*.tmp\", \"cache/\"]\n");
    for name in ["kept.txt", "gone.tmp", "levels/gone.tmp", "cache/gone", "levels/kept"] {
        env.write(&format!("src/{name}"), name);
    }
    env.ok("backup assets");
    env.ok("restore assets --to back");
    assert!(env.path("back/kept.txt").exists() && env.path("back/levels/kept").exists());
    assert!(!env.path("back/gone.tmp").exists() && !env.path("back/levels/gone.tmp").exists());
    assert!(!env.path("back/cache/gone").exists());
}

#[test]
fn one_file_is_restored_alone() {
    let env = assets("");
    build_everything(&env.path("src"));
    env.ok("backup assets");
    env.ok("restore assets --to back --include levels/deep/er/large.bin");
    assert_eq!(
        fs::read(env.path("back/levels/deep/er/large.bin")).unwrap(),
        noise(5_000_000, 3)
    );
    let restored = muster_testkit::damage::files_beneath(&env.path("back"));
    assert_eq!(restored, ["levels/deep/er/large.bin"]);
}

#[test]
fn what_is_not_in_the_snapshot_cannot_be_included_silently() {
    let env = assets("");
    env.write("src/a", "a");
    env.ok("backup assets");
    let outcome = env.run("restore assets --to back --include no/such/file");
    assert_ne!(outcome.code, 0, "nothing was restored and nothing was said");
}

#[test]
fn a_target_that_is_not_empty_is_refused_and_left_alone() {
    let env = assets("");
    env.write("src/a", "from the snapshot");
    env.ok("backup assets");
    env.write("back/a", "somebody's work");
    let outcome = env
        .run("restore assets --to back")
        .expect_error_to_name(&["back", "empty"]);
    assert!(matches!(outcome.code, 1 | 2), "{outcome:?}");
    assert_eq!(fs::read(env.path("back/a")).unwrap(), b"somebody's work");
}

#[test]
fn a_dry_run_shows_the_plan_and_writes_nothing() {
    let env = assets("");
    env.write("src/large", noise(300_000, 1));
    env.ok("backup assets");
    let plan = env.ok("restore assets --to back --dry-run");
    assert!(plan.stdout.contains("assets"), "{plan:?}");
    assert!(!env.path("back").exists());
    let before = muster_testkit::damage::files_beneath(&env.path("repo"));
    env.ok("backup assets --dry-run");
    assert_eq!(before, muster_testkit::damage::files_beneath(&env.path("repo")));
}

#[test]
fn ls_shows_what_a_point_holds() {
    let env = assets("");
    env.write("src/levels/one.txt", "one");
    env.write("src/top", "top");
    let point = env.ok("backup assets --json").json()["stores"][0]["snapshot"]
        .as_str()
        .unwrap()
        .to_owned();
    let all = env.ok("ls assets").stdout;
    assert!(all.contains("top") && all.contains("levels"), "{all}");
    let one = env.ok(&format!("ls assets@{point} levels")).stdout;
    assert!(one.contains("one.txt") && !one.contains("top"), "{one}");
    env.run("ls assets@01ARZ3NDEKTSV4RRFFQ69G5FAV").expect_code(9);
}

#[test]
fn a_hundred_thousand_small_files_come_back() {
    let env = assets("");
    for folder in 0..100 {
        let path = env.path(format!("src/{folder:02}"));
        fs::create_dir(&path).unwrap();
        for file in 0..1000 {
            fs::write(
                path.join(format!("{file:03}.json")),
                format!("{{\"folder\":{folder},\"file\":{file}}}"),
            )
            .unwrap();
        }
    }
    let taken = env.ok("backup assets --json").json();
    assert!(
        taken["stores"][0]["stored_bytes"].as_u64().unwrap() < 40_000_000,
        "{taken}"
    );
    let restored = env.ok("restore assets --to back --json").json();
    assert_eq!(restored["files"], 100_000, "{restored}");
    assert_same(&env.path("src"), &env.path("back"));
    let again = env.ok("backup assets --json").json();
    assert!(
        again["stores"][0]["added_bytes"].as_u64().unwrap() < 2_000_000,
        "nothing changed: {again}"
    );
}

#[test]
fn a_file_that_grows_while_it_is_read_is_listed_and_the_rest_is_good() {
    let env = assets("");
    env.write("src/steady", noise(100_000, 1));
    let growing = env.write("src/growing.log", noise(64_000_000, 2));
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut file = fs::OpenOptions::new().append(true).open(growing).unwrap();
            while !stop.load(Ordering::Relaxed) {
                file.write_all(&[b'x'; 512]).unwrap();
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    });
    let outcome = env.run("backup assets --json");
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    let outcome = outcome.expect_code(3);
    assert!(
        format!("{}{}", outcome.stdout, outcome.stderr).contains("growing.log"),
        "{outcome:?}"
    );
    env.ok("restore assets --to back");
    assert_eq!(fs::read(env.path("back/steady")).unwrap(), noise(100_000, 1));
}

/// Runs a backup in which the kernel answers each opening of `name` with `errno`.
pub(crate) fn backup_with_open_failing(env: &TestEnv, name: &str, errno: &str) -> Outcome {
    let mut command = std::process::Command::new("strace");
    let muster = env.command();
    command.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-P",
        name,
        "-e",
        &format!("inject=openat,openat2,open:error={errno}"),
    ]);
    command
        .arg(muster.get_program())
        .args(muster.get_args())
        .args(["backup", "assets", "--json"]);
    command
        .env_clear()
        .envs(muster.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.current_dir(env.path(""));
    Outcome::of(command)
}

#[test]
fn a_file_that_vanishes_or_cannot_be_read_is_listed_and_the_rest_is_good() {
    for errno in ["ENOENT", "EIO"] {
        let env = assets("");
        env.write("src/first", "first");
        env.write("src/troubled-file", "never read");
        env.write("src/zlast", "last");
        let outcome = backup_with_open_failing(&env, "troubled-file", errno).expect_code(3);
        assert!(
            format!("{}{}", outcome.stdout, outcome.stderr).contains("troubled-file"),
            "{outcome:?}"
        );
        env.ok("restore assets --to back");
        assert_eq!(fs::read(env.path("back/first")).unwrap(), b"first");
        assert_eq!(fs::read(env.path("back/zlast")).unwrap(), b"last");
        env.ok("backup assets");
    }
}
