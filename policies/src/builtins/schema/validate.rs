//! A document against a schema: every demand that it does not meet, in the order in which OPA's validator says them.
//!
//! Of several schemas of which one should have held, the closest one's findings are told. How close one is is the score that
//! the validator keeps; it is part of what is said, and kept here too.

use std::cell::Cell;

use serde_json::{Map, Value as Json};

use super::super::Failure;
use super::super::call::compile;
use super::{DEEPEST, Draft, Schema, formats, types};
use crate::selftest::equal;

/// How many times one call asks a schema about a value: references may branch without end.
const MOST_CHECKS: u32 = 1 << 22;

/// A demand that is not met.
pub(super) struct Finding {
    pub(super) kind: &'static str,
    pub(super) field: String,
    pub(super) what: String,
}

/// What came of one schema.
#[derive(Default)]
struct Found {
    findings: Vec<Finding>,
    score: i64,
}

impl Found {
    fn say(&mut self, field: &str, kind: &'static str, what: impl Into<String>) {
        self.findings.push(Finding {
            kind,
            field: field.to_owned(),
            what: what.into(),
        });
        self.score -= 2;
    }

    fn merge(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.score += other.score;
    }

    fn holds(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Keeps whichever has the higher score; of equals, the first.
fn closest(best: &mut Option<Found>, found: Found) {
    if best.as_ref().is_none_or(|best| found.score > best.score) {
        *best = Some(found);
    }
}

/// A schema, asked about values.
pub(super) struct Validator<'a> {
    schema: &'a Schema,
    checks: Cell<u32>,
}

type Keywords = Map<String, Json>;
type Done = Result<(), Failure>;

impl<'a> Validator<'a> {
    pub(super) fn new(schema: &'a Schema) -> Self {
        Self {
            schema,
            checks: Cell::new(0),
        }
    }

    /// Everything that is wrong with a document.
    pub(super) fn validate(&self, document: &Json) -> Result<Vec<Finding>, Failure> {
        Ok(self.of(document, &self.schema.root, "(Root)", 0)?.findings)
    }

    fn of(&self, value: &Json, schema: &Json, field: &str, depth: usize) -> Result<Found, Failure> {
        let mut out = Found::default();
        self.check(value, schema, field, &mut out, depth + 1)?;
        Ok(out)
    }

    fn check(&self, value: &Json, schema: &Json, field: &str, out: &mut Found, depth: usize) -> Done {
        if depth > DEEPEST {
            return Err(Failure::Halt("the schema's references go round".to_owned()));
        }
        self.checks.set(self.checks.get() + 1);
        if self.checks.get() > MOST_CHECKS {
            return Err(Failure::Halt("the schema branches for too long".to_owned()));
        }
        let keywords = match schema {
            Json::Object(keywords) => keywords,
            Json::Bool(false) => {
                out.say(field, "false", "False always fails validation");
                return Ok(());
            }
            _ => return Ok(()),
        };
        if let Some(Json::String(reference)) = keywords.get("$ref") {
            return self.check(value, self.schema.target(reference)?, field, out, depth + 1);
        }
        let (wanted, given) = (types(keywords), type_of(value));
        if !wanted.is_empty()
            && !wanted
                .iter()
                .any(|name| *name == given || (*name == "number" && given == "integer"))
        {
            out.say(
                field,
                "invalid_type",
                format!("Invalid type. Expected: {}, given: {given}", wanted.join("/")),
            );
            return Ok(());
        }
        self.combined(value, keywords, field, out, depth)?;
        match value {
            Json::Number(_) => numbers(value, keywords, field, out),
            Json::Array(items) => self.array(items, keywords, field, out, depth)?,
            Json::Object(fields) => self.object(fields, keywords, field, out, depth)?,
            _ => {}
        }
        self.common(value, keywords, field, out);
        if let Json::String(text) = value {
            let bounds = [("string_gte", "minLength"), ("string_lte", "maxLength")];
            count(
                text.chars().count(),
                keywords,
                bounds,
                field,
                out,
                |more, bound| match more {
                    true => format!("String length must be greater than or equal to {bound}"),
                    false => format!("String length must be less than or equal to {bound}"),
                },
            );
            out.score += 1;
        }
        if let (Json::Object(fields), Some(Json::Object(properties))) = (value, keywords.get("properties")) {
            for (name, schema) in properties {
                if let Some(value) = fields.get(name) {
                    self.check(value, schema, &below(field, name), out, depth + 1)?;
                }
            }
        }
        out.score += 1;
        Ok(())
    }

