//! JSON Web Tokens: taken apart, checked, and made.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use regorus::Value;

use super::call::{Call, Outcome, array, nearest};
use super::decoded::{URL, base64_bytes};
use super::hashes::hex;
use super::keys::{ALGORITHMS, Key, read, web_keys};
use super::signing;
use super::text::json_text;
use super::{Failure, Family};

pub(super) const FAMILY: Family = &[
    ("io.jwt.decode", |call| decode(call.string(0)?)),
    ("io.jwt.decode_verify", decode_verify),
    ("io.jwt.encode_sign", |call| {
        let (header, payload) = (json_text(call.any(0)), json_text(call.any(1)));
        sign(&header, &payload, call.any(2))
    }),
    ("io.jwt.encode_sign_raw", |call| {
        let key = Value::from_json_str(call.string(2)?).map_err(|_| "failed to parse a JWK key (set)")?;
        sign(call.string(0)?, call.string(1)?, &key)
    }),
    ("io.jwt.verify_hs256", |call| shared(call, "HS256")),
    ("io.jwt.verify_hs384", |call| shared(call, "HS384")),
    ("io.jwt.verify_hs512", |call| shared(call, "HS512")),
    ("io.jwt.verify_eddsa", |call| verify(call, "EdDSA")),
    ("io.jwt.verify_es256", |call| verify(call, "ES256")),
    ("io.jwt.verify_es384", |call| verify(call, "ES384")),
    ("io.jwt.verify_es512", |call| verify(call, "ES512")),
    ("io.jwt.verify_ps256", |call| verify(call, "PS256")),
    ("io.jwt.verify_ps384", |call| verify(call, "PS384")),
    ("io.jwt.verify_ps512", |call| verify(call, "PS512")),
    ("io.jwt.verify_rs256", |call| verify(call, "RS256")),
    ("io.jwt.verify_rs384", |call| verify(call, "RS384")),
    ("io.jwt.verify_rs512", |call| verify(call, "RS512")),
];

/// How many tokens may lie within each other.
const DEEPEST: usize = 16;

struct Token<'a> {
    signed: &'a str,
    header: Value,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Token<'a> {
    fn parse(text: &'a str) -> Result<Self, Failure> {
        let parts: Vec<&str> = text.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err(format!("encoded JWT must have 3 sections, found {}", parts.len()).into());
        };
        let header = document(header, "header")?;
        if header
            .as_object()
            .is_ok_and(|fields| fields.contains_key(&"enc".into()))
        {
            return Err("JWT is a JWE object, which is not supported".into());
        }
        Ok(Self {
            signed: &text[..text.len() - signature.len() - 1],
            header,
            payload,
            signature,
        })
    }

    fn signature(&self) -> Result<Vec<u8>, Failure> {
        base64_bytes(&URL, self.signature).map_err(|_| "JWT signature had invalid encoding".into())
    }

    /// A field of the header that must be a string if it is there.
    fn said(&self, name: &str) -> Result<&str, Failure> {
        match &self.header[name] {
            Value::Undefined => Ok(""),
            Value::String(text) => Ok(text),
            _ => Err(format!("{name}: must be a string").into()),
        }
    }

    fn nested(&self) -> Result<Option<String>, Failure> {
        if !self.said("cty")?.eq_ignore_ascii_case("JWT") {
            return Ok(None);
        }
        let inner = base64_bytes(&URL, self.payload).map_err(|_| "JWT payload had invalid encoding")?;
        let inner = String::from_utf8(inner).map_err(|_| "JWT payload was not valid UTF-8")?;
        Ok(Some(inner.trim_matches('"').to_owned()))
    }
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
    let mut text = text.to_owned();
    for _ in 0..DEEPEST {
        let token = Token::parse(&text)?;
        let Some(inner) = token.nested()? else {
            let payload = document(token.payload, "payload")?;
            let signature = hex(&token.signature()?);
            return Ok(array([token.header, payload, signature.into()]));
        };
        text = inner;
    }
    Err("tokens lie within each other too deeply".into())
}

fn shared(call: &Call<'_>, algorithm: &str) -> Outcome {
    let token = Token::parse(call.string(0)?)?;
    let key = Key::secret(call.string(1)?.as_bytes());
    Ok(key
        .verifies(algorithm, token.signed.as_bytes(), &token.signature()?)
        .into())
}

fn verify(call: &Call<'_>, algorithm: &str) -> Outcome {
    let token = Token::parse(call.string(0)?)?;
    let keys = read(call.string(1)?)?;
    let signature = token.signature()?;
    let signed = token.signed.as_bytes();
    let mut fitting = fitting(&token, &keys)?.into_iter();
    Ok(fitting.any(|key| key.verifies(algorithm, signed, &signature)).into())
}

/// The key that the token names, or all that are not of another algorithm than the token's.
fn fitting<'k>(token: &Token<'_>, keys: &'k [Key]) -> Result<Vec<&'k Key>, Failure> {
    let (id, algorithm) = (token.said("kid")?, token.said("alg")?);
    let named = keys.iter().find(|key| !id.is_empty() && key.id.as_deref() == Some(id));
    if let Some(named) = named {
        return Ok(vec![named]);
    }
    let fits = |key: &&Key| key.algorithm.as_deref().is_none_or(|own| own == algorithm);
    Ok(keys.iter().filter(fits).collect())
}

#[derive(Default)]
struct Constraints {
    keys: Option<Vec<Key>>,
    secret: String,
    algorithm: String,
    issuer: String,
    audience: String,
    time_ns: Option<f64>,
}

