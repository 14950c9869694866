//! The child's side: limits first, then one engine, then question after question until the pipe is closed.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{several, tag, wire};
use crate::builtins::{Files, World};
use crate::engine::{Engine, Evaluation, Here, STACK, Text, on_deep_stack};
use crate::input::Question;
use crate::sources::PolicyError;

/// What the program itself and its standard library need beside the policies.
const OWN: u64 = 32 << 20;
/// The most evaluations at a time.
pub(super) const MOST: usize = 8;
/// An input of so many bytes is worth a thread more.
const LARGE: u32 = 1 << 20;
const BUFFER: usize = 64 << 10;

/// What is evaluated.
#[derive(Deserialize)]
struct Begin {
    /// Nanoseconds since 1970.
    now: i64,
    files: Files,
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
    let served = on_deep_stack(|| answer(io::stdin().lock(), io::stdout().lock(), time));
    u8::from(!matches!(served, Ok(Ok(()))))
}

/// Memory is bounded, nothing is written to a disk, and an end leaves no image of what was read.
fn limit(memory: u64) -> io::Result<()> {
    let memory = memory.saturating_add(STACK as u64).saturating_add(OWN);
    let stacks = memory.saturating_add((MOST * STACK) as u64);
    for (resource, most, maximum) in [
        (Resource::Data, memory, stacks),
        (Resource::Core, 0, 0),
        (Resource::Fsize, 0, 0),
    ] {
        setrlimit(
            resource,
            Rlimit {
                current: Some(most),
                maximum: Some(maximum),
            },
        )?;
    }
    Ok(())
}

/// Lets this process compute for so much longer: what it does when nobody is left to end it.
pub(super) fn compute_for(time: Duration) {
    let used = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or(0);
    let current = used.saturating_add(2 * time.as_secs()).saturating_add(10);
    let maximum = getrlimit(Resource::Cpu).maximum;
    let current = Some(maximum.map_or(current, |maximum| maximum.min(current)));
    // Where that is not allowed the parent still watches the clock.
    let _ = setrlimit(Resource::Cpu, Rlimit { current, maximum });
}

