//! Signatures of RFC 6979, A.2, and tokens that their own verifiers take. The keys were made for these tests.

use serde_json::json;

use super::sign;
use crate::builtins::hashes::hex;
use crate::selftest::{Answer, Question, answer};
use crate::sources::RegoVersion;

const KEYS: &str = r#"{
  "P-256": {
    "kty": "EC",
    "crv": "P-256",
    "x": "WoR9HrQf4K_JCWgxIfV1WG8nNaosA2wv14VZswbIGCY",
    "y": "Y6HwIyat6DudEzrjg97WtgTCXWhxhgMiRK3qXa0a17Y",
    "d": "552XB0HVUIrL8MSEpdLwEeOaGlR3tD2KhN-1R0bOFI8"
  },
  "P-384": {
    "kty": "EC",
    "crv": "P-384",
    "x": "eEnuW6FdPw-oPcXG71TL01cwVMjLftHbAhsrzyrkze5UxAA5dYwnj-c1hiUgjb8X",
    "y": "LYB85uwSklnsYVe9v8WuRqDt6u5GLojU53INsAiL3ro3o5s5ml_-GdBKSt9WuquV",
    "d": "wDdCa4ry3tNi88Q_wbB90jq-7nN1U2T6QqC_Bgn2pbM9vD1bxHH07yV1bPq1zrWF"
  },
  "P-521": {
    "kty": "EC",
    "crv": "P-521",
    "x": "AFuAMCbFO1MJOjgxKiMv9DWnRXnOZLpmOI2uNIgc7gR0zRR59eheIidx0dZO4QeLi0AfVPM1isgcnb33RfOuLc3S",
    "y": "ACW1zcu_e_s2gVwBGuEKD5ZcwXA64q_3QW7CrpUj3GEpFK5aN8GbXHRcaxjjWI2-BhHOrppBj4FCh45biiaGpaLT",
    "d": "AIPNmeL4caq6ZReINpj6W_Q1I8ZhA7onqk6vRNHQJUa700lnSZR-bbatE5esWMO1apBWgfekjPohL-KjsVsio29D"
  },
  "RSA": {
    "kty": "RSA",
    "n": "m84QhqTvTQ3mMt8Apv6kFePWsSJcBBZMtuZp1_JDkKElfdVKRIWXpvEXZzqcgcS9gans3NZG_lBdZn0xXu1awrN7dV4LAonrIDqkqZnd35w9_MLA2PwCbB5MIK854thDBG_ECeoI4JWPU5We6WS-YC1bDpCD_X5f12QHQ-60rrUL34e5D1Y3FCllSGLQW9h0XT9vfuFwGm1bA2IYR7J6s9Gh9rr_-XcRn0Jz4IazrvhYjQWqQxq3PpgjYEBPglascQtZ5OfHK1yz8i3c0sTU4OtJ7i-src0ETbbHFH3CogKyzWGpRG9We039TRzdXQdNoLi1np9frOxNYY0B1oB_5w",
    "e": "AQAB",
    "d": "ASd6JN007p-zPF49jX8mbQkWjpJgFyGpKNO1JgXj7T7cXb3GQpKwyGpRz5B2F1oDQ2IkYJBvzzN-NaOoyXi9quKUgA6Vy0uFQ-RbUuxSYfUw2l4A-rqHNBDXZIiXx6_tcyt2ytIChdNlz-s0VatK48CCQ63bZHXatOhHS4AJs5-dwqhsXTUT2nTZGivkljZjtpa5-uUXedDH385pWZ2TOVCI1T7JbA6AzMoUrusAWqUUjlJOKdO2fMyfMU9EEvuQied1ZyFuZzwI2w3HX2Jk5dWtJdu0iLXFB_6BBLOzXVqfSfrShtorRQklMwFy2CNcpC6trh-7McSm788T9Q_UEQ",
    "p": "16P2cF47r-4DAyYt03K9NX9yvCxkPbL8nPgZjsbGCGHloPD81MIbtwAOXrcmFbhDTDxTwrOV99XM3-Jvo_bNE51rOe0XcZEqt5vFF_REoNRR4U_aNLVq_4hJZ1FUGkCGAo21pp47nPK476sXwsJ9ly-lMWUuXMX34EIuzXER55E",
    "q": "uPcvuTMcmuePSIy48DM0EURju7HkFj4tJiNjWLcCrW9QYA0Pz4zRR3wzkd3gmvyKwkhU2HaJl1QsBqAcZc-_ohIcZ151n1Xxm8vsoXRf48e_pYCejilCx_5bLQimU7jCvisMgFDw9UXsuS_Ii2X2tvIYEiuD03I9nJltnpJdY_c",
    "dp": "paPft_7acFAuZivchZCcQEzOsDaVJUOogVaeIysSkPvJ7G9QdolHyrEzWJPsoEBzCUtJt8REzSOghNUlllgMvSVtaQhyupycqH7xzW2njbap0p2I6nX0Y6anY8J4DNZFWg7KWtsuxWc4oXjV_pdw60IA7UlgbIjw14Ve-BYDf9E",
    "dq": "irGfcWmoC2eTAz2x9zsN0dzMRBPSCfO5ex2SAxXHxjDvvfZNYr4et1Gkgb40C0NO8Pu301CfP3_4O0eXw6gR8_9MmR41aLLTJpW07CQNOwmu5PUa71J1Ju3NhGk1_xVNwbcZ-qW26NPz-7Ce2hgs9WV3Mzi58rV5CZHqprrtmGU",
    "qi": "u5u0C1ar4zWlIiVWWaqLXLbeqMTP_QjgXGTWAkNpzT_MtZkFbqcJdTX8Gy1AuzpCfy5g3ODMG0CyBY70IxSv8RmlXEgGHhwsZ9ABWSIHZURUXgJ2hu2FXvSLLJtnBZo9uGqsN6orPfce0CFXiHozFTTQjMgsNi8T2PjIi9Wx834"
  }
}"#;