    /// Schemas that hold together with others, or where others do.
    fn combined(&self, value: &Json, keywords: &Keywords, field: &str, out: &mut Found, depth: usize) -> Done {
        let list = |name: &str| {
            keywords
                .get(name)
                .and_then(Json::as_array)
                .filter(|list| !list.is_empty())
        };
        let of = |schema: &Json| self.of(value, schema, field, depth);
        if let Some(schemas) = list("anyOf") {
            let (mut any, mut best) = (false, None);
            for schema in schemas {
                let found = of(schema)?;
                any = found.holds();
                if any {
                    break;
                }
                closest(&mut best, found);
            }
            if !any {
                out.say(field, "number_any_of", "Must validate at least one schema (anyOf)");
                best.into_iter().for_each(|best| out.merge(best));
            }
        }
        if let Some(schemas) = list("oneOf") {
            let (mut held, mut best) = (0, None);
            for schema in schemas {
                let found = of(schema)?;
                match found.holds() {
                    true => held += 1,
                    false if held == 0 => closest(&mut best, found),
                    false => {}
                }
            }
            if held != 1 {
                out.say(field, "number_one_of", "Must validate one and only one schema (oneOf)");
                best.into_iter().filter(|_| held == 0).for_each(|best| out.merge(best));
            }
        }
        if let Some(schemas) = list("allOf") {
            let mut held = 0;
            for schema in schemas {
                let found = of(schema)?;
                held += usize::from(found.holds());
                out.merge(found);
            }
            if held != schemas.len() {
                out.say(field, "number_all_of", "Must validate all the schemas (allOf)");
            }
        }
        if let Some(schema) = keywords.get("not")
            && of(schema)?.holds()
        {
            out.say(field, "number_not", "Must not validate the schema (not)");
        }
        self.dependencies(value, keywords, field, out, depth)?;
        if let Some(condition) = keywords.get("if").filter(|_| self.schema.draft >= Draft::Seven) {
            let (branch, kind, what) = match of(condition)?.holds() {
                true => ("then", "condition_then", "Must validate \"then\" as \"if\" was valid"),
                false => (
                    "else",
                    "condition_else",
                    "Must validate \"else\" as \"if\" was not valid",
                ),
            };
            let found = keywords.get(branch).map(of).transpose()?;
            if let Some(found) = found.filter(|found| !found.holds()) {
                out.say(field, kind, what);
                out.merge(found);
            }
        }
        out.score += 1;
        Ok(())
    }

    fn dependencies(&self, value: &Json, keywords: &Keywords, field: &str, out: &mut Found, depth: usize) -> Done {
        let (Json::Object(fields), Some(Json::Object(all))) = (value, keywords.get("dependencies")) else {
            return Ok(());
        };
        for name in fields.keys() {
            match all.get(name) {
                Some(Json::Array(needed)) => {
                    for needed in needed.iter().filter_map(Json::as_str) {
                        if !fields.contains_key(needed) {
                            out.say(field, "missing_dependency", format!("Has a dependency on {needed}"));
                        }
                    }
                }
                Some(schema) => self.check(value, schema, field, out, depth + 1)?,
                None => {}
            }
        }
        Ok(())
    }

