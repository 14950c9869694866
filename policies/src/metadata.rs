//! METADATA comments: what a rule says about itself.
//!
//! The front end reads the blocks; here is what muster and Conftest find in them.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::catalogue;
use crate::rego::{Annotations, Block};

/// How bad it is when a rule does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Severity {
    Critical,
    High,
    Medium,
    Low,
    Info,
}

impl Severity {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "critical" => Some(Self::Critical),
            "high" | "error" => Some(Self::High),
            "medium" | "moderate" | "warning" => Some(Self::Medium),
            "low" => Some(Self::Low),
            "info" | "informational" | "note" => Some(Self::Info),
            _ => None,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Info => "info",
        })
    }
}

/// What is known about a rule without evaluating it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// The id from METADATA (`custom.id`), else `<package>.<rule>`.
    pub id: String,
    /// One line on what must hold.
    pub title: String,
    /// Why it must hold.
    pub description: String,
    /// How bad it is when it does not.
    pub severity: Option<Severity>,
    /// The controls that it speaks for, as `<framework>:<id>`.
    pub controls: Vec<String>,
    /// What to do when it does not hold.
    pub remedy: String,
    /// The package that holds it, without `data.`.
    pub package: String,
    /// The file that holds it.
    pub file: String,
}

/// One METADATA block, attached to a package (`rule` is `None`) or a rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Annotation {
    pub(crate) rule: Option<String>,
    value: Value,
}

impl Annotation {
    /// What the blocks of a module say.
    pub(crate) fn of(annotations: &Annotations) -> Vec<Self> {
        let read = |block: &Block| Self {
            rule: block.rule.as_ref().map(|(_, name)| name.clone()),
            value: block.value.clone(),
        };
        annotations.blocks.iter().map(read).collect()
    }

    /// Whether the block names an id.
    pub(crate) fn has_id(&self) -> bool {
        !self.text("/custom/id").is_empty()
    }

    fn text(&self, path: &str) -> &str {
        self.value.pointer(path).and_then(Value::as_str).unwrap_or_default()
    }
}

/// What the annotations of a module say about one of its rules: its own block first, then the package's.
pub(crate) fn describe(package: &str, name: &str, file: &str, annotations: &[Annotation]) -> Rule {
    let mut own: Vec<&Annotation> = annotations.iter().filter(|a| a.rule.as_deref() == Some(name)).collect();
    // Several definitions of one name that each have an id are one rule to Conftest: it takes none of the ids.
    if own
        .iter()
        .map(|annotation| annotation.text("/custom/id"))
        .any(|id| id != own[0].text("/custom/id"))
    {
        own.clear();
    }
    let blocks: Vec<&Annotation> = own
        .into_iter()
        .chain(annotations.iter().filter(|a| a.rule.is_none()))
        .collect();
    let text = |path: &str| {
        blocks
            .iter()
            .map(|block| block.text(path))
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    };
    let id = match text("/custom/id") {
        "" => format!("{package}.{name}"),
        id => id.to_owned(),
    };
    let controls = blocks.iter().find_map(|block| block.value.pointer("/custom/controls"));
    Rule {
        id,
        title: text("/title").to_owned(),
        description: text("/description").trim().to_owned(),
        severity: Severity::parse(text("/custom/severity")),
        controls: controls.map(control_ids).unwrap_or_default(),
        remedy: text("/custom/remedy").trim().to_owned(),
        package: package.to_owned(),
        file: file.to_owned(),
    }
}

fn control_ids(controls: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match controls {
        Value::Object(frameworks) => {
            let mut ids = Vec::new();
            let mut frameworks: Vec<_> = frameworks.iter().collect();
            frameworks.sort_by_key(|(name, _)| catalogue::place(name));
            for (framework, listed) in frameworks {
                let listed = listed
                    .as_array()
                    .map_or_else(|| vec![listed], |listed| listed.iter().collect());
                ids.extend(listed.into_iter().map(|id| format!("{framework}:{}", text(id))));
            }
            ids
        }
        Value::Array(listed) => listed.iter().map(text).collect(),
        other => vec![text(other)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rego::{Dialect, Fault, Source};

    const TEXT: &str = "# METADATA\n# title: A package\n# custom:\n#   severity: high\n#   controls:\n#     soc2: [A1.2]\n#     nist-800-53: [CP-9, \"CP-9(1)\"]\npackage main\n\n# METADATA\n# title: One rule\n# custom:\n#   id: X-1\ndeny contains \"x\" if true\n";

    fn annotations(text: &str) -> Result<Vec<Annotation>, Fault> {
        Ok(Annotation::of(&Source::parse(text, Dialect::V1)?.annotations))
    }

    #[test]
    fn a_rule_has_its_own_words_and_the_rest_from_its_package() {
        let annotations = annotations(TEXT).unwrap();
        let rule = describe("main", "deny", "p.rego", &annotations);
        assert_eq!(
            (rule.id.as_str(), rule.title.as_str(), rule.severity),
            ("X-1", "One rule", Some(Severity::High))
        );
        assert_eq!(rule.controls, ["nist-800-53:CP-9", "nist-800-53:CP-9(1)", "soc2:A1.2"]);
        assert_eq!(describe("main", "warn", "p.rego", &annotations).id, "main.warn");
    }

    #[test]
    fn a_block_that_is_no_yaml_is_refused_with_its_line() {
        let broken = "package main\n# METADATA\n# title: [\ndeny contains 1\n";
        assert_eq!(annotations(broken).unwrap_err().span.line, 2);
    }

    #[test]
    fn a_severity_that_muster_does_not_know_is_none() {
        let severity = annotations("# METADATA\n# custom: {severity: dire}\npackage main\n").unwrap();
        assert_eq!(describe("main", "deny", "p.rego", &severity).severity, None);
    }
}
