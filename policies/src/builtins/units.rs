//! Amounts with units, and bits that are moved: what the evaluator computes for hours where an exponent or a shift is large.
//!
//! Both are bounded before anything is computed. `units.parse` is exact and keeps ten places, `units.parse_bytes` rounds twice to 64
//! bits and cuts off what is left, as OPA's types do.

use std::cmp::Ordering;

use regorus::Value;

use super::Family;
use super::call::{Call, Failure, Num, Outcome, num, whole, wrong};

pub(super) const FAMILY: Family = &[
    ("bits.lsh", left),
    ("units.parse", parse),
    ("units.parse_bytes", parse_bytes),
];

/// The most bits that a number may be moved by.
const MOST_BITS: i64 = 1 << 16;
/// The largest exponent of an amount: numbers of some thousand digits.
const MOST_EXPONENT: i64 = 9_999;
/// The longest amount, in characters.
const MOST_CHARACTERS: usize = 20_000;
/// The places that `units.parse` keeps.
const PLACES: i64 = 10;

fn left(call: &mut Call<'_>) -> Outcome {
    for place in 0..2 {
        match num(call.any(place)) {
            None => return Err(wrong(place, "number", call.any(place))),
            Some(Num::Float(_)) => {
                let place = place + 1;
                return Err(format!("operand {place} must be integer number but got floating-point number").into());
            }
            Some(_) => {}
        }
    }
    let by = whole(call.any(1));
    match by {
        Some(..0) => return Err("operand 2 must be an unsigned integer number but got a negative integer".into()),
        Some(0..=MOST_BITS) => {}
        _ => return Err(format!("a number is moved by {MOST_BITS} bits at most").into()),
    }
    let moved = match (call.any(0).as_number(), call.any(1).as_number()) {
        (Ok(number), Ok(by)) => number.lsh(by),
        _ => None,
    };
    moved.map(Value::from).ok_or_else(|| "no whole number".into())
}

fn parse(call: &mut Call<'_>) -> Outcome {
    let text = call.string(0)?.replace('"', "");
    let (amount, unit) = parted(&text)?;
    if amount.is_empty() {
        return Err("no amount provided".into());
    }
    let mut letters = unit.chars();
    let first: String = letters.next().into_iter().collect();
    let unit = first + &letters.as_str().to_lowercase();
    let times = match unit.as_str() {
        "m" => None,
        "k" | "K" => Some(1_000),
        "M" => Some(1_000_000),
        _ => Some(multiple(&unit.to_lowercase(), &unit)?),
    };
    let mut amount = Decimal::read(amount).ok_or("could not parse amount to a number")?;
    match times {
        Some(times) => amount.multiply(times),
        // The nearest float to a thousandth: 1152921504606847 / 2^60, and one over two is five over ten.
        None => {
            [1_152_921_504_606_847, 5u64.pow(20), 5u64.pow(20), 5u64.pow(20)]
                .into_iter()
                .for_each(|times| amount.multiply(times));
            amount.scale += 60;
        }
    }
    amount.round();
    Value::from_numeric_string(&amount.text()).map_err(|e| e.to_string().into())
}

fn parse_bytes(call: &mut Call<'_>) -> Outcome {
    let text = call.string(0)?.to_lowercase().replace('"', "");
    let (amount, unit) = parted(&text)?;
    if amount.is_empty() {
        return Err("no byte amount provided".into());
    }
    let times = match unit {
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        unit => multiple(unit.strip_suffix('b').unwrap_or(unit), unit).map_err(|_| unknown("byte unit", unit))?,
    };
    let mut amount = Decimal::read(amount).ok_or("could not parse byte amount to a number")?;
    let text = match amount.in_64_bits(times) {
        Some(total) => format!("{}{total}", if amount.negative && total > 0 { "-" } else { "" }),
        None => {
            amount.multiply(times);
            amount.cut(0);
            amount.text()
        }
    };
    Value::from_numeric_string(&text).map_err(|e| e.to_string().into())
}

fn unknown(what: &str, unit: &str) -> Failure {
    format!("{what} {unit} not recognized").into()
}

/// How much a unit is, but for those of thousands that stand for several things. `shown` is how it was written.
fn multiple(unit: &str, shown: &str) -> Result<u64, Failure> {
    Ok(match unit {
        "" if shown.is_empty() => 1,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "g" => 1_000_000_000,
        "gi" => 1 << 30,
        "t" => 1_000_000_000_000,
        "ti" => 1 << 40,
        "p" => 1_000_000_000_000_000,
        "pi" => 1 << 50,
        "e" => 1_000_000_000_000_000_000,
        "ei" => 1 << 60,
        _ => return Err(unknown("unit", shown)),
    })
}