    /// What is demanded of any value.
    fn common(&self, value: &Json, keywords: &Keywords, field: &str, out: &mut Found) {
        if let Some(wanted) = keywords.get("const").filter(|_| self.schema.draft >= Draft::Six)
            && !equal(wanted, value)
        {
            out.say(field, "const", format!("{field} does not match: {wanted}"));
        }
        if let Some(Json::Array(allowed)) = keywords.get("enum")
            && !allowed.is_empty()
            && !allowed.iter().any(|one| equal(one, value))
        {
            let allowed: Vec<String> = allowed.iter().map(Json::to_string).collect();
            let what = format!("{field} must be one of the following: {}", allowed.join(", "));
            out.say(field, "enum", what);
        }
        if let (Some(Json::String(format)), Json::String(text)) = (keywords.get("format"), value)
            && !formats::holds(format, text)
        {
            out.say(field, "format", format!("Does not match format '{format}'"));
        }
        out.score += 1;
    }

    fn array(&self, items: &[Json], keywords: &Keywords, field: &str, out: &mut Found, depth: usize) -> Done {
        let at = |place: usize| below(field, &place.to_string());
        match keywords.get("items") {
            Some(Json::Array(schemas)) => {
                for (place, (item, schema)) in items.iter().zip(schemas).enumerate() {
                    out.merge(self.of(item, schema, &at(place), depth)?);
                }
                match keywords.get("additionalItems") {
                    Some(Json::Bool(false)) if !schemas.is_empty() && items.len() > schemas.len() => {
                        out.say(
                            field,
                            "array_no_additional_items",
                            "No additional items allowed on array",
                        );
                    }
                    Some(schema @ Json::Object(_)) if !schemas.is_empty() => {
                        for (place, item) in items.iter().enumerate().skip(schemas.len()) {
                            out.merge(self.of(item, schema, &at(place), depth)?);
                        }
                    }
                    _ => {}
                }
            }
            Some(schema) => {
                for (place, item) in items.iter().enumerate() {
                    out.merge(self.of(item, schema, &at(place), depth)?);
                }
            }
            None => {}
        }
        let bounds = [("array_min_items", "minItems"), ("array_max_items", "maxItems")];
        count(items.len(), keywords, bounds, field, out, |more, bound| match more {
            true => format!("Array must have at least {bound} items"),
            false => format!("Array must have at most {bound} items"),
        });
        if keywords.get("uniqueItems") == Some(&Json::Bool(true)) {
            for (place, item) in items.iter().enumerate() {
                if let Some(earlier) = items[..place].iter().rposition(|one| equal(one, item)) {
                    let what = format!("array items[{earlier},{place}] must be unique");
                    out.say(field, "unique", what);
                }
            }
        }
        if let Some(schema) = keywords.get("contains").filter(|_| self.schema.draft >= Draft::Six) {
            let (mut one, mut best) = (false, None);
            for (place, item) in items.iter().enumerate() {
                let found = self.of(item, schema, &at(place), depth)?;
                one = found.holds();
                if one {
                    break;
                }
                closest(&mut best, found);
            }
            if !one {
                out.say(field, "contains", "At least one of the items must match");
                best.into_iter().for_each(|best| out.merge(best));
            }
        }
        out.score += 1;
        Ok(())
    }

