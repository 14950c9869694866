//! One line of progress that redraws itself on a terminal, and says a rate and a remaining time once both are worth something.
//!
//! Invariant: whatever else writes to standard error clears the line first, so that nothing is ever written into it.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::values::{bytes, percent, printable, rate, seconds};

/// Nothing is shown before this: a quick run stays quiet.
const QUIET_AT_FIRST: Duration = Duration::from_millis(500);
/// A rate before this is noise.
const RATE_AFTER: Duration = Duration::from_secs(2);
/// Redraw no more often.
const REDRAW: Duration = Duration::from_millis(100);
/// Where lines cannot be redrawn, one this often.
const LINE: Duration = Duration::from_secs(10);

/// The terminal's last line: whether a progress line stands there at the moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Arc<AtomicBool>);

impl Line {
    /// Removes the progress line, if one stands.
    pub(super) fn clear(&self) {
        if self.0.swap(false, Ordering::Relaxed) {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }

    fn draw(&self, text: &str) {
        self.0.store(true, Ordering::Relaxed);
        let _ = write!(io::stderr(), "\r{text}\u{1b}[K");
    }
}

/// Progress of one piece of work. Its methods take `&self`: workers on other threads report too.
#[derive(Debug)]
pub(crate) struct Progress {
    what: String,
    total: AtomicU64,
    done: AtomicU64,
    note: Mutex<String>,
    started: Instant,
    drawn: Mutex<Option<Instant>>,
    shown: bool,
    terminal: bool,
    line: Line,
}

impl Progress {
    pub(super) fn new(what: &str, total: Option<u64>, shown: bool, terminal: bool, line: Line) -> Self {
        Self {
            what: what.to_owned(),
            total: AtomicU64::new(total.unwrap_or(0)),
            done: AtomicU64::new(0),
            note: Mutex::default(),
            started: Instant::now(),
            drawn: Mutex::default(),
            shown,
            terminal,
            line,
        }
    }

    /// The whole became known.
    pub(crate) fn expect(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// So many bytes are done in all.
    pub(crate) fn set(&self, bytes: u64) {
        self.done.store(bytes, Ordering::Relaxed);
        self.draw();
    }

    /// What goes on inside.
    pub(crate) fn note(&self, note: &str) {
        if let Ok(mut current) = self.note.lock() {
            note.clone_into(&mut current);
        }
        self.draw();
    }

    fn draw(&self) {
        if !self.shown {
            return;
        }
        let Ok(mut drawn) = self.drawn.try_lock() else { return };
        let elapsed = self.started.elapsed();
        let pause = if self.terminal { REDRAW } else { LINE };
        let due = match *drawn {
            None => elapsed >= if self.terminal { QUIET_AT_FIRST } else { RATE_AFTER },
            Some(last) => last.elapsed() >= pause,
        };
        if !due {
            return;
        }
        *drawn = Some(Instant::now());
        let note = self.note.lock().map(|note| note.clone()).unwrap_or_default();
        let line = line(
            &self.what,
            self.done.load(Ordering::Relaxed),
            self.total.load(Ordering::Relaxed),
            elapsed,
            &note,
        );
        if self.terminal {
            self.line.draw(&line);
        } else {
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown && self.terminal {
            self.line.clear();
        }
    }
}

fn line(what: &str, done: u64, total: u64, elapsed: Duration, note: &str) -> String {
    let mut parts = vec![printable(what.as_bytes())];
    match (done, total) {
        (0, _) => {}
        (done, 0) => parts.push(bytes(done)),
        (done, total) => parts.push(format!(
            "{} of {}  {}",
            bytes(done),
            bytes(total.max(done)),
            percent(done, total)
        )),
    }
    if elapsed >= RATE_AFTER && done > 0 {
        let took = elapsed.as_secs_f64();
        parts.push(rate(done, took));
        if total > done {
            let left = (total - done) as f64 / (done as f64 / took);
            parts.push(format!("{} left", seconds(left.max(1.0).round())));
        }
    }
    if !note.is_empty() {
        parts.push(printable(note.as_bytes()));
    }
    parts.join("  ").chars().take(super::WIDTH - 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_and_a_remaining_time_come_only_when_they_mean_something() {
        let mib = 1024 * 1024;
        assert_eq!(
            line("saves", 10 * mib, 100 * mib, Duration::from_secs(1), ""),
            "saves  10.0 MiB of 100.0 MiB  10 %"
        );
        assert_eq!(
            line("saves", 10 * mib, 100 * mib, Duration::from_secs(10), "base backup"),
            "saves  10.0 MiB of 100.0 MiB  10 %  1.0 MiB/s  1 m 30 s left  base backup"
        );
        assert_eq!(line("saves", 0, 0, Duration::from_secs(1), "connect"), "saves  connect");
    }
}
