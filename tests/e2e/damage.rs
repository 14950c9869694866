//! One flipped bit, one lost byte, one byte too many, one lost object, in every kind of object: seen, named, and never restored as good.

mod journal;
mod matrix;
mod page;
mod table;
mod unlogged;
mod world;

use std::fs;

use muster_testkit::damage::{Damage, files_beneath};
use muster_testkit::env::TestEnv;
use muster_testkit::trees::{assert_same, noise};

use crate::env;

/// A repository with every kind of object in it: two snapshots of two stores (one file large enough for extent maps), and a rehearsal.
fn full() -> TestEnv {
    let env = env();
    env.write("src/large", noise(20_000_000, 1));
    env.write("src/small", "small");
    env.write("src/levels/one", "one");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    env.ok("backup");
    env.write("src/small", "changed");
    env.ok("backup");
    env.ok("rehearse assets");
    env
}

/// The objects that a reader needs. Tiles of a size that the log has left behind are needed by nobody, a writer's index by no reader.
fn objects(env: &TestEnv) -> Vec<String> {
    let names = files_beneath(&env.path("repo"));
    names
        .into_iter()
        .filter(|name| !name.contains(".p/") && !name.starts_with(".tmp/") && !name.starts_with("index/"))
        .collect()
}

fn kind(object: &str) -> &str {
    if object.ends_with("/checkpoint") {
        "checkpoint"
    } else {
        object.split('/').next().unwrap()
    }
}

/// The words by which an object may be called: what tells it from the others of its kind.
fn names(object: &str) -> Vec<&str> {
    let parts: Vec<&str> = object.split('/').collect();
    match parts.as_slice() {
        ["muster.dsse"] => vec!["muster.dsse", "descriptor"],
        ["keys", _] => vec!["key document"],
        ["ledger", _, incarnation, "checkpoint"] => vec![incarnation],
        [.., name] => vec![name],
        [] => Vec::new(),
    }
}

