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
    configuration(&mut text);
    text
}

fn section(text: &mut String, command: &mut Command, path: &str) {
    // The global options are told once, by the program itself.
    let nested = path.contains(' ');
    let mut shown = command.clone().mut_args(|arg| {
        let hide = nested && arg.is_global_set();
        arg.hide(hide)
    });
    let help = shown.render_long_help().to_string();
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

fn configuration(text: &mut String) {
    let _ = write!(
        text,
        "\n## `muster.toml`\n\nWhat `muster init` writes where there is no configuration:\n\n```toml\n{}```\n\n\
         An unknown key is an error. So is a key of the documented configuration that this version cannot honour: a backup that is\n\
         believed to be encrypted, locked or copied and is not would be worse than none.\n\n| refused key | because |\n| --- | --- |\n",
        crate::config::TEMPLATE.replace("@URL@", "file:///var/lib/muster")
    );
    for (key, promise) in crate::config::refused_keys() {
        let _ = writeln!(text, "| `{key}` | {promise}, which this version does not do |");
    }
}

#[test]
fn help_is_set_by_hand_and_fits() {
    fn visit(command: &Command, path: &str) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in help.lines() {
            assert!(
                line.chars().count() <= 98,
                "{path} --help: clap would break this line: {line}"
            );
        }
        command
            .get_subcommands()
            .for_each(|child| visit(child, &format!("{path} {}", child.get_name())));
    }
    visit(&Cli::command(), "muster");
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
