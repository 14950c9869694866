//! The scheduler: clients that run at once, and one seed that decides whose call is next.
//!
//! All of them run on one thread. Before each call a client waits for its turn, and no turn is given while any of them could still come to
//! a call of its own; so the order of calls is the seed's alone, and a race that went wrong goes wrong again.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::{Process, mixed};

/// A client that is held still from one of its calls on until all others are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// Which of the racers, from 0.
    pub racer: usize,
    /// How many calls it makes before.
    pub after: u64,
}

/// The turns of one client. Outside of a race every call has its turn at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns {
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    racing: bool,
    next: u64,
    given: u64,
    /// A turn was given, and its call is not over.
    busy: bool,
    waiting: VecDeque<Waiting>,
    bell: Option<Arc<Bell>>,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    /// The call, as words.
    call: String,
    waker: Option<Waker>,
}

impl Turns {
    pub(super) async fn wait(&self, call: impl FnOnce() -> String) {
        let ticket = {
            let mut queue = self.queue();
            if !queue.racing {
                return;
            }
            queue.next += 1;
            let ticket = queue.next;
            queue.waiting.push_back(Waiting {
                ticket,
                call: call(),
                waker: None,
            });
            ring(&queue);
            ticket
        };
        poll_fn(|context: &mut Context<'_>| {
            let mut queue = self.queue();
            if queue.given >= ticket || !queue.racing {
                return Poll::Ready(());
            }
            if let Some(entry) = queue.waiting.iter_mut().find(|entry| entry.ticket == ticket) {
                entry.waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// The call that had its turn is over.
    pub(super) fn end(&self) {
        let mut queue = self.queue();
        queue.busy = false;
        ring(&queue);
    }

    fn is_waiting(&self) -> bool {
        !self.queue().waiting.is_empty()
    }

    /// The call that waits longest, unless one that had its turn is still under way.
    pub(super) fn next_call(&self) -> Option<String> {
        let queue = self.queue();
        let next = queue.waiting.front().filter(|_| !queue.busy)?;
        Some(next.call.clone())
    }

    pub(super) fn ring_at_changes(&self, bell: &Arc<Bell>) {
        self.queue().bell = Some(Arc::clone(bell));
    }

    pub(super) fn race(&self, on: bool) {
        let mut queue = self.queue();
        queue.racing = on;
        for waiting in queue.waiting.drain(..) {
            waiting.waker.iter().for_each(Waker::wake_by_ref);
        }
    }

    pub(super) fn give(&self) {
        let mut queue = self.queue();
        if let Some(waiting) = queue.waiting.pop_front() {
            queue.given = waiting.ticket;
            queue.busy = true;
            waiting.waker.iter().for_each(Waker::wake_by_ref);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rung whenever a racer comes to a call, ends one, or is over.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// Waits for it, at most so long. Says whether it rang.
    pub(super) fn wait(&self, most: Duration) -> bool {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(rung, most, |rung| !*rung);
        let (mut rung, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *rung)
    }
}

fn ring(queue: &Queue) {
    if let Some(bell) = &queue.bell {
        bell.ring();
    }
}

/// What one of the racers does.
pub type Run<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

struct Racer<'a, T> {
    process: &'a Process,
    run: Run<'a, T>,
    outcome: Option<T>,
    turns: u64,
}

impl<T> Racer<'_, T> {
    /// Whether it is over, or waits for its turn.
    fn is_settled(&self) -> bool {
        self.outcome.is_some() || self.process.turns().is_waiting()
    }
}

/// Runs these at once, each over the store of its process, in an order of calls that `seed` decides. Returns what each returned.
///
/// Await it on one thread, within a runtime that has timers. No racer may wait for another one except through the store.
pub async fn race<'a, T>(seed: u64, stall: Option<Stall>, racers: Vec<(&'a Process, Run<'a, T>)>) -> Vec<T> {
    let mut racers: Vec<Racer<'a, T>> = racers
        .into_iter()
        .map(|(process, run)| Racer {
            process,
            run,
            outcome: None,
            turns: 0,
        })
        .collect();
    for racer in &racers {
        racer.process.turns().race(true);
    }
    let mut dice = seed;
    poll_fn(|context: &mut Context<'_>| step(&mut racers, stall, &mut dice, context)).await;
    for racer in &racers {
        racer.process.turns().race(false);
    }
    racers.into_iter().filter_map(|racer| racer.outcome).collect()
}

/// Lets everybody go as far as they come without a turn, then gives one turn, again and again.
fn step<T>(racers: &mut [Racer<'_, T>], stall: Option<Stall>, dice: &mut u64, context: &mut Context<'_>) -> Poll<()> {
    loop {
        for racer in racers.iter_mut().filter(|racer| racer.outcome.is_none()) {
            if let Poll::Ready(outcome) = racer.run.as_mut().poll(context) {
                racer.outcome = Some(outcome);
            }
        }
        if racers.iter().all(|racer| racer.outcome.is_some()) {
            return Poll::Ready(());
        }
        if !racers.iter().all(Racer::is_settled) {
            return Poll::Pending; // somebody sleeps or computes elsewhere, and wakes this task
        }
        let running: Vec<usize> = (0..racers.len()).filter(|at| racers[*at].outcome.is_none()).collect();
        let held = |at: &usize| stall.is_some_and(|stall| stall.racer == *at && racers[*at].turns >= stall.after);
        let free: Vec<usize> = running.iter().copied().filter(|at| !held(at)).collect();
        let choice = if free.is_empty() { &running } else { &free };
        *dice = mixed(*dice);
        let chosen = &mut racers[choice[usize::try_from(*dice % choice.len() as u64).expect("an index")]];
        chosen.turns += 1;
        chosen.process.turns().give();
    }
}