#[test]
fn damage_to_any_object_is_exit_7_and_names_it() {
    let env = full();
    let objects = objects(&env);
    for wanted in [
        "muster.dsse",
        "keys",
        "packs",
        "trees",
        "lists",
        "snapshots",
        "rehearsals",
        "checkpoint",
    ] {
        assert!(
            objects.iter().any(|object| kind(object) == wanted),
            "no {wanted} among {objects:?}"
        );
    }
    let mut wrong = Vec::new();
    for object in &objects {
        for damage in [Damage::Flip, Damage::Truncate, Damage::Extend, Damage::Remove] {
            let expected = if object == "muster.dsse" && damage == Damage::Remove {
                10
            } else {
                7
            };
            let damaged = damage.to(&env.path("repo").join(object));
            let outcome = env.run("verify --repository --read-data --json");
            drop(damaged);
            let said = format!("{}{}", outcome.stdout, outcome.stderr);
            if outcome.code != expected {
                wrong.push(format!("{damage:?} {object}: exit {}, not {expected}", outcome.code));
            } else if !names(object).iter().any(|name| said.contains(name)) && expected == 7 {
                wrong.push(format!("{damage:?} {object}: not named in {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    env.ok("verify --repository --read-data");
}

#[test]
fn damage_to_what_a_restore_needs_is_exit_7_and_no_wrong_byte_comes_back() {
    let env = full();
    let mut wrong = Vec::new();
    let needed = |object: &&String| {
        matches!(
            kind(object),
            "muster.dsse" | "keys" | "packs" | "trees" | "snapshots" | "checkpoint"
        )
    };
    let log = fs::read_to_string(env.path("keys/signing.pem"))
        .map(|pem| muster_signing::SecretKey::from_pem(&pem).unwrap())
        .unwrap();
    let log = log.public().id().to_string();
    for object in objects(&env).iter().filter(needed) {
        // A restore reads the writer's log and the newest manifest; the rehearser's log and the older manifest do not concern it.
        if kind(object) == "checkpoint" && !object.contains(&log) {
            continue;
        }
        for damage in [Damage::Flip, Damage::Remove] {
            let expected = if object == "muster.dsse" && damage == Damage::Remove {
                10
            } else {
                7
            };
            let damaged = damage.to(&env.path("repo").join(object));
            let outcome = env.run("restore assets --to back --json");
            let whole = outcome.code == 0 && same(&env);
            drop(damaged);
            // What the newest point does not lean on may be gone: then the restore is whole, byte for byte.
            if outcome.code != expected && !whole {
                wrong.push(format!(
                    "{damage:?} {object}: exit {}, not {expected}: {}",
                    outcome.code, outcome.stderr
                ));
            }
            if env.path("back").exists() {
                for file in files_beneath(&env.path("back")) {
                    let bytes = fs::read(env.path("back").join(&file)).unwrap();
                    let listed = outcome.stdout.contains(&file) || outcome.stderr.contains(&file);
                    if bytes != fs::read(env.path("src").join(&file)).unwrap() && !listed {
                        wrong.push(format!("{damage:?} {object}: {file} came back different and unlisted"));
                    }
                }
                fs::remove_dir_all(env.path("back")).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn same(env: &TestEnv) -> bool {
    let names = files_beneath(&env.path("src"));
    let equal = |name: &String| fs::read(env.path("src").join(name)).ok() == fs::read(env.path("back").join(name)).ok();
    names == files_beneath(&env.path("back")) && names.iter().all(equal)
}

#[test]
fn a_damaged_pack_loses_its_files_by_name_and_no_others() {
    let env = env();
    env.write("src/large", noise(70_000_000, 1));
    env.write("src/small", "small");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    env.ok("backup");
    let packs = files_beneath(&env.path("repo/packs"));
    let largest = packs
        .iter()
        .max_by_key(|pack| fs::metadata(env.path("repo/packs").join(pack)).unwrap().len())
        .unwrap();
    let _damaged = Damage::Flip.to(&env.path("repo/packs").join(largest));
    let outcome = env.run("restore assets --to back --json").expect_code(7).json();
    let lost = outcome["lost"].as_array().unwrap();
    assert_eq!(lost.len(), 1, "{outcome}");
    assert!(lost[0].to_string().contains("large"), "{outcome}");
    assert_eq!(fs::read(env.path("back/small")).unwrap(), b"small");
}

#[test]
fn a_damaged_newest_point_is_named_with_the_command_for_the_older_one() {
    let env = full();
    let newest = env.ok("snapshots assets --json").json();
    let points = newest["snapshots"].as_array().unwrap();
    let ids: Vec<&str> = points.iter().map(|point| point["id"].as_str().unwrap()).collect();
    let (older, newest) = (ids.iter().min().unwrap(), ids.iter().max().unwrap());
    let _damaged = Damage::Flip.to(&env.path(format!("repo/snapshots/assets/{newest}.dsse")));
    env.run("restore assets --to back")
        .expect_code(7)
        .expect_error_to_name(&[newest, &format!("assets@{older}")]);
    env.run("rehearse assets")
        .expect_code(7)
        .expect_error_to_name(&[newest]);
    env.ok(&format!("restore assets@{older} --to back"));
    assert_eq!(fs::read(env.path("back/small")).unwrap(), b"small");
}

#[test]
fn an_undamaged_repository_restores_what_was_there() {
    let env = full();
    env.ok("restore assets --to back");
    assert_same(&env.path("src"), &env.path("back"));
}

#[test]
fn the_matrix_holds_for_what_says_who_is_believed() {
    matrix::hold(&[table::Group::Trust], false);
}

#[test]
fn the_matrix_holds_for_the_transparency_log() {
    matrix::hold(&[table::Group::Logs], false);
}

#[test]
fn the_matrix_holds_for_manifests_lists_and_evidence() {
    matrix::hold(&[table::Group::Points], false);
}

#[test]
fn the_matrix_holds_for_listings_and_extent_maps() {
    matrix::hold(&[table::Group::Trees], false);
}

#[test]
fn the_matrix_holds_for_packs_and_their_frames() {
    matrix::hold(&[table::Group::Packs], false);
}

#[test]
fn the_matrix_holds_for_what_a_writer_remembers_in_the_repository() {
    matrix::hold(&[table::Group::Index], false);
}

#[test]
fn the_matrix_holds_on_a_host_that_never_saw_a_sealed_repository() {
    matrix::hold(&[table::Group::Index], true);
}

#[test]
fn the_matrix_holds_for_what_a_host_keeps() {
    matrix::hold(&[table::Group::Local], false);
}

#[test]
fn the_matrix_holds_for_wrapped_run_keys() {
    matrix::hold(&[table::Group::Runs], true);
}

#[test]
fn the_matrix_holds_for_sealed_listings_and_packs() {
    matrix::hold(&[table::Group::Trees, table::Group::Packs], true);
}

#[test]
fn the_page_about_damage_says_what_the_matrix_says() {
    page::hold();
}
