//! Rego's own unit tests, by the conventions of `opa test`.
//!
//! A rule `test_…` passes when it is true, fails when it is false or undefined, and is an error when its evaluation
//! is; `todo_test_…` is skipped. No test at all is no success: the report says so by its status.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Instant;

use regex::Regex;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use crate::builtins::{Files, World};
use crate::bundles::Places;
use crate::check::reference;
use crate::coverage::{Collector, Coverage};
use crate::engine::{Engine, Evaluation, Head, Session, on_deep_stack};
use crate::sandbox::Sandbox;
use crate::sources::{self, PolicyError, RegoVersion};

/// What to test with.
#[derive(Debug, Clone)]
pub struct TestOptions {
    /// Files and folders of JSON and YAML that become `data`.
    pub data: Vec<PathBuf>,
    /// Which version of Rego the policies are written in.
    pub rego_version: RegoVersion,
    /// The time that `time.now_ns()` gives.
    pub now: OffsetDateTime,
    /// Where the tests are evaluated; none is this process.
    pub sandbox: Option<Sandbox>,
    /// Only tests whose full name, `data.package.test_name`, matches this regular expression.
    pub run: Option<String>,
    /// Whether it is found out what the tests reach.
    pub coverage: bool,
    /// The least part of the lines that must be reached, in percent.
    pub threshold: Option<f64>,
}

impl TestOptions {
    /// All tests, in this process, at this time.
    pub fn new(now: OffsetDateTime) -> Self {
        Self {
            data: Vec::new(),
            rego_version: RegoVersion::Auto,
            now,
            sandbox: None,
            run: None,
            coverage: false,
            threshold: None,
        }
    }
}

/// The outcome of one test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum TestOutcome {
    Pass,
    Fail,
    Error,
    Skipped,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestResult {
    /// The package that holds it, without `data.`.
    pub package: String,
    /// The rule's name; a second test of one name carries `#01`, as with OPA.
    pub name: String,
    /// What became of it.
    pub verdict: TestOutcome,
    /// The file that holds it.
    pub file: String,
    /// Its line, one-based.
    pub line: u32,
    /// Why, where it did not pass; and the built-in error that was suppressed, if any.
    pub message: String,
    /// What it printed.
    pub prints: Vec<String>,
    /// How long it took, by the monotonic clock.
    pub duration_seconds: f64,
}

/// How many tests there are of each outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "each field counts the outcome of its name")]
pub struct TestSummary {
    pub pass: usize,
    pub fail: usize,
    pub error: usize,
    pub skipped: usize,
}

/// The document `muster.policy-test/1`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestReport {
    schema: &'static str,
    /// The count of each outcome.
    pub summary: TestSummary,
    /// Every test, in the order of files and lines.
    pub results: Vec<TestResult>,
    /// How long it took to parse, check and rewrite the policies and their tests.
    pub front_seconds: f64,
    /// JSON and YAML files beside the policies that did not become data.
    pub left_out: Vec<String>,
    /// Bundles that carry a signature, which was not verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unverified: Vec<String>,
    /// What the tests reached, if that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
}

impl TestReport {
    /// The process exit code: a failing test or too little coverage 6, an error or no test at all 8.
    pub fn exit_code(&self) -> u8 {
        let ran = self.summary.pass + self.summary.error > 0;
        match self.summary {
            _ if ran
                && self
                    .coverage
                    .as_ref()
                    .is_some_and(|coverage| coverage.met == Some(false)) =>
            {
                6
            }
            TestSummary { fail: 1.., .. } => 6,
            TestSummary { error: 1.., .. } => 8,
            TestSummary {
                pass: 0, skipped: 0, ..
            } => 8,
            _ => 0,
        }
    }
}

