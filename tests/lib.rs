//! Holds the house tests in `tidy.rs`; no code of its own. The end-to-end tests in `e2e/` are built by package `muster`.
