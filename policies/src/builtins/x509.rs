//! `crypto.x509.*`: certificates and requests as Go's structures look in JSON, and chains that are proven.

mod extensions;
mod fields;
mod verify;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use regorus::Value;

use super::call::{Call, Outcome, array, object};
use super::decoded::{STANDARD, base64_bytes};
use super::der::{self, Der};
use super::private;
use super::{Failure, Family};
use extensions::Extensions;

pub(super) const FAMILY: Family = &[
    ("crypto.x509.parse_certificates", |call| {
        Ok(array(certificates(call.string(0)?)?.iter().map(Certificate::extended)))
    }),
    ("crypto.x509.parse_and_verify_certificates", |call| {
        verified(call, &verify::Options::default(), Certificate::extended)
    }),
    ("crypto.x509.parse_and_verify_certificates_with_options", |call| {
        let options = verify::Options::of(call.object(1)?)?;
        verified(call, &options, Certificate::json)
    }),
    ("crypto.x509.parse_certificate_request", request),
    ("crypto.x509.parse_keypair", keypair),
];

/// A certificate, taken apart.
pub(super) struct Certificate {
    raw: Vec<u8>,
    signed: Vec<u8>,
    serial: Vec<u8>,
    version: i64,
    issuer: Name,
    subject: Name,
    begins: i64,
    ends: i64,
    key: PublicKey,
    algorithm: Algorithm,
    signature: Vec<u8>,
    extensions: Extensions,
}

/// A distinguished name and its bytes.
struct Name {
    raw: Vec<u8>,
    /// Types and values in order.
    parts: Vec<(Vec<u64>, String)>,
}

/// `SubjectPublicKeyInfo`.
pub(super) struct PublicKey {
    raw: Vec<u8>,
    kind: Vec<u64>,
    curve: Vec<u64>,
    bits: Vec<u8>,
}

/// How something is signed.
struct Algorithm {
    identifier: Vec<u64>,
    /// The digest of a signature of RSA with PSS.
    digest: Option<Vec<u64>>,
}

pub(super) fn encoded(bytes: &[u8]) -> Value {
    BASE64_STANDARD.encode(bytes).into()
}

/// A whole number of any size.
pub(super) fn number(bytes: &[u8]) -> Value {
    Value::from_numeric_string(&der::decimal(bytes)).unwrap_or(Value::Null)
}

fn malformed(what: &str) -> Failure {
    Failure::Error(format!("x509: malformed {what}"))
}

/// The certificates of a text: PEM, or DER in base64, or PEM in base64.
fn certificates(text: &str) -> Result<Vec<Certificate>, Failure> {
    let blocks = |text: &str| -> Result<Vec<u8>, Failure> {
        let mut all = Vec::new();
        for (label, bytes) in der::pem(text) {
            if label != "CERTIFICATE" {
                return Err(format!("PEM block type is '{label}', expected CERTIFICATE").into());
            }
            all.extend(bytes);
        }
        Ok(all)
    };
    let bytes = match text.starts_with("-----BEGIN") {
        true => blocks(text)?,
        false => {
            let bytes = base64_bytes(&STANDARD, text)?;
            match bytes.starts_with(b"-----BEGIN") {
                true => blocks(&String::from_utf8_lossy(&bytes))?,
                false => bytes,
            }
        }
    };
    let values = der::all(&bytes).ok_or_else(|| malformed("certificate"))?;
    values.iter().map(Certificate::parse).collect()
}

fn verified(call: &Call<'_>, options: &verify::Options, shown: fn(&Certificate) -> Value) -> Outcome {
    let none = || array([false.into(), array([])]);
    let Ok(all) = certificates(call.string(0)?) else {
        return Ok(none());
    };
    Ok(match verify::chain(&all, options, call.clock_ns)? {
        Some(chain) => array([true.into(), array(chain.into_iter().map(shown))]),
        None => none(),
    })
}

impl Certificate {
    fn parse(value: &Der<'_>) -> Result<Self, Failure> {
        Self::read(value).ok_or_else(|| malformed("certificate"))
    }

    fn read(value: &Der<'_>) -> Option<Self> {
        let [signed, algorithm, signature] = value.within(der::SEQUENCE)?.try_into().ok()?;
        let mut fields = signed.within(der::SEQUENCE)?.into_iter().peekable();
        let version = match fields.next_if(|field| field.tag == 0xa0) {
            Some(version) => version.within(0xa0)?.first()?.small()? + 1,
            None => 1,
        };
        let serial = fields
            .next()
            .filter(|serial| serial.tag == der::INTEGER)?
            .content
            .to_vec();
        fields.next()?;
        let issuer = Name::read(&fields.next()?)?;
        let [begins, ends] = fields.next()?.within(der::SEQUENCE)?.try_into().ok()?;
        let subject = Name::read(&fields.next()?)?;
        let key = PublicKey::read(&fields.next()?)?;
        let extensions = fields.find(|field| field.tag == 0xa3);
        let extensions = match extensions {
            Some(extensions) => Extensions::read(extensions.within(0xa3)?.first()?)?,
            None => Extensions::default(),
        };
        Some(Self {
            raw: value.whole.to_vec(),
            signed: signed.whole.to_vec(),
            serial,
            version,
            issuer,
            subject,
            begins: moment(&begins)?,
            ends: moment(&ends)?,
            key,
            algorithm: Algorithm::read(&algorithm)?,
            signature: signature.bits()?.to_vec(),
            extensions,
        })
    }
}

impl Name {
    fn read(value: &Der<'_>) -> Option<Self> {
        let mut parts = Vec::new();
        for set in value.within(der::SEQUENCE)? {
            for part in set.within(der::SET)? {
                let [kind, text] = part.within(der::SEQUENCE)?.try_into().ok()?;
                parts.push((kind.identifier()?, text.text()?));
            }
        }
        let raw = value.whole.to_vec();
        Some(Self { raw, parts })
    }
}