/// Runs the tests beneath the paths.
pub fn test_policies(paths: &[PathBuf], options: &TestOptions) -> Result<TestReport, PolicyError> {
    let pattern = options.run.as_deref().map(|pattern| {
        Regex::new(pattern).map_err(|error| PolicyError::Pattern {
            pattern: pattern.to_owned(),
            why: error.to_string().lines().last().unwrap_or_default().to_owned(),
        })
    });
    let pattern = pattern.transpose()?;
    on_deep_stack(|| {
        let places = Places::look(paths)?;
        let mut engine = Engine::apart(World::of(Files::Any), options.now, options.sandbox.as_ref())?;
        let version = |file: &Path| match options.rego_version {
            RegoVersion::Auto => places.version(file).unwrap_or_default(),
            version => version,
        };
        let unverified = sources::load_policies_as(&mut engine, paths, &version, true)?;
        sources::load_data(&mut engine, &options.data)?;
        let left_out = places.load(&mut engine, &options.data)?;
        engine.place();
        engine.compile_tests(options.coverage)?;
        let mut report = run(&engine, options, &|name| {
            pattern.as_ref().is_none_or(|pattern| pattern.is_match(name))
        });
        report.left_out = left_out;
        report.unverified = unverified;
        Ok(report)
    })?
}

fn run(engine: &Engine, options: &TestOptions, wanted: &dyn Fn(&str) -> bool) -> TestReport {
    let reached = RefCell::new(Collector::default());
    let ran = match options.coverage {
        false => run_some(engine, wanted, &|_| {}, &|_, _, _| Vec::new()),
        true => run_some(engine, wanted, &|session| session.watch(), &|session, _, evaluation| {
            reached.borrow_mut().take(session, evaluation);
            Vec::new()
        }),
    };
    let coverage = options
        .coverage
        .then(|| reached.into_inner().report(engine, options.threshold));
    let results: Vec<TestResult> = ran.into_iter().map(Ran::told).collect();
    let mut summary = TestSummary::default();
    for result in &results {
        match result.verdict {
            TestOutcome::Pass => summary.pass += 1,
            TestOutcome::Fail => summary.fail += 1,
            TestOutcome::Error => summary.error += 1,
            TestOutcome::Skipped => summary.skipped += 1,
        }
    }
    TestReport {
        schema: "muster.policy-test/1",
        summary,
        results,
        front_seconds: engine.front().as_secs_f64(),
        left_out: Vec::new(),
        unverified: Vec::new(),
        coverage,
    }
}

/// One test that was run, and what was said on the way.
pub(crate) struct Ran {
    pub(crate) result: TestResult,
    /// The built-in error that was suppressed.
    pub(crate) suppressed: Option<String>,
    pub(crate) prints: Vec<String>,
    /// What `trace` said.
    pub(crate) notes: Vec<String>,
    pub(crate) traces: Vec<String>,
}

impl Ran {
    /// The result, whose message holds what was said.
    fn told(self) -> TestResult {
        let mut result = self.result;
        if let Some(why) = self.suppressed {
            let apart = if result.message.is_empty() { "" } else { "\n" };
            result.message.push_str(&format!("{apart}suppressed: {why}"));
        }
        result.prints = self.prints;
        result
    }
}

/// How what an evaluation reached is told.
pub(crate) type Tracing<'a> = &'a dyn Fn(&mut Session, &str, &Evaluation) -> Vec<String>;

/// Runs every test of the engine, by file and line. Each session is prepared before, and told of after.
pub(crate) fn run_each(engine: &Engine, prepare: &dyn Fn(&mut Session), tracing: Tracing<'_>) -> Vec<Ran> {
    run_some(engine, &|_| true, prepare, tracing)
}