fn asked(expression: &str) -> Answer {
    let question = Question {
        modules: vec![("p.rego".to_owned(), format!("package p\n\nt := {expression}\n"))],
        version: RegoVersion::V1,
        data: None,
        input: Some(serde_json::from_str(KEYS).unwrap()),
        query: "data.p.t".to_owned(),
    };
    answer(&question, false)
}

fn signed(curve: &str, algorithm: &str, secret: &str) -> String {
    let digit = |at: usize| u8::from_str_radix(&secret[at..at + 2], 16).unwrap();
    let secret: Vec<u8> = (0..secret.len()).step_by(2).map(digit).collect();
    let secret = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, secret);
    let key = regorus::Value::from(json!({"crv": curve, "d": secret}));
    hex(&sign(&key, algorithm, b"sample").unwrap_or_default())
}

#[test]
fn a_curve_signs_as_rfc_6979_does() {
    let secret = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    assert_eq!(
        signed("P-256", "ES256", secret),
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
         f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    );
    let secret = "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5";
    assert_eq!(
        signed("P-384", "ES384", secret),
        "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46\
         99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8"
    );
    let secret = "00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75\
                  caa896eb32f1f47c70855836a6d16fcc1466f6d8fbec67db89ec0c08b0e996b83538";
    assert_eq!(
        signed("P-521", "ES512", secret),
        "00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5d450606add152b534931d7d4e8455cc91f9b15bf05ec36e377fa\
         00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af282623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1dccc43997f1ee0e44da4a67a"
    );
}

#[test]
fn each_algorithm_signs_what_its_verifier_takes_and_twice_the_same() {
    for (key, algorithm) in [
        ("P-256", "ES256"),
        ("P-384", "ES384"),
        ("P-521", "ES512"),
        ("RSA", "PS256"),
        ("RSA", "PS384"),
        ("RSA", "PS512"),
        ("RSA", "RS256"),
    ] {
        let verify = format!("io.jwt.verify_{}", algorithm.to_lowercase());
        let token = |payload: &str| {
            format!("io.jwt.encode_sign({{\"alg\": \"{algorithm}\"}}, {{\"a\": {payload}}}, input[\"{key}\"])")
        };
        let public =
            format!("json.marshal(object.filter(input[\"{key}\"], [\"kty\", \"crv\", \"x\", \"y\", \"n\", \"e\"]))");
        let expression = format!(
            "[{verify}({one}, {public}), {one} == {one}, {one} == {two}, {verify}(concat(\".\", [split({one}, \".\")[0], split({one}, \".\")[1], split({two}, \".\")[2]]), {public}), io.jwt.decode({one})[1].a]",
            one = token("1"),
            two = token("2"),
        );
        assert_eq!(
            asked(&expression),
            Answer::Result(json!([true, true, false, false, 1])),
            "{algorithm}"
        );
    }
}

#[test]
fn a_key_of_another_kind_signs_nothing() {
    for (key, algorithm) in [
        ("P-256", "ES384"),
        ("P-384", "ES512"),
        ("RSA", "ES256"),
        ("P-256", "PS256"),
        ("P-256", "RS256"),
        ("P-521", "HS256"),
    ] {
        let call = format!("io.jwt.encode_sign({{\"alg\": \"{algorithm}\"}}, {{}}, input[\"{key}\"])");
        assert_eq!(asked(&call), Answer::Undefined, "{key} {algorithm}");
    }
    let call = "io.jwt.encode_sign({\"alg\": \"PS256\"}, {}, object.union(input.RSA, {\"d\": input.RSA.p}))";
    assert_eq!(asked(call), Answer::Undefined);
}
