//! What manifests and logs say of a store's past: when a snapshot was consistent, and how its last rehearsal went.

use muster_archive::Manifest;
use muster_archive::ledger::{Log, LogEvent};
use muster_signing::Digest;
use serde_json::Value;
use time::OffsetDateTime;

use crate::edge;

/// A rehearsal as the rehearser's log names it.
#[derive(Clone, Debug)]
pub(crate) struct LoggedRehearsal {
    pub(crate) rehearsal: String,
    pub(crate) snapshot: String,
    pub(crate) verdict: String,
    /// When it was logged, by the rehearser's clock.
    pub(crate) time: String,
    pub(crate) scorecard: Digest,
}

/// The newest rehearsal of a store. Several hosts may rehearse it, each with a log of its own: the ids sort by their time.
pub(crate) fn last_rehearsal(rehearser_logs: &[Log], store: &str) -> Option<LoggedRehearsal> {
    let newest_of = |log: &Log| {
        log.parsed().rev().find_map(|(_, entry)| match entry.event {
            LogEvent::Rehearsal {
                store: name,
                rehearsal,
                snapshot,
                verdict,
                scorecard,
            } if name == store => Some(LoggedRehearsal {
                rehearsal,
                snapshot,
                verdict,
                time: entry.time,
                scorecard,
            }),
            _ => None,
        })
    };
    rehearser_logs
        .iter()
        .filter_map(newest_of)
        .max_by(|a, b| a.rehearsal.cmp(&b.rehearsal))
}

/// The instant that a snapshot represents, by the source's clock.
pub(crate) fn consistent_at(manifest: &Manifest) -> String {
    manifest
        .consistency_point
        .get("time")
        .and_then(Value::as_str)
        .unwrap_or(&manifest.finished)
        .to_owned()
}

/// Seconds since a time that a document carries; `None` where it cannot be read.
pub(crate) fn age_seconds(time: &str, now: OffsetDateTime) -> Option<f64> {
    edge::parse_rfc3339(time).map(|time| (now - time).as_seconds_f64())
}
