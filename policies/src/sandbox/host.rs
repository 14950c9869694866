//! The run's side: children that are kept for the next document, and what is said when one ends.

use std::io::{self, BufReader, BufWriter, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::{COMMAND, Sandbox, tag, wire};
use crate::builtins::{Seen, World};
use crate::engine::{Evaluation, Text};
use crate::sources::PolicyError;

/// The largest answer, in bytes.
const MAX_ANSWER: u32 = 256 << 20;
/// What of a child's last words is read.
const LAST_WORDS: u64 = 4096;
const BUFFER: usize = 64 << 10;
/// Beside what evaluations may take: for starting, for reading policies and inputs.
const GRACE: Duration = Duration::from_secs(60);

/// Children that evaluate the same policies, one for each session at a time.
#[derive(Debug)]
pub(crate) struct Pool {
    sandbox: Sandbox,
    begin: Vec<u8>,
    idle: Mutex<Vec<Process>>,
}

/// What a new child has to be told.
pub(crate) struct Begin<'a> {
    pub(crate) now: i64,
    pub(crate) world: &'a World,
    pub(crate) texts: &'a [Text],
    pub(crate) data: &'a [(String, Value)],
}

impl Pool {
    /// Starts the first child, so that what the evaluator refuses is known at once.
    pub(crate) fn start(sandbox: &Sandbox, begin: &Begin<'_>) -> Result<Self, PolicyError> {
        let told = json!({
            "now": begin.now,
            "files": begin.world.files,
            "runtime": begin.world.runtime,
            "texts": begin.texts,
            "data": begin.data,
        });
        let mut payload = Vec::new();
        wire::encode(&told, &mut payload);
        let pool = Self {
            sandbox: sandbox.clone(),
            begin: payload,
            idle: Mutex::new(Vec::new()),
        };
        let first = pool.begin()?;
        pool.give_back(first);
        Ok(pool)
    }

    fn take(&self) -> Result<Process, PolicyError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| self.begin(), Ok)
    }

    fn give_back(&self, process: Process) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(process);
    }

    fn begin(&self) -> Result<Process, PolicyError> {
        let mut process = Process::spawn(&self.sandbox).map_err(PolicyError::Sandbox)?;
        match process.ask(tag::BEGIN, &self.begin) {
            Ok((tag::DONE, _)) => Ok(process),
            Ok((tag::REFUSED, answer)) => {
                let (path, line, why) = wire::decode(&answer).map_err(|why| PolicyError::Sandbox(strange(&why)))?;
                Err(PolicyError::Refused { path, line, why })
            }
            Ok(_) => Err(PolicyError::Sandbox(strange("to a beginning"))),
            Err(why) => Err(PolicyError::Sandbox(why)),
        }
    }
}

fn strange(why: &str) -> String {
    format!("the process that evaluates policies gave a strange answer: {why}")
}

/// A session whose evaluations happen in a child.
pub(crate) struct Remote<'a> {
    pool: Arc<Pool>,
    data: Option<Arc<Vec<u8>>>,
    input: Option<&'a Value>,
    watched: bool,
    process: Option<Process>,
    /// Why no child takes this input.
    refused: Option<String>,
}

impl<'a> Remote<'a> {
    /// Nothing happens yet. `data` is what takes the place of the data that the pool began with.
    pub(crate) fn new(pool: Arc<Pool>, data: Option<Arc<Vec<u8>>>, input: Option<&'a Value>) -> Self {
        Self {
            pool,
            data,
            input,
            watched: false,
            process: None,
            refused: None,
        }
    }

    pub(crate) fn evaluate(&mut self, reference: &str) -> Result<Evaluation, String> {
        told(self.ask(tag::EVALUATE, reference.as_bytes())?)
    }

    /// Evaluates all of these, without a way there and back for each.
    pub(crate) fn evaluate_all(&mut self, references: &[&str]) -> Vec<Result<Evaluation, String>> {
        let mut found = Vec::with_capacity(references.len());
        if references.len() > 1
            && let Ok(mut process) = self.at_hand()
            && process.send(tag::EVALUATE_ALL, &encoded(&json!(references)))
        {
            let answers = references.iter().map_while(|_| process.answer(tag::EVALUATE_ALL).ok());
            found.extend(answers.map(told));
            if found.len() == references.len() {
                self.process = Some(process);
            }
        }
        // Where one of them ended the child, it is the one that does so again when it is alone.
        let rest = references.iter().skip(found.len());
        let rest: Vec<_> = rest.map(|reference| self.evaluate(reference)).collect();
        found.extend(rest);
        found
    }

