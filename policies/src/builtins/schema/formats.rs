//! `format`: whether a text is a date, an address or another thing of that name. Other names demand nothing.

use std::net::IpAddr;

use super::super::call::compile;

const HOSTNAME: &str = r"^([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9\-]{0,61}[a-zA-Z0-9])(\.([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9\-]{0,61}[a-zA-Z0-9]))*$";
const UUID: &str = "^(?i)[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}$";
const POINTER: &str = "^(?:/(?:[^~/]|~0|~1)*)*$";
const RELATIVE_POINTER: &str = "^(?:0|[1-9][0-9]*)(?:#|(?:/(?:[^~/]|~0|~1)*)*)$";
/// An address with an optional name in front, as mail has it.
const EMAIL: &str = r#"^\s*(?:[^<>@\r\n]*<)?\s*(?:"[^"\r\n]*"|[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\x{80}-\x{10FFFF}]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\x{80}-\x{10FFFF}]+)*)@(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\x{80}-\x{10FFFF}]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\x{80}-\x{10FFFF}]+)*)\s*>?\s*$"#;
const TEMPLATE: &str = "^([^{]*({[^}]*})?)*$";

/// Whether a text has a format.
pub(super) fn holds(format: &str, text: &str) -> bool {
    match format {
        "date" => is_date(text),
        "time" => is_time(text),
        "date-time" => is_time(text) || is_date(text) || is_moment(text),
        "hostname" => matches(HOSTNAME, text) && text.len() < 256,
        "email" | "idn-email" => matches(EMAIL, text),
        "ipv4" => text.contains('.') && text.parse::<IpAddr>().is_ok(),
        "ipv6" => text.contains(':') && text.parse::<IpAddr>().is_ok(),
        "uri" | "iri" => is_reference(text) && scheme(text).is_some_and(|scheme| !scheme.is_empty()),
        "uri-reference" | "iri-reference" => is_reference(text),
        "uri-template" => is_reference(text) && matches(TEMPLATE, text),
        "uuid" => matches(UUID, text),
        "regex" => compile(text).is_ok(),
        "json-pointer" => matches(POINTER, text),
        "relative-json-pointer" => matches(RELATIVE_POINTER, text),
        _ => true,
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    compile(pattern).is_ok_and(|pattern| pattern.is_match(text))
}

fn number(text: &str, digits: usize) -> Option<u32> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// `2006-01-02`
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(3, '-').collect();
    let [year, month, day] = parts.as_slice() else {
        return false;
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// `15:04:05`, with a fraction and a zone if one likes.
fn is_time(text: &str) -> bool {
    let (clock, zone) = match text.find(['Z', '+', '-']) {
        Some(at) => text.split_at(at),
        None => (text, "Z"),
    };
    let clock = match clock.split_once(['.', ',']) {
        Some((clock, fraction)) if !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit()) => clock,
        Some(_) => return false,
        None => clock,
    };
    let parts: Vec<Option<u32>> = clock.split(':').map(|part| number(part, 2)).collect();
    let clock = matches!(parts.as_slice(), [Some(0..=23), Some(0..=59), Some(0..=59)]);
    let parts: Vec<Option<u32>> = zone
        .trim_start_matches(['+', '-'])
        .split(':')
        .map(|part| number(part, 2))
        .collect();
    clock && (zone == "Z" || matches!(parts.as_slice(), [Some(0..=24), Some(0..=60)]))
}

/// `2006-01-02T15:04:05Z`
fn is_moment(text: &str) -> bool {
    let zoned = text.ends_with('Z') || text.get(19..).is_some_and(|rest| rest.contains(['+', '-']));
    text.split_once('T')
        .is_some_and(|(date, time)| zoned && is_date(date) && is_time(time))
}

/// What stands in front of the first colon, if that can be a scheme.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let mut bytes = scheme.bytes();
    let first = bytes.next().is_none_or(|byte| byte.is_ascii_alphabetic());
    let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    (first && rest).then_some(scheme)
}

/// Whether Go's parser of URLs takes it.
fn is_reference(text: &str) -> bool {
    if text.contains('\\') || text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) || text.starts_with(':') {
        return false;
    }
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (text, _query) = text.split_once('?').unwrap_or((text, ""));
    let rest = match scheme(text) {
        Some(scheme) => &text[scheme.len() + 1..],
        // A first segment with a colon in it could be a scheme.
        None if text.split('/').next().is_some_and(|first| first.contains(':')) => return false,
        None => text,
    };
    let (host, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let host = host.rsplit('@').next().unwrap_or_default();
    let (name, port) = match host
        .rfind(']')
        .or(Some(0))
        .and_then(|at| host[at..].find(':').map(|colon| at + colon))
    {
        Some(colon) => host.split_at(colon),
        None => (host, ""),
    };
    let port = port.trim_start_matches(':').bytes().all(|byte| byte.is_ascii_digit());
    let name = !name.contains([' ', '"', '<', '>', '^', '`', '{', '|', '}']) || name.starts_with('[');
    port && name && escapes(path) && escapes(fragment)
}

/// Whether every percent sign leads two digits.
fn escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}
