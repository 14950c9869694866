//! Durations and sizes as people write them: `90s`, `256MiB`.

use std::time::Duration;

/// Reads `1ms`, `90s`, `15m`, `2h`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let wrong =
        || format!("\"{text}\" is not a duration: write a whole number and a unit, like 1ms, 90s, 15m, 2h or 7d");
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        "d" => number.checked_mul(86_400_000),
        _ => return Err(wrong()),
    };
    milliseconds
        .map(Duration::from_millis)
        .ok_or_else(|| format!("\"{text}\" is too long a duration"))
}

/// Writes a duration in the largest unit that loses nothing.
pub(crate) fn duration_text(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    for (unit, length) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000u128)] {
        if milliseconds > 0 && milliseconds.is_multiple_of(length) {
            return format!("{}{unit}", milliseconds / length);
        }
    }
    format!("{milliseconds}ms")
}

/// Reads `4096`, `64KiB`, `256MiB`, `2GiB` (and `kB`, `MB`, `GB` in powers of ten).
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let split = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let wrong = || format!("\"{text}\" is not a size: write a whole number and a unit, like 64KiB, 256MiB or 2GiB");
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let factor: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "TiB" | "T" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(factor)
        .ok_or_else(|| format!("\"{text}\" is too large a size"))
}

/// Reads bytes per second: a size with or without `/s`, whole or with a decimal fraction, like `10MiB`, `1.5MB/s`.
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    let wrong = || format!("\"{text}\" is not a rate: write bytes per second, like 10MiB or 1.5MB/s");
    let plain = text.strip_suffix("/s").unwrap_or(text);
    let split = plain
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(plain.len());
    let (number, unit) = plain.split_at(split);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 9 || fraction.contains('.') || whole.is_empty() {
        return Err(wrong());
    }
    let one = size(&format!("1{unit}")).map_err(|_| wrong())?;
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let part: u64 = fraction.parse().map_err(|_| wrong())?;
    let scale = 10u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
    let bytes = u128::from(whole) * u128::from(one) + u128::from(part) * u128::from(one) / scale;
    match u64::try_from(bytes) {
        Ok(0) | Err(_) => Err(wrong()),
        Ok(bytes) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_every_unit_are_read_and_written_back() {
        for (text, milliseconds) in [
            ("1ms", 1),
            ("90s", 90_000),
            ("15m", 900_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("0s", 0),
        ] {
            let read = duration(text).unwrap();
            assert_eq!(read, Duration::from_millis(milliseconds), "{text}");
            assert_eq!(duration(&duration_text(read)).unwrap(), read, "{text}");
        }
        assert_eq!(duration_text(Duration::from_secs(90)), "90s");
        assert_eq!(duration_text(Duration::from_secs(3600)), "1h");
    }

    #[test]
    fn what_is_no_duration_or_size_is_refused() {
        for text in [
            "",
            "5",
            "m",
            "1.5h",
            "-1s",
            "5 m",
            "1y",
            "99999999999999999999d",
            "18446744073709551615d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["", "MiB", "1.5MiB", "-1", "3XiB", "18446744073709551615TiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_of_both_families_are_read() {
        assert_eq!(size("256MiB").unwrap(), 268_435_456);
        assert_eq!(size("256 MiB").unwrap(), 268_435_456);
        assert_eq!(size("1GB").unwrap(), 1_000_000_000);
        assert_eq!(size("4096").unwrap(), 4096);
    }

    #[test]
    fn rates_of_every_form_are_read_and_nonsense_is_refused() {
        for (text, bytes) in [
            ("10MiB", 10 << 20),
            ("1.5MB/s", 1_500_000),
            ("0.25GiB/s", 1 << 28),
            ("4096", 4096),
            ("1 KiB/s", 1024),
        ] {
            assert_eq!(rate(text).unwrap(), bytes, "{text}");
        }
        for text in [
            "",
            "0",
            "0.1B",
            "MiB",
            "1.MiB",
            ".5MiB",
            "1.2.3MiB",
            "-1",
            "10Mbit/s",
            "10MiB/m",
            "99999999999TiB",
        ] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
