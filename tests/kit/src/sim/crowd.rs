//! The scheduler for clients that block: each on threads of its own, and one seed that decides whose call is next.
//!
//! No turn is given before every client that runs has come to a call, and none before the last call is over. So the order between the
//! clients is the seed's alone; among calls that one client makes at once its own threads decide.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::race::Bell;
use super::{Process, mixed};

/// A crowd in which nothing happens for so long will not go on.
const HUNG: Duration = Duration::from_secs(60);

/// When a client is held still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the first of its calls in whose words this is: `put snapshots/`.
    Before(&'static str),
    /// After it.
    After(&'static str),
}

/// A client that is held still from a moment on until all others are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Which of the crowd, from 0.
    pub client: usize,
    /// When.
    pub from: Moment,
}

/// What one of the crowd does.
pub type Deed<'a, T> = Box<dyn FnOnce() -> T + Send + 'a>;

struct Client<'a, T> {
    process: &'a Process,
    over: AtomicBool,
    outcome: Mutex<Option<std::thread::Result<T>>>,
}

/// Lets these run at once, each over the store of its process, in an order of calls that `seed` decides. Returns what each returned.
///
/// No client may wait for another one except through the store.
///
/// # Panics
/// Where one of them does, or where nothing happens for a minute.
pub fn crowd<'a, T: Send>(seed: u64, held: Option<Held>, clients: Vec<(&'a Process, Deed<'a, T>)>) -> Vec<T> {
    let bell = Arc::new(Bell::default());
    let (clients, deeds): (Vec<_>, Vec<_>) = clients
        .into_iter()
        .map(|(process, deed)| {
            let client = Client {
                process,
                over: AtomicBool::new(false),
                outcome: Mutex::new(None),
            };
            (client, deed)
        })
        .unzip();
    for client in &clients {
        client.process.turns().ring_at_changes(&bell);
        client.process.turns().race(true);
    }
    let hung = std::thread::scope(|scope| {
        for (client, deed) in clients.iter().zip(deeds) {
            let bell = &bell;
            scope.spawn(move || {
                let outcome = catch_unwind(AssertUnwindSafe(deed));
                *client.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                client.over.store(true, Ordering::SeqCst);
                bell.ring();
            });
        }
        let hung = schedule(seed, held, &clients, &bell);
        for client in &clients {
            client.process.turns().race(false);
        }
        hung
    });
    assert!(!hung, "a crowd hung with seed {seed}");
    let outcomes = clients.into_iter().filter_map(|client| {
        let outcome = client.outcome.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        Some(outcome.unwrap_or_else(|panic| resume_unwind(panic)))
    });
    outcomes.collect()
}

/// Gives turns until all are over. Says whether it gave up.
fn schedule<T>(seed: u64, held: Option<Held>, clients: &[Client<'_, T>], bell: &Bell) -> bool {
    let (mut dice, mut holds) = (seed, false);
    loop {
        // Whoever is over makes no call, and whoever is not is asked after it was seen not to be over.
        let running: Vec<usize> = (0..clients.len())
            .filter(|at| !clients[*at].over.load(Ordering::SeqCst))
            .collect();
        if running.is_empty() {
            return false;
        }
        let calls: Option<Vec<(usize, String)>> = running
            .iter()
            .map(|at| Some((*at, clients[*at].process.turns().next_call()?)))
            .collect();
        let Some(calls) = calls else {
            if !bell.wait(HUNG) {
                return true;
            }
            continue;
        };
        let held_one = calls.iter().find(|(at, _)| held.is_some_and(|held| held.client == *at));
        holds |= held_one.is_some_and(|(_, call)| {
            held.is_some_and(|held| matches!(held.from, Moment::Before(words) if call.contains(words)))
        });
        let stops = holds.then(|| held.map(|held| held.client)).flatten();
        let free: Vec<&(usize, String)> = calls.iter().filter(|(at, _)| Some(*at) != stops).collect();
        dice = mixed(dice);
        let among = if free.is_empty() { calls.iter().collect() } else { free };
        let (chosen, call) = among[usize::try_from(dice % among.len() as u64).expect("an index")];
        let after = |held: Held| matches!(held.from, Moment::After(words) if call.contains(words));
        holds |= held.is_some_and(|held| held.client == *chosen && after(held));
        clients[*chosen].process.turns().give();
    }
}
