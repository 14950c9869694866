//! The extensions of a certificate: usages, constraints, other names, addresses of lists and of whoever issued it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use regorus::Value;

use super::super::call::object;
use super::super::der::{self, Der};
use super::encoded;
use super::fields::{identifier, list};

/// All of them, taken apart as far as they are known.
#[derive(Default)]
pub(super) struct Extensions {
    all: Vec<Extension>,
    pub(super) usage: i64,
    /// Usages by Go's numbers, and those that have none.
    pub(super) usages: Vec<i64>,
    pub(super) unknown: Vec<Vec<u64>>,
    /// Whether it is an authority, and how many may stand below it, if it says.
    pub(super) constraints: Option<(bool, Option<i64>)>,
    pub(super) names: Names,
    pub(super) limits: Option<Limits>,
    own: Vec<u8>,
    authority: Vec<u8>,
    responders: Vec<String>,
    issuers: Vec<String>,
    lists: Vec<String>,
    policies: Vec<Vec<u64>>,
    /// Critical, and not known.
    pub(super) unhandled: Vec<Vec<u64>>,
}

struct Extension {
    id: Vec<u64>,
    critical: bool,
    value: Vec<u8>,
}

/// Names of a kind each.
#[derive(Default)]
pub(super) struct Names {
    pub(super) dns: Vec<String>,
    pub(super) emails: Vec<String>,
    pub(super) addresses: Vec<Vec<u8>>,
    pub(super) uris: Vec<String>,
}

/// The names that an authority may give, and those that it may not.
pub(super) struct Limits {
    critical: bool,
    permitted: Names,
    excluded: Names,
}

const USAGES: [(&[u64], i64); 14] = [
    (&[2, 5, 29, 37, 0], 0),
    (&[1, 3, 6, 1, 5, 5, 7, 3, 1], 1),
    (&[1, 3, 6, 1, 5, 5, 7, 3, 2], 2),
    (&[1, 3, 6, 1, 5, 5, 7, 3, 3], 3),
    (&[1, 3, 6, 1, 5, 5, 7, 3, 4], 4),
    (&[1, 3, 6, 1, 5, 5, 7, 3, 5], 5),
    (&[1, 3, 6, 1, 5, 5, 7, 3, 6], 6),
    (&[1, 3, 6, 1, 5, 5, 7, 3, 7], 7),
    (&[1, 3, 6, 1, 5, 5, 7, 3, 8], 8),
    (&[1, 3, 6, 1, 5, 5, 7, 3, 9], 9),
    (&[1, 3, 6, 1, 4, 1, 311, 10, 3, 3], 10),
    (&[2, 16, 840, 1, 113_730, 4, 1], 11),
    (&[1, 3, 6, 1, 4, 1, 311, 2, 1, 22], 12),
    (&[1, 3, 6, 1, 4, 1, 311, 61, 1, 1], 13),
];

impl Names {
    fn take(&mut self, name: &Der<'_>) {
        let text = || String::from_utf8_lossy(name.content).into_owned();
        match name.tag {
            0x81 => self.emails.push(text()),
            0x82 => self.dns.push(text()),
            0x86 => self.uris.push(text()),
            0x87 => self.addresses.push(name.content.to_vec()),
            _ => {}
        }
    }

    fn read(names: Vec<Der<'_>>) -> Self {
        let mut all = Self::default();
        names.iter().for_each(|name| all.take(name));
        all
    }
}

impl Extensions {
    pub(super) fn read(value: &Der<'_>) -> Option<Self> {
        let mut all = Self::default();
        for extension in value.within(der::SEQUENCE)? {
            let parts = extension.within(der::SEQUENCE)?;
            let (id, content) = (parts.first()?.identifier()?, parts.last()?);
            let critical = parts.len() == 3 && parts[1].content == [0xff];
            (content.tag == der::OCTETS).then_some(())?;
            let known = all.take(&id, critical, content.content)?;
            if critical && !known {
                all.unhandled.push(id.clone());
            }
            let value = content.content.to_vec();
            all.all.push(Extension { id, critical, value });
        }
        Some(all)
    }

