//! Public keys as tokens are checked by: PEM certificates and keys, JSON Web Keys and sets of them.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use hmac::Hmac;
use regorus::Value;

use super::Failure;
use super::decoded::{URL, base64_bytes};
use super::der::{self, integer, sequence};
use super::hashes::authenticate;

/// A key, and what its set says of it.
pub(super) struct Key {
    material: Material,
    pub(super) algorithm: Option<String>,
    pub(super) id: Option<String>,
}

enum Material {
    /// `RSAPublicKey` of PKCS #1.
    Rsa(Vec<u8>),
    /// A curve by the length of its coordinates, and the uncompressed point.
    Curve(usize, Vec<u8>),
    Edwards(Vec<u8>),
    Secret(Vec<u8>),
}

pub(super) const ALGORITHMS: [&str; 13] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "HS384", "HS512", "EdDSA",
];

impl Key {
    /// A shared secret.
    pub(super) fn secret(bytes: &[u8]) -> Self {
        Self {
            material: Material::Secret(bytes.to_vec()),
            algorithm: None,
            id: None,
        }
    }

    /// Whether a signature is this key's, over the message, by the algorithm.
    pub(super) fn verifies(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(secret) => code(algorithm, secret, message).is_some_and(|code| code == signature),
            Material::Rsa(bytes) => rsa(algorithm).is_some_and(|with| verifies(with, bytes, message, signature)),
            Material::Curve(length, point) => {
                let with: Option<&'static dyn VerificationAlgorithm> = match (algorithm, length) {
                    ("ES256", 32) => Some(&signature::ECDSA_P256_SHA256_FIXED),
                    ("ES384", 48) => Some(&signature::ECDSA_P384_SHA384_FIXED),
                    ("ES512", 66) => Some(&signature::ECDSA_P521_SHA512_FIXED),
                    _ => None,
                };
                with.is_some_and(|with| verifies(with, point, message, signature))
            }
            Material::Edwards(bytes) => {
                algorithm == "EdDSA" && verifies(&signature::ED25519, bytes, message, signature)
            }
        }
    }

    /// The code of a message under a shared secret; `None` for other keys and algorithms.
    pub(super) fn code(&self, algorithm: &str, message: &[u8]) -> Option<Vec<u8>> {
        match &self.material {
            Material::Secret(secret) => code(algorithm, secret, message),
            _ => None,
        }
    }
}

fn verifies(with: &'static dyn VerificationAlgorithm, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(with, key).verify(message, signature).is_ok()
}

fn rsa(algorithm: &str) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
        "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
        "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn code(algorithm: &str, secret: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    match algorithm {
        "HS256" => authenticate::<Hmac<sha2::Sha256>>(secret, message).ok(),
        "HS384" => authenticate::<Hmac<sha2::Sha384>>(secret, message).ok(),
        "HS512" => authenticate::<Hmac<sha2::Sha512>>(secret, message).ok(),
        _ => None,
    }
}

/// The keys of a PEM block or of a JSON Web Key (set).
pub(super) fn read(text: &str) -> Result<Vec<Key>, Failure> {
    if let Some(begin) = text.find("-----BEGIN ") {
        return pem(&text[begin..]).map(|material| {
            vec![Key {
                material,
                algorithm: None,
                id: None,
            }]
        });
    }
    let document = Value::from_json_str(text).map_err(|_| "failed to parse a JWK key (set)")?;
    web_keys(&document)
}

/// The keys of a JSON Web Key or a set of them; one of an algorithm that is not known is passed over.
pub(super) fn web_keys(document: &Value) -> Result<Vec<Key>, Failure> {
    let list = match &document["keys"] {
        Value::Array(keys) => keys.to_vec(),
        _ => vec![document.clone()],
    };
    let mut keys = Vec::new();
    for key in &list {
        let text = |name: &str| key[name].as_string().ok().map(|text| text.to_string());
        let bytes = |name: &str| -> Result<Vec<u8>, Failure> {
            let text = text(name).ok_or_else(|| format!("failed to parse a JWK key (set): {name} is missing"))?;
            base64_bytes(&URL, &text)
        };
        let algorithm = text("alg");
        if algorithm
            .as_ref()
            .is_some_and(|name| !ALGORITHMS.contains(&name.as_str()))
        {
            continue;
        }
        let material = match text("kty").as_deref() {
            Some("RSA") => Material::Rsa(sequence(&[integer(&bytes("n")?), integer(&bytes("e")?)])),
            Some("EC") => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                Material::Curve(x.len(), [vec![4], x, y].concat())
            }
            Some("OKP") => Material::Edwards(bytes("x")?),
            Some("oct") => Material::Secret(bytes("k")?),
            _ => return Err("failed to parse a JWK key (set): its kty is missing or not known".into()),
        };
        keys.push(Key {
            material,
            algorithm,
            id: text("kid"),
        });
    }
    Ok(keys)
}

fn pem(text: &str) -> Result<Material, Failure> {
    let wrong = || Failure::from("failed to extract a Key from the PEM certificate");
    let (label, rest) = text["-----BEGIN ".len()..].split_once("-----").ok_or_else(wrong)?;
    let (body, rest) = rest.split_once(&format!("-----END {label}-----")).ok_or_else(wrong)?;
    if !rest.trim_start_matches(['\r', '\n']).is_empty() {
        return Err("extra data after a PEM certificate block".into());
    }
    let body: String = body.chars().filter(|letter| !letter.is_whitespace()).collect();
    let bytes = base64_bytes(&super::decoded::STANDARD, &body).map_err(|_| wrong())?;
    let key = match label {
        "CERTIFICATE" => certificate_key(&bytes).ok_or("failed to parse a PEM certificate")?,
        "PUBLIC KEY" => &bytes,
        _ => return Err(wrong()),
    };
    public_key(key).ok_or_else(|| "failed to parse a PEM public key".into())
}

/// The `SubjectPublicKeyInfo` of a certificate.
fn certificate_key(bytes: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = der::first(bytes)?;
    let fields = certificate.within(der::SEQUENCE)?.first()?.within(der::SEQUENCE)?;
    // Serial number, signature algorithm, issuer, validity, subject; in front of them the version, if it is told.
    let before = if fields.first()?.tag == 0xa0 { 6 } else { 5 };
    fields.get(before).map(|key| key.whole)
}

fn public_key(bytes: &[u8]) -> Option<Material> {
    let (info, _) = der::first(bytes)?;
    let [algorithm, key] = info.within(der::SEQUENCE)?.try_into().ok()?;
    let algorithm = algorithm.within(der::SEQUENCE)?;
    let name = algorithm.first()?.content;
    let curve = algorithm.get(1).map(|curve| curve.content);
    let key = key.bits()?.to_vec();
    match (name, curve) {
        ([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1], _) => Some(Material::Rsa(key)),
        ([0x2b, 0x65, 0x70], _) => Some(Material::Edwards(key)),
        ([0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1], Some([0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7])) => {
            Some(Material::Curve(32, key))
        }
        ([0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1], Some([0x2b, 0x81, 4, 0, 0x22])) => Some(Material::Curve(48, key)),
        ([0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1], Some([0x2b, 0x81, 4, 0, 0x23])) => Some(Material::Curve(66, key)),
        _ => None,
    }
}
