//! Does this binary answer as OPA does? The cases that say so, and the answers of the engine to them.
//!
//! Each case is a module or an expression with its input, its data and what OPA 1.10 answered, leniently and, where
//! that differs, with strict built-in errors. The cases travel inside the binary, so that the question can be asked on
//! the machine where a verdict was given.

use serde::Deserialize;
use serde_json::{Number, Value};
use time::OffsetDateTime;
use time::macros::datetime;

use crate::engine::{Engine, on_deep_stack};
use crate::rego::Options;
use crate::sources::{PolicyError, RegoVersion};

/// Where the clock stands in every case.
const NOW: OffsetDateTime = datetime!(2026-11-25 01:00 UTC);
const CASES: &str = include_str!("../cases/rego.json");
const KNOWN: &str = include_str!("../cases/known.txt");

/// A question to the engine.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Each module's file name and text.
    pub modules: Vec<(String, String)>,
    /// The version of Rego of all of them.
    pub version: RegoVersion,
    /// What `data` begins as.
    pub data: Option<Value>,
    /// What `input` is; `None` leaves it undefined.
    pub input: Option<Value>,
    /// The reference to evaluate, like `data.p.t`.
    pub query: String,
}

/// What OPA or muster says to a question.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A value; sets are sorted arrays.
    Result(Value),
    /// A number that JSON values here cannot hold, as OPA writes it.
    Text(String),
    /// Nothing.
    #[serde(deserialize_with = "marker")]
    Undefined,
    /// A refusal to load, or an error of the evaluation; the wording need not agree.
    Error(String),
}

/// One case: a question, and OPA's answers.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name; those of single expressions begin with `bi/`.
    pub id: String,
    /// What is asked.
    pub question: Question,
    /// OPA's answer, built-in errors suppressed.
    pub opa: Answer,
    /// OPA's answer with strict built-in errors, where it is another one.
    pub strict: Option<Answer>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    version: String,
    module: Option<String>,
    expr: Option<String>,
    input: Option<Value>,
    data: Option<Value>,
    query: Option<String>,
    opa: Answer,
    opa_strict: Option<Answer>,
}

fn marker<'de, D: serde::Deserializer<'de>>(value: D) -> Result<(), D::Error> {
    bool::deserialize(value).map(|_| ())
}

/// The cases inside this binary.
pub fn cases() -> Result<Vec<Case>, PolicyError> {
    let rows: Vec<Row> =
        serde_json::from_str(CASES).map_err(|e| PolicyError::refused("cases/rego.json", None, e.to_string()))?;
    Ok(rows.into_iter().map(case).collect())
}

/// The cases that are not met, each with the reason: the list that `cases` is measured against.
pub fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
    KNOWN.lines().filter_map(|line| line.split_once('\t'))
}

fn case(row: Row) -> Case {
    let v0 = row.version == "v0";
    let question = match (row.module, row.expr) {
        (Some(module), _) => Question {
            modules: parts(&row.id, &module),
            version: if v0 { RegoVersion::V0 } else { RegoVersion::V1 },
            data: row.data,
            input: row.input,
            query: row.query.unwrap_or_default(),
        },
        // Version 0 with version 1's keywords: a query may name deprecated built-ins, a module of version 1 may not.
        (None, expression) => Question {
            modules: vec![("query.rego".to_owned(), wrapped(&expression.unwrap_or_default()))],
            version: RegoVersion::V0,
            data: row.data,
            input: Some(row.input.unwrap_or_else(|| Value::Object(serde_json::Map::new()))),
            query: "data.muster_case.answer".to_owned(),
        },
    };
    Case {
        id: row.id,
        question,
        opa: row.opa,
        strict: row.opa_strict,
    }
}

/// Several modules of one case stand behind each other, parted by a line of three hyphens.
fn parts(id: &str, text: &str) -> Vec<(String, String)> {
    let parts: Vec<_> = text.split("\n---\n").collect();
    let name = |index: usize| {
        if index == 0 {
            format!("{id}.rego")
        } else {
            format!("{id}_{index}.rego")
        }
    };
    parts
        .iter()
        .enumerate()
        .map(|(index, part)| (name(index), format!("{}\n", part.trim_end())))
        .collect()
}

fn wrapped(expression: &str) -> String {
    let statement = ["every ", "not ", "some ", "walk("]
        .iter()
        .any(|word| expression.starts_with(word));
    let rule = if statement {
        format!("answer {{ {expression} }}")
    } else {
        format!("answer := {expression}")
    };
    format!("package muster_case\n\nimport future.keywords\n\n{rule}\n")
}

/// The engine's answer. `strict` makes a suppressed built-in error the answer.
pub fn answer(question: &Question, strict: bool) -> Answer {
    answer_by(question, strict, Options::default())
}

/// The same with the front end's options.
pub(crate) fn answer_by(question: &Question, strict: bool, options: Options) -> Answer {
    let asked = on_deep_stack(|| -> Result<Answer, PolicyError> {
        let mut engine = Engine::new(NOW)?;
        for (path, text) in &question.modules {
            engine.add_module(path, text, question.version)?;
        }
        if let Some(data) = &question.data {
            engine.add_data("data", data.clone())?;
        }
        engine.compile_with(options, &|_| true)?;
        let outcome = engine.session(question.input.as_ref()).evaluate(&question.query);
        Ok(match outcome {
            Err(why) => Answer::Error(why),
            Ok(evaluation) => match (evaluation.suppressed, evaluation.value) {
                (Some(why), _) if strict => Answer::Error(why),
                (_, Some(value)) => Answer::Result(value),
                (_, None) => Answer::Undefined,
            },
        })
    });
    match asked {
        Ok(Ok(answer)) => answer,
        Ok(Err(why)) | Err(why) => Answer::Error(why.to_string()),
    }
}

/// Whether two answers are the same to a user: numbers by value, errors by being errors.
pub fn agree(one: &Answer, other: &Answer) -> bool {
    match (one, other) {
        (Answer::Result(one), Answer::Result(other)) => equal(one, other),
        (Answer::Error(_), Answer::Error(_)) => true,
        _ => one == other,
    }
}

/// Whether two documents are equal as Rego compares them: numbers by value.
pub fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || both(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => one == other,
    }
}

fn both(one: &Number, other: &Number) -> bool {
    // Two integers that f64 cannot tell apart are not equal; they were compared before.
    let float = one.is_f64() || other.is_f64();
    float && one.as_f64() == other.as_f64()
}