/// The amount and the unit; an `e` before a digit or a sign belongs to the amount.
fn parted(text: &str) -> Result<(&str, &str), Failure> {
    if text.contains(' ') {
        return Err("spaces not allowed in resource strings".into());
    }
    let bytes = text.as_bytes();
    let mut end = 0;
    while let Some(byte) = bytes.get(end) {
        let next = bytes.get(end + 1).copied().unwrap_or_default();
        match byte {
            b'0'..=b'9' | b'.' | b'+' | b'-' => end += 1,
            b'e' | b'E' if matches!(next, b'0'..=b'9' | b'+' | b'-') => end += 2,
            _ => break,
        }
    }
    match end {
        ..=MOST_CHARACTERS => Ok(text.split_at(end)),
        _ => Err("the amount has too many digits".into()),
    }
}

/// Digits, the last first, and how many of them are behind the point.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    scale: i64,
}

impl Decimal {
    /// None for what is no number, or one whose exponent is too large.
    fn read(text: &str) -> Option<Self> {
        let (negative, text) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).rev().collect();
        let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        let near = (-MOST_EXPONENT..=MOST_EXPONENT).contains(&exponent);
        (plain && near).then(|| Self {
            negative,
            digits: digits.iter().map(|digit| digit - b'0').collect(),
            scale: i64::try_from(fraction.len())
                .unwrap_or(i64::MAX)
                .saturating_sub(exponent),
        })
    }

    fn multiply(&mut self, times: u64) {
        let mut over = 0u128;
        for digit in &mut self.digits {
            over += u128::from(*digit) * u128::from(times);
            *digit = last_digit(over);
            over /= 10;
        }
        while over > 0 {
            self.digits.push(last_digit(over));
            over /= 10;
        }
    }

    /// Takes away all digits behind so many places.
    fn cut(&mut self, places: i64) -> u8 {
        let mut last = 0;
        let more = usize::try_from(self.scale.saturating_sub(places)).unwrap_or(0);
        if more > 0 {
            last = self.digits.get(more - 1).copied().unwrap_or(0);
            self.digits.drain(..more.min(self.digits.len()));
            self.scale = places;
        }
        last
    }

    /// To [`PLACES`], half away from zero.
    fn round(&mut self) {
        if self.cut(PLACES) < 5 {
            return;
        }
        for digit in &mut self.digits {
            *digit = (*digit + 1) % 10;
            if *digit > 0 {
                return;
            }
        }
        self.digits.push(1);
    }

    fn text(&self) -> String {
        let digits = self.digits.iter().rev().map(|digit| char::from(b'0' + digit));
        let sign = if self.negative { "-" } else { "" };
        let digits: String = digits.skip_while(|digit| *digit == '0').collect();
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        let text = match self.scale {
            _ if digits.is_empty() => return "0".to_owned(),
            ..=0 => return format!("{sign}{digits}{}", zeros(-self.scale)),
            scale => format!("{}{digits}", zeros(scale + 1 - length)),
        };
        let (whole, fraction) = text.split_at(text.len() - usize::try_from(self.scale).unwrap_or(0));
        match fraction.trim_end_matches('0') {
            "" => format!("{sign}{whole}"),
            fraction => format!("{sign}{whole}.{fraction}"),
        }
    }

    /// Its product in floats of 64 bits, without the fraction; none where it has too many digits for that.
    fn in_64_bits(&self, times: u64) -> Option<u128> {
        let mut digits = self.digits.iter().rev();
        let digits = digits.try_fold(0u64, |all, digit| all.checked_mul(10)?.checked_add(u64::from(*digit)))?;
        let under = 10u64.checked_pow(u32::try_from(self.scale).ok()?)?;
        if digits == 0 {
            return Some(0);
        }
        // So much that the quotient has 64 or 65 bits.
        let shift = 64 + digits.leading_zeros() - under.leading_zeros();
        let above = u128::from(digits) << shift;
        let (quotient, rest) = (above / u128::from(under), above % u128::from(under));
        let (mantissa, more) = rounded(quotient, (2 * rest).cmp(&u128::from(under)), rest > 0);
        let product = u128::from(mantissa) * u128::from(times);
        let (mantissa, further) = rounded(product, Ordering::Less, false);
        let exponent = i64::from(more) + i64::from(further) - i64::from(shift);
        match u32::try_from(exponent.unsigned_abs()).ok()? {
            up @ ..=64 if exponent >= 0 => Some(u128::from(mantissa) << up),
            down if exponent < 0 => Some(u128::from(mantissa).checked_shr(down).unwrap_or(0)),
            _ => None,
        }
    }
}

fn last_digit(number: u128) -> u8 {
    u8::try_from(number % 10).unwrap_or(0)
}

