//! `json.match_schema` and `json.verify_schema`, with the words of the validator that OPA uses.
//!
//! A keyword that is not checked here halts by name: a document that passed because a demand was not understood would
//! be a lie.

use std::cell::Cell;

use regorus::Value;
use serde_json::{Map, Value as Json};

use super::call::{Call, Outcome, array, compile, object, wrong};
use super::{Failure, Family};

pub(super) const FAMILY: Family = &[
    ("json.match_schema", match_schema),
    ("json.verify_schema", verify_schema),
];

const DEEPEST: usize = 128;
/// How many times one call asks a schema about a value: references may branch without end.
const MOST_CHECKS: u32 = 1 << 22;
const TYPES: [&str; 7] = ["array", "boolean", "integer", "number", "null", "object", "string"];
/// Says something to people, or is found by reference.
const SILENT: [&str; 11] = [
    "title",
    "description",
    "default",
    "examples",
    "$schema",
    "$id",
    "id",
    "$comment",
    "definitions",
    "$defs",
    "readOnly",
];
const CHECKED: [&str; 26] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "$ref",
    "additionalItems",
    "writeOnly",
];

fn operand(call: &Call<'_>, place: usize) -> Result<Json, Failure> {
    match call.any(place) {
        Value::String(text) => serde_json::from_str(text).map_err(|e| format!("jsonschema: {e}").into()),
        value @ Value::Object(_) => serde_json::to_value(value).map_err(|e| format!("jsonschema: {e}").into()),
        other => Err(wrong(place, "string, object", other)),
    }
}

fn verify_schema(call: &mut Call<'_>) -> Outcome {
    let checked = operand(call, 0).and_then(|schema| understood(&schema, 0));
    match checked {
        Ok(()) => Ok(array([true.into(), Value::Null])),
        Err(Failure::Error(why)) => Ok(array([false.into(), why.into()])),
        Err(halt) => Err(halt),
    }
}

fn match_schema(call: &mut Call<'_>) -> Outcome {
    let (document, schema) = (operand(call, 0)?, operand(call, 1)?);
    understood(&schema, 0)?;
    let mut findings = Vec::new();
    Validator {
        root: &schema,
        checks: Cell::new(0),
    }
    .check(&document, &schema, "(Root)", &mut findings, 0)?;
    let rows = findings.iter().map(|finding| {
        let fields = [
            ("desc", finding.what.clone()),
            ("error", format!("{}: {}", finding.field, finding.what)),
            ("field", finding.field.clone()),
            ("type", finding.kind.to_owned()),
        ];
        object(fields.into_iter().map(|(key, value)| (key.into(), value.into())))
    });
    Ok(array([findings.is_empty().into(), array(rows)]))
}

