//! `muster check`: policies over files, by Conftest's conventions. Needs no configuration, key, repository or network.

mod base;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use muster_policies::{CheckOptions, Finding, Form, Namespaces, RegoVersion, Report, Status, Verdict};

use crate::config::{PolicySettings, policy_memory, policy_time};
use crate::context::Context;
use crate::edge;
use crate::error::{CommandError, Kind, usage};
use crate::exit::Exit;
use crate::ui::{Table, Tone, Ui, printable};

/// The largest document on standard input.
const MAX_STDIN: u64 = 64 << 20;

/// Judge configuration files by Rego policies
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Policies follow Conftest's conventions: sets named deny, violation or warn (also deny_…), of
messages or of objects with msg. A rule without a message on a document is one pass. A run in
which nothing was evaluated is exit 8, not green.

Examples:
  muster check deployment.yaml                             by the policies in ./policy
  muster check k8s/ --policy policy/ --namespace kubernetes
  terraform show -json plan.out | muster check - --policy policy/ --all-namespaces --json
  muster check infra/ --base origin/main --output github   only what this change brings counts
  muster check 'k8s/**/*.yaml' --waivers waivers.toml --output sarif --out check.sarif
  muster check facts.json --profile dr-baseline            facts from an evidence bundle"
)]
pub(crate) struct Check {
    /// Files and folders to judge; - is standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Files and folders of .rego policies [default: policy, unless a profile is named]
    #[arg(long, short, value_name = "DIR")]
    policy: Vec<PathBuf>,
    /// A profile that muster carries
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// Files and folders that become `data` [default: none]
    #[arg(long, short, value_name = "FILE|DIR")]
    data: Vec<PathBuf>,
    /// The package that holds the rules; may be repeated
    #[arg(
        long,
        short,
        value_name = "NS",
        default_value = "main",
        conflicts_with = "all_namespaces"
    )]
    namespace: Vec<String>,
    /// Judge by every package that holds a rule
    #[arg(long)]
    all_namespaces: bool,
    /// The version of Rego that the policies are written in
    #[arg(long, value_enum, value_name = "VERSION", default_value = "auto")]
    rego_version: Rego,
    /// How to print the verdicts
    #[arg(long, short, value_enum, value_name = "FORMAT", default_value = "table")]
    output: Output,
    /// Write the report there instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The format of every input, whatever the files are called (yaml, json, hcl2, dockerfile, …)
    #[arg(long, value_name = "NAME")]
    parser: Option<String>,
    /// Judge all files together: `input` is a list of {path, contents}
    #[arg(long)]
    combine: bool,
    /// Leave out paths in folders that match this regular expression
    #[arg(long, value_name = "REGEX")]
    ignore: Option<String>,
    /// A rule, by its id, that must report: none is an error, exit 8; may be repeated
    #[arg(long, value_name = "RULE")]
    require: Vec<String>,
    /// Folders of .proto files, by which .textproto files are read
    #[arg(long, value_name = "DIR", value_delimiter = ',')]
    proto_file_dirs: Vec<PathBuf>,
    /// Who answers for what does not hold, and until when [default: policy.waivers]
    #[arg(long, value_name = "FILE")]
    waivers: Option<PathBuf>,
    /// Judge this git revision too; only what is new since then counts
    #[arg(long, value_name = "REF")]
    base: Option<String>,
    /// Refuse unused locals and imports; a verdict that leaned on a built-in's suppressed error is an error
    #[arg(long)]
    strict: bool,
    /// How much the process that evaluates the policies may allocate [default: policy.memory, else 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = policy_memory)]
    memory: Option<u64>,
    /// How long one rule may take on one document [default: policy.time, else 30s]
    #[arg(long, value_name = "DURATION", value_parser = policy_time)]
    time: Option<Duration>,
}

/// A version of Rego.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Rego {
    Auto,
    V0,
    V1,
}