/// Answers until the questions end.
pub(super) fn answer(questions: impl Read, answers: impl Write, time: Duration) -> io::Result<()> {
    let mut questions = BufReader::with_capacity(BUFFER, questions);
    let mut answers = BufWriter::with_capacity(BUFFER, answers);
    let asked = wire::receive(&mut questions, u32::MAX)?;
    compute_for(time);
    let payload = match asked {
        Some((tag::BEGIN, payload)) => payload,
        Some((tag::READ, payload)) => {
            let question = wire::decode::<Question>(&payload);
            return match question.and_then(|question| question.answer()) {
                Ok(value) => wire::send(&mut answers, tag::VALUE, &encoded(&value)),
                Err(why) => wire::send(&mut answers, tag::FAILED, why.as_bytes()),
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
            return wire::send(&mut answers, tag::REFUSED, &encoded(&json!([path, line, why])));
        }
    };
    drop(payload);
    wire::send(&mut answers, tag::DONE, &[])?;
    let mut session = engine.here(None);
    let mut large = false;
    while let Some((asked, length)) = wire::next(&mut questions, u32::MAX)? {
        compute_for(time);
        let done = |done: Result<(), String>| match done {
            Ok(()) => (tag::DONE, Vec::new()),
            Err(why) => (tag::FAILED, why.into_bytes()),
        };
        let (kind, answered) = match asked {
            tag::INPUT => {
                // Only one at a time has to fit.
                session = engine.here(None);
                large = length >= LARGE;
                let input = value(&mut questions, length)?;
                done(input.map(|input| session = engine.here(Some(input))))
            }
            tag::DATA => {
                let data = value(&mut questions, length)?;
                done(data.and_then(|data| engine.set_data(data).map_err(|error| error.to_string())))
            }
            tag::EVALUATE => evaluate(&mut session, &wire::rest(&mut questions, length)?),
            tag::EVALUATE_ALL => {
                let Ok(references) = wire::decode::<Vec<String>>(&wire::rest(&mut questions, length)?) else {
                    return Err(io::ErrorKind::InvalidData.into());
                };
                match large {
                    true => several::over_large(&session, &references, &mut answers, time)?,
                    false => several::one_by_one(&mut session, &references, &mut answers, time)?,
                }
                continue;
            }
            _ if length > 0 => return Err(io::ErrorKind::InvalidData.into()),
            tag::NO_INPUT => {
                (session, large) = (engine.here(None), false);
                done(Ok(()))
            }
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
        wire::send(&mut answers, kind, &answered)?;
    }
    Ok(())
}

/// The value that the next so many bytes are, read as they arrive; or why they are none.
fn value<T: DeserializeOwned>(questions: &mut impl Read, length: u32) -> io::Result<Result<T, String>> {
    let mut frame = questions.take(u64::from(length));
    let value = wire::decode_from(&mut frame, u64::from(length));
    io::copy(&mut frame, &mut io::sink())?;
    Ok(value)
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

pub(super) fn evaluate(session: &mut Here, reference: &[u8]) -> (u8, Vec<u8>) {
    let Ok(reference) = str::from_utf8(reference) else {
        return (tag::FAILED, b"a reference that is not UTF-8".to_vec());
    };
    told(session.evaluate(reference))
}

/// An evaluation as an answer.
pub(super) fn told(evaluation: Result<Evaluation, String>) -> (u8, Vec<u8>) {
    match evaluation {
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
        answer(sent.as_slice(), &mut answers, TIME)?;
        let mut rest = answers.as_slice();
        let mut all = Vec::new();
        while let Some(frame) = wire::receive(&mut rest, u32::MAX)? {
            all.push(frame);
        }
        Ok(all)
    }

    fn begin(text: &str, data: Value) -> (u8, Vec<u8>) {
        let texts = json!([{"path": "p.rego", "v0": false, "text": text}]);
        let told = json!({"now": 0, "files": "None", "runtime": {}, "texts": texts, "data": [["d.json", data]]});
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
    fn many_at_once_are_answered_in_their_order_and_over_a_large_input_as_over_a_small_one() {
        let rules: String = (0..40).map(|n| format!("r{n} := input.a + {n} + s\n\n")).collect();
        let others = "s := count({1, 2})\n\nprinted if print(input.a)\n\nwrong := to_number(\"x\")\n\nleaned := x if x := wrong\n\nleaned := 5\n\nset contains x if some x in [1, 2]\n\ntwo := 1\n\ntwo := 2 if input.a\n";
        let text = format!("package p\n\n{rules}{others}");
        let mut references: Vec<String> = (0..40).map(|n| format!("data.p.r{n}")).collect();
        for (place, name) in [
            (3, "printed"),
            (9, "wrong"),
            (11, "leaned"),
            (20, "none"),
            (21, "set"),
            (33, "two"),
        ] {
            references.insert(place, format!("data.p.{name}"));
        }
        let answers = |text_of_input: &str| {
            asked(&[
                begin(&text, json!({})),
                (tag::INPUT, encoded(&json!({"a": 100, "text": text_of_input}))),
                (tag::EVALUATE_ALL, encoded(&json!(references))),
                (tag::EVALUATE, b"data.p.r1".to_vec()),
            ])
            .unwrap()
        };
        let small = answers("");
        assert_eq!(small.len(), 2 + references.len() + 1);
        let value = |place: usize| wire::decode::<Value>(&small[2 + place].1).unwrap();
        assert_eq!(value(0), json!([[102], null, [], [], []]));
        assert_eq!(value(3)[2].as_array().map(Vec::len), Some(1));
        assert_eq!(
            (&value(11)[0], &value(20)[0], &value(21)[0]),
            (&json!([5]), &json!([]), &json!([[1, 2]]))
        );
        assert!(value(11)[1].as_str().unwrap().contains("to_number"));
        assert_eq!(small[2 + 33].0, tag::FAILED);
        assert_eq!(answers(&"x".repeat(LARGE as usize)), small);
    }

    #[test]
    fn an_input_that_is_no_value_leaves_the_next_question_alone() {
        let answers = asked(&[
            begin("package p\n\nx := input.a\n", json!({})),
            (tag::INPUT, b"\x09\x09\x09\x09".to_vec()),
            (tag::INPUT, encoded(&json!({"a": 1}))),
            (tag::EVALUATE, b"data.p.x".to_vec()),
        ])
        .unwrap();
        let kinds: Vec<u8> = answers.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [tag::DONE, tag::FAILED, tag::DONE, tag::VALUE]);
        assert!(asked(&[begin("package p\n", json!({})), (tag::EVALUATE_ALL, b"?".to_vec())]).is_err());
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