/// The same with the tests whose full name is wanted.
fn run_some(
    engine: &Engine,
    wanted: &dyn Fn(&str) -> bool,
    prepare: &dyn Fn(&mut Session),
    tracing: Tracing<'_>,
) -> Vec<Ran> {
    let mut ran: Vec<Ran> = Vec::new();
    for module in engine.modules() {
        for head in module.rules.iter().filter(|head| !head.function) {
            // The first part of its path that is named like one makes a rule a test.
            let named = |part: &&str| part.starts_with("test_") || part.starts_with("todo_test_");
            let Some(part) = head.name.split('.').find(named) else {
                continue;
            };
            let todo = part.starts_with("todo_");
            if !wanted(&reference(&module.package, &head.name)) {
                continue;
            }
            let earlier = ran.iter().map(|ran| &ran.result);
            let earlier =
                earlier.filter(|r| r.package == module.package && r.name.split('#').next() == Some(&head.name));
            let name = match earlier.count() {
                0 => head.name.clone(),
                n => format!("{}#{n:02}", head.name),
            };
            let mut one = Ran {
                result: TestResult {
                    package: module.package.clone(),
                    name,
                    verdict: TestOutcome::Skipped,
                    file: module.path.clone(),
                    line: head.line,
                    message: String::new(),
                    prints: Vec::new(),
                    duration_seconds: 0.0,
                },
                suppressed: None,
                prints: Vec::new(),
                notes: Vec::new(),
                traces: Vec::new(),
            };
            if !todo {
                let begun = Instant::now();
                let mut session = engine.session(None);
                prepare(&mut session);
                judge(&mut session, &module.package, head, tracing, &mut one);
                one.result.duration_seconds = begun.elapsed().as_secs_f64();
            }
            ran.push(one);
        }
    }
    ran.sort_by(|a, b| (Path::new(&a.result.file), a.result.line).cmp(&(Path::new(&b.result.file), b.result.line)));
    ran
}

fn judge(session: &mut Session, package: &str, head: &Head, tracing: Tracing<'_>, ran: &mut Ran) {
    let test = head.test.as_ref();
    let name = test.map_or(head.name.as_str(), |test| test.name.as_str());
    let asked = reference(package, name);
    let evaluation = match session.evaluate(&asked) {
        Ok(evaluation) => evaluation,
        Err(why) => {
            (ran.result.verdict, ran.result.message) = (TestOutcome::Error, why);
            return;
        }
    };
    ran.traces = tracing(session, &asked, &evaluation);
    let cases = test.and_then(|test| test.cases.as_ref());
    (ran.result.verdict, ran.result.message) = match (&evaluation.value, cases) {
        (Some(Value::Bool(true)), _) => (TestOutcome::Pass, String::new()),
        (Some(Value::Bool(false)), _) => (TestOutcome::Fail, "false".to_owned()),
        (Some(held @ Value::Object(_)), Some(cases)) => match session.evaluate(&reference(package, cases)) {
            Ok(cases) => each(held, cases.value.as_ref()),
            Err(why) => (TestOutcome::Error, why),
        },
        (None, _) => (
            TestOutcome::Fail,
            "undefined: some expression in it did not hold".to_owned(),
        ),
        (Some(other), _) => (TestOutcome::Fail, format!("gave {other}, not true")),
    };
    ran.suppressed = evaluation.suppressed;
    ran.prints = evaluation.prints;
    ran.notes = evaluation.told;
}

/// A test of several cases: each must be there and true, and there must be one.
fn each(held: &Value, cases: Option<&Value>) -> (TestOutcome, String) {
    let cases: Vec<&Vec<Value>> = cases
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_array)
        .collect();
    let text = |key: &Value| key.as_str().map_or_else(|| key.to_string(), str::to_owned);
    let failed: Vec<String> = cases
        .iter()
        .filter(|keys| {
            let value = keys.iter().try_fold(held, |value, key| value.get(text(key)));
            value != Some(&Value::Bool(true))
        })
        .map(|keys| keys.iter().map(text).collect::<Vec<_>>().join("/"))
        .collect();
    match (cases.is_empty(), failed.is_empty()) {
        (true, _) => (TestOutcome::Fail, "undefined: it has no case".to_owned()),
        (false, true) => (TestOutcome::Pass, String::new()),
        (false, false) => (
            TestOutcome::Fail,
            format!(
                "{} of {} cases did not hold: {}",
                failed.len(),
                cases.len(),
                failed.join(", ")
            ),
        ),
    }
}
