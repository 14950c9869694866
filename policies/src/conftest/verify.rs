//! `conftest verify`: the unit tests of the policies, as results or as OPA's report.

use super::load;
use super::render::{go_duration, quoted};
use super::results::{CheckResult, Outcome, QueryResult, Results};
use super::test::{matching, namespaces, traces};
use super::{Failed, Settings};
use crate::check::reference;
use crate::engine::on_deep_stack;
use crate::unit_tests::{Ran, TestOutcome, run_each};

/// One unit test, for the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    name: String,
    file: String,
    line: u32,
    verdict: TestOutcome,
    seconds: f64,
    message: String,
    prints: Vec<String>,
    notes: Vec<String>,
    traces: Vec<String>,
}

/// What all unit tests gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Each test as a result.
    pub results: Results,
    /// Each test for [`report`].
    pub units: Vec<Unit>,
}

/// Runs the unit tests of all namespaces, or of those that the patterns name.
///
/// # Errors
/// Policies that do not load; a test that ends in an error.
pub fn verify(patterns: &[String], settings: &Settings) -> Result<Verified, Failed> {
    on_deep_stack(|| run(patterns, settings))?
}

fn run(patterns: &[String], settings: &Settings) -> Result<Verified, Failed> {
    let engine = load::load(settings, true)?.engine;
    let allowed = match patterns {
        [] => None,
        patterns => Some(matching(&namespaces(&engine), patterns)?),
    };
    let trace = settings.trace;
    let ran = run_each(
        &engine,
        &|session| {
            if trace {
                session.watch();
            }
        },
        &|session, query, evaluation| match trace {
            true => traces(&engine, session, query, evaluation),
            false => Vec::new(),
        },
    );
    let mut verified = Verified {
        results: Results::new(),
        units: Vec::new(),
    };
    for ran in ran {
        let package = reference(&ran.result.package, "x");
        let package = package[..package.len() - ".x".len()].to_owned();
        let is_allowed = |allowed: &Vec<String>| allowed.iter().any(|name| package["data.".len()..] == **name);
        if !allowed.as_ref().is_none_or(is_allowed) {
            continue;
        }
        let failed = match (&ran.suppressed, ran.result.verdict) {
            (_, TestOutcome::Error) => Some(&ran.result.message),
            (Some(why), _) if settings.show_builtin_errors => Some(why),
            _ => None,
        };
        if let Some(why) = failed {
            return Err(Failed(format!(
                "run test: {}:{}: {why}",
                ran.result.file, ran.result.line
            )));
        }
        verified.results.push(result(&ran, &package));
        verified.units.push(Unit {
            name: format!("{package}.{}", ran.result.name),
            file: ran.result.file,
            line: ran.result.line,
            verdict: ran.result.verdict,
            seconds: ran.result.duration_seconds,
            message: ran.result.message,
            prints: ran.prints,
            notes: ran.notes,
            traces: ran.traces,
        });
    }
    Ok(verified)
}

fn result(ran: &Ran, package: &str) -> CheckResult {
    let name = &ran.result.name;
    let outcome = Outcome {
        message: match ran.result.verdict {
            TestOutcome::Pass => String::new(),
            _ => format!("{package}.{name}"),
        },
        ..Outcome::default()
    };
    let mut result = CheckResult {
        filename: ran.result.file.clone(),
        queries: vec![QueryResult {
            query: name.clone(),
            results: vec![outcome.clone()],
            traces: ran.traces.clone(),
            outputs: Vec::new(),
        }],
        ..CheckResult::default()
    };
    match ran.result.verdict {
        TestOutcome::Pass => result.successes = 1,
        TestOutcome::Skipped => result.skipped.push(outcome),
        _ => result.failures.push(outcome),
    }
    result
}

/// OPA's report of the tests, with what failed at length: `notes` what was said with `trace`, `full` also the lines that were reached.
pub fn report(units: &[Unit], kind: &str) -> String {
    let rule = "-".repeat(80);
    let mut out = String::new();
    let mut last: Option<&str> = None;
    for unit in units {
        if last.is_some_and(|last| last != unit.file) {
            out.push('\n');
        }
        last = Some(&unit.file);
        out.push_str(&format!("{}:{}:\n{}\n", unit.file, unit.line, unit.line()));
        if !unit.prints.is_empty() {
            let said: Vec<&str> = unit.prints.iter().map(|line| said(line)).collect();
            out.push_str(&format!("\n{}\n", indented(said.join("\n").trim())));
        }
    }
    let failures: Vec<&Unit> = units.iter().filter(|unit| unit.verdict == TestOutcome::Fail).collect();
    if !failures.is_empty() {
        out.push_str(&format!("{rule}\nFAILURES\n{rule}\n"));
        for unit in &failures {
            out.push_str(&format!("{}\n\n", unit.line()));
            let mut lines: Vec<String> = match kind {
                "full" => unit.traces.clone(),
                "notes" => unit.notes.iter().map(|note| format!("Note {}", quoted(note))).collect(),
                _ => Vec::new(),
            };
            if kind != "full" {
                lines.push(format!("Fail {}: {}", unit.name, unit.message));
            }
            lines.iter().for_each(|line| out.push_str(&indented(line)));
            out.push_str(&format!("\n{}\n", indented(&format!("{}:{}:", unit.file, unit.line))));
        }
    }
    if !units.is_empty() {
        out.push_str(&format!("{rule}\n"));
    }
    for (word, verdict) in [
        ("PASS", TestOutcome::Pass),
        ("FAIL", TestOutcome::Fail),
        ("SKIPPED", TestOutcome::Skipped),
    ] {
        let count = units.iter().filter(|unit| unit.verdict == verdict).count();
        if count > 0 {
            out.push_str(&format!("{word}: {count}/{}\n", units.len()));
        }
    }
    out
}

impl Unit {
    fn line(&self) -> String {
        match self.verdict {
            TestOutcome::Pass => format!("{}: PASS ({})", self.name, go_duration(self.seconds)),
            TestOutcome::Skipped => format!("{}: SKIPPED", self.name),
            _ => format!("{}: FAIL ({})", self.name, go_duration(self.seconds)),
        }
    }
}

/// What was printed, without its place.
fn said(line: &str) -> &str {
    let mut parts = line.splitn(3, ':');
    match (parts.next(), parts.next().map(str::parse::<u32>), parts.next()) {
        (Some(_), Some(Ok(_)), Some(said)) => said.strip_prefix(' ').unwrap_or(said),
        _ => line,
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}
