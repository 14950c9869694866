//! Built-in functions of policies, called with whatever a document holds: judged or an error, in bounds, and never a fault inside.
//!
//! The first byte selects the function; the rest is a JSON list of lists of arguments.

use std::path::PathBuf;
use std::sync::LazyLock;

use muster_policies::CheckOptions;
use serde_json::{Value, json};
use time::OffsetDateTime;

/// Functions that are muster's own, with the number of their arguments. The evaluator's `bits.lsh` and `units.parse` are not among them:
/// a shift or an exponent of billions keeps them busy beyond any deadline.
const FUNCTIONS: &[(&str, usize)] = &[
    ("base64.decode", 1),
    ("base64url.decode", 1),
    ("concat", 2),
    ("crypto.hmac.sha256", 2),
    ("crypto.parse_private_keys", 1),
    ("crypto.x509.parse_and_verify_certificates", 1),
    ("crypto.x509.parse_certificate_request", 1),
    ("crypto.x509.parse_certificates", 1),
    ("crypto.x509.parse_keypair", 2),
    ("crypto.x509.parse_rsa_private_key", 1),
    ("format_int", 2),
    ("glob.match", 3),
    ("hex.decode", 1),
    ("indexof_n", 2),
    ("io.jwt.decode", 1),
    ("io.jwt.decode_verify", 2),
    ("io.jwt.verify_es256", 2),
    ("io.jwt.verify_hs256", 2),
    ("io.jwt.verify_rs256", 2),
    ("json.filter", 2),
    ("json.match_schema", 2),
    ("json.patch", 2),
    ("json.remove", 2),
    ("json.unmarshal", 1),
    ("json.verify_schema", 1),
    ("net.cidr_contains_matches", 2),
    ("net.cidr_expand", 1),
    ("net.cidr_merge", 1),
    ("numbers.range_step", 3),
    ("object.subset", 2),
    ("parse_config", 2),
    ("regex.find_all_string_submatch_n", 3),
    ("regex.globs_match", 2),
    ("regex.match", 2),
    ("regex.replace", 3),
    ("regex.split", 2),
    ("regex.template_match", 4),
    ("semver.compare", 2),
    ("sprintf", 2),
    ("strings.render_template", 2),
    ("strings.replace_n", 2),
    ("substring", 3),
    ("time.parse_rfc3339_ns", 1),
    ("to_number", 1),
    ("urlquery.decode_object", 1),
    ("urlquery.encode_object", 1),
    ("uuid.parse", 1),
    ("yaml.marshal", 1),
    ("yaml.unmarshal", 1),
];

/// A policy per function.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    for (name, arity) in FUNCTIONS {
        let args: Vec<String> = (0..*arity).map(|place| format!("args[{place}]")).collect();
        let call = format!("{name}({})", args.join(", "));
        let text = format!(
            "package main\n\nimport rego.v1\n\nwarn contains json.marshal(given) if {{\n\tsome args in input.calls\n\tgiven := {call}\n}}\n"
        );
        std::fs::write(folder.path().join(format!("{name}.rego")), text).unwrap();
    }
    folder
});

