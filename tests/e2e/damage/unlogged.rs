//! A log whose newest part is lost: no point is proven, and a person who names one gets it back, told what that does not prove.

use std::fs;

use muster_testkit::damage::{Harm, files_beneath};
use muster_testkit::env::TestEnv;

/// A repository with two points of one file, and their ids, oldest first.
fn two_points() -> (TestEnv, Vec<String>) {
    let env = crate::env();
    env.write("src/file", "first");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    env.ok("backup");
    env.write("src/file", "second");
    env.ok("backup");
    let points = env.ok("snapshots assets --json").json();
    let points = points["snapshots"].as_array().unwrap().iter();
    let mut ids: Vec<String> = points.map(|point| point["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    (env, ids)
}

/// The objects of the writer's log that all its points hang on.
fn newest_part(env: &TestEnv) -> Vec<String> {
    let objects = files_beneath(&env.path("repo"));
    let of = |part: &str| {
        let mut found: Vec<&String> = objects.iter().filter(|name| name.contains(part)).collect();
        found.sort_by_key(|name| name.rsplit('/').next().unwrap().parse::<u32>().unwrap_or(0));
        (*found.last().unwrap()).clone()
    };
    vec![of("/checkpoint"), of("/tile/entries/000.p/")]
}

#[test]
fn a_point_that_is_named_comes_back_without_its_log_and_what_that_does_not_prove_is_said() {
    for fresh in [false, true] {
        for harm in [Harm::Gone, Harm::Cut] {
            let (env, ids) = two_points();
            for object in newest_part(&env) {
                let path = env.path("repo").join(&object);
                let before = fs::read(&path).unwrap();
                harm.to(&path);
                if fresh {
                    // A machine that restores and nothing else: it never saw the repository, and configures no store.
                    fs::remove_dir_all(env.path(".muster")).unwrap();
                    env.configure("");
                }
                let plain = env.run("restore assets --to back");
                assert!(
                    matches!(plain.code, 7 | 2),
                    "{object}: exit {}: {}",
                    plain.code,
                    plain.stderr
                );
                let mut advised = Vec::new();
                for id in ids.iter().rev() {
                    advised.push(format!("muster restore assets@{id} --to back --accept-unlogged"));
                }
                let advised: Vec<&str> = advised.iter().map(String::as_str).collect();
                plain.expect_error_to_name(&advised);
                assert!(!env.path("back").exists(), "{object}: nothing comes back unasked");
                for (id, content) in [(&ids[0], "first"), (&ids[1], "second")] {
                    let line = format!("restore assets@{id} --to back --accept-unlogged");
                    env.ok(&line).expect_error_to_name(&[
                        "by its signed manifest alone",
                        "nothing proves that it is the latest",
                    ]);
                    assert_eq!(fs::read_to_string(env.path("back/file")).unwrap(), content, "{object}");
                    fs::remove_dir_all(env.path("back")).unwrap();
                    let told = env.ok(&format!("{line} --json")).json();
                    assert_eq!(told["logged"], false, "{object}");
                    fs::remove_dir_all(env.path("back")).unwrap();
                }
                fs::write(&path, before).unwrap();
            }
        }
    }
}

#[test]
fn the_log_is_believed_where_it_can_be_read_and_a_point_must_be_named_where_it_cannot() {
    let (env, ids) = two_points();
    let told = env
        .ok(&format!("restore assets@{} --to back --accept-unlogged --json", ids[1]))
        .json();
    assert_eq!(told["logged"], true);
    env.run("restore assets --to other --accept-unlogged")
        .expect_code(2)
        .expect_error_to_name(&["STORE@POINT"]);
    let (first, second) = (
        env.path(format!("repo/snapshots/assets/{}.dsse", ids[0])),
        env.path(format!("repo/snapshots/assets/{}.dsse", ids[1])),
    );
    // Without the log the signature still counts, and so does whose manifest it is.
    Harm::Gone.to(&env.path("repo").join(&newest_part(&env)[1]));
    fs::copy(&second, &first).unwrap();
    env.run(&format!("restore assets@{} --to other --accept-unlogged", ids[0]))
        .expect_code(9);
    Harm::Flip(None).to(&second);
    env.run(&format!("restore assets@{} --to other --accept-unlogged", ids[1]))
        .expect_code(9);
    assert!(!env.path("other").exists());
}

#[test]
fn a_point_that_no_log_names_is_listed_and_rehearsed_where_a_person_says_so() {
    let (env, ids) = two_points();
    for object in newest_part(&env) {
        let path = env.path("repo").join(&object);
        let before = fs::read(&path).unwrap();
        Harm::Gone.to(&path);
        let advised = |command: &str| format!("muster {command} --accept-unlogged");
        let (older, latest) = (&ids[0], &ids[1]);
        env.run("ls assets").expect_code(7).expect_error_to_name(&[
            &advised(&format!("ls assets@{latest}")),
            &advised(&format!("ls assets@{older}")),
        ]);
        env.run("rehearse assets").expect_code(7).expect_error_to_name(&[
            &advised(&format!("rehearse assets --point {latest}")),
            &advised(&format!("rehearse assets --point {older}")),
        ]);
        for id in &ids {
            let said = ["by its signed manifest alone", "nothing proves that it is the latest"];
            let listed = env.ok(&format!("ls assets@{id} --accept-unlogged --json"));
            let listed = listed.expect_error_to_name(&said).json();
            assert_eq!(listed["logged"], false, "{object}");
            assert_eq!(listed["entries"][0]["path"], "file", "{object}");

            let rehearsed = env.ok(&format!("rehearse assets --point {id} --accept-unlogged --json"));
            let rehearsed = rehearsed.expect_error_to_name(&said).json();
            let rehearsal = &rehearsed["rehearsals"][0];
            assert_eq!(rehearsal["snapshot"], id.as_str(), "{object}");
            assert_eq!(
                (&rehearsal["verdict"], &rehearsal["logged"]),
                (&"PASS".into(), &false.into())
            );
        }
        for line in ["ls assets --accept-unlogged", "rehearse assets --accept-unlogged"] {
            env.run(line).expect_code(2).expect_error_to_name(&["name one: muster"]);
        }
        fs::write(&path, before).unwrap();
    }
    // Where the log can be read, it is believed.
    let rehearsed = env.ok(&format!("rehearse assets --point {} --accept-unlogged --json", ids[0]));
    assert_eq!(rehearsed.json()["rehearsals"][0]["logged"], true);
}
