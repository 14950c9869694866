//! What manifests say of a store's past: when a snapshot was consistent, and how long ago that is.

use muster_archive::Manifest;
use serde_json::Value;
use time::OffsetDateTime;

use crate::edge;

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
