//! What a kind of store needs beside its bytes before it can be started.

use std::path::Path;

use muster_stores::postgres::{RecoveryOptions, prepare};
use muster_stores::{ConsistencyPoint, StoreError};
use serde_json::Value;

use crate::RestoreError;

/// How a finished store begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct FinishOptions {
    /// Stay read-only at the consistency point until somebody promotes it.
    pub pause: bool,
}

/// Makes the restored store in `directory` startable at its consistency point. Only for a whole restore: part of a database
/// (`--include`), or one that lost something, is not to be started.
///
/// # Errors
/// [`RestoreError::UnknownKind`]; what the kind of store says.
pub fn finish(
    kind: &str,
    directory: &Path,
    consistency_point: &Value,
    options: FinishOptions,
) -> Result<(), RestoreError> {
    match kind {
        "files" | "sqlite" => Ok(()),
        "postgres" => {
            let point: ConsistencyPoint =
                serde_json::from_value(consistency_point.clone()).map_err(|error| StoreError::Invalid {
                    attempt: format!("prepare {} for recovery", directory.display()),
                    reason: format!("the manifest's consistency point cannot be read: {error}"),
                })?;
            let options = RecoveryOptions { pause: options.pause };
            Ok(prepare(directory, &point, options)?)
        }
        kind => Err(RestoreError::UnknownKind { kind: kind.to_owned() }),
    }
}
