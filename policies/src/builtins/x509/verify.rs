//! Chains: the first certificate is trusted, the last one is proven by it, and those between may stand between.
//!
//! As Go proves them: names, signatures, times, authority and its depth, usages, and the name of a host if one is asked for. Where an
//! authority limits the names that it may give, nothing is said: that call halts.

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use regorus::Value;

use super::super::Failure;
use super::super::call::whole;
use super::{CURVES, Certificate, ED25519, RSA, extensions};

/// What is demanded beside a chain.
pub(super) struct Options {
    host: String,
    /// Seconds since 1970, if not now.
    time: Option<i64>,
    usages: Vec<i64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: String::new(),
            time: None,
            usages: vec![SERVER],
        }
    }
}

const ANY: i64 = 0;
const SERVER: i64 = 1;
const USAGES: [&str; 14] = [
    "KeyUsageAny",
    "KeyUsageServerAuth",
    "KeyUsageClientAuth",
    "KeyUsageCodeSigning",
    "KeyUsageEmailProtection",
    "KeyUsageIPSECEndSystem",
    "KeyUsageIPSECTunnel",
    "KeyUsageIPSECUser",
    "KeyUsageTimeStamping",
    "KeyUsageOCSPSigning",
    "KeyUsageMicrosoftServerGatedCrypto",
    "KeyUsageNetscapeServerGatedCrypto",
    "KeyUsageMicrosoftCommercialCodeSigning",
    "KeyUsageMicrosoftKernelCodeSigning",
];

impl Options {
    pub(super) fn of(fields: &regorus::value::Object) -> Result<Self, Failure> {
        let mut options = Self::default();
        for (key, value) in fields.iter_sorted() {
            let Value::String(key) = key else { continue };
            match (key.as_ref(), value) {
                ("DNSName", Value::String(host)) => options.host = host.trim_matches('"').to_owned(),
                ("DNSName", _) => return Err("'DNSName' should be a string".into()),
                ("CurrentTime", Value::Number(_)) => {
                    let nanos = whole(value).ok_or("'CurrentTime' should be a valid int64 number")?;
                    options.time = Some(nanos.div_euclid(1_000_000_000));
                }
                ("CurrentTime", _) => return Err("'CurrentTime' should be a number".into()),
                ("MaxConstraintComparisons", Value::Number(_)) => {
                    whole(value).ok_or("'MaxConstraintComparisons' should be a valid number")?;
                }
                ("MaxConstraintComparisons", _) => return Err("'MaxConstraintComparisons' should be a number".into()),
                ("KeyUsages", value) => options.usages = usages(value)?,
                _ => return Err("invalid key option".into()),
            }
        }
        Ok(options)
    }
}

fn usages(value: &Value) -> Result<Vec<i64>, Failure> {
    let items: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Set(items) => items.iter_sorted().collect(),
        _ => return Err("'KeyUsages' should be an Array or Set".into()),
    };
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for item in items {
        let Value::String(name) = item else { continue };
        let name = name.trim_matches('"');
        match USAGES.iter().position(|usage| *usage == name) {
            Some(place) => found.push(i64::try_from(place).unwrap_or(ANY)),
            None => wrong.push(name),
        }
    }
    match (wrong.is_empty(), found.is_empty()) {
        (false, _) => Err(format!("invalid entries for 'KeyUsages' found: [{}]", wrong.join(" ")).into()),
        (true, true) => Ok(vec![SERVER]),
        (true, false) => Ok(found),
    }
}

/// The chain from the last certificate to the first; `None` where there is none that holds.
pub(super) fn chain<'a>(
    all: &'a [Certificate],
    options: &Options,
    clock_ns: i64,
) -> Result<Option<Vec<&'a Certificate>>, Failure> {
    let [root, between @ .., leaf] = all else {
        return Ok(None);
    };
    let now = options.time.unwrap_or(clock_ns.div_euclid(1_000_000_000));
    if !valid(leaf, now) || !(options.host.is_empty() || is_host(leaf, &options.host)) {
        return Ok(None);
    }
    let mut chain = vec![leaf];
    if leaf.raw == root.raw {
        return Ok(fits(&chain, &options.usages).then_some(chain));
    }
    let found = issued(&mut chain, root, between, now, &options.usages);
    if found && chain.iter().any(|one| one.extensions.limits.is_some()) {
        let why = "limits on the names of a chain are not checked by this version; replace it with `with`";
        return Err(Failure::Halt(why.to_owned()));
    }
    Ok(found.then_some(chain))
}

