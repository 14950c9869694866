//! Numbers, times and foreign text as a human reads them.

/// A size with a binary unit: `1.4 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = as_float(count) / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A number with thousands apart: `100,000`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A duration: `0.8 ms`, `3.42 s`, `12 m 5 s`, `2 h 3 m`, `9 d 4 h`.
pub(crate) fn seconds(value: f64) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    if value < 0.0 {
        return format!("-{}", seconds(-value));
    }
    if value < 0.0005 {
        return format!("{:.0} µs", value * 1e6);
    }
    if value < 0.9995 {
        return format!("{:.0} ms", value * 1e3);
    }
    if value < 59.995 {
        return format!("{value:.2} s");
    }
    let whole = value.round();
    let (unit, small, one, other) = match whole {
        w if w < 3600.0 => (60.0, 1.0, "m", "s"),
        w if w < 86_400.0 => (3600.0, 60.0, "h", "m"),
        _ => (86_400.0, 3600.0, "d", "h"),
    };
    let big = (whole / unit).floor();
    let rest = ((whole - big * unit) / small).floor();
    if rest == 0.0 {
        format!("{big:.0} {one}")
    } else {
        format!("{big:.0} {one} {rest:.0} {other}")
    }
}

/// Bytes per second.
pub(crate) fn rate(count: u64, elapsed: f64) -> String {
    if elapsed <= 0.0 {
        return "-".to_owned();
    }
    #[expect(clippy::cast_possible_truncation, reason = "a rate for display")]
    let per_second = (as_float(count) / elapsed) as u64;
    format!("{}/s", bytes(per_second))
}

/// How many logical bytes lie in one stored byte: `3.1 : 1`.
pub(crate) fn ratio(logical: u64, stored: u64) -> String {
    if stored == 0 {
        return "-".to_owned();
    }
    format!("{:.1} : 1", as_float(logical) / as_float(stored))
}

/// A share of a whole.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    format!("{:.0} %", (as_float(part) / as_float(whole) * 100.0).min(100.0))
}

/// An RFC 3339 time without its fraction and `T`: `2026-02-03 04:05:06 UTC`.
pub(crate) fn date(rfc3339: &str) -> String {
    match (rfc3339.get(..10), rfc3339.get(11..19)) {
        (Some(day), Some(clock)) if rfc3339.ends_with('Z') => format!("{day} {clock} UTC"),
        _ => rfc3339.to_owned(),
    }
}

/// The first digits of a digest, enough to tell them apart.
pub(crate) fn short_digest(digest: &str) -> String {
    match digest.split_once(':') {
        Some((name, hex)) => format!("{name}:{}…", hex.get(..12).unwrap_or(hex)),
        None => digest.to_owned(),
    }
}

/// Foreign bytes as text that a terminal prints and does not obey: control characters and what is not UTF-8 are escaped.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            let hidden = character.is_control()
                || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if hidden {
                out.extend(character.escape_default());
            } else {
                out.push(character);
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_well() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(1024 * 1024 - 1), "1.0 MiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
        assert_eq!(count(100_000), "100,000");
        assert_eq!(count(7), "7");
        assert_eq!(seconds(0.000_02), "20 µs");
        assert_eq!(seconds(0.25), "250 ms");
        assert_eq!(seconds(3.4218), "3.42 s");
        assert_eq!(seconds(725.0), "12 m 5 s");
        assert_eq!(seconds(7200.0), "2 h");
        assert_eq!(seconds(90_000.0), "1 d 1 h");
        assert_eq!(date("2026-02-03T04:05:06.123Z"), "2026-02-03 04:05:06 UTC");
    }

    #[test]
    fn foreign_text_cannot_command_the_terminal() {
        assert_eq!(printable(b"a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(printable(b"caf\xe9"), "caf\\xe9");
        assert_eq!(printable("müster".as_bytes()), "müster");
        assert_eq!(printable("a\u{202e}b".as_bytes()), "a\\u{202e}b");
    }
}
