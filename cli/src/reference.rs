//! `docs/cli-reference.md` is what clap prints, so that it cannot drift: a test compares them.

use std::fmt::Write;
use std::path::Path;

use clap::{Command, CommandFactory};

use crate::args::Cli;

/// The whole reference.
fn render() -> String {
    let mut text = String::from(
        "# Command-line reference\n\nGenerated from the program's own help. After a change of the command line:\n\
         `MUSTER_BLESS=1 cargo nextest run -p muster reference`.\n",
    );
    let mut root = Cli::command().term_width(100);
    root.build();
    section(&mut text, &mut root, "muster");
    text
}

fn section(text: &mut String, command: &mut Command, path: &str) {
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(text, "\n## `{path}`\n\n```text\n{}\n```\n", help.join("\n").trim());
    for child in command
        .get_subcommands_mut()
        .filter(|child| child.get_name() != "help" && !child.is_hide_set())
    {
        let path = format!("{path} {}", child.get_name());
        section(text, child, &path);
    }
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_reference_says_what_the_program_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli-reference.md");
    let rendered = render();
    if std::env::var_os("MUSTER_BLESS").is_some() {
        std::fs::write(&path, &rendered).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == rendered,
        "docs/cli-reference.md is out of date: MUSTER_BLESS=1 cargo nextest run -p muster reference"
    );
}

#[test]
fn every_command_has_examples() {
    fn visit(command: &Command, path: &str) {
        let children: Vec<&Command> = command
            .get_subcommands()
            .filter(|child| child.get_name() != "help")
            .collect();
        if children.is_empty() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("muster "), "{path} --help shows no example");
        }
        for child in children {
            visit(child, &format!("{path} {}", child.get_name()));
        }
    }
    visit(&Cli::command(), "muster");
}
