//! The child's side: limits first, then one engine, then question after question until the pipe is closed.

use std::io::{self, Read, Write};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{tag, wire};
use crate::builtins::World;
use crate::engine::{Engine, STACK, Session, Text, on_deep_stack};
use crate::input::Question;
use crate::sources::PolicyError;

/// What the program itself and its standard library need beside the policies.
const OWN: u64 = 32 << 20;

/// What is evaluated.
#[derive(Deserialize)]
struct Begin {
    /// Nanoseconds since 1970.
    now: i64,
    files: bool,
    runtime: Value,
    texts: Vec<Text>,
    data: Vec<(String, Value)>,
}

/// The whole life of a child: `arguments` are memory in bytes and time in milliseconds. Returns its exit status.
pub fn serve(arguments: &[String]) -> u8 {
    let numbers: Vec<u64> = arguments.iter().filter_map(|text| text.parse().ok()).collect();
    let [memory, milliseconds] = numbers[..] else {
        return 2;
    };
    let time = Duration::from_millis(milliseconds);
    // A panic is an evaluation's error, told by its answer.
    std::panic::set_hook(Box::new(|_| {}));
    if limit(memory).is_err() {
        return 3;
    }
    let served = on_deep_stack(|| answer(&mut io::stdin().lock(), &mut io::stdout().lock(), time));
    u8::from(!matches!(served, Ok(Ok(()))))
}

/// Memory is bounded, nothing is written to a disk, and an end leaves no image of what was read.
fn limit(memory: u64) -> io::Result<()> {
    let memory = memory.saturating_add(STACK as u64).saturating_add(OWN);
    for (resource, most) in [(Resource::Data, memory), (Resource::Core, 0), (Resource::Fsize, 0)] {
        setrlimit(
            resource,
            Rlimit {
                current: Some(most),
                maximum: Some(most),
            },
        )?;
    }
    Ok(())
}

/// Lets this process compute for so much longer: what it does when nobody is left to end it.
fn compute_for(time: Duration) {
    let used = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or(0);
    let current = used.saturating_add(2 * time.as_secs()).saturating_add(10);
    let maximum = getrlimit(Resource::Cpu).maximum;
    let current = Some(maximum.map_or(current, |maximum| maximum.min(current)));
    // Where that is not allowed the parent still watches the clock.
    let _ = setrlimit(Resource::Cpu, Rlimit { current, maximum });
}

