//! The functions that stand for Rego's operators: arithmetic over decimals, and the elements of a collection.
//!
//! OPA counts in decimal: `0.1 + 0.2` is 0.3. What is no number (or set) makes the expression undefined, and is noted as
//! a suppressed error.

use regorus::Value;

use super::Engine;
use crate::rego::operators::{DIVIDE, ELEMENTS, ENTERED, FIELDS, HELD, MINUS, PLUS, REMAINDER, TIMES};
use crate::sources::PolicyError;

/// Registers all of them.
pub(super) fn register(engine: &mut Engine) -> Result<(), PolicyError> {
    for (name, word, apply) in [
        (PLUS, "plus", plus as Apply),
        (MINUS, "minus", minus),
        (TIMES, "mul", times),
        (DIVIDE, "div", divide),
        (REMAINDER, "rem", remainder),
    ] {
        let notes = engine.notes.clone();
        engine.extend(name, 2, move |args: Vec<Value>| {
            let [lhs, rhs] = args.as_slice() else {
                return Ok(Value::Undefined);
            };
            match apply(lhs, rhs) {
                Ok(value) => Ok(value),
                Err(why) => {
                    let why = format!("{word}: {why}");
                    match notes.note(&why) {
                        true => Err(std::io::Error::other(why).into()),
                        false => Ok(Value::Undefined),
                    }
                }
            }
        })?;
    }
    let notes = engine.notes.clone();
    engine.extend(ENTERED, 1, move |args: Vec<Value>| {
        if let Some(body) = number(args.first()) {
            notes.entered(body);
        }
        Ok(Value::from(true))
    })?;
    let notes = engine.notes.clone();
    engine.extend(HELD, 2, move |mut args: Vec<Value>| {
        if let Some(body) = number(args.first()) {
            notes.held(body);
        }
        Ok(args.pop().unwrap_or(Value::Undefined))
    })?;
    engine.extend(ELEMENTS, 1, |mut args: Vec<Value>| {
        let value = args.pop().unwrap_or(Value::Undefined);
        match value {
            Value::Array(_) | Value::Set(_) | Value::Object(_) => Ok(value),
            _ => Ok(Value::Undefined),
        }
    })?;
    engine.extend(FIELDS, 2, |args: Vec<Value>| {
        let [Value::Object(fields), count] = args.as_slice() else {
            return Ok(Value::from(false));
        };
        Ok(Value::from(Value::from(fields.len()) == *count))
    })
}

fn number(value: Option<&Value>) -> Option<u32> {
    u32::try_from(value?.as_u64().ok()?).ok()
}

type Apply = fn(&Value, &Value) -> Result<Value, String>;

/// The sum of two numbers.
pub(crate) fn plus(lhs: &Value, rhs: &Value) -> Result<Value, String> {
    numbers(lhs, rhs, "number")?;
    match decimals(lhs, rhs) {
        Some((a, b)) => sum(a, b).ok_or_else(range),
        None => native(lhs, rhs, Word::Add),
    }
}

fn minus(lhs: &Value, rhs: &Value) -> Result<Value, String> {
    if let (Value::Set(lhs), Value::Set(rhs)) = (lhs, rhs) {
        return Ok(Value::Set(regorus::Rc::new(lhs.difference(rhs))));
    }
    numbers(lhs, rhs, "{number, set}")?;
    match decimals(lhs, rhs) {
        Some((a, b)) => sum(a, b.negative()).ok_or_else(range),
        None => native(lhs, rhs, Word::Subtract),
    }
}

/// The product of two numbers.
pub(crate) fn times(lhs: &Value, rhs: &Value) -> Result<Value, String> {
    numbers(lhs, rhs, "number")?;
    match decimals(lhs, rhs) {
        Some((a, b)) => {
            let digits = a.digits.checked_mul(b.digits).ok_or_else(range)?;
            value(digits, a.scale + b.scale).ok_or_else(range)
        }
        None => native(lhs, rhs, Word::Multiply),
    }
}

