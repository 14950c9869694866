//! From the paths that a user names to the documents that are judged.
//!
//! Invariant: a file that cannot be read or parsed is a finding in its place; nothing that was named outright is left out.

use std::path::{Path, PathBuf};

use globset::GlobBuilder;
use regex::Regex;
use serde_json::{Value, json};

use super::unknown::Unknown;
use super::{CheckOptions, Run};
use crate::input::{self, Document, Format, Input};
use crate::report::{Finding, Verdict};
use crate::sources::PolicyError;

/// Findings whose place is looked up; a report of more is not read line by line.
const LOCATED: usize = 10_000;

/// One document with the name of its file.
pub(super) struct Named {
    pub(super) file: String,
    /// The number of the document in a file of several, one-based.
    pub(super) number: Option<usize>,
    pub(super) document: Document,
    /// What of it is not known.
    pub(super) unknown: Option<Unknown>,
}

impl Named {
    /// What a person calls the thing: a Kubernetes object by kind and name, else the file.
    pub(super) fn resource(&self) -> String {
        let text = |path: &str| self.document.value.pointer(path).and_then(Value::as_str);
        match (text("/kind"), text("/metadata/namespace"), text("/metadata/name")) {
            (Some(kind), Some(namespace), Some(name)) => format!("{kind}/{namespace}/{name}"),
            (Some(kind), None, Some(name)) => format!("{kind}/{name}"),
            _ => self
                .number
                .map_or_else(|| self.file.clone(), |number| format!("{}#{number}", self.file)),
        }
    }
}

/// All documents as Conftest combines them: a list of `{path, contents}`.
pub(super) fn combined(mut documents: Vec<Named>) -> Named {
    documents.sort_by(|a, b| a.file.cmp(&b.file));
    let unknown = documents.iter_mut().enumerate().filter_map(|(index, named)| {
        let tree = named.unknown.take()?.under("contents");
        Some((index.to_string(), tree))
    });
    let unknown = Unknown::all(unknown);
    let list: Vec<Value> = documents
        .into_iter()
        .map(|named| json!({"path": named.file, "contents": named.document.value}))
        .collect();
    Named {
        file: "Combined".to_owned(),
        number: None,
        document: Document {
            value: Value::Array(list),
            line: None,
        },
        unknown,
    }
}

/// What is taken, and as what.
pub(super) struct Selection {
    parser: Option<Format>,
    ignore: Option<Regex>,
}

impl Selection {
    /// # Errors
    /// A parser that does not exist, a pattern that is no regular expression.
    pub(super) fn new(options: &CheckOptions) -> Result<Self, PolicyError> {
        let parser = options.parser.as_deref().map(Format::named).transpose();
        let parser = parser.map_err(|why| PolicyError::refused("--parser", None, why))?;
        let ignore = options.ignore.as_deref().map(Regex::new).transpose();
        let ignore = ignore.map_err(|error| PolicyError::refused("--ignore", None, error.to_string()))?;
        Ok(Self { parser, ignore })
    }
}

impl Run<'_> {
    pub(super) fn documents(&mut self, paths: &[PathBuf], selection: &Selection) -> Vec<Named> {
        let mut documents = Vec::new();
        for path in paths.iter().filter(|path| !path.as_os_str().is_empty()) {
            let inputs = self.inputs(path, selection);
            if inputs.is_empty() {
                let name = path.display().to_string();
                let why = "holds no file in a format that is known here; name one, or give --parser".to_owned();
                self.findings.push(Finding::error("muster", &name, why));
            }
            for input in inputs {
                let format = selection.parser.or(input.format);
                match input.bytes.and_then(|bytes| input::parse(&bytes, format)) {
                    Ok(parsed) => {
                        let several = parsed.len() > 1;
                        documents.extend((1..).zip(parsed).map(|(number, document)| Named {
                            file: input.name.clone(),
                            number: several.then_some(number),
                            unknown: Unknown::of(&document.value, format),
                            document,
                        }));
                    }
                    Err(why) => self.findings.push(Finding {
                        file: Some(input.name.clone()),
                        ..Finding::error("muster", &input.name, format!("cannot be read: {why}"))
                    }),
                }
            }
        }
        documents
    }

    fn inputs(&self, path: &Path, selection: &Selection) -> Vec<Input> {
        if path.as_os_str() == "-" {
            return vec![Input {
                name: "-".to_owned(),
                format: None,
                bytes: Ok(self.options.stdin.clone()),
            }];
        }
        let ignored = |name: &str| selection.ignore.as_ref().is_some_and(|ignore| ignore.is_match(name));
        let text = path.display().to_string();
        if path.exists() || !text.contains(['*', '?', '[', '{']) {
            return input::input_files(path, &ignored);
        }
        let Ok(glob) = GlobBuilder::new(&text).literal_separator(true).build() else {
            return input::input_files(path, &ignored);
        };
        let matcher = glob.compile_matcher();
        let plain: PathBuf = path
            .components()
            .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']))
            .collect();
        let root = if plain.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &plain
        };
        let outside = |name: &str| {
            let name = name.strip_prefix("./").unwrap_or(name);
            ignored(name) || !matcher.is_match(name)
        };
        input::input_files(root, &outside)
    }

    /// Finds lines and columns for what is not all right and names a path.
    pub(super) fn locate(&mut self) {
        let wanting = self
            .findings
            .iter_mut()
            .filter(|finding| {
                finding.path.is_some() && finding.line.is_none() || finding.path.is_some() && finding.column.is_none()
            })
            .filter(|finding| !matches!(finding.verdict, Verdict::Pass | Verdict::NotApplicable))
            .take(LOCATED);
        let mut last: Option<(String, Option<(String, Format)>)> = None;
        for finding in wanting {
            let (Some(file), Some(path)) = (&finding.file, &finding.path) else {
                continue;
            };
            if last.as_ref().is_none_or(|(name, _)| name != file) {
                let format = Format::of(file).unwrap_or(Format::Yaml);
                let text = if file == "-" {
                    String::from_utf8(self.options.stdin.clone()).ok()
                } else {
                    input::read(Path::new(file))
                        .ok()
                        .and_then(|bytes| String::from_utf8(bytes).ok())
                };
                last = Some((file.clone(), text.map(|text| (text, format))));
            }
            let Some((_, Some((text, format)))) = &last else {
                continue;
            };
            let number = document_at(text, *format, finding.line);
            if let Some((line, column)) =
                input::pointer(path).and_then(|steps| input::locate(text, *format, number, &steps))
            {
                finding.line = Some(line);
                finding.column = Some(column);
            }
        }
    }
}

/// The number of the YAML document that begins at this line or holds it.
fn document_at(text: &str, format: Format, line: Option<u32>) -> usize {
    if format != Format::Yaml {
        return 0;
    }
    let line = usize::try_from(line.unwrap_or(1)).unwrap_or(1);
    let mut seen_content = false;
    let mut number = 0;
    for current in text.lines().take(line) {
        if current == "---" || current.starts_with("--- ") {
            number += usize::from(seen_content);
            seen_content = false;
        } else if !current.trim().is_empty() && !current.starts_with('#') && !current.starts_with('%') {
            seen_content = true;
        }
    }
    number
}