    pub(crate) fn renew(&mut self) {
        // A child that has not begun has found out nothing, and one that ends now says so when it is asked.
        if self.process.is_some() {
            drop(self.ask(tag::RENEW, &[]));
        }
    }

    pub(crate) fn watch(&mut self) {
        self.watched = true;
        if self.process.is_some() {
            drop(self.ask(tag::WATCH, &[]));
        }
    }

    pub(crate) fn reached(&mut self) -> Vec<(String, Vec<u32>)> {
        let answer = self.ask(tag::REACHED, &[]).ok();
        answer
            .and_then(|(_, answer)| wire::decode(&answer).ok())
            .unwrap_or_default()
    }

    fn ask(&mut self, tag: u8, payload: &[u8]) -> Result<(u8, Vec<u8>), String> {
        let mut process = self.at_hand()?;
        let answer = process.ask(tag, payload)?;
        self.process = Some(process);
        Ok(answer)
    }

    /// The child of this session, which has its data and input.
    fn at_hand(&mut self) -> Result<Process, String> {
        if let Some(process) = self.process.take() {
            return Ok(process);
        }
        if let Some(why) = &self.refused {
            return Err(why.clone());
        }
        let mut process = self.pool.take().map_err(|error| error.to_string())?;
        if let Err(why) = self.prepare(&mut process) {
            // It would be so for each of many rules, and take as long.
            self.refused = Some(why.clone());
            return Err(why);
        }
        Ok(process)
    }

    fn prepare(&self, process: &mut Process) -> Result<(), String> {
        let has = |data: &Arc<Vec<u8>>| process.data.as_ref().is_some_and(|has| Arc::ptr_eq(has, data));
        if let Some(data) = self.data.as_ref().filter(|data| !has(data)) {
            process.tell(tag::DATA, data)?;
            process.data = Some(Arc::clone(data));
        }
        match self.input {
            Some(input) => process.give(input)?,
            None => process.tell(tag::NO_INPUT, &[])?,
        }
        if self.watched {
            process.tell(tag::WATCH, &[])?;
        }
        Ok(())
    }
}

/// An answer to a reference.
fn told((kind, answer): (u8, Vec<u8>)) -> Result<Evaluation, String> {
    if kind != tag::VALUE {
        return Err(String::from_utf8_lossy(&answer).into_owned());
    }
    type Bodies = Vec<(u32, bool, bool)>;
    type Answer = (Vec<Value>, Option<String>, Vec<String>, Vec<String>, Bodies);
    let (value, suppressed, prints, told, bodies): Answer = wire::decode(&answer).map_err(|why| strange(&why))?;
    Ok(Evaluation {
        value: value.into_iter().next(),
        suppressed,
        prints,
        told,
        bodies: bodies
            .into_iter()
            .map(|(n, held, failed)| (n, Seen::of(held, failed)))
            .collect(),
    })
}

impl Drop for Remote<'_> {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            self.pool.give_back(process);
        }
    }
}

/// Has a child read a file.
///
/// # Errors
/// Why it cannot be read, or what ended the child.
pub(crate) fn read(sandbox: &Sandbox, question: &Value) -> Result<Value, String> {
    let mut process = Process::spawn(sandbox)?;
    match process.ask(tag::READ, &encoded(question))? {
        (tag::VALUE, answer) => wire::decode(&answer).map_err(|why| strange(&why)),
        (_, why) => Err(String::from_utf8_lossy(&why).into_owned()),
    }
}

/// All of `data` in the form in which it is told.
pub(crate) fn encoded(data: &Value) -> Arc<Vec<u8>> {
    let mut bytes = Vec::new();
    wire::encode(data, &mut bytes);
    Arc::new(bytes)
}

/// One child.
#[derive(Debug)]
struct Process {
    child: Child,
    questions: Option<BufWriter<ChildStdin>>,
    answers: Receiver<io::Result<(u8, Vec<u8>)>>,
    sandbox: Sandbox,
    data: Option<Arc<Vec<u8>>>,
}