/// Answers until the questions end.
pub(super) fn answer(questions: &mut impl Read, answers: &mut impl Write, time: Duration) -> io::Result<()> {
    let asked = wire::receive(questions, u32::MAX)?;
    compute_for(time);
    let payload = match asked {
        Some((tag::BEGIN, payload)) => payload,
        Some((tag::READ, payload)) => {
            let question = wire::decode::<Question>(&payload);
            return match question.and_then(|question| question.answer()) {
                Ok(value) => wire::send(answers, tag::VALUE, &encoded(&value)),
                Err(why) => wire::send(answers, tag::FAILED, why.as_bytes()),
            };
        }
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    let mut engine = match begin(&payload, time) {
        Ok(engine) => engine,
        Err(error) => {
            let (path, line, why) = match error {
                PolicyError::Refused { path, line, why } => (path, line, why),
                other => ("policies".to_owned(), None, other.to_string()),
            };
            return wire::send(answers, tag::REFUSED, &encoded(&json!([path, line, why])));
        }
    };
    drop(payload);
    wire::send(answers, tag::DONE, &[])?;
    let mut session = engine.session(None);
    while let Some((asked, payload)) = wire::receive(questions, u32::MAX)? {
        compute_for(time);
        let done = |done: Result<(), String>| match done {
            Ok(()) => (tag::DONE, Vec::new()),
            Err(why) => (tag::FAILED, why.into_bytes()),
        };
        let (kind, answered) = match asked {
            tag::INPUT => done(wire::decode(&payload).map(|input| session = engine.session_of(input))),
            tag::NO_INPUT => {
                session = engine.session(None);
                done(Ok(()))
            }
            tag::DATA => {
                done(wire::decode(&payload).and_then(|data| engine.set_data(data).map_err(|error| error.to_string())))
            }
            tag::EVALUATE => evaluate(&mut session, &payload),
            tag::RENEW => {
                session.renew();
                done(Ok(()))
            }
            tag::WATCH => {
                session.watch();
                done(Ok(()))
            }
            tag::REACHED => (tag::LINES, encoded(&json!(session.reached()))),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        wire::send(answers, kind, &answered)?;
    }
    Ok(())
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    wire::encode(value, &mut out);
    out
}

fn begin(payload: &[u8], time: Duration) -> Result<Engine, PolicyError> {
    let begin: Begin = wire::decode(payload).map_err(|why| PolicyError::refused("policies", None, why))?;
    let now = OffsetDateTime::from_unix_timestamp_nanos(i128::from(begin.now)).map_err(|_| PolicyError::Clock)?;
    let world = World {
        files: begin.files,
        runtime: begin.runtime,
    };
    let mut engine = Engine::within(&world, now)?;
    engine.limit(time);
    for (source, data) in begin.data {
        engine.add_data(&source, data)?;
    }
    engine.take_in(begin.texts)?;
    Ok(engine)
}

fn evaluate(session: &mut Session, reference: &[u8]) -> (u8, Vec<u8>) {
    let Ok(reference) = str::from_utf8(reference) else {
        return (tag::FAILED, b"a reference that is not UTF-8".to_vec());
    };
    match session.evaluate(reference) {
        Ok(evaluation) => {
            // What may be absent is a list, since null is a value.
            let value: Vec<Value> = evaluation.value.into_iter().collect();
            let bodies = evaluation.bodies.iter();
            let bodies: Vec<(u32, bool, bool)> = bodies.map(|(n, seen)| (*n, seen.held, seen.failed)).collect();
            let answer = json!([value, evaluation.suppressed, evaluation.prints, evaluation.told, bodies]);
            (tag::VALUE, encoded(&answer))
        }
        Err(why) => (tag::FAILED, why.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(30);

    fn asked(questions: &[(u8, Vec<u8>)]) -> io::Result<Vec<(u8, Vec<u8>)>> {
        let (mut sent, mut answers) = (Vec::new(), Vec::new());
        for (kind, payload) in questions {
            wire::send(&mut sent, *kind, payload)?;
        }
        answer(&mut sent.as_slice(), &mut answers, TIME)?;
        let mut rest = answers.as_slice();
        let mut all = Vec::new();
        while let Some(frame) = wire::receive(&mut rest, u32::MAX)? {
            all.push(frame);
        }
        Ok(all)
    }

    fn begin(text: &str, data: Value) -> (u8, Vec<u8>) {
        let texts = json!([{"path": "p.rego", "v0": false, "text": text}]);
        let told = json!({"now": 0, "files": false, "runtime": {}, "texts": texts, "data": [["d.json", data]]});
        (tag::BEGIN, encoded(&told))
    }

    #[test]
    fn questions_are_answered_in_their_order_and_inputs_replace_each_other() {
        let text = "package p\n\nx := input.a + data.b\n\ny := to_number(input.a)\n";
        let input = |value: Value| (tag::INPUT, encoded(&value));
        let evaluate = |reference: &str| (tag::EVALUATE, reference.as_bytes().to_vec());
        let answers = asked(&[
            begin(text, json!({"b": 1})),
            input(json!({"a": 2})),
            evaluate("data.p.x"),
            (tag::DATA, encoded(&json!({"b": 10}))),
            input(json!({"a": 2})),
            evaluate("data.p.x"),
            (tag::NO_INPUT, Vec::new()),
            evaluate("data.p.x"),
        ])
        .unwrap();
        let values: Vec<Value> = answers
            .iter()
            .filter(|(kind, _)| *kind == tag::VALUE)
            .map(|(_, answer)| wire::decode::<Value>(answer).unwrap()[0].clone())
            .collect();
        assert_eq!(values, [json!([3]), json!([12]), json!([])]);
    }

    #[test]
    fn what_the_evaluator_refuses_is_told_and_what_is_no_question_ends_it() {
        let answers = asked(&[begin("package p\n\nx := ]\n", json!({}))]).unwrap();
        assert_eq!(answers[0].0, tag::REFUSED);
        let (path, line, _): (String, Option<u32>, String) = wire::decode(&answers[0].1).unwrap();
        assert_eq!((path.as_str(), line), ("p.rego", Some(3)));
        assert!(asked(&[(tag::EVALUATE, b"data.p.x".to_vec())]).is_err());
        assert!(asked(&[begin("package p\n", json!({})), (b'?', Vec::new())]).is_err());
        assert_eq!(asked(&[(tag::BEGIN, b"?".to_vec())]).unwrap()[0].0, tag::REFUSED);
    }
}
