//! Policies of others are evaluated in a child process: this program again, without environment, under limits of memory and time.
//!
//! The child gets what is to be evaluated over a pipe and opens nothing (but what `parse_config_file` names, where policies may
//! read files). Its end, however it comes about, is one evaluation's error that says why; the next evaluation has a new child. Of what a
//! child answers nothing is trusted: it is bounded and read as a value.

mod child;
mod host;
mod several;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

pub use child::serve;
pub(crate) use host::{Begin, Pool, Remote, encoded, read};

/// The first argument by which the program knows that it is the child.
pub const COMMAND: &str = "evaluate-policies";

/// How policies that muster does not ship are evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// The program that calls [`serve`] when [`COMMAND`] and two numbers are its arguments.
    pub program: PathBuf,
    /// What a child may allocate, in bytes; its stack (512 MiB, rarely touched) comes on top.
    pub memory: u64,
    /// What one evaluation of one rule on one document may take.
    pub time: Duration,
}

impl Sandbox {
    /// What a child may allocate where nobody says otherwise, in bytes.
    pub const MEMORY: u64 = 1 << 30;
    /// What one evaluation may take where nobody says otherwise.
    pub const TIME: Duration = Duration::from_secs(30);

    /// This program with the usual limits.
    pub fn new() -> Self {
        Self {
            // The file that runs, even where another has taken its name since.
            program: PathBuf::from("/proc/self/exe"),
            memory: Self::MEMORY,
            time: Self::TIME,
        }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

/// What the run asks and what the child answers: the tags of frames.
mod tag {
    /// Clock, world, texts and data. Answered once, by [`DONE`] or [`REFUSED`].
    pub(super) const BEGIN: u8 = b'B';
    /// A file of a format that computes, in place of [`BEGIN`]. Answered by [`VALUE`] or [`FAILED`], and over.
    pub(super) const READ: u8 = b'F';
    /// The next input.
    pub(super) const INPUT: u8 = b'I';
    /// The next input is undefined.
    pub(super) const NO_INPUT: u8 = b'U';
    /// All of `data`.
    pub(super) const DATA: u8 = b'D';
    /// A reference to evaluate. Answered by [`VALUE`] or [`FAILED`].
    pub(super) const EVALUATE: u8 = b'E';
    /// References to evaluate. Each is answered as by [`EVALUATE`], in their order.
    pub(super) const EVALUATE_ALL: u8 = b'A';
    /// Forget what was found out.
    pub(super) const RENEW: u8 = b'N';
    /// Take note of the lines that are reached.
    pub(super) const WATCH: u8 = b'W';
    /// Answered by [`LINES`].
    pub(super) const REACHED: u8 = b'R';

    pub(super) const DONE: u8 = b'd';
    pub(super) const REFUSED: u8 = b'r';
    pub(super) const VALUE: u8 = b'v';
    pub(super) const FAILED: u8 = b'f';
    pub(super) const LINES: u8 = b'l';
}
