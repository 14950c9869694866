//! The engine's log, read as it grows.
//!
//! Invariant: memory holds one partial line and the last few lines, whatever the engine writes.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

const LAST_LINES: usize = 12;

/// How far recovery has come, as the log tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) replaying: bool,
    pub(crate) promoting: bool,
    pub(crate) ready: bool,
}

/// A log file.
pub(super) struct Log {
    file: File,
    buffer: Vec<u8>,
    read: u64,
    partial: String,
    pub(super) last: Vec<String>,
    pub(super) progress: Progress,
}

impl Log {
    pub(super) fn new(file: File) -> Log {
        Log {
            file,
            buffer: vec![0; 1 << 16],
            read: 0,
            partial: String::new(),
            last: Vec::new(),
            progress: Progress::default(),
        }
    }

    /// Takes in what was written since.
    pub(super) fn read_on(&mut self) {
        // What is beyond is read by the next look.
        for _ in 0..16 {
            match self.file.read_at(&mut self.buffer, self.read) {
                Ok(count @ 1..) => self.take(count),
                _ => return,
            }
        }
    }

    fn take(&mut self, count: usize) {
        self.read += count as u64;
        self.partial.push_str(&String::from_utf8_lossy(&self.buffer[..count]));
        while let Some(end) = self.partial.find('\n') {
            let line: String = self.partial.drain(..=end).collect();
            self.take_line(line.trim_end());
        }
        if self.partial.len() > 64 << 10 {
            self.partial.clear();
        }
    }

    fn take_line(&mut self, line: &str) {
        let has = |words: &str| line.contains(words);
        self.progress.replaying |= has("redo starts at");
        self.progress.promoting |= has("redo done at") || has("redo is not required");
        self.progress.ready |= has("database system is ready to accept connections");
        // "2026-01-01 00:00:00.000 UTC [1] LOG:  …": the words are enough.
        let words = line.split_once("] ").map_or(line, |(_, words)| words);
        self.last.push(words.chars().take(300).collect());
        if self.last.len() > LAST_LINES {
            self.last.remove(0);
        }
    }
}
