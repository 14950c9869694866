//! Private keys: as Go's structures look in JSON, and as JSON Web Keys.

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use regorus::Value;

use super::call::{Call, Outcome, array, object};
use super::decoded::{STANDARD, base64_bytes};
use super::der;
use super::x509::{CURVES, ED25519, PublicKey, RSA, encoded, number};
use super::{Failure, Family};

pub(super) const FAMILY: Family = &[
    ("crypto.parse_private_keys", |call| match call.string(0)? {
        "" => Ok(Value::Null),
        text => Ok(array(keys(text)?.iter().map(PrivateKey::json))),
    }),
    ("crypto.x509.parse_rsa_private_key", web_key),
];

/// A private key.
pub(super) enum PrivateKey {
    Rsa(Box<Rsa>),
    Curve {
        curve: Vec<u64>,
        point: Vec<u8>,
        secret: Vec<u8>,
    },
    Edwards {
        seed: Vec<u8>,
        public: Vec<u8>,
    },
}

/// The numbers of a key of RSA: n, e, d, p, q, dp, dq, qi.
pub(super) struct Rsa([Vec<u8>; 8]);

pub(super) const NAMES: [&str; 8] = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];

/// The private keys among the PEM blocks of a text, which may be in base64.
fn keys(text: &str) -> Result<Vec<PrivateKey>, Failure> {
    let inner = base64_bytes(&STANDARD, text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let mut keys = Vec::new();
    for (label, bytes) in der::pem(inner.as_deref().unwrap_or(text)) {
        let key = match label.as_str() {
            "RSA PRIVATE KEY" => PrivateKey::rsa(&bytes),
            "PRIVATE KEY" => PrivateKey::wrapped(&bytes),
            "EC PRIVATE KEY" => PrivateKey::curve(&bytes, None),
            _ => continue,
        };
        keys.push(key.ok_or_else(|| Failure::Error(format!("x509: failed to parse {}", label.to_lowercase())))?);
    }
    Ok(keys)
}

fn web_key(call: &mut Call<'_>) -> Outcome {
    let text = call.string(0)?;
    if text.is_empty() {
        return Err("input PEM data was empty".into());
    }
    let text = match text.starts_with("-----BEGIN") {
        true => text.to_owned(),
        false => String::from_utf8_lossy(&base64_bytes(&STANDARD, text)?).into_owned(),
    };
    Ok(keys(&text)?.first().map_or(Value::Null, PrivateKey::web))
}

fn url(bytes: &[u8]) -> Value {
    BASE64_URL_SAFE_NO_PAD.encode(bytes).into()
}

impl PrivateKey {
    /// A key in one of the three forms.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        Self::rsa(bytes)
            .or_else(|| Self::wrapped(bytes))
            .or_else(|| Self::curve(bytes, None))
    }

    /// `RSAPrivateKey` of PKCS #1.
    fn rsa(bytes: &[u8]) -> Option<Self> {
        let parts = der::first(bytes)?.0.within(der::SEQUENCE)?;
        let numbers: Option<Vec<Vec<u8>>> = parts.iter().map(|part| Some(part.unsigned()?.to_vec())).collect();
        let [version, numbers @ ..] = <[Vec<u8>; 9]>::try_from(numbers?).ok()?;
        version.is_empty().then(|| Self::Rsa(Box::new(Rsa(numbers))))
    }

    /// `PrivateKeyInfo` of PKCS #8.
    fn wrapped(bytes: &[u8]) -> Option<Self> {
        let parts = der::first(bytes)?.0.within(der::SEQUENCE)?;
        let [_, algorithm, key, ..] = parts.as_slice() else {
            return None;
        };
        let algorithm = algorithm.within(der::SEQUENCE)?;
        let key = (key.tag == der::OCTETS).then_some(key.content)?;
        match algorithm.first()?.identifier()?.as_slice() {
            kind if kind == RSA => Self::rsa(key),
            kind if kind == CURVES => Self::curve(key, algorithm.get(1)?.identifier()),
            kind if kind == ED25519 => Self::edwards(der::first(key)?.0.content),
            _ => None,
        }
    }

    /// `ECPrivateKey` of SEC 1.
    fn curve(bytes: &[u8], curve: Option<Vec<u64>>) -> Option<Self> {
        let parts = der::first(bytes)?.0.within(der::SEQUENCE)?;
        let secret = parts
            .get(1)
            .filter(|secret| secret.tag == der::OCTETS)?
            .content
            .to_vec();
        let tagged = |tag: u8| {
            parts
                .iter()
                .find(|part| part.tag == tag)?
                .within(tag)?
                .into_iter()
                .next()
        };
        let curve = curve.or_else(|| tagged(0xa0)?.identifier())?;
        let point = tagged(0xa1)?.bits()?.to_vec();
        Some(Self::Curve { curve, point, secret })
    }

    fn edwards(seed: &[u8]) -> Option<Self> {
        use aws_lc_rs::signature::KeyPair;
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        Some(Self::Edwards {
            seed: seed.to_vec(),
            public: pair.public_key().as_ref().to_vec(),
        })
    }

    pub(super) fn belongs_to(&self, public: &PublicKey) -> bool {
        match self {
            Self::Rsa(key) => public
                .rsa()
                .is_some_and(|(modulus, exponent)| modulus == key.0[0] && exponent == key.0[1]),
            Self::Curve { point, .. } => public.is(&CURVES, point),
            Self::Edwards { public: own, .. } => public.is(&ED25519, own),
        }
    }

    /// As Go's structure looks in JSON.
    pub(super) fn json(&self) -> Value {
        let made = |fields: Vec<(&str, Value)>| object(fields.into_iter().map(|(name, value)| (name.into(), value)));
        match self {
            Self::Rsa(key) => {
                let [n, e, d, p, q, dp, dq, qi] = &key.0;
                let precomputed = made(vec![
                    ("Dp", number(dp)),
                    ("Dq", number(dq)),
                    ("Qinv", number(qi)),
                    ("CRTValues", array([])),
                ]);
                made(vec![
                    ("N", number(n)),
                    ("E", number(e)),
                    ("D", number(d)),
                    ("Primes", array([number(p), number(q)])),
                    ("Precomputed", precomputed),
                ])
            }
            Self::Curve { point, secret, .. } => {
                let (x, y) = halves(point);
                made(vec![
                    ("Curve", Value::new_object()),
                    ("X", number(x)),
                    ("Y", number(y)),
                    ("D", number(secret)),
                ])
            }
            Self::Edwards { seed, public } => encoded(&[seed.as_slice(), public].concat()),
        }
    }

    /// As a JSON Web Key.
    fn web(&self) -> Value {
        let mut fields: Vec<(&str, Value)> = Vec::new();
        match self {
            Self::Rsa(key) => {
                fields.push(("kty", "RSA".into()));
                fields.extend(NAMES.iter().zip(&key.0).map(|(name, bytes)| (*name, url(bytes))));
            }
            Self::Curve { curve, point, secret } => {
                let (x, y) = halves(point);
                let name = match curve.last() {
                    Some(7) => "P-256",
                    Some(34) => "P-384",
                    _ => "P-521",
                };
                fields.extend([("kty", "EC".into()), ("crv", name.into())]);
                fields.extend([("x", url(x)), ("y", url(y)), ("d", url(secret))]);
            }
            Self::Edwards { seed, public } => {
                fields.extend([("kty", "OKP".into()), ("crv", "Ed25519".into())]);
                fields.extend([("x", url(public)), ("d", url(seed))]);
            }
        }
        object(fields.into_iter().map(|(name, value)| (name.into(), value)))
    }
}

fn halves(point: &[u8]) -> (&[u8], &[u8]) {
    point
        .get(1..)
        .map_or((&[], &[]), |point| point.split_at(point.len() / 2))
}
