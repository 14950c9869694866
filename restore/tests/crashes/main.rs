//! Whole backups over the simulated object store: whatever dies, stalls, lags or lies, what was logged comes back byte for byte, and the
//! next run succeeds.
//!
//! Every failure prints its seed or its call; CONTRIBUTING.md says how to run that one again.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its work ends there")]

mod kills;
mod races;
mod weather;
mod world;
