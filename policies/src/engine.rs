//! The Rego engine: the one place that names regorus.
//!
//! The clock is pinned, there is no network, no environment and no randomness, so the same modules, data, input and
//! time give the same values. Built-in errors are lenient as in OPA, and a value that leaned on a suppressed one says
//! so. Whatever ends an evaluation (an error, a panic, the deadline) comes back as an error value. What regorus
//! evaluates is not the text of a policy but what the front end (`rego`) makes of all of them together.

mod here;
mod modules;
mod operators;

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Extension, PolicyLengthConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

pub(crate) use here::Here;
pub(crate) use modules::{Head, Module};
pub(crate) use operators::{plus, times};

use crate::builtins::{self, Notes, Seen, World};
use crate::rego::{self, Dialect, Options, Pass, Probe, Steps};
use crate::sandbox::{self, Pool, Remote, Sandbox};
use crate::sources::{PolicyError, RegoVersion};

/// What regorus takes: the front end bounds a policy file before, and its text grows by names and brackets only.
const MAX_POLICY: usize = 64 << 20;
const MAX_LINES: usize = 4 << 20;
const MAX_COLUMNS: u32 = 64 << 20;
/// How deep brackets nest in what the front end hands over, which takes apart what is nested deeper; and how often
/// regorus's parser may read a bracket, all in all: what it does in seconds.
const MAX_BRACKETS: usize = 64;
const MAX_PARSE_WORK: u64 = 1 << 22;
/// The time that the evaluation of one rule on one document may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// Enough for the deepest module that the limits above let in.
pub(crate) const STACK: usize = 512 << 20;

/// Modules and data, loaded and checked; `evaluate` as often as there are inputs.
#[derive(Clone)]
pub(crate) struct Engine {
    inner: regorus::Engine,
    /// The same with built-in errors suppressed, once that was needed.
    lenient: Arc<OnceLock<regorus::Engine>>,
    modules: Vec<Module>,
    notes: Notes,
    /// What is evaluated.
    texts: Vec<Text>,
    resolved: Arc<Vec<rego::Module>>,
    probes: Vec<Probe>,
    steps: Vec<Steps>,
    apart: Option<Apart>,
    front: Duration,
}

/// A module as regorus reads it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Text {
    /// The file that it was made of.
    path: String,
    v0: bool,
    text: String,
}

/// What is evaluated elsewhere.
#[derive(Clone)]
struct Apart {
    sandbox: Sandbox,
    now: i64,
    world: World,
    data: Vec<(String, Value)>,
    /// What takes the place of the data since the pool began.
    replaced: Option<Arc<Vec<u8>>>,
    pool: Option<Arc<Pool>>,
}

/// What one evaluation gave.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Evaluation {
    /// The value; `None` is undefined.
    pub(crate) value: Option<Value>,
    /// The built-in error that lenient evaluation suppressed, if the strict one met any.
    pub(crate) suppressed: Option<String>,
    /// What the policy printed.
    pub(crate) prints: Vec<String>,
    /// What it said with `trace`.
    pub(crate) told: Vec<String>,
    /// What became of marked bodies, by the number of their [`Probe`].
    pub(crate) bodies: Vec<(u32, Seen)>,
}

fn length_limits() -> PolicyLengthConfig {
    PolicyLengthConfig {
        max_col: NonZeroU32::new(MAX_COLUMNS).unwrap_or(NonZeroU32::MAX),
        max_file_bytes: NonZeroUsize::new(MAX_POLICY).unwrap_or(NonZeroUsize::MAX),
        max_lines: NonZeroUsize::new(MAX_LINES).unwrap_or(NonZeroUsize::MAX),
    }
}

/// Runs loading and evaluation on a stack that fits the limits; a panic inside is the caller's error value.
pub(crate) fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, PolicyError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("policy".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, work);
        thread
            .map_err(PolicyError::Thread)?
            .join()
            .map_err(|_| PolicyError::Panic)
    })
}

impl Engine {
    /// An engine without modules whose clock stands at `now`.
    pub(crate) fn new(now: OffsetDateTime) -> Result<Self, PolicyError> {
        Self::within(&World::default(), now)
    }

