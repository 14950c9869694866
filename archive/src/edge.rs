//! Where wall clock and randomness enter: whoever runs muster hands them in.
//!
//! Nothing in this crate reads a clock that has a date, or a random device.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The wall clock and the random source of one run.
pub trait Edge: Send + Sync {
    /// Milliseconds since 1970-01-01 UTC. A claim: order is by log position, never by this.
    fn now_ms(&self) -> u64;
    /// Fills `bytes` from the system's random source.
    fn fill(&self, bytes: &mut [u8]);

    /// The wall clock as RFC 3339 UTC with milliseconds.
    fn now(&self) -> String {
        rfc3339(self.now_ms())
    }
}

/// RFC 3339 UTC with milliseconds.
pub fn rfc3339(unix_ms: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}
