//! Evaluation in this process: strictly first, and leniently where that met a built-in error.
//!
//! An error or a panic leaves nothing behind: the next evaluation begins with a fresh engine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use regorus::LimitError;
use serde_json::Value;

use super::{Evaluation, modules};
use crate::builtins::{self, Noted, Notes};

/// An engine with its input.
pub(crate) struct Here {
    /// What evaluates, once something has been asked.
    inner: Option<regorus::Engine>,
    fresh: regorus::Engine,
    input: regorus::Value,
    lenient: Arc<OnceLock<regorus::Engine>>,
    watched: bool,
    notes: Notes,
    /// Lines that were reached before the engine had to begin anew.
    kept: Vec<(String, Vec<u32>)>,
}

impl Here {
    /// `lenient` is what all sessions of this engine make of it where built-in errors are suppressed.
    pub(super) fn new(
        engine: &regorus::Engine,
        input: Option<regorus::Value>,
        notes: Notes,
        lenient: Arc<OnceLock<regorus::Engine>>,
    ) -> Self {
        let input = input.unwrap_or(regorus::Value::Undefined);
        let mut fresh = engine.clone();
        fresh.set_input(input.clone());
        Self {
            inner: None,
            fresh,
            input,
            lenient,
            watched: false,
            notes,
            kept: Vec::new(),
        }
    }

    /// The same again, for another thread.
    pub(crate) fn twin(&self) -> Self {
        let lenient = Arc::clone(&self.lenient);
        Self::new(&self.fresh, Some(self.input.clone()), self.notes.clone(), lenient)
    }

    /// Evaluates a reference like `data.main.deny`.
    pub(crate) fn evaluate(&mut self, reference: &str) -> Result<Evaluation, String> {
        self.notes.begin(true);
        let strict = self.run(&Asked::Rule(reference));
        let Noted { first, told, bodies } = self.notes.end();
        let (value, suppressed, prints, told, bodies) = match strict {
            Ok((value, prints)) => (value, first, prints, told, bodies),
            // Lenient evaluation would swallow these inside functions, where they are errors to OPA too.
            Err(Failure { fatal: true, message }) => return Err(message),
            Err(Failure { message, .. }) => {
                self.inner = Some(self.lenient());
                self.notes.begin(false);
                let lenient = self.run(&Asked::Rule(reference));
                let Noted { told, bodies, .. } = self.notes.end();
                let (value, prints) = lenient.map_err(|failure| failure.message)?;
                let reached = self.lines();
                self.kept.extend(reached);
                self.inner = None;
                (value, Some(message), prints, told, bodies)
            }
        };
        Ok(Evaluation {
            value,
            suppressed,
            prints,
            told,
            bodies: bodies.into_iter().collect(),
        })
    }

    /// Evaluates these in one go, so that what they share is found out once. None where any of them does more than to have a
    /// value: it fails, prints, or meets a built-in error; alone it will be known which.
    pub(crate) fn evaluate_together(&mut self, references: &[String]) -> Option<Vec<Evaluation>> {
        let each: Vec<String> = references
            .iter()
            .map(|reference| format!("[v | v := {reference}]"))
            .collect();
        self.notes.begin(true);
        let found = self.run(&Asked::Query(&format!("[{}]", each.join(", "))));
        let Noted { first, told, bodies } = self.notes.end();
        let (value, prints) = found.ok()?;
        let told_nothing = first.is_none() && told.is_empty() && bodies.is_empty() && prints.is_empty();
        let values = value.filter(|_| told_nothing)?;
        let values = values.as_array()?.iter().map(Value::as_array);
        let values: Vec<&Vec<Value>> = values.collect::<Option<_>>()?;
        (values.len() == references.len()).then(|| {
            let evaluation = |value: &Vec<Value>| Evaluation {
                value: value.first().cloned(),
                suppressed: None,
                prints: Vec::new(),
                told: Vec::new(),
                bodies: Vec::new(),
            };
            values.into_iter().map(evaluation).collect()
        })
    }

