//! How fast this host restored the last time, for the prediction of the next.
//!
//! Invariant: it is a hint beside this host's other memory of the repository; without it a machine is assumed.

use std::fs;
use std::path::{Path, PathBuf};

use muster_restore::RestoreReport;
use serde::{Deserialize, Serialize};

use crate::edge;

/// A shorter restore says little about a longer one.
const LEAST: u64 = 64 << 20;

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// When, RFC 3339 UTC.
    pub(crate) at: String,
    /// Bytes per second that were fetched, decoded and written.
    pub(crate) decoded_bytes_per_second: u64,
}

/// Remembers how fast a restore was, where it was long enough to tell. A host that cannot write it only knows less.
pub(crate) fn remember(state: &Path, repository: &str, report: &RestoreReport) {
    let data = report.phases.iter().find(|phase| phase.name == "data");
    let Some(seconds) = data
        .map(|phase| phase.duration_seconds)
        .filter(|seconds| *seconds > 0.0)
    else {
        return;
    };
    if report.decoded_bytes < LEAST || report.resumed {
        return;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive rate, far below the limit"
    )]
    let rate = (report.decoded_bytes as f64 / seconds) as u64;
    let measured = Measured {
        at: edge::rfc3339(edge::now()),
        decoded_bytes_per_second: rate.max(1),
    };
    let path = file(state, repository);
    let staged = path.with_extension(format!("new-{}", std::process::id()));
    let written = serde_json::to_vec(&measured).map_err(std::io::Error::from);
    let _ = written
        .and_then(|bytes| fs::write(&staged, bytes))
        .and_then(|()| fs::rename(&staged, &path))
        .inspect_err(|_| {
            let _ = fs::remove_file(&staged);
        });
}

/// What was measured the last time.
pub(crate) fn last(state: &Path, repository: &str) -> Option<Measured> {
    let measured: Measured = serde_json::from_slice(&fs::read(file(state, repository)).ok()?).ok()?;
    (measured.decoded_bytes_per_second > 0).then_some(measured)
}

fn file(state: &Path, repository: &str) -> PathBuf {
    state.join(repository).join("restored")
}
