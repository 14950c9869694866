//! Bundles: they carry the chain, verify with the public key alone, and any other byte is refused.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use muster_testkit::damage::{Damage, files_beneath};
use muster_testkit::env::{Outcome, TestEnv};

use crate::env;

/// A place with a snapshot, a rehearsal and a bundle over both.
fn audited() -> (TestEnv, PathBuf) {
    let env = env();
    env.write("src/a", "a");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"\nobjectives = { rpo = \"1h\", rto = \"5m\" }");
    env.ok("init");
    env.ok("backup");
    env.ok("rehearse");
    let bundle = env.path("evidence.tar");
    let audit = env.run(&format!("audit --out {} --json", bundle.display()));
    assert!(matches!(audit.code, 0 | 3 | 6), "{audit:?}"); // findings are not failures of the audit itself
    let document = audit.json();
    assert_eq!(document["schema"], "muster.audit/1");
    assert!(document["bundle_digest"].as_str().unwrap().starts_with("sha256:"));
    assert!(document["results"].as_array().unwrap().len() >= 10, "{document}");
    (env, bundle)
}

/// `muster verify` as an auditor runs it: no configuration, no repository, only the bundle and the root's public key.
fn verify(env: &TestEnv, bundle: &std::path::Path, key: Option<&str>) -> Outcome {
    let mut command = env.bare_command();
    let elsewhere = env.path("auditor");
    fs::create_dir_all(&elsewhere).unwrap();
    command.current_dir(elsewhere).arg("verify").arg(bundle).arg("--json");
    if let Some(key) = key {
        command.arg("--key").arg(env.path(key));
    }
    Outcome::of(command)
}

#[test]
fn a_bundle_verifies_offline_with_the_public_key_alone() {
    let (env, bundle) = audited();
    fs::remove_dir_all(env.path("repo")).unwrap();
    let verified = verify(&env, &bundle, Some("keys/root.pub")).expect_code(0).json();
    assert_eq!(verified["valid"], true);
    assert_eq!(verified["removal"], "self-asserted", "nothing was pinned");
    assert!(
        !verified["not_shown"].as_array().unwrap().is_empty(),
        "it claims to show everything"
    );
    assert!(
        !verified["signed_by"].as_array().unwrap().is_empty() && !verified["subject"].as_array().unwrap().is_empty()
    );
    assert!(
        verified["checks"]
            .as_array()
            .unwrap()
            .iter()
            .all(|check| check["passed"] == true),
        "{verified}"
    );
}

#[test]
fn a_bundle_carries_inputs_policies_results_rehearsals_and_manifests() {
    let (env, bundle) = audited();
    let listing = Command::new("tar")
        .arg("tf")
        .arg(&bundle)
        .current_dir(env.path(""))
        .output()
        .unwrap();
    let names = String::from_utf8(listing.stdout).unwrap();
    for part in [
        "inputs/",
        "polic",
        "results",
        "rehearsals/",
        "manifests/",
        "statement.dsse.json",
        "SHA256SUMS",
        "VERIFY.md",
    ] {
        assert!(names.contains(part), "no {part} in\n{names}");
    }
}

#[test]
fn without_a_root_the_signer_is_unknown_and_the_answer_is_not_valid() {
    let (env, bundle) = audited();
    let verified = verify(&env, &bundle, None).expect_code(12).json();
    assert_eq!(verified["valid"], false, "{verified}");
}

#[test]
fn another_root_does_not_make_a_bundle_valid() {
    let (env, bundle) = audited();
    let other = crate::env();
    other.configure("");
    other.ok("init");
    fs::copy(other.path("keys/root.pub"), env.path("other.pub")).unwrap();
    let verified = verify(&env, &bundle, Some("other.pub"));
    assert!(matches!(verified.code, 7 | 12), "{verified:?}");
}

