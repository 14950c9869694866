//! Types and their conversions, among them the names that version 1 of the language has done away with.

use regorus::Value;

use super::call::{Call, Num, Outcome, array, num, set, wrong};
use super::{Failure, Family};
use crate::rego::is_scaled_zero;

pub(super) const FAMILY: Family = &[
    ("all", |call| {
        Ok(call.elements(0)?.iter().all(|item| **item == Value::Bool(true)).into())
    }),
    ("any", |call| {
        Ok(call.elements(0)?.iter().any(|item| **item == Value::Bool(true)).into())
    }),
    ("cast_array", |call| Ok(array(call.elements(0)?.into_iter().cloned()))),
    ("cast_set", |call| Ok(set(call.elements(0)?.into_iter().cloned()))),
    ("cast_string", |call| {
        same(call, "string", |value| matches!(value, Value::String(_)))
    }),
    ("cast_boolean", |call| {
        same(call, "boolean", |value| matches!(value, Value::Bool(_)))
    }),
    ("cast_null", |call| {
        same(call, "null", |value| matches!(value, Value::Null))
    }),
    ("cast_object", |call| {
        same(call, "object", |value| matches!(value, Value::Object(_)))
    }),
    ("set_diff", set_diff),
    ("to_number", to_number),
    ("ceil", |call| rounded(call, true)),
    ("floor", |call| rounded(call, false)),
    ("numbers.range_step", range_step),
    ("trace", |call| {
        call.notes.tell(call.string(0)?);
        Ok(true.into())
    }),
    ("opa.runtime", |call| Ok(Value::from(call.world.runtime.clone()))),
    ("time.now_ns", |call| Ok(call.clock_ns.into())),
    ("uuid.parse", super::decoded::uuid),
];

fn same(call: &Call<'_>, wanted: &str, is: fn(&Value) -> bool) -> Outcome {
    match call.any(0) {
        value if is(value) => Ok(value.clone()),
        other => Err(wrong(0, wanted, other)),
    }
}

fn set_diff(call: &mut Call<'_>) -> Outcome {
    match (call.any(0), call.any(1)) {
        (Value::Set(one), Value::Set(other)) => Ok(one.difference(other).into_value()),
        (Value::Set(_), other) => Err(wrong(1, "set", other)),
        (other, _) => Err(wrong(0, "set", other)),
    }
}

fn to_number(call: &mut Call<'_>) -> Outcome {
    match call.any(0) {
        Value::Null => Ok(0.into()),
        Value::Bool(value) => Ok(i64::from(*value).into()),
        Value::Number(_) => Ok(call.any(0).clone()),
        Value::String(text) => {
            // Go's ParseFloat, without the forms that JSON has not.
            let shaped = text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c)) && !text.is_empty();
            let read = text.trim_start_matches('+').parse::<f64>().ok().filter(|_| shaped);
            match read {
                Some(_) if is_scaled_zero(text) => Ok(0.into()),
                Some(value) if value.is_finite() => Value::from_numeric_string(text).map_err(|e| e.to_string().into()),
                _ => Err(format!("strconv.ParseFloat: parsing {text:?}: invalid syntax").into()),
            }
        }
        other => Err(wrong(0, "null, boolean, number, string", other)),
    }
}

/// The next whole number above or below. OPA looks at the sign of what is left when the fraction is gone, and zero has
/// none: `ceil(-0.5)` is 1 and `floor(-0.5)` is 0.
fn rounded(call: &Call<'_>, up: bool) -> Outcome {
    let value = match num(call.any(0)) {
        Some(Num::Float(value)) => value,
        Some(Num::Int(_) | Num::Big(_)) => return Ok(call.any(0).clone()),
        None => return Err(wrong(0, "number", call.any(0))),
    };
    let whole = value.trunc();
    let below = whole < 0.0;
    let found = match whole == value {
        false if up && !below => whole + 1.0,
        false if !up && below => whole - 1.0,
        _ => whole,
    };
    // A zero has no sign.
    Value::from_numeric_string(&format!("{:.0}", found + 0.0)).map_err(|e| e.to_string().into())
}

/// The longest range that is made.
const LONGEST: u128 = 1 << 20;

fn range_step(call: &mut Call<'_>) -> Outcome {
    let bound = |place: usize| -> Result<i128, Failure> {
        match num(call.any(place)) {
            Some(Num::Int(value)) => Ok(value.into()),
            Some(Num::Big(digits)) => digits.parse().map_err(|_| "the number is too large".into()),
            Some(Num::Float(value)) if value.fract() == 0.0 && value.abs() < 1e15 => {
                let whole = format!("{value:.0}");
                whole.parse().map_err(|_| "the number is too large".into())
            }
            Some(Num::Float(_)) => {
                let place = place + 1;
                Err(format!("operand {place} must be integer number but got floating-point number").into())
            }
            None => Err(wrong(place, "integer", call.any(place))),
        }
    };
    let (from, to, step) = (bound(0)?, bound(1)?, bound(2)?);
    if step <= 0 {
        return Err("numbers.range_step: step must be a positive number above zero".into());
    }
    if to.abs_diff(from) / step.unsigned_abs() >= LONGEST {
        return Err(Failure::Halt("the range is longer than a million numbers".to_owned()));
    }
    let way = if from <= to { step } else { -step };
    let items = std::iter::successors(Some(from), |at| at.checked_add(way));
    Ok(array(
        items
            .take_while(|at| if way > 0 { *at <= to } else { *at >= to })
            .map(Value::from),
    ))
}
