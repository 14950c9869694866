//! Where wall clock and randomness enter the program: nowhere else.
//!
//! Libraries take time and random bytes as arguments, so that every test and every replay can give its own.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use ulid::Ulid;

use crate::error::{CommandError, Kind};

/// The wall clock, UTC.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the edge: the one place that reads the wall clock"
)]
pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// A time as exactly as documents carry it: UTC, whole milliseconds.
pub(crate) fn to_the_millisecond(time: OffsetDateTime) -> OffsetDateTime {
    let utc = time.to_offset(time::UtcOffset::UTC);
    utc.replace_nanosecond(utc.nanosecond() / 1_000_000 * 1_000_000)
        .unwrap_or(utc)
}

/// A time as muster writes it everywhere: RFC 3339, UTC, whole milliseconds.
pub(crate) fn rfc3339(time: OffsetDateTime) -> String {
    to_the_millisecond(time)
        .format(&Rfc3339)
        .unwrap_or_else(|_| "0000-01-01T00:00:00Z".to_owned())
}

/// Reads a time that a document carries.
pub(crate) fn parse_rfc3339(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// Bytes from the operating system's generator.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the edge: the one place that draws random bytes"
)]
pub(crate) fn random<const N: usize>() -> Result<[u8; N], CommandError> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        CommandError::new(Kind::Failed, error).context("draw random bytes from the operating system")
    })?;
    Ok(bytes)
}

/// Wall clock and randomness for the libraries.
pub(crate) struct Edge;

impl muster_archive::Edge for Edge {
    fn now_ms(&self) -> u64 {
        u64::try_from(now().unix_timestamp_nanos() / 1_000_000).unwrap_or(0)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the edge: the one place that draws random bytes"
    )]
    #[expect(
        clippy::expect_used,
        reason = "without random bytes nothing may be named or signed: there is no way on"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system's random generator");
    }
}

/// A fresh identifier that sorts by `time`.
pub(crate) fn ulid(time: OffsetDateTime) -> Result<Ulid, CommandError> {
    let milliseconds = u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
    Ok(Ulid::from_parts(milliseconds, u128::from_le_bytes(random()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_and_come_back() {
        let time = parse_rfc3339("2026-02-03T04:05:06.789123456+02:00").unwrap();
        assert_eq!(rfc3339(time), "2026-02-03T02:05:06.789Z");
    }

    #[test]
    fn identifiers_sort_by_their_time_and_never_repeat() {
        let early = parse_rfc3339("2026-02-03T04:05:06Z").unwrap();
        let late = parse_rfc3339("2026-02-03T04:05:07Z").unwrap();
        assert!(ulid(early).unwrap().to_string() < ulid(late).unwrap().to_string());
        assert_ne!(ulid(early).unwrap(), ulid(early).unwrap());
    }
}
