//! Semantic versions as OPA reads them: less strictly than the standard, with zeros in front and parts that are empty.

use std::cmp::Ordering;

use regorus::Value;

use super::call::Call;
use super::{Failure, Family};

pub(super) const FAMILY: Family = &[
    ("semver.compare", |call| {
        let (one, other) = (version(call, 0)?, version(call, 1)?);
        Ok(Value::from(one.compare(&other) as i64))
    }),
    ("semver.is_valid", |call| {
        Ok(matches!(call.any(0), Value::String(text) if Version::read(text).is_some()).into())
    }),
];

struct Version<'a> {
    numbers: [i64; 3],
    before: &'a str,
}

fn version<'a>(call: &Call<'a>, place: usize) -> Result<Version<'a>, Failure> {
    let text = call.string(place)?;
    Version::read(text).ok_or_else(|| format!("operand {}: string {text:?} is not a valid SemVer", place + 1).into())
}

impl<'a> Version<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (text, build) = text.split_once('+').unwrap_or((text, ""));
        let (text, before) = text.split_once('-').unwrap_or((text, ""));
        let plain = |part: &str| {
            part.chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
        };
        let mut parts = text.splitn(3, '.');
        let mut number = || parts.next()?.parse().ok();
        let numbers = [number()?, number()?, number()?];
        (plain(before) && plain(build)).then_some(Self { numbers, before })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let before = || match (self.before, other.before) {
            ("", "") => Ordering::Equal,
            ("", _) => Ordering::Greater,
            (_, "") => Ordering::Less,
            (one, other) => parts(one, other),
        };
        self.numbers.cmp(&other.numbers).then_with(before)
    }
}

/// Part by part: numbers by value and below all words, and what has more parts is above.
fn parts(one: &str, other: &str) -> Ordering {
    let (mut ones, mut others) = (one.split('.'), other.split('.'));
    loop {
        let (one, other) = match (ones.next(), others.next()) {
            (None, None) => return Ordering::Equal,
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            (Some(one), Some(other)) => (one, other),
        };
        let found = match (one.parse::<i64>(), other.parse::<i64>()) {
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Ok(a), Ok(b)) => a.cmp(&b).then_with(|| one.cmp(other)),
            (Err(_), Err(_)) => one.cmp(other),
        };
        if found.is_ne() {
            return found;
        }
    }
}
