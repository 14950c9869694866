//! A restore that was killed goes on where it was: what it had written is compared and kept, and the result is whole.

use std::fs;

use muster_testkit::env::{Outcome, TestEnv};
use muster_testkit::trees::{assert_same, noise};

use crate::files::assets;

/// Restores under a kernel that kills the run at its `at`th call of `call`.
fn killed_at(env: &TestEnv, call: &str, at: u32) -> Outcome {
    let muster = env.command();
    let mut command = std::process::Command::new("strace");
    command
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &format!("inject={call}:signal=SIGKILL:when={at}"),
        ])
        .arg(muster.get_program())
        .args(muster.get_args())
        .args(["restore", "assets", "--to", "back", "--resume", "--json"])
        .env_clear()
        .envs(muster.get_envs().filter_map(|(key, value)| Some((key, value?))))
        .current_dir(env.path(""));
    Outcome::of(command)
}

fn world() -> TestEnv {
    let env = assets("");
    for number in 0..40 {
        env.write(&format!("src/deep/{number}/file"), noise(300_000, number));
    }
    env.write("src/large", noise(20_000_000, 99));
    env.ok("backup assets");
    env
}

#[test]
fn a_restore_killed_at_many_points_goes_on_and_ends_whole() {
    let env = world();
    for (call, at) in [
        ("mkdirat", 5),
        ("pwrite64", 3),
        ("pwrite64", 40),
        ("pwrite64", 200),
        ("fchmod", 10),
    ] {
        let outcome = killed_at(&env, call, at);
        assert!(
            !outcome.stdout.contains("muster.restore/1"),
            "{call} {at} did not end it: {outcome:?}"
        );
        // The latest point moves on meanwhile; what was begun is what is finished.
        env.write("src/later", format!("{call} {at}"));
        env.ok("backup assets");
        fs::remove_file(env.path("src/later")).unwrap();
    }
    let report = env.ok("restore assets --to back --resume --json").json();
    assert_eq!(report["resumed"], true, "{report}");
    assert!(report["kept_bytes"].as_u64().unwrap() > 0, "{report}");
    assert_same(&env.path("src"), &env.path("back"));
}

#[test]
fn what_was_altered_in_between_is_written_again() {
    let env = world();
    killed_at(&env, "pwrite64", 150);
    let large = env.path("back/large");
    if let Ok(mut bytes) = fs::read(&large) {
        for at in (0..bytes.len()).step_by(1_000_000) {
            bytes[at] ^= 1;
        }
        fs::write(&large, bytes).unwrap();
    }
    env.ok("restore assets --to back --resume");
    assert_same(&env.path("src"), &env.path("back"));
}

#[test]
fn only_the_same_restore_goes_on_and_without_asking_none_does() {
    let env = world();
    killed_at(&env, "pwrite64", 100);
    let refused = env.run("restore assets --to back").expect_code(1);
    assert!(refused.stderr.contains("--resume"), "{refused:?}");
    env.write("src/more", "x");
    env.ok("backup assets");
    let points = env.ok("snapshots assets --json").json()["snapshots"]
        .as_array()
        .unwrap()
        .clone();
    let newest = points.last().unwrap()["id"].as_str().unwrap().to_owned();
    env.run(&format!("restore assets@{newest} --to back --resume"))
        .expect_code(1);
    env.run("restore assets --to back --resume --include large")
        .expect_code(1);
    fs::create_dir(env.path("other")).unwrap();
    env.write("other/mine", "not yours");
    env.run("restore assets --to other --resume").expect_code(1);
    assert_eq!(fs::read_to_string(env.path("other/mine")).unwrap(), "not yours");
}