    fn object(&self, fields: &Keywords, keywords: &Keywords, field: &str, out: &mut Found, depth: usize) -> Done {
        let bounds = [
            ("array_min_properties", "minProperties"),
            ("array_max_properties", "maxProperties"),
        ];
        count(fields.len(), keywords, bounds, field, out, |more, bound| match more {
            true => format!("Must have at least {bound} properties"),
            false => format!("Must have at most {bound} properties"),
        });
        let required = keywords.get("required").and_then(Json::as_array).into_iter().flatten();
        for name in required.filter_map(Json::as_str) {
            match fields.contains_key(name) {
                true => out.score += 1,
                false => out.say(field, "required", format!("{name} is required")),
            }
        }
        let properties = keywords.get("properties").and_then(Json::as_object);
        let patterns = keywords.get("patternProperties").and_then(Json::as_object);
        for (name, value) in fields {
            let at = below(field, name);
            let mut known = false;
            for (pattern, schema) in patterns.into_iter().flatten() {
                if compile(pattern).is_ok_and(|pattern| pattern.is_match(name)) {
                    known = true;
                    out.merge(self.of(value, schema, &at, depth)?);
                }
            }
            out.score += i64::from(known);
            if known || properties.is_some_and(|properties| properties.contains_key(name)) {
                continue;
            }
            match keywords.get("additionalProperties") {
                Some(Json::Bool(false)) => {
                    let what = format!("Additional property {name} is not allowed");
                    out.say(field, "additional_property_not_allowed", what);
                }
                Some(schema) => out.merge(self.of(value, schema, &at, depth)?),
                None => {}
            }
        }
        if let Some(schema) = keywords
            .get("propertyNames")
            .filter(|_| self.schema.draft >= Draft::Six)
        {
            for name in fields.keys() {
                let found = self.of(&Json::String(name.clone()), schema, field, depth)?;
                if !found.holds() {
                    let what = format!("Property name of \"{name}\" does not match");
                    out.say(field, "invalid_property_name", what);
                    out.merge(found);
                }
            }
        }
        out.score += 1;
        Ok(())
    }
}

fn below(field: &str, name: &str) -> String {
    match field {
        "(Root)" => name.to_owned(),
        field => format!("{field}.{name}"),
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

/// A lower and an upper bound on how many there are, each with the kind of its finding.
fn count(
    found: usize,
    keywords: &Keywords,
    [low, high]: [(&'static str, &str); 2],
    field: &str,
    out: &mut Found,
    words: fn(bool, f64) -> String,
) {
    let found = u32::try_from(found).map_or(f64::INFINITY, f64::from);
    let bound = |name: &str| keywords.get(name).and_then(Json::as_f64);
    if let Some(bound) = bound(low.1).filter(|bound| found < *bound) {
        out.say(field, low.0, words(true, bound));
    }
    if let Some(bound) = bound(high.1).filter(|bound| found > *bound) {
        out.say(field, high.0, words(false, bound));
    }
}

fn numbers(value: &Json, keywords: &Keywords, field: &str, out: &mut Found) {
    let Some(number) = value.as_f64() else { return };
    let bound = |name: &str| keywords.get(name).and_then(Json::as_f64);
    // In the old way, an exclusive bound is a word beside the bound.
    let excluded = |name: &str, beside: &str| match keywords.get(name) {
        Some(Json::Bool(true)) => (bound(beside), None),
        Some(Json::Number(exclusive)) => (exclusive.as_f64(), bound(beside)),
        _ => (None, bound(beside)),
    };
    if let Some(factor) = bound("multipleOf")
        && !is_multiple(number, factor)
    {
        out.say(field, "multiple_of", format!("Must be a multiple of {factor}"));
    }
    let (below, most) = excluded("exclusiveMaximum", "maximum");
    if let Some(bound) = most.filter(|bound| number > *bound) {
        out.say(field, "number_lte", format!("Must be less than or equal to {bound}"));
    }
    if let Some(bound) = below.filter(|bound| number >= *bound) {
        out.say(field, "number_lt", format!("Must be less than {bound}"));
    }
    let (above, least) = excluded("exclusiveMinimum", "minimum");
    if let Some(bound) = least.filter(|bound| number < *bound) {
        out.say(field, "number_gte", format!("Must be greater than or equal to {bound}"));
    }
    if let Some(bound) = above.filter(|bound| number <= *bound) {
        out.say(field, "number_gt", format!("Must be greater than {bound}"));
    }
    out.score += 1;
}

/// Whether one is a whole number of times the other, in decimal.
fn is_multiple(number: f64, factor: f64) -> bool {
    let times = number / factor;
    (times - times.round()).abs() <= times.abs() * f64::EPSILON * 4.0
}
