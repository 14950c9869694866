//! What a restore or a rehearsal tells while it runs.

use crate::Lost;

/// Something that happened. Comes from several threads.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A phase begins.
    Phase(String),
    /// How far the bytes are.
    Progress {
        /// Logical bytes written, or given up.
        bytes: u64,
        /// Logical bytes of the plan.
        total: u64,
    },
    /// Something could not be brought back.
    Lost(Lost),
}
