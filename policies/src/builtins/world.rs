//! What would have to read the world, and what this binary does not do: such a call loads, may be replaced by `with`, and
//! halts when it is really made. Chance is no part of the world: it is drawn from the clock of the run.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Digest;

use super::call::{Call, Outcome};
use super::hashes::hex;
use super::{Failure, Family};

/// What of the world policies may see. By default nothing: a verdict can be replayed from its inputs.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// Which files `parse_config_file` reads.
    pub(crate) files: Files,
    /// What `opa.runtime()` gives.
    pub(crate) runtime: Value,
}

/// The files that a policy may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Files {
    /// No file.
    None,
    /// Those in the policy's own folder and beneath it, however they are named and linked.
    Beneath,
    /// Any, as with Conftest.
    Any,
}

impl World {
    /// A world of nothing but these files.
    pub(crate) fn of(files: Files) -> Self {
        Self {
            files,
            ..Self::default()
        }
    }
}

impl Default for World {
    fn default() -> Self {
        Self {
            files: Files::None,
            runtime: json!({}),
        }
    }
}

pub(super) const FAMILY: Family = &[
    ("http.send", network),
    ("net.lookup_ip_addr", network),
    ("uuid.rfc4122", uuid),
    ("rand.intn", rand_intn),
    ("graphql.is_valid", refused),
    ("graphql.parse", refused),
    ("graphql.parse_and_verify", refused),
    ("graphql.parse_query", refused),
    ("graphql.parse_schema", refused),
    ("graphql.schema_is_valid", refused),
    ("providers.aws.sign_req", refused),
];

fn network(_: &mut Call<'_>) -> Outcome {
    Err(Failure::Halt(
        "policies have no network; replace it with `with`, or hand the facts over as input or data".to_owned(),
    ))
}

/// Bytes that only the key and the clock of the run decide: what is drawn by chance elsewhere can be replayed here, and is
/// the same for the same key throughout a run.
fn drawn(call: &Call<'_>, key: &str) -> [u8; 32] {
    let mut digest = sha2::Sha256::new();
    digest.update(call.clock_ns.to_be_bytes());
    digest.update(key);
    digest.finalize().into()
}

fn uuid(call: &mut Call<'_>) -> Outcome {
    let mut bytes = drawn(call, &format!("uuid {}", call.string(0)?));
    // Version 4 of RFC 4122.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex(&bytes[..16]);
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    Ok(parts.join("-").into())
}

fn rand_intn(call: &mut Call<'_>) -> Outcome {
    let key = call.string(0)?;
    let below = call.int(1)?.unsigned_abs();
    let [a, b, c, d, e, f, g, h, ..] = drawn(call, &format!("intn {key}-{below}"));
    Ok(match below {
        0 => 0.into(),
        _ => (u64::from_be_bytes([a, b, c, d, e, f, g, h]) % below).into(),
    })
}

fn refused(_: &mut Call<'_>) -> Outcome {
    Err(Failure::Halt(
        "this version does not evaluate it; replace it with `with`".to_owned(),
    ))
}
