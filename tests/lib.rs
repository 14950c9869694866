//! Holds the end-to-end and house tests; no code of its own.