/// The first 64 bits, to the nearest and of two the even one, and by how many bits more the number was. Behind it there is `some`thing,
/// which against half of its last bit is `rest`.
fn rounded(number: u128, rest: Ordering, some: bool) -> (u64, u32) {
    let more = (128 - number.leading_zeros()).saturating_sub(64);
    let first = number >> more;
    let against_half = match more {
        0 => rest,
        more => {
            let behind = number & ((1u128 << more) - 1);
            let half = 1u128 << (more - 1);
            behind.cmp(&half).then(some.cmp(&false))
        }
    };
    let up = against_half.then(if first & 1 == 1 {
        Ordering::Greater
    } else {
        Ordering::Less
    });
    match u64::try_from(first + u128::from(up == Ordering::Greater)) {
        Ok(first) => (first, more),
        Err(_) => (1 << 63, more + 1),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::selftest::{Answer, Question, answer};
    use crate::sources::RegoVersion;

    fn asked(expression: &str, strict: bool) -> Answer {
        let question = Question {
            modules: vec![("p.rego".to_owned(), format!("package p\n\nt := {expression}\n"))],
            version: RegoVersion::V1,
            data: None,
            input: Some(json!({})),
            query: "data.p.t".to_owned(),
        };
        answer(&question, strict)
    }

    #[test]
    fn amounts_are_read_to_the_last_digit() {
        for (expression, value) in [
            (r#"units.parse("10Gi")"#, json!(10_737_418_240u64)),
            (r#"units.parse("100m")"#, json!(0.1)),
            (r#"units.parse("1M")"#, json!(1_000_000)),
            (r#"units.parse("1mi")"#, json!(1_048_576)),
            (r#"units.parse("-.5k")"#, json!(-500)),
            (r#"units.parse("1e3Ki")"#, json!(1_024_000)),
            (r#"units.parse("2E")"#, json!(2_000_000_000_000_000_000u64)),
            (r#"units.parse("\"1.25\"")"#, json!(1.25)),
            (r#"units.parse("0.00000000005")"#, json!(1e-10)),
            (r#"units.parse("0.00000000004")"#, json!(0)),
            (r#"units.parse("9.99999999999")"#, json!(10)),
            (r#"units.parse_bytes("1.5GiB")"#, json!(1_610_612_736)),
            (r#"units.parse_bytes("1KB")"#, json!(1000)),
            (r#"units.parse_bytes("-1.5k")"#, json!(-1500)),
            (r#"units.parse_bytes("0")"#, json!(0)),
            (r#"units.parse_bytes("0.9")"#, json!(0)),
            (r#"units.parse_bytes("1.1MB")"#, json!(1_100_000)),
            (r#"units.parse_bytes("-0.9")"#, json!(0)),
            (r#"units.parse_bytes("12eib")"#, json!(13_835_058_055_282_163_712u64)),
            ("bits.lsh(3, 4)", json!(48)),
            ("bits.lsh(-1, 2)", json!(-4)),
            ("bits.lsh(0, 65536)", json!(0)),
        ] {
            assert_eq!(asked(expression, false), Answer::Result(value), "{expression}");
        }
    }

    #[test]
    fn what_would_take_hours_is_an_error_at_once_and_so_is_what_is_no_amount() {
        for (expression, why) in [
            ("bits.lsh(1, 4000000000)", "65536 bits at most"),
            ("bits.lsh(1, 99999999999999999999)", "65536 bits at most"),
            ("bits.lsh(1, -1)", "unsigned"),
            ("bits.lsh(1.5, 1)", "integer"),
            (r#"units.parse("1e999999999Gi")"#, "could not parse"),
            (r#"units.parse("1e-999999999Gi")"#, "could not parse"),
            (r#"units.parse_bytes("1e999999999Gi")"#, "could not parse"),
            (r#"units.parse("1e99999999999999999999")"#, "could not parse"),
            (r#"units.parse("Gi")"#, "no amount"),
            (r#"units.parse("1 Gi")"#, "spaces"),
            (r#"units.parse("1zz")"#, "unit zz not recognized"),
            (r#"units.parse("1.2.3")"#, "could not parse"),
            (r#"units.parse_bytes("1q")"#, "byte unit q not recognized"),
            (r#"units.parse_bytes("")"#, "no byte amount"),
        ] {
            assert_eq!(asked(expression, false), Answer::Undefined, "{expression}");
            match asked(expression, true) {
                Answer::Error(error) => assert!(error.contains(why), "{expression}: {error}"),
                other => panic!("{expression}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_largest_amounts_end_soon() {
        for expression in [
            r#"units.parse("1e9999Ei")"#.to_owned(),
            r#"units.parse_bytes("1e9999Ei")"#.to_owned(),
            format!(r#"units.parse("{}")"#, "9".repeat(19_000)),
            "bits.lsh(1, 65536)".to_owned(),
        ] {
            assert_ne!(asked(&expression, false), Answer::Undefined, "{}", &expression[..20]);
        }
        let long = format!(r#"units.parse("{}")"#, "9".repeat(30_000));
        assert_eq!(asked(&long, false), Answer::Undefined);
        assert_eq!(
            asked(r#"units.parse("1e-9999")"#, false),
            Answer::Result(Value::from(0))
        );
    }
}
