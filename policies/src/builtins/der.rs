//! DER, as far as certificates and keys are written in it: values of a tag, a length and a content.

/// One value: its tag, its content, the bytes of both, and what follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Der<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    pub(super) whole: &'a [u8],
}

pub(super) const INTEGER: u8 = 2;
pub(super) const BITS: u8 = 3;
pub(super) const OCTETS: u8 = 4;
pub(super) const OID: u8 = 6;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The first value of some bytes, and what follows it.
pub(super) fn first(bytes: &[u8]) -> Option<(Der<'_>, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    let whole = &bytes[..bytes.len() - rest.len()];
    Some((Der { tag, content, whole }, rest))
}

/// All values of some bytes; `None` where they are not values throughout.
pub(super) fn all(mut bytes: &[u8]) -> Option<Vec<Der<'_>>> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let (value, rest) = first(bytes)?;
        values.push(value);
        bytes = rest;
    }
    Some(values)
}

impl<'a> Der<'a> {
    /// The values within, if the tag is this.
    pub(super) fn within(&self, tag: u8) -> Option<Vec<Der<'a>>> {
        (self.tag == tag).then(|| all(self.content)).flatten()
    }

    /// The bytes of a whole number that is not negative, without zeros in front.
    pub(super) fn unsigned(&self) -> Option<&'a [u8]> {
        let fits = self.tag == INTEGER && self.content.first().is_some_and(|first| *first < 0x80);
        let zeros = self.content.iter().take_while(|byte| **byte == 0).count();
        fits.then(|| &self.content[zeros..])
    }

    /// The same, where it is small.
    pub(super) fn small(&self) -> Option<i64> {
        let bytes = self.unsigned()?;
        (bytes.len() < 8).then(|| bytes.iter().fold(0, |sum, byte| (sum << 8) | i64::from(*byte)))
    }

    /// The bytes of a string of whole bytes.
    pub(super) fn bits(&self) -> Option<&'a [u8]> {
        (self.tag == BITS).then(|| self.content.strip_prefix(&[0])).flatten()
    }

    /// The parts of an object identifier.
    pub(super) fn identifier(&self) -> Option<Vec<u64>> {
        (self.tag == OID && !self.content.is_empty()).then_some(())?;
        let mut parts = Vec::new();
        let mut part: u64 = 0;
        for byte in self.content {
            part = part.checked_mul(128)?.checked_add(u64::from(byte & 0x7f))?;
            if byte & 0x80 == 0 {
                parts.push(part);
                part = 0;
            }
        }
        let (first, rest) = parts.split_first()?;
        let two = match first {
            0..=39 => [0, *first],
            40..=79 => [1, first - 40],
            _ => [2, first - 80],
        };
        Some(two.iter().chain(rest).copied().collect())
    }

    /// The text of a string.
    pub(super) fn text(&self) -> Option<String> {
        match self.tag {
            // UTF8String, PrintableString, IA5String, VisibleString.
            0x0c | 0x13 | 0x16 | 0x1a => String::from_utf8(self.content.to_vec()).ok(),
            // TeletexString.
            0x14 => Some(self.content.iter().map(|byte| char::from(*byte)).collect()),
            // BMPString.
            0x1e => {
                let units: Vec<u16> = self
                    .content
                    .chunks(2)
                    .map(|pair| pair.iter().fold(0, |sum, byte| (sum << 8) | u16::from(*byte)))
                    .collect();
                String::from_utf16(&units).ok()
            }
            _ => None,
        }
    }
}

/// A value of this tag and content.
pub(super) fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let digits: Vec<u8> = length.iter().copied().skip_while(|byte| *byte == 0).collect();
    match digits.as_slice() {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        many => {
            out.push(0x80 | u8::try_from(many.len()).unwrap_or(8));
            out.extend(many);
        }
    }
    out.extend(content);
    out
}

/// A whole number of these bytes.
pub(super) fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if digits.first().is_none_or(|first| *first >= 0x80) {
        digits.insert(0, 0);
    }
    tagged(INTEGER, &digits)
}

pub(super) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(SEQUENCE, &parts.concat())
}

/// Bytes as the digits of a number.
pub(super) fn decimal(bytes: &[u8]) -> String {
    const PART: u64 = 1_000_000_000;
    let mut parts: Vec<u64> = vec![0];
    for byte in bytes {
        let mut carry = u64::from(*byte);
        for part in &mut parts {
            carry += *part * 256;
            *part = carry % PART;
            carry /= PART;
        }
        if carry > 0 {
            parts.push(carry);
        }
    }
    let mut text = parts.pop().unwrap_or(0).to_string();
    parts.iter().rev().for_each(|part| text.push_str(&format!("{part:09}")));
    text
}

/// The blocks of PEM in a text: label and content. Other lines between them are passed over.
pub(super) fn pem(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("-----BEGIN ") {
        rest = &rest[begin + "-----BEGIN ".len()..];
        let Some((label, behind)) = rest.split_once("-----") else {
            break;
        };
        let Some((body, after)) = behind.split_once(&format!("-----END {label}-----")) else {
            continue;
        };
        // Headers end with an empty line.
        let body = match body.contains(": ") {
            true => body.split_once("\n\n").map_or("", |(_, body)| body),
            false => body,
        };
        let body: String = body.chars().filter(|letter| !letter.is_whitespace()).collect();
        if let Ok(bytes) = super::decoded::base64_bytes(&super::decoded::STANDARD, &body) {
            blocks.push((label.to_owned(), bytes));
        }
        rest = after;
    }
    blocks
}
