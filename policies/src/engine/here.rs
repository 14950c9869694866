//! Evaluation in this process: strictly first, and leniently where that met a built-in error.
//!
//! An error or a panic leaves nothing behind: the next evaluation begins with a fresh engine.

use std::panic::{AssertUnwindSafe, catch_unwind};

use regorus::LimitError;
use serde_json::Value;

use super::{Evaluation, modules};
use crate::builtins::{self, Noted, Notes};

/// An engine with its input.
pub(crate) struct Here {
    inner: regorus::Engine,
    fresh: regorus::Engine,
    notes: Notes,
    /// Lines that were reached before the engine had to begin anew.
    kept: Vec<(String, Vec<u32>)>,
}

impl Here {
    pub(super) fn new(inner: regorus::Engine, notes: Notes) -> Self {
        Self {
            fresh: inner.clone(),
            inner,
            notes,
            kept: Vec::new(),
        }
    }

    /// Evaluates a reference like `data.main.deny`.
    pub(crate) fn evaluate(&mut self, reference: &str) -> Result<Evaluation, String> {
        self.notes.begin(true);
        let strict = self.run(reference);
        let Noted { first, told, bodies } = self.notes.end();
        let (value, suppressed, prints, told, bodies) = match strict {
            Ok((value, prints)) => (value, first, prints, told, bodies),
            // Lenient evaluation would swallow these inside functions, where they are errors to OPA too.
            Err(Failure { fatal: true, message }) => return Err(message),
            Err(Failure { message, .. }) => {
                self.inner = self.fresh.clone();
                self.inner.set_strict_builtin_errors(false);
                self.notes.begin(false);
                let lenient = self.run(reference);
                let Noted { told, bodies, .. } = self.notes.end();
                let (value, prints) = lenient.map_err(|failure| failure.message)?;
                let reached = self.lines();
                self.kept.extend(reached);
                self.inner = self.fresh.clone();
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

    /// Forgets what earlier evaluations have found out.
    pub(crate) fn renew(&mut self) {
        self.kept.clear();
        self.inner = self.fresh.clone();
    }

    /// From now on it is known which lines an evaluation reaches.
    pub(crate) fn watch(&mut self) {
        self.fresh.set_enable_coverage(true);
        self.renew();
    }

    /// The lines that were reached since [`Here::renew`], by file.
    pub(crate) fn reached(&self) -> Vec<(String, Vec<u32>)> {
        self.kept.iter().cloned().chain(self.lines()).collect()
    }

    fn lines(&self) -> Vec<(String, Vec<u32>)> {
        let report = self.inner.get_coverage_report().ok();
        let files = report.into_iter().flat_map(|report| report.files);
        files
            .map(|file| (file.path, file.covered.into_iter().collect()))
            .collect()
    }

    fn run(&mut self, reference: &str) -> Result<(Option<Value>, Vec<String>), Failure> {
        let inner = &mut self.inner;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            // A rule is asked for itself: a query makes regorus look at every module first.
            let value = match inner.eval_rule(reference.to_owned()) {
                Err(e) if e.to_string().contains(NO_RULE) => {
                    let results = inner.eval_query(reference.to_owned(), false);
                    results.map(|results| {
                        let first = results.result.into_iter().next();
                        let value = first.and_then(|result| result.expressions.into_iter().next());
                        value.map_or(regorus::Value::Undefined, |expression| expression.value)
                    })
                }
                value => value,
            };
            (value, inner.take_prints().unwrap_or_default())
        }));
        let (value, prints) = match outcome {
            Ok((Ok(value), prints)) => (value, prints),
            Ok((Err(e), _)) => {
                self.inner = self.fresh.clone();
                let fatal = e.downcast_ref::<LimitError>().is_some() || FATAL.iter().any(|m| e.to_string().contains(m));
                return Err(Failure {
                    fatal,
                    message: modules::brief(&e.to_string()).one_line(),
                });
            }
            Err(_) => {
                self.inner = self.fresh.clone();
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
