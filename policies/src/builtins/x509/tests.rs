//! Certificates made for these tests: what is said of them, and when their chain holds.

use serde_json::{Value, json};

use crate::selftest::{Answer, Question, answer};
use crate::sources::RegoVersion;

const CHAIN: &str = include_str!("test_chain.pem");
const REQUEST: &str = include_str!("test_request.pem");
/// The key of the last certificate, which protects nothing.
const KEY: &str = include_str!("test_key.pem");
/// 2027-01-01.
const LATER: &str = "1798761600000000000";

fn asked(expression: &str) -> Answer {
    let question = Question {
        modules: vec![("p.rego".to_owned(), format!("package p\n\nt := {expression}\n"))],
        version: RegoVersion::V1,
        input: Some(json!({"chain": CHAIN, "request": REQUEST, "key": KEY})),
        query: "data.p.t".to_owned(),
        ..Question::default()
    };
    answer(&question, false)
}

fn value(expression: &str) -> Value {
    match asked(expression) {
        Answer::Result(value) => value,
        other => panic!("{expression}: {other:?}"),
    }
}

#[test]
fn a_certificate_has_the_fields_that_go_gives_it() {
    let all = value("crypto.x509.parse_certificates(input.chain)");
    let [root, middle, leaf] = all.as_array().unwrap().as_slice() else {
        panic!("{all}");
    };
    for (field, wanted) in [
        ("Version", json!(3)),
        ("SignatureAlgorithm", json!(11)),
        ("PublicKeyAlgorithm", json!(4)),
        ("NotBefore", json!("2026-11-25T14:53:10Z")),
        ("KeyUsage", json!(1)),
        ("ExtKeyUsage", json!([1])),
        ("UnknownExtKeyUsage", json!([[1, 2, 3, 4]])),
        ("BasicConstraintsValid", json!(true)),
        ("IsCA", json!(false)),
        ("MaxPathLen", json!(-1)),
        ("DNSNames", json!(["store.example", "*.apps.example"])),
        ("EmailAddresses", json!(["ops@store.example"])),
        ("IPAddresses", json!(["10.0.0.7"])),
        ("URIStrings", json!(["spiffe://example/store"])),
        ("OCSPServer", json!(["http://ocsp.example/"])),
        ("IssuingCertificateURL", Value::Null),
        ("CRLDistributionPoints", json!(["http://crl.example/a.crl"])),
        ("PolicyIdentifiers", json!([[2, 23, 140, 1, 2, 1]])),
        ("Policies", json!(["2.23.140.1.2.1"])),
        ("UnhandledCriticalExtensions", Value::Null),
        ("PermittedDNSDomains", Value::Null),
    ] {
        assert_eq!(leaf[field], wanted, "{field}");
    }
    assert_eq!(leaf["URIs"][0]["Host"], "example");
    assert_eq!(leaf["Subject"]["OrganizationalUnit"], json!(["Stores", "Tests"]));
    assert_eq!(
        leaf["Subject"]["Names"][0],
        json!({"Type": [2, 5, 4, 10], "Value": "Muster Test"})
    );
    assert_eq!(leaf["Subject"]["Country"], Value::Null);
    assert_eq!(leaf["Issuer"]["CommonName"], "Middle");
    assert_eq!(leaf["AuthorityKeyId"], middle["SubjectKeyId"]);
    assert_eq!((&root["IsCA"], &root["MaxPathLen"]), (&json!(true), &json!(1)));
    assert_eq!(
        (&middle["MaxPathLen"], &middle["MaxPathLenZero"]),
        (&json!(0), &json!(true))
    );
    assert_eq!(root["PublicKey"]["Curve"], json!({}));
    let serial = value("sprintf(\"%d\", [crypto.x509.parse_certificates(input.chain)[2].SerialNumber])");
    assert_eq!(serial, "78876037347534273875487275672");
}

