//! Files in, documents out: what a policy sees as `input`.
//!
//! The values are those that Conftest gives: a file of several YAML documents, or an array at the top of a file, is
//! judged document by document. A file that cannot be read or parsed is reported in its place and the run goes on.

mod apart;
mod conftest;
mod cyclonedx;
mod docker;
mod dotenv;
mod edn;
mod format;
mod hcl;
mod hcl1;
mod ignore;
mod ini;
mod jsonc;
mod jsonnet;
mod locate;
mod nginx;
mod places;
mod properties;
mod relaxed;
mod settings;
mod size;
mod spdx;
mod textproto;
mod walk;
mod xml;
mod yaml;

use serde_json::Value;

pub(crate) use apart::{Question, Reading};
pub(crate) use conftest::{combined, configuration, is_supported, plain};
pub(crate) use format::Format;
pub(crate) use locate::{Step, Wanted, locate, pointer};
pub(crate) use textproto::Proto;
pub(crate) use walk::{Input, data_files, input_files, protos, read, rego_files};
pub(crate) use yaml::parse as parse_yaml;

/// The largest file that is read, in bytes.
pub(crate) const MAX_FILE: u64 = 256 << 20;

/// One document and the line on which it begins, where the format tells.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    pub(crate) value: Value,
    pub(crate) line: Option<u32>,
    pub(crate) origin: Origin,
}

/// Which part of its file a document is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The number of the document in the file, zero-based.
    pub(crate) document: usize,
    /// Which member of the list that this document is.
    pub(crate) member: Option<usize>,
}

/// Parses a file's bytes into its documents; without a format (stdin) by what the bytes are.
pub(crate) fn parse(bytes: &[u8], format: Option<Format>, reading: &Reading<'_>) -> Result<Vec<Document>, String> {
    let text = decode(bytes)?;
    let documents = match format {
        Some(Format::Yaml) => parse_yaml(text)?,
        Some(format) => vec![Document {
            value: format.document(text, reading)?,
            line: None,
            origin: Origin::default(),
        }],
        None => parse_json(text).or_else(|_| parse_yaml(text))?,
    };
    let documents = split_arrays(documents);
    match documents.len() {
        ..=size::MOST_DOCUMENTS => Ok(documents),
        many => Err(format!("holds {many} documents, the limit is {}", size::MOST_DOCUMENTS)),
    }
}

/// Parses a file to one value, as Conftest does: a list, where it holds several documents.
pub(crate) fn whole(bytes: &[u8], format: Format, reading: &Reading<'_>) -> Result<Value, String> {
    let text = decode(bytes)?;
    match format {
        Format::Yaml => yaml::split(text),
        format => format.document(text, reading),
    }
}

/// Parses a file that must hold exactly one document, whatever its shape.
pub(crate) fn parse_one(bytes: &[u8], format: Option<Format>) -> Result<Value, String> {
    let text = decode(bytes)?;
    match format {
        Some(Format::Yaml) => {
            let mut documents = parse_yaml(text)?;
            if documents.len() > 1 {
                Err("holds more than one document".to_owned())
            } else {
                Ok(documents.remove(0).value)
            }
        }
        Some(format) => format.document(text, &Reading::default()),
        None => Format::Json.document(text, &Reading::default()),
    }
}

fn decode(bytes: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| format!("not UTF-8 at byte {}", e.valid_up_to()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn parse_json(text: &str) -> Result<Vec<Document>, String> {
    let value = Format::Json.document(text, &Reading::default())?;
    Ok(vec![Document {
        value,
        line: None,
        origin: Origin::default(),
    }])
}

/// Conftest judges the elements of a top-level array one by one.
fn split_arrays(documents: Vec<Document>) -> Vec<Document> {
    if documents.len() != 1 {
        return documents;
    }
    let members = |document: Document| match document.value {
        Value::Array(items) => {
            let member = |(number, value)| Document {
                value,
                line: document.line,
                origin: Origin {
                    member: Some(number),
                    ..document.origin
                },
            };
            items.into_iter().enumerate().map(member).collect()
        }
        value => vec![Document { value, ..document }],
    };
    documents.into_iter().flat_map(members).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_and_yaml_give_the_same_values() {
        let from_json = parse(
            br#"{"a": [1, 2.5, true, null, "x"]}"#,
            Some(Format::Json),
            &Reading::default(),
        )
        .unwrap();
        let from_yaml = parse(b"a: [1, 2.5, true, null, x]\n", Some(Format::Yaml), &Reading::default()).unwrap();
        assert_eq!(from_json[0].value, from_yaml[0].value);
    }

    #[test]
    fn the_elements_of_a_top_level_array_are_documents() {
        let documents = parse(b"[{\"a\":1},{\"a\":2}]", Some(Format::Json), &Reading::default()).unwrap();
        assert_eq!(
            documents.iter().map(|d| d.value.clone()).collect::<Vec<_>>(),
            [json!({"a": 1}), json!({"a": 2})]
        );
    }

    #[test]
    fn bytes_that_are_not_text_are_an_error_and_json_nesting_is_bounded() {
        assert!(
            parse(b"\xff\xfe", Some(Format::Yaml), &Reading::default())
                .unwrap_err()
                .contains("not UTF-8")
        );
        assert!(
            parse("[".repeat(10_000).as_bytes(), Some(Format::Json), &Reading::default())
                .unwrap_err()
                .contains("recursion limit")
        );
    }
}
