//! Whether a schema is one: every keyword has a value of the right kind.

use serde_json::{Map, Value as Json};

use super::super::Failure;
use super::super::call::compile;
use super::{DEEPEST, Draft, Schema};

const TYPES: [&str; 7] = ["array", "boolean", "integer", "number", "null", "object", "string"];

fn wrong(what: String) -> Failure {
    Failure::Error(format!("jsonschema: {what}"))
}

fn invalid_type(expected: &str, keyword: &str) -> Failure {
    wrong(format!("Invalid type. Expected: {expected}, given: {keyword}"))
}

/// # Errors
/// What the validator says of the first keyword that cannot be.
pub(super) fn check(schema: &Schema, at: &Json, depth: usize) -> Result<(), Failure> {
    if depth > DEEPEST {
        return Err(Failure::Halt("the schema is nested too deeply".to_owned()));
    }
    let keywords = match at {
        Json::Bool(_) if schema.draft >= Draft::Six => return Ok(()),
        Json::Object(keywords) => keywords,
        _ => return Err(wrong("Expected: valid schema".to_owned())),
    };
    for keyword in ["title", "description", "$ref", "pattern", "format"] {
        if keywords.get(keyword).is_some_and(|value| !value.is_string()) {
            return Err(invalid_type("string", keyword));
        }
    }
    if let Some(reference) = keywords.get("$ref").and_then(Json::as_str) {
        // Checked where it stands, if it stands within: references go round.
        schema.target(reference)?;
    }
    kinds(keywords)?;
    numbers(schema.draft, keywords)?;
    unique(keywords)?;
    inner(schema, keywords, depth)
}

fn kinds(keywords: &Map<String, Json>) -> Result<(), Failure> {
    let given: &[Json] = match keywords.get("type") {
        None => &[],
        Some(Json::Array(names)) => names,
        Some(one) => std::slice::from_ref(one),
    };
    for name in given {
        let name = name
            .as_str()
            .ok_or_else(|| invalid_type("type", "string/array of strings"))?;
        if !TYPES.contains(&name) {
            return Err(wrong(format!(
                "has a primitive type that is NOT VALID -- given: /{name}/ Expected valid values are:[{}]",
                TYPES.join(" ")
            )));
        }
    }
    if keywords.get("uniqueItems").is_some_and(|value| !value.is_boolean()) {
        return Err(wrong("uniqueItems must be of a boolean".to_owned()));
    }
    Ok(())
}

fn numbers(draft: Draft, keywords: &Map<String, Json>) -> Result<(), Failure> {
    if let Some(factor) = keywords.get("multipleOf") {
        match factor.as_f64() {
            None => return Err(invalid_type("number", "multipleOf")),
            Some(factor) if factor <= 0.0 => {
                return Err(wrong("multipleOf must be strictly greater than 0".to_owned()));
            }
            Some(_) => {}
        }
    }
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        if keywords.get(bound).is_some_and(|value| !value.is_number()) {
            return Err(wrong(format!("{bound} must be of a number")));
        }
        let Some(value) = keywords.get(exclusive) else { continue };
        match (draft, value) {
            (Draft::Four | Draft::Hybrid, Json::Bool(_)) if !keywords.contains_key(bound) => {
                return Err(wrong(format!("{exclusive} cannot be used without {bound}")));
            }
            (Draft::Four | Draft::Hybrid, Json::Bool(_)) => {}
            (Draft::Six | Draft::Seven | Draft::Hybrid, Json::Number(_)) => {}
            (Draft::Four, _) => return Err(invalid_type("boolean", exclusive)),
            (Draft::Hybrid, _) => return Err(invalid_type("boolean/number", exclusive)),
            (Draft::Six | Draft::Seven, _) => return Err(invalid_type("number", exclusive)),
        }
    }
    for (least, most) in [
        ("minLength", "maxLength"),
        ("minItems", "maxItems"),
        ("minProperties", "maxProperties"),
    ] {
        for keyword in [least, most] {
            let Some(value) = keywords.get(keyword) else { continue };
            match value.as_f64().filter(|value| value.fract() == 0.0) {
                None => return Err(wrong(format!("{keyword} must be of an integer"))),
                Some(value) if value < 0.0 => {
                    return Err(wrong(format!("{keyword} must be greater than or equal to 0")));
                }
                Some(_) => {}
            }
        }
        let pair = [least, most].map(|keyword| keywords.get(keyword).and_then(Json::as_f64));
        if let [Some(low), Some(high)] = pair
            && low > high
            && least != "minItems"
        {
            return Err(wrong(format!("{least} cannot be greater than {most}")));
        }
    }
    Ok(())
}

