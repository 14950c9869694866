//! Many rules on one input, each answered in its order.
//!
//! Over a large input they are evaluated on all processors, which share it, and in groups, so that what several rules look at (a set
//! of all resources, say) is found out once for each group. A rule that cannot be told apart within its group is evaluated alone.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::child::{MOST, compute_for, evaluate, told};
use super::wire;
use crate::engine::{Evaluation, Here, STACK};

/// How long an answer may wait for the next one.
const WAITS: Duration = Duration::from_millis(5);
/// How long what was allowed to compute is enough.
const ALLOWED: Duration = Duration::from_secs(1);
/// How many groups each thread takes: enough to keep all busy to the end.
const GROUPS: usize = 4;

/// One after the other, on this thread.
pub(super) fn one_by_one(
    session: &mut Here,
    references: &[String],
    answers: &mut impl Write,
    time: Duration,
) -> io::Result<()> {
    let (mut told, mut allowed) = (Instant::now(), Instant::now());
    for reference in references {
        if told.elapsed() > WAITS {
            answers.flush()?;
            told = Instant::now();
        }
        if allowed.elapsed() > ALLOWED {
            compute_for(time);
            allowed = Instant::now();
        }
        let (kind, answered) = evaluate(session, reference.as_bytes());
        wire::put(answers, kind, &answered)?;
    }
    answers.flush()
}

/// On several threads.
///
/// # Errors
/// No thread; the end of the other side.
pub(super) fn over_large(
    session: &Here,
    references: &[String],
    answers: &mut impl Write,
    time: Duration,
) -> io::Result<()> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let workers = workers.min(references.len()).clamp(1, MOST);
    let groups: Vec<&[String]> = references
        .chunks(references.len().div_ceil(GROUPS * workers).max(1))
        .collect();
    let next = AtomicUsize::new(0);
    // Each of them may compute, first in a group and then alone.
    let time = time.saturating_mul(2 * u32::try_from(workers).unwrap_or(u32::MAX));
    with_stacks(workers, || {
        thread::scope(|scope| {
            let (sender, found) = channel();
            for _ in 0..workers {
                let (mut session, sender) = (session.twin(), sender.clone());
                let (groups, next) = (&groups, &next);
                let work = move || {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(group) = groups.get(number) else { return };
                        let answer = |place, answer| sender.send(((number, place), answer)).is_ok();
                        if !group_of(&mut session, group, &answer) {
                            return;
                        }
                    }
                };
                let thread = thread::Builder::new().name("policy".to_owned()).stack_size(STACK);
                thread.spawn_scoped(scope, work)?;
            }
            drop(sender);
            in_order(found.iter(), &groups, |answer| {
                compute_for(time);
                let (kind, answered) = told(answer);
                wire::send(answers, kind, &answered)
            })
        })
    })
}

type Found = Result<Evaluation, String>;

/// Evaluates a group; false when nobody listens any more.
fn group_of(session: &mut Here, group: &[String], answer: &dyn Fn(usize, Found) -> bool) -> bool {
    match session.evaluate_together(group) {
        Some(all) => (0..).zip(all).all(|(place, evaluation)| answer(place, Ok(evaluation))),
        None => (0..)
            .zip(group)
            .all(|(place, reference)| answer(place, session.evaluate(reference))),
    }
}

/// Tells what is found by group and place within it, in that order.
fn in_order(
    found: impl Iterator<Item = ((usize, usize), Found)>,
    groups: &[&[String]],
    mut tell: impl FnMut(Found) -> io::Result<()>,
) -> io::Result<()> {
    let places = (0..).zip(groups);
    let mut due = places.flat_map(|(number, group)| (0..group.len()).map(move |place| (number, place)));
    let (mut next, mut early) = (due.next(), BTreeMap::new());
    for (at, answer) in found {
        early.insert(at, answer);
        while let Some(answer) = next.and_then(|at| early.remove(&at)) {
            tell(answer)?;
            next = due.next();
        }
    }
    match next {
        None => Ok(()),
        // A thread has ended without all of its answers.
        Some(_) => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// Lets this process have so many more deep stacks, for as long as `work` takes.
fn with_stacks<T>(more: usize, work: impl FnOnce() -> T) -> T {
    let before = getrlimit(Resource::Data);
    let stacks = (more as u64).saturating_mul(STACK as u64);
    let raised = Rlimit {
        current: before.current.map(|current| current.saturating_add(stacks)),
        maximum: before.maximum,
    };
    // Where that is not allowed no thread can begin, which its caller is told.
    let _ = setrlimit(Resource::Data, raised);
    let done = work();
    let _ = setrlimit(Resource::Data, before);
    done
}