fn divide(lhs: &Value, rhs: &Value) -> Result<Value, String> {
    numbers(lhs, rhs, "number")?;
    if is_zero(rhs) {
        return Err("divide by zero".to_owned());
    }
    let Some((a, b)) = decimals(lhs, rhs) else {
        return native(lhs, rhs, Word::Divide);
    };
    let (a, b) = same_scale(a, b).ok_or_else(range)?;
    match a % b {
        0 => value(a / b, 0).ok_or_else(range),
        _ => native(
            &value(a, 0).ok_or_else(range)?,
            &value(b, 0).ok_or_else(range)?,
            Word::Divide,
        ),
    }
}

fn remainder(lhs: &Value, rhs: &Value) -> Result<Value, String> {
    numbers(lhs, rhs, "number")?;
    if is_zero(rhs) {
        return Err("modulo by zero".to_owned());
    }
    match (whole(lhs), whole(rhs)) {
        (true, true) => native(lhs, rhs, Word::Modulo),
        _ => Err("modulo on floating-point number".to_owned()),
    }
}

fn range() -> String {
    "the result has too many digits".to_owned()
}

fn numbers(lhs: &Value, rhs: &Value, wanted: &str) -> Result<(), String> {
    for (place, side) in [(1, lhs), (2, rhs)] {
        if !matches!(side, Value::Number(_)) {
            return Err(format!(
                "operand {place} must be one of {wanted} but got {}",
                kind(side)
            ));
        }
    }
    Ok(())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Set(_) => "set",
        Value::Object(_) => "object",
        Value::Undefined => "undefined",
    }
}

fn is_zero(value: &Value) -> bool {
    value.as_f64().is_ok_and(|value| value == 0.0)
}

fn whole(value: &Value) -> bool {
    value.as_number().is_ok_and(|number| number.is_integer())
}

/// `digits` over ten to the power of `scale`.
#[derive(Debug, Clone, Copy)]
struct Decimal {
    digits: i128,
    scale: u32,
}

impl Decimal {
    fn negative(self) -> Self {
        Self {
            digits: -self.digits,
            ..self
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (text, exponent) = match text.split_once(['e', 'E']) {
            Some((text, exponent)) => (text, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        if !(-MOST_DIGITS..=MOST_DIGITS).contains(&scale) {
            return None;
        }
        match u32::try_from(scale) {
            Ok(scale) => Some(Self { digits, scale }),
            Err(_) => Some(Self {
                digits: digits.checked_mul(10i128.checked_pow(scale.unsigned_abs())?)?,
                scale: 0,
            }),
        }
    }
}

/// Beyond these, binary numbers are as good.
const MOST_DIGITS: i32 = 18;

/// Both as decimals, if one of them has a fraction and both are short enough; whole numbers need none of this.
fn decimals(lhs: &Value, rhs: &Value) -> Option<(Decimal, Decimal)> {
    if whole(lhs) && whole(rhs) {
        return None;
    }
    let parse = |value: &Value| Decimal::parse(&value.to_string());
    Some((parse(lhs)?, parse(rhs)?))
}

fn same_scale(a: Decimal, b: Decimal) -> Option<(i128, i128)> {
    let scale = a.scale.max(b.scale);
    let raise = |one: Decimal| one.digits.checked_mul(10i128.checked_pow(scale - one.scale)?);
    Some((raise(a)?, raise(b)?))
}

fn sum(a: Decimal, b: Decimal) -> Option<Value> {
    let scale = a.scale.max(b.scale);
    let (a, b) = same_scale(a, b)?;
    value(a.checked_add(b)?, scale)
}

fn value(mut digits: i128, mut scale: u32) -> Option<Value> {
    while scale > 0 && digits % 10 == 0 {
        digits /= 10;
        scale -= 1;
    }
    Value::from_json_str(&match scale {
        0 => digits.to_string(),
        _ => format!("{digits}e-{scale}"),
    })
    .ok()
}

/// What regorus does with two numbers itself.
fn native(lhs: &Value, rhs: &Value, word: Word) -> Result<Value, String> {
    let (Ok(a), Ok(b)) = (lhs.as_number(), rhs.as_number()) else {
        return Err(range());
    };
    let result = match word {
        Word::Add => a.add(b),
        Word::Subtract => a.sub(b),
        Word::Multiply => a.mul(b),
        Word::Divide => a.clone().divide(b),
        Word::Modulo => a.clone().modulo(b),
    };
    result.map(Value::from).map_err(|e| e.to_string())
}

#[derive(Clone, Copy)]
enum Word {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}