impl PublicKey {
    fn read(value: &Der<'_>) -> Option<Self> {
        let [algorithm, bits] = value.within(der::SEQUENCE)?.try_into().ok()?;
        let algorithm = algorithm.within(der::SEQUENCE)?;
        let curve = algorithm.get(1).filter(|curve| curve.tag == der::OID);
        Some(Self {
            raw: value.whole.to_vec(),
            kind: algorithm.first()?.identifier()?,
            curve: curve.and_then(Der::identifier).unwrap_or_default(),
            bits: bits.bits()?.to_vec(),
        })
    }

    /// Whether it is of this kind and these bytes.
    pub(super) fn is(&self, kind: &[u64], bytes: &[u8]) -> bool {
        self.kind == kind && self.bits == bytes
    }

    /// The modulus and the exponent of a key of RSA.
    pub(super) fn rsa(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        (self.kind == RSA).then_some(())?;
        let [modulus, exponent] = der::first(&self.bits)?.0.within(der::SEQUENCE)?.try_into().ok()?;
        Some((modulus.unsigned()?.to_vec(), exponent.unsigned()?.to_vec()))
    }
}

pub(super) const RSA: [u64; 7] = [1, 2, 840, 113_549, 1, 1, 1];
pub(super) const CURVES: [u64; 6] = [1, 2, 840, 10_045, 2, 1];
pub(super) const ED25519: [u64; 4] = [1, 3, 101, 112];
const PSS: [u64; 7] = [1, 2, 840, 113_549, 1, 1, 10];

impl Algorithm {
    fn read(value: &Der<'_>) -> Option<Self> {
        let parts = value.within(der::SEQUENCE)?;
        let identifier = parts.first()?.identifier()?;
        let digest = || {
            let hash = parts
                .get(1)?
                .within(der::SEQUENCE)?
                .into_iter()
                .find(|field| field.tag == 0xa0)?;
            let hash = hash.within(0xa0)?.first()?.within(der::SEQUENCE)?;
            hash.first()?.identifier()
        };
        let digest = if identifier == PSS { digest() } else { None };
        Some(Self { identifier, digest })
    }
}

/// Seconds since 1970 of a time as certificates have it.
fn moment(value: &Der<'_>) -> Option<i64> {
    let text = std::str::from_utf8(value.content).ok()?;
    let (layout, text) = match value.tag {
        // Years from 1950 on, in two digits.
        0x17 => {
            let century = if text.get(..2)?.parse::<u8>().ok()? >= 50 {
                "19"
            } else {
                "20"
            };
            ("20060102150405Z0700", format!("{century}{text}"))
        }
        0x18 => ("20060102150405Z0700", text.to_owned()),
        _ => return None,
    };
    super::clock::seconds(layout, &text)
}

fn request(call: &mut Call<'_>) -> Outcome {
    let text = call.string(0)?;
    let bytes = match text.starts_with("-----BEGIN CERTIFICATE REQUEST-----") {
        true => text.as_bytes().to_vec(),
        false => base64_bytes(&STANDARD, text)?,
    };
    let blocks = der::pem(&String::from_utf8_lossy(&bytes));
    let bytes = match blocks.into_iter().next() {
        Some((label, _)) if label != "CERTIFICATE REQUEST" => {
            return Err("invalid PEM-encoded certificate signing request".into());
        }
        Some((_, bytes)) => bytes,
        None => bytes,
    };
    fields::request(&bytes).ok_or_else(|| "asn1: structure error: malformed certificate request".into())
}

fn keypair(call: &mut Call<'_>) -> Outcome {
    let bytes = |text: &str| -> Result<Vec<u8>, Failure> {
        match text.starts_with("-----BEGIN ") {
            true => Ok(text.as_bytes().to_vec()),
            false => base64_bytes(&STANDARD, text),
        }
    };
    let blocks = |bytes: Vec<u8>, label: &str| match bytes.starts_with(b"-----BEGIN ") {
        true => der::pem(&String::from_utf8_lossy(&bytes)),
        false => vec![(label.to_owned(), bytes)],
    };
    let chain = blocks(bytes(call.string(0)?)?, "CERTIFICATE");
    let chain: Vec<Vec<u8>> = chain
        .into_iter()
        .filter(|(label, _)| label == "CERTIFICATE")
        .map(|(_, bytes)| bytes)
        .collect();
    let leaf = chain
        .first()
        .ok_or("tls: failed to find any PEM data in certificate input")?;
    let leaf = der::first(leaf).ok_or_else(|| malformed("certificate"))?.0;
    let leaf = Certificate::parse(&leaf)?;
    let keys = blocks(bytes(call.string(1)?)?, "PRIVATE KEY");
    let key = keys
        .iter()
        .find(|(label, _)| label == "PRIVATE KEY" || label.ends_with(" PRIVATE KEY"));
    let (_, key) = key.ok_or("tls: failed to find any PEM data in key input")?;
    let key = private::PrivateKey::parse(key).ok_or("tls: failed to parse private key")?;
    if !key.belongs_to(&leaf.key) {
        return Err("tls: private key does not match public key".into());
    }
    Ok(object([
        ("Certificate".into(), array(chain.iter().map(|bytes| encoded(bytes)))),
        ("PrivateKey".into(), key.json()),
        ("SupportedSignatureAlgorithms".into(), Value::Null),
        ("OCSPStaple".into(), Value::Null),
        ("SignedCertificateTimestamps".into(), Value::Null),
        ("Leaf".into(), leaf.json()),
    ]))
}

#[cfg(test)]
mod tests;
