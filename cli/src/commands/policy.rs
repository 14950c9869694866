//! `muster policy`: the rules that muster carries, and Rego's own unit tests.

use std::path::PathBuf;

use muster_policies::{TestOptions, TestOutcome};
use serde_json::json;

use super::check::Rego;
use crate::context::Context;
use crate::edge;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::{Table, Tone, printable, seconds};

/// The policies themselves
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Examples:
  muster policy list
  muster policy test policy/")]
pub(crate) enum Policy {
    /// List the rules of the profiles that muster carries
    #[command(after_help = "Examples:
  muster policy list
  muster policy list --json | jq '.rules[] | {rule, controls}'")]
    List,
    /// Run the unit tests in a folder of Rego policies
    #[command(after_help = "A failing test is exit 6; no test at all is exit 8.

Examples:
  muster policy test policy/
  muster policy test policy/ --data fixtures/ --rego-version v0")]
    Test {
        /// Files and folders of .rego policies and their tests
        #[arg(value_name = "DIR", required = true)]
        paths: Vec<PathBuf>,
        /// Files and folders that become `data`
        #[arg(long, short, value_name = "FILE|DIR")]
        data: Vec<PathBuf>,
        /// The version of Rego that the policies are written in
        #[arg(long, value_enum, value_name = "VERSION", default_value = "auto")]
        rego_version: Rego,
    },
}

pub(crate) fn run(context: &Context, args: Policy) -> Result<Exit, CommandError> {
    match args {
        Policy::List => list(context),
        Policy::Test {
            paths,
            data,
            rego_version,
        } => {
            let options = TestOptions {
                data,
                rego_version: rego_version.into(),
                now: edge::now(),
            };
            test(context, &paths, &options)
        }
    }
}

fn list(context: &Context) -> Result<Exit, CommandError> {
    let (mut documents, mut table) = (Vec::new(), Table::new(&["rule", "severity", "title"]));
    for profile in muster_policies::profiles() {
        for rule in muster_policies::rules(profile)? {
            let severity = rule.severity.map(|severity| format!("{severity:?}").to_lowercase());
            table.plain([
                rule.id.clone(),
                severity.clone().unwrap_or_default(),
                rule.title.clone(),
            ]);
            documents.push(json!({
                "profile": profile,
                "rule": rule.id,
                "title": rule.title,
                "description": rule.description,
                "severity": severity,
                "controls": rule.controls,
                "remedy": rule.remedy,
                "package": rule.package,
            }));
        }
    }
    context.ui.table(&table);
    context
        .ui
        .document(&json!({ "schema": "muster.policy list/1", "rules": documents }));
    Ok(Exit::Done)
}

fn test(context: &Context, paths: &[PathBuf], options: &TestOptions) -> Result<Exit, CommandError> {
    let report = muster_policies::test_policies(paths, options)?;
    context.ui.document(&report);
    let mut table = Table::new(&["verdict", "test", "at", ">took", "message"]);
    for result in &report.results {
        let (word, tone) = match result.verdict {
            TestOutcome::Pass => ("pass", Tone::Good),
            TestOutcome::Fail => ("FAIL", Tone::Bad),
            TestOutcome::Error => ("ERROR", Tone::Bad),
            TestOutcome::Skipped => ("skipped", Tone::Faint),
        };
        table.row([
            (word.to_owned(), Some(tone)),
            (format!("{}.{}", result.package, result.name), None),
            (format!("{}:{}", result.file, result.line), None),
            (seconds(result.duration_seconds), None),
            (printable(result.message.as_bytes()), None),
        ]);
    }
    if !table.is_empty() {
        context.ui.table(&table);
        context.ui.say("");
    }
    let summary = &report.summary;
    context.ui.say(format!(
        "{} pass, {} fail, {} error, {} skipped",
        summary.pass, summary.fail, summary.error, summary.skipped
    ));
    Ok(match report.exit_code() {
        0 => Exit::Done,
        6 => Exit::PolicyFailed,
        _ => Exit::CouldNotRun,
    })
}