#[test]
fn a_chain_holds_at_a_time_for_a_host_and_a_usage() {
    let with = |options: &str| {
        value(&format!(
            "[x[0], [c.Subject.CommonName | some c in x[1]]] if x := crypto.x509.parse_and_verify_certificates_with_options(input.chain, {options})"
        ))
    };
    let at = |rest: &str| with(&format!("{{\"CurrentTime\": {LATER}{rest}}}"));
    let whole = json!([true, ["store.example", "Middle", "Root"]]);
    let none = json!([false, []]);
    assert_eq!(at(""), whole);
    // The clock of the run stands before the certificates begin.
    assert_eq!(with("{}"), none);
    assert_eq!(at(", \"DNSName\": \"a.apps.example\""), whole);
    assert_eq!(at(", \"DNSName\": \"10.0.0.7\""), whole);
    assert_eq!(at(", \"DNSName\": \"a.b.apps.example\""), none);
    assert_eq!(at(", \"KeyUsages\": [\"KeyUsageAny\"]"), whole);
    assert_eq!(at(", \"KeyUsages\": [\"KeyUsageClientAuth\"]"), none);
    assert_eq!(value("crypto.x509.parse_and_verify_certificates(input.chain)"), none);
    assert_eq!(value("crypto.x509.parse_and_verify_certificates(\"x\")"), none);
    let parts: Vec<&str> = CHAIN.split_inclusive("-----END CERTIFICATE-----\n").collect();
    let [root, middle, leaf] = parts.as_slice() else {
        panic!("{parts:?}")
    };
    let verified = |chain: String| {
        value(&format!(
            "crypto.x509.parse_and_verify_certificates_with_options({}, {{\"CurrentTime\": {LATER}}})[0]",
            json!(chain)
        ))
    };
    assert_eq!(verified([*root, *middle, *leaf].concat()), true);
    assert_eq!(verified([*root, *leaf].concat()), false);
    assert_eq!(verified([*middle, *leaf].concat()), true);
    assert_eq!(verified([*leaf, *middle, *root].concat()), false);
    // One byte of the signature is another one.
    let mut bytes = crate::builtins::der::pem(leaf).remove(0).1;
    let last = bytes.last_mut().unwrap();
    *last ^= 1;
    let forged = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes)
    );
    assert_eq!(verified([*root, *middle, &forged].concat()), false);
}

#[test]
fn requests_and_keys_are_taken_apart() {
    let request = value("crypto.x509.parse_certificate_request(input.request)");
    assert_eq!(request["DNSNames"], json!(["store.example"]));
    assert_eq!(request["Subject"]["CommonName"], "store.example");
    let pair = "crypto.x509.parse_keypair(concat(\"\", [p | some i, p in split(input.chain, \"-----END CERTIFICATE-----\\n\"); i == 2]), input.key)";
    assert_eq!(asked(pair), Answer::Undefined);
    let leaf = CHAIN.rfind("-----BEGIN").map(|at| &CHAIN[at..]).unwrap();
    let pair = value(&format!("crypto.x509.parse_keypair({}, input.key)", json!(leaf)));
    assert_eq!(pair["Leaf"]["Subject"]["CommonName"], "store.example");
    assert!(pair["PrivateKey"].as_str().is_some_and(|key| key.len() == 88));
    let wrong = format!("crypto.x509.parse_keypair({}, input.key)", json!(CHAIN));
    assert_eq!(asked(&wrong), Answer::Undefined);
    assert_eq!(value("count(crypto.parse_private_keys(input.key))"), 1);
    let token = "io.jwt.verify_eddsa(io.jwt.encode_sign({\"alg\": \"EdDSA\"}, {\"a\": 1}, crypto.x509.parse_rsa_private_key(input.key)), input.chain)";
    assert_eq!(asked(token), Answer::Undefined);
    let token = format!(
        "io.jwt.verify_eddsa(io.jwt.encode_sign({{\"alg\": \"EdDSA\"}}, {{\"a\": 1}}, crypto.x509.parse_rsa_private_key(input.key)), {})",
        json!(leaf)
    );
    assert_eq!(value(&token), true);
}

#[test]
fn what_is_no_certificate_is_a_built_in_error() {
    for text in ["YmFkc3RyaW5n", "no base64!", "MAA=", "MIIBAAAA"] {
        assert_eq!(
            asked(&format!("crypto.x509.parse_certificates(\"{text}\")")),
            Answer::Undefined,
            "{text}"
        );
    }
}
