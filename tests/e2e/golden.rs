//! Golden repositories of format 1, written once by `tests/golden/make` and never again: whatever muster becomes, it reads them, adds
//! to them, and leaves what is there as it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use muster_signing::Digest;
use muster_testkit::damage::files_beneath;
use muster_testkit::env::TestEnv;
use muster_testkit::trees::{assert_same, describe};

use crate::env;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/v1");
const STORES: &str =
    "[store.assets]\nkind = \"files\"\npath = \"src\"\n[store.saves]\nkind = \"sqlite\"\npath = \"saves.db\"";

/// A recovery point, and what it must come back as: everything that is told of an entry, by its path.
struct Point {
    name: String,
    entries: BTreeMap<String, String>,
}

/// Unpacks a golden repository with its keys; its points, oldest first.
fn golden(name: &str) -> (TestEnv, Vec<Point>) {
    let env = env();
    let tar = Command::new("tar")
        .arg("xzf")
        .arg(format!("{FOLDER}/{name}.tar.gz"))
        .current_dir(env.path(""))
        .status();
    assert!(tar.unwrap().success());
    let mut points: Vec<Point> = Vec::new();
    for line in fs::read_to_string(format!("{FOLDER}/{name}.expected")).unwrap().lines() {
        if let Some((store, snapshot)) = line.strip_prefix("point ").and_then(|point| point.split_once(' ')) {
            points.push(Point {
                name: format!("{store}@{snapshot}"),
                entries: BTreeMap::new(),
            });
        } else {
            let (told, path) = line.rsplit_once(' ').unwrap();
            points
                .last_mut()
                .unwrap()
                .entries
                .insert(path.to_owned(), told.to_owned());
        }
    }
    (env, points)
}

fn configure(env: &TestEnv, recipients: &[String], identity: Option<&str>) {
    let mut lines = format!("url = \"file://{}\"", env.text("repo"));
    if !recipients.is_empty() {
        lines.push_str(&format!("\nrecipients = {recipients:?}"));
    }
    if let Some(identity) = identity {
        lines.push_str(&format!("\nidentity_file = \"identities/{identity}.age\""));
    }
    env.configure_repository(&lines, STORES);
}

/// The public key of an identity.
fn recipient(env: &TestEnv, identity: &str) -> String {
    let file = fs::read_to_string(env.path(format!("identities/{identity}.age"))).unwrap();
    let line = file.lines().next().unwrap();
    line.strip_prefix("# public key: ").unwrap().to_owned()
}

/// Demands that `folder` holds exactly the point; a `*` stands for what a store of this kind does not keep.
fn assert_is(point: &Point, folder: &Path) {
    let mut found = BTreeMap::new();
    for (path, entry) in describe(folder) {
        let xattrs: Vec<String> = entry
            .xattrs
            .iter()
            .map(|(name, value)| (String::from_utf8(name.clone()).unwrap(), value))
            .filter(|(name, _)| name.starts_with("user."))
            .map(|(name, value)| {
                let value: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{name}={value}")
            })
            .collect();
        let none = || "-".to_owned();
        let told = [
            format!("{:o}", entry.mode),
            format!("{}.{:09}", entry.modified.0, entry.modified.1),
            entry.content.len().to_string(),
            Digest::of(&entry.content).hex(),
            if xattrs.is_empty() { none() } else { xattrs.join(",") },
            entry
                .first_name
                .map_or_else(none, |name| String::from_utf8(name).unwrap()),
        ];
        found.insert(String::from_utf8(path).unwrap(), told);
    }
    let names = |map: Vec<&String>| map.into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(
        names(found.keys().collect()),
        names(point.entries.keys().collect()),
        "{}",
        point.name
    );
    for (path, told) in &found {
        let expected: Vec<&str> = point.entries[path].split(' ').collect();
        assert_eq!(expected.len(), told.len());
        for (expected, told) in expected.iter().zip(told) {
            assert!(
                *expected == "*" || expected == told,
                "{}: {path}: {told} and not {expected}",
                point.name
            );
        }
    }
}

