//! Who judges what: documents are dealt out to as many sessions as there are processors.
//!
//! Invariant: findings come in the order of documents and rules, whoever found them out and when. A rule's evaluations on one document
//! are asked for all at once, since a way to another process and back takes longer than most of them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Map, Value, json};

use super::documents::Named;
use super::{Check, convention};
use crate::engine::{Engine, Evaluation, STACK, Session};
use crate::metadata::Severity;
use crate::report::{Finding, Verdict};
use crate::sources::PolicyError;

/// How many evaluations are worth a session of their own.
const WORTH: usize = 256;
/// The most sessions at a time.
const MOST: usize = 8;

/// Rules, and the documents to evaluate them on.
pub(super) struct Judge<'a> {
    pub(super) engine: &'a Engine,
    pub(super) documents: &'a [Named],
    pub(super) checks: &'a [Check],
    /// Whether a verdict that leaned on a suppressed error is one.
    pub(super) strict: bool,
}

/// What was found out about some documents.
#[derive(Default)]
pub(super) struct Judged {
    pub(super) findings: Vec<Finding>,
    /// What the policies printed on the way.
    pub(super) prints: Vec<String>,
}

impl Judge<'_> {
    /// Evaluates every rule on every document.
    ///
    /// # Errors
    /// No thread, or a fault in one; what an evaluation ends in is a finding.
    pub(super) fn all(&self) -> Result<Vec<Judged>, PolicyError> {
        if self.checks.is_empty() {
            return Ok(Vec::new());
        }
        let step = WORTH.div_ceil(self.checks.len());
        let parts: Vec<Range<usize>> = (0..self.documents.len())
            .step_by(step)
            .map(|begin| begin..(begin + step).min(self.documents.len()))
            .collect();
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let workers = workers.min(MOST).min(parts.len());
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(part) = parts.get(number) else { return done };
                done.push((number, self.part(&self.documents[part.clone()])));
            }
        };
        if workers < 2 {
            return Ok(work().into_iter().map(|(_, judged)| judged).collect());
        }
        let done = thread::scope(|scope| {
            let begin = |_| {
                let thread = thread::Builder::new().name("policy".to_owned()).stack_size(STACK);
                thread.spawn_scoped(scope, work).map_err(PolicyError::Thread)
            };
            let threads: Vec<_> = (0..workers).map(begin).collect::<Result<_, _>>()?;
            let ended = threads
                .into_iter()
                .map(|thread| thread.join().map_err(|_| PolicyError::Panic));
            ended.collect::<Result<Vec<_>, _>>()
        })?;
        let mut done: Vec<(usize, Judged)> = done.into_iter().flatten().collect();
        done.sort_by_key(|(number, _)| *number);
        Ok(done.into_iter().map(|(_, judged)| judged).collect())
    }

    fn part(&self, documents: &[Named]) -> Judged {
        let mut judged = Judged::default();
        let references: Vec<&str> = self.checks.iter().map(|check| check.reference.as_str()).collect();
        for named in documents {
            let mut session = self.engine.session(Some(&named.document.value));
            let mut on = On {
                judge: self,
                named,
                resource: named.resource(),
                excepted: BTreeMap::new(),
                judged: &mut judged,
            };
            let evaluated = session.evaluate_all(&references);
            for (check, evaluation) in self.checks.iter().zip(evaluated) {
                on.judge(check, evaluation, &mut session);
            }
        }
        judged
    }
}

/// One document.
struct On<'a> {
    judge: &'a Judge<'a>,
    named: &'a Named,
    resource: String,
    /// By reference: the rules that an `exception` names.
    excepted: BTreeMap<&'a str, Result<Vec<String>, String>>,
    judged: &'a mut Judged,
}

