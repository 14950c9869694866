//! Many values made one: by OPA's order of all values (arrays, then objects, then sets), and by its decimal arithmetic.

use std::cmp::Ordering;

use regorus::Value;

use super::Family;
use super::call::{Call, Outcome, array};
use crate::engine::{plus, times};

pub(super) const FAMILY: Family = &[
    ("product", |call| total(call, 1, times)),
    ("sum", |call| total(call, 0, plus)),
    ("sort", |call| Ok(array(sorted(call)?.into_iter().cloned()))),
    ("max", |call| {
        Ok(sorted(call)?.last().map_or(Value::Undefined, |last| (*last).clone()))
    }),
    ("min", |call| {
        Ok(sorted(call)?.first().map_or(Value::Undefined, |first| (*first).clone()))
    }),
];

fn sorted<'a>(call: &Call<'a>) -> Result<Vec<&'a Value>, super::Failure> {
    let mut items = call.elements(0)?;
    items.sort_by(|one, other| compare(one, other));
    Ok(items)
}

fn total(call: &Call<'_>, begin: i64, step: fn(&Value, &Value) -> Result<Value, String>) -> Outcome {
    let mut all = Value::from(begin);
    for item in call.elements(0)? {
        all = step(&all, item)?;
    }
    Ok(all)
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Undefined => 0,
        Value::Null => 1,
        Value::Bool(_) => 2,
        Value::Number(_) => 3,
        Value::String(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
        Value::Set(_) => 7,
    }
}

fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) => lists(one.iter().collect(), other.iter().collect()),
        (Value::Set(one), Value::Set(other)) => lists(members(one.iter()), members(other.iter())),
        (Value::Object(one), Value::Object(other)) => {
            let mut sides = [one, other].map(|side| side.iter().collect::<Vec<_>>());
            sides.iter_mut().for_each(|side| side.sort_by(|a, b| compare(a.0, b.0)));
            let [one, other] = sides;
            let pairs = one.iter().zip(&other);
            let found = pairs.map(|(a, b)| compare(a.0, b.0).then_with(|| compare(a.1, b.1)));
            let found = found.fold(Ordering::Equal, Ordering::then);
            found.then_with(|| one.len().cmp(&other.len()))
        }
        _ => rank(one).cmp(&rank(other)).then_with(|| one.cmp(other)),
    }
}

fn members<'a>(items: impl Iterator<Item = &'a Value>) -> Vec<&'a Value> {
    let mut items: Vec<_> = items.collect();
    items.sort_by(|one, other| compare(one, other));
    items
}

fn lists(one: Vec<&Value>, other: Vec<&Value>) -> Ordering {
    let pairs = one.iter().zip(&other);
    let found = pairs
        .map(|(one, other)| compare(one, other))
        .find(|found| found.is_ne());
    found.unwrap_or_else(|| one.len().cmp(&other.len()))
}