/// Lists whose items may not be repeated.
fn unique(keywords: &Map<String, Json>) -> Result<(), Failure> {
    for keyword in ["required", "enum"] {
        let Some(value) = keywords.get(keyword) else { continue };
        let items = value
            .as_array()
            .ok_or_else(|| wrong(format!("{keyword} must be of an array")))?;
        if keyword == "required" && items.iter().any(|item| !item.is_string()) {
            return Err(invalid_type("string", keyword));
        }
        let repeated = |(place, item): (usize, &Json)| items[..place].contains(item);
        if items.iter().enumerate().any(repeated) {
            return Err(wrong(format!("{keyword} items must be unique")));
        }
    }
    Ok(())
}

fn inner(schema: &Schema, keywords: &Map<String, Json>, depth: usize) -> Result<(), Failure> {
    let go = |at: &Json| check(schema, at, depth + 1);
    let is_schema = |value: &Json| value.is_boolean() || value.is_object();
    for keyword in ["definitions", "properties", "patternProperties", "dependencies"] {
        let Some(value) = keywords.get(keyword) else { continue };
        let fields = value.as_object().ok_or_else(|| match keyword {
            "definitions" => invalid_type("array of schemas", keyword),
            "patternProperties" => invalid_type("valid schema", keyword),
            _ => wrong(format!("{keyword} must be of type object")),
        })?;
        for (name, value) in fields {
            if keyword == "patternProperties" && compile(name).is_err() {
                return Err(wrong(format!("Invalid regex pattern '{name}'")));
            }
            match value {
                Json::Array(names) if keyword == "dependencies" && names.iter().all(Json::is_string) => {}
                value if is_schema(value) => go(value)?,
                _ if keyword == "dependencies" => {
                    return Err(wrong(
                        "dependency must be of type schema or array of strings".to_owned(),
                    ));
                }
                value => go(value)?,
            }
        }
    }
    for keyword in ["oneOf", "anyOf", "allOf"] {
        let Some(value) = keywords.get(keyword) else { continue };
        let items = value.as_array();
        let items = items.ok_or_else(|| wrong(format!("{keyword} must be of an array")))?;
        items.iter().try_for_each(go)?;
    }
    match keywords.get("items") {
        Some(Json::Array(items)) => items.iter().try_for_each(go)?,
        Some(items) if is_schema(items) => go(items)?,
        Some(_) => return Err(invalid_type("valid schema/array of schemas", "items")),
        None => {}
    }
    for keyword in ["additionalProperties", "additionalItems"] {
        match keywords.get(keyword) {
            None | Some(Json::Bool(_)) => {}
            Some(value @ Json::Object(_)) => go(value)?,
            Some(_) => return Err(invalid_type("boolean/valid schema", keyword)),
        }
    }
    let later: [(&str, Draft); 6] = [
        ("not", Draft::Four),
        ("contains", Draft::Six),
        ("propertyNames", Draft::Six),
        ("if", Draft::Seven),
        ("then", Draft::Seven),
        ("else", Draft::Seven),
    ];
    for (keyword, since) in later.into_iter().filter(|(_, since)| schema.draft >= *since) {
        match keywords.get(keyword) {
            None => {}
            Some(value) if is_schema(value) => go(value)?,
            Some(_) => return Err(wrong(format!("{keyword} must be of an object (draft {since:?})"))),
        }
    }
    Ok(())
}