fn samples() -> Vec<(&'static str, Value)> {
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.AAAA";
    let schema = json!({
        "type": "object", "properties": {"a": {"$ref": "#/definitions/b"}}, "definitions": {"b": {"pattern": "^a", "minLength": 1}}
    });
    vec![
        (
            "sprintf",
            json!([["%5.2f %-8s %x %v %[2]*[1]d %q", [1.5, "a", 255, {"a": [1]}, 3]]]),
        ),
        (
            "sprintf",
            json!([
                ["%1000000000d", [1]],
                ["%.2000000000f", [1.5]],
                ["%0999999999999s", ["a"]]
            ]),
        ),
        ("yaml.unmarshal", json!([["a: &a [1, x]\nb: *a\n"]])),
        ("json.unmarshal", json!([["{\"a\": [1, 2]}"]])),
        (
            "regex.match",
            json!([["^(a|b)*\\w{1,9}$", "abab"], ["((a{99}){99}){99}", "a"]]),
        ),
        ("regex.template_match", json!([["urn:{.*}:x", "urn:a:x", "{", "}"]])),
        ("regex.replace", json!([["aab", "(a+)", "<$1>"]])),
        ("regex.globs_match", json!([["a.[x-z]+b.*", "ayzb"]])),
        ("glob.match", json!([["{a,b}[!c]*.x", ["."], "ab.x"]])),
        ("net.cidr_expand", json!([["10.0.0.0/30"], ["10.0.0.0/0"], ["::/0"]])),
        ("net.cidr_merge", json!([[["10.0.0.0/24", "10.0.1.0/24", "::1/128"]]])),
        ("io.jwt.decode", json!([[token]])),
        ("io.jwt.verify_hs256", json!([[token, "secret"]])),
        (
            "io.jwt.decode_verify",
            json!([[token, {"secret": "s", "alg": "HS256", "iss": "x"}]]),
        ),
        ("json.match_schema", json!([[{"a": 1}, schema], [1, {"$ref": "#"}]])),
        (
            "json.patch",
            json!([[{"a": [1]}, [{"op": "add", "path": "/a/0", "value": 2}, {"op": "move", "from": "/a", "path": "/b"}]]]),
        ),
        (
            "strings.render_template",
            json!([["{{range $i, $x := .x}}{{if eq $x 1}}{{$i | printf \"%d\"}}{{end}}{{end}}", {"x": [1, 2]}]]),
        ),
        ("urlquery.decode_object", json!([["a=1&a=2&b=%20"]])),
        ("crypto.x509.parse_certificates", json!([[certificate]])),
        ("numbers.range_step", json!([[1, 10, 2], [1, 1e9, 1]])),
        ("format_int", json!([[255.5, 16]])),
        ("strings.replace_n", json!([[{"a": "b"}, "aa"]])),
        ("indexof_n", json!([["aaaa", "a"]])),
        ("time.parse_rfc3339_ns", json!([["2026-11-25T00:00:00Z"]])),
        ("object.subset", json!([[{"a": [1]}, {"a": [1]}]])),
        ("semver.compare", json!([["1.2.3-a.1+b", "1.2.3"]])),
        (
            "to_number",
            json!([["1e400"], ["0x10"], ["1e999999999"], ["0e999999999"]]),
        ),
        ("parse_config", json!([["hcl2", "a \"b\" { c = [1, \"${d}\"] }\n"]])),
    ]
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let with =
        |place: usize, args: &Value| [vec![u8::try_from(place).unwrap()], args.to_string().into_bytes()].concat();
    let sampled = samples().into_iter().map(|(name, args)| {
        let place = FUNCTIONS.iter().position(|(known, _)| *known == name);
        with(place.expect("a sample of a function"), &args)
    });
    let odd = json!([["a", "a", 1, "b"], [["a", 1], {"a": 1}, -1.5, null], [-1.5, [], 0, ""], [{}, "a", 2, ""]]);
    sampled
        .chain((0..FUNCTIONS.len()).map(|place| with(place, &odd)))
        .collect()
}

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let Some((first, calls)) = data.split_first() else {
        return;
    };
    let Ok(calls @ Value::Array(_)) = serde_json::from_slice(calls) else {
        return;
    };
    let (name, _) = FUNCTIONS[usize::from(*first) % FUNCTIONS.len()];
    let mut options = CheckOptions::new(OffsetDateTime::UNIX_EPOCH);
    options.policies = vec![FOLDER.path().join(format!("{name}.rego"))];
    options.stdin = json!({ "calls": calls }).to_string().into_bytes();
    let report = muster_policies::check(&[PathBuf::from("-")], &options);
    let report = report.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(!report.results.is_empty());
    for finding in &report.results {
        assert!(
            !finding.message.contains("internal fault"),
            "{name}: {}",
            finding.message
        );
    }
}