impl Process {
    fn spawn(sandbox: &Sandbox) -> Result<Self, String> {
        let failed = |error: io::Error| format!("start a process to evaluate policies in: {error}");
        let mut child = Command::new(&sandbox.program)
            .arg(COMMAND)
            .arg(sandbox.memory.to_string())
            .arg(sandbox.time.as_millis().to_string())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let questions = child.stdin.take().map(|to| BufWriter::with_capacity(BUFFER, to));
        let mut stdout = child.stdout.take().map(|from| BufReader::with_capacity(BUFFER, from));
        let (sender, answers) = channel();
        let read = move || {
            while let Some(stdout) = &mut stdout {
                let frame = wire::receive(stdout, MAX_ANSWER).transpose();
                let Some(frame) = frame else { return };
                let last = frame.is_err();
                if sender.send(frame).is_err() || last {
                    return;
                }
            }
        };
        let reader = std::thread::Builder::new().name("answers".to_owned()).spawn(read);
        let process = Self {
            child,
            questions,
            answers,
            sandbox: sandbox.clone(),
            data: None,
        };
        reader.map_err(failed)?;
        Ok(process)
    }

    fn tell(&mut self, tag: u8, payload: &[u8]) -> Result<(), String> {
        match self.ask(tag, payload)? {
            (tag::DONE, _) => Ok(()),
            (_, why) => Err(String::from_utf8_lossy(&why).into_owned()),
        }
    }

    /// Gives it the next input.
    fn give(&mut self, input: &Value) -> Result<(), String> {
        let sent = self
            .questions
            .as_mut()
            .map(|to| wire::send_value(to, tag::INPUT, input));
        // One that does not take all of it has ended, and says why.
        drop(sent);
        match self.answer(tag::INPUT)? {
            (tag::DONE, _) => Ok(()),
            (_, why) => Err(String::from_utf8_lossy(&why).into_owned()),
        }
    }

    /// Asks and waits. After an error the child has ended.
    fn ask(&mut self, tag: u8, payload: &[u8]) -> Result<(u8, Vec<u8>), String> {
        self.send(tag, payload);
        self.answer(tag)
    }

    /// Whether all of it could be sent; a child to which it could not has ended, and says why when it is asked for an answer.
    fn send(&mut self, tag: u8, payload: &[u8]) -> bool {
        let sent = self.questions.as_mut().map(|to| wire::send(to, tag, payload));
        sent.is_some_and(|sent| sent.is_ok())
    }

    /// Waits for the next answer. After an error the child has ended.
    fn answer(&mut self, tag: u8) -> Result<(u8, Vec<u8>), String> {
        // An evaluation happens twice where it leaned on a suppressed error.
        let patience = match tag {
            tag::EVALUATE | tag::READ => 2 * self.sandbox.time + Duration::from_secs(1),
            // Once with others before.
            tag::EVALUATE_ALL => 3 * self.sandbox.time + Duration::from_secs(2),
            _ => GRACE + self.sandbox.time,
        };
        match self.answers.recv_timeout(patience) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => {
                drop(self.child.kill());
                Err(strange(&why.to_string()))
            }
            Err(RecvTimeoutError::Timeout) => {
                drop(self.child.kill());
                Err(format!(
                    "no answer within {} seconds: the process that evaluates it was ended",
                    patience.as_secs()
                ))
            }
            Err(RecvTimeoutError::Disconnected) => Err(self.last_words()),
        }
    }

    /// Why a child is no more.
    fn last_words(&mut self) -> String {
        self.questions = None;
        let mut words = Vec::new();
        let status = self.child.wait();
        if let Some(stderr) = self.child.stderr.take() {
            drop(stderr.take(LAST_WORDS).read_to_end(&mut words));
        }
        let words = String::from_utf8_lossy(&words);
        if words.contains("memory allocation of") {
            return format!(
                "needs more than the {} MiB of memory that policies have",
                self.sandbox.memory >> 20
            );
        }
        if words.contains("overflowed its stack") {
            return "overflowed the stack: it nests or recurses too deeply".to_owned();
        }
        match status.ok().map(|status| (status.signal(), status.code())) {
            Some((Some(signal), _)) if signal == rustix::process::Signal::XCPU.as_raw() => {
                format!("computed for more than {} seconds", self.sandbox.time.as_secs())
            }
            Some((Some(signal), _)) => format!("the process that evaluates it was ended by signal {signal}"),
            Some((None, Some(code))) => format!("the process that evaluates it ended with status {code}"),
            _ => "the process that evaluates it ended".to_owned(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has nothing to save, and must not be waited for where it hangs.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
