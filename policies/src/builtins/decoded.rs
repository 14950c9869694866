//! Text that is read as something else: JSON, base64, UUIDs.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regorus::Value;

use super::call::{Call, Outcome, object};
use super::{Failure, Family};

pub(super) const FAMILY: Family = &[
    ("json.unmarshal", |call| {
        Value::from_json_str(call.string(0)?).map_err(|e| Failure::Error(first_line(&e.to_string())))
    }),
    ("json.is_valid", |call| {
        Ok(
            matches!(call.any(0), Value::String(text) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
                .into(),
        )
    }),
    ("base64.decode", |call| base64_text(&STANDARD, call.string(0)?)),
    ("base64.is_valid", |call| {
        Ok(matches!(call.any(0), Value::String(text) if base64_bytes(&STANDARD, text).is_ok()).into())
    }),
    ("base64url.decode", |call| match call.string(0)? {
        text if text.contains(['\r', '\n']) => Err(format!("illegal base64url string: {text}").into()),
        text => base64_text(&URL, text),
    }),
    ("hex.decode", hex_decode),
];

pub(super) const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);
pub(super) const URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Go's decoder passes over line ends.
pub(super) fn base64_bytes(engine: &GeneralPurpose, text: &str) -> Result<Vec<u8>, Failure> {
    let text: String = text.chars().filter(|letter| !matches!(letter, '\r' | '\n')).collect();
    engine
        .decode(text)
        .map_err(|e| format!("illegal base64 data: {e}").into())
}

fn base64_text(engine: &GeneralPurpose, text: &str) -> Outcome {
    Ok(lossy(&base64_bytes(engine, text)?).into())
}

fn hex_decode(call: &mut Call<'_>) -> Outcome {
    let text = call.string(0)?;
    if !text.is_ascii() || text.len() % 2 != 0 {
        return Err("encoding/hex: odd length or invalid byte".into());
    }
    let pairs = (0..text.len()).step_by(2).map(|at| {
        let pair = &text[at..at + 2];
        let plain = pair.bytes().all(|byte| byte.is_ascii_hexdigit());
        u8::from_str_radix(pair, 16).ok().filter(|_| plain)
    });
    let bytes: Option<Vec<u8>> = pairs.collect();
    let bytes = bytes.ok_or("encoding/hex: invalid byte")?;
    Ok(lossy(&bytes).into())
}

/// Bytes as text: each that belongs to no letter is a replacement character, as in Go.
fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// What a UUID says of itself.
pub(super) fn uuid(call: &mut Call<'_>) -> Outcome {
    let text = call.string(0)?;
    let bare = text
        .strip_prefix("urn:uuid:")
        .or_else(|| text.strip_prefix('{').and_then(|text| text.strip_suffix('}')))
        .unwrap_or(text);
    let digits: String = match bare.len() {
        36 if [8, 13, 18, 23].iter().all(|at| bare.as_bytes()[*at] == b'-') => bare.replace('-', ""),
        32 => bare.to_owned(),
        // OPA's answer to what is no UUID is no error.
        _ => return Ok(Value::Undefined),
    };
    let plain = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let Some(value) = u128::from_str_radix(&digits, 16).ok().filter(|_| plain) else {
        return Ok(Value::Undefined);
    };
    let bytes = value.to_be_bytes();
    let version = i64::from(bytes[6] >> 4);
    let variant = match bytes[8] {
        byte if byte & 0xc0 == 0x80 => "RFC4122",
        byte if byte & 0xe0 == 0xc0 => "Microsoft",
        byte if byte & 0xe0 == 0xe0 => "Future",
        _ => "Reserved",
    };
    let mut fields = vec![("version", Value::from(version)), ("variant", variant.into())];
    if matches!(version, 1 | 2) {
        let low = i64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        let middle = i64::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        let high = i64::from(u16::from_be_bytes([bytes[6], bytes[7]]) & 0x0fff);
        // Hundreds of nanoseconds since the Gregorian calendar began, to nanoseconds since 1970.
        let ticks = (high << 48) | (middle << 32) | low;
        let since = (ticks - 0x01b2_1dd2_1381_4000).wrapping_mul(100);
        let node: Vec<String> = bytes[10..].iter().map(|byte| format!("{byte:02x}")).collect();
        let sequence = i64::from(u16::from_be_bytes([bytes[8], bytes[9]]) & 0x3fff);
        // What an address says by two bits of its first byte.
        let first = bytes[10];
        let vars = match (first & 1 != 0, first & 2 != 0) {
            (false, false) => "global:unicast",
            (true, false) => "global:multicast",
            (false, true) => "local:unicast",
            (true, true) => "local:multicast",
        };
        fields.push(("time", Value::from(since)));
        fields.push(("nodeid", node.join("-").into()));
        fields.push(("macvariables", vars.into()));
        fields.push(("clocksequence", Value::from(sequence)));
    }
    if version == 2 {
        let domain = match bytes[9] {
            0 => "Person",
            1 => "Group",
            2 => "Org",
            _ => "Domain",
        };
        let id = i64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        fields.push(("id", Value::from(id)));
        fields.push(("domain", domain.into()));
    }
    Ok(object(fields.into_iter().map(|(key, value)| (key.into(), value))))
}