#[test]
fn any_changed_byte_of_a_bundle_is_exit_7() {
    let (env, bundle) = audited();
    let whole = fs::read(&bundle).unwrap();
    let changed = env.path("changed.tar");
    // Each byte of the first two headers and of the end, and one in every 997 between: names, padding, checksums, contents, blocks of zeros.
    let sample = (0..1024)
        .chain((1024..whole.len()).step_by(997))
        .chain(whole.len() - 1024..whole.len())
        .step_by(3);
    let mut accepted = Vec::new();
    for at in sample {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x11;
        fs::write(&changed, bytes).unwrap();
        let code = verify(&env, &changed, Some("keys/root.pub")).code;
        if code != 7 {
            accepted.push((at, code));
        }
    }
    assert!(accepted.is_empty(), "of {} bytes: {accepted:?}", whole.len());
    for damage in [Damage::Truncate, Damage::Extend] {
        fs::write(&changed, &whole).unwrap();
        let _damaged = damage.to(&changed);
        verify(&env, &changed, Some("keys/root.pub")).expect_code(7);
    }
}

#[test]
fn a_bundle_repacked_by_tar_is_exit_7() {
    let (env, bundle) = audited();
    fs::create_dir(env.path("open")).unwrap();
    let run = |line: &str| {
        assert!(
            Command::new("sh")
                .args(["-c", line])
                .current_dir(env.path(""))
                .status()
                .unwrap()
                .success()
        )
    };
    run(&format!(
        "tar -C open -xf {} && tar -C open -cf repacked.tar .",
        bundle.display()
    ));
    verify(&env, &env.path("repacked.tar"), Some("keys/root.pub")).expect_code(7);
}

/// The commands of VERIFY.md, exactly as they stand there: its shell blocks, one after the other.
fn commands_of(page: &str) -> String {
    let blocks = page.split("\n```sh\n").skip(1);
    let commands: Vec<&str> = blocks.filter_map(|rest| rest.split("\n```").next()).collect();
    commands.join("\n")
}

#[test]
fn the_commands_of_verify_md_work_with_openssl_and_sha256sum_and_see_a_change() {
    let (env, bundle) = audited();
    let folder = env.path("open");
    fs::create_dir(&folder).unwrap();
    assert!(
        Command::new("tar")
            .arg("-C")
            .arg(&folder)
            .arg("-xf")
            .arg(&bundle)
            .status()
            .unwrap()
            .success()
    );
    let commands = commands_of(&fs::read_to_string(folder.join("VERIFY.md")).unwrap());
    for word in ["openssl", "sha256sum"] {
        assert!(commands.contains(word), "no {word} in\n{commands}");
    }
    let run = || {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &commands])
            .current_dir(&folder)
            .env("ROOT", env.path("keys/root.pub"));
        Outcome::of(shell)
    };
    assert!(run().expect_code(0).stdout.ends_with("every check passed\n"));
    let mut unseen = Vec::new();
    for name in files_beneath(&folder) {
        let _damaged = Damage::Flip.to(&folder.join(&name));
        // A changed guide may no longer be a script; what it checks, the untouched commands find.
        if run().code == 0 {
            unseen.push(name);
        }
    }
    // The list of sums and the envelope repeat what other files hold; a change of the one is a change of what it is compared with.
    assert!(unseen.is_empty(), "changed without being seen: {unseen:?}");
}

#[test]
fn a_bundle_says_what_fails_and_what_it_does_not_show_to_whoever_reads_or_verifies_it() {
    let (env, _) = audited();
    let whole = fs::read_to_string(env.path("muster.toml")).unwrap();
    env.write("muster.toml", whole.replace("[store.assets]", "[store.others]"));
    let bundle = env.path("less.tar");
    env.run(&format!("audit --out {}", bundle.display())).expect_code(6);
    let verified = verify(&env, &bundle, Some("keys/root.pub")).expect_code(0).json();
    let said = verified["not_shown"].as_array().unwrap().iter();
    let said: Vec<&str> = said.map(|line| line.as_str().unwrap()).collect();
    let shown = env
        .run("evidence show less.tar --key keys/root.pub")
        .expect_code(0)
        .stdout;
    for words in [
        "no inventory was declared",
        "store assets, which a writer's configuration named",
    ] {
        assert!(said.iter().any(|line| line.contains(words)), "{said:?}");
        let told = |line: &str| line.starts_with("not shown: ") && line.contains(words);
        assert!(shown.lines().any(told), "{shown}");
    }
    let failing = |line: &str| line.starts_with("fail ") && line.contains("DR-001") && line.contains("others");
    assert!(shown.lines().any(failing), "{shown}");
    let store = |line: &str| line.starts_with("others ") && line.contains("never");
    assert!(shown.lines().any(store), "{shown}");
}
