//! `json.match_schema` and `json.verify_schema`, as the validator does it that OPA uses, with its words.
//!
//! Drafts 4, 6 and 7, and where `$schema` names none of them all their keywords at once. Keywords that are none of those say
//! nothing, and neither does `pattern`: OPA 1.10 leaves it out. What a schema refers to outside of itself halts by name.

mod demands;
mod formats;
mod validate;

use std::collections::BTreeMap;

use regorus::Value;
use serde_json::{Map, Value as Json};

use super::call::{Call, Outcome, array, object};
use super::{Failure, Family};
use validate::Validator;

pub(super) const FAMILY: Family = &[
    ("json.match_schema", match_schema),
    ("json.verify_schema", verify_schema),
];

const DEEPEST: usize = 256;

/// A draft of JSON Schema, as a number that tells which is later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Draft {
    Four,
    Six,
    Seven,
    /// All at once.
    Hybrid,
}

/// A schema that has been found to be one.
struct Schema {
    root: Json,
    draft: Draft,
    /// What can be referred to by a name of its own.
    named: BTreeMap<String, Json>,
}

fn operand(call: &Call<'_>, place: usize) -> Result<Json, Failure> {
    match call.any(place) {
        Value::String(text) => serde_json::from_str(text).map_err(|e| format!("jsonschema: {e}").into()),
        value @ Value::Object(_) => serde_json::to_value(value).map_err(|e| format!("jsonschema: {e}").into()),
        _ => Err("jsonschema: wrong type, expected string or object".into()),
    }
}

fn verify_schema(call: &mut Call<'_>) -> Outcome {
    match operand(call, 0).and_then(Schema::new) {
        Ok(_) => Ok(array([true.into(), Value::Null])),
        Err(Failure::Error(why)) => Ok(array([false.into(), why.into()])),
        Err(halt) => Err(halt),
    }
}

fn match_schema(call: &mut Call<'_>) -> Outcome {
    let (document, schema) = (operand(call, 0)?, Schema::new(operand(call, 1)?)?);
    let findings = Validator::new(&schema).validate(&document)?;
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

impl Schema {
    fn new(root: Json) -> Result<Self, Failure> {
        let draft = match root
            .get("$schema")
            .and_then(Json::as_str)
            .map(|name| name.trim_end_matches('#'))
        {
            Some("http://json-schema.org/draft-04/schema") => Draft::Four,
            Some("http://json-schema.org/draft-06/schema") => Draft::Six,
            Some("http://json-schema.org/draft-07/schema") => Draft::Seven,
            _ => Draft::Hybrid,
        };
        let mut named = BTreeMap::new();
        names(&root, &mut named, 0);
        let schema = Self { root, draft, named };
        demands::check(&schema, &schema.root, 0)?;
        Ok(schema)
    }

    /// What a reference means.
    fn target(&self, reference: &str) -> Result<&Json, Failure> {
        let own = self
            .root
            .get("$id")
            .or_else(|| self.root.get("id"))
            .and_then(Json::as_str);
        let within = own.and_then(|own| reference.strip_prefix(own.trim_end_matches('#')));
        let found = match within.unwrap_or(reference).strip_prefix('#') {
            _ if within == Some("") => Some(&self.root),
            Some(pointer) if pointer.is_empty() || pointer.starts_with('/') => {
                let pointer = super::urlquery::unescaped(pointer)?;
                let found = self.root.pointer(&pointer);
                let found = found.ok_or_else(|| format!("jsonschema: Object has no key '{}'", last(&pointer)));
                return found.map_err(Failure::from);
            }
            _ => self.named.get(reference),
        };
        found.ok_or_else(|| Failure::Halt(format!("the schema refers to {reference}, which is not within it")))
    }
}

fn last(pointer: &str) -> &str {
    pointer.rsplit('/').next().unwrap_or_default()
}

/// Takes note of every schema that has a name of its own.
fn names(schema: &Json, named: &mut BTreeMap<String, Json>, depth: usize) {
    let inner: Vec<&Json> = match schema {
        _ if depth > DEEPEST => return,
        Json::Object(keywords) => {
            let id = ["$id", "id"].into_iter().find_map(|key| keywords.get(key)?.as_str());
            if let Some(id) = id.filter(|_| depth > 0) {
                named.insert(id.to_owned(), schema.clone());
            }
            keywords.values().collect()
        }
        Json::Array(items) => items.iter().collect(),
        _ => return,
    };
    inner.into_iter().for_each(|inner| names(inner, named, depth + 1));
}

/// The names of types that a schema allows.
fn types(keywords: &Map<String, Json>) -> Vec<&str> {
    match keywords.get("type") {
        Some(Json::String(name)) => vec![name],
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
