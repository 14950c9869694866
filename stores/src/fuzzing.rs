//! The parsers of a base backup's stream, for `fuzz/` alone.
//!
//! Not an interface: nothing here is promised to anybody. It exists because these parsers are private and the fuzzer is another crate.

pub use crate::postgres::fuzzing::{base_backup, manifest, wal};
