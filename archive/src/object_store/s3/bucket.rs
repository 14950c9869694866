//! How a bucket is set up, as facts that policies judge (`docs/format/facts.md`).
//!
//! Invariant: nothing is changed, each fact is one question, and its answer is on, off or unknown: unknown says what the server
//! answered, and which permission to allow where it refused. The bytes of every answer are kept beside what was read out of them.

mod read;
mod record;

use std::collections::BTreeMap;
use std::error::Error;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use muster_signing::Digest;
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::{S3Options, S3Store};
use crate::object_store::{ErrorKind, StorageError};
use record::Recorder;

/// Tries at a server that has trouble of its own; then the fact is unknown.
const TRIES: u32 = 3;

/// What was learnt of a bucket.
#[derive(Debug)]
pub struct InspectedBucket {
    /// The facts, an element of `buckets` in a facts document.
    pub facts: Value,
    /// The answers as they came, by the name of the fact.
    pub raw: BTreeMap<&'static str, Vec<u8>>,
}

/// One thing to ask.
struct Question {
    fact: &'static str,
    /// The subresource that is read: `GET /bucket?query`.
    query: &'static str,
    /// What the asker must be allowed.
    permission: &'static str,
    /// What servers call it where nothing is configured.
    absent: &'static [&'static str],
}

/// What came of a question.
enum Told<T> {
    Is(T),
    /// Nothing of the kind is configured.
    Absent,
    Unknown(String),
}

/// Asks how the bucket of `s3://bucket/prefix` is set up. `now` tells the time, as facts say it. A fact that cannot be had is no error.
pub async fn inspect_bucket(
    url: &str,
    options: &S3Options,
    now: &(dyn Fn() -> String + Sync),
) -> Result<InspectedBucket, StorageError> {
    let Some(place) = url.strip_prefix("s3://") else {
        let attempt = format!("ask how the bucket of {url:?} is set up");
        return Err(StorageError::new(ErrorKind::Invalid, "", attempt).hint("it begins with s3://"));
    };
    let store = super::connect::connect(place, options).await?;
    let mut survey = Survey {
        store: &store,
        now,
        facts: Map::new(),
        collected: Vec::new(),
        raw: BTreeMap::new(),
        asker: Value::Null,
        server: Value::Null,
        transport: Value::Null,
    };
    survey.ask_all().await;
    let mut facts = Map::from_iter([
        ("name".to_owned(), json!(format!("s3://{}", store.bucket))),
        ("prefix".to_owned(), json!(store.prefix)),
        ("endpoint".to_owned(), json!(options.endpoint)),
        ("transport".to_owned(), survey.transport),
        ("server".to_owned(), survey.server),
        ("role".to_owned(), survey.asker),
    ]);
    facts.append(&mut survey.facts);
    facts.insert("collected".to_owned(), Value::Array(survey.collected));
    Ok(InspectedBucket {
        facts: Value::Object(facts),
        raw: survey.raw,
    })
}

/// The facts as they are gathered.
struct Survey<'a> {
    store: &'a S3Store,
    now: &'a (dyn Fn() -> String + Sync),
    facts: Map<String, Value>,
    collected: Vec<Value>,
    raw: BTreeMap<&'static str, Vec<u8>>,
    /// The access key id that signed.
    asker: Value,
    /// What the server calls itself.
    server: Value,
    /// `http` or `https`, as the requests really went.
    transport: Value,
}

impl Survey<'_> {
    /// Asks one question, and again where the server has trouble; records how.
    async fn ask<T, E, F>(&mut self, question: &Question, send: impl Fn(Recorder) -> F) -> Told<T>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let started = (self.now)();
        let mut tries = 0;
        let (told, recorder) = loop {
            tries += 1;
            let recorder = Recorder::default();
            let sent = self.store.within(0, send(recorder.clone())).await;
            let again = tries < TRIES && matches!(recorder.status(), None | Some(429 | 500 | 502..=504));
            match sent {
                Ok(Ok(value)) => break (Told::Is(value), recorder),
                Ok(Err(error)) if error.code().is_some_and(|code| question.absent.contains(&code)) => {
                    break (Told::Absent, recorder);
                }
                _ if again => {}
                Ok(Err(error)) => {
                    let why = self.refusal(question, recorder.status(), error);
                    break (Told::Unknown(why), recorder);
                }
                Err(silence) => break (Told::Unknown(self.trouble(question, silence)), recorder),
            }
        };
        let asked = recorder.taken();
        for (known, told) in [
            (&mut self.asker, asked.asker),
            (&mut self.server, asked.server),
            (&mut self.transport, asked.transport),
        ] {
            if let (Value::Null, Some(told)) = (&known, told) {
                *known = json!(told);
            }
        }
        let raw = asked.body.unwrap_or_default();
        self.collected.push(json!({
            "fact": question.fact,
            "query": format!("GET {}?{}", self.store.bucket, question.query),
            "permission": question.permission,
            "status": asked.status,
            "tries": tries,
            "started": started,
            "finished": (self.now)(),
            "raw_bytes": raw.len(),
            "raw_digest": Digest::of(&raw).to_string(),
        }));
        self.raw.insert(question.fact, raw);
        told
    }

    /// Keeps a fact: what it is, or that there is none, or why that is not known. `absent` are its members in the latter two.
    fn keep<T>(&mut self, fact: &str, told: Told<T>, absent: &[&str], read: impl FnOnce(T) -> (bool, Value)) {
        let none = || absent.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
        let (state, reason, mut members): (_, _, Map<String, Value>) = match told {
            Told::Is(value) => match read(value) {
                (true, Value::Object(members)) => ("on", Value::Null, members),
                _ => ("off", Value::Null, none()),
            },
            Told::Absent => ("off", Value::Null, none()),
            Told::Unknown(why) => ("unknown", json!(why), none()),
        };
        members.insert("state".to_owned(), json!(state));
        members.insert("reason".to_owned(), reason);
        self.facts.insert(fact.to_owned(), Value::Object(members));
    }

    fn refusal<E>(&self, question: &Question, status: Option<u16>, error: SdkError<E, HttpResponse>) -> String
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let code = error.code().unwrap_or_default();
        let said = |status: u16| format!("HTTP {status} {code}").trim_end().to_owned();
        match status {
            Some(status @ (401 | 403)) => {
                let (allow, bucket) = (question.permission, &self.store.bucket);
                format!("{}; allow {allow} on arn:aws:s3:::{bucket}", said(status))
            }
            Some(status @ (200..=299 | 405 | 501)) => format!("{}: the server does not have this", said(status)),
            Some(status) if !code.is_empty() => said(status),
            _ => self.trouble(question, Failure::from_sdk(error)),
        }
    }

    fn trouble(&self, question: &Question, failure: Failure) -> String {
        let attempt = format!("ask {} for its {}", self.store.bucket, question.fact);
        let error = failure.of("", &attempt, 1);
        match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }
}
