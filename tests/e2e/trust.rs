//! Who is believed: keys that are missing, of another repository, or of another role.

use std::fs;

use muster_signing::{SecretKey, inspect, payload, seal};
use muster_testkit::damage::files_beneath;
use muster_testkit::env::TestEnv;

use crate::env;

/// A repository with one snapshot of a small tree.
fn with_a_snapshot() -> TestEnv {
    let env = env();
    env.write("src/a", "a");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    env.ok("backup");
    env
}

fn manifest(env: &TestEnv) -> std::path::PathBuf {
    let name = files_beneath(&env.path("repo"))
        .into_iter()
        .find(|name| name.starts_with("snapshots/"))
        .unwrap();
    env.path("repo").join(name)
}

#[test]
fn a_missing_writer_key_is_exit_12() {
    let env = with_a_snapshot();
    fs::remove_file(env.path("keys/signing.pem")).unwrap();
    env.run("backup").expect_code(12).expect_error_to_name(&["signing.pem"]);
    env.ok("restore assets --to back");
}

#[test]
fn a_writer_key_of_another_repository_is_exit_12_and_nothing_is_written() {
    let env = with_a_snapshot();
    let other = with_a_snapshot();
    fs::copy(other.path("keys/signing.pem"), env.path("keys/signing.pem")).unwrap();
    let before = files_beneath(&env.path("repo"));
    env.run("backup").expect_code(12);
    assert_eq!(before, files_beneath(&env.path("repo")));
}

#[test]
fn a_key_of_one_role_does_not_write_for_another() {
    let env = with_a_snapshot();
    fs::copy(env.path("keys/rehearser.pem"), env.path("keys/signing.pem")).unwrap();
    env.run("backup").expect_code(12);
}

#[test]
fn another_root_is_exit_12_unless_the_unknown_signer_is_accepted() {
    let env = with_a_snapshot();
    let other = with_a_snapshot();
    fs::copy(other.path("keys/root.pub"), env.path("keys/root.pub")).unwrap();
    fs::remove_dir_all(env.path(".muster")).unwrap();
    env.run("verify --repository").expect_code(12);
    env.run("restore assets --to back").expect_code(12);
    assert!(!env.path("back/a").exists());
    let accepted = env.ok("restore assets --to back --accept-unknown-signer");
    assert_eq!(fs::read(env.path("back/a")).unwrap(), b"a");
    let said = format!("{}{}", accepted.stdout, accepted.stderr);
    assert!(
        said.contains("unknown"),
        "the report keeps quiet about the signer: {said}"
    );
}

#[test]
fn a_manifest_signed_by_an_unknown_key_is_exit_7_and_named() {
    let env = with_a_snapshot();
    resign(&env, &SecretKey::generate([7; 32]));
    refused(&env);
}

#[test]
fn a_manifest_signed_in_another_role_is_exit_7() {
    let env = with_a_snapshot();
    for role in ["rehearser", "auditor", "root"] {
        let pem = fs::read_to_string(env.path(format!("keys/{role}.pem"))).unwrap();
        resign(&env, &SecretKey::from_pem(&pem).unwrap());
        refused(&env);
    }
}

/// Signs the manifest's own payload with another key, in perfect form.
fn resign(env: &TestEnv, key: &SecretKey) {
    let path = manifest(env);
    let before = fs::read(&path).unwrap();
    let content = inspect(&before).unwrap();
    fs::write(&path, seal(payload::MANIFEST, &content.payload, key)).unwrap();
}

fn refused(env: &TestEnv) {
    let name = manifest(env).file_stem().unwrap().to_string_lossy().into_owned();
    let verified = env.run("verify --repository --read-data").expect_code(7);
    assert!(
        format!("{}{}", verified.stdout, verified.stderr).contains(&name),
        "it does not name {name}: {verified:?}"
    );
    env.run("restore assets --to back")
        .expect_code(7)
        .expect_error_to_name(&[&name]);
    assert!(!env.path("back/a").exists());
}

#[test]
fn white_space_in_an_envelope_is_exit_7() {
    let env = with_a_snapshot();
    let path = manifest(&env);
    let spaced = String::from_utf8(fs::read(&path).unwrap())
        .unwrap()
        .replacen(':', ": ", 1);
    fs::write(&path, spaced).unwrap();
    refused(&env);
}

#[test]
fn an_older_state_of_the_log_is_refused_by_a_host_that_remembers() {
    let env = with_a_snapshot();
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(env.path("repo"))
        .arg(env.path("older"))
        .status();
    assert!(status.unwrap().success());
    env.write("src/b", "b");
    env.ok("backup");
    fs::remove_dir_all(env.path("repo")).unwrap();
    fs::rename(env.path("older"), env.path("repo")).unwrap();
    env.run("restore assets --to back").expect_code(7);
}
