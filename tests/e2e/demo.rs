//! The demonstration: the whole loop on a machine that has nothing.

use muster_testkit::env::Outcome;

use crate::env;

#[test]
fn the_demo_shows_the_whole_loop_and_its_bundle_verifies() {
    let env = env();
    let run = |line: &str| {
        let mut command = env.bare_command();
        command.args(line.split_whitespace());
        Outcome::of(command)
    };
    let demo = run(&format!("demo --dir {} --keep --json", env.text("demo")))
        .expect_code(0)
        .json();
    let text = |key: &str| {
        demo[key]
            .as_str()
            .unwrap_or_else(|| panic!("no {key}: {demo}"))
            .to_owned()
    };
    for key in ["dir", "config", "bundle", "root_key"] {
        assert!(std::path::Path::new(&text(key)).is_absolute(), "{key} is not absolute");
    }
    assert!(text("repository").starts_with("file:///"));
    assert!(demo["backups"].as_array().unwrap().len() >= 2 && demo["duration_seconds"].is_number());
    for rehearsal in demo["rehearsals"].as_array().unwrap() {
        assert_eq!(rehearsal["verdict"], "PASS", "{rehearsal}");
    }
    let verified = run(&format!("verify {} --key {} --json", text("bundle"), text("root_key")))
        .expect_code(0)
        .json();
    assert_eq!(verified["valid"], true);
    run(&format!("--config {} verify --repository --read-data", text("config"))).expect_code(0);
}

#[test]
fn the_demo_leaves_nothing_when_it_is_not_asked_to() {
    let env = env();
    let mut command = env.bare_command();
    command.arg("demo");
    let shown = Outcome::of(command).expect_code(0).stdout;
    for word in ["PASS", "RTO", "muster verify"] {
        assert!(shown.contains(word), "a person would want to see {word}:\n{shown}");
    }
    env.assert_nothing_left();
}