impl Constraints {
    fn of(call: &Call<'_>) -> Result<Self, Failure> {
        let mut all = Self::default();
        for (key, value) in call.object(1)?.iter_sorted() {
            let key = key
                .as_string()
                .map_err(|_| "constraints are named by strings")?
                .as_ref();
            let text = || match value {
                Value::String(text) => Ok(text.to_string()),
                _ => Err(Failure::Error(format!("{key} constraint: must be a string"))),
            };
            match key {
                "cert" => all.keys = Some(read(&text()?)?),
                "secret" => all.secret = text()?,
                "alg" => all.algorithm = text()?,
                "iss" => all.issuer = text()?,
                "aud" => all.audience = text()?,
                "time" => match nearest(value) {
                    Some(time) if time >= 0.0 => all.time_ns = Some(time),
                    Some(_) => return Err("token time constraint: must not be negative".into()),
                    None => return Err("token time constraint: must be a number".into()),
                },
                unknown => return Err(format!("unknown token validation constraint: {unknown}").into()),
            }
        }
        match (&all.keys, all.secret.is_empty()) {
            (Some(_), false) => Err("duplicate key constraints".into()),
            (None, true) => Err("no key constraint".into()),
            (None, false) => {
                all.keys = Some(vec![Key::secret(all.secret.as_bytes())]);
                Ok(all)
            }
            (Some(_), true) => Ok(all),
        }
    }
}

fn decode_verify(call: &mut Call<'_>) -> Outcome {
    let unverified = || array([false.into(), Value::new_object(), Value::new_object()]);
    let constraints = Constraints::of(call)?;
    let keys = constraints.keys.as_deref().unwrap_or_default();
    let mut text = call.string(0)?.to_owned();
    for _ in 0..DEEPEST {
        let token = Token::parse(&text)?;
        let algorithm = token.said("alg")?.to_owned();
        let wanted = constraints.algorithm.is_empty() || constraints.algorithm == algorithm;
        if algorithm.is_empty() || critical(&token)? || !wanted {
            return Ok(unverified());
        }
        let signature = token.signature()?;
        let signed = token.signed.as_bytes();
        let mut fitting = fitting(&token, keys)?.into_iter();
        if !fitting.any(|key| key.verifies(&algorithm, signed, &signature)) {
            return Ok(unverified());
        }
        let Some(inner) = token.nested()? else {
            let payload = document(token.payload, "payload")?;
            #[expect(clippy::cast_precision_loss, reason = "OPA compares these times as float64")]
            let now_ns = constraints.time_ns.unwrap_or(call.clock_ns as f64);
            return Ok(match claims(&payload, &constraints, now_ns / 1e9)? {
                true => array([true.into(), token.header, payload]),
                false => unverified(),
            });
        };
        text = inner;
    }
    Err("tokens lie within each other too deeply".into())
}

/// Whether the header demands what is not known here.
fn critical(token: &Token<'_>) -> Result<bool, Failure> {
    match &token.header["crit"] {
        Value::Undefined => Ok(false),
        Value::Array(names) if names.is_empty() => Err("crit: must be a nonempty list".into()),
        Value::Array(names) => {
            let known = ["alg", "kid", "typ", "cty", "crit"].map(Value::from);
            let there = |name: &Value| token.header.as_object().is_ok_and(|fields| fields.contains_key(name));
            Ok(names.iter().any(|name| !known.contains(name) && there(name)))
        }
        _ => Err("crit: must be a list".into()),
    }
}

fn claims(payload: &Value, constraints: &Constraints, now: f64) -> Result<bool, Failure> {
    let is = |value: &Value, text: &str| matches!(value, Value::String(own) if own.as_ref() == text);
    if !constraints.issuer.is_empty() && !is(&payload["iss"], &constraints.issuer) {
        return Ok(false);
    }
    let meant = match &payload["aud"] {
        Value::Undefined => constraints.audience.is_empty(),
        Value::Array(all) => all.iter().any(|one| is(one, &constraints.audience)),
        one => is(one, &constraints.audience),
    };
    let moment = |name: &str| match &payload[name] {
        Value::Undefined => Ok(None),
        value @ Value::Number(_) => Ok(nearest(value)),
        _ => Err(Failure::Error(format!("{name} value must be a number"))),
    };
    if !meant {
        return Ok(false);
    }
    let begun = moment("exp")?.is_none_or(|end| now < end);
    Ok(begun && moment("nbf")?.is_none_or(|begin| now >= begin))
}

fn sign(header: &str, payload: &str, key: &Value) -> Outcome {
    let keys = web_keys(key)?;
    let document = match &key["keys"] {
        Value::Array(keys) => keys.first().unwrap_or(key),
        _ => key,
    };
    let key = keys.first().ok_or("no keys found in JWK set")?;
    let fields = Value::from_json_str(header).map_err(|_| "missing or invalid 'alg' header")?;
    let algorithm = fields["alg"]
        .as_string()
        .map_err(|_| "missing or invalid 'alg' header")?;
    if !ALGORITHMS.contains(&algorithm.as_ref()) {
        return Err(format!("unknown JWS algorithm: {algorithm}").into());
    }
    let token = !matches!(&fields["typ"], Value::String(kind) if kind.as_ref() != "JWT");
    if token && serde_json::from_str::<serde::de::IgnoredAny>(payload).is_err() {
        return Err("type is JWT but payload is not JSON".into());
    }
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
    let signature = match key.code(algorithm, signed.as_bytes()) {
        Some(code) => code,
        None if algorithm.starts_with("HS") => return Err("the key is not one of a shared secret".into()),
        None => signing::sign(document, algorithm, signed.as_bytes())?,
    };
    Ok(format!("{signed}.{}", encode(&signature)).into())
}
