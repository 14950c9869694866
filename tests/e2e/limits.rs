//! Rates that a run is held to. Only a run that is too fast is wrong: how slow one is the machine decides.

use std::time::{Duration, Instant};

use muster_testkit::env::TestEnv;
use muster_testkit::trees::{assert_same, noise};

use crate::files::assets;

const MIB: usize = 1 << 20;

/// Runs it; it must take as long as two seconds' worth of bytes do, but for the tenth of a second that is given beforehand.
#[track_caller]
fn takes_two_seconds(env: &TestEnv, line: &str) {
    let started = Instant::now();
    env.ok(line);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(1900), "{line} took {took:?}");
}

#[test]
fn the_limits_of_a_run_hold_at_the_source_and_at_the_storage() {
    let env = assets("");
    env.write("src/a", noise(2 * MIB, 1));
    takes_two_seconds(&env, "backup assets --limit-read 1MiB");
    env.write("src/b", noise(2 * MIB, 2));
    takes_two_seconds(&env, "backup assets --limit-upload 1MiB");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"\n\n[limits]\nread = \"2MiB\"");
    takes_two_seconds(&env, "restore assets --to back");
    assert_same(&env.path("src"), &env.path("back"));
}
