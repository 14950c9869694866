//! What OPA's validator says of schemas and documents, where its own cases are silent.

use serde_json::{Value, json};

use super::validate::Validator;
use super::{Failure, Schema};

fn said(schema: Value, document: Value) -> Vec<String> {
    let schema = Schema::new(schema).unwrap_or_else(|why| panic!("{why:?}"));
    let findings = Validator::new(&schema).validate(&document).unwrap();
    findings
        .into_iter()
        .map(|finding| format!("{} {}: {}", finding.kind, finding.field, finding.what))
        .collect()
}

fn refused(schema: Value) -> String {
    match Schema::new(schema) {
        Err(Failure::Error(why) | Failure::Halt(why)) => why,
        Ok(_) => String::new(),
    }
}

#[test]
fn each_keyword_says_its_words() {
    for (schema, document, words) in [
        (
            json!({"patternProperties": {"^a": {"type": "string"}}, "additionalProperties": false}),
            json!({"ab": 1, "b": 2}),
            vec![
                "invalid_type ab: Invalid type. Expected: string, given: integer",
                "additional_property_not_allowed (Root): Additional property b is not allowed",
            ],
        ),
        (json!({"pattern": "^a$"}), json!("b"), vec![]),
        (
            json!({"format": "date"}),
            json!("2026-02-29"),
            vec!["format (Root): Does not match format 'date'"],
        ),
        (
            json!({"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}),
            json!({"a": 1, "c": 1}),
            vec![
                "missing_dependency (Root): Has a dependency on b",
                "required (Root): d is required",
            ],
        ),
        (
            json!({"contains": {"const": 1}}),
            json!([2]),
            vec![
                "contains (Root): At least one of the items must match",
                "const 0: 0 does not match: 1",
            ],
        ),
        (
            json!({"propertyNames": {"maxLength": 1}}),
            json!({"ab": 1}),
            vec![
                "invalid_property_name (Root): Property name of \"ab\" does not match",
                "string_lte (Root): String length must be less than or equal to 1",
            ],
        ),
        (
            json!({"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 5}}),
            json!(3),
            vec![
                "condition_else (Root): Must validate \"else\" as \"if\" was not valid",
                "number_gte (Root): Must be greater than or equal to 5",
            ],
        ),
        (
            json!({"multipleOf": 0.1}),
            json!(0.35),
            vec!["multiple_of (Root): Must be a multiple of 0.1"],
        ),
        (json!({"multipleOf": 0.1}), json!(0.3), vec![]),
        (
            json!({"maximum": 3, "exclusiveMaximum": true}),
            json!(3),
            vec!["number_lt (Root): Must be less than 3"],
        ),
        (
            json!({"items": [{}], "additionalItems": false}),
            json!([1, 2]),
            vec!["array_no_additional_items (Root): No additional items allowed on array"],
        ),
        (
            json!({"$def": {"x": 1}, "deprecated": true, "$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}}),
            json!(1),
            vec!["invalid_type (Root): Invalid type. Expected: null, given: integer"],
        ),
        (
            json!({"properties": {"a": {"$ref": "#name"}}, "definitions": {"x": {"$id": "#name", "type": "string"}}}),
            json!({"a": 1}),
            vec!["invalid_type a: Invalid type. Expected: string, given: integer"],
        ),
        // The closest of several: whichever holds in more of its parts.
        (
            json!({"anyOf": [{"type": "string"}, {"required": ["a", "b"], "properties": {"a": {"type": "null"}}}]}),
            json!({"a": null}),
            vec![
                "number_any_of (Root): Must validate at least one schema (anyOf)",
                "required (Root): b is required",
            ],
        ),
        (
            json!({"$schema": "http://json-schema.org/draft-04/schema#", "const": 1, "contains": {"type": "null"}}),
            json!([2]),
            vec![],
        ),
    ] {
        assert_eq!(said(schema.clone(), document), words, "{schema}");
    }
}

#[test]
fn what_is_no_schema_is_refused_with_the_reason() {
    for (schema, words) in [
        (json!({"minLength": "1"}), "jsonschema: minLength must be of an integer"),
        (
            json!({"minItems": -1}),
            "jsonschema: minItems must be greater than or equal to 0",
        ),
        (
            json!({"multipleOf": 0}),
            "jsonschema: multipleOf must be strictly greater than 0",
        ),
        (
            json!({"required": ["a", "a"]}),
            "jsonschema: required items must be unique",
        ),
        (
            json!({"properties": {"a": {"items": 1}}}),
            "jsonschema: Invalid type. Expected: valid schema/array of schemas, given: items",
        ),
        (
            json!({"patternProperties": {"(": {}}}),
            "jsonschema: Invalid regex pattern '('",
        ),
        (json!({"$ref": "#/nowhere"}), "jsonschema: Object has no key 'nowhere'"),
        (
            json!({"$ref": "http://127.0.0.1/x.json"}),
            "the schema refers to http://127.0.0.1/x.json, which is not within it",
        ),
        (json!({"pattern": "(?!a)"}), ""),
    ] {
        assert_eq!(refused(schema), words);
    }
}

#[test]
fn formats_are_told_apart() {
    for (format, good, bad) in [
        ("date", "2024-02-29", "2024-2-29"),
        ("time", "15:04:05+01:00", "25:00:00"),
        ("date-time", "2024-02-29T15:04:05.5Z", "2024-02-29 15:04:05Z"),
        ("hostname", "a-b.example", "a_b"),
        ("email", "Some One <a.b@example.org>", "a@b@c"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", "10.0.0.1"),
        ("uri", "https://a.example:8/b?c#d", "a/b"),
        ("uri-reference", "../a", "a\\b"),
        ("uuid", "12345678-1234-1234-1234-123456789ABC", "12345678"),
        ("regex", "a+", "("),
        ("json-pointer", "/a/~0", "a"),
        ("no-such-format", "anything", ""),
    ] {
        assert!(super::formats::holds(format, good), "{format} {good}");
        assert!(bad.is_empty() || !super::formats::holds(format, bad), "{format} {bad}");
    }
}