    /// The same, whose policies are evaluated in a process of their own, if there is a sandbox.
    pub(crate) fn apart(world: World, now: OffsetDateTime, sandbox: Option<&Sandbox>) -> Result<Self, PolicyError> {
        let mut engine = Self::within(&world, now)?;
        let now = i64::try_from(now.unix_timestamp_nanos()).map_err(|_| PolicyError::Clock)?;
        engine.apart = sandbox.map(|sandbox| Apart {
            sandbox: sandbox.clone(),
            now,
            world,
            data: Vec::new(),
            replaced: None,
            pool: None,
        });
        Ok(engine)
    }

    /// The same, whose policies see this much of the world.
    pub(crate) fn within(world: &World, now: OffsetDateTime) -> Result<Self, PolicyError> {
        let mut inner = regorus::Engine::new();
        inner.set_gather_prints(true);
        inner.set_policy_length_config(length_limits());
        let notes = Notes::default();
        let mut engine = Self {
            inner,
            lenient: Arc::default(),
            modules: Vec::new(),
            notes: notes.clone(),
            texts: Vec::new(),
            resolved: Arc::default(),
            probes: Vec::new(),
            steps: Vec::new(),
            apart: None,
            front: Duration::ZERO,
        };
        engine.limit(DEADLINE);
        let now = i64::try_from(now.unix_timestamp_nanos()).map_err(|_| PolicyError::Clock)?;
        operators::register(&mut engine)?;
        builtins::register(&mut engine.inner, now, world, &notes)?;
        Ok(engine)
    }

    /// How long one evaluation may take.
    pub(crate) fn limit(&mut self, limit: Duration) {
        self.inner.set_execution_timer_config(ExecutionTimerConfig {
            limit,
            check_interval: NonZeroU32::new(64).unwrap_or(NonZeroU32::MIN),
        });
    }

    fn extend(&mut self, name: &str, arguments: u8, call: impl Extension + 'static) -> Result<(), PolicyError> {
        let added = self.inner.add_extension(name.to_owned(), arguments, Box::new(call));
        added.map_err(|e| PolicyError::refused(name, None, e.to_string()))
    }

    /// Parses one policy file and takes it in.
    pub(crate) fn add_module(&mut self, path: &str, text: &str, version: RegoVersion) -> Result<(), PolicyError> {
        let begun = Instant::now();
        self.modules.push(Module::parse(path, text, version)?);
        self.front += begun.elapsed();
        Ok(())
    }

    /// Merges a document into `data`; two values for one path are an error.
    pub(crate) fn add_data(&mut self, source: &str, data: Value) -> Result<(), PolicyError> {
        if let Some(apart) = &mut self.apart {
            apart.data.push((source.to_owned(), data));
            return Ok(());
        }
        self.inner
            .add_data(regorus::Value::from(data))
            .map_err(|e| PolicyError::refused(source, None, first_line(&e)))
    }

    /// Makes this all of `data`.
    pub(crate) fn set_data(&mut self, data: Value) -> Result<(), PolicyError> {
        if let Some(apart) = &mut self.apart {
            apart.replaced = Some(sandbox::encoded(&data));
            return Ok(());
        }
        self.inner.clear_data();
        self.add_data("data", data)?;
        match self.texts.is_empty() {
            true => Ok(()),
            false => self.ready(),
        }
    }

    /// Checks the modules against each other and compiles them: after this, `evaluate` as often as needed.
    pub(crate) fn compile(&mut self) -> Result<(), PolicyError> {
        self.compile_with(Options::default(), &|_| true)
    }

    /// The same for running tests: those that share a name are judged apart.
    /// With `probes`, evaluations tell which bodies held.
    pub(crate) fn compile_tests(&mut self, probes: bool) -> Result<(), PolicyError> {
        let options = Options {
            tests: true,
            probes,
            ..Options::default()
        };
        self.compile_with(options, &|_| true)
    }

    /// The same with some passes of the front end only: what a pass is good for shows when it is left out.
    pub(crate) fn compile_with(&mut self, options: Options, passes: &dyn Fn(Pass) -> bool) -> Result<(), PolicyError> {
        let refused = |mut all: Vec<PolicyError>| all.swap_remove(0);
        self.build(options, passes).map_err(refused)
    }

