//! Strings, where Go's functions and Rust's differ.

use regorus::Value;

use super::Family;
use super::call::{Call, Outcome, array, wrong};

pub(super) const FAMILY: Family = &[
    ("upper", |call| {
        Ok(call.string(0)?.chars().map(upper).collect::<String>().into())
    }),
    ("lower", |call| {
        Ok(call.string(0)?.chars().map(lower).collect::<String>().into())
    }),
    ("strings.count", count),
    ("strings.replace_n", replace_n),
    ("strings.any_prefix_match", |call| {
        any_match(call, |text, part| text.starts_with(part))
    }),
    ("strings.any_suffix_match", |call| {
        any_match(call, |text, part| text.ends_with(part))
    }),
    ("substring", substring),
    ("concat", |call| Ok(call.strings(1)?.join(call.string(0)?).into())),
    ("format_int", format_int),
    ("indexof", |call| {
        Ok(places(call)?
            .first()
            .map_or(Value::from(-1), |place| Value::from(*place)))
    }),
    ("indexof_n", |call| {
        Ok(array(places(call)?.into_iter().map(Value::from)))
    }),
    ("replace", |call| {
        Ok(call.string(0)?.replace(call.string(1)?, call.string(2)?).into())
    }),
    ("trim_space", |call| Ok(call.string(0)?.trim().into())),
];

/// Go maps letter by letter: what would become several letters stays as it is.
fn upper(letter: char) -> char {
    single(letter.to_uppercase(), letter)
}

fn lower(letter: char) -> char {
    if letter == 'İ' {
        return 'i';
    }
    single(letter.to_lowercase(), letter)
}

fn single(mut letters: impl Iterator<Item = char>, same: char) -> char {
    match (letters.next(), letters.next()) {
        (Some(one), None) => one,
        _ => same,
    }
}

fn count(call: &mut Call<'_>) -> Outcome {
    let (text, part) = (call.string(0)?, call.string(1)?);
    Ok(match part {
        "" => text.chars().count() + 1,
        part => text.matches(part).count(),
    }
    .into())
}

/// One pass over the text; at each place the smallest key that fits, in the order of the keys.
fn replace_n(call: &mut Call<'_>) -> Outcome {
    let mut pairs = Vec::new();
    for (from, to) in call.object(0)?.iter_sorted() {
        match (from, to) {
            (Value::String(from), Value::String(to)) => pairs.push((from.as_ref(), to.as_ref())),
            (Value::String(_), _) => return Err("operand 1 non-string value found in pattern object".into()),
            _ => return Err("operand 1 non-string key found in pattern object".into()),
        }
    }
    let text = call.string(1)?;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut empty = pairs.iter().find(|(from, _)| from.is_empty());
    loop {
        if let Some((from, to)) = pairs
            .iter()
            .find(|(from, _)| !from.is_empty() && rest.starts_with(from))
        {
            out.push_str(to);
            rest = &rest[from.len()..];
            empty = None;
            continue;
        }
        if let Some((_, to)) = empty {
            out.push_str(to);
        }
        let mut letters = rest.chars();
        let Some(letter) = letters.next() else {
            return Ok(out.into());
        };
        out.push(letter);
        rest = letters.as_str();
        empty = pairs.iter().find(|(from, _)| from.is_empty());
    }
}

fn any_match(call: &Call<'_>, fits: fn(&str, &str) -> bool) -> Outcome {
    let side = |place: usize| match call.any(place) {
        Value::String(text) => Ok(vec![text.as_ref()]),
        Value::Array(_) | Value::Set(_) => call.strings(place),
        other => Err(wrong(place, "string, set, array", other)),
    };
    let (texts, parts) = (side(0)?, side(1)?);
    Ok(texts
        .iter()
        .any(|text| parts.iter().any(|part| fits(text, part)))
        .into())
}

fn substring(call: &mut Call<'_>) -> Outcome {
    let (text, offset, length) = (call.string(0)?, call.int(1)?, call.int(2)?);
    let offset = usize::try_from(offset).map_err(|_| "negative offset")?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    Ok(text.chars().skip(offset).take(length).collect::<String>().into())
}

fn format_int(call: &mut Call<'_>) -> Outcome {
    // Toward zero, as Go's big floats become integers.
    let value = match super::call::num(call.any(0)) {
        Some(super::call::Num::Int(value)) => i128::from(value),
        Some(super::call::Num::Big(digits)) => digits
            .parse()
            .map_err(|_| super::Failure::Halt("operand 1 has more than 128 bits".to_owned()))?,
        #[expect(clippy::cast_possible_truncation, reason = "toward zero is what is asked for")]
        Some(super::call::Num::Float(value)) => value as i128,
        None => return Err(wrong(0, "number", call.any(0))),
    };
    let sign = if value < 0 { "-" } else { "" };
    let magnitude = value.unsigned_abs();
    let digits = match call.number(1)? {
        2.0 => format!("{magnitude:b}"),
        8.0 => format!("{magnitude:o}"),
        10.0 => magnitude.to_string(),
        16.0 => format!("{magnitude:x}"),
        _ => return Err("operand 2 must be one of {2, 8, 10, 16}".into()),
    };
    Ok(format!("{sign}{digits}").into())
}

/// Where a part begins in a text, counted in letters; the places may overlap.
fn places(call: &Call<'_>) -> Result<Vec<usize>, super::Failure> {
    let (text, part) = (call.string(0)?, call.string(1)?);
    if part.is_empty() {
        return Err("empty search character".into());
    }
    let begins = text.char_indices().enumerate();
    Ok(begins
        .filter(|(_, (at, _))| text[*at..].starts_with(part))
        .map(|(place, _)| place)
        .collect())
}
