//! JSON Web Tokens: taken apart, and checked against a shared secret.
//!
//! Signatures by private keys are not checked yet: such a call halts and says so, since "false" would be a lie.

use hmac::Hmac;
use regorus::Value;

use super::call::{Call, Outcome, array};
use super::decoded::{URL, base64_bytes};
use super::hashes::{authenticate, hex};
use super::{Failure, Family};

pub(super) const FAMILY: Family = &[
    ("io.jwt.decode", |call| decode(call.string(0)?)),
    ("io.jwt.verify_hs256", |call| shared::<Hmac<sha2::Sha256>>(call)),
    ("io.jwt.verify_hs384", |call| shared::<Hmac<sha2::Sha384>>(call)),
    ("io.jwt.verify_hs512", |call| shared::<Hmac<sha2::Sha512>>(call)),
    ("io.jwt.verify_eddsa", refused),
    ("io.jwt.verify_es256", refused),
    ("io.jwt.verify_es384", refused),
    ("io.jwt.verify_es512", refused),
    ("io.jwt.verify_ps256", refused),
    ("io.jwt.verify_ps384", refused),
    ("io.jwt.verify_ps512", refused),
    ("io.jwt.verify_rs256", refused),
    ("io.jwt.verify_rs384", refused),
    ("io.jwt.verify_rs512", refused),
    ("io.jwt.decode_verify", refused),
    ("io.jwt.encode_sign", refused),
    ("io.jwt.encode_sign_raw", refused),
];

struct Token<'a> {
    signed: &'a str,
    header: Value,
    payload: &'a str,
    signature: Vec<u8>,
}

fn token(text: &str) -> Result<Token<'_>, Failure> {
    let parts: Vec<&str> = text.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        return Err("encoded JWT must have 3 sections, found another number".into());
    };
    let header = document(header, "header")?;
    if header
        .as_object()
        .is_ok_and(|fields| fields.contains_key(&"enc".into()))
    {
        return Err("JWT is a JWE object, which is not supported".into());
    }
    Ok(Token {
        signed: &text[..text.len() - signature.len() - 1],
        header,
        payload,
        signature: base64_bytes(&URL, signature).map_err(|_| "JWT signature had invalid encoding")?,
    })
}

fn document(part: &str, what: &str) -> Outcome {
    let bytes = base64_bytes(&URL, part).map_err(|_| format!("JWT {what} had invalid encoding"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("JWT {what} was not valid UTF-8"))?;
    let value = Value::from_json_str(&text).map_err(|_| format!("JWT {what} had invalid JSON"))?;
    match value {
        Value::Object(_) => Ok(value),
        _ => Err(format!("JWT {what} was not a JSON object").into()),
    }
}

fn decode(text: &str) -> Outcome {
    let token = token(text)?;
    let nested = token.header["cty"]
        .as_string()
        .is_ok_and(|kind| kind.eq_ignore_ascii_case("JWT"));
    if nested {
        let inner = base64_bytes(&URL, token.payload).map_err(|_| "JWT payload had invalid encoding")?;
        let inner = String::from_utf8(inner).map_err(|_| "JWT payload was not valid UTF-8")?;
        return decode(inner.trim_matches('"'));
    }
    let payload = document(token.payload, "payload")?;
    Ok(array([token.header, payload, hex(&token.signature).into()]))
}

fn shared<M: hmac::Mac + hmac::KeyInit>(call: &Call<'_>) -> Outcome {
    let (text, secret) = (call.string(0)?, call.string(1)?);
    let token = token(text)?;
    let code = authenticate::<M>(secret.as_bytes(), token.signed.as_bytes())?;
    Ok((code == token.signature).into())
}

fn refused(_: &mut Call<'_>) -> Outcome {
    Err(Failure::Halt(
        "this version does not check or make signatures by key pairs; replace it with `with`".to_owned(),
    ))
}