fn restore(env: &TestEnv, point: &Point) {
    let _ = fs::remove_dir_all(env.path("back"));
    env.ok(&format!("restore {} --to back", point.name));
    assert_is(point, &env.path("back"));
}

/// The encrypted points by the identities that open them.
fn identities(points: &[Point]) -> Vec<(&Point, &'static str)> {
    let [one, two, both, late] = points else {
        panic!("{} points", points.len())
    };
    vec![
        (one, "first"),
        (two, "first"),
        (both, "first"),
        (both, "second"),
        (late, "second"),
    ]
}

#[test]
fn each_point_of_format_1_comes_back_as_it_was() {
    let (env, points) = golden("plain");
    configure(&env, &[], None);
    assert_eq!(points.len(), 5);
    points.iter().for_each(|point| restore(&env, point));

    let (env, points) = golden("encrypted");
    let recipients = [recipient(&env, "second")];
    for (point, identity) in identities(&points) {
        configure(&env, &recipients, Some(identity));
        restore(&env, point);
    }
    configure(&env, &recipients, Some("first"));
    env.run(&format!("restore {} --to other", points[3].name))
        .expect_code(12);
}

#[test]
fn format_1_verifies_to_the_last_byte() {
    for (name, identity) in [("plain", None), ("encrypted", None), ("encrypted", Some("second"))] {
        let (env, _) = golden(name);
        let recipients = if name == "plain" {
            Vec::new()
        } else {
            vec![recipient(&env, "second")]
        };
        configure(&env, &recipients, identity);
        env.ok("verify --repository --read-data");
        env.ok("ledger check");
    }
}

#[test]
fn format_1_comes_back_without_the_binary() {
    let (env, points) = golden("plain");
    for point in &points {
        let _ = fs::remove_dir_all(env.path("back"));
        let line = format!("--root keys/root.pub repo restore {} back", point.name);
        crate::recover::recover(&env, &line).expect_code(0);
        assert_is(point, &env.path("back"));
    }
    let (env, points) = golden("encrypted");
    for (point, identity) in identities(&points) {
        let _ = fs::remove_dir_all(env.path("back"));
        let line = format!(
            "--root keys/root.pub --identity identities/{identity}.age repo restore {} back",
            point.name
        );
        crate::recover::recover(&env, &line).expect_code(0);
        assert_is(point, &env.path("back"));
    }
}

#[test]
fn a_backup_on_top_of_format_1_leans_on_it_and_leaves_it_as_it_is() {
    for name in ["plain", "encrypted"] {
        let (env, points) = golden(name);
        let recipients = if name == "plain" {
            Vec::new()
        } else {
            vec![recipient(&env, "second")]
        };
        let identity = (name == "encrypted").then_some("second");
        configure(&env, &recipients, identity);
        let latest = points
            .iter()
            .rev()
            .find(|point| point.name.starts_with("assets"))
            .unwrap();
        env.ok(&format!("restore {} --to src", latest.name));
        env.write("src/levels/added", "on top");
        let objects = || -> BTreeMap<String, Vec<u8>> {
            let read = |object: String| (object.clone(), fs::read(env.path("repo").join(object)).unwrap());
            files_beneath(&env.path("repo")).into_iter().map(read).collect()
        };
        let before = objects();
        // A host that only writes has no identity.
        configure(&env, &recipients, None);
        env.ok("backup assets");
        let after = objects();
        for (object, bytes) in &before {
            let moves = object.ends_with("/checkpoint");
            assert!(moves || after.get(object) == Some(bytes), "{name}: {object} changed");
        }
        let packs: usize = after
            .iter()
            .filter(|(object, _)| object.starts_with("packs/") && !before.contains_key(*object))
            .map(|(_, bytes)| bytes.len())
            .sum();
        assert!(
            (1..1000).contains(&packs),
            "{name}: {packs} bytes of packs for six bytes"
        );
        configure(&env, &recipients, identity);
        env.ok("restore assets --to back");
        assert_same(&env.path("src"), &env.path("back"));
        env.ok("verify --repository --read-data");
        let first = &points[if name == "plain" { 0 } else { 2 }];
        let _ = fs::remove_dir_all(env.path("back"));
        restore(&env, first);
    }
}
