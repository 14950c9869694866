//! The pages are enough: `docs/format/recover.py`, which was written from `docs/format/` and shares no code with the binary, brings
//! back what the binary stored, byte for byte.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;

use muster_testkit::damage::files_beneath;
use muster_testkit::env::{Outcome, TestEnv};
use muster_testkit::trees::{assert_same, build_everything, noise};

use crate::env;

/// Runs `recover.py LINE` in the test's folder.
pub(crate) fn recover(env: &TestEnv, line: &str) -> Outcome {
    let mut command = Command::new("/usr/bin/python3");
    command.arg("-B");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/format/recover.py"));
    command.args(line.split_whitespace()).current_dir(env.path(""));
    let outcome = Outcome::of(command);
    assert!(
        !outcome.stderr.contains("ModuleNotFoundError"),
        "apt-get install python3-zstandard: {}",
        outcome.stderr
    );
    outcome
}

fn snapshot(env: &TestEnv, store: &str) -> String {
    let taken = env.ok(&format!("backup {store} --json")).json();
    taken["stores"][0]["snapshot"].as_str().unwrap().to_owned()
}

/// A store `assets` with one of everything, with files that need extent maps, and a snapshot of it.
fn assets() -> (TestEnv, String) {
    let env = env();
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"\n");
    build_everything(&env.path("src"));
    env.write("src/mapped", noise(20_000_000, 4));
    env.write("src/compressible", "to and fro ".repeat(400_000));
    for number in 0..500 {
        env.write(&format!("src/small/{number}"), noise(number, number as u64));
    }
    let gaps = File::create(env.path("src/gaps")).unwrap();
    gaps.set_len((2 << 30) + 5).unwrap();
    for island in 0..300 {
        gaps.write_all_at(b"land", (island * 7) << 20).unwrap();
    }
    drop(gaps);
    env.ok("init");
    let point = snapshot(&env, "assets");
    (env, point)
}

#[test]
fn both_snapshots_of_a_tree_come_back_without_the_binary() {
    let (env, first) = assets();
    let status = Command::new("cp")
        .arg("-a")
        .arg(env.path("src"))
        .arg(env.path("before"))
        .status();
    assert!(status.unwrap().success());
    env.write("src/small/7", "another");
    env.write("src/small/new", "new");
    fs::remove_file(env.path("src/small/8")).unwrap();
    let mapped = File::options().write(true).open(env.path("src/mapped")).unwrap();
    mapped.write_all_at(&noise(100_000, 5), 10_000_000).unwrap();
    drop(mapped);
    let second = snapshot(&env, "assets");

    let listed = recover(&env, "repo list").expect_code(0).stdout;
    let ids: Vec<_> = listed.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(ids, [first.as_str(), second.as_str()]);

    recover(&env, &format!("repo restore assets@{} back1", &first[..24])).expect_code(0);
    assert_same(&env.path("before"), &env.path("back1"));
    recover(&env, "--root keys/root.pub repo restore assets back2").expect_code(0);
    assert_same(&env.path("src"), &env.path("back2"));
}

#[test]
fn both_snapshots_of_a_database_come_back_without_the_binary() {
    let env = crate::sqlite::saves("delete", "");
    let first = snapshot(&env, "saves");
    let before = fs::read(env.path("saves.db")).unwrap();
    let db = crate::sqlite::open(&env.path("saves.db"));
    db.execute("update move set note = 'changed' where id in (10, 5000)", [])
        .unwrap();
    drop(db);
    snapshot(&env, "saves");

    recover(&env, &format!("repo restore saves@{first} back1")).expect_code(0);
    recover(&env, "--root keys/root.pub repo restore saves back2").expect_code(0);
    for (folder, expected) in [("back1", before), ("back2", fs::read(env.path("saves.db")).unwrap())] {
        assert_eq!(files_beneath(&env.path(folder)), ["saves.db"]);
        assert!(
            fs::read(env.path(folder).join("saves.db")).unwrap() == expected,
            "{folder}/saves.db is not the database that was backed up"
        );
    }
}