    /// Forgets what earlier evaluations have found out.
    pub(crate) fn renew(&mut self) {
        self.kept.clear();
        self.inner = None;
    }

    /// From now on it is known which lines an evaluation reaches.
    pub(crate) fn watch(&mut self) {
        self.fresh.set_enable_coverage(true);
        self.watched = true;
        self.renew();
    }

    /// The lines that were reached since [`Here::renew`], by file.
    pub(crate) fn reached(&self) -> Vec<(String, Vec<u32>)> {
        self.kept.iter().cloned().chain(self.lines()).collect()
    }

    fn lines(&self) -> Vec<(String, Vec<u32>)> {
        let report = self.inner.as_ref().and_then(|inner| inner.get_coverage_report().ok());
        let files = report.into_iter().flat_map(|report| report.files);
        files
            .map(|file| (file.path, file.covered.into_iter().collect()))
            .collect()
    }

    /// An engine that suppresses built-in errors. What was compiled is copied for that, so it is done once for all sessions.
    fn lenient(&self) -> regorus::Engine {
        let begun = self.lenient.get_or_init(|| {
            let mut engine = self.fresh.clone();
            engine.set_input(regorus::Value::Undefined);
            engine.set_enable_coverage(false);
            engine.set_strict_builtin_errors(false);
            engine
        });
        let mut engine = begun.clone();
        engine.set_input(self.input.clone());
        engine.set_enable_coverage(self.watched);
        engine
    }

    /// Evaluates, and begins anew after whatever ended that.
    fn run(&mut self, asked: &Asked<'_>) -> Result<(Option<Value>, Vec<String>), Failure> {
        let fresh = &self.fresh;
        let inner = self.inner.get_or_insert_with(|| fresh.clone());
        let query = |inner: &mut regorus::Engine, text: &str| {
            inner.eval_query(text.to_owned(), false).map(|results| {
                let first = results.result.into_iter().next();
                let value = first.and_then(|result| result.expressions.into_iter().next());
                value.map_or(regorus::Value::Undefined, |expression| expression.value)
            })
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let value = match asked {
                Asked::Query(text) => query(inner, text),
                // A rule is asked for itself: a query makes regorus look at every module first.
                Asked::Rule(reference) => match inner.eval_rule((*reference).to_owned()) {
                    Err(e) if e.to_string().contains(NO_RULE) => query(inner, reference),
                    value => value,
                },
            };
            (value, inner.take_prints().unwrap_or_default())
        }));
        let (value, prints) = match outcome {
            Ok((Ok(value), prints)) => (value, prints),
            Ok((Err(e), _)) => {
                self.inner = None;
                let fatal = e.downcast_ref::<LimitError>().is_some() || FATAL.iter().any(|m| e.to_string().contains(m));
                return Err(Failure {
                    fatal,
                    message: modules::brief(&e.to_string()).one_line(),
                });
            }
            Err(_) => {
                self.inner = None;
                return Err(Failure {
                    fatal: true,
                    message: "the evaluator panicked".to_owned(),
                });
            }
        };
        let value = match value {
            regorus::Value::Undefined => None,
            value => Some(json(&value).map_err(|message| Failure { fatal: true, message })?),
        };
        Ok((value, prints))
    }
}

enum Asked<'a> {
    /// A rule by its reference, or what else stands behind that.
    Rule(&'a str),
    Query(&'a str),
}

/// What regorus says when a reference is no rule's whole path.
const NO_RULE: &str = "not a valid rule path";

/// Errors that OPA does not suppress either.
const FATAL: [&str; 5] = [
    "multiple outputs",
    "exceeded",
    "internal error",
    "panicked",
    builtins::HALT,
];

struct Failure {
    fatal: bool,
    message: String,
}

fn json(value: &regorus::Value) -> Result<Value, String> {
    serde_json::to_value(value).map_err(|e| format!("the value has no JSON form: {e}"))
}