    /// Reads one; whether it is known, or `None` where it is malformed.
    fn take(&mut self, id: &[u64], critical: bool, content: &[u8]) -> Option<bool> {
        let value = || Some(der::first(content)?.0);
        let known = match id {
            [2, 5, 29, 15] => {
                let (unused, bytes) = value()?.content.split_first()?;
                let count = bytes.len() * 8 - usize::from(*unused).min(bytes.len() * 8);
                for bit in (0..count.min(9)).filter(|bit| bytes[bit / 8] & (0x80 >> (bit % 8)) != 0) {
                    self.usage |= 1 << bit;
                }
                true
            }
            [2, 5, 29, 19] => {
                let parts = value()?.within(der::SEQUENCE)?;
                let authority = parts
                    .first()
                    .is_some_and(|part| part.tag == 1 && part.content == [0xff]);
                let most = parts.iter().find(|part| part.tag == der::INTEGER).and_then(Der::small);
                self.constraints = Some((authority, most));
                true
            }
            [2, 5, 29, 17] => {
                self.names = Names::read(value()?.within(der::SEQUENCE)?);
                let names = &self.names;
                // One that holds no name of these kinds has not been understood.
                !(names.dns.is_empty()
                    && names.emails.is_empty()
                    && names.addresses.is_empty()
                    && names.uris.is_empty())
            }
            [2, 5, 29, 30] => {
                let of = |parts: &[Der<'_>], tag: u8| -> Option<Names> {
                    let Some(found) = parts.iter().find(|part| part.tag == tag) else {
                        return Some(Names::default());
                    };
                    let bases = found
                        .within(tag)?
                        .into_iter()
                        .map(|base| base.within(der::SEQUENCE)?.into_iter().next());
                    Some(Names::read(bases.collect::<Option<Vec<Der<'_>>>>()?))
                };
                let parts = value()?.within(der::SEQUENCE)?;
                self.limits = Some(Limits {
                    critical,
                    permitted: of(&parts, 0xa0)?,
                    excluded: of(&parts, 0xa1)?,
                });
                true
            }
            [2, 5, 29, 31] => {
                for point in value()?.within(der::SEQUENCE)? {
                    let names = point.within(der::SEQUENCE)?.into_iter().find(|part| part.tag == 0xa0);
                    let names = names.and_then(|names| names.within(0xa0)?.into_iter().find(|part| part.tag == 0xa0));
                    let names = names.and_then(|names| names.within(0xa0)).unwrap_or_default();
                    self.lists.extend(Names::read(names).uris);
                }
                true
            }
            [2, 5, 29, 35] => {
                let parts = value()?.within(der::SEQUENCE)?;
                let key = parts.iter().find(|part| part.tag == 0x80);
                self.authority = key.map(|key| key.content.to_vec()).unwrap_or_default();
                true
            }
            [2, 5, 29, 37] => {
                for usage in value()?.within(der::SEQUENCE)? {
                    let id = usage.identifier()?;
                    match USAGES.iter().find(|(known, _)| *known == id) {
                        Some((_, number)) => self.usages.push(*number),
                        None => self.unknown.push(id),
                    }
                }
                true
            }
            [2, 5, 29, 14] => {
                self.own = value()?.content.to_vec();
                true
            }
            [2, 5, 29, 32] => {
                for policy in value()?.within(der::SEQUENCE)? {
                    self.policies.push(policy.within(der::SEQUENCE)?.first()?.identifier()?);
                }
                true
            }
            [1, 3, 6, 1, 5, 5, 7, 1, 1] => {
                for access in value()?.within(der::SEQUENCE)? {
                    let [method, place] = access.within(der::SEQUENCE)?.try_into().ok()?;
                    let text = String::from_utf8_lossy(place.content).into_owned();
                    match (method.identifier()?.as_slice(), place.tag) {
                        ([1, 3, 6, 1, 5, 5, 7, 48, 1], 0x86) => self.responders.push(text),
                        ([1, 3, 6, 1, 5, 5, 7, 48, 2], 0x86) => self.issuers.push(text),
                        _ => {}
                    }
                }
                true
            }
            _ => false,
        };
        Some(known)
    }

    /// The fields that Go fills from extensions.
    pub(super) fn fields(&self) -> Vec<(&'static str, Value)> {
        let texts = |all: &[String]| list(all.iter().map(|text| text.as_str().into()));
        let bytes = |all: &[u8]| if all.is_empty() { Value::Null } else { encoded(all) };
        let extensions = self.all.iter().map(|one| {
            object([
                ("Id".into(), identifier(&one.id)),
                ("Critical".into(), one.critical.into()),
                ("Value".into(), encoded(&one.value)),
            ])
        });
        let (authority, most) = match self.constraints {
            Some((authority, most)) => (authority, most.unwrap_or(-1)),
            None => (false, 0),
        };
        let none = Names::default();
        let limits = self.limits.as_ref();
        let (permitted, excluded) = limits.map_or((&none, &none), |limits| (&limits.permitted, &limits.excluded));
        let ranges = |names: &Names| list(names.addresses.iter().filter_map(|bytes| range(bytes)));
        let addresses = self.names.addresses.iter().filter_map(|bytes| address(bytes));
        vec![
            ("KeyUsage", self.usage.into()),
            ("Extensions", list(extensions)),
            ("ExtraExtensions", Value::Null),
            (
                "UnhandledCriticalExtensions",
                list(self.unhandled.iter().map(|id| identifier(id))),
            ),
            ("ExtKeyUsage", list(self.usages.iter().map(|usage| Value::from(*usage)))),
            ("UnknownExtKeyUsage", list(self.unknown.iter().map(|id| identifier(id)))),
            ("BasicConstraintsValid", self.constraints.is_some().into()),
            ("IsCA", authority.into()),
            ("MaxPathLen", most.into()),
            ("MaxPathLenZero", (self.constraints.is_some() && most == 0).into()),
            ("SubjectKeyId", bytes(&self.own)),
            ("AuthorityKeyId", bytes(&self.authority)),
            ("OCSPServer", texts(&self.responders)),
            ("IssuingCertificateURL", texts(&self.issuers)),
            ("DNSNames", texts(&self.names.dns)),
            ("EmailAddresses", texts(&self.names.emails)),
            ("IPAddresses", list(addresses.map(|address| address.to_string().into()))),
            ("URIs", list(self.names.uris.iter().map(|uri| url(uri)))),
            (
                "PermittedDNSDomainsCritical",
                limits.is_some_and(|limits| limits.critical).into(),
            ),
            ("PermittedDNSDomains", texts(&permitted.dns)),
            ("ExcludedDNSDomains", texts(&excluded.dns)),
            ("PermittedIPRanges", ranges(permitted)),
            ("ExcludedIPRanges", ranges(excluded)),
            ("PermittedEmailAddresses", texts(&permitted.emails)),
            ("ExcludedEmailAddresses", texts(&excluded.emails)),
            ("PermittedURIDomains", texts(&permitted.uris)),
            ("ExcludedURIDomains", texts(&excluded.uris)),
            ("CRLDistributionPoints", texts(&self.lists)),
            ("PolicyIdentifiers", list(self.policies.iter().map(|id| identifier(id)))),
            ("Policies", list(self.policies.iter().map(|id| dotted(id)))),
            ("InhibitAnyPolicy", 0.into()),
            ("InhibitAnyPolicyZero", false.into()),
            ("InhibitPolicyMapping", 0.into()),
            ("InhibitPolicyMappingZero", false.into()),
            ("RequireExplicitPolicy", 0.into()),
            ("RequireExplicitPolicyZero", false.into()),
            ("PolicyMappings", Value::Null),
        ]
    }
}

fn dotted(id: &[u64]) -> Value {
    let parts: Vec<String> = id.iter().map(u64::to_string).collect();
    parts.join(".").into()
}

pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))))
        .ok()
}

/// An address and its mask.
fn range(bytes: &[u8]) -> Option<Value> {
    let (ip, mask) = bytes.split_at(bytes.len() / 2);
    Some(object([
        ("IP".into(), address(ip)?.to_string().into()),
        ("Mask".into(), encoded(mask)),
    ]))
}

/// The parts of an address as Go keeps them.
fn url(text: &str) -> Value {
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (text, query) = text.split_once('?').unwrap_or((text, ""));
    let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
    let (opaque, host, path) = match rest.strip_prefix("//") {
        Some(rest) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            ("", host, path)
        }
        None if rest.starts_with('/') || scheme.is_empty() => ("", "", rest),
        None => (rest, "", ""),
    };
    object(
        [
            ("Scheme", scheme.to_ascii_lowercase().into()),
            ("Opaque", opaque.into()),
            ("User", Value::Null),
            ("Host", host.into()),
            ("Path", path.into()),
            ("RawPath", "".into()),
            ("OmitHost", false.into()),
            ("ForceQuery", false.into()),
            ("RawQuery", query.into()),
            ("Fragment", fragment.into()),
            ("RawFragment", "".into()),
        ]
        .map(|(name, value)| (Value::from(name), value)),
    )
}
