//! One rule, explained: what it looks at, and how far each of its bodies holds on a document.
//!
//! Nothing is guessed from the text: each statement's outcome and values come from evaluating what stands in front of it, by the engine
//! that gives the verdicts.

mod list;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

pub use list::{Listed, list};

use crate::builtins::{Files, World};
use crate::check::reference;
use crate::engine::{Engine, Module, Session, on_deep_stack};
use crate::input::{self, Reading};
use crate::profile;
use crate::rego::{self, Front, Options, Steps};
use crate::sandbox::Sandbox;
use crate::sources::{self, PolicyError, RegoVersion};

/// The most values of one expression that are told.
const MAX_VALUES: usize = 5;

/// Where to look for the rule, and what to explain it on.
#[derive(Debug, Clone)]
pub struct ExplainOptions {
    /// Files and folders of policies, beside the profiles.
    pub policies: Vec<PathBuf>,
    /// Files and folders that become `data`.
    pub data: Vec<PathBuf>,
    /// The document to explain the rule on.
    pub input: Option<PathBuf>,
    /// Which version of Rego the policies are written in.
    pub rego_version: RegoVersion,
    /// The time that `time.now_ns()` gives.
    pub now: OffsetDateTime,
    /// Where policies are evaluated that are not muster's own; none is this process.
    pub sandbox: Option<Sandbox>,
}

/// What there is to say of a rule: the document `muster.policy explain/1`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    schema: &'static str,
    /// The rule.
    #[serde(flatten)]
    pub listed: Listed,
    /// The parts of `input` that it may look at, itself and through what it uses; `[_]` is any member.
    pub reads: Vec<String>,
    /// For a rule of a profile: a document for each verdict.
    pub examples: Option<Value>,
    /// How it fared on the input, document by document.
    pub documents: Vec<Document>,
}

/// One document of the input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Document {
    /// Where it begins, if the format tells.
    pub line: Option<u32>,
    /// The bodies of the rule, in the order of the text.
    pub bodies: Vec<Holding>,
}

/// One body of a rule, on one document.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Holding {
    /// The rule's name.
    pub name: String,
    /// The file that holds it.
    pub file: String,
    /// Its line, one-based.
    pub line: u32,
    /// Whether all of it holds.
    pub holds: bool,
    /// Its statements.
    pub statements: Vec<Stage>,
    /// Where it holds: what its head gives, at most five.
    pub gives: Vec<Value>,
}

/// What became of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It held in at least one way.
    True,
    /// It was false or undefined in every way in which it was reached.
    False,
    /// A statement before it did not hold.
    NotReached,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// Its line, one-based.
    pub line: u32,
    /// As it is written, on one line.
    pub text: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What it looked at.
    pub values: Vec<Looked>,
}

/// An expression that a statement looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Looked {
    /// As it is written, on one line.
    pub expression: String,
    /// The values that it had, at most five; none is undefined.
    pub values: Vec<Value>,
}

/// Explains the rule of this id or name.
///
/// # Errors
/// No such rule, or several; policies, data or an input that cannot be read; an evaluation that ended in an error.
pub fn explain(name: &str, options: &ExplainOptions) -> Result<Explained, PolicyError> {
    let profiles = profile::profiles();
    let listed = find(name, list(&profiles, &options.policies, options.rego_version)?)?;
    on_deep_stack(|| {
        let mut engine = match &listed.profile {
            Some(profile) => {
                let mut engine = Engine::new(options.now)?;
                let wanted = |file: &str| file == listed.about.file || file.ends_with("/lib.rego");
                let files: Vec<_> = profile::sources(profile)?;
                let files: Vec<_> = files.into_iter().filter(|(file, _)| wanted(file)).collect();
                profile::load(&mut engine, &files)?;
                engine
            }
            None => {
                let mut engine = Engine::apart(World::of(Files::Beneath), options.now, options.sandbox.as_ref())?;
                sources::load_policies(&mut engine, &options.policies, options.rego_version, false)?;
                engine.place();
                engine
            }
        };
        sources::load_data(&mut engine, &options.data)?;
        let with = Options {
            keep: true,
            steps: true,
            ..Options::default()
        };
        engine.compile_with(with, &|_| true)?;
        let names = names(&listed);
        let mut reads: Vec<String> = Vec::new();
        for name in &names {
            let read = engine.reads(&listed.about.package, name);
            reads.extend(read.iter().map(|read| shown(&read.part)));
        }
        reads.sort();
        reads.dedup();
        let examples = match &listed.profile {
            Some(profile) => profile::examples(profile, &listed.about.file)?,
            None => None,
        };
        let documents = match &options.input {
            Some(path) => documents(&engine, &listed, &names, path, options.sandbox.as_ref())?,
            None => Vec::new(),
        };
        Ok(Explained {
            schema: "muster.policy explain/1",
            listed,
            reads,
            examples,
            documents,
        })
    })?
}