impl<'a> On<'a> {
    fn judge(&mut self, check: &'a Check, evaluation: Result<Evaluation, String>, session: &mut Session<'_>) {
        let found = evaluation.and_then(|evaluation| {
            self.judged.prints.extend(evaluation.prints);
            if let (true, Some(why)) = (self.judge.strict, &evaluation.suppressed) {
                return Err(format!("leaned on a suppressed error: {why}"));
            }
            match evaluation.value {
                None => Ok((Vec::new(), evaluation.suppressed)),
                Some(Value::Array(messages)) => Ok((messages, evaluation.suppressed)),
                Some(_) => Err(format!(
                    "{0} is not a set of messages: write `{0} contains msg if {{ … }}`",
                    check.name
                )),
            }
        });
        let (messages, suppressed) = match found {
            Ok(found) => found,
            Err(why) => return self.push(self.error(check, why)),
        };
        if messages.is_empty() {
            return self.push(self.pass(check, suppressed));
        }
        let excepted = self.is_excepted(check, session);
        for message in messages {
            let mut finding = match finding(check, &self.resource, message) {
                Ok(finding) => finding,
                Err(why) => {
                    self.push(self.error(check, why));
                    continue;
                }
            };
            match &excepted {
                Ok(true) => {
                    finding.verdict = Verdict::Waived;
                    finding.waiver = Some(json!({"kind": "exception", "policy": check.rule.file}));
                }
                Ok(false) => {}
                Err(why) => finding.message = format!("{} (exception: {why})", finding.message),
            }
            finding.suppressed.clone_from(&suppressed);
            self.push(finding);
        }
    }

    fn push(&mut self, mut finding: Finding) {
        let named = self.named;
        finding.file.get_or_insert_with(|| named.file.clone());
        finding.origin = named.document.origin;
        let line = named.number.and(named.document.line);
        finding.line = finding.line.or(line);
        self.judged.findings.push(finding);
    }

    fn error(&self, check: &Check, why: String) -> Finding {
        Finding::new(&check.rule, Verdict::Error, &self.resource, why)
    }

    fn pass(&self, check: &Check, suppressed: Option<String>) -> Finding {
        let mut pass = Finding::new(&check.rule, Verdict::Pass, &self.resource, String::new());
        if let Some(unknown) = &self.named.unknown {
            let engine = self.judge.engine;
            let reads = check
                .reads
                .get_or_init(|| engine.reads(&check.rule.package, &check.name));
            if let Some(pointer) = unknown.met(reads, &self.named.document.value) {
                pass.verdict = Verdict::Unknown;
                pass.message = format!("looks at {pointer}, whose value is not known yet");
                pass.path = Some(pointer);
            }
        }
        pass.suppressed = suppressed;
        pass
    }

    /// Whether Conftest's `exception` names this rule for this document.
    fn is_excepted(&mut self, check: &'a Check, session: &mut Session<'_>) -> Result<bool, String> {
        let suffix = convention(&check.name).map_or("", |(_, suffix)| suffix);
        let named = self.excepted.entry(&check.exceptions).or_insert_with(|| {
            let Some(Value::Array(groups)) = session.evaluate(&check.exceptions)?.value else {
                return Ok(Vec::new());
            };
            let names = groups.iter().filter_map(Value::as_array).flatten();
            Ok(names.filter_map(Value::as_str).map(str::to_owned).collect())
        });
        match named {
            Ok(names) => Ok(names.iter().any(|name| name == suffix)),
            Err(why) => Err(why.clone()),
        }
    }
}

/// A message as Conftest accepts it: a string, or an object with `msg` and what else it wants to say.
fn finding(check: &Check, resource: &str, message: Value) -> Result<Finding, String> {
    let fields = match message {
        Value::String(text) => Map::from_iter([("msg".to_owned(), Value::String(text))]),
        Value::Object(fields) => fields,
        other => {
            return Err(format!(
                "{} gave {other}, which is neither a string nor an object with msg",
                check.name
            ));
        }
    };
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let Some(msg) = text("msg") else {
        return Err(format!("{} gave an object without a string msg", check.name));
    };
    let resource = text("resource").unwrap_or(resource);
    let mut finding = Finding::new(&check.rule, check.verdict, resource, msg.to_owned());
    finding.severity = text("severity").and_then(Severity::parse).or(finding.severity);
    finding.path = path(fields.get("path"));
    if let Some(place) = fields.get("_loc") {
        finding.file = place.get("file").and_then(Value::as_str).map(str::to_owned);
        finding.line = place
            .get("line")
            .and_then(Value::as_u64)
            .and_then(|line| u32::try_from(line).ok());
    }
    Ok(finding)
}

/// A message's `path`: a JSON pointer, or a list of keys and indexes.
fn path(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if text.starts_with('/') => Some(text.clone()),
        Value::Array(steps) => {
            let step = |step: &Value| match step {
                Value::String(key) => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
                Value::Number(index) => Some(format!("/{index}")),
                _ => None,
            };
            steps.iter().map(step).collect()
        }
        _ => None,
    }
}
