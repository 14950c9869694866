//! Phases against the clock: durations from the boot-time clock, beginnings from the wall clock that was handed in.
//!
//! Invariant: phases follow each other without a gap, and each is written to the journal before the next begins, so that a
//! process that was killed still tells where it died.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use muster_archive::Edge;
use serde::{Deserialize, Serialize};

use crate::rehearsal::Started;

/// One finished phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// When it began, RFC 3339 UTC.
    pub started_at: String,
    /// How long it took, by the boot-time clock.
    pub duration_seconds: f64,
    /// `ok`, or in one word what became of it: `failed`, `error`, `cancelled`, `skipped`.
    pub outcome: String,
}

/// The clock that goes on while the machine sleeps and never jumps.
pub(crate) fn boot_clock() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Takes the time of one phase after another.
pub(crate) struct Timeline<'a> {
    edge: &'a dyn Edge,
    began: Duration,
    open: Option<(String, String, Duration)>,
    phases: Vec<Phase>,
    journal: Option<File>,
    /// When the first phase is to have begun.
    first: Option<(String, Duration)>,
}

impl<'a> Timeline<'a> {
    pub(crate) fn new(edge: &'a dyn Edge) -> Self {
        Self {
            edge,
            began: boot_clock(),
            open: None,
            phases: Vec::new(),
            journal: None,
            first: None,
        }
    }

    /// Begins where `started` says, with no phase open; the first phase takes in the time since.
    pub(crate) fn since(edge: &'a dyn Edge, started: &Started) -> Self {
        let mut timeline = Self::new(edge);
        timeline.began = started.boot;
        timeline.open = None;
        timeline.first = Some((started.at.clone(), started.boot));
        timeline
    }

    /// From now on each step is written to `journal`; those that are past follow at once.
    pub(crate) fn keep_in(&mut self, journal: File) {
        self.journal = Some(journal);
        for phase in self.phases.clone() {
            self.note("ended", &phase);
        }
        if let Some((name, at, _)) = self.open.clone() {
            self.note_begin(&name, &at);
        }
    }

    /// Begins a phase; one that is open ends well.
    pub(crate) fn begin(&mut self, name: &str) {
        self.end("ok");
        let (at, boot) = self.first.take().unwrap_or_else(|| (self.edge.now(), boot_clock()));
        self.note_begin(name, &at);
        self.open = Some((name.to_owned(), at, boot));
    }

    /// Ends the open phase, if there is one.
    pub(crate) fn end(&mut self, outcome: &str) {
        let Some((name, started_at, began)) = self.open.take() else {
            return;
        };
        let duration_seconds = (boot_clock().saturating_sub(began).as_secs_f64() * 1e6).round() / 1e6;
        let phase = Phase {
            name,
            started_at,
            duration_seconds,
            outcome: outcome.to_owned(),
        };
        self.note("ended", &phase);
        self.phases.push(phase);
    }

    /// Time since the beginning.
    pub(crate) fn elapsed(&self) -> f64 {
        (boot_clock().saturating_sub(self.began)).as_secs_f64()
    }

    pub(crate) fn into_phases(mut self) -> Vec<Phase> {
        self.end("ok");
        std::mem::take(&mut self.phases)
    }

    fn note_begin(&mut self, name: &str, at: &str) {
        let line = serde_json::json!({ "began": name, "at": at }).to_string();
        self.write(&line);
    }

    fn note(&mut self, what: &str, phase: &Phase) {
        let line = serde_json::json!({ what: phase.name, "seconds": phase.duration_seconds, "outcome": phase.outcome });
        self.write(&line.to_string());
    }

    fn write(&mut self, line: &str) {
        // The journal helps whoever looks for the reason afterwards; a rehearsal does not fail for it.
        if let Some(journal) = &mut self.journal
            && writeln!(journal, "{line}").and_then(|()| journal.flush()).is_err()
        {
            self.journal = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl Edge for Fixed {
        fn now_ms(&self) -> u64 {
            1_700_000_000_000
        }
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    #[test]
    fn a_journal_names_the_phase_that_was_open_when_the_process_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut timeline = Timeline::new(&Fixed);
        timeline.begin("select");
        timeline.begin("preflight");
        timeline.keep_in(File::create(&path).unwrap());
        timeline.begin("fetch");
        let kept = std::fs::read_to_string(&path).unwrap();
        let last = kept.lines().last().unwrap();
        assert!(
            kept.contains(r#""ended":"select""#) && last.contains(r#""began":"fetch""#),
            "{kept}"
        );
        let names: Vec<_> = timeline.into_phases().into_iter().map(|phase| phase.name).collect();
        assert_eq!(names, ["select", "preflight", "fetch"]);
    }
}
