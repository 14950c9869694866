//! `muster policy test`: the unit tests of policies by the conventions of `opa test`, and what they reach.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use muster_policies::{Coverage, Lines, RuleCoverage, TestOptions, TestOutcome, TestReport};

use crate::commands::check::Rego;
use crate::config::PolicySettings;
use crate::context::Context;
use crate::edge;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::{Table, Tone, printable, seconds};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Tests are rules named test_…; those named todo_test_… are skipped. A failing test, or less
coverage than --threshold asks for, is exit 6; an error, or no test at all, is exit 8.

JSON and YAML beside the policies become `data` where --data names them, or in a bundle (a folder
with a .manifest); others are named in a warning. Coverage counts the lines of policies on which a
statement or a rule stands, tests aside.

Examples:
  muster policy test policy/
  muster policy test policy/ --data fixtures/ --rego-version v0
  muster policy test policy/ --run 'main\\.test_deny' --verbose  with what each test printed
  muster policy test policy/ --coverage --threshold 90        also rules never true, never false"
)]
pub(crate) struct Test {
    /// Files and folders of .rego policies and their tests
    #[arg(value_name = "DIR", required = true)]
    paths: Vec<PathBuf>,
    /// Files and folders that become `data`
    #[arg(long, short, value_name = "FILE|DIR")]
    data: Vec<PathBuf>,
    /// The version of Rego that the policies are written in
    #[arg(long, value_enum, value_name = "VERSION", default_value = "auto")]
    rego_version: Rego,
    /// Run only tests whose full name (data.package.test_name) matches
    #[arg(long, short, value_name = "REGEX")]
    run: Option<String>,
    /// Tell which lines and rules the tests reach
    #[arg(long, short)]
    coverage: bool,
    /// Demand that at least this part of the lines is reached; implies --coverage
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    threshold: Option<f64>,
}

fn percent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("a number from 0 to 100 is wanted".to_owned()),
    }
}

pub(super) fn run(context: &Context, args: Test) -> Result<Exit, CommandError> {
    let options = TestOptions {
        data: args.data,
        rego_version: args.rego_version.into(),
        sandbox: Some(PolicySettings::default().or_of(context.named_config())?.sandbox()),
        run: args.run,
        coverage: args.coverage || args.threshold.is_some(),
        threshold: args.threshold,
        ..TestOptions::new(edge::now())
    };
    let report = muster_policies::test_policies(&args.paths, &options)?;
    warn(context, &report);
    context.ui.document(&report);
    results(context, &report);
    if let Some(coverage) = &report.coverage {
        reached(context, coverage);
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

/// One warning for each folder that holds files which might have been meant as data.
fn warn(context: &Context, report: &TestReport) {
    for bundle in &report.unverified {
        let what = format!("{bundle} is signed, and its signature is not verified");
        context.ui.warn(printable(what.as_bytes()));
    }
    let mut folders: BTreeMap<&Path, Vec<String>> = BTreeMap::new();
    for file in report.left_out.iter().map(Path::new) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = file.parent().unwrap_or(Path::new(""));
        folders.entry(folder).or_default().push(name);
    }
    for (folder, names) in folders {
        context.ui.warn(printable(
            format!(
                "not loaded as data: {} in {} (--data loads it)",
                names.join(", "),
                folder.display()
            )
            .as_bytes(),
        ));
    }
}

fn results(context: &Context, report: &TestReport) {
    let mut table = Table::new(&["!verdict", "~test", "~at", "?>took", "message"]);
    let quiet = |outcome| matches!(outcome, TestOutcome::Pass) && !context.ui.is_verbose();
    for result in report.results.iter().filter(|result| !quiet(result.verdict)) {
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
    let shown = |outcome| context.ui.is_verbose() || matches!(outcome, TestOutcome::Fail | TestOutcome::Error);
    let printed = report.results.iter().filter(|result| !result.prints.is_empty());
    for result in printed.filter(|result| shown(result.verdict)) {
        context.ui.say(format!("{}.{} printed:", result.package, result.name));
        for line in &result.prints {
            context.ui.say(format!("  {}", printable(line.as_bytes())));
        }
        context.ui.say("");
    }
}

fn reached(context: &Context, coverage: &Coverage) {
    let mut table = Table::new(&["~file", ">lines", "not reached"]);
    for file in &coverage.files {
        let tone = if file.not_covered.is_empty() {
            Tone::Good
        } else {
            Tone::Doubtful
        };
        table.row([
            (file.file.clone(), None),
            (format!("{} %", file.percent), Some(tone)),
            (lines(&file.not_covered), None),
        ]);
    }
    context.ui.table(&table);
    context.ui.say("");
    rules(context, "never true", &coverage.never_true);
    rules(context, "never false", &coverage.never_false);
    let met = match (coverage.met, coverage.threshold) {
        (Some(false), Some(least)) => context.ui.paint(Tone::Bad, &format!(": less than {least} %")),
        _ => String::new(),
    };
    context.ui.say(format!(
        "{} % of {} lines, {} % of the rules were true{met}",
        coverage.percent, coverage.lines, coverage.rules_percent
    ));
}

fn rules(context: &Context, what: &str, rules: &[RuleCoverage]) {
    if rules.is_empty() {
        return;
    }
    let mut table = Table::new(&[&format!("~{what}"), "~at", ""]);
    for rule in rules {
        table.plain([
            rule.name.clone(),
            format!("{}:{}", rule.file, rule.line),
            if rule.reached { "" } else { "never evaluated" }.to_owned(),
        ]);
    }
    context.ui.table(&table);
    context.ui.say("");
}

fn lines(lines: &[Lines]) -> String {
    let one = |Lines { start, end }: &Lines| match start == end {
        true => start.to_string(),
        false => format!("{start}-{end}"),
    };
    lines.iter().map(one).collect::<Vec<_>>().join(", ")
}