    /// The same.
    ///
    /// # Errors
    /// At least one: all that one step of the compiler finds.
    pub(crate) fn build(&mut self, options: Options, passes: &dyn Fn(Pass) -> bool) -> Result<(), Vec<PolicyError>> {
        let begun = Instant::now();
        let sources: Vec<&rego::Source> = self.modules.iter().map(|module| &module.source).collect();
        let refuse = |(place, fault): &(usize, rego::Fault)| self.modules[*place].refuse(fault);
        let compiled =
            rego::compile(&sources, options, passes).map_err(|faults| faults.iter().map(refuse).collect::<Vec<_>>())?;
        self.front += begun.elapsed();
        self.resolved = Arc::new(compiled.resolved);
        self.probes = compiled.probes;
        self.steps = compiled.steps;
        for (module, tests) in self.modules.iter_mut().zip(compiled.tests) {
            for (head, test) in module.rules.iter_mut().zip(tests) {
                head.test = Some(test);
            }
        }
        let mut texts: Vec<(String, Dialect, String)> = compiled
            .texts
            .into_iter()
            .map(|(place, dialect, text)| (self.modules[place].path.clone(), dialect, text))
            .collect();
        let wrappers = compiled
            .wrappers
            .map(|text| ("built-ins".to_owned(), Dialect::V1, text));
        texts.extend(wrappers);
        let mut checked = Vec::with_capacity(texts.len());
        for (path, dialect, text) in texts {
            if let Some(line) = modules::deeper_than(&text, MAX_BRACKETS, MAX_PARSE_WORK) {
                let why = "brackets are nested too deeply to be parsed in reasonable time".to_owned();
                return Err(vec![PolicyError::refused(&path, Some(line), why)]);
            }
            let v0 = dialect == Dialect::V0;
            checked.push(Text { path, v0, text });
        }
        let Some(apart) = &mut self.apart else {
            return self.take_in(checked).map_err(|error| vec![error]);
        };
        let begin = sandbox::Begin {
            now: apart.now,
            world: &apart.world,
            texts: &checked,
            data: &apart.data,
        };
        let pool = Pool::start(&apart.sandbox, &begin).map_err(|error| vec![error])?;
        apart.pool = Some(Arc::new(pool));
        self.texts = checked;
        Ok(())
    }

    /// Has the evaluator read what the front end made, and compile it.
    pub(crate) fn take_in(&mut self, texts: Vec<Text>) -> Result<(), PolicyError> {
        for Text { path, v0, text } in &texts {
            self.inner.set_rego_v0(*v0);
            self.inner
                .add_policy(path.clone(), text.clone())
                .map_err(|e| refusal(path, &e.to_string()))?;
        }
        self.texts = texts;
        self.inner.set_input(regorus::Value::new_object());
        self.ready()
    }

    /// Has the evaluator compile: a session of what is not compiled would do that for itself.
    fn ready(&mut self) -> Result<(), PolicyError> {
        self.lenient = Arc::default();
        // Set once: a session that sets it would copy all that was compiled.
        self.inner.set_strict_builtin_errors(true);
        match self.inner.eval_query("true".to_owned(), false) {
            Ok(_) => Ok(()),
            Err(e) => Err(refusal("policies", &e.to_string())),
        }
    }

    /// Lets `parse_config_file` look beside the policy that calls it.
    pub(crate) fn place(&mut self) {
        for module in &mut self.modules {
            let folder = Path::new(&module.path).parent().unwrap_or(Path::new(""));
            rego::place(&mut module.source, &folder.display().to_string());
        }
    }

    /// Calls of built-in functions that are not in this list.
    pub(crate) fn beyond(&self, allowed: &BTreeSet<String>) -> Vec<PolicyError> {
        let sources: Vec<&rego::Source> = self.modules.iter().map(|module| &module.source).collect();
        let faults = rego::beyond(&sources, allowed);
        faults
            .iter()
            .map(|(place, fault)| self.modules[*place].refuse(fault))
            .collect()
    }

