//! Whether built-in errors end an evaluation, the first one that did not, and what `trace` said.
//!
//! Clones of an engine share this, and each evaluates on a thread of its own: so it is kept by thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// Shared by an engine, its clones and the functions registered on them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<HashMap<ThreadId, Note>>>);

#[derive(Debug, Default)]
struct Note {
    strict: bool,
    first: Option<String>,
    told: Vec<String>,
    bodies: BTreeMap<u32, Seen>,
}

/// What became of a body in one evaluation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    open: bool,
    /// It held at least once.
    pub(crate) held: bool,
    /// It was begun and did not hold at least once.
    pub(crate) failed: bool,
}

impl Seen {
    /// What was told of another process.
    pub(crate) fn of(held: bool, failed: bool) -> Self {
        Self {
            open: false,
            held,
            failed,
        }
    }
}

/// What an evaluation left.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// The first built-in error.
    pub(crate) first: Option<String>,
    /// What `trace` was called with.
    pub(crate) told: Vec<String>,
    /// What became of marked bodies, by their number.
    pub(crate) bodies: BTreeMap<u32, Seen>,
}

impl Notes {
    fn all(&self) -> MutexGuard<'_, HashMap<ThreadId, Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an evaluation on this thread: nothing is noted, and errors end it or do not.
    pub(crate) fn begin(&self, strict: bool) {
        self.all().insert(
            thread::current().id(),
            Note {
                strict,
                ..Note::default()
            },
        );
    }

    /// Takes note of a built-in error. True if it must end the evaluation.
    pub(crate) fn note(&self, why: &str) -> bool {
        let mut all = self.all();
        let note = all.entry(thread::current().id()).or_default();
        note.first.get_or_insert_with(|| why.to_owned());
        note.strict
    }

    /// Takes down what `trace` says.
    pub(crate) fn tell(&self, text: &str) {
        let mut all = self.all();
        all.entry(thread::current().id())
            .or_default()
            .told
            .push(text.to_owned());
    }

    /// Takes note that a marked body is begun.
    pub(crate) fn entered(&self, body: u32) {
        self.body(body, |seen| {
            seen.failed |= seen.open;
            seen.open = true;
        });
    }

    /// Takes note that a marked body has held.
    pub(crate) fn held(&self, body: u32) {
        self.body(body, |seen| {
            seen.open = false;
            seen.held = true;
        });
    }

    fn body(&self, body: u32, change: impl FnOnce(&mut Seen)) {
        let mut all = self.all();
        let note = all.entry(thread::current().id()).or_default();
        change(note.bodies.entry(body).or_default());
    }

    /// Ends an evaluation: what was noted.
    pub(crate) fn end(&self) -> Noted {
        let mut note = self.all().remove(&thread::current().id()).unwrap_or_default();
        for seen in note.bodies.values_mut() {
            seen.failed |= std::mem::take(&mut seen.open);
        }
        Noted {
            first: note.first,
            told: note.told,
            bodies: note.bodies,
        }
    }
}