/// Whether a schema is one, and one whose every demand is checked here.
fn understood(schema: &Json, depth: usize) -> Result<(), Failure> {
    let Json::Object(keywords) = schema else {
        return match schema {
            Json::Bool(_) => Ok(()),
            _ => Err("jsonschema: schema is invalid".into()),
        };
    };
    if depth > DEEPEST {
        return Err(Failure::Halt("the schema is nested too deeply".to_owned()));
    }
    for (keyword, value) in keywords {
        if !CHECKED.contains(&keyword.as_str()) && !SILENT.contains(&keyword.as_str()) {
            return Err(Failure::Halt(format!(
                "the schema keyword {keyword:?} is not checked by this version"
            )));
        }
        match (keyword.as_str(), value) {
            ("type", value) => types(value).try_for_each(|name| match TYPES.contains(&name) {
                true => Ok(()),
                false => Err(Failure::Error(format!(
                    "jsonschema: has a primitive type that is NOT VALID -- given: /{name}/ Expected valid values are:[{}]",
                    TYPES.join(" ")
                ))),
            })?,
            ("properties" | "definitions" | "$defs", Json::Object(inner)) => {
                inner.values().try_for_each(|inner| understood(inner, depth + 1))?;
            }
            ("allOf" | "anyOf" | "oneOf" | "items", Json::Array(inner)) => {
                inner.iter().try_for_each(|inner| understood(inner, depth + 1))?;
            }
            ("not" | "items" | "additionalProperties" | "additionalItems", inner) => understood(inner, depth + 1)?,
            ("pattern", Json::String(pattern)) => {
                compile(pattern).map_err(|_| format!("jsonschema: invalid regex pattern {pattern}"))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn types(value: &Json) -> impl Iterator<Item = &str> {
    let many = value.as_array().map(Vec::as_slice).unwrap_or_default();
    value.as_str().into_iter().chain(many.iter().filter_map(Json::as_str))
}

struct Finding {
    kind: &'static str,
    field: String,
    what: String,
}

struct Validator<'a> {
    root: &'a Json,
    checks: Cell<u32>,
}

type Findings = Vec<Finding>;

impl Validator<'_> {
    fn check(&self, value: &Json, schema: &Json, field: &str, out: &mut Findings, depth: usize) -> Result<(), Failure> {
        if depth > DEEPEST {
            return Err(Failure::Halt("the schema's references go round".to_owned()));
        }
        self.checks.set(self.checks.get() + 1);
        if self.checks.get() > MOST_CHECKS {
            return Err(Failure::Halt("the schema branches for too long".to_owned()));
        }
        let mut say = |kind, what: String| {
            out.push(Finding {
                kind,
                field: field.to_owned(),
                what,
            });
        };
        let keywords = match schema {
            Json::Object(keywords) => keywords,
            Json::Bool(false) => {
                say("false", "False always fails validation".to_owned());
                return Ok(());
            }
            _ => return Ok(()),
        };
        if let Some(Json::String(reference)) = keywords.get("$ref") {
            let target = reference
                .strip_prefix('#')
                .and_then(|pointer| self.root.pointer(pointer));
            let target = target
                .ok_or_else(|| Failure::Halt(format!("the schema refers to {reference}, which is not within it")))?;
            return self.check(value, target, field, out, depth + 1);
        }
        if let Some(wanted) = keywords.get("type") {
            let given = type_of(value);
            if !types(wanted).any(|name| name == given || (name == "number" && given == "integer")) {
                let wanted: Vec<&str> = types(wanted).collect();
                say(
                    "invalid_type",
                    format!("Invalid type. Expected: {}, given: {given}", wanted.join("/")),
                );
                return Ok(());
            }
        }
        self.combined(value, keywords, field, out, depth)?;
        let mut say = |kind, what: String| {
            out.push(Finding {
                kind,
                field: field.to_owned(),
                what,
            });
        };
        if let Some(wanted) = keywords.get("const")
            && !crate::selftest::equal(wanted, value)
        {
            say("const", format!("{field} does not match: {wanted}"));
        }
        if let Some(Json::Array(allowed)) = keywords.get("enum")
            && !allowed.iter().any(|one| crate::selftest::equal(one, value))
        {
            let allowed: Vec<String> = allowed.iter().map(Json::to_string).collect();
            say(
                "enum",
                format!("{field} must be one of the following: {}", allowed.join(", ")),
            );
        }
        scalars(value, keywords, &mut say)?;
        self.inside(value, keywords, field, out, depth)
    }

    fn combined(
        &self,
        value: &Json,
        keywords: &Map<String, Json>,
        field: &str,
        out: &mut Findings,
        depth: usize,
    ) -> Result<(), Failure> {
        let list = |name: &str| keywords.get(name).and_then(Json::as_array);
        let tried = |schemas: &Vec<Json>| -> Result<Vec<Findings>, Failure> {
            let try_one = |schema: &Json| {
                let mut found = Vec::new();
                self.check(value, schema, field, &mut found, depth + 1).map(|()| found)
            };
            schemas.iter().map(try_one).collect()
        };
        let said = |kind, what: &str| Finding {
            kind,
            field: field.to_owned(),
            what: what.to_owned(),
        };
        if let Some(schemas) = list("anyOf") {
            let results = tried(schemas)?;
            if !results.iter().any(Vec::is_empty) {
                out.push(said("number_any_of", "Must validate at least one schema (anyOf)"));
                out.extend(results.into_iter().min_by_key(Vec::len).unwrap_or_default());
            }
        }
        if let Some(schemas) = list("oneOf") {
            let results = tried(schemas)?;
            match results.iter().filter(|found| found.is_empty()).count() {
                1 => {}
                none_or_many => {
                    out.push(said("number_one_of", "Must validate one and only one schema (oneOf)"));
                    if none_or_many == 0 {
                        out.extend(results.into_iter().min_by_key(Vec::len).unwrap_or_default());
                    }
                }
            }
        }
        if let Some(schemas) = list("allOf") {
            let results = tried(schemas)?;
            let all = results.iter().all(Vec::is_empty);
            out.extend(results.into_iter().flatten());
            if !all {
                out.push(said("number_all_of", "Must validate all the schemas (allOf)"));
            }
        }
        if let Some(schema) = keywords.get("not")
            && tried(&vec![schema.clone()])?.iter().all(Vec::is_empty)
        {
            out.push(said("number_not", "Must not validate the schema (not)"));
        }
        Ok(())
    }

    /// The demands on elements and properties, and on their number.
    fn inside(
        &self,
        value: &Json,
        keywords: &Map<String, Json>,
        field: &str,
        out: &mut Findings,
        depth: usize,
    ) -> Result<(), Failure> {
        let below = |name: &str| match field {
            "(Root)" => name.to_owned(),
            field => format!("{field}.{name}"),
        };
        let say = |out: &mut Findings, kind, what: String| {
            out.push(Finding {
                kind,
                field: field.to_owned(),
                what,
            });
        };
        match value {
            Json::Object(fields) => {
                count(
                    fields.len(),
                    keywords,
                    ("minProperties", "maxProperties"),
                    &mut |low, bound| match low {
                        true => say(
                            out,
                            "array_min_properties",
                            format!("Must have at least {bound} properties"),
                        ),
                        false => say(
                            out,
                            "array_max_properties",
                            format!("Must have at most {bound} properties"),
                        ),
                    },
                );
                for name in keywords.get("required").and_then(Json::as_array).into_iter().flatten() {
                    if let Some(name) = name.as_str().filter(|name| !fields.contains_key(*name)) {
                        say(out, "required", format!("{name} is required"));
                    }
                }
                let properties = keywords.get("properties").and_then(Json::as_object);
                for (name, value) in fields {
                    match (
                        properties.and_then(|properties| properties.get(name)),
                        keywords.get("additionalProperties"),
                    ) {
                        (Some(schema), _) => self.check(value, schema, &below(name), out, depth + 1)?,
                        (None, Some(Json::Bool(false))) => {
                            say(
                                out,
                                "additional_property_not_allowed",
                                format!("Additional property {name} is not allowed"),
                            );
                        }
                        (None, Some(schema)) => self.check(value, schema, &below(name), out, depth + 1)?,
                        (None, None) => {}
                    }
                }
            }
            Json::Array(items) => {
                count(
                    items.len(),
                    keywords,
                    ("minItems", "maxItems"),
                    &mut |low, bound| match low {
                        true => say(
                            out,
                            "array_min_items",
                            format!("Array must have at least {bound} items"),
                        ),
                        false => say(out, "array_max_items", format!("Array must have at most {bound} items")),
                    },
                );
                if keywords.get("uniqueItems") == Some(&Json::Bool(true)) {
                    for (place, item) in items.iter().enumerate() {
                        if let Some(earlier) = items[..place].iter().position(|one| crate::selftest::equal(one, item)) {
                            say(out, "unique", format!("array items[{earlier},{place}] must be unique"));
                        }
                    }
                }
                for (place, item) in items.iter().enumerate() {
                    let schema = match keywords.get("items") {
                        Some(Json::Array(schemas)) => schemas.get(place).or_else(|| keywords.get("additionalItems")),
                        other => other,
                    };
                    if let Some(schema) = schema {
                        self.check(item, schema, &below(&place.to_string()), out, depth + 1)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn type_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() && number.as_f64().is_some_and(|n| n.fract() != 0.0) => "number",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

fn count(found: usize, keywords: &Map<String, Json>, (low, high): (&str, &str), say: &mut dyn FnMut(bool, u64)) {
    let bound = |name: &str| keywords.get(name).and_then(Json::as_u64);
    let found = u64::try_from(found).unwrap_or(u64::MAX);
    if let Some(bound) = bound(low).filter(|bound| found < *bound) {
        say(true, bound);
    }
    if let Some(bound) = bound(high).filter(|bound| found > *bound) {
        say(false, bound);
    }
}

fn scalars(
    value: &Json,
    keywords: &Map<String, Json>,
    say: &mut dyn FnMut(&'static str, String),
) -> Result<(), Failure> {
    if let Json::String(text) = value {
        count(
            text.chars().count(),
            keywords,
            ("minLength", "maxLength"),
            &mut |low, bound| match low {
                true => say(
                    "string_gte",
                    format!("String length must be greater than or equal to {bound}"),
                ),
                false => say(
                    "string_lte",
                    format!("String length must be less than or equal to {bound}"),
                ),
            },
        );
        if let Some(Json::String(pattern)) = keywords.get("pattern") {
            let found = compile(pattern).map_err(|e| format!("jsonschema: {e}"))?;
            if !found.is_match(text) {
                say("pattern", format!("Does not match pattern '{pattern}'"));
            }
        }
    }
    let Some(number) = value.as_f64() else {
        return Ok(());
    };
    type Holds = fn(f64, f64) -> bool;
    let bounds: [(&str, &'static str, &str, Holds); 4] = [
        ("minimum", "number_gte", "Must be greater than or equal to", |n, b| {
            n >= b
        }),
        ("exclusiveMinimum", "number_gt", "Must be greater than", |n, b| n > b),
        ("maximum", "number_lte", "Must be less than or equal to", |n, b| n <= b),
        ("exclusiveMaximum", "number_lt", "Must be less than", |n, b| n < b),
    ];
    for (keyword, kind, words, holds) in bounds {
        if let Some(bound) = keywords
            .get(keyword)
            .filter(|bound| bound.as_f64().is_some_and(|b| !holds(number, b)))
        {
            say(kind, format!("{words} {bound}"));
        }
    }
    Ok(())
}
