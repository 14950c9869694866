//! The buckets that this installation writes to, as facts.

use std::collections::BTreeMap;

use muster_archive::object_store::inspect_bucket;
use serde_json::{Value, json};

use crate::config::Config;
use crate::context::{self, Context};
use crate::edge;
use crate::error::{CommandError, Kind};

/// The repository's bucket; none where the repository lies in a directory.
pub(super) fn of(
    context: &Context,
    config: &Config,
    raw: &mut BTreeMap<String, Vec<u8>>,
) -> Result<Vec<Value>, CommandError> {
    let location = &config.repository;
    if !location.url.starts_with("s3://") {
        return Ok(Vec::new());
    }
    let options = context::s3_options(location);
    let now = || edge::rfc3339(edge::now());
    let mut bucket = context.wait(inspect_bucket(&location.url, &options, &now))?;
    let answers: BTreeMap<_, _> = bucket
        .raw
        .iter()
        .map(|(fact, answer)| (*fact, String::from_utf8_lossy(answer)))
        .collect();
    let answers = serde_json::to_vec_pretty(&answers)
        .map_err(|error| CommandError::new(Kind::Failed, error).context("encode a bucket's answers"))?;
    raw.insert("raw/bucket-repository.json".to_owned(), answers);
    bucket.facts["used_by"] = json!(["repository"]);
    Ok(vec![bucket.facts])
}
