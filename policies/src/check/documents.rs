//! From the paths that a user names to the documents that are judged.
//!
//! Invariant: a file that cannot be read or parsed is a finding in its place; nothing that was named outright is left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use globset::GlobBuilder;
use regex::Regex;
use serde_json::{Value, json};

use super::unknown::Unknown;
use super::{CheckOptions, Run};
use crate::input::{self, Document, Format, Input, Origin, Proto, Reading, Step, Wanted};
use crate::report::{Finding, Verdict};
use crate::sources::PolicyError;

/// Findings whose place is looked up; a report of more is not read line by line.
const LOCATED: usize = 10_000;

/// What all files together are called.
const COMBINED: &str = "Combined";

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

/// All documents as Conftest combines them, a list of `{path, contents}`; and which file and part of it each of them is.
pub(super) fn combined(mut documents: Vec<Named>) -> (Named, Vec<(String, Origin)>) {
    documents.sort_by(|a, b| a.file.cmp(&b.file));
    let parts = documents
        .iter()
        .map(|named| (named.file.clone(), named.document.origin));
    let parts = parts.collect();
    let unknown = documents.iter_mut().enumerate().filter_map(|(index, named)| {
        let tree = named.unknown.take()?.under("contents");
        Some((index.to_string(), tree))
    });
    let unknown = Unknown::all(unknown);
    let list: Vec<Value> = documents
        .into_iter()
        .map(|named| json!({"path": named.file, "contents": named.document.value}))
        .collect();
    let all = Named {
        file: COMBINED.to_owned(),
        number: None,
        document: Document {
            value: Value::Array(list),
            line: None,
            origin: Origin::default(),
        },
        unknown,
    };
    (all, parts)
}

/// Any text is a scalar in YAML, and holds whatever a rule says of objects.
fn structured(documents: Vec<Document>) -> Result<Vec<Document>, String> {
    match documents
        .iter()
        .all(|document| document.value.is_object() || document.value.is_array())
    {
        true => Ok(documents),
        false => {
            Err("its name tells no format, and it holds no object in JSON or YAML; name one with --parser".to_owned())
        }
    }
}

/// What is taken, and as what.
pub(super) struct Selection {
    parser: Option<Format>,
    ignore: Option<Regex>,
    protos: Vec<Proto>,
}

impl Selection {
    /// # Errors
    /// A parser that does not exist, a pattern that is no regular expression, definitions that cannot be read.
    pub(super) fn new(options: &CheckOptions) -> Result<Self, PolicyError> {
        let parser = options.parser.as_deref().map(Format::named).transpose();
        let parser = parser.map_err(|why| PolicyError::refused("--parser", None, why))?;
        let ignore = options.ignore.as_deref().map(Regex::new).transpose();
        let ignore = ignore.map_err(|error| PolicyError::refused("--ignore", None, error.to_string()))?;
        let protos = input::protos(&options.protos);
        let protos = protos.map_err(|why| PolicyError::refused("--proto-file-dirs", None, why))?;
        Ok(Self { parser, ignore, protos })
    }
}

impl Run<'_> {
    pub(super) fn documents(&mut self, paths: &[PathBuf], selection: &Selection) -> Vec<Named> {
        let mut documents = Vec::new();
        let reading = Reading {
            sandbox: self.options.sandbox.as_ref(),
            protos: &selection.protos,
        };
        for path in paths.iter().filter(|path| !path.as_os_str().is_empty()) {
            let inputs = self.inputs(path, selection);
            if inputs.is_empty() {
                let name = path.display().to_string();
                let why = "holds no file in a format that is known here; name one, or give --parser".to_owned();
                self.findings.push(Finding::error("muster", &name, why));
            }
            for input in inputs {
                let format = selection.parser.or(input.format);
                let guessed = format.is_none() && input.name != "-";
                let parsed = input.bytes.and_then(|bytes| input::parse(&bytes, format, &reading));
                match parsed.and_then(|parsed| if guessed { structured(parsed) } else { Ok(parsed) }) {
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

    /// Finds lines and columns for what is not all right and names a path; each file is read once.
    pub(super) fn locate(&mut self, selection: &Selection) {
        let mut by_file: BTreeMap<String, Vec<(usize, Wanted)>> = BTreeMap::new();
        let wanting = self
            .findings
            .iter()
            .enumerate()
            .filter(|(_, finding)| finding.line.is_none() || finding.column.is_none())
            .filter(|(_, finding)| !matches!(finding.verdict, Verdict::Pass | Verdict::NotApplicable));
        for (number, finding) in wanting.take(LOCATED) {
            let (Some(file), Some(path)) = (&finding.file, finding.path.as_deref().and_then(input::pointer)) else {
                continue;
            };
            let (file, origin, path) = match path.split_first() {
                // In `{path, contents}` of all files together.
                Some((Step::Index(index), rest)) if file == COMBINED && !self.parts.is_empty() => {
                    let Some((file, origin)) = self.parts.get(*index) else {
                        continue;
                    };
                    (file, *origin, rest.get(1..).unwrap_or_default().to_vec())
                }
                _ => (file, finding.origin, path),
            };
            let wanted = Wanted {
                document: origin.document,
                path: origin.member.map(Step::Index).into_iter().chain(path).collect(),
            };
            by_file.entry(file.clone()).or_default().push((number, wanted));
        }
        for (file, wanting) in by_file {
            let bytes = match file.as_str() {
                "-" => Some(self.options.stdin.clone()),
                file => input::read(Path::new(file)).ok(),
            };
            let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) else {
                continue;
            };
            let format = selection.parser.or_else(|| Format::of(&file)).unwrap_or(Format::Yaml);
            let (numbers, wanted): (Vec<usize>, Vec<Wanted>) = wanting.into_iter().unzip();
            for (number, place) in numbers.into_iter().zip(input::locate(&text, format, &wanted)) {
                let finding = &mut self.findings[number];
                finding.file = Some(file.clone());
                if let Some((line, column)) = place {
                    (finding.line, finding.column) = (Some(line), Some(column));
                }
            }
        }
    }
}