    /// A line as it is evaluated: names in full, each local by the name that it has in the policy.
    pub(crate) fn line(&self, path: &str, line: u32) -> Option<String> {
        let line = usize::try_from(line).ok()?.checked_sub(1)?;
        let texts = self.texts.iter().filter(|text| text.path == path);
        let mut lines = texts.filter_map(|text| text.text.lines().nth(line));
        let text = lines.find(|text| !text.trim().is_empty())?.trim();
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        let words = text.split_inclusive(|c: char| !is_name(c));
        let plain = words.map(|word| {
            let name = word.trim_end_matches(|c: char| !is_name(c));
            format!("{}{}", rego::original(name), &word[name.len()..])
        });
        Some(plain.collect())
    }

    /// The bodies that were marked, in the order of their numbers.
    pub(crate) fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// The bodies of rules, taken apart; known where that was asked when they were compiled.
    pub(crate) fn steps(&self) -> &[Steps] {
        &self.steps
    }

    /// What of `input` a rule looks at; known where the modules were kept when they were compiled.
    pub(crate) fn reads(&self, package: &str, name: &str) -> Vec<rego::Read> {
        let path = std::iter::once("data").chain(package.split('.')).chain(name.split('.'));
        let path: Vec<String> = path.map(str::to_owned).collect();
        rego::reads(&self.resolved, &path)
    }

    /// How long it took to parse, check and rewrite the modules.
    pub(crate) fn front(&self) -> Duration {
        self.front
    }

    /// The modules that were loaded, in the order of loading.
    pub(crate) fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// A session whose `input` is this document, or undefined.
    pub(crate) fn session<'a>(&self, input: Option<&'a Value>) -> Session<'a> {
        if let Some(apart) = &self.apart
            && let Some(pool) = &apart.pool
        {
            return Session::Apart(Remote::new(Arc::clone(pool), apart.replaced.clone(), input));
        }
        let input = input.map(|input| regorus::Value::from(input.clone()));
        Session::Here(Box::new(self.here(input)))
    }

    /// The same for what is a value of the evaluator already; here.
    pub(crate) fn here(&self, input: Option<regorus::Value>) -> Here {
        Here::new(&self.inner, input, self.notes.clone(), Arc::clone(&self.lenient))
    }
}

/// An engine with its input: rule after rule is evaluated on one document.
pub(crate) enum Session<'a> {
    Here(Box<Here>),
    Apart(Remote<'a>),
}

impl Session<'_> {
    /// Evaluates a reference like `data.main.deny`.
    ///
    /// # Errors
    /// Whatever ended the evaluation, the end of its process included.
    pub(crate) fn evaluate(&mut self, reference: &str) -> Result<Evaluation, String> {
        match self {
            Self::Here(here) => here.evaluate(reference),
            Self::Apart(remote) => remote.evaluate(reference),
        }
    }

    /// Evaluates each of these.
    pub(crate) fn evaluate_all(&mut self, references: &[&str]) -> Vec<Result<Evaluation, String>> {
        match self {
            Self::Here(here) => references.iter().map(|reference| here.evaluate(reference)).collect(),
            Self::Apart(remote) => remote.evaluate_all(references),
        }
    }

    /// Forgets what earlier evaluations have found out.
    pub(crate) fn renew(&mut self) {
        match self {
            Self::Here(here) => here.renew(),
            Self::Apart(remote) => remote.renew(),
        }
    }

    /// From now on it is known which lines an evaluation reaches.
    pub(crate) fn watch(&mut self) {
        match self {
            Self::Here(here) => here.watch(),
            Self::Apart(remote) => remote.watch(),
        }
    }

    /// The lines that were reached since [`Session::renew`], by file.
    pub(crate) fn reached(&mut self) -> Vec<(String, Vec<u32>)> {
        match self {
            Self::Here(here) => here.reached(),
            Self::Apart(remote) => remote.reached(),
        }
    }
}

fn refusal(path: &str, message: &str) -> PolicyError {
    let brief = modules::brief(message);
    PolicyError::refused(brief.file.as_deref().unwrap_or(path), brief.line, brief.message)
}

fn first_line(error: &impl std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
