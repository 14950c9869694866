//! Certificates and requests, field by field, by the names that Go gives them.

use regorus::Value;

use super::super::call::{array, object};
use super::super::der::{self, Der};
use super::extensions::Extensions;
use super::{Algorithm, CURVES, Certificate, ED25519, Name, PublicKey, RSA, encoded, number};

/// An object identifier as a list of numbers.
pub(super) fn identifier(parts: &[u64]) -> Value {
    array(parts.iter().map(|part| Value::from(*part)))
}

/// A list, or null where it is empty.
pub(super) fn list(items: impl IntoIterator<Item = Value>) -> Value {
    let items: Vec<Value> = items.into_iter().collect();
    if items.is_empty() { Value::Null } else { array(items) }
}

type Fields = Vec<(&'static str, Value)>;

fn made(fields: Fields) -> Value {
    object(fields.into_iter().map(|(name, value)| (name.into(), value)))
}

impl Certificate {
    pub(super) fn json(&self) -> Value {
        made(self.fields())
    }

    /// With OPA's own field of addresses as text.
    pub(super) fn extended(&self) -> Value {
        let mut fields = self.fields();
        let texts = list(self.extensions.names.uris.iter().map(|uri| uri.as_str().into()));
        fields.push(("URIStrings", texts));
        made(fields)
    }

    fn fields(&self) -> Fields {
        let mut fields = vec![
            ("Raw", encoded(&self.raw)),
            ("RawTBSCertificate", encoded(&self.signed)),
            ("RawSubjectPublicKeyInfo", encoded(&self.key.raw)),
            ("RawSubject", encoded(&self.subject.raw)),
            ("RawIssuer", encoded(&self.issuer.raw)),
            ("Signature", encoded(&self.signature)),
            ("SignatureAlgorithm", self.algorithm.number().into()),
            ("PublicKeyAlgorithm", self.key.number().into()),
            ("PublicKey", self.key.json()),
            ("Version", self.version.into()),
            ("SerialNumber", serial(&self.serial)),
            ("Issuer", self.issuer.json()),
            ("Subject", self.subject.json()),
            ("NotBefore", super::super::clock::shown(self.begins).into()),
            ("NotAfter", super::super::clock::shown(self.ends).into()),
        ];
        fields.extend(self.extensions.fields());
        fields
    }
}

/// A serial number, which old certificates may have below zero.
fn serial(bytes: &[u8]) -> Value {
    match bytes.first() {
        Some(first) if *first >= 0x80 => {
            let mut carry = true;
            let mut positive: Vec<u8> = bytes
                .iter()
                .rev()
                .map(|byte| {
                    let (sum, over) = (!byte).overflowing_add(u8::from(carry));
                    carry = over;
                    sum
                })
                .collect();
            positive.reverse();
            Value::from_numeric_string(&format!("-{}", der::decimal(&positive))).unwrap_or(Value::Null)
        }
        _ => number(bytes),
    }
}

impl Name {
    fn json(&self) -> Value {
        let of = |last: u64| {
            self.parts
                .iter()
                .filter(move |(kind, _)| *kind == [2, 5, 4, last])
                .map(|(_, text)| text.as_str())
        };
        let many = |last: u64| list(of(last).map(Value::from));
        let one = |last: u64| Value::from(of(last).next_back().unwrap_or_default());
        let names = self
            .parts
            .iter()
            .map(|(kind, text)| made(vec![("Type", identifier(kind)), ("Value", text.as_str().into())]));
        made(vec![
            ("Country", many(6)),
            ("Organization", many(10)),
            ("OrganizationalUnit", many(11)),
            ("Locality", many(7)),
            ("Province", many(8)),
            ("StreetAddress", many(9)),
            ("PostalCode", many(17)),
            ("SerialNumber", one(5)),
            ("CommonName", one(3)),
            ("Names", list(names)),
            ("ExtraNames", Value::Null),
        ])
    }
}

impl PublicKey {
    fn number(&self) -> i64 {
        match self.kind.as_slice() {
            kind if kind == RSA => 1,
            [1, 2, 840, 10_040, 4, 1] => 2,
            kind if kind == CURVES => 3,
            kind if kind == ED25519 => 4,
            _ => 0,
        }
    }

    pub(super) fn json(&self) -> Value {
        match self.number() {
            1 => match self.rsa() {
                Some((modulus, exponent)) => made(vec![("N", number(&modulus)), ("E", number(&exponent))]),
                None => Value::Null,
            },
            3 => {
                let (x, y) = self
                    .bits
                    .get(1..)
                    .map_or((&[][..], &[][..]), |point| point.split_at(point.len() / 2));
                made(vec![("Curve", Value::new_object()), ("X", number(x)), ("Y", number(y))])
            }
            4 => encoded(&self.bits),
            _ => Value::Null,
        }
    }
}

impl Algorithm {
    /// Go's number of it.
    fn number(&self) -> i64 {
        match self.identifier.as_slice() {
            [1, 2, 840, 113_549, 1, 1, 2] => 1,
            [1, 2, 840, 113_549, 1, 1, 4] => 2,
            [1, 2, 840, 113_549, 1, 1, 5] | [1, 3, 14, 3, 2, 29] => 3,
            [1, 2, 840, 113_549, 1, 1, 11] => 4,
            [1, 2, 840, 113_549, 1, 1, 12] => 5,
            [1, 2, 840, 113_549, 1, 1, 13] => 6,
            [1, 2, 840, 10_040, 4, 3] => 7,
            [2, 16, 840, 1, 101, 3, 4, 3, 2] => 8,
            [1, 2, 840, 10_045, 4, 1] => 9,
            [1, 2, 840, 10_045, 4, 3, 2] => 10,
            [1, 2, 840, 10_045, 4, 3, 3] => 11,
            [1, 2, 840, 10_045, 4, 3, 4] => 12,
            [1, 2, 840, 113_549, 1, 1, 10] => match self.digest.as_deref() {
                Some([2, 16, 840, 1, 101, 3, 4, 2, 1]) => 13,
                Some([2, 16, 840, 1, 101, 3, 4, 2, 2]) => 14,
                Some([2, 16, 840, 1, 101, 3, 4, 2, 3]) => 15,
                _ => 0,
            },
            kind if kind == ED25519 => 16,
            _ => 0,
        }
    }
}

/// A request for a certificate, if these bytes are one.
pub(super) fn request(bytes: &[u8]) -> Option<Value> {
    let (value, rest) = der::first(bytes)?;
    let [signed, algorithm, signature] = value.within(der::SEQUENCE)?.try_into().ok()?;
    let fields = signed.within(der::SEQUENCE)?;
    let [version, subject, key, attributes @ ..] = fields.as_slice() else {
        return None;
    };
    let (subject, key) = (Name::read(subject)?, PublicKey::read(key)?);
    let attributes = attributes.iter().find(|field| field.tag == 0xa0);
    let attributes = attributes.map_or(Some(Vec::new()), |attributes| attributes.within(0xa0))?;
    let asked = attributes.iter().find_map(|attribute| {
        let parts = attribute.within(der::SEQUENCE)?;
        let wanted = parts.first()?.identifier()? == [1, 2, 840, 113_549, 1, 9, 14];
        wanted
            .then(|| Extensions::read(parts.get(1)?.within(der::SET)?.first()?))
            .flatten()
    });
    let extensions = asked.unwrap_or_default();
    let algorithm = Algorithm::read(&algorithm)?;
    let kept = [
        "Extensions",
        "ExtraExtensions",
        "DNSNames",
        "EmailAddresses",
        "IPAddresses",
        "URIs",
    ];
    let mut shown = vec![
        ("Raw", encoded(value.whole)),
        ("RawTBSCertificateRequest", encoded(signed.whole)),
        ("RawSubjectPublicKeyInfo", encoded(&key.raw)),
        ("RawSubject", encoded(&subject.raw)),
        ("Version", version.small()?.into()),
        ("Signature", encoded(signature.bits()?)),
        ("SignatureAlgorithm", algorithm.number().into()),
        ("PublicKeyAlgorithm", key.number().into()),
        ("PublicKey", key.json()),
        ("Subject", subject.json()),
        ("Attributes", list(attributes.iter().filter_map(attribute))),
    ];
    shown.extend(extensions.fields().into_iter().filter(|(name, _)| kept.contains(name)));
    rest.is_empty().then(|| made(shown))
}

/// An attribute of a request that is a set of types and values.
fn attribute(attribute: &Der<'_>) -> Option<Value> {
    let [kind, values] = attribute.within(der::SEQUENCE)?.try_into().ok()?;
    let mut sets = Vec::new();
    for set in values.within(der::SET)? {
        let pairs = set.within(der::SEQUENCE)?.into_iter().map(|pair| {
            let [kind, value] = pair.within(der::SEQUENCE)?.try_into().ok()?;
            let value = value.text().map_or_else(|| encoded(value.content), Value::from);
            Some(made(vec![("Type", identifier(&kind.identifier()?)), ("Value", value)]))
        });
        sets.push(array(pairs.collect::<Option<Vec<Value>>>()?));
    }
    Some(made(vec![
        ("Type", identifier(&kind.identifier()?)),
        ("Value", array(sets)),
    ]))
}