impl From<Rego> for RegoVersion {
    fn from(version: Rego) -> Self {
        match version {
            Rego::Auto => Self::Auto,
            Rego::V0 => Self::V0,
            Rego::V1 => Self::V1,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
    Tap,
    Junit,
    Github,
    Sarif,
    Markdown,
}

impl Output {
    fn form(self) -> Option<Form> {
        Some(match self {
            Self::Table | Self::Json => return None,
            Self::Tap => Form::Tap,
            Self::Junit => Form::Junit,
            Self::Github => Form::Github,
            Self::Sarif => Form::Sarif,
            Self::Markdown => Form::Markdown,
        })
    }
}

pub(crate) fn run(context: &Context, args: Check) -> Result<Exit, CommandError> {
    let mut options = CheckOptions::new(edge::now());
    options.policies = args.policy;
    if options.policies.is_empty() && args.profile.is_empty() {
        let usual = PathBuf::from("policy");
        if !usual.exists() {
            return Err(usage("nothing to judge by: there is no folder ./policy")
                .hint("muster check PATH --policy DIR")
                .hint("muster check PATH --profile dr-baseline"));
        }
        options.policies.push(usual);
    }
    options.profiles = args.profile;
    options.data = args.data;
    options.namespaces = if args.all_namespaces {
        Namespaces::All
    } else {
        Namespaces::Named(args.namespace)
    };
    options.rego_version = args.rego_version.into();
    options.strict = args.strict;
    let settings = PolicySettings {
        memory: args.memory,
        time: args.time,
        waivers: args.waivers,
    };
    let settings = settings.or_of(context.named_config())?;
    options.sandbox = Some(settings.sandbox());
    options.waivers = settings.waivers;
    options.parser = args.parser;
    options.combine = args.combine;
    options.ignore = args.ignore;
    options.required = args.require;
    options.protos = args.proto_file_dirs;
    if args.paths.iter().any(|path| path.as_os_str() == "-") {
        let failed = |error| CommandError::new(Kind::CouldNotRun, error).context("read standard input");
        std::io::stdin()
            .lock()
            .take(MAX_STDIN + 1)
            .read_to_end(&mut options.stdin)
            .map_err(failed)?;
        if options.stdin.len() as u64 > MAX_STDIN {
            return Err(CommandError::new(
                Kind::CouldNotRun,
                "standard input is longer than 64 MiB",
            ));
        }
    }
    let mut report = muster_policies::check(&args.paths, &options)?;
    if let Some(revision) = &args.base {
        report.compare(&base::report(revision, &args.paths, &options)?);
    }
    for line in &report.prints {
        context.ui.note(printable(line.as_bytes()));
    }
    print(context, args.output, args.out.as_deref(), &report)?;
    Ok(exit(&report))
}

fn print(context: &Context, output: Output, out: Option<&Path>, report: &Report) -> Result<(), CommandError> {
    let json = output == Output::Json || (output == Output::Table && context.ui.is_json());
    let text = match output.form() {
        Some(form) => {
            let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
            let run = muster_policies::Run {
                version: env!("CARGO_PKG_VERSION"),
                now: edge::now(),
                root: &here,
            };
            let rendered = muster_policies::render(report, form, run);
            if rendered.left_out > 0 {
                context.ui.warn(format!(
                    "{} results are left out, the least bad ones: GitHub refuses more than it was given (--output json has all)",
                    rendered.left_out
                ));
            }
            rendered.text
        }
        None if out.is_none() => {
            let ui = if json { context.ui.as_json() } else { context.ui.clone() };
            ui.document(report);
            show(&ui, report);
            return Ok(());
        }
        None if json => {
            let failed = |error| CommandError::new(Kind::Failed, error).context("write the report as JSON");
            format!("{}\n", serde_json::to_string_pretty(report).map_err(failed)?)
        }
        None => {
            return Err(usage(
                "--out needs a form for files: add --output json, tap, junit, github, sarif or markdown",
            ));
        }
    };
    match out {
        None => context.ui.product(&text),
        Some(file) => {
            let failed = |error| {
                CommandError::new(Kind::Failed, error).context(format!("write the report to {}", file.display()))
            };
            std::fs::write(file, text).map_err(failed)?;
            show(&context.ui, report);
        }
    }
    Ok(())
}

/// What the whole report means to a script.
pub(crate) fn exit(report: &Report) -> Exit {
    match report.status() {
        Status::Failed => Exit::PolicyFailed,
        Status::Incomplete => Exit::CouldNotRun,
        Status::Unknown => Exit::Incomplete,
        Status::Clean => Exit::Done,
    }
}

/// The verdicts for a human: everything that asks for attention, the worst first, then the count. With `-v` all of them.
pub(crate) fn show(ui: &Ui, report: &Report) {
    let mut table = Table::new(&["!verdict", "!base", "severity", "~rule", "~at", "~resource", "message"]);
    let quiet = [Verdict::Pass, Verdict::NotApplicable];
    let mut findings: Vec<&Finding> = report
        .results
        .iter()
        .filter(|finding| ui.is_verbose() || !quiet.contains(&finding.verdict))
        .collect();
    let order = |finding: &&Finding| {
        let worst = (rank(finding.verdict), finding.severity.is_none(), finding.severity);
        (!finding.counts(), worst)
    };
    findings.sort_by_key(order);
    let mut told: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for finding in findings {
        let at = match (&finding.file, finding.line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            (Some(file), None) => file.clone(),
            (None, _) => String::new(),
        };
        let resource = match &finding.file {
            Some(file) if finding.resource == *file => "",
            _ => &finding.resource,
        };
        // One cause (a server that is down) would fill the screen once for each rule.
        let first = *told
            .entry((&finding.resource, &finding.message))
            .or_insert(&finding.rule);
        let message = if first != finding.rule && finding.message.len() > 60 {
            format!("the same as {first}")
        } else {
            match &finding.suppressed {
                Some(why) => format!("{} (leaned on a suppressed error: {why})", finding.message),
                None => finding.message.clone(),
            }
        };
        let severity = finding
            .severity
            .map(|severity| format!("{severity:?}").to_lowercase())
            .unwrap_or_default();
        table.row([
            (word(finding).to_owned(), Some(tone(finding))),
            (finding.baseline.unwrap_or_default().to_owned(), None),
            (severity, None),
            (printable(finding.rule.as_bytes()), None),
            (printable(at.as_bytes()), None),
            (printable(resource.as_bytes()), None),
            (printable(message.as_bytes()), None),
        ]);
    }
    if !table.is_empty() {
        ui.table(&table);
        ui.say("");
    }
    let summary = &report.summary;
    let counts = [
        ("pass", summary.pass, Tone::Good),
        ("fail", summary.fail, Tone::Bad),
        ("warn", summary.warn, Tone::Doubtful),
        ("not applicable", summary.not_applicable, Tone::Faint),
        ("unknown", summary.unknown, Tone::Doubtful),
        ("error", summary.error, Tone::Bad),
        ("waived", summary.waived, Tone::Faint),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(name, count, _)| *count > 0 || *name == "pass" || *name == "fail")
        .map(|(name, count, tone)| ui.paint(if count > 0 { tone } else { Tone::Faint }, &format!("{count} {name}")))
        .collect();
    let old = report.results.iter().filter(|finding| !finding.counts());
    let bad = [Verdict::Fail, Verdict::Error, Verdict::Unknown];
    let old = old.filter(|finding| bad.contains(&finding.verdict)).count();
    let before = match old {
        0 => String::new(),
        old => format!("; {old} of them stood in the base too and do not count"),
    };
    ui.say(format!("{}{before}", counts.join(", ")));
    let leaned = report
        .results
        .iter()
        .filter(|finding| finding.suppressed.is_some())
        .count();
    if leaned > 0 {
        ui.say(format!(
            "{leaned} of them leaned on a suppressed error (-v names them, --strict makes them errors)"
        ));
    }
}

/// What matters first.
fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fail => 0,
        Verdict::Error => 1,
        Verdict::Unknown => 2,
        Verdict::Warn => 3,
        Verdict::Waived => 4,
        Verdict::Pass => 5,
        Verdict::NotApplicable => 6,
    }
}

fn word(finding: &Finding) -> &'static str {
    match finding.verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "FAIL",
        Verdict::Warn => "warn",
        Verdict::NotApplicable => "n/a",
        Verdict::Unknown => "unknown",
        Verdict::Error => "ERROR",
        Verdict::Waived => "waived",
    }
}

fn tone(finding: &Finding) -> Tone {
    match finding.verdict {
        Verdict::Pass => Tone::Good,
        _ if !finding.counts() => Tone::Faint,
        Verdict::Fail | Verdict::Error => Tone::Bad,
        Verdict::Warn | Verdict::Unknown => Tone::Doubtful,
        Verdict::NotApplicable | Verdict::Waived => Tone::Faint,
    }
}
