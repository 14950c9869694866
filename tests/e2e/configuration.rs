//! What is wrong with a configuration or a command line is named, with exit 2, before anything is touched.

use muster_testkit::env::{Outcome, TestEnv};

use crate::env;

/// A place whose `muster.toml` is exactly `text`.
fn with(text: &str) -> TestEnv {
    let env = env();
    env.write("muster.toml", text);
    env
}

fn complete(stores: &str) -> String {
    format!("[repository]\nurl = \"file:///nowhere/repo\"\n[signing]\nkey = \"keys/signing.pem\"\n{stores}\n")
}

#[test]
fn a_missing_configuration_is_named() {
    let env = env();
    env.run("backup").expect_code(2).expect_error_to_name(&["muster.toml"]);
}

#[test]
fn text_that_is_not_toml_is_shown_with_its_place() {
    let env = with("[repository\nurl = 1\n");
    env.run("status").expect_code(2).expect_error_to_name(&["muster.toml"]);
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    let env = with(&complete(
        "[store.a]\nkind = \"files\"\npath = \"/srv\"\nexlude = [\"*.tmp\"]",
    ));
    env.run("status")
        .expect_code(2)
        .expect_error_to_name(&["exlude", "exclude"]);
    let env = with(&complete("[limts]\nmemory = \"1GiB\""));
    env.run("status")
        .expect_code(2)
        .expect_error_to_name(&["limts", "limits"]);
}

#[test]
fn each_wrong_value_names_its_key() {
    for (stores, key) in [
        ("[store.a]\nkind = \"postgers\"\nurl = \"postgresql://x\"", "kind"),
        ("[store.a]\nkind = \"files\"", "path"),
        ("[store.a]\nkind = \"files\"\npath = 7", "path"),
        (
            "[store.a]\nkind = \"files\"\npath = \"/srv\"\nobjectives = { rpo = \"soon\" }",
            "rpo",
        ),
        ("[limits]\nmemory = \"a lot\"", "memory"),
    ] {
        let env = with(&complete(stores));
        env.run("status").expect_code(2).expect_error_to_name(&[key]);
    }
    let env = with("[repository]\nurl = \"ftp://x/y\"\n[signing]\nkey = \"keys/signing.pem\"\n");
    env.run("status").expect_code(2).expect_error_to_name(&["url"]);
}

#[test]
fn a_store_url_of_another_scheme_is_exit_2() {
    let env = env();
    env.configure("[store.heroes]\nkind = \"postgres\"\nurl = \"http://db/x\"");
    env.ok("init");
    env.run("backup heroes")
        .expect_code(2)
        .expect_error_to_name(&["heroes", "url"]);
}

#[test]
fn an_error_is_one_json_document_when_json_is_asked_for() {
    let env = with(&complete("[store.a]\nkind = \"files\"\npath = 7"));
    let error = env.run("status --json").expect_code(2).json();
    assert_eq!(error["schema"], "muster.error/1");
    assert_eq!(error["exit_code"], 2);
    assert!(error["message"].as_str().unwrap().contains("path"), "{error}");
    assert!(error["hints"].is_array() && error["kind"].is_string(), "{error}");
}

#[test]
fn a_store_that_is_not_configured_is_a_usage_error() {
    let env = env();
    env.write("src/a", "a");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    for line in [
        "backup assetz",
        "rehearse assetz",
        "snapshots assetz",
        "ls assetz",
        "restore assetz --to back",
    ] {
        env.run(line).expect_code(2).expect_error_to_name(&["assetz", "assets"]);
    }
}

#[test]
fn an_unknown_command_or_option_is_a_usage_error() {
    let env = env();
    env.run("bakcup").expect_code(2);
    env.run("backup --no-such-option").expect_code(2);
}

#[test]
fn a_repository_that_is_not_there_is_exit_10() {
    let env = env();
    env.write("src/a", "a");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    std::fs::rename(env.path("repo"), env.path("elsewhere")).unwrap();
    for line in ["backup", "snapshots", "restore assets --to back", "verify --repository"] {
        env.run(line).expect_code(10);
    }
}

#[test]
fn no_empty_repository_is_made_where_one_was_seen_unless_its_url_is_repeated() {
    let env = env();
    env.write("src/a", "a");
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    env.ok("backup");
    std::fs::rename(env.path("repo"), env.path("unmounted")).unwrap();
    env.run("init")
        .expect_code(10)
        .expect_error_to_name(&["mount", "--repository"]);
    assert!(!env.path("repo/muster.dsse").exists());
    std::fs::rename(env.path("unmounted"), env.path("repo")).unwrap();
    env.ok("init");
    env.ok("restore assets --to back");
    std::fs::remove_dir_all(env.path("repo")).unwrap();
    env.ok(&format!("init --repository file://{}", env.text("repo")));
}

#[test]
fn init_keeps_what_is_there_and_changes_nothing_the_second_time() {
    let env = env();
    env.configure("[store.assets]\nkind = \"files\"\npath = \"src\"");
    env.ok("init");
    let everything = || -> Vec<_> {
        let names = muster_testkit::damage::files_beneath(&env.path(""));
        names
            .into_iter()
            .map(|name| (std::fs::read(env.path(&name)).unwrap(), name))
            .collect()
    };
    let before = everything();
    env.ok("init");
    assert!(before == everything(), "a second init changed something");
}

#[test]
fn init_without_a_configuration_writes_one_that_works() {
    let env = env();
    let init = || -> Outcome {
        let mut command = env.bare_command();
        command
            .args(["init", "--repository"])
            .arg(format!("file://{}", env.text("repo")));
        Outcome::of(command)
    };
    init().expect_code(0);
    assert!(env.path("muster.toml").exists() && env.path("repo/muster.dsse").exists());
    env.ok("verify --repository");
    init().expect_code(0);
}

#[test]
fn secret_keys_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let env = env();
    env.configure("");
    env.ok("init");
    for key in ["signing.pem", "rehearser.pem", "auditor.pem", "root.pem"] {
        let mode = std::fs::metadata(env.path("keys").join(key))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    assert!(env.path("keys/root.pub").exists());
}