/// The rule of an id; else of a full name, else of a name within some package.
fn find(name: &str, rules: Vec<Listed>) -> Result<Listed, PolicyError> {
    let full = |listed: &Listed| match listed.name.as_str() {
        "" => listed.about.package.clone(),
        name => format!("{}.{name}", listed.about.package),
    };
    let short = |listed: &Listed| full(listed).rsplit('.').next().map(str::to_owned);
    let plain = name.strip_prefix("data.").unwrap_or(name);
    let ways: [&dyn Fn(&Listed) -> bool; 3] = [
        &|listed| listed.rule == name,
        &|listed| full(listed) == plain,
        &|listed| short(listed).as_deref() == Some(name),
    ];
    for way in ways {
        let mut found: Vec<&Listed> = rules.iter().filter(|listed| way(listed)).collect();
        match found.len() {
            0 => {}
            1 => return Ok(found.remove(0).clone()),
            count => {
                let ids: Vec<String> = found.iter().map(|listed| full(listed)).collect();
                return Err(PolicyError::SeveralRules {
                    name: name.to_owned(),
                    count,
                    known: ids.join(", "),
                });
            }
        }
    }
    Err(PolicyError::UnknownRule { name: name.to_owned() })
}

/// The names of the Rego rules that make a rule up.
fn names(listed: &Listed) -> Vec<String> {
    match listed.name.as_str() {
        "" => profile::OUTCOMES.iter().map(|(name, _)| (*name).to_owned()).collect(),
        name => vec![name.to_owned()],
    }
}

/// `input.stores[_].kind`
fn shown(part: &[rego::Step]) -> String {
    let mut text = "input".to_owned();
    for step in part {
        match step {
            rego::Step::Any(_) => text.push_str("[_]"),
            rego::Step::Key(key) => {
                let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                match plain && !key.starts_with(|c: char| c.is_ascii_digit()) && !key.is_empty() {
                    true => text.push_str(&format!(".{key}")),
                    false => text.push_str(&format!("[{}]", Value::from(key.as_str()))),
                }
            }
        }
    }
    text
}

fn documents(
    engine: &Engine,
    listed: &Listed,
    names: &[String],
    path: &Path,
    sandbox: Option<&Sandbox>,
) -> Result<Vec<Document>, PolicyError> {
    let mut documents = Vec::new();
    let reading = Reading {
        sandbox,
        ..Reading::default()
    };
    for file in input::input_files(path, &|_| false) {
        let refused = |why: String| PolicyError::refused(&file.name, None, why);
        let bytes = file.bytes.as_ref().map_err(|why| refused(why.clone()))?;
        for document in input::parse(bytes, file.format, &reading).map_err(refused)? {
            let mut session = engine.session(Some(&document.value));
            let mut bodies = Vec::new();
            for steps in engine.steps() {
                let module = &engine.modules()[steps.place];
                if module.package == listed.about.package && names.contains(&steps.name) {
                    let holding = holding(&mut session, module, steps);
                    bodies.push(holding.map_err(|why| PolicyError::refused(&module.path, Some(steps.line), why))?);
                }
            }
            documents.push(Document {
                line: document.line,
                bodies,
            });
        }
    }
    Ok(documents)
}

/// How far one body holds.
fn holding(session: &mut Session, module: &Module, steps: &Steps) -> Result<Holding, String> {
    let text = |span: &rego::Span| {
        let range = span.start as usize..span.end as usize;
        let text = module.text().get(range).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let mut ways = |step: &Front| -> Result<Vec<Value>, String> {
        let value = session.evaluate(&reference(&module.package, &step.rule))?.value;
        Ok(match value {
            Some(Value::Array(ways)) => ways,
            _ => Vec::new(),
        })
    };
    let head = ways(&steps.head)?;
    let mut reached = Vec::new();
    for step in &steps.statements {
        reached.push(ways(step)?);
    }
    let failing = match head.is_empty() {
        true => last_reached(steps, &reached),
        false => None,
    };
    let statements = steps.statements.iter().zip(&reached).enumerate();
    let statements = statements.map(|(place, (step, ways))| Stage {
        line: step.span.line,
        text: text(&step.span),
        outcome: match (ways.is_empty(), failing) {
            (true, _) => Outcome::NotReached,
            (false, Some(failing)) if failing == place => Outcome::False,
            (false, _) => Outcome::True,
        },
        values: step
            .parts
            .iter()
            .enumerate()
            .map(|(part, span)| Looked {
                expression: text(span),
                values: values(ways, part),
            })
            .collect(),
    });
    Ok(Holding {
        name: steps.name.clone(),
        file: module.path.clone(),
        line: steps.line,
        holds: !head.is_empty(),
        statements: statements.collect(),
        gives: (0..steps.head.parts.len())
            .next_back()
            .map(|part| values(&head, part))
            .unwrap_or_default(),
    })
}

/// Of the statements that were reached, the one behind which nothing is.
fn last_reached(steps: &Steps, reached: &[Vec<Value>]) -> Option<usize> {
    let places = (0..reached.len()).filter(|place| !reached[*place].is_empty());
    places.max_by_key(|place| steps.statements[*place].rank)
}

/// What a part was in the ways in which it was reached.
fn values(ways: &[Value], part: usize) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::new();
    for value in ways.iter().filter_map(|way| way.get(part)?.as_array()).flatten() {
        if values.len() < MAX_VALUES && !values.contains(value) {
            values.push(value.clone());
        }
    }
    values
}
