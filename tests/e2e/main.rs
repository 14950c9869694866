//! End-to-end tests: the binary as a user meets it, on real trees, databases, servers and faults.
//!
//! One module per topic. Each test has its own folder, HOME and repository; what a test cannot get, it fails for.

#![expect(clippy::unwrap_used, reason = "a surprise ends the test")]

mod configuration;
mod conftest;
mod damage;
mod demo;
mod encryption;
mod evidence;
mod files;
mod frameworks;
mod golden;
mod hostile;
mod incremental;
mod interruption;
mod ledger;
mod limits;
mod locks;
mod policies;
mod policies_authoring;
mod policies_truth;
mod postgres;
mod recover;
mod red;
mod rehearsal;
mod replay;
mod reports;
mod restore;
mod resume;
mod s3;
mod scheduling;
mod sqlite;
mod trust;
mod verify;
mod waivers;

use muster_testkit::env::TestEnv;

/// A fresh place with the binary under test.
fn env() -> TestEnv {
    TestEnv::new(env!("CARGO_BIN_EXE_muster"))
}