#[test]
fn a_signed_manifest_is_taken_for_its_own_point_alone() {
    let env = env();
    env.write("src/a", "first");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    let first = snapshot(&env, "assets");
    env.write("src/a", "second");
    let second = snapshot(&env, "assets");
    let manifest = |id: &str| env.path(format!("repo/snapshots/assets/{id}.dsse"));
    fs::copy(manifest(&second), manifest(&first)).unwrap();
    recover(&env, &format!("--root keys/root.pub repo restore assets@{first} back"))
        .expect_code(7)
        .expect_error_to_name(&[&first, "is not the one in the log"]);
    assert!(!env.path("back/a").exists());
    recover(&env, &format!("--root keys/root.pub repo restore assets@{second} back")).expect_code(0);
    assert_eq!(fs::read(env.path("back/a")).unwrap(), b"second");
}

#[test]
fn a_flipped_bit_anywhere_on_the_way_is_found_and_named() {
    let env = env();
    env.write("src/a", noise(200_000, 1));
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    env.ok("backup");
    let objects = files_beneath(&env.path("repo")).into_iter().filter(|name| {
        let read = ["muster.dsse", "keys/", "packs/", "trees/", "snapshots/"];
        read.iter().any(|start| name.starts_with(start)) || name.ends_with("/checkpoint")
    });
    let mut objects: Vec<_> = objects.collect();
    // Bundles that the log has grown past are read by nobody.
    let width = |name: &String| {
        name.rsplit_once("/entries/000.p/")
            .and_then(|(_, width)| width.parse::<u32>().ok())
    };
    let bundles = files_beneath(&env.path("repo"))
        .into_iter()
        .filter(|name| width(name).is_some());
    objects.extend(bundles.max_by_key(|name| width(name)));
    assert!(objects.len() >= 8, "{objects:?}");
    for name in objects {
        let path = env.path("repo").join(&name);
        let good = fs::read(&path).unwrap();
        for place in [good.len() / 3, good.len() - 30] {
            let mut bad = good.clone();
            bad[place] ^= 1;
            fs::write(&path, bad).unwrap();
            let log = name.split("/tile/").next().unwrap();
            recover(&env, "--root keys/root.pub repo restore assets back")
                .expect_code(7)
                .expect_error_to_name(&["recover.py: ", log]);
            assert!(!env.path("back/a").exists(), "restored in spite of {name}");
            let _ = fs::remove_dir(env.path("back"));
        }
        fs::write(&path, good).unwrap();
    }
    recover(&env, "--root keys/root.pub repo restore assets back").expect_code(0);
    assert_same(&env.path("src"), &env.path("back"));
}

#[test]
fn another_root_an_unknown_snapshot_and_a_target_with_something_in_it_are_refused() {
    let env = env();
    env.write("src/a", "from the snapshot");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    env.ok("backup");
    let other = self::env();
    other.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    other.ok("init");
    fs::copy(other.path("keys/root.pub"), env.path("other.pub")).unwrap();

    recover(&env, "--root other.pub repo restore assets back")
        .expect_code(7)
        .expect_error_to_name(&["root"]);
    recover(&env, "repo restore assets@01ARZ back")
        .expect_code(1)
        .expect_error_to_name(&["assets@01ARZ"]);
    assert!(!env.path("back").exists());
    env.write("back/a", "somebody's work");
    recover(&env, "repo restore assets back")
        .expect_code(1)
        .expect_error_to_name(&["back", "empty"]);
    assert_eq!(fs::read(env.path("back/a")).unwrap(), b"somebody's work");
}

#[test]
fn an_encrypted_tree_comes_back_with_an_identity_of_age_and_without_the_binary() {
    let env = crate::encryption::writer();
    build_everything(&env.path("src"));
    env.ok("backup");
    let large = File::options().write(true).open(env.path("src/large")).unwrap();
    large
        .write_all_at(b"a page in the middle of a block", 9_009_000)
        .unwrap();
    drop(large);
    env.ok("backup");
    recover(&env, "repo restore assets back")
        .expect_code(7)
        .expect_error_to_name(&["runs/", "--identity"]);
    fs::remove_dir(env.path("back")).unwrap();
    env.write("recovery.age", format!("# mine\n{}\n", crate::encryption::FIRST[0]));
    recover(
        &env,
        "--root keys/root.pub --identity recovery.age repo restore assets back",
    )
    .expect_code(0);
    assert_same(&env.path("src"), &env.path("back"));
}

#[test]
fn the_reader_without_the_binary_stays_short_enough_to_be_read() {
    let source = include_str!("../../docs/format/recover.py");
    assert!(source.lines().count() <= 300);
}
