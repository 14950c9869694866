//! The settings of a live server as JSON, for policies.

/// The major version in `server_version_num`.
pub(crate) fn parse_version(number: &str) -> Option<u32> {
    Some(number.parse::<u32>().ok()? / 10_000)
}

/// Bytes of a setting as `SHOW` writes it: `16MB`, `8192`, `128kB`.
pub(crate) fn bytes_of(text: &str) -> Option<u64> {
    let digits = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" | "B" => 1,
        "kB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        "TB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}
