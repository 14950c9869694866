//! What would have to read the world, and what this binary does not do: such a call loads, may be replaced by `with`, and
//! halts when it is really made.

use serde_json::{Value, json};

use super::call::{Call, Outcome};
use super::{Failure, Family};

/// What of the world policies may see. By default nothing: a verdict can be replayed from its inputs.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// Whether `parse_config_file` reads files.
    pub(crate) files: bool,
    /// What `opa.runtime()` gives.
    pub(crate) runtime: Value,
}

impl Default for World {
    fn default() -> Self {
        Self {
            files: false,
            runtime: json!({}),
        }
    }
}

pub(super) const FAMILY: Family = &[
    ("http.send", network),
    ("net.lookup_ip_addr", network),
    ("uuid.rfc4122", chance),
    ("rand.intn", rand_intn),
    ("graphql.is_valid", refused),
    ("graphql.parse", refused),
    ("graphql.parse_and_verify", refused),
    ("graphql.parse_query", refused),
    ("graphql.parse_schema", refused),
    ("graphql.schema_is_valid", refused),
    ("providers.aws.sign_req", refused),
    ("rego.parse_module", refused),
    ("crypto.parse_private_keys", refused),
    ("crypto.x509.parse_and_verify_certificates", refused),
    ("crypto.x509.parse_and_verify_certificates_with_options", refused),
    ("crypto.x509.parse_certificate_request", refused),
    ("crypto.x509.parse_certificates", refused),
    ("crypto.x509.parse_keypair", refused),
    ("crypto.x509.parse_rsa_private_key", refused),
];

fn network(_: &mut Call<'_>) -> Outcome {
    Err(Failure::Halt(
        "policies have no network; replace it with `with`, or hand the facts over as input or data".to_owned(),
    ))
}

fn chance(_: &mut Call<'_>) -> Outcome {
    Err(Failure::Halt(
        "a verdict with chance in it cannot be replayed; replace it with `with`".to_owned(),
    ))
}

fn rand_intn(call: &mut Call<'_>) -> Outcome {
    call.string(0)?;
    match call.int(1)? {
        // No chance in it.
        0 => Ok(0.into()),
        _ => chance(call),
    }
}

fn refused(_: &mut Call<'_>) -> Outcome {
    Err(Failure::Halt(
        "this version does not evaluate it; replace it with `with`".to_owned(),
    ))
}
