//! The built-in functions of OPA 1.10 by name, as far as the front end asks for them.

use regorus::unstable::BUILTINS;

/// Beside those that regorus has: name and arity.
const MORE: [(&str, usize); 86] = [
    ("all", 1),
    ("any", 1),
    ("cast_array", 1),
    ("cast_boolean", 1),
    ("cast_null", 1),
    ("cast_object", 1),
    ("cast_set", 1),
    ("cast_string", 1),
    ("crypto.hmac.equal", 2),
    ("crypto.hmac.md5", 2),
    ("crypto.hmac.sha1", 2),
    ("crypto.hmac.sha256", 2),
    ("crypto.hmac.sha512", 2),
    ("crypto.md5", 1),
    ("crypto.parse_private_keys", 1),
    ("crypto.sha1", 1),
    ("crypto.sha256", 1),
    ("crypto.x509.parse_and_verify_certificates", 1),
    ("crypto.x509.parse_and_verify_certificates_with_options", 2),
    ("crypto.x509.parse_certificate_request", 1),
    ("crypto.x509.parse_certificates", 1),
    ("crypto.x509.parse_keypair", 2),
    ("crypto.x509.parse_rsa_private_key", 1),
    ("graphql.is_valid", 2),
    ("graphql.parse", 2),
    ("graphql.parse_and_verify", 2),
    ("graphql.parse_query", 1),
    ("graphql.parse_schema", 1),
    ("graphql.schema_is_valid", 1),
    ("http.send", 1),
    ("io.jwt.decode", 1),
    ("io.jwt.decode_verify", 2),
    ("io.jwt.encode_sign", 3),
    ("io.jwt.encode_sign_raw", 3),
    ("io.jwt.verify_eddsa", 2),
    ("io.jwt.verify_es256", 2),
    ("io.jwt.verify_es384", 2),
    ("io.jwt.verify_es512", 2),
    ("io.jwt.verify_hs256", 2),
    ("io.jwt.verify_hs384", 2),
    ("io.jwt.verify_hs512", 2),
    ("io.jwt.verify_ps256", 2),
    ("io.jwt.verify_ps384", 2),
    ("io.jwt.verify_ps512", 2),
    ("io.jwt.verify_rs256", 2),
    ("io.jwt.verify_rs384", 2),
    ("io.jwt.verify_rs512", 2),
    ("json.marshal_with_options", 2),
    ("json.match_schema", 2),
    ("json.patch", 2),
    ("json.verify_schema", 1),
    ("net.cidr_contains", 2),
    ("net.cidr_contains_matches", 2),
    ("net.cidr_expand", 1),
    ("net.cidr_intersects", 2),
    ("net.cidr_is_valid", 1),
    ("net.cidr_merge", 1),
    ("net.cidr_overlap", 2),
    ("net.lookup_ip_addr", 1),
    ("object.union_n", 1),
    ("opa.runtime", 0),
    ("parse_combined_config_files", 1),
    ("parse_config", 2),
    ("parse_config_file", 1),
    ("print", 0),
    ("providers.aws.sign_req", 3),
    ("rand.intn", 2),
    ("re_match", 2),
    ("regex.globs_match", 2),
    ("rego.metadata.chain", 0),
    ("rego.metadata.rule", 0),
    ("rego.parse_module", 2),
    ("set_diff", 2),
    ("strings.render_template", 2),
    ("time.now_ns", 0),
    ("uri.is_valid", 1),
    ("uri.parse", 1),
    ("urlquery.decode", 1),
    ("urlquery.decode_object", 1),
    ("urlquery.encode", 1),
    ("urlquery.encode_object", 1),
    ("uuid.parse", 1),
    ("uuid.rfc4122", 1),
    ("yaml.is_valid", 1),
    ("yaml.marshal", 1),
    ("yaml.unmarshal", 1),
];

/// What a version 1 policy may no longer call.
const DEPRECATED: [&str; 13] = [
    "all",
    "any",
    "cast_array",
    "cast_boolean",
    "cast_null",
    "cast_object",
    "cast_set",
    "cast_string",
    "net.cidr_overlap",
    "re_match",
    "set_diff",
    "array.concat_deprecated",
    "set.concat_deprecated",
];

/// The number of arguments of a built-in function, if OPA has it.
pub(crate) fn arity(name: &str) -> Option<usize> {
    if let Ok(place) = MORE.binary_search_by_key(&name, |(name, _)| name) {
        return Some(MORE[place].1);
    }
    let foreign = name.starts_with("__") || name.starts_with("azure.");
    let built_in = BUILTINS.get(name).filter(|_| !foreign)?;
    Some(usize::from(built_in.1))
}

/// Whether version 1 of the language has done away with a built-in function.
pub(crate) fn deprecated(name: &str) -> bool {
    DEPRECATED.contains(&name)
}