/// Goes on from a chain to the root.
fn issued<'a>(
    chain: &mut Vec<&'a Certificate>,
    root: &'a Certificate,
    between: &'a [Certificate],
    now: i64,
    usages: &[i64],
) -> bool {
    let Some(last) = chain.last().copied() else {
        return false;
    };
    for issuer in std::iter::once(root).chain(between) {
        let known = chain.iter().any(|one| one.raw == issuer.raw);
        if known || issuer.subject.raw != last.issuer.raw || !valid(issuer, now) {
            continue;
        }
        if !may_issue(issuer, chain.len() - 1) || !signed(last, issuer) {
            continue;
        }
        chain.push(issuer);
        let whole = issuer.raw == root.raw && fits(chain, usages);
        if whole || (issuer.raw != root.raw && issued(chain, root, between, now, usages)) {
            return true;
        }
        chain.pop();
    }
    false
}

fn valid(one: &Certificate, now: i64) -> bool {
    one.extensions.unhandled.is_empty() && (one.begins..=one.ends).contains(&now)
}

/// Whether it is an authority with at most so many others below it.
fn may_issue(issuer: &Certificate, below: usize) -> bool {
    let authority = match issuer.extensions.constraints {
        Some((authority, most)) => {
            authority && most.is_none_or(|most| i64::try_from(below).is_ok_and(|below| below <= most))
        }
        None => issuer.version != 3,
    };
    authority && (issuer.extensions.usage == 0 || issuer.extensions.usage & 32 != 0)
}

/// Whether one usage is allowed by every certificate of the chain that names any.
fn fits(chain: &[&Certificate], usages: &[i64]) -> bool {
    usages.contains(&ANY)
        || usages.iter().any(|usage| {
            chain.iter().all(|one| {
                let named = &one.extensions.usages;
                let free = named.is_empty() && one.extensions.unknown.is_empty();
                free || named.contains(&ANY) || named.contains(usage)
            })
        })
}

fn signed(one: &Certificate, issuer: &Certificate) -> bool {
    let key = &issuer.key;
    let bytes = key.bits.as_slice();
    let identifier = one.algorithm.identifier.as_slice();
    let with: Option<&'static dyn VerificationAlgorithm> = match (key.kind.as_slice(), identifier) {
        (kind, [1, 2, 840, 113_549, 1, 1, 11]) if kind == RSA => {
            Some(&signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY)
        }
        (kind, [1, 2, 840, 113_549, 1, 1, 12]) if kind == RSA => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        (kind, [1, 2, 840, 113_549, 1, 1, 13]) if kind == RSA => {
            Some(&signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY)
        }
        (kind, [1, 2, 840, 113_549, 1, 1, 10]) if kind == RSA => match one.algorithm.digest.as_deref() {
            Some([2, 16, 840, 1, 101, 3, 4, 2, 1]) => Some(&signature::RSA_PSS_2048_8192_SHA256),
            Some([2, 16, 840, 1, 101, 3, 4, 2, 2]) => Some(&signature::RSA_PSS_2048_8192_SHA384),
            Some([2, 16, 840, 1, 101, 3, 4, 2, 3]) => Some(&signature::RSA_PSS_2048_8192_SHA512),
            _ => None,
        },
        (kind, [1, 2, 840, 10_045, 4, 3, digest]) if kind == CURVES => match (key.curve.as_slice(), digest) {
            (P256, 2) => Some(&signature::ECDSA_P256_SHA256_ASN1),
            (P256, 3) => Some(&signature::ECDSA_P256_SHA384_ASN1),
            (P256, 4) => Some(&signature::ECDSA_P256_SHA512_ASN1),
            (P384, 2) => Some(&signature::ECDSA_P384_SHA256_ASN1),
            (P384, 3) => Some(&signature::ECDSA_P384_SHA384_ASN1),
            (P384, 4) => Some(&signature::ECDSA_P384_SHA512_ASN1),
            (P521, 2) => Some(&signature::ECDSA_P521_SHA256_ASN1),
            (P521, 3) => Some(&signature::ECDSA_P521_SHA384_ASN1),
            (P521, 4) => Some(&signature::ECDSA_P521_SHA512_ASN1),
            _ => None,
        },
        (kind, identifier) if kind == ED25519 && identifier == ED25519 => Some(&signature::ED25519),
        _ => None,
    };
    with.is_some_and(|with| {
        UnparsedPublicKey::new(with, bytes)
            .verify(&one.signed, &one.signature)
            .is_ok()
    })
}

const P256: &[u64] = &[1, 2, 840, 10_045, 3, 1, 7];
const P384: &[u64] = &[1, 3, 132, 0, 34];
const P521: &[u64] = &[1, 3, 132, 0, 35];

/// Whether a certificate is for a host: one of its addresses, or a name with at most a star at the front.
fn is_host(one: &Certificate, host: &str) -> bool {
    let names = &one.extensions.names;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(address) = bare.parse::<std::net::IpAddr>() {
        return names
            .addresses
            .iter()
            .any(|bytes| extensions::address(bytes) == Some(address));
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    names.dns.iter().any(|name| {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        match name.strip_prefix("*.") {
            Some(rest) => host
                .split_once('.')
                .is_some_and(|(first, behind)| !first.is_empty() && behind == rest),
            None => !name.is_empty() && name == host,
        }
    })
}
